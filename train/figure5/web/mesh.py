"""Mesh for the web page: the head's vertices, faces, colours and 52 shapes as small numbers."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from esarm_env.core.errors import InputError
from esarm_env.core.types import N_CHANNELS
from esarm_env.face.render.camera import Camera
from esarm_env.face.render.shading import Mesh, Palette, corner_albedo, light

if TYPE_CHECKING:
    from esarm_env.core.types import FloatArray
    from esarm_env.face.head import Head
    from esarm_env.face.render import View

COEFFICIENT_STEP = 1e-4  # of motion; on our head no vertex is off by more than 0.004 mm
_POSITION_STEP_MM, _DELTA_STEP_MM = 0.01, 0.002
_SMALLEST_MM = 0.02  # smaller displacements show on no screen
_MOST_VERTICES = 65_536


def packed(values: npt.ArrayLike, dtype: str, *, step: float | None = None) -> dict[str, Any]:
    """Return an array as the page reads it: type, bytes in base64, and the value of one step.

    Args:
        values: Any shape, written row by row.
        dtype: `uint8`, `uint16` or `int16`; numbers beyond its range become its ends.
        step: What 1 stands for; None for whole numbers.
    """
    steps = np.rint(np.asarray(values, dtype=np.float64) / (step or 1.0))
    bounds = np.iinfo(dtype)
    numbers = np.clip(steps, bounds.min, bounds.max).astype(np.dtype(dtype).newbyteorder("<"))
    told = {"type": dtype, "data": base64.b64encode(numbers.tobytes()).decode()}
    return told if step is None else {**told, "scale": step}


def packed_motion(motion: FloatArray) -> dict[str, Any]:
    """Return motion (T, 52) as the page reads it, rounded to `COEFFICIENT_STEP`."""
    return packed(motion, "int16", step=COEFFICIENT_STEP)


def packed_head(head: Head, view: View) -> dict[str, Any]:
    """Return a head as the page reads it.

    Args:
        head: Fewer than 65,536 vertices.
        view: Zoom and shift; the page turns the head itself.

    Raises:
        InputError: If it has more vertices.
    """
    if head.n_vertices > _MOST_VERTICES:
        raise InputError(
            f"`head` must have at most {_MOST_VERTICES} vertices for a web page, "
            f"got {head.n_vertices}"
        )
    moved = [np.linalg.norm(head.deltas[c], axis=1) > _SMALLEST_MM for c in range(N_CHANNELS)]
    deltas = np.concatenate([head.deltas[c][rows] for c, rows in enumerate(moved)])
    albedo = np.clip(shaded_albedo(head), 0.0, 1.0)
    return {
        "vertices": packed(head.vertices, "int16", step=_POSITION_STEP_MM),
        "faces": packed(head.faces, "uint16"),
        # Encoded as a screen's colours, so that steps in the dark are as small as they look.
        "colours": packed(255.0 * albedo ** (1 / 2.2), "uint8", step=1.0),
        "counts": [int(rows.sum()) for rows in moved],
        "moved": packed(np.concatenate([np.flatnonzero(rows) for rows in moved]), "uint16"),
        "deltas": packed(deltas, "int16", step=_DELTA_STEP_MM),
        "camera": _camera(head, view),
    }


def shaded_albedo(head: Head) -> npt.NDArray[np.float64]:
    """Return the colour of each corner (F, 3, 3), linear, hollows darkened as they are at rest."""
    mesh = Mesh(head.faces, head.n_vertices)
    normals = mesh.normals(head.vertices)
    curvature = mesh.mean_curvature(head.vertices, normals)
    seen = normals.astype(np.float64)
    flat = light(seen, np.zeros_like(curvature))
    hollow = (light(seen, curvature) / np.maximum(flat, 1e-9))[:, :1]
    return np.asarray(corner_albedo(head, Palette()) * hollow[head.faces])


def _camera(head: Head, view: View) -> dict[str, Any]:
    """Return where `Camera` stands, for any size of the picture."""
    unit = Camera(head.vertices, view, width=1, height=1)
    return {
        "focal": unit.focal,
        "distance": unit.distance,
        "middle": unit.middle.tolist(),
        "size": unit.size,
        "shift": list(view.shift),
    }
