"""Fit of 52 coefficients to recorded vertices, frame by frame, and its residual in millimetres.

Bounded least squares on the displacement from the subject's template (as BlendVOCA was made of
VOCASET, Park and Cho 2023, arXiv:2401.08655, there for 32 shapes and constrained in time): what a
face does beyond the head's 52 shapes is left, and said. Fits are kept in the cache.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from esarm_env.core.cache import cache_dir, new_file, read_json, write_text
from esarm_env.core.errors import InputError
from esarm_env.core.types import N_CHANNELS, BoolArray, DoubleArray, FloatArray
from esarm_env.corpus.vertices.bounded import RIDGE, solve_bounded
from esarm_env.face.names import ARKIT_NAMES

if TYPE_CHECKING:
    from pathlib import Path

    from esarm_env.corpus.vertices.meshes import VertexMeshes
    from esarm_env.corpus.vertices.recordings import VertexTake

# Raise whenever the same vertices give other coefficients.
FIT_VERSION = 1
# Mean distance at which a take is listed as fitted badly: what a face moves in speech, averaged
# over its moving vertices.
BAD_FIT_MM = 1.0
_MOVES_MM = 0.01
_FRAMES_AT_ONCE = 128


@dataclass(frozen=True)
class Fit:
    """How near coefficients come to recorded vertices.

    Attributes:
        residual_mm: Mean distance over frames and the vertices that the head's shapes move.
        lips_mm: LVE of the fit (mean over frames of the farthest lip vertex): about what is left
            to any animation by coefficients.
        motion_mm: As `residual_mm`, of the template that never moves.
        n_lost: Frames with vertices that are no numbers; filled when the take is read.
    """

    residual_mm: float
    lips_mm: float
    motion_mm: float
    n_lost: int = 0

    @property
    def is_bad(self) -> bool:
        """Whether the take is to be listed."""
        return self.residual_mm > BAD_FIT_MM


class Fitter:
    """What fits coefficients on one head; the products with its shapes are taken once."""

    def __init__(self, meshes: VertexMeshes) -> None:
        self._meshes = meshes
        head = meshes.head
        fields = np.asarray(head.deltas, dtype=np.float64)  # (52, V, 3)
        largest = _lengths(fields)
        self.moving: BoolArray = np.asarray((largest > _MOVES_MM).any(axis=0))
        self.captured: BoolArray = np.asarray((largest > _MOVES_MM).any(axis=1))
        if not self.captured.any():
            raise InputError("`corpus.head` must have shapes that move, got none")
        self._shapes = fields[self.captured].reshape(int(self.captured.sum()), -1)
        self._gram = self._shapes @ self._shapes.T
        self._gram[np.diag_indices(len(self._gram))] += RIDGE * np.diag(self._gram).mean()
        self._key = hashlib.sha256(
            b"".join([head.vertices.tobytes(), head.deltas.tobytes(), meshes.lips.tobytes()])
        ).hexdigest()

    def fit(self, take: VertexTake) -> tuple[FloatArray, Fit]:
        """Return the coefficients (T, 52) of a take; nan in frames with lost vertices."""
        n_frames = len(take.places(self._meshes.step))
        values = np.full((n_frames, N_CHANNELS), np.nan, dtype=np.float32)
        sums: list[DoubleArray] = []
        for start in range(0, n_frames, _FRAMES_AT_ONCE):
            moved = self._displacements(take, slice(start, start + _FRAMES_AT_ONCE))
            whole = np.isfinite(moved).all(axis=1)
            weights = solve_bounded(self._gram, moved[whole] @ self._shapes.T)
            block = np.zeros((len(weights), N_CHANNELS), dtype=np.float32)
            block[:, self.captured] = weights
            values[start : start + _FRAMES_AT_ONCE][whole] = block
            sums.append(self._distances(moved[whole], weights))
        distances = np.concatenate(sums)
        if not len(distances):
            raise InputError(f"{take.path}: must have frames of finite vertices, got none")
        residual, lips, motion = distances.mean(axis=0).tolist()
        return values, Fit(residual, lips, motion, n_frames - len(distances))

    def _displacements(self, take: VertexTake, frames: slice) -> DoubleArray:
        """Return the displacement from the template, (T, 3V), in mm."""
        face = self._meshes.templates[take.subject]
        moved = take.read(self._meshes.step, frames) - face
        return np.asarray(moved.reshape(len(moved), -1) * self._meshes.mm_per_unit)

    def _distances(self, moved: DoubleArray, weights: DoubleArray) -> DoubleArray:
        """Return of each frame: residual, farthest lip vertex, and motion, (T, 3), in mm."""
        left = (moved - weights @ self._shapes).reshape(len(moved), -1, 3)
        apart, motion = _lengths(left), _lengths(moved.reshape(left.shape))  # (T, V)
        return np.stack(
            [
                apart[:, self.moving].mean(axis=1),
                apart[:, self._meshes.lips].max(axis=1),
                motion[:, self.moving].mean(axis=1),
            ],
            axis=1,
        )

    def fitted(self, take: VertexTake) -> tuple[Path, Fit]:
        """Return a motion file of the take's coefficients in the cache, made at the first call.

        Raises:
            InputError: If the vertices cannot be read, or the cache cannot be written.
        """
        place = cache_dir() / "vertices" / "fits" / f"{self._name(take)}.npz"
        note = place.with_suffix(".json")
        if place.is_file() and note.is_file():
            return place, _read_fit(note)
        values, fit = self.fit(take)
        write_text(note, json.dumps(dataclasses.asdict(fit)))
        names = np.array(
            [name for name, moves in zip(ARKIT_NAMES, self.captured, strict=True) if moves]
        )
        with new_file(place, keep_suffix=True) as draft:
            chosen = values[:, self.captured]
            np.savez(draft, values=chosen, names=names, fps=np.array(self._meshes.rate_hz))
        return place, fit

    def _name(self, take: VertexTake) -> str:
        """Return a key of all that a fit depends on.

        A file of 7 GB is told by its size, its time of change and three frames of the take.
        """
        status, places = take.path.stat(), take.places(self._meshes.step)
        step = max(1, (len(places) - 1) // 2)
        told: list[Any] = [FIT_VERSION, self._key, status.st_size, status.st_mtime_ns]
        told += [self._meshes.step, self._meshes.mm_per_unit, self._meshes.rate_hz]
        digest = hashlib.sha256(json.dumps(told).encode())
        digest.update(places.tobytes())
        digest.update(self._meshes.templates[take.subject].tobytes())
        digest.update(take.read(self._meshes.step, slice(None, None, step)).tobytes())
        return digest.hexdigest()[:32]


def _lengths(vectors: DoubleArray) -> DoubleArray:
    """Return the lengths of vectors along the last axis."""
    return np.asarray(np.sqrt(np.einsum("...k,...k->...", vectors, vectors)))


def _read_fit(path: Path) -> Fit:
    """Read the note beside a fit."""
    content = read_json(path, "a note on a fit", remedy="delete it, and the fit is made anew")
    try:
        return Fit(**content)
    except TypeError as error:
        raise InputError(f"{path}: must be a note on a fit, got {error}; delete it") from error
