"""Storage checks: files that ship with the package, and cached files.

Nothing is deleted here; what can be deleted is named.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from esarm_env.core.cache import cache_dir
from esarm_env.doctor.check import CheckFailed, CheckSkipped, Subject

IN_USE_S = 3_600  # a younger draft may be one that another process is writing
_SHOWN = 3  # damaged files that a message names


def check_shipped(_: Subject) -> str:
    """Compare every shipped file with the manifest: size and SHA-256."""
    from esarm_env.core.shipped import ASSETS, check_files

    return f"{check_files(ASSETS)} files as they were shipped"


def check_cache_folder(_: Subject) -> str:
    """Check that the cache folder is writable, and report its size."""
    folder = cache_dir()
    above = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not above.is_dir():
        raise CheckFailed(f"the cache must be a folder, got the file {above}")
    try:
        if above == folder:
            with tempfile.TemporaryFile(dir=folder):
                pass
        elif not os.access(above, os.W_OK):
            raise PermissionError(f"{above} is read-only")
    except OSError as error:
        raise CheckFailed(
            f"{folder} must be a folder that can be written, got {error.strerror or error}"
        ) from error
    free = f"{_amount(shutil.disk_usage(above).free)} free"
    if above != folder:
        return f"{folder}, not made yet, {free}"
    sizes = {path.name: _size(path) for path in sorted(folder.iterdir())}
    parts = ", ".join(f"{name} {_amount(size)}" for name, size in sizes.items()) or "empty"
    return f"{folder}, {_amount(sum(sizes.values()))} ({parts}), {free}"


def check_drafts(_: Subject) -> str:
    """Check for unfinished files of interrupted runs; their names begin with a dot."""
    drafts = list(_drafts(_existing_cache()))
    if not drafts:
        return "none"
    now = time.time()
    old = [path for path in drafts if now - path.lstat().st_mtime >= IN_USE_S]
    young = [path for path in drafts if path not in old]
    total = _amount(sum(_size(path) for path in drafts))
    lines = [f"{len(old)} of interrupted runs, {len(young)} that may be in use, {total}"]
    lines += [f"can be deleted: {path} ({_amount(_size(path))})" for path in old]
    lines += [f"can be deleted if no command is running: {path}" for path in young]
    return "\n".join(lines)


def check_cached_files(_: Subject) -> str:
    """Compare the size of every array in the cache with what its header says."""
    folder = _existing_cache()
    n_files, damaged = 0, []
    for path in _files(folder):
        reader = {".npy": _npy_fault, ".safetensors": _safetensors_fault}.get(path.suffix)
        if reader is None:
            continue
        n_files += 1
        if fault := reader(path):
            damaged.append((path, fault))
    if not damaged:
        return f"{n_files} whole"
    shown = "; ".join(f"{path.relative_to(folder)}: {fault}" for path, fault in damaged[:_SHOWN])
    more = f" and {len(damaged) - _SHOWN} more" if len(damaged) > _SHOWN else ""
    # A folder of features is recomputed as a whole; a missing file in it would not be.
    gone = " ".join(
        sorted({str(path.parent if path.suffix == ".npy" else path) for path, _ in damaged})
    )
    raise CheckFailed(
        f"damaged files in {folder}: {shown}{more}",
        remedy=f"delete {gone}; it is made anew when it is needed",
    )


def _existing_cache() -> Path:
    folder = cache_dir()
    if not folder.is_dir():
        raise CheckSkipped(f"there is no cache folder {folder} yet")
    return folder


def _drafts(folder: Path) -> Iterator[Path]:
    """Yield drafts, and not what is in them."""
    for path in sorted(folder.iterdir()):
        if path.name.startswith("."):
            yield path
        elif path.is_dir() and not path.is_symlink():
            yield from _drafts(path)


def _files(folder: Path) -> Iterator[Path]:
    """Yield all finished files."""
    for path in sorted(folder.iterdir()):
        if path.name.startswith("."):
            continue
        if path.is_dir() and not path.is_symlink():
            yield from _files(path)
        elif path.is_file():
            yield path


def _npy_fault(path: Path) -> str | None:
    """Return the fault of a `.npy` file, read by its header alone; None if it is whole."""
    try:
        with path.open("rb") as file:
            version = np.lib.format.read_magic(file)
            read = {
                (1, 0): np.lib.format.read_array_header_1_0,
                (2, 0): np.lib.format.read_array_header_2_0,
            }[version]
            shape, _, dtype = read(file)
            expected = file.tell() + int(np.prod(shape)) * dtype.itemsize
    except (OSError, ValueError, KeyError):
        return "its header cannot be read"
    size = path.stat().st_size
    return None if size == expected else f"{size} bytes instead of {expected}"


def _safetensors_fault(path: Path) -> str | None:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "np"):
            return None
    except (OSError, SafetensorError) as error:
        return str(error)


def _size(path: Path) -> int:
    """Return the bytes of a file, or of all files under a folder; links count nothing."""
    if path.is_symlink():
        return 0
    if path.is_dir():
        return sum(_size(inner) for inner in path.iterdir())
    return path.stat().st_size


def _amount(size: float) -> str:
    for unit in ("bytes", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"
