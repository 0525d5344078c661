"""Cache folder for computed arrays, and atomic writes into it.

`ESARM_CACHE` overrides the folder; otherwise it is `esarm` under the XDG cache folder.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from esarm_env.core.errors import InputError


def cache_dir() -> Path:
    """Return the folder of cached corpora and features (not created here)."""
    override = os.environ.get("ESARM_CACHE")
    if override:
        return Path(override)
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "esarm"


@contextlib.contextmanager
def new_folder(target: Path) -> Iterator[Path]:
    """Yield a temporary folder that becomes `target` only when the block ends without an error.

    An interrupt leaves nothing; a second process that finished first wins, and this one's copy
    is dropped.

    Raises:
        InputError: If the folder round `target` cannot be written.
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    except OSError as error:
        raise InputError(
            f"{target.parent}: must be a cache folder that can be written, got {error.strerror}; "
            "set ESARM_CACHE to another"
        ) from error
    try:
        yield draft
        draft.chmod(0o755)  # mkdtemp makes it private, and a shared cache would stay unreadable
        try:
            draft.rename(target)
        except OSError:
            if not target.is_dir():
                raise
    finally:
        shutil.rmtree(draft, ignore_errors=True)


@contextlib.contextmanager
def new_file(target: Path) -> Iterator[Path]:
    """Yield a temporary path that replaces `target` only when the block ends without an error."""
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{target.name}-", dir=target.parent)
    os.close(handle)
    draft = Path(name)
    try:
        yield draft
        draft.chmod(0o644)
        draft.replace(target)
    finally:
        draft.unlink(missing_ok=True)
