"""Headers of sound files that count the bytes of their samples: where these begin, and how many.

WAV, RF64, W64, AIFF, SVX and CAF are chunks; AU, SPHERE, VOC and AVR have one header. Whether a
number is true is not asked here; how a lack is told is, for all formats.
"""

from __future__ import annotations

import io
import math
import re
import struct
from dataclasses import dataclass, replace

LOST_S = 0.1  # of declared sound that may be missing: 3 frames of motion, as elsewhere
MOST_CHUNKS = 4096  # beside the samples: titles, markers, pictures
# What streaming writers put where they cannot know: -1, or the largest number less a header.
_STREAMED, _STREAMED_LONG = 0x7FFF_0000, 1 << 48
# Bytes up to the samples; a picture in front of them is less than the most.
_LEAST_HEAD, _MOST_HEAD = 20, 1 << 24
_FARTHEST = 1 << 40  # bytes; farther than some file systems go, which refuse to look there
_W64 = bytes.fromhex("f3acd3118cd100c04f8edb8a")  # behind four letters, a chunk's name
_TYPES = (b"WAVE", b"AIFF", b"AIFC", b"8SVX", b"16SV")
_AU_BYTES = {1: 1.0, 2: 1.0, 3: 2.0, 4: 3.0, 5: 4.0, 6: 4.0, 7: 8.0, 23: 0.5, 27: 1.0}
_SPHERE_FIELD = re.compile(rb"(\w+) -i (\d{1,15})\s")


@dataclass(frozen=True)
class Chunks:
    """How a family of formats writes its chunks.

    Attributes:
        header: Format of name and length.
        begin: Where the first one stands in a file.
        samples: Names of those that hold samples.
        align: Its beginnings are multiples of so many bytes.
        own: Bytes of the header that the length counts as well.
    """

    header: str
    begin: int = 12
    samples: tuple[bytes, ...] = (b"data",)
    align: int = 2
    own: int = 0

    @property
    def size(self) -> int:
        """Bytes of a chunk's header."""
        return struct.calcsize(self.header)

    def parse(self, head: bytes) -> tuple[bytes, int] | None:
        """Return name and length of the chunk that begins so; None if none does."""
        if len(head) < self.size:
            return None
        name, length = struct.unpack(self.header, head[: self.size])
        is_name = all(32 <= byte < 127 for byte in name[:4]) and name[4:] in (b"", _W64)
        return (name, length - self.own) if is_name else None

    def behind(self, at: int, length: int, begin: int) -> int:
        """Return where the chunk behind that of `length` at `at` stands in a file at `begin`."""
        at += self.size + max(0, length)
        return at + -(at - begin) % self.align


_LITTLE, _BIG = Chunks("<4sI"), Chunks(">4sI", samples=(b"data", b"SSND", b"BODY"))
_FAMILIES = {
    b"RIFF": _LITTLE,
    b"RF64": _LITTLE,
    b"BW64": _LITTLE,
    b"RIFX": _BIG,
    b"FORM": _BIG,
    b"caff": Chunks(">4sq", begin=8, align=1),
    b"riff": Chunks("<16sq", begin=40, samples=(b"data" + _W64,), align=8, own=24),
}


@dataclass(frozen=True)
class Samples:
    """Samples of a file as its header states them.

    Attributes:
        at: Their first byte.
        length: How many bytes the header states.
        byte_rate: Bytes a second; 0 if unknown.
        head: What stands in front of them.
        fields: Where in `head` their number stands: place, format, and what it counts besides.
        chunks: How what follows is written; None if nothing can follow.
    """

    at: int
    length: int
    byte_rate: float = 0.0
    head: bytes = b""
    fields: tuple[tuple[int, str, int], ...] = ()
    chunks: Chunks | None = None

    def head_for(self, length: int) -> bytes:
        """Return the header for so many bytes."""
        head = bytearray(self.head)
        for place, code, more in self.fields:
            n_bits = 8 * struct.calcsize(code) - (code[-1] == "q")
            struct.pack_into(code, head, place, min(length + more, (1 << n_bits) - 1))
        return bytes(head)

    def end_before(self, end: int) -> int:
        """Return how much of a file that ends at `end` a decoder may see.

        Of formats that have nothing behind their samples it takes all for samples.
        """
        needs_more = self.chunks is not None and not self.chunks.own
        return end if needs_more else min(end, self.at + self.length)

    def knows(self, size: int) -> bool:
        """Return whether the stated length is one, and no mark that it is not known.

        Where there is room for it in the `size` bytes of the file, it is.
        """
        if 0 <= self.length <= size - self.at:
            return True
        if self.fields and self.fields[0][1][-1] == "I":
            return self.length < _STREAMED
        is_short_mark = self.length >> 16 in (_STREAMED >> 16, 0xFFFF)
        return 0 <= self.length < _STREAMED_LONG and not is_short_mark

    def extent(self, length: int) -> str:
        """Return how long so many bytes are, in seconds or else in bytes."""
        return f"{length / self.byte_rate:.2f} s" if self.byte_rate else f"{length} bytes"


