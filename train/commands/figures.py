"""`esarm figure5` and `esarm studio`: what methods make of one sentence, and a page to try it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from esarm_env.core.errors import InputError
from esarm_env.core.hub.address import is_address
from esarm_env.core.hub.folders import local_folder
from train.commands.options import (
    check_folder_target,
    check_json_target,
    settle_corpus,
    use_threads,
    write_json,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from train.figure5.collect import Asked
    from train.figure5.figure import Shown


def command_figure5(
    *,
    run: Path | None = None,
    utterance: str | None = None,
    sentence: str | None = None,
    emotion: str | None = None,
    audio: Path | None = None,
    intensity: int | None = None,
    speaker: str | None = None,
    methods: tuple[str, ...] = (),
    predictions: tuple[str, ...] = (),
    columns: int = 10,
    error_map: bool = False,
    emotion_curves: bool = True,
    per_emotion: int = 12,
    seed: int = 0,
    corpus: str | None = None,
    out: Annotated[Path, tyro.conf.arg(aliases=["-o"])] = Path("figure5"),
    json: Path | None = None,
    threads: int = 0,
) -> None:
    """Compare methods on one sentence: pictures and a web page.

    Writes to the folder: figure5.png (methods by time, ground truth on top), figure5_errors.png
    (with --error-map), figure5_emotions.png (brows and lip corners by emotion), figure5.html (all
    methods moving side by side with the sound; one file, no network), and figure5.json; each as
    soon as it is ready, in this order. If you interrupt it, finished files stay; the same command
    begins again.

    Args:
        run: Folder of a run; one that is finished has the most methods. By default runs/demo, and
            with `--audio` what ships with the package, as `esarm animate`.
        utterance: Id of an utterance of the run's corpus; by default the first test utterance that
            shows an emotion at the greatest intensity.
        sentence: Take the test utterance in which this is said; a part of the sentence will do.
        emotion: Take a test utterance with this emotion; with `--audio`, show this emotion (as
            `esarm animate --emotion`, by default auto).
        audio: A sound file to animate instead, which has no recorded motion and no ground truth.
        intensity: With `--audio`, the strength of the emotion: 1 (weak) to 3 (strong).
        speaker: With `--audio`, a training speaker whose face style is used.
        methods: Rows of the picture: recording, tokenizer, mean-face, regressor, clone, an
            algorithm of `improve`, or an experiment. A policy may be followed by its decoding:
            clone:greedy, clone:expected-distance, clone:sampled. By default all that the run has
            but for experiments.
        predictions: Further rows, each NAME=FOLDER: a folder with one file of motion for each
            utterance.
        columns: Number of frames in each row, at least 2: half of them evenly spaced, the others
            where the recorded lips shut and open widest.
        error_map: Also draw the frames in the colours of their error in mm.
        emotion_curves: Draw curves by emotion. Each method animates other test utterances for them,
            which takes most of the time.
        per_emotion: Number of test utterances of each emotion behind these curves; 0 means all.
        seed: Seed of sampled animations.
        corpus: Where the run's recordings are now, if they have moved; it is noted for all runs on
            them. [default: where they were]
        out: Folder to write.
        json: Also write the figures to this file.
        threads: CPU threads of torch; 0 leaves the choice to torch.
    """
    from esarm_env.core.run_layout import CORPUS_FILE, need_file
    from esarm_env.core.shipped import shipped_run

    check_json_target(json)
    check_folder_target(out, name="out")
    if threads < 0:
        raise InputError(f"`threads` must be at least 0, got {threads}")
    if columns < 2:
        raise InputError(f"`columns` must be at least 2, got {columns}")
    if run is not None:
        run = local_folder(run)
    elif audio is None:
        run = Path("runs/demo")
    if run is not None:
        need_file(run, CORPUS_FILE)  # before torch is loaded

    from esarm_env.face import load_head
    from train.figure5.collect import Asked
    from train.figure5.figure import CONTRAST, contrast_table, draw_figure
    from train.figure5.strip import need_pillow

    need_pillow()
    use_threads(threads)
    settle_corpus(run, corpus)
    asked = Asked(methods, named_folders(predictions), per_emotion, emotion_curves, seed)
    if audio is None:
        _refuse_given(intensity=intensity, speaker=speaker)
        assert run is not None, "without a voice there is one by default"
        shown = _utterance(run, asked, utterance, sentence, emotion)
    else:
        _refuse_both(utterance=utterance, sentence=sentence)
        shown = _voice(run or shipped_run(), asked, audio, emotion, intensity, speaker)
    print_shown(shown)
    figures = draw_figure(
        shown,
        out,
        head=load_head(),
        columns=columns,
        error_map=error_map,
        written=lambda path: print(f"written: {path}", flush=True),
    )
    if figures["emotion_contrast"]:
        print(CONTRAST)
        print(plain_table(contrast_table(figures["emotion_contrast"])))
    for note in figures["notes"]:
        print(f"note: {note}")
    print("files: " + ", ".join(str(out / name) for name in figures["files"].values()))
    write_json(figures, json)


def command_studio(
    run: Annotated[Path | None, tyro.conf.Positional] = None,
    /,
    *,
    folder: Path | None = None,
    preferences: Path | None = None,
    port: int = 8765,
    open: bool = True,
) -> None:
    """Open a local page: animate speech, compare, judge, watch a training run.

    Drop a sound file or speak into the microphone, and a face speaks it; choose policy, decoding,
    emotion and head; put policies side by side; judge pairs of animations, whose answers train the
    reward; follow a training run. The page works offline and is for this machine alone: its address
    holds a token. Needs the extra `studio`. Ctrl-C ends it.

    Args:
        run: Folder of a run, finished or still in training, or hf://USER/NAME; by default what
            ships with the package animates.
        folder: A folder of speech to choose from on the page; heads (.glb, .vrm, .npz) in it can be
            chosen, too.
        preferences: File of the answers on the page Judge, beside which the judged animations are
            kept; by default judged/preferences.jsonl in the run folder, and of a run on the Hub in
            the working folder.
        port: Port to listen on; if it is in use, another one, which is printed. 0 takes any.
        open: Open the page in the browser.
    """
    from esarm_env.core.errors import MissingExtraError

    try:
        from train.studio.server import end_at_once, serve
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package not in ("starlette", "uvicorn"):
            raise
        raise MissingExtraError(package, extra="studio", purpose="`esarm studio`") from error
    from train.studio.studio import Studio

    if run is not None and is_address(run):
        run, preferences = local_folder(run), preferences or Path("judged/preferences.jsonl")
    serve(Studio(run, folder=folder, preferences=preferences), port=port, browse=open)
    end_at_once()


def print_shown(shown: Shown) -> None:
    """Print what is shown: the sentence with its emotion, and each row with its errors."""
    subject = shown.subject
    print(f"{subject.name}: {subject.condition}" + (f': "{subject.text}"' if subject.text else ""))
    for row, said in zip(shown.rows, shown.beside, strict=True):
        print(f"row: {row.label}" + (f": {said}" if said else ""), flush=True)


def plain_table(lines: Sequence[Sequence[str]]) -> str:
    """Return lines of cells as text in columns, the first to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if column else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


