"""Cache folder for computed arrays, and the one writer of whole files and folders.

`ESARM_CACHE` overrides the folder; otherwise it is `esarm` under the XDG cache folder.

What is written comes to stand under its name in one step, when it is whole and on the disk: an
interrupt, a kill or a full disk leaves what was there before. A draft begins with a dot and ends in
`DRAFT`.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import hashlib
import json
import os
import secrets
import shutil
import stat
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from esarm_env.core.errors import InputError

DRAFT = ".draft"
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_UNSUPPORTED = {errno.EINVAL, errno.ENOTSUP, errno.ENOSYS}  # of fsync, on some file systems


def cache_dir() -> Path:
    """Return the folder of cached corpora and features (not created here).

    Raises:
        InputError: If there is no home folder to put it in.
    """
    override = os.environ.get("ESARM_CACHE")
    if override:
        return Path(override)
    try:
        base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    except RuntimeError as error:
        raise InputError(
            "`HOME` must be set to find the cache folder, got none; set ESARM_CACHE to a folder"
        ) from error
    return Path(base) / "esarm"


@contextlib.contextmanager
def new_folder(target: Path) -> Iterator[Path]:
    """Yield a temporary folder that becomes `target` only when the block ends without an error.

    An interrupt leaves nothing; a second process that finished first wins, and this one's copy
    is dropped.

    Raises:
        InputError: If the folder round `target` cannot be written, or the disk is full.
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        draft = _draft_of(target)
        draft.mkdir()
    except OSError as error:
        raise InputError(
            f"{target.parent}: must be a cache folder that can be written, got {error.strerror}; "
            "set ESARM_CACHE to another"
        ) from error
    try:
        with _told_if_full(target):
            yield draft
            for path in draft.rglob("*"):
                sync(path)
        try:
            draft.rename(target)
        except OSError:
            if not target.is_dir():
                raise
        sync(target.parent)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


@contextlib.contextmanager
def new_file(
    target: Path, *, keep_suffix: bool = False, make_folder: bool = True
) -> Iterator[Path]:
    """Yield a temporary path whose content is `target`'s when the block ends without an error.

    A link stays, and what it points to gets the content. A device, a FIFO or a socket stays, too,
    and the content goes through it; so does what is our standard output.

    Args:
        target: Permissions of an existing file are kept.
        keep_suffix: Whether the temporary path must end as `target` does, for writers that choose
            the format by it.
        make_folder: Whether an absent folder is made, instead of refused.

    Raises:
        InputError: If `target` cannot be written, or the disk is full; it is as it was then.
    """
    suffix = target.suffix if keep_suffix else DRAFT
    with _told(target):
        through = goes_through(target)
        home = target if through else Path(os.path.realpath(target))
        if not through:
            if make_folder:
                home.parent.mkdir(parents=True, exist_ok=True)
            # Here and not when a draft fails, whose name nobody knows.
            _expect_place(home, target, make_folder=False)
        folder = Path(tempfile.mkdtemp(prefix="esarm-")) if through else home.parent
        draft = folder / _draft_of(home).with_suffix(suffix).name
    try:
        with _told(target, draft=draft):
            yield draft
            if through:
                _pour(draft, target)
            else:
                draft.chmod(home.stat().st_mode & 0o7777 if home.exists() else 0o666 & ~_umask())
                sync(draft)
                draft.replace(home)
                sync(home.parent)
    finally:
        with contextlib.suppress(OSError):
            draft.unlink(missing_ok=True)
        if through:
            shutil.rmtree(folder, ignore_errors=True)


def check_target(target: Path, *, make_folder: bool = True) -> None:
    """Check, before hours of work, that `new_file` can begin to write `target`; changes nothing.

    Raises:
        InputError: If it cannot.
    """
    with _told(target):
        if not goes_through(target):
            _expect_place(Path(os.path.realpath(target)), target, make_folder=make_folder)


def _expect_place(home: Path, target: Path, *, make_folder: bool) -> None:
    """Check that `home`, or what is to hold it, can be written; errors name `target`."""
    place = home if home.exists() else home.parent
    while make_folder and not place.exists():
        place = place.parent
    if place != home and not place.is_dir():
        number = errno.ENOTDIR if place.exists() else errno.ENOENT
        raise OSError(number, os.strerror(number), str(target))
    if not os.access(place, os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(target))


def write_text(target: Path, text: str, *, make_folder: bool = True) -> None:
    """Write UTF-8 `text` to `target` in one step, see `new_file`."""
    with new_file(target, make_folder=make_folder) as draft:
        draft.write_text(text, encoding="utf-8", newline="")


def write_json(target: Path, content: Any) -> None:
    """Write `content` as JSON to `target` in one step, see `new_file`."""
    write_text(target, json.dumps(content, indent=1) + "\n")


