"""`VertexMeshes`: the recordings of a folder on a head of their topology, with unit and rate.

The user names the head: FLAME for VOCASET. Which of its vertices are the lips is read from
`FLAME_masks.pkl` where that lies beside it, else carried over from our own head.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from esarm_env.core.errors import InputError
from esarm_env.corpus.layouts.tree import Tree, scan_tree
from esarm_env.corpus.vertices.folders import VERTICES, read_folder
from esarm_env.corpus.vertices.recordings import FULL_RATE_HZ
from esarm_env.face.loaders.opening import OWN_HEAD, open_head

if TYPE_CHECKING:
    from esarm_env.core.types import DoubleArray, IntArray
    from esarm_env.corpus.takes import Fault
    from esarm_env.corpus.vertices.recordings import VertexTake
    from esarm_env.face.head import Head

MASKS = "FLAME_masks.pkl"
# By the size of a head: a template this many times smaller or larger is in none of these.
_UNITS = {"m": 1000.0, "cm": 10.0, "mm": 1.0}
_SIZE_TOLERANCE = 1.6
# Root mean square distance between template and head, as a share of the head's; people differ by a
# few millimetres of 90, vertices in another order by about all of it.
_MOST_APART = 0.3


@dataclass(frozen=True, eq=False)
class VertexMeshes:
    """Recordings of vertices, and the head that they are fitted on.

    Attributes:
        takes: Sorted by id.
        templates: Shape (V, 3) by subject, in the file's unit.
        head: Of V vertices.
        lips: Shape (R,), vertices of the lips.
        lips_source: Where these are from, in words.
        unit: "m", "cm", "mm", or "norm" for a scale of the files' own.
        mm_per_unit: In the latter case what makes the template as large as the head.
        step: Every so many frames of the files count.
        rate_hz: Of these.
        faults: What was left out.
    """

    takes: tuple[VertexTake, ...]
    templates: dict[str, DoubleArray]
    head: Head
    lips: IntArray
    lips_source: str
    unit: str
    mm_per_unit: float
    step: int
    rate_hz: float
    faults: tuple[Fault, ...]


def open_meshes(folder: Path | Tree, head: str | None) -> VertexMeshes:
    """Open a folder of vertex recordings on a head.

    Args:
        folder: VOCASET as published, or `vertices_npy/`, `wav/` and `templates.pkl`.
        head: What `open_head` opens; of as many vertices as the recordings, in the same order.

    Raises:
        InputError: If no head is named or it is another one, or the folder cannot be used.
    """
    tree = scan_tree(folder) if isinstance(folder, Path) else folder
    found = read_folder(tree)
    if not head:
        raise InputError(
            f"{tree.folder}: must be opened with a head of its {found.n_vertices} vertices, to fit "
            "coefficients on, got none; name it by `--head FILE` or the setting `corpus.head`: for "
            "VOCASET FLAME's generic_model.pkl, which its licence lets nobody else pass on"
        )
    opened, source = _open_head(head)
    if opened.n_vertices != found.n_vertices:
        raise InputError(
            f"`corpus.head` must have {found.n_vertices} vertices, as the recordings in "
            f"{tree.folder} have, got {head} with {opened.n_vertices}"
        )
    face = next(iter(found.templates[take.subject] for take in found.takes))
    unit, mm_per_unit = _unit(face, opened, name=head)
    step = 2 if found.rate_hz == FULL_RATE_HZ else 1
    return VertexMeshes(
        takes=found.takes,
        templates=found.templates,
        head=opened,
        lips=opened.regions["lips"],
        lips_source=source,
        unit=unit,
        mm_per_unit=mm_per_unit,
        step=step,
        rate_hz=found.rate_hz / step,
        faults=found.faults,
    )


def _open_head(name: str) -> tuple[Head, str]:
    """Open a head by name; return where its regions are from as well."""
    masks = Path(name).parent / MASKS
    if name == OWN_HEAD or not masks.is_file():
        return open_head(name), "carried over from our own head" if name != OWN_HEAD else "its own"
    return open_head(name, regions=masks), MASKS


def _unit(face: DoubleArray, head: Head, *, name: str) -> tuple[str, float]:
    """Return the unit of a template, by the head's size, once they are one topology."""
    wanted = np.asarray(head.vertices, dtype=np.float64)
    wanted = wanted - wanted.mean(axis=0)
    centred = face - face.mean(axis=0)
    sizes = [float(np.sqrt(np.square(points).sum(axis=1).mean())) for points in (centred, wanted)]
    if not sizes[0] > 0:
        raise InputError(f"`corpus.head` must fit templates, got templates of no size ({VERTICES})")
    ratio = sizes[1] / sizes[0]
    apart = np.sqrt(np.square(centred * ratio - wanted).sum(axis=1).mean()) / sizes[1]
    if apart > _MOST_APART:
        raise InputError(
            "`corpus.head` must have the recordings' vertices in their order, got "
            f"{name}, whose vertices are {apart:.0%} of the head's size from the template's"
        )
    for unit, factor in _UNITS.items():
        if 1 / _SIZE_TOLERANCE < ratio / factor < _SIZE_TOLERANCE:
            return unit, factor
    return "norm", ratio
