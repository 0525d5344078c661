"""Samples of a file whose header counts them, up to their true end.

A writer to a pipe, or one that lost its power, leaves 0, a huge number or an old one in the header;
a copy that stopped leaves more than there is. So what stands behind the stated end is looked at:
samples that go on, more samples, titles, or another file.
"""

from __future__ import annotations

import io
from collections.abc import Generator, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from esarm_env.audio.sample_heads import (
    LOST_S,
    MOST_CHUNKS,
    Samples,
    find_samples,
    is_sized,
    read_at,
)
from esarm_env.core.errors import InputError

_LEAST_MORE_S = 0.05  # of sound behind its declared end that is worth believing
# Of bytes, where a header does not tell how many are a second.
_LOST_BYTES = _LEAST_MORE_BYTES = 4096
_MOST_HEADS = 1 << 26  # bytes of headers in front of all stretches of one file
_BLOCK = 1 << 20


@dataclass(frozen=True)
class _Tail:
    """What stands behind samples.

    Attributes:
        goes_on: Whether their length is wrong, and they go on to the end.
        more: The next samples of the same file, if it has any.
        file_at: Where another file begins, or the file ends.
    """

    file_at: int
    goes_on: bool = False
    more: Samples | None = None


def sized_parts(
    file: io.BufferedIOBase, path: Path, begin: int, size: int
) -> Iterator[tuple[int, int, bytes]]:
    """Yield begin, end and corrected header of each stretch of samples in a file.

    Args:
        file: The file, of one sound file or of several, one behind the other.
        path: Its path, for messages.
        begin: Where the first one begins.
        size: Bytes of the file.

    Raises:
        InputError: If a header states more than the file holds.
    """
    while begin < size:
        begin = yield from _stretches(file, path, begin, size)


def _stretches(
    file: io.BufferedIOBase, path: Path, begin: int, size: int
) -> Generator[tuple[int, int, bytes], None, int]:
    """Yield the stretches of one sound file; return where the next begins, or the file ends."""
    samples = find_samples(file, begin, size)
    if samples is None:
        yield begin, size, b""
        return size
    n_seen = 0
    while True:
        if n_seen * len(samples.head) > _MOST_HEADS:
            raise InputError(
                f"{path}: must have its samples in one stretch, got more than {n_seen} behind a "
                f"header of {len(samples.head)} bytes; export it again"
            )
        room = size - samples.at
        tail = _behind(file, begin, samples, size)
        if tail.goes_on:
            yield samples.at, size, samples.head_for(room)
            return size
        lost = samples.length - room
        if lost > (samples.byte_rate * LOST_S or _LOST_BYTES):
            raise InputError(
                f"{path}: must be whole, got {samples.extent(room)} of the "
                f"{samples.extent(samples.length)} that its header states; copy or export it again"
            )
        if n_seen == 0 and tail.more is None and samples.head[:4] == read_at(file, begin, 4):
            yield begin, samples.end_before(tail.file_at), b""
        else:
            length = min(room, samples.length)
            yield samples.at, samples.at + length, samples.head_for(length)
        if tail.more is None:
            return tail.file_at
        samples, n_seen = tail.more, n_seen + 1


def _behind(file: io.BufferedIOBase, begin: int, samples: Samples, size: int) -> _Tail:
    """Look at what stands behind the stated end of samples."""
    if not samples.knows(size):
        return _Tail(size, goes_on=True)
    at, chunks = samples.at + samples.length, samples.chunks
    if chunks is not None:
        # Beginnings are aligned, but by careless writers.
        aligned = chunks.behind(samples.at - chunks.size, samples.length, begin)
        at = aligned if chunks.parse(read_at(file, aligned, chunks.size)) else at
    for n_seen in range(MOST_CHUNKS):
        if at >= size:
            break
        head = read_at(file, at, 24)
        if is_sized(head):
            return _Tail(at)
        if chunks is None and is_sized(head[1:]):
            return _Tail(at + 1)  # VOC ends with a zero
        chunk = None if chunks is None else chunks.parse(head)
        if chunk is not None and chunks is not None and chunk[0] in chunks.samples:
            return _Tail(size, more=replace(samples, at=at + chunks.size, length=chunk[1]))
        if chunk is None or chunks is None or at + chunks.size + chunk[1] > size:
            return _Tail(size, goes_on=n_seen == 0 and _are_samples(file, at, size, samples))
        at = chunks.behind(at, chunk[1], begin)
    return _Tail(size)


def _are_samples(file: io.BufferedIOBase, at: int, size: int, samples: Samples) -> bool:
    """Return whether bytes that are no chunk are samples behind the stated end of `samples`.

    Zeros up to the end fill a sector, but where 0 is what the header states.
    """
    head = read_at(file, at, 4)
    if head[:3] in (b"ID3", b"TAG") or head == b"APET":
        return False
    if size - at <= (samples.byte_rate * _LEAST_MORE_S or _LEAST_MORE_BYTES):
        return False
    blocks = range(at, size, _BLOCK)
    return samples.length == 0 or any(any(read_at(file, each, _BLOCK)) for each in blocks)
