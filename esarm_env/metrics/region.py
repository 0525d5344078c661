"""Vertex displacements of a region of the head, and their reduction to one figure per frame.

The one costly step that most metrics share. A displacement is linear in the coefficients, so
errors, velocities and jerks need no mesh: the difference of two motions times the region's
displacements is the difference of the vertices.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from esarm_env.core.errors import InputError
from esarm_env.core.types import N_CHANNELS, BoolArray, FloatArray, IntArray
from esarm_env.face.names import index_of
from esarm_env.metrics.inputs import Batch, mean_per_row

if TYPE_CHECKING:
    from torch import Tensor

    from esarm_env.face.head import Head

# Reduction over vertices ("max" or "mean") and power of the distance (1 or 2).
Kind = tuple[str, int]
# A region is measured if the captured channels make up this share of its squared motion (each
# channel at weight 1). On the shipped head and on ICT-FaceKit mouth channels make up 5 % and 7 %
# of the upper face's, mostly by noseSneer; brows alone about half, jawOpen 24 % of the lips'.
MEASURED_SHARE = 0.2
UPPER_WITHOUT_LIDS = "upper_without_lids"
_BLINKS = ("eyeBlinkLeft", "eyeBlinkRight")
# A vertex that a full blink moves further is a lid's: on the shipped head 206 of the upper face's
# 959. Blinks follow from neither speech nor emotion, and at 9 mm they outweigh all else there.
_LID_MOVES_MM = 0.5
# 4 MB: larger blocks leave the cache, smaller ones cost a call each.
_BLOCK_FLOATS = 1_000_000
# Of a region, by the channels that move them; more cost a call each and save little.
_MOST_PIECES, _LEAST_SAVING = 8, 0.05


@dataclass(frozen=True)
class Region:
    """Linear map from coefficients to the displacements of a region's vertices.

    Attributes:
        planes: Shape (52, 3 * R), float32, displacements at weight 1 in mm, x then y then z.
        share: Shape (52,), each channel's share of the region's squared motion; sums to 1, or 0 if
            nothing moves the region.
    """

    planes: FloatArray
    share: npt.NDArray[np.float64]
    _pieces: dict[bytes, list[tuple[Tensor, Tensor]]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    @property
    def n_vertices(self) -> int:
        """Number of vertices R."""
        width: int = self.planes.shape[1]
        return width // 3

    def measured(self, captured: BoolArray) -> bool:
        """Return whether the captured channels suffice to judge the region."""
        return bool(self.share[captured].sum() >= MEASURED_SHARE)

    def used(self, captured: BoolArray) -> IntArray:
        """Return the captured channels that displace the region at all, ascending."""
        return np.flatnonzero(captured & np.any(self.planes != 0, axis=1)).astype(np.int64)

    def squared_displacements(
        self, coefficients: FloatArray, channels: IntArray
    ) -> Iterator[tuple[slice, FloatArray]]:
        """Yield the squared length of every vertex's displacement, in blocks of frames.

        Args:
            coefficients: Shape (N, D), the columns of `channels`.
            channels: As from `used`.

        Yields:
            The block's frames and its squares, shape (n, R), in mm², the vertices in an order of
            their own.
        """
        import torch

        weights = torch.from_numpy(np.ascontiguousarray(coefficients.T))  # (D, N)
        for block in blocks_of(weights.shape[1], self.n_vertices):
            squared = [
                _squares(columns, weights[own, block]) for columns, own in self._pieces_of(channels)
            ]
            yield block, torch.cat(squared).numpy().T

    def largest_squares(self, coefficients: FloatArray, channels: IntArray) -> FloatArray:
        """Return the largest of what `squared_displacements` yields for each frame, (N,)."""
        import torch

        weights = torch.from_numpy(np.ascontiguousarray(coefficients.T))  # (D, N)
        largest = torch.zeros(weights.shape[1])
        for columns, own in self._pieces_of(channels):
            moved = weights[own]
            for block in blocks_of(weights.shape[1], len(columns) // 3):
                found = _squares(columns, moved[:, block]).amax(dim=0)
                torch.maximum(largest[block], found, out=largest[block])
        values: FloatArray = largest.numpy()
        return values

    def _pieces_of(self, channels: IntArray) -> list[tuple[Tensor, Tensor]]:
        """Return displacements by piece of the region, each moved by few of `channels` (D,).

        Returns:
            Of each piece of r vertices the displacements (3 * r, d) and the places (d,) in
            `channels` of what moves it.
        """
        import torch

        key = channels.tobytes()
        if key not in self._pieces:
            planes = self.planes[channels].reshape(len(channels), 3, -1)  # (D, 3, R)
            moves = np.any(planes != 0, axis=1).T  # (R, D)
            pieces = []
            for part in pieces_of(moves):
                own = np.flatnonzero(moves[part].any(axis=0))
                columns = planes[np.ix_(own, np.arange(3), part)].reshape(len(own), 3 * len(part)).T
                places = torch.from_numpy(own)
                pieces.append((torch.from_numpy(np.ascontiguousarray(columns)), places))
            self._pieces[key] = pieces
        return self._pieces[key]


def _squares(columns: Tensor, weights: Tensor) -> Tensor:
    """Return squared lengths (r, n) of the displacements `columns` (3 * r, d) at weights (d, n).

    In torch: the threads of numpy's BLAS and those of the networks that are asked before would wait
    for each other. Vertices by rows: the maximum over them needs no shuffling.
    """
    x, y, z = (columns @ weights).view(3, -1, weights.shape[1])
    squared: Tensor = x.square_().addcmul_(y, y).addcmul_(z, z)
    return squared


def blocks_of(n_frames: int, n_vertices: int) -> Iterator[slice]:
    """Yield blocks of frames whose displacements stay in the cache, none for no frame."""
    step = max(1, _BLOCK_FLOATS // max(1, 3 * n_vertices))
    for start in range(0, n_frames, step):
        yield slice(start, min(start + step, n_frames))


def pieces_of(moves: BoolArray) -> list[IntArray]:
    """Return the vertices in pieces each of which few channels move: a lid, a brow, the forehead.

    A piece costs its vertices times the channels that move any of them, so each cut is the one by
    a channel that saves most; what saves little is not worth a call of its own.

    Args:
        moves: Shape (R, D), whether a channel moves a vertex.
    """
    parts: list[IntArray] = [np.arange(len(moves), dtype=np.int64)]
    while len(parts) < _MOST_PIECES:
        cuts = [
            (_cost(moves[part]) - _cost(moves[part[with_it]]) - _cost(moves[part[~with_it]]), i, c)
            for i, part in enumerate(parts)
            for c, with_it in enumerate(moves[part].T)
        ]
        saved, index, channel = max(cuts, default=(0, 0, 0))
        if saved <= _LEAST_SAVING * moves.size:
            break
        part = parts.pop(index)
        with_it = moves[part, channel]
        parts += [part[with_it], part[~with_it]]
    return parts


def _cost(moves: BoolArray) -> int:
    return len(moves) * int(moves.any(axis=0).sum())


@functools.lru_cache(maxsize=16)
def region_of(head: Head, name: str, *, centred: bool = False) -> Region:
    """Return a region of the head by name.

    Args:
        head: Whose region it is.
        name: "upper" (eyes and forehead), "upper_without_lids" (of these what a blink leaves at
            rest), "all" or a key of the head's regions.
        centred: Whether the region's own mean displacement is taken off.

    Raises:
        InputError: If the head has no such region or it is empty.
    """
    everything = np.arange(head.n_vertices, dtype=np.int64)
    known = {"all": everything, **head.regions, "upper": head.upper}
    known[UPPER_WITHOUT_LIDS] = np.setdiff1d(head.upper, _lids(head))
    if name not in known or not len(known[name]):
        names = tuple(known_name for known_name in known if len(known[known_name]))
        raise InputError(f"`region` must be one of {names}, got {name!r}")
    deltas = head.deltas[:, known[name]]  # (52, R, 3)
    share = shares(np.square(deltas, dtype=np.float64).sum(axis=(1, 2)))
    if centred:
        deltas = deltas - deltas.mean(axis=1, keepdims=True)
    planes = np.ascontiguousarray(deltas.transpose(0, 2, 1)).reshape(N_CHANNELS, -1)
    return Region(planes, share)


def _lids(head: Head) -> IntArray:
    """Return the vertices that a blink of either eye moves, ascending; a head without has none."""
    moved = np.linalg.norm(head.deltas[[index_of(name) for name in _BLINKS]], axis=2)  # (2, V)
    return np.flatnonzero(moved.max(axis=0) > _LID_MOVES_MM).astype(np.int64)


def shares(squares: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return each channel's share of a sum, all 0 if the sum is."""
    total = squares.sum()
    return squares / total if total > 0 else np.zeros_like(squares)


