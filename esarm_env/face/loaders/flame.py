"""FLAME as one of our heads: our 52 shapes as far as FLAME can follow them."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from esarm_env.face.head import Head, load_head
from esarm_env.face.loaders.alignment import TRUSTED_MM, align
from esarm_env.face.loaders.flame_map import FlameMap, fit_flame_map
from esarm_env.face.loaders.flame_model import read_flame
from esarm_env.face.loaders.landmarks import eye_landmarks
from esarm_env.face.loaders.regions import read_regions
from esarm_env.face.loaders.surfaces import build_surface
from esarm_env.face.loaders.targets import check_placing, check_winding

_MM_PER_M = 1000.0


def load_flame(
    path: str | os.PathLike[str], *, regions: str | os.PathLike[str] | None = None
) -> tuple[Head, FlameMap]:
    """Load FLAME and fit the map from ARKit's coefficients to its own.

    Args:
        path: See `read_flame`.
        regions: FLAME's published `FLAME_masks.pkl` or another file for `read_regions`; None to
            carry our own head's over.

    Returns:
        The head, its displacements being FLAME's own at the fitted parameters; and the map, with
        the share of each shape that FLAME cannot follow.

    Raises:
        InputError: If a file does not fit, or FLAME's template is no upright head with its
            faces turned outside.
    """
    source = Path(path)
    model = read_flame(source)
    surface = build_surface(model.template, model.faces)
    check_winding(surface, source=source)
    # By position, as nothing in a file says which of two joints is the left eye's.
    right, left = model.eyes[np.argsort(model.eyes[:, 0])]
    found = align(load_head(), surface, eye_landmarks(load_head(), left, right))
    check_placing(found, source=source, mm_per_unit=_MM_PER_M)
    trusted = surface.areas * (surface.skin & (found.distance_mm < TRUSTED_MM))
    flame_map, fields = fit_flame_map(model, found.fields(), trusted)
    n_vertices = len(model.template)
    own = found.regions() if regions is None else read_regions(Path(regions), n_vertices)
    vertices, deltas = (_MM_PER_M * array for array in (model.template, fields))
    head = Head(vertices.astype(np.float32), model.faces, deltas.astype(np.float32), own)
    return head, flame_map