def is_sized(magic: bytes) -> bool:
    """Return whether a file whose first 12 bytes these are counts the bytes of its samples."""
    if magic[:4] in (b"RIFF", b"RIFX", b"FORM", b"RF64", b"BW64"):
        return magic[8:12] in _TYPES
    return magic[:4] in _FAMILIES or magic[:4] in _HEADERS


def find_samples(file: io.BufferedIOBase, begin: int, size: int) -> Samples | None:
    """Return the samples of the sound file at `begin`; None if there are none to be found.

    Args:
        file: The file.
        begin: Where the sound file begins in it.
        size: Bytes of the file.
    """
    head = read_at(file, begin, 1024)
    family = _FAMILIES.get(head[:4])
    try:
        found = (
            _HEADERS[head[:4]](head) if family is None else _in_chunks(file, begin, size, family)
        )
    except (struct.error, ValueError, IndexError):  # cut within its header
        return None
    if found is None or not _LEAST_HEAD <= found.at <= min(size - begin, _MOST_HEAD):
        return None
    front = read_at(file, begin, found.at)
    if front[:4] == b"BW64":  # by another name, which libsndfile does not know
        front = b"RF64" + front[4:]
    return replace(found, at=begin + found.at, head=front)


def told_lack(held_s: float, stated_s: float, *, tolerance_s: float = LOST_S) -> str:
    """Return the note on sound that ends before its header says; empty within the tolerance."""
    if stated_s - held_s <= tolerance_s:
        return ""
    return (
        f"ends early: {held_s:.2f} of the {stated_s:.2f} s that its header states are there; copy "
        "or export it again"
    )


def read_at(file: io.FileIO | io.BufferedIOBase, at: int, count: int) -> bytes:
    """Return `count` bytes of a file from `at` on, fewer at its end, none where no file goes."""
    if not 0 <= at < _FARTHEST:
        return b""
    file.seek(at)
    return file.read(count)


def _in_chunks(file: io.BufferedIOBase, begin: int, size: int, family: Chunks) -> Samples | None:
    """Return the first samples of a file of chunks, counted from its begin."""
    at, byte_rate, long_at = begin + family.begin, 0.0, 0
    width = 2 if read_at(file, begin + 8, 4) == b"16SV" else 1
    for _ in range(MOST_CHUNKS):
        chunk = family.parse(read_at(file, at, family.size)) if at < size else None
        if chunk is None:
            return None
        (name, length), content = chunk, at + family.size
        if name in family.samples:
            place = content - begin
            long = struct.unpack("<Q", read_at(file, begin + long_at + 8, 8))[0] if long_at else 0
            length = long if long_at and length == 0xFFFF_FFFF else length
            return Samples(place, length, byte_rate, b"", _fields(family, place, long_at), family)
        if name == b"ds64":
            long_at = content - begin
        byte_rate = _byte_rate(name, read_at(file, content, 32), family, width) or byte_rate
        at = family.behind(at, length, begin)
    return None