def read_json(target: Path, what: str, *, remedy: str = "") -> dict[str, Any]:
    """Read a JSON object that `write_text` wrote.

    Args:
        target: The file.
        what: What it is, for the message: `a stage's summary`.
        remedy: What helps where it is damaged; by default to delete its folder.

    Raises:
        InputError: If it cannot be read, is cut, or holds something else, also NaN.
    """
    remedy = remedy or f"delete {target.parent} and run the same command again"
    try:
        content = json.loads(target.read_text(encoding="utf-8"), parse_constant=_refuse)
        if not isinstance(content, dict):
            raise ValueError(f"no JSON object but {content!r:.40}")
    except OSError as error:
        raise InputError(
            f"{target}: must be {what} that can be read, got {error.strerror}; {remedy}, or mend "
            "its permissions"
        ) from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{target}: must be {what}, got {error}; {remedy}") from error
    return content


def _refuse(constant: str) -> None:
    raise ValueError(f"the number {constant}")


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file's content, in hexadecimal; read once while the file is the same.

    Raises:
        OSError: If it cannot be read.
    """
    status = path.stat()
    stamp = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
    return _digest(path.resolve(), stamp)


@functools.lru_cache(maxsize=256)
def _digest(path: Path, _: tuple[int, ...]) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def drop_folder(folder: Path) -> None:
    """Delete a folder of the cache: its name goes at once, then its files.

    Raises:
        InputError: If the cache cannot be written.
    """
    try:
        shutil.rmtree(folder.rename(_draft_of(folder)))
    except FileNotFoundError:
        return  # another process was faster
    except OSError as error:
        raise write_error(folder, error) from error


def sync(path: Path) -> None:
    """Wait until a file or the names in a folder are on the disk; a full one may say so only here.

    Raises:
        OSError: If the disk is full or broken; not where the file system cannot do it.
    """
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in _UNSUPPORTED:
            raise
    finally:
        os.close(handle)


def write_error(target: Path, error: OSError) -> InputError:
    """Return what to say where `target` could not be written: rule, reason, remedy."""
    reason = error.strerror or str(error)
    if error.errno in _FULL:
        return InputError(
            f"{target}: must be written whole, got {reason!r}; make room and run the same "
            "command again"
        )
    if error.errno == errno.ENOENT and not target.parent.exists():
        return InputError(
            f"{target}: must be a file in a writable folder, got {target.parent}, which does not "
            "exist; make it first, or choose another place"
        )
    return InputError(
        f"{target}: must be a file in a writable folder, got {reason!r}; choose another place or "
        "change its permissions"
    )


def goes_through(path: Path) -> bool:
    """Return whether content is written through `path`: a device, a FIFO, our standard output.

    Raises:
        OSError: If it is a folder, or a link that leads round in a circle.
    """
    if _stream_of(path) is not None:
        return True
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return False
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    return not stat.S_ISREG(mode)


def is_standard_output(path: Path) -> bool:
    """Return whether `path` is where our standard output goes, as `/dev/stdout` is."""
    return _stream_of(path) == 1


@contextlib.contextmanager
def _told(target: Path, *, draft: Path | None = None) -> Iterator[None]:
    """Turn a failure to write `target` into `InputError`; errors about other files stay."""
    try:
        yield
    except BrokenPipeError:
        raise  # who reads our output has gone: no fault of the path
    except OSError as error:
        ours = (None, str(target), str(draft), os.path.realpath(target))
        name = None if error.filename is None else str(error.filename)
        if error.errno is None or (draft is not None and name not in ours):
            raise
        raise write_error(target, error) from error


@contextlib.contextmanager
def _told_if_full(target: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in _FULL:
            raise
        raise write_error(target, error) from error


def _draft_of(target: Path) -> Path:
    """Return a free name beside `target`; short, since long names are near the limit already."""
    return target.with_name(f".{target.name[:40]}-{secrets.token_hex(6)}{DRAFT}")


def _stream_of(path: Path) -> int | None:
    """Return 1 or 2 if `path` is our standard output or error, else None."""
    for stream in (1, 2):
        with contextlib.suppress(OSError):
            if os.path.samestat(path.stat(), os.fstat(stream)):
                return stream
    return None


def _pour(draft: Path, target: Path) -> None:
    """Copy `draft` through a device, a FIFO or our own standard output."""
    stream = _stream_of(target)
    if stream is None:
        with draft.open("rb") as source, target.open("wb") as sink:
            shutil.copyfileobj(source, sink)
        return
    for printed in (sys.stdout, sys.stderr):
        printed.flush()
    # By the open stream: opened by its name, a file would be cut and what was printed lost.
    with draft.open("rb") as source, os.fdopen(os.dup(stream), "wb") as sink:
        shutil.copyfileobj(source, sink)


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
