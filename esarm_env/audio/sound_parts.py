"""Joined parts and true lengths of sound files: what a header's sample count does not tell.

Pieces of speech that were appended to one file (chunks of a text-to-speech service, recordings
joined by `cat`) are one file with several headers, of which a decoder believes the first. Writers
to a pipe cannot go back to state a length: 0, a huge number or a guess stands there. So the bytes
are walked here, headers only, and a decoder is handed each part with a header that tells the truth.
"""

from __future__ import annotations

import io
import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from esarm_env.audio.flac_frames import flac_parts
from esarm_env.audio.mp3_frames import FARTHEST_SYNC, is_mp3, mp3_parts, tag_length
from esarm_env.audio.sample_heads import is_sized, read_at
from esarm_env.audio.sized_sounds import sized_parts
from esarm_env.core.errors import InputError

_BUFFER = 1 << 16
_MOST_PARTS = 4096  # an hour of sentences
_MOST_TAGS = 4096
_NO_LAST_PAGE = (
    "ends early: the page that ends its stream is missing, as in a copy that stopped; copy or "
    "export it again"
)


@dataclass(frozen=True)
class Part:
    """A stretch of a file that is a sound file of its own.

    Attributes:
        begin: Its first byte.
        end: The byte behind its last.
        head: Bytes to put in front: a corrected header.
        lack: What is missing at its end though the rest can be read; empty if nothing is.
        seems_cut: Whether only a decoder can tell if it is whole.
    """

    begin: int
    end: int
    head: bytes = b""
    lack: str = ""
    seems_cut: bool = False


class PartFile(io.RawIOBase):
    """A part of a file as a file, with its corrected header in front."""

    def __init__(self, file: io.FileIO, part: Part) -> None:
        """Open `part` of `file`, which stays the caller's to close."""
        self._file, self._part, self._at = file, part, 0
        self._size = len(part.head) + part.end - part.begin

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move to a byte; return it."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        self._at = max(0, base + offset)
        return self._at

    def readinto(self, buffer: Any) -> int:
        """Fill `buffer` as far as the part goes; return how many bytes that are."""
        view = memoryview(buffer).cast("B")
        left, head = max(0, self._size - self._at), self._part.head
        if not left:  # nor may a place be sought that no file has
            return 0
        if self._at < len(head):
            data = head[self._at : self._at + min(len(view), left)]
        else:
            self._file.seek(self._part.begin + self._at - len(head))
            data = self._file.read(min(len(view), left))
        view[: len(data)] = data
        self._at += len(data)
        return len(data)


def parts_of(file: io.FileIO, path: Path) -> list[Part]:
    """Return the parts of a sound file, at least one; their headers state what is there.

    Args:
        file: The file, open for reading.
        path: Its path, for messages.

    Raises:
        InputError: If a header that counts bytes states more sound than the file holds, or the
            file has more parts than any recording.
    """
    reader = io.BufferedReader(file, _BUFFER)
    try:
        parts = list(itertools.islice(_parts(reader, path), _MOST_PARTS + 1))
    finally:
        reader.detach()
    if len(parts) > _MOST_PARTS:
        raise InputError(
            f"{path}: must be at most {_MOST_PARTS} joined files, got more; join them as samples"
        )
    return parts


def _parts(file: io.BufferedIOBase, path: Path) -> Iterator[Part]:
    size = file.seek(0, io.SEEK_END)
    begin = behind_tags(file)
    magic = read_at(file, begin, 12)
    if is_sized(magic):
        yield from (Part(*each) for each in sized_parts(file, path, begin, size))
    elif magic[:4] == b"OggS":
        yield from _ogg_parts(file, begin, size)
    elif magic[:4] == b"fLaC":
        for start, end, head, seems_cut in flac_parts(file, begin, size):
            yield Part(start, end, head, seems_cut=seems_cut)
    elif is_mp3(magic):
        yield from (Part(*each) for each in mp3_parts(file, begin, size))
    else:
        yield Part(begin, size)


def behind_tags(file: io.FileIO | io.BufferedIOBase) -> int:
    """Return where a file begins behind its ID3v2 tags, which may stand before any format."""
    at = 0
    for _ in range(_MOST_TAGS):
        tag = read_at(file, at, 10)
        if tag[:3] != b"ID3" or len(tag) < 10:
            break
        at += tag_length(tag)
    return at


def _ogg_parts(file: io.BufferedIOBase, begin: int, size: int) -> Iterator[Part]:
    """Yield the links of a chained Ogg file: each begins with pages that begin streams."""
    start, at, is_body = begin, begin, False
    open_streams: set[bytes] = set()
    while len(page := read_at(file, at, 27 + 255)) >= 27:
        if page[:4] != b"OggS":
            found = read_at(file, at, FARTHEST_SYNC).find(b"OggS")
            if found < 0:
                break
            at += found
            continue
        begins = bool(page[5] & 2)
        if begins and is_body:
            yield Part(start, at, lack=_NO_LAST_PAGE if open_streams else "")
            start = at
            open_streams.clear()
        is_body = not begins
        at += 27 + page[26] + sum(page[27 : 27 + page[26]])
        if begins:
            open_streams.add(page[14:18])
        if page[5] & 4 and at <= size:  # whole, and the last of its stream
            open_streams.discard(page[14:18])
    yield Part(start, size, lack=_NO_LAST_PAGE if open_streams else "")
