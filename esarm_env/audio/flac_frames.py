"""FLAC streams in a file: where each begins, and how many samples its last frame counts.

A FLAC file states its number of samples in front, 0 where an encoder wrote to a pipe; every frame
states its own place. Apart from `sound_parts`, which walks all other formats, since a frame's
header is known by its checksum alone.
"""

from __future__ import annotations

import io
from collections.abc import Iterator

_MOST = (1 << 36) - 1  # samples that can be stated
_TAIL = 1 << 18  # bytes from the end in which the last frame begins
# A marker, and the first block of metadata, which has 34 bytes.
_BEGINNINGS = (b"fLaC\x00\x00\x00\x22", b"fLaC\x80\x00\x00\x22")
_BLOCK_SIZES = {1: 192, 2: 576, 3: 1152, 4: 2304, 5: 4608} | {
    code: 256 << (code - 8) for code in range(8, 16)
}


def flac_parts(
    file: io.BufferedIOBase, begin: int, size: int
) -> Iterator[tuple[int, int, bytes, bool]]:
    """Yield begin, end and corrected header of each stream in a file, and whether it seems cut."""
    starts = [begin, *_beginnings(file, begin + 8, size)]
    for start, end in zip(starts, [*starts[1:], size], strict=True):
        file.seek(start)
        head = file.read(42)
        stated = int.from_bytes(head[21:26], "big") & _MOST if len(head) == 42 else 0
        block_size = int.from_bytes(head[10:12], "big")
        counted = _last_sample(file, max(start + 42, end - _TAIL), end, block_size)
        if head[:8] not in _BEGINNINGS or counted is None or counted == stated:
            yield start, end, b"", False
        elif stated < counted:
            top = head[21] & 0xF0 | counted >> 32
            count = (counted & 0xFFFF_FFFF).to_bytes(4, "big")
            yield start + 26, end, head[:21] + bytes([top]) + count, False
        else:
            yield start, end, b"", True  # what looks like a frame may be none: a decoder knows


def _beginnings(file: io.BufferedIOBase, at: int, size: int) -> list[int]:
    """Return where further streams begin."""
    found: list[int] = []
    step, overlap = 1 << 20, 7
    while at < size:
        file.seek(at)
        data = file.read(step + overlap)
        for beginning in _BEGINNINGS:
            place = data.find(beginning)
            while 0 <= place < step:
                found.append(at + place)
                place = data.find(beginning, place + 1)
        at += step
    return sorted(found)


def _last_sample(file: io.BufferedIOBase, begin: int, end: int, block_size: int) -> int | None:
    """Return the number of samples up to the last frame of a stream; None if none is found."""
    file.seek(begin)
    data = file.read(max(0, end - begin))
    place = len(data)
    while (place := data.rfind(b"\xff", 0, place)) >= 0:
        counted = _end_of_frame(data[place : place + 16], block_size)
        if counted is not None:
            return counted
    return None


def _end_of_frame(head: bytes, block_size: int) -> int | None:
    """Return the number of the sample behind a frame, None if this is no frame's header.

    Where blocks are of one size (all but the last), a frame counts blocks, else samples.
    """
    if len(head) < 6 or head[1] not in (0xF8, 0xF9) or head[2] >> 4 == 0 or head[2] & 15 == 15:
        return None
    at, number = _coded_number(head, 4)
    if number is None:
        return None
    code = head[2] >> 4
    width = {6: 1, 7: 2}.get(code, 0)
    length = int.from_bytes(head[at : at + width], "big") + 1 if width else _BLOCK_SIZES[code]
    at += width + {12: 1, 13: 2, 14: 2}.get(head[2] & 15, 0)
    if at >= len(head) or _crc8(head[:at]) != head[at]:
        return None
    return (number if head[1] == 0xF9 else number * block_size) + length


def _coded_number(head: bytes, at: int) -> tuple[int, int | None]:
    """Return where a number ends that is coded as UTF-8 codes characters, and the number."""
    first = head[at]
    n_more = next((n for n in range(8) if not first << n & 0x80), 8) - 1
    if n_more < 0:
        return at + 1, first
    if n_more in (0, 7) or len(head) < at + 1 + n_more:
        return at, None
    number = first & (0x3F >> n_more)
    for byte in head[at + 1 : at + 1 + n_more]:
        if byte & 0xC0 != 0x80:
            return at, None
        number = number << 6 | byte & 0x3F
    return at + 1 + n_more, number


def _crc8(data: bytes) -> int:
    """Return the checksum of a frame's header (polynomial x^8 + x^2 + x + 1)."""
    crc = 0
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc << 1 ^ 0x07 if crc & 0x80 else crc << 1) & 0xFF
    return crc
