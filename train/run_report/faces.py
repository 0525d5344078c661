"""Strip of faces in the report: a test utterance as recorded, and as the best policy writes it.

Which utterance is no choice by figures: the first of the test utterances of the strongest emotion.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from esarm_env.core.errors import InputError, MissingExtraError
from esarm_env.core.run_layout import FACES_PICTURE, SUMMARY_FILE
from train.rows import Row, greedy
from train.run_report.verdict import best_row

if TYPE_CHECKING:
    from pathlib import Path

    from train.run.run_folder import RunFolder

FRAMES = 7  # as many as fit beside each other on a page


def faces_section(run: RunFolder) -> str:
    """Return the strip, drawn where it is not yet, and the commands that show more.

    Without a corpus, Pillow or a policy that can be read there is a line that says so instead.
    """
    best = best_row(run) or greedy("clone")
    target = run.path / FACES_PICTURE
    try:
        if not _is_current(run, target):
            _draw(run, best, target)
        seen = f"![Recording above, {best.label} below]({FACES_PICTURE})"
    except (InputError, MissingExtraError) as error:
        target.unlink(missing_ok=True)
        seen = f"(No picture of the faces: {error}.)"
    method = f"{best.policy}:{best.decoding.replace(' ', '-')}"
    return "\n".join(
        [
            "## Faces",
            "",
            f"The recording above, `{best.policy}` ({best.decoding}) below, at the same frames: "
            "spaced evenly, and where the recorded lips shut and open widest. The first test "
            "utterance of the strongest emotion, not chosen by its figures; its errors stand "
            "beside it.",
            "",
            seen,
            "",
            "The same sentence moving, with its sound, as one web page; and curves of any "
            "recording of yours:",
            "",
            "```console",
            f"esarm figure5 --run {run.path} --methods recording {method} --no-emotion-curves",
            f"esarm animate SPEECH.wav -o face.csv --run {run.path}",
            "```",
        ]
    )


def _is_current(run: RunFolder, target: Path) -> bool:
    """Return whether the picture is newer than what it shows; drawing takes seconds."""
    stages = [run.stage(stage) / SUMMARY_FILE for stage in ("improve", "evaluate")]
    return target.is_file() and all(
        target.stat().st_mtime_ns >= file.stat().st_mtime_ns for file in stages
    )


def _draw(run: RunFolder, best: Row, target: Path) -> None:
    """Draw the strip."""
    import numpy as np

    from esarm_env.face import load_head
    from esarm_env.task.opening import open_task
    from train.figure5.figure import Shown, draw_strip, moments_of
    from train.figure5.methods import RECORDING, RunMethods, errors_mm
    from train.figure5.methods import Row as Strip
    from train.figure5.strip import need_pillow
    from train.figure5.subject import find_utterance, utterance_subject
    from train.stages.evaluate import on_head

    need_pillow()
    task = on_head(open_task(run.path), run.config.evaluate.head)
    index = find_utterance(task.corpus)
    methods = RunMethods(run.path, task, seed=run.config.seed)
    names = (RECORDING, f"{best.policy}:{best.decoding.replace(' ', '-')}")
    rows = []
    for name in methods.check(names):
        label, motions = methods.animate(name, np.array([index]))
        rows.append(Strip(name, label, motions[0]))
    errors = [None if row.name == RECORDING else errors_mm(task, row.motion, index) for row in rows]
    shown = Shown(utterance_subject(task.corpus, index, phones=False), rows, errors)
    head = load_head()
    moments = moments_of(shown, head=head, columns=FRAMES)
    draw_strip(shown, moments, target, head=head, title="Recorded, and animated")