def named_folders(predictions: tuple[str, ...]) -> tuple[tuple[str, Path], ...]:
    """Return label and folder of each NAME=FOLDER.

    Raises:
        InputError: If one is of another form, or there is no such folder.
    """
    found = []
    for given in predictions:
        name, _, folder = given.partition("=")
        if not name.strip() or not folder:
            raise InputError(f"`predictions` must be NAME=FOLDER, got {given!r}")
        if not Path(folder).is_dir():
            raise InputError(f"`predictions` must name a folder that is there, got {given!r}")
        found.append((name.strip(), Path(folder)))
    return tuple(found)


def _refuse_given(**only_of_a_voice: object) -> None:
    for name, value in only_of_a_voice.items():
        if value is not None:
            raise InputError(
                f"`{name}` must be left out without --audio, got {value!r}: an utterance of the "
                "corpus has its own"
            )


def _refuse_both(**only_of_a_corpus: object) -> None:
    for name, value in only_of_a_corpus.items():
        if value is not None:
            raise InputError(f"`{name}` must be left out with --audio, got {value!r}")


def _utterance(
    run: Path, asked: Asked, utterance: str | None, sentence: str | None, emotion: str | None
) -> Shown:
    from train.figure5.collect import collect_utterance

    if utterance is not None and (sentence is not None or emotion is not None):
        raise InputError(
            f"`utterance` must be given without --sentence and --emotion, got {utterance!r} and "
            f"{sentence if sentence is not None else emotion!r}"
        )
    return collect_utterance(
        run or Path("runs/demo"), asked, utterance=utterance, sentence=sentence, emotion=emotion
    )


def _voice(
    run: Path,
    asked: Asked,
    audio: Path,
    emotion: str | None,
    intensity: int | None,
    speaker: str | None,
) -> Shown:
    from esarm_env.task.recording import AnimationCondition
    from train.figure5.collect import collect_voice

    voice = AnimationCondition(emotion or "auto", intensity, speaker)
    return collect_voice(run, asked, audio, voice)
