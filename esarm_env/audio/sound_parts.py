"""Joined parts and true lengths of sound files: what a header's sample count does not tell.

Pieces of speech that were appended to one file (chunks of a text-to-speech service, recordings
joined by `cat`) are one file with several headers, of which a decoder believes the first. Writers
to a pipe cannot go back to state a length: 0, a huge number or a guess stands there. So the bytes
are walked here, headers only, and a decoder is handed each part with a header that tells the truth.
"""

from __future__ import annotations

import io
import itertools
import math
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from esarm_env.audio.flac_frames import flac_parts
from esarm_env.audio.mp3_frames import FARTHEST_SYNC, is_mp3, mp3_parts, tag_length
from esarm_env.core.errors import InputError

# Sizes from here on are what streaming writers put where they cannot know (2 GiB less a header).
STREAMED = 0x7FFF_0000
LOST_S = 0.1  # of declared sound that may be missing: 3 frames of motion, as elsewhere
_LEAST_MORE_S = 0.05  # of sound behind its declared end that is worth believing
_BUFFER = 1 << 16
_MOST_PARTS = 4096  # an hour of sentences
_MOST_CHUNKS = 4096  # beside the samples: titles, markers, pictures


@dataclass(frozen=True)
class Part:
    """A stretch of a file that is a sound file of its own.

    Attributes:
        begin: Its first byte.
        end: The byte behind its last.
        head: Bytes to put in front: a corrected header.
    """

    begin: int
    end: int
    head: bytes = b""


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
        InputError: If a WAV or AIFF header states more sound than the file holds, or the file has
            more parts than any recording.
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
    magic = _read(file, begin, 12)
    if magic[:4] in (b"RIFF", b"RIFX", b"FORM") and magic[8:] in (b"WAVE", b"AIFF", b"AIFC"):
        yield from _riff_parts(file, path, begin, size)
    elif magic[:4] == b"OggS":
        yield from _ogg_parts(file, begin, size)
    elif magic[:4] == b"fLaC":
        yield from (Part(*each) for each in flac_parts(file, begin, size))
    elif is_mp3(magic):
        yield from (Part(*each) for each in mp3_parts(file, begin, size))
    else:
        yield Part(begin, size)


def behind_tags(file: io.FileIO | io.BufferedIOBase) -> int:
    """Return where a file begins behind its ID3v2 tags, which may stand before any format."""
    at = 0
    for _ in range(_MOST_CHUNKS):
        tag = _read(file, at, 10)
        if tag[:3] != b"ID3" or len(tag) < 10:
            break
        at += tag_length(tag)
    return at


def _read(file: io.FileIO | io.BufferedIOBase, at: int, count: int) -> bytes:
    file.seek(at)
    return file.read(count)


def _riff_parts(file: io.BufferedIOBase, path: Path, begin: int, size: int) -> Iterator[Part]:
    """Yield the parts of WAV or AIFF files that stand one behind the other."""
    while begin < size:
        order = "<" if _read(file, begin, 4) == b"RIFF" else ">"
        data, byte_rate = _data_chunk(file, begin, size, order)
        if data is None:
            yield Part(begin, size)
            return
        at, length = data
        room = size - at
        joined, goes_on = _behind_data(file, at + length, size, order, byte_rate)
        if (length >= STREAMED and length > room) or ((length == 0 or length < room) and goes_on):
            yield Part(at, size, _with_length(_read(file, begin, at - begin), room, order))
            return
        if byte_rate and (length - room) / byte_rate > LOST_S:
            raise InputError(
                f"{path}: must be whole, got {room / byte_rate:.2f} s of the "
                f"{length / byte_rate:.2f} s that its header states; copy or export it again"
            )
        end = size if joined is None else joined
        yield Part(begin, end)
        begin = end


def _data_chunk(
    file: io.BufferedIOBase, begin: int, size: int, order: str
) -> tuple[tuple[int, int] | None, float]:
    """Return place and length of the samples (None without), and their bytes a second."""
    at, byte_rate = begin + 12, 0.0
    for _ in range(_MOST_CHUNKS):
        if at + 8 > size:
            break
        name, length = struct.unpack(f"{order}4sI", _read(file, at, 8))
        if name in (b"data", b"SSND"):
            return (at + 8, length), byte_rate
        if name == b"fmt " and len(fmt := _read(file, at + 8, 16)) == 16:
            byte_rate = float(struct.unpack(f"{order}I", fmt[8:12])[0])
        if name == b"COMM" and len(comm := _read(file, at + 8, 18)) == 18:
            byte_rate = _aiff_byte_rate(comm)
        at += 8 + length + length % 2
    return None, byte_rate


def _aiff_byte_rate(comm: bytes) -> float:
    """Return the bytes a second by the common chunk of an AIFF file; its rate has 80 bits."""
    n_channels: int
    n_bits: int
    n_channels, _, n_bits, exponent, mantissa = struct.unpack(">hIhHQ", comm)
    exponent = (exponent & 0x7FFF) - 16383 - 63
    rate_hz = math.ldexp(mantissa, exponent) if abs(exponent) < 500 else 0.0
    return max(0.0, rate_hz * n_channels * ((n_bits + 7) // 8))


def _behind_data(
    file: io.BufferedIOBase, at: int, size: int, order: str, byte_rate: float
) -> tuple[int | None, bool]:
    """Return where another file begins behind the samples, and whether these go on instead."""
    # An odd length is padded, but by careless writers.
    at += at % 2 if _is_chunk(_read(file, at + at % 2, 8)) else 0
    for n_seen in range(_MOST_CHUNKS):
        if at + 8 > size:
            break
        head = _read(file, at, 12)
        if head[:4] in (b"RIFF", b"RIFX", b"FORM") and head[8:] in (b"WAVE", b"AIFF", b"AIFC"):
            return at, False
        length = struct.unpack(f"{order}I", head[4:8])[0]
        if not _is_chunk(head) or at + length > size:
            more_s = (size - at) / byte_rate if byte_rate else 0.0
            is_tag = head[:3] in (b"ID3", b"TAG") or head[:4] == b"APET"
            return None, n_seen == 0 and not is_tag and more_s > _LEAST_MORE_S and any(head)
        at += 8 + length + length % 2
    return None, False


def _is_chunk(head: bytes) -> bool:
    """Return whether these bytes may be the name of a chunk."""
    return len(head) >= 8 and all(32 <= byte < 127 for byte in head[:4])


def _with_length(head: bytes, length: int, order: str) -> bytes:
    """Return the header of a WAV file up to its samples, with their number of bytes."""
    riff = struct.pack(f"{order}I", min(len(head) - 8 + length, 0xFFFF_FFFF))
    data = struct.pack(f"{order}I", min(length, 0xFFFF_FFFF))
    return head[:4] + riff + head[8:-4] + data


def _ogg_parts(file: io.BufferedIOBase, begin: int, size: int) -> Iterator[Part]:
    """Yield the links of a chained Ogg file: each begins with pages that begin streams."""
    start, at, is_body = begin, begin, False
    while len(page := _read(file, at, 27 + 255)) >= 27:
        if page[:4] != b"OggS":
            found = _read(file, at, FARTHEST_SYNC).find(b"OggS")
            if found < 0:
                break
            at += found
            continue
        begins = bool(page[5] & 2)
        if begins and is_body:
            yield Part(start, at)
            start = at
        is_body = not begins
        at += 27 + page[26] + sum(page[27 : 27 + page[26]])
    yield Part(start, size)
