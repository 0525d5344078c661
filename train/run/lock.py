"""Lock of a run folder: one process at a time writes into it; who only reads takes none.

An advisory `flock` on a file in the folder, which the system takes back when the process ends,
however it ends. The file's text names the process that holds it, or held it last. The lock counts
within a process: a command holds it from beginning to end, each stage in it takes it again.
"""

from __future__ import annotations

import contextlib
import datetime
import errno
import os
import socket
import threading
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from esarm_env.core.cache import DRAFT
from esarm_env.core.errors import InputError
from esarm_env.core.run_layout import (
    EXPERIMENTS_FOLDER,
    LOCK_FILE,
    SEEDS_FOLDER,
    TUNE_FOLDER,
    check_no_export,
)

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

_OTHERS = {EXPERIMENTS_FOLDER, SEEDS_FOLDER, TUNE_FOLDER}
_BUSY = {errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES}


@dataclass
class _Held:
    """A lock of this process: its open file, how often and by which thread it was taken."""

    handle: int
    thread: int
    count: int = 1


_held: dict[Path, _Held] = {}


def _forget_in_child() -> None:
    """Let a forked child hold nothing: its copies of the files would keep the lock alive."""
    for held in _held.values():
        os.close(held.handle)
    _held.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_in_child)


@contextlib.contextmanager
def locked(run_path: Path) -> Iterator[None]:
    """Hold the lock of a run folder, which is made if absent.

    Raises:
        InputError: If another process or thread holds it; the message names the process. Or if the
            folder cannot be written, or is an export, which stays as it was made.
    """
    check_no_export(run_path)
    path = Path(os.path.realpath(run_path)) / LOCK_FILE
    held = _held.get(path)
    if held is None:
        held = _held[path] = _Held(_take(run_path, path), threading.get_ident())
        for leftover in path.parent.rglob(f".*{DRAFT}"):  # of a process that was killed
            # These have locks of their own: another process may be at work there.
            if not _OTHERS & set(leftover.relative_to(path.parent).parts):
                leftover.unlink(missing_ok=True)
    elif held.thread == threading.get_ident():
        held.count += 1
    else:
        raise InputError(_busy(run_path, "another thread of this process"))
    try:
        yield
    finally:
        held.count -= 1
        if not held.count and _held.get(path) is held:
            del _held[path]
            os.close(held.handle)


# Not through a link: a run of somebody else could lead to any file of ours.
_OPEN = os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NOFOLLOW", 0)


def _take(run_path: Path, path: Path) -> int:
    """Return the open lock file, locked wherever the file system can."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, _OPEN, 0o666)
    except OSError as error:
        raise InputError(
            f"`run` must be a folder that can be written, got {run_path} ({error.strerror}); "
            "choose another, or change its permissions"
        ) from error
    try:
        if fcntl is None:
            raise OSError(errno.ENOSYS, "no file locks on this system")
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in _BUSY:
            owner = os.pread(handle, 200, 0).decode(errors="replace").strip()
            os.close(handle)
            raise InputError(_busy(run_path, owner or "another process")) from error
        _warn_once(f"{path.parent}: two processes at once are not noticed here ({error.strerror})")
        return handle
    # Who we are is a service to others: a full disk must not keep the run from going on.
    with contextlib.suppress(OSError):
        os.ftruncate(handle, 0)
        os.pwrite(handle, f"{_who()}\n".encode(), 0)
    return handle


def _who() -> str:
    since = datetime.datetime.now().astimezone().isoformat(timespec="seconds")
    return f"process {os.getpid()} on {socket.gethostname()} since {since}"


def _busy(run_path: Path, owner: str) -> str:
    return (
        f"{run_path}: must be written by one process at a time, got {owner} at work in it; wait "
        "for that one, end it, or choose another --run"
    )


_warned: set[str] = set()


def _warn_once(text: str) -> None:
    if text not in _warned:
        _warned.add(text)
        warnings.warn(text, stacklevel=4)
