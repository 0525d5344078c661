"""Lip and emotional vertex error (LVE, EVE), with the variant spelled out.

Papers print one name for different numbers: CodeTalker squares the distance, FaceFormer does not,
MeshTalk removes the lips' own translation first, DEEPTalk averages over the vertices. So every
choice is an argument, and `variant_label` says in a table which ones were made.
"""

from __future__ import annotations

import functools

import numpy as np
import numpy.typing as npt

from esarm_env.errors import InputError
from esarm_env.face.head import Head
from esarm_env.types import N_CHANNELS, BoolArray, FloatArray

# A channel counts as moving a region if it reaches this share of its own largest displacement
# there; a smile's far tail below the eye does not make mouth capture measure the upper face.
_MOVES_SHARE = 0.25
# 16 MB: smaller pieces fit the cache, but on a busy machine BLAS waits for its threads after each.
_CHUNK_FLOATS = 4_000_000
_UNITS = {"mm": 1.0, "m": 1e-3}
_NAMES = {"lips": "LVE", "upper": "EVE"}


def variant_label(
    region: str,
    reduce: str = "max",
    power: int = 1,
    centre: str = "none",
    unit: str = "mm",
) -> str:
    """Return the metric's name with its variant, as it must stand in every table.

    >>> variant_label("lips", "max", 1, "none", "mm")
    'LVE (mean over frames of max over lip vertices, L2, mm)'
    """
    _check_variant(reduce, power, centre, unit)
    vertices = {"lips": "lip", "upper": "eye and forehead"}.get(region, region)
    parts = [
        f"mean over frames of {reduce} over {vertices} vertices",
        "L2" if power == 1 else "squared L2",
        *(["centred"] if centre == "lips" else []),
        unit if power == 1 else f"{unit}²",
    ]
    return f"{_NAMES.get(region, 'vertex error')} ({', '.join(parts)})"


def _check_variant(reduce: str, power: int, centre: str, unit: str) -> None:
    """Refuse an unknown variant."""
    for name, value, allowed in (
        ("reduce", reduce, ("max", "mean")),
        ("power", power, (1, 2)),
        ("centre", centre, ("none", "lips")),
        ("unit", unit, tuple(_UNITS)),
    ):
        if value not in allowed:
            raise InputError(f"`{name}` must be one of {allowed}, got {value!r}")


@functools.lru_cache(maxsize=8)
def _region_deltas(head: Head, region: str, centred: bool) -> tuple[FloatArray, BoolArray]:
    """Return a region's displacements (52, 3 * R), x then y then z, and which channels move it."""
    known = {**head.regions, "upper": head.upper}
    if region not in known or not len(known[region]):
        names = tuple(name for name in known if len(known[name]))
        raise InputError(f"`region` must be one of {names}, got {region!r}")
    deltas = head.deltas[:, known[region]]  # (52, R, 3)
    here = np.linalg.norm(deltas, axis=-1).max(axis=1)
    anywhere = np.linalg.norm(head.deltas, axis=-1).max(axis=1)
    moves = (here > 0) & (here >= _MOVES_SHARE * anywhere)
    if centred:
        deltas = deltas - deltas.mean(axis=1, keepdims=True)
    planes = np.ascontiguousarray(deltas.transpose(0, 2, 1)).reshape(N_CHANNELS, -1)
    return planes, moves


def _paired(predicted: npt.ArrayLike, target: npt.ArrayLike) -> FloatArray:
    """Return `predicted - target` as (B, T, 52)."""
    first, second = np.asarray(predicted), np.asarray(target)
    if first.shape != second.shape:
        got = f"{first.shape} and {second.shape}"
        raise InputError(f"`predicted` and `target` must have one shape, got {got}")
    if first.ndim not in (2, 3) or first.shape[-1] != N_CHANNELS or first.shape[-2] < 1:
        rule = f"(T, {N_CHANNELS}) or (B, T, {N_CHANNELS}) with T at least 1"
        raise InputError(f"`predicted` must have shape {rule}, got {first.shape}")
    difference = np.subtract(first, second, dtype=np.float32)
    return np.asarray(difference.reshape(-1, *first.shape[-2:]))


def _frame_counts(lengths: npt.ArrayLike | None, batch: int, frames: int) -> npt.NDArray[np.int64]:
    """Return how many frames of each row count."""
    if lengths is None:
        return np.full(batch, frames, dtype=np.int64)
    counts = np.atleast_1d(np.asarray(lengths))
    if counts.shape != (batch,) or not np.issubdtype(counts.dtype, np.integer):
        got = f"{counts.dtype} {counts.shape}"
        raise InputError(f"`lengths` must be integers of shape ({batch},), got {got}")
    if np.any((counts < 1) | (counts > frames)):
        raise InputError(f"`lengths` must be in 1..{frames}, got {counts.tolist()}")
    return counts.astype(np.int64)


def _captured_channels(captured: npt.ArrayLike | None) -> BoolArray:
    """Return the mask of channels that count."""
    if captured is None:
        return np.ones(N_CHANNELS, dtype=np.bool_)
    mask = np.asarray(captured)
    if mask.shape != (N_CHANNELS,) or mask.dtype != np.bool_:
        got = f"{mask.dtype} {mask.shape}"
        raise InputError(f"`captured` must be bool of shape ({N_CHANNELS},), got {got}")
    return mask


