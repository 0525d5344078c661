"""`esarm bench peers`: the policies of a run beside the rule-based peer `openfacefx`.

It opens the jaw with the loudness of the audio and maps its visemes onto ARKit shapes. MIT, from
PyPI; an extra for this benchmark and its test alone.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import soundfile

from agents.rollout.animation import animate_utterances
from agents.rollout.named_decoding import deterministic_decoding
from agents.weights import load_policy
from esarm_env.core.errors import MissingExtraError
from esarm_env.core.intervals import Interval, bootstrap_mean
from esarm_env.core.run_layout import POLICY_FILE
from esarm_env.core.types import FRAME_RATE_HZ, N_CHANNELS, SAMPLE_RATE_HZ, FloatArray, IntArray
from esarm_env.face.names import index_of
from esarm_env.task.animation_task import AnimationTask, pad_stack
from esarm_env.task.episode_metrics import LVE
from esarm_env.task.opening import open_task

if TYPE_CHECKING:
    from train.run.run_folder import RunFolder


def need_openfacefx(*, purpose: str) -> Any:
    """Return the module `openfacefx`.

    Args:
        purpose: What it is needed for, as the message says it.

    Raises:
        MissingExtraError: If it is not installed.
    """
    try:
        import openfacefx
    except ImportError as error:
        raise MissingExtraError("openfacefx", extra="peers", purpose=purpose) from error
    return openfacefx


def loudness_motion(audio: FloatArray, *, n_frames: int, intensity: float = 1.0) -> FloatArray:
    """Return what the peer makes of a recording.

    Args:
        audio: Shape (n_samples,), 16 kHz.
        n_frames: Length T of the result.
        intensity: The peer's gain on the mouth opening; 1 is its default.

    Returns:
        Shape (T, 52), float32 in [0, 1], 30 fps, alphabetical ARKit order.

    Raises:
        MissingExtraError: If `openfacefx` is not installed.
    """
    openfacefx = need_openfacefx(purpose="comparing with the rule-based peer")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "speech.wav"
        soundfile.write(path, audio, SAMPLE_RATE_HZ, subtype="PCM_16")  # all that it reads
        track = openfacefx.generate_from_energy(str(path), fps=FRAME_RATE_HZ, intensity=intensity)
    track = openfacefx.retarget(track, openfacefx.PRESETS["arkit"])
    time_s = np.arange(n_frames) / FRAME_RATE_HZ
    motion = np.zeros((n_frames, N_CHANNELS), dtype=np.float32)
    for channel in track.channels:
        key_s = [key.time for key in channel.keys]
        values = [key.value for key in channel.keys]
        motion[:, index_of(channel.name)] = np.interp(time_s, key_s, values)
    return motion.clip(0, 1)


PEER, PEER_FITTED = "openfacefx, loudness", "openfacefx, loudness, gain fitted"
GAINS = (0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 2.0)
_FITTED_ON = 32  # training utterances that the peer's gain is chosen on
_RESAMPLES, _CONFIDENCE = 2000, 0.95


def compare_with_peers(run: RunFolder) -> dict[str, Any]:
    """Measure LVE of the run's policies (without chance) and of the peer on the test utterances.

    The peer stands there as it comes, and with the one setting it has chosen on training
    utterances, which is the fairer of the two.

    Args:
        run: A run whose stages `prior` and `clone` are finished.

    Returns:
        `utterances`, `gain` (the one chosen), `lve_mm` per row as (mean, low, high), and `less_lve`
        per policy and peer: the share of the peer's LVE that the policy saves, with the paired
        difference's interval.

    Raises:
        MissingExtraError: If the peer is not installed.
    """
    task = open_task(run.path)
    test = task.corpus.split("test")
    gain = fitted_gain(task)
    rows = {PEER: _peer_errors(task, test, 1.0), PEER_FITTED: _peer_errors(task, test, gain)}
    policies = _policy_errors(run, task, test)
    return {
        "utterances": len(test),
        "gain": gain,
        "lve_mm": {name: _triple(_interval(errors)) for name, errors in (rows | policies).items()},
        "less_lve": {
            f"{name} against {peer}": _saving(errors, rows[peer])
            for name, errors in policies.items()
            for peer in rows
        },
    }


def fitted_gain(task: AnimationTask) -> float:
    """Return which of `GAINS` has the least LVE on some of the training utterances.

    Raises:
        MissingExtraError: If the peer is not installed.
    """
    fitted_on = training_sample(task)
    means = [float(_peer_errors(task, fitted_on, gain).mean()) for gain in GAINS]
    return GAINS[int(np.argmin(means))]


def training_sample(task: AnimationTask) -> IntArray:
    """Return the training utterances that a peer's gain is fitted on, spread over all."""
    train = task.corpus.split("train")
    spread: IntArray = train[
        np.linspace(0, len(train) - 1, min(_FITTED_ON, len(train))).astype(int)
    ]
    return spread


def _peer_errors(task: AnimationTask, utterances: IntArray, gain: float) -> FloatArray:
    """Return the peer's LVE on each utterance, in mm."""
    motions = [
        loudness_motion(
            task.corpus[int(index)].audio, n_frames=int(task.n_frames[index]), intensity=gain
        )
        for index in utterances
    ]
    return task.errors_of_motion(pad_stack(motions, edge=True), utterances)[LVE]


def _policy_errors(
    run: RunFolder, task: AnimationTask, utterances: IntArray
) -> dict[str, FloatArray]:
    """Return the LVE of each finished policy on each utterance, in mm, without chance."""
    files = {"clone": run.stage("clone") / POLICY_FILE}
    if run.is_finished("improve"):
        for name in run.config.improve.algorithms:
            files[name] = run.stage("improve") / name / POLICY_FILE
    errors = {}
    for name, file in files.items():
        model = load_policy(file)
        written = animate_utterances(
            model,
            task,
            utterances,
            decoding=deterministic_decoding(model),
            seed=run.config.seed,
        )
        errors[name] = task.errors(written)[LVE]
    return errors


def _interval(values: FloatArray) -> Interval:
    return bootstrap_mean(values, resamples=_RESAMPLES, confidence=_CONFIDENCE)


def _triple(interval: Interval) -> list[float]:
    return [interval.mean, interval.low, interval.high]


def _saving(ours: FloatArray, peer: FloatArray) -> dict[str, Any]:
    """Return the relative saving and the paired difference in mm."""
    return {
        "share": 1 - float(ours.mean() / peer.mean()),
        "difference_mm": _triple(_interval(ours - peer)),
    }
