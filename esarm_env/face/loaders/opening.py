"""`open_head`: any supported head by name or path."""

from __future__ import annotations

import os
from pathlib import Path

from esarm_env.core.errors import InputError
from esarm_env.face.head import Head, load_head
from esarm_env.face.loaders import flame
from esarm_env.face.loaders.array_files import PICKLE_SUFFIXES, stored_names
from esarm_env.face.loaders.flame import load_flame
from esarm_env.face.loaders.gltf import load_gltf
from esarm_env.face.loaders.gltf_document import MAGIC, SUFFIXES
from esarm_env.face.loaders.ict import (
    NEUTRAL_FILE,
    NPZ_ARRAYS,
    load_ict_arrays,
    load_ict_folder,
    model_folder,
)

OWN_HEAD = "esarm"

_EXPECTED = (
    f"{OWN_HEAD!r}; an ICT-FaceKit folder with {NEUTRAL_FILE}; a .glb or .gltf with ARKit targets; "
    f"a FLAME .pkl or .npz with {', '.join(flame.ARRAYS)}; "
    f"an ICT .npz with {', '.join(NPZ_ARRAYS)}"
)


def open_head(
    path: str | os.PathLike[str], *, regions: str | os.PathLike[str] | None = None
) -> Head:
    """Open a head: our own by its name "esarm", another by its file or folder.

    Args:
        path: "esarm"; a FLAME file (`.pkl`, `.npz`); ICT-FaceKit's repository or its `.npz` form;
            a `.glb`, `.vrm` or `.gltf` whose morph targets bear ARKit's names.
        regions: A `.pkl` or `.npz` file with the vertices of "lips", "eyes" and "forehead", such
            as FLAME_masks.pkl; None to carry our own head's over by alignment.

    Raises:
        InputError: If the file is none of these, is damaged, or lacks a shape (tongueOut apart);
            the message says what was found.
    """
    region_file = None if regions is None else Path(regions)
    if os.fspath(path) == OWN_HEAD:
        if region_file is not None:
            raise InputError(f"`regions` must be left out for {OWN_HEAD!r}, got {str(regions)!r}")
        return load_head()
    source = Path(path)
    if source.is_dir() and model_folder(source):
        return load_ict_folder(source, regions=region_file)
    suffix = source.suffix.lower() if source.is_file() else ""
    if suffix in SUFFIXES or _begins_with_magic(source):
        return load_gltf(source, regions=region_file)
    if suffix in PICKLE_SUFFIXES:
        return load_flame(source, regions=region_file)[0]
    if suffix == ".npz":
        return _open_arrays(source, region_file)
    raise InputError(f"`path` must be {_EXPECTED}, got {_described(source)}")


def _open_arrays(source: Path, regions: Path | None) -> Head:
    """Open a `.npz` file as the kind of head that its array names say."""
    names = stored_names(source)
    if "v_template" in names:
        return load_flame(source, regions=regions)[0]
    if "deltas" in names:
        return load_ict_arrays(source, regions=regions)
    held = ", ".join(names) or "nothing"
    raise InputError(f"`path` must be {_EXPECTED}, got {source} with {held}")


def _begins_with_magic(source: Path) -> bool:
    """Return whether a file is glTF by its first bytes, whatever its suffix says."""
    if not source.is_file():
        return False
    try:
        with source.open("rb") as file:
            return file.read(len(MAGIC)) == MAGIC
    except OSError as error:
        raise InputError(f"{source}: must be a readable file, got {error.strerror}") from error


def _described(source: Path) -> str:
    """Describe a path that cannot be opened, for the message."""
    if source.is_dir():
        return f"the folder {source} without {NEUTRAL_FILE}"
    return f"the file {source}" if source.exists() else f"{source}, which does not exist"
