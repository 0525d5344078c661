"""`esarm improve --speech`: a run's policy learns from voices without recorded motion.

What it makes lies in `RUN/speech/NAME`: the policy, which `esarm animate --policy NAME` takes, its
curve, and how it compares on held-out speech and on the run's own recordings. Interrupted, it goes
on where it was.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import shutil
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from agents.registry import ALGORITHMS
from agents.weights import save_policy
from esarm_env.core.cache import file_digest, read_json, write_text
from esarm_env.core.errors import InputError
from esarm_env.core.run_layout import (
    CLOCK_FILE,
    CORPUS_FILE,
    ENCODER_FILE,
    ORIGIN_FILE,
    POLICY_FILE,
    REWARD_FILE,
    SPEECH_REPORT,
    SUMMARY_FILE,
    TOKENIZER_FILE,
    WAVLM_FILE,
    experiment_policies,
    improved_policies,
    need_stage,
    partial_folder,
    speech_folder,
)
from train.animate import find_policy
from train.run.lock import locked
from train.run.loop import drive
from train.run.run_folder import RunFolder, without_nan
from train.run.stage_work import StageClock, finish_stage, n_threads
from train.speech.comparison import compare, page, verdict
from train.speech.data import SpeechData, open_speech_task, read_data
from train.speech.measures import FIGURES, OLD_FIGURES, SpeechMeasures, old_figures
from train.speech.rewards import speech_reward

if TYPE_CHECKING:
    from agents.network.transformer import MotionTransformer
    from esarm_env.core.types import IntArray
    from train.speech.settings import SpeechSettings

_INPUTS = (CORPUS_FILE, TOKENIZER_FILE, ENCODER_FILE, WAVLM_FILE, REWARD_FILE)


@dataclasses.dataclass(frozen=True)
class _Job:
    """What is to be done: `policy`, called `begun_from`, learns from `data` as `settings` say."""

    run: RunFolder
    data: SpeechData
    settings: SpeechSettings
    policy: MotionTransformer
    begun_from: str


def improve_on_speech(
    run: RunFolder,
    speech: Path,
    *,
    settings: SpeechSettings,
    test: Path | None = None,
    name: str | None = None,
) -> tuple[Path, dict[str, Any]]:
    """Let a policy of the run learn from a folder of speech; return its folder and the summary.

    Args:
        run: Finished up to `reward`.
        speech: Folder of sound files.
        settings: How it learns.
        test: Folder of sound files to measure; None keeps a share of `speech`.
        name: Of the policy; by default that of the folder.

    Raises:
        InputError: If there is too little speech, a stage is missing, the name is taken, or what
            has this name was made from something else.
    """
    settings.check()
    need_stage(run.path, "clone")
    policy, begun_from = find_policy(run.path, settings.policy)
    name = checked_name(speech.resolve().name if name is None else name, run.path)
    data = read_data(speech, test, settings)
    job = _Job(run, data, settings, policy, begun_from)
    origin = _origin(job)
    target = speech_folder(run.path, name)
    with locked(run.path):
        if target.is_dir():
            _check_same(target, origin)
        else:
            _finish(job, target, origin)
    return target, read_json(target / SUMMARY_FILE, "a summary")


def checked_name(name: str, run_path: Path) -> str:
    """Return the name of a policy to be of a run, if it can be one.

    Raises:
        InputError: If it is another policy's, or no name of a folder.
    """
    taken = {"clone", "auto", *ALGORITHMS.names(), *improved_policies(run_path)}
    taken |= experiment_policies(run_path).keys()
    plain = name.replace("-", "").replace("_", "").replace(".", "").replace(" ", "")
    if name in taken or name.startswith(".") or not plain.isalnum():
        raise InputError(
            "`speech_name` must be letters, digits, -, _ and . and none of "
            f"{', '.join(sorted(taken))}, got {name!r}"
        )
    return name


def _origin(job: _Job) -> dict[str, Any]:
    """Return what the result follows from."""
    files = {
        name: file_digest(job.run.path / name)
        for name in _INPUTS
        if (job.run.path / name).is_file()
    }
    weights = hashlib.sha256()
    for tensor in job.policy.state_dict().values():
        weights.update(tensor.numpy().tobytes())
    heard = {
        part: [[clip.name, clip.digest] for clip in clips]
        for part, clips in (("train", job.data.train), ("test", job.data.test))
    }
    origin: dict[str, Any] = json.loads(
        json.dumps(
            {
                "settings": dataclasses.asdict(job.settings),
                "files": files,
                "policy": [job.begun_from, weights.hexdigest()],
                "speech": heard,
                "motion": sorted(job.data.truths),
                "seed": job.run.config.seed,
            }
        )
    )
    return origin


def _check_same(target: Path, origin: dict[str, Any]) -> None:
    before = read_json(target / ORIGIN_FILE, "what a policy was made from")
    changed = [key for key in origin if before.get(key) != origin[key]]
    if changed:
        raise InputError(
            f"{target}: must be of the same speech and settings, got other "
            f"{', '.join(changed)}; choose another --speech-name, or delete it"
        )


def _finish(job: _Job, target: Path, origin: dict[str, Any]) -> None:
    """Work in a partial folder and rename it; a kill costs no finished work."""
    partial = partial_folder(target.parent, target.name)
    if partial.is_dir() and _begun_from(partial) != origin:
        if any(partial.iterdir()):
            warnings.warn(
                f"{partial}: is not gone on from, since it was begun with other speech, settings "
                "or policies; it starts anew",
                stacklevel=3,
            )
        shutil.rmtree(partial)
    partial.mkdir(parents=True, exist_ok=True)
    write_text(partial / ORIGIN_FILE, json.dumps(origin, indent=1))
    if not (partial / SUMMARY_FILE).is_file():
        clock = StageClock(partial / CLOCK_FILE)
        try:
            summary, text = _work(job, partial)
        finally:
            clock.stop()
        summary |= {"threads": n_threads(), "wall_s": round(clock.total_s, 1)}
        write_text(partial / SPEECH_REPORT, text)
        cleaned = without_nan(summary)
        write_text(partial / SUMMARY_FILE, json.dumps(cleaned, indent=1, allow_nan=False))
    finish_stage(partial, target)


def _begun_from(partial: Path) -> dict[str, Any]:
    try:
        return read_json(partial / ORIGIN_FILE, "what a policy was made from")
    except InputError:
        return {}


def _work(job: _Job, folder: Path) -> tuple[dict[str, Any], str]:
    """Train and measure; return the summary and the page."""
    from train.speech.training import SpeechTrainer

    run, data, settings, policy = job.run, job.data, job.settings, job.policy
    task, pieces, held = open_speech_task(run.path, data)
    seed = run.config.seed
    reward = speech_reward(task, run.path, settings.reward)
    trainer = SpeechTrainer(
        policy, task, pieces, reward, settings=settings, cloning=run.config.clone, seed=seed
    )
    rows = drive(trainer, folder, title="Speech", shown="score", keep_checkpoint=True)
    learned = trainer.algorithm.model.eval()
    save_policy(learned, folder / POLICY_FILE)
    measures = SpeechMeasures(task, held)
    new = compare(
        measures.of(policy, seed=seed),
        measures.of(learned, seed=seed),
        FIGURES,
        confidence=settings.confidence,
    )
    validation = _evenly(task.corpus.split("validation"), settings.old_utterances)
    before_after = old_figures({"before": policy, "after": learned}, task, validation, seed=seed)
    old = compare(
        before_after["before"], before_after["after"], OLD_FIGURES, confidence=settings.confidence
    )
    summary = {
        "policy": job.begun_from,
        "reward": reward.name,
        "speech": data.told,
        "training": {"first": rows[0], "last": rows[-1]} if rows else {},
        "voices": [row.row() for row in new],
        "old": [row.row() for row in old],
        "verdict": verdict(old),
    }
    return summary, page(summary, new, old)


def _evenly(utterances: IntArray, most: int) -> IntArray:
    """Return at most `most` of `utterances` (N,), spread evenly."""
    places = np.linspace(0, len(utterances) - 1, min(most, len(utterances)))
    return np.asarray(utterances[places.round().astype(np.int64)])