def reduced_displacements(
    batch: Batch, region: Region, kinds: Sequence[Kind], *, counts: IntArray | None = None
) -> dict[Kind, npt.NDArray[np.float64]]:
    """Return the vertex displacement of a region, reduced over vertices, mean over frames.

    Args:
        batch: Differences of two motions, or of neighbouring frames.
        region: Whose vertices are displaced.
        kinds: Pairs of reduction ("max" or "mean" over vertices) and power (1 or 2).
        counts: Shape (B,), where the batch's frames are those of B utterances laid end to end, how
            many each has; by default the batch's rows are the utterances.

    Returns:
        Shape (B,) for each kind, in mm or mm²; nan where too little of the region is captured or
        no frame counts.
    """
    counts = batch.counts if counts is None else counts
    if not region.measured(batch.captured):
        return {kind: np.full(len(counts), np.nan) for kind in kinds}
    per_frame = displacements_per_frame(batch, region, kinds)
    return {kind: mean_per_row(values, counts) for kind, values in per_frame.items()}


def displacements_per_frame(
    batch: Batch, region: Region, kinds: Sequence[Kind]
) -> dict[Kind, npt.NDArray[np.float64]]:
    """Return a region's reduced displacement in each frame, (N,) per kind, rows concatenated."""
    channels = region.used(batch.captured)
    frames = batch.frames(channels)  # (N, D)
    if all(reduce == "max" for reduce, _ in kinds):
        worst = region.largest_squares(frames, channels)[:, None]
        return reduce_squared(worst, kinds)
    per_frame = {kind: np.empty(len(frames)) for kind in kinds}
    for block, squared in region.squared_displacements(frames, channels):
        for kind, values in reduce_squared(squared, kinds).items():
            per_frame[kind][block] = values
    return per_frame


def reduce_squared(
    squared: FloatArray | npt.NDArray[np.float64], kinds: Sequence[tuple[str, int]]
) -> dict[tuple[str, int], npt.NDArray[np.float64]]:
    """Reduce squared distances (n, R) over vertices, (n,) per kind; may overwrite them."""
    reduced = {}
    if any(reduce == "max" for reduce, _ in kinds):
        worst = squared.max(axis=1).astype(np.float64)
        reduced.update({("max", 1): np.sqrt(worst), ("max", 2): worst})
    if ("mean", 2) in kinds:
        reduced["mean", 2] = squared.mean(axis=1, dtype=np.float64)
    if ("mean", 1) in kinds:
        reduced["mean", 1] = np.sqrt(squared, out=squared).mean(axis=1, dtype=np.float64)
    return {kind: reduced[kind] for kind in kinds}
