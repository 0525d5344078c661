"""Lip opening in mm, its correlation with the truth, and speech-lip intensity correlation (SLCC).

`mouth_opening` is a curve over time, which `closure` and `opening_correlation` compare. SLCC needs
no ground truth: over clips, the correlation of how loud the speech is with how fast the lips move,
after "Perceptually Accurate 3D Talking Head Generation" (CVPR 2025).
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from esarm_env.core.errors import InputError
from esarm_env.core.types import FRAME_RATE_HZ, IntArray
from esarm_env.face.names import index_of
from esarm_env.metrics.inputs import Batch, check_one_shape, frame_counts, mean_per_row
from esarm_env.metrics.region import MEASURED_SHARE, displacements_per_frame, region_of, shares
from esarm_env.metrics.variant import Quantity

if TYPE_CHECKING:
    from esarm_env.face.head import Head

SLCC = Quantity(
    "SLCC",
    "Pearson over clips of audio RMS and RMS lip speed, z-scored per speaker",
    unit="1",
    better="higher",
)

_MIDDLE_SHARE = 0.1  # of the lips' width, on each side of their middle
_N_PAIRS = 3
_FLAT_MM = 1e-3  # a curve that varies less is the same value with rounding
# Relative to the mean: loudness or speed that varies less is the same value with rounding.
_FLAT_SHARE = 1e-6


@functools.lru_cache(maxsize=8)
def lip_pairs(head: Head) -> tuple[IntArray, IntArray]:
    """Return vertices of the upper and lower lip that touch, or nearly, at rest.

    In the middle fifth of the lips a vertex belongs to the lower lip if `jawOpen` lowers it at
    least half as far as the one it lowers most. The pairs are the mutual nearest neighbours across
    the lips, the three closest of them: the inner rim, whatever the mesh.

    Args:
        head: Any head; its y axis points up and its "lips" part under `jawOpen`.

    Returns:
        Vertex indices of the upper and of the lower lip, each shape (P,), P from 1 to 3.

    Raises:
        InputError: If `jawOpen` does not part the lips.
    """
    lips = head.regions["lips"]
    lowered = -head.deltas[index_of("jawOpen"), lips, 1]
    across = head.vertices[lips, 0]
    if not len(lips):
        raise InputError("`head` must have lip vertices, got none in `regions['lips']`")
    middle = (across.min() + across.max()) / 2
    central = np.abs(across - middle) <= _MIDDLE_SHARE * np.ptp(across)
    lower = central & (lowered > 0) & (lowered >= 0.5 * lowered[central].max(initial=0.0))
    upper = central & ~lower
    if not upper.any() or not lower.any():
        got = f"{upper.sum()} upper and {lower.sum()} lower vertices near the middle"
        raise InputError(f"`head` must have lips that `jawOpen` parts, got {got}")
    return _touching(head, lips[upper], lips[lower])


def _touching(head: Head, upper: IntArray, lower: IntArray) -> tuple[IntArray, IntArray]:
    """Return the closest mutual nearest neighbours of two sets of vertices."""
    apart = head.vertices[upper][:, None] - head.vertices[lower][None]
    distance = np.linalg.norm(apart, axis=-1)  # (U, L)
    first = np.arange(len(upper))
    second = distance.argmin(axis=1)
    mutual = distance.argmin(axis=0)[second] == first
    first, second = first[mutual], second[mutual]
    closest = np.argsort(distance[first, second], kind="stable")[:_N_PAIRS]
    return upper[first[closest]], lower[second[closest]]


def mouth_opening(
    motion: npt.ArrayLike,
    *,
    head: Head,
    captured: npt.ArrayLike | None = None,
) -> npt.NDArray[np.float64]:
    """Return the lip opening: the gap in the middle of the lips, relative to rest.

    The mean over `lip_pairs` of how far the upper vertex has risen above the lower one since rest.
    ARKit's rest face has its mouth shut, so 0 is shut and a little below 0 pressed together.

    Args:
        motion: Coefficients, shape (T, 52) or (B, T, 52), alphabetical order.
        head: Whose lips move.
        captured: Shape (52,), bool; False channels are at rest.

    Returns:
        Shape (T,) or (B, T), in mm; nan where the captured channels do not measure it. Frames that
        are not finite give nan.

    Raises:
        InputError: If shapes do not fit or the head's lips do not part.
    """
    batch = Batch.of(motion, captured=captured)
    shape = np.asarray(motion).shape[:-1]
    weights = _opening_weights(head)
    if shares(np.square(weights))[batch.captured].sum() < MEASURED_SHARE:
        return np.full(shape, np.nan)
    used = np.flatnonzero(batch.captured & (weights != 0))
    with np.errstate(invalid="ignore"):  # inf past an utterance's end counts for nothing
        opening = batch.motion[..., used] @ weights[used]
    return np.where(np.isfinite(opening), opening, np.nan).reshape(shape)


@functools.lru_cache(maxsize=8)
def _opening_weights(head: Head) -> npt.NDArray[np.float64]:
    """Return the mouth opening of each channel at weight 1, (52,), in mm."""
    upper, lower = lip_pairs(head)
    rise = head.deltas[:, upper, 1].astype(np.float64) - head.deltas[:, lower, 1]  # (52, P)
    return np.asarray(rise.mean(axis=1))


def opening_correlation(
    predicted_mm: npt.ArrayLike,
    target_mm: npt.ArrayLike,
    *,
    lengths: npt.ArrayLike | None = None,
) -> npt.NDArray[np.float64]:
    """Return Pearson's correlation of two openings over time, per utterance.

    It asks whether the mouth opens at the right moments; how far is for the vertex errors to tell.

    Args:
        predicted_mm: Shape (T,) or (B, T), for instance from `mouth_opening`.
        target_mm: The truth, same shape.
        lengths: Shape (B,), the frames of each utterance that count; all by default.

    Returns:
        Shape (B,), in [-1, 1]; nan where either curve is flat (varies by less than 0.001 mm) or
        not finite.

    Raises:
        InputError: If shapes do not fit.
    """
    first, second, counts = paired_curves(predicted_mm, target_mm, lengths)
    inside = np.arange(first.shape[1]) < counts[:, None]  # (B, T)
    a, b = (_centred(curve, inside, counts) for curve in (first, second))
    deviations = [np.sqrt(np.square(side).sum(axis=1) / counts) for side in (a, b)]
    flat = (deviations[0] < _FLAT_MM) | (deviations[1] < _FLAT_MM)
    product = np.where(flat, 1.0, deviations[0] * deviations[1])
    correlation = np.clip((a * b).sum(axis=1) / counts / product, -1.0, 1.0)
    return np.where(flat, np.nan, correlation)


def paired_curves(
    predicted_mm: npt.ArrayLike, target_mm: npt.ArrayLike, lengths: npt.ArrayLike | None
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], IntArray]:
    """Return two curves as (B, T) and the frames of each row that count."""
    first = np.asarray(predicted_mm, dtype=np.float64)
    second = np.asarray(target_mm, dtype=np.float64)
    check_one_shape(first, second)
    if first.ndim not in (1, 2) or not first.shape[-1]:
        rule = "(T,) or (B, T) with T at least 1"
        raise InputError(f"`predicted_mm` must have shape {rule}, got {first.shape}")
    first, second = np.atleast_2d(first), np.atleast_2d(second)
    return first, second, frame_counts(lengths, *first.shape)


def _centred(
    curve: npt.NDArray[np.float64], inside: npt.NDArray[np.bool_], counts: IntArray
) -> npt.NDArray[np.float64]:
    """Return the curve without its mean over the frames that count, 0 past them."""
    held = np.where(inside, np.where(np.isfinite(curve), curve, np.nan), 0.0)
    return np.where(inside, held - (held.sum(axis=1) / counts)[:, None], 0.0)


def audio_rms(audio: Sequence[npt.ArrayLike]) -> npt.NDArray[np.float64]:
    """Return the loudness of each clip: the root mean square of its samples.

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
    """Return the lip speed: root mean square over frames of the mean vertex speed.

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
