"""Louder speech moves the lips more: SLCC, which needs no ground truth.

Speech-lip intensity correlation (SLCC) after "Perceptually Accurate 3D Talking Head Generation"
(CVPR 2025): over clips, the correlation of how loud the speech is with how fast the lips move.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from esarm_env.errors import InputError
from esarm_env.face.head import Head
from esarm_env.metrics.inputs import Batch, mean_per_row
from esarm_env.metrics.quantity import Quantity
from esarm_env.metrics.reduction import displacements_per_frame
from esarm_env.metrics.region import region_of
from esarm_env.types import FRAME_RATE_HZ

SLCC = Quantity(
    "SLCC",
    "Pearson over clips of audio RMS and RMS lip speed, z-scored per speaker",
    unit="1",
    better="higher",
)

# Relative to the mean: loudness or speed that varies less is the same value with rounding.
_FLAT_SHARE = 1e-6


def audio_rms(audio: Sequence[npt.ArrayLike]) -> npt.NDArray[np.float64]:
    """Return how loud each clip is: the root mean square of its samples.

    Args:
        audio: One array of samples per clip, shape (n_samples,), in [-1, 1].

    Returns:
        Shape (B,), in [0, 1].

    Raises:
        InputError: If a clip is not one row of finite samples.
    """
    loudness = np.empty(len(audio))
    for index, clip in enumerate(audio):
        samples = np.asarray(clip, dtype=np.float64)
        if samples.ndim != 1 or not samples.size:
            rule = "shape (n_samples,) with at least one sample"
            raise InputError(f"`audio[{index}]` must have {rule}, got {samples.shape}")
        if not np.all(np.isfinite(samples)):
            raise InputError(f"`audio[{index}]` must be finite, got nan or infinity")
        loudness[index] = np.sqrt(np.mean(np.square(samples)))
    return loudness


def lip_speed(
    motion: npt.ArrayLike,
    *,
    head: Head,
    captured: npt.ArrayLike | None = None,
    lengths: npt.ArrayLike | None = None,
) -> npt.NDArray[np.float64]:
    """Return how fast the lips move: root mean square over frames of the mean vertex speed.

    Args:
        motion: Coefficients, shape (T, 52) or (B, T, 52), alphabetical order, 30 fps.
        head: Whose lips move.
        captured: Shape (52,), bool; False channels are at rest.
        lengths: Shape (B,), the frames of each utterance that count; all by default.

    Returns:
        Shape (B,), in mm/s; nan where too little of the lips is captured or an utterance has fewer
        than 2 frames.

    Raises:
        InputError: If shapes do not fit or a counted coefficient is not finite.
    """
    batch = Batch.of(motion, lengths=lengths, captured=captured).differenced(1)
    lips = region_of(head, "lips")
    if not lips.measured(batch.captured):
        return np.full(len(batch), np.nan)
    step = displacements_per_frame(batch, lips, [("mean", 1)])["mean", 1]  # (N,), mm per frame
    return np.sqrt(mean_per_row(np.square(step), batch.counts)) * FRAME_RATE_HZ


def speech_lip_correlation(
    loudness: npt.ArrayLike, speed: npt.ArrayLike, *, speakers: Sequence[str]
) -> float:
    """Return SLCC: Pearson's correlation over clips of loudness and lip speed.

    Both are z-scored within each speaker first, so that a quiet microphone or a lively face does
    not count. For SLCC at one level of intensity pass that level's clips alone.

    Args:
        loudness: Shape (B,), for instance from `audio_rms`.
        speed: Shape (B,), for instance from `lip_speed`; clips with nan are left out.
        speakers: Who speaks in each clip; those with one clip, or whose clips are all equally loud
            or all equally fast, are left out.

    Returns:
        In [-1, 1]; nan if no speaker is left.

    Raises:
        InputError: If the three do not have one length.
    """
    x, y = np.asarray(loudness, dtype=np.float64), np.asarray(speed, dtype=np.float64)
    names = np.asarray(speakers)
    if x.ndim != 1 or not x.shape == y.shape == names.shape:
        got = f"{x.shape}, {y.shape} and {names.shape}"
        rule = "one shape (B,)"
        raise InputError(f"`loudness`, `speed` and `speakers` must have {rule}, got {got}")
    known = np.isfinite(x) & np.isfinite(y)
    scores = [
        np.stack([_z_scores(x[known & (names == name)]), _z_scores(y[known & (names == name)])])
        for name in np.unique(names[known])
    ]
    usable = [pair for pair in scores if np.all(np.isfinite(pair))]
    if not usable:
        return float("nan")
    # Each speaker's scores have mean 0 and deviation 1, so the correlation is their mean product.
    first, second = np.concatenate(usable, axis=1)
    return float(np.mean(first * second))


def _z_scores(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the values with mean 0 and deviation 1; nan where they do not vary."""
    mean, deviation = values.mean(), values.std()
    if deviation <= _FLAT_SHARE * abs(mean):
        return np.full(values.shape, np.nan)
    return np.asarray((values - mean) / deviation)