def _fields(family: Chunks, place: int, long_at: int) -> tuple[tuple[int, str, int], ...]:
    """Return where the length of samples at `place` stands: in its chunk, and in the file's."""
    if long_at:  # of RF64: in 64 bits apart, and all ones where it stands in WAV
        ones = (place - 4, "<I", 0xFFFF_FFFF)
        return ((long_at, "<Q", place - 8), (long_at + 8, "<Q", 0), ones)
    code = f"{family.header[0]}{family.header[-1]}"
    own = (place - struct.calcsize(code), code, family.own)
    if family.begin == 12:
        return own, (4, code, place - 8)
    return (own, (16, code, place)) if family.own else (own,)


def _byte_rate(name: bytes, content: bytes, family: Chunks, width: int) -> float:
    """Return the bytes a second by the first bytes of the chunk that states them; 0 for others.

    Bytes of a sample are `width` where the chunk does not tell.
    """
    order = family.header[0]
    if name[:4] == b"fmt ":
        return float(struct.unpack_from(f"{order}I", content, 8)[0])
    if name == b"COMM":
        return _aiff_byte_rate(content[:18])
    if name == b"VHDR":
        return float(struct.unpack_from(">H", content, 12)[0]) * width
    if name == b"desc":
        rate_hz, _, _, n_bytes, n_frames = struct.unpack_from(">d4sIII", content)
        is_rate = math.isfinite(rate_hz) and 0 < rate_hz < 1e9 and n_frames
        return float(rate_hz * n_bytes / n_frames) if is_rate else 0.0
    return 0.0


def _aiff_byte_rate(comm: bytes) -> float:
    """Return the bytes a second by the common chunk of an AIFF file; its rate has 80 bits."""
    n_channels: int
    n_bits: int
    n_channels, _, n_bits, exponent, mantissa = struct.unpack(">hIhHQ", comm)
    exponent = (exponent & 0x7FFF) - 16383 - 63
    rate_hz = math.ldexp(mantissa, exponent) if abs(exponent) < 500 else 0.0
    return max(0.0, rate_hz * n_channels * ((n_bits + 7) // 8))


def _in_au(head: bytes) -> Samples:
    order = ">" if head[:1] == b"." else "<"
    at, length, encoding, rate_hz, n_channels = struct.unpack_from(f"{order}5I", head, 4)
    byte_rate = rate_hz * n_channels * _AU_BYTES.get(encoding, 0.0)
    return Samples(at, length, byte_rate, fields=((8, f"{order}I", 0),))


def _in_sphere(head: bytes) -> Samples | None:
    """Return the samples by the lines of a SPHERE header, unless they are compressed."""
    at = int(head[8:16])
    values = {name: int(number) for name, number in _SPHERE_FIELD.findall(head[:at])}
    width = values.get(b"channel_count", 1) * values.get(b"sample_n_bytes", 2)
    if b"embedded" in head or b"sample_count" not in values:
        return None
    length = values[b"sample_count"] * width
    return Samples(at, length, values.get(b"sample_rate", 0) * float(width))


def _in_voc(head: bytes) -> Samples | None:
    """Return the samples of a VOC file's first block, of the old or the new kind."""
    at = struct.unpack_from("<H", head, 20)[0]
    if head[at] == 8:  # tells of the block behind it
        at += 4 + int.from_bytes(head[at + 1 : at + 4], "little")
    kind, length = head[at], int.from_bytes(head[at + 1 : at + 4], "little")
    own = {1: 2, 9: 12}.get(kind)
    if own is None or length < own:
        return None
    byte_rate = 1e6 / (256 - head[at + 4])
    if kind == 9:
        rate_hz, n_bits, n_channels = struct.unpack_from("<IBB", head, at + 4)
        byte_rate = rate_hz * n_bits / 8 * n_channels
    return Samples(at + 4 + own, length - own, byte_rate)


def _in_avr(head: bytes) -> Samples:
    n_channels = 2 if struct.unpack_from(">H", head, 12)[0] else 1
    n_bytes = n_channels * struct.unpack_from(">H", head, 14)[0] / 8
    rate_hz, n_frames = struct.unpack_from(">II", head, 22)
    return Samples(128, int(n_frames * n_bytes), (rate_hz & 0xFF_FFFF) * n_bytes)


_HEADERS = {
    b".snd": _in_au,
    b"dns.": _in_au,
    b"NIST": _in_sphere,
    b"Crea": _in_voc,
    b"2BIT": _in_avr,
}
