"""LVE on a corpus' own vertices: predictions of any system by FaceFormer's published protocol.

Per frame the farthest lip vertex (L2), then the mean over the frames, over the recordings of the
official test subjects (Fan et al. 2022; the code was never released, so the lip vertices are ours
to name). CodeTalker's is the mean of squares over the frames of all recordings together.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from esarm_env.core.errors import InputError
from esarm_env.core.types import N_CHANNELS, FloatArray
from esarm_env.corpus.splits import check_split
from esarm_env.corpus.takes import Fault
from esarm_env.corpus.vertices.fitting import Fitter
from esarm_env.corpus.vertices.meshes import VertexMeshes, open_meshes
from esarm_env.formats.files import check_regular, reading
from esarm_env.metrics.vertex_error import pooled_mean, vertex_error_of_meshes
from esarm_env.task.episode_metrics import LVE

if TYPE_CHECKING:
    from pathlib import Path

    from esarm_env.corpus.vertices.recordings import VertexTake

_CONDITION = "_condition_"  # FaceFormer's test script adds `_condition_SUBJECT` to a name
_MOST_TRIMMED = 3  # frames by which a prediction may differ from its recording


@dataclass(frozen=True)
class VertexScores:
    """LVE of predictions on a corpus' own vertices.

    Attributes:
        unit: Of all distances: "mm", or "norm" where the corpus has a scale of its own.
        takes: LVE of each recording, by id: the mean over its predictions.
        n_frames: Of each, by id.
        resting: LVE of each of the same recordings, of its subject's template that never moves.
        fitted: The same of the coefficients fitted to it, which know it: about what is left to any
            animation by coefficients.
        pooled: Mean over the frames of all recordings together.
        pooled_squared: Of the squares, as CodeTalker reports it, in the unit squared.
        n_predictions: How many files were scored.
        lips: Which vertices count, in words.
        split: Of the recordings.
        faults: Predictions that were left out or trimmed, and recordings without one.
    """

    unit: str
    takes: dict[str, float]
    n_frames: dict[str, int]
    resting: dict[str, float]
    fitted: dict[str, float]
    pooled: float
    pooled_squared: float
    n_predictions: int
    lips: str
    split: str
    faults: tuple[Fault, ...]

    @property
    def lve(self) -> float:
        """Mean over recordings."""
        return _mean(self.takes)

    def lines(self) -> list[str]:
        """Return the report, one line per figure."""
        unit = self.unit
        n_frames = sum(self.n_frames.values())
        return [
            f"LVE on the corpus' own vertices: {self.lve:.3f} {unit} (max over {self.lips}, L2, "
            f"mean over frames, then over {len(self.takes)} recordings of {self.split})",
            f"  pooled over {n_frames} frames: {self.pooled:.3f} {unit}; squared "
            f"{self.pooled_squared:.3f} {unit}²",
            f"  the template that never moves: {_mean(self.resting):.3f} {unit}",
            f"  coefficients fitted to the recording itself: {_mean(self.fitted):.3f} {unit}",
            f"left out or trimmed: {len(self.faults)}",
            *(f"  {fault}" for fault in self.faults),
        ]

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain values, for JSON."""
        return {LVE: self.lve, **asdict(self)}


def score_folder(
    folder: Path, predictions: Path, *, head: str | None, split: str = "test"
) -> VertexScores:
    """Score the files of a folder: `NAME.npy`, or `NAME_condition_SUBJECT.npy` for several.

    Args:
        folder: The corpus of vertices.
        predictions: The folder. Each array is (T, 3V) or (T, V, 3), vertices in the corpus' unit,
            or (T, 52), coefficients in alphabetical order, which move the subject's template.
        head: Of the corpus' vertices; its lips count.
        split: Whose recordings are compared.

    Raises:
        InputError: If nothing can be compared, or the corpus cannot be used.
    """
    if not predictions.is_dir():
        raise InputError(f"`lve` must be a folder of NAME.npy, got {str(predictions)!r}")
    files = {path.stem: path for path in sorted(predictions.glob("*.npy"))}
    if not files:
        raise InputError(f"{predictions}: must hold predictions NAME.npy, got none")
    return vertex_lve(open_meshes(folder, head), files, split=split)


def vertex_lve(
    meshes: VertexMeshes,
    predictions: Mapping[str, Path | npt.NDArray[np.floating]],
    *,
    split: str = "test",
) -> VertexScores:
    """Score predictions against the vertices of the recordings of `split`.

    Args:
        meshes: The corpus, opened on its head.
        predictions: Arrays or files by name, see `score_folder`; at the rate at which the corpus is
            read (30 frames a second for VOCASET).
        split: One of "train", "validation" and "test"; a corpus without official splits is compared
            whole.

    Raises:
        InputError: If no prediction can be compared.
    """
    check_split(split)
    official = any(take.split for take in meshes.takes)
    wanted = [take for take in meshes.takes if take.split == split or not official]
    by_id: dict[str, list[str]] = defaultdict(list)
    for name in predictions:
        by_id[name.partition(_CONDITION)[0]].append(name)
    known = {take.id for take in wanted}
    faults = [
        Fault(name, f"is no prediction of a recording in {split}")
        for take_id, names in by_id.items()
        for name in names
        if take_id not in known
    ]
    scorer = _Scorer(meshes, faults)
    for take in wanted:
        scorer.add(take, {name: predictions[name] for name in by_id.get(take.id, ())})
    return scorer.result(split if official else "the whole corpus")