def _frame_errors(
    difference: FloatArray, deltas: FloatArray, *, reduce: str, power: int
) -> npt.NDArray[np.float64]:
    """Return one error per frame, in mm or mm².

    Args:
        difference: Shape (N, C), coefficients.
        deltas: Shape (C, 3 * R), x then y then z.
        reduce: "max" or "mean" over the region.
        power: 1 or 2.
    """
    n_vertices = deltas.shape[1] // 3
    step = max(1, _CHUNK_FLOATS // deltas.shape[1])
    errors = np.empty(len(difference))
    for start in range(0, len(difference), step):
        moved = difference[start : start + step] @ deltas  # (n, 3 * R)
        np.square(moved, out=moved)
        squared = moved[:, :n_vertices]
        squared += moved[:, n_vertices : 2 * n_vertices]
        squared += moved[:, 2 * n_vertices :]  # (n, R)
        if reduce == "max":
            worst = squared.max(axis=1).astype(np.float64)
            errors[start : start + step] = worst if power == 2 else np.sqrt(worst)
        else:
            distance = squared if power == 2 else np.sqrt(squared)
            errors[start : start + step] = distance.mean(axis=1, dtype=np.float64)
    return errors


def vertex_error(
    predicted: npt.ArrayLike,
    target: npt.ArrayLike,
    *,
    head: Head,
    region: str,
    reduce: str = "max",
    power: int = 1,
    centre: str = "none",
    captured: npt.ArrayLike | None = None,
    lengths: npt.ArrayLike | None = None,
    unit: str = "mm",
) -> npt.NDArray[np.float64]:
    """Return how far a region of the face is from the truth, per utterance.

    Per frame the maximum or mean over the region's vertices of the distance to the power, then the
    mean over frames. The defaults are FaceFormer's LVE; `power=2` is CodeTalker's, `centre="lips"`
    MeshTalk's, `reduce="mean"` DEEPTalk's.

    Args:
        predicted: Coefficients, shape (T, 52) or (B, T, 52), alphabetical order.
        target: The truth, same shape.
        head: Whose vertices are compared.
        region: "lips", "upper" (eyes and forehead) or any of the head's regions.
        reduce: "max" or "mean" over the region's vertices.
        power: 1 for the distance, 2 for its square.
        centre: "lips" takes each side's mean over the region off first; "none" does not.
        captured: Shape (52,), bool; False channels count as equal on both sides.
        lengths: Shape (B,), the frames of each utterance that count; all by default.
        unit: "mm" or "m" (squared with `power=2`).

    Returns:
        Shape (B,), 1 for one utterance; nan where no captured channel moves the region.

    Raises:
        InputError: If shapes do not fit, a choice is unknown, or a counted coefficient is not
            finite.
    """
    _check_variant(reduce, power, centre, unit)
    difference = _paired(predicted, target)  # (B, T, 52)
    batch, frames, _ = difference.shape
    counts = _frame_counts(lengths, batch, frames)
    mask = _captured_channels(captured)
    deltas, moves = _region_deltas(head, region, centre == "lips")
    if not np.any(moves & mask):
        return np.full(batch, np.nan)
    used = np.flatnonzero(mask & np.any(deltas != 0, axis=1))
    counted = difference[np.arange(frames) < counts[:, None]][:, used]  # (N, C)
    if not np.all(np.isfinite(counted)):
        raise InputError("`predicted` and `target` must be finite, got nan or infinity")
    errors = _frame_errors(counted, deltas[used], reduce=reduce, power=power)
    starts = np.concatenate([[0], np.cumsum(counts)[:-1]]).astype(np.int64)
    sums = np.add.reduceat(errors, starts) if batch else errors
    return np.asarray(sums / counts * _UNITS[unit] ** power)


def lip_vertex_error(
    predicted: npt.ArrayLike,
    target: npt.ArrayLike,
    *,
    head: Head,
    reduce: str = "max",
    power: int = 1,
    centre: str = "none",
    captured: npt.ArrayLike | None = None,
    lengths: npt.ArrayLike | None = None,
    unit: str = "mm",
) -> npt.NDArray[np.float64]:
    """Return `vertex_error` over the lips (LVE)."""
    return vertex_error(
        predicted,
        target,
        head=head,
        region="lips",
        reduce=reduce,
        power=power,
        centre=centre,
        captured=captured,
        lengths=lengths,
        unit=unit,
    )


def emotional_vertex_error(
    predicted: npt.ArrayLike,
    target: npt.ArrayLike,
    *,
    head: Head,
    reduce: str = "max",
    power: int = 1,
    centre: str = "none",
    captured: npt.ArrayLike | None = None,
    lengths: npt.ArrayLike | None = None,
    unit: str = "mm",
) -> npt.NDArray[np.float64]:
    """Return `vertex_error` over eyes and forehead (EVE)."""
    return vertex_error(
        predicted,
        target,
        head=head,
        region="upper",
        reduce=reduce,
        power=power,
        centre=centre,
        captured=captured,
        lengths=lengths,
        unit=unit,
    )
