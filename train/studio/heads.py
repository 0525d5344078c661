"""Heads as three.js draws them, and pictures of a face where a browser cannot.

A vertex that has several colours (at the rim of an iris) becomes several vertices of one place:
`sources` says which vertex of the head each is, so that displacements and normals are those of the
head.
"""

from __future__ import annotations

import struct
import threading
import zlib
from typing import TYPE_CHECKING, Any

import numpy as np

from esarm_env.core.errors import InputError
from esarm_env.core.types import N_CHANNELS
from esarm_env.face.head import load_head
from esarm_env.face.render import Renderer, View
from esarm_env.face.render.camera import Camera
from esarm_env.face.render.shading import part_of
from train.figure5.web.mesh import shaded_albedo
from train.studio.packing import packed, stepped

if TYPE_CHECKING:
    import numpy.typing as npt

    from esarm_env.core.types import FloatArray
    from esarm_env.face.head import Head
    from train.studio.access import Shelf

OWN = "esarm"
PICTURE_SIZES = (96, 160, 320, 480)
_POSITION_STEP_MM, _DELTA_STEP_MM = 0.01, 0.002
_SMALLEST_MM = 0.02  # smaller displacements show on no screen
_MOST_VERTICES = 65_536
_FACE = View(zoom=1.5, shift=(0.0, 0.03))


class Heads:
    """The package's head, and those in the chosen folder; each is opened once."""

    def __init__(self, shelf: Shelf | None) -> None:
        """Offer heads of a folder, if one is chosen."""
        self._shelf = shelf
        self._heads: dict[str, Head] = {}
        self._packed: dict[str, bytes] = {}
        self._renderers: dict[tuple[str, int], Renderer] = {}
        self._lock = threading.Lock()

    def names(self) -> list[str]:
        """Return the heads that can be asked for, ours first."""
        return [OWN, *([] if self._shelf is None else self._shelf.heads())]

    def head(self, name: str) -> Head:
        """Return a head by name.

        Raises:
            InputError: If there is none, or its file is no head.
            MissingExtraError: If reading it needs an extra.
        """
        with self._lock:
            return self._opened(name)

    def packed(self, name: str) -> bytes:
        """Return a head as the page reads it; errors as of `head`."""
        with self._lock:
            if name not in self._packed:
                self._packed[name] = packed_head(self._opened(name))
            return self._packed[name]

    def picture(self, name: str, motion: FloatArray, size: int) -> bytes:
        """Return a PNG of a head with coefficients (52,); errors as of `head`."""
        with self._lock:
            key = (name, size)
            if key not in self._renderers:
                self._renderers[key] = Renderer(self._opened(name), size=(size, size), view=_FACE)
            return png(self._renderers[key].frame(motion))

    def _opened(self, name: str) -> Head:
        if name not in self._heads:
            if name == OWN:
                self._heads[name] = load_head()
            elif self._shelf is None:
                raise InputError(
                    f"the head must be {OWN!r} where no folder is chosen, got {name!r:.80}"
                )
            else:
                from esarm_env.face.loaders import open_head

                self._heads[name] = open_head(self._shelf.path(name))
        return self._heads[name]


def packed_head(head: Head) -> bytes:
    """Return a head: places in mm, faces, colours, and the 52 shapes by what they move.

    Raises:
        InputError: If it has more vertices than 16 bits count.
    """
    if head.n_vertices > _MOST_VERTICES:
        raise InputError(
            f"the head must have at most {_MOST_VERTICES} vertices for the page, "
            f"got {head.n_vertices}"
        )
    sources, corners, colours, wet = _split(head)
    moved = [np.linalg.norm(head.deltas[c], axis=1) > _SMALLEST_MM for c in range(N_CHANNELS)]
    deltas = np.concatenate([head.deltas[c][rows] for c, rows in enumerate(moved)])
    camera = Camera(head.vertices, View(), width=1, height=1)
    told = {
        "middle": camera.middle.tolist(),
        "size": camera.size,
        "counts": [int(rows.sum()) for rows in moved],
        "steps": {"vertices": _POSITION_STEP_MM, "deltas": _DELTA_STEP_MM},
    }
    return packed(
        told,
        vertices=stepped(head.vertices, "int16", _POSITION_STEP_MM),
        faces=head.faces.astype(np.uint16),
        sources=sources.astype(np.uint16),
        corners=corners.astype(np.uint32),
        colours=colours,
        wet=wet,
        moved=np.concatenate([np.flatnonzero(rows) for rows in moved]).astype(np.uint16),
        deltas=stepped(deltas, "int16", _DELTA_STEP_MM),
    )


def _split(head: Head) -> tuple[npt.NDArray[Any], ...]:
    """Return vertices as they are drawn: their source, the faces' corners, colours, wetness.

    Colours are bytes of sRGB, (n, 3); `wet` is 1 where a lamp is mirrored, (n,).
    """
    albedo = np.clip(shaded_albedo(head), 0.0, 1.0)  # (F, 3, 3), linear
    bytes_ = np.rint(255.0 * albedo ** (1 / 2.2)).astype(np.int64).reshape(-1, 3)
    wet = np.repeat(np.all(part_of(head, "eyeballs")[head.faces], axis=1), 3)
    rows = np.column_stack([head.faces.reshape(-1), bytes_, wet])
    drawn, corners = np.unique(rows, axis=0, return_inverse=True)
    return (
        drawn[:, 0],
        corners.reshape(-1, 3),
        drawn[:, 1:4].astype(np.uint8),
        drawn[:, 4].astype(np.uint8),
    )


def png(picture: npt.NDArray[np.uint8]) -> bytes:
    """Return a picture (height, width, 3) as a PNG file, which needs no extra."""
    height, width, _ = picture.shape
    rows = np.zeros((height, 1 + 3 * width), dtype=np.uint8)  # each begins with a filter, 0
    rows[:, 1:] = picture.reshape(height, -1)

    def chunk(kind: bytes, body: bytes) -> bytes:
        checked = kind + body
        return struct.pack(">I", len(body)) + checked + struct.pack(">I", zlib.crc32(checked))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(rows.tobytes(), 3))
        + chunk(b"IEND", b"")
    )