class _Scorer:
    """Collects the errors of recordings."""

    def __init__(self, meshes: VertexMeshes, faults: list[Fault]) -> None:
        self._meshes, self._faults = meshes, faults
        self._fitter = Fitter(meshes)
        self._unit = "norm" if meshes.unit == "norm" else "mm"
        self._takes: dict[str, tuple[float, float, int, float, float]] = {}
        self._n_predictions = 0

    def add(self, take: VertexTake, files: dict[str, Path | npt.NDArray[np.floating]]) -> None:
        """Score the predictions of one recording; what cannot be is listed."""
        if not files:
            self._faults.append(Fault(take.id, "has no prediction"))
            return
        truth = take.read(self._meshes.step)
        face = self._meshes.templates[take.subject]
        found = []
        for name, source in files.items():
            try:
                mesh = self._mesh(source, face, name)
                found.append(self._compare(mesh, truth, name))
            except InputError as error:
                self._faults.append(Fault(name, str(error)))
        if not found:
            return
        plain, squared = np.mean(found, axis=0).tolist()
        resting = self._error(np.broadcast_to(face, truth.shape), truth)
        values, _ = self._fitter.fit(take)
        fitted = self._error(self._moved(values, face), truth)
        self._takes[take.id] = (plain, squared, len(truth), resting, fitted)
        self._n_predictions += len(found)

    def _mesh(
        self, source: Path | npt.NDArray[np.floating], face: npt.NDArray[np.float64], name: str
    ) -> npt.NDArray[np.floating]:
        """Return the vertices (T, V, 3) of a prediction, in the corpus' unit."""
        if isinstance(source, np.ndarray):
            array: npt.NDArray[Any] = source
        else:
            check_regular(source)
            with reading(source, "a whole .npy array"):
                array = np.lib.format.open_memmap(source, mode="r")
        n = self._meshes.head.n_vertices
        if array.dtype.kind != "f":
            raise InputError(f"{name}: must be floats, got {array.dtype}")
        if array.ndim == 3 and array.shape[0] == 1:
            array = array[0]  # FaceFormer's batch of one
        if array.ndim == 2 and array.shape[1] == N_CHANNELS:
            return self._moved(np.asarray(array, dtype=np.float32), face)
        if array.shape[1:] not in ((3 * n,), (n, 3)):
            rule = f"(T, {3 * n}), (T, {n}, 3) or (T, {N_CHANNELS})"
            raise InputError(f"{name}: must have shape {rule}, got {array.shape}")
        return array.reshape(len(array), n, 3)

    def _moved(self, values: FloatArray, face: npt.NDArray[np.float64]) -> npt.NDArray[np.floating]:
        """Return the template moved by coefficients (T, 52)."""
        head = self._meshes.head
        moved = head.apply(values) - head.vertices
        return np.asarray(moved / self._meshes.mm_per_unit + face)

    def _compare(
        self, mesh: npt.NDArray[np.floating], truth: npt.NDArray[np.float64], name: str
    ) -> tuple[float, float]:
        """Return the error and its square of one prediction, cut to the frames both have."""
        apart = len(mesh) - len(truth)
        if abs(apart) > _MOST_TRIMMED:
            rate_hz = self._meshes.rate_hz
            raise InputError(
                f"{name}: must have the {len(truth)} frames of its recording at {rate_hz:g} a "
                f"second within {_MOST_TRIMMED}, got {len(mesh)}; is it at another rate?"
            )
        if apart:
            self._faults.append(Fault(name, f"is {abs(apart)} frames off, the rest is compared"))
        n = min(len(mesh), len(truth))
        return self._error(mesh[:n], truth[:n]), self._error(mesh[:n], truth[:n], power=2)

    def _error(
        self,
        mesh: npt.NDArray[np.floating],
        truth: npt.NDArray[np.float64],
        *,
        power: int = 1,
    ) -> float:
        """Return the error over frames of finite truth."""
        whole = np.isfinite(truth).all(axis=(1, 2))
        if not whole.any():
            raise InputError("recordings must have frames of finite vertices, got none")
        error = vertex_error_of_meshes(
            mesh[whole],
            truth[whole],
            vertices=self._meshes.lips,
            mesh_unit=self._meshes.unit,
            unit=self._unit,
            power=power,
        )
        return float(error[0])

    def result(self, split: str) -> VertexScores:
        """Return all figures."""
        if not self._takes:
            reasons = "; ".join(str(fault) for fault in self._faults[:3])
            raise InputError(f"predictions must be of recordings in {split}, got none ({reasons})")
        plain, squared, n_frames, resting, fitted = (
            dict(zip(self._takes, column, strict=True))
            for column in zip(*self._takes.values(), strict=True)
        )
        lengths = np.array(list(n_frames.values()))
        return VertexScores(
            unit=self._unit,
            takes=plain,
            n_frames=n_frames,
            resting=resting,
            fitted=fitted,
            pooled=pooled_mean(np.array(list(plain.values())), lengths),
            pooled_squared=pooled_mean(np.array(list(squared.values())), lengths),
            n_predictions=self._n_predictions,
            lips=f"{len(self._meshes.lips)} lip vertices, {self._meshes.lips_source}",
            split=split,
            faults=tuple(self._faults),
        )


def _mean(values: Mapping[str, float]) -> float:
    return float(np.mean(list(values.values())))
