"""MP3 frames in a file: where each part begins, and a header that states how many it has.

An MP3 file is frames one behind the other; a Xing or Info header, the first frame of what an
encoder writes, states their number. Without it, a decoder guesses from the first frame's bit rate.
"""

from __future__ import annotations

import io
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass

from esarm_env.audio.sample_heads import read_at, told_lack

FARTHEST_SYNC = 1 << 16  # bytes of anything else inside a stream
_HEAD = 44  # bytes of a frame up to the name of a Xing header
_MOST_FALSE = 100_000  # bytes that look like a frame and are none
_WINDOW = 512
_VBRI_AT = 36  # where Fraunhofer's encoder states the same in a header of its own
# kbit/s by index of MPEG 1 and of MPEG 2 and 2.5, layer III; Hz by version and index.
_BIT_RATES = (
    (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
)
_RATES_HZ = {3: (44_100, 48_000, 32_000), 2: (22_050, 24_000, 16_000), 0: (11_025, 12_000, 8_000)}
_SYNC = re.compile(rb"\xff[\xe2\xe3\xf2\xf3\xfa\xfb]")


@dataclass(frozen=True)
class _Frame:
    """What the header of an MP3 frame states: its bytes, and what a decoder is set to."""

    n_bytes: int
    setting: tuple[int, int, bool]  # version, rate in Hz, mono

    @property
    def tag_at(self) -> int:
        """Where in the frame a Xing or Info header stands: behind the side information."""
        version, _, is_mono = self.setting
        return (
            4
            + {(3, False): 32, (3, True): 17, (0, False): 17, (0, True): 9}[
                3 if version == 3 else 0, is_mono
            ]
        )


def _mp3_frame(head: bytes) -> _Frame | None:
    """Parse the header of a layer III frame; None if it is none, or of a free bit rate."""
    if len(head) < 4 or _SYNC.match(head) is None:
        return None
    version, padding = head[1] >> 3 & 3, head[2] >> 1 & 1
    bit_rate, rate = head[2] >> 4, head[2] >> 2 & 3
    if rate == 3 or not 0 < bit_rate < 15 or version not in _RATES_HZ:
        return None
    rate_hz = _RATES_HZ[version][rate]
    scale = 144_000 if version == 3 else 72_000
    n_bytes = scale * _BIT_RATES[version != 3][bit_rate] // rate_hz + padding
    return _Frame(n_bytes, (version, rate_hz, head[3] >> 6 == 3))


def is_mp3(head: bytes) -> bool:
    """Return whether a file's first bytes are the header of an MP3 frame."""
    return _mp3_frame(head) is not None


def tag_length(tag: bytes) -> int:
    """Return the length of an ID3v2 tag by its first 10 bytes."""
    size = 0
    for byte in tag[6:10]:
        size = size << 7 | byte & 0x7F
    return 10 + size + 10 * bool(tag[5] & 0x10)  # a footer repeats the header


def mp3_parts(
    file: io.BufferedIOBase, begin: int, size: int
) -> Iterator[tuple[int, int, bytes, str]]:
    """Yield begin, end, corrected header and lack at the end of each part of an MP3 file.

    A part has one Xing header at most, and one setting.
    """
    start, last, setting, n_frames = begin, size, None, 0
    for at, frame, is_tag in _mp3_frames(file, begin, size):
        if n_frames and (is_tag or frame.setting != setting):
            yield _mp3_part(file, start, at, n_frames)
            n_frames = 0
        if not n_frames:
            start, setting = at, frame.setting
        n_frames += 1
        last = at + frame.n_bytes
    yield _mp3_part(file, start, min(last, size), n_frames) if n_frames else (begin, size, b"", "")


def _mp3_frames(file: io.BufferedIOBase, at: int, size: int) -> Iterator[tuple[int, _Frame, bool]]:
    """Yield place, header and whether it is a Xing header of each frame up to the last."""
    head, n_false = read_at(file, at, _HEAD), 0
    while at + 4 <= size and n_false < _MOST_FALSE:
        frame = _mp3_frame(head)
        after = b"" if frame is None else read_at(file, at + frame.n_bytes, _HEAD)
        if frame is None or not _may_follow(after):
            skipped = tag_length(head) if head[:3] == b"ID3" else _to_next_sync(file, at)
            if not skipped:
                return
            at += skipped
            n_false += 1
            head = read_at(file, at, _HEAD)
            continue
        yield at, frame, head[frame.tag_at : frame.tag_at + 4] in (b"Xing", b"Info")
        at += frame.n_bytes
        head = after


def _may_follow(head: bytes) -> bool:
    """Return whether these bytes may stand behind a frame, so that it is no accident of two."""
    is_tag = head[:3] in (b"ID3", b"TAG") or head[:8] == b"APETAGEX"
    return len(head) <= 4 or is_tag or _mp3_frame(head) is not None


def _to_next_sync(file: io.BufferedIOBase, at: int) -> int:
    """Return the distance to the next bytes that may be a frame, 0 if there are none near."""
    for begin in range(0, FARTHEST_SYNC, _WINDOW):
        found = _SYNC.search(read_at(file, at + begin, _WINDOW + 1), begin == 0)
        if found:
            return begin + found.start()
    return 0


def _mp3_part(
    file: io.BufferedIOBase, begin: int, end: int, n_frames: int
) -> tuple[int, int, bytes, str]:
    """Return a part with a Xing header that states its number of frames, and what it lacks."""
    head = read_at(file, begin, 60)
    frame = _mp3_frame(head)
    assert frame is not None, "a part begins with a frame"
    at, n_sounding = frame.tag_at, n_frames - 1
    lack = _lack(_stated_frames(head, at), n_sounding, frame)
    if head[at : at + 4] not in (b"Xing", b"Info"):
        # In the largest of frames, so that it has room for the side information and the count.
        loud = head[:1] + bytes([head[1] | 1, head[2] & 0x0C | 0xE0, head[3] & 0xFC])
        made = _mp3_frame(loud)
        assert made is not None, "a header of the same kind as the first one"
        tag = b"Info" + struct.pack(">II", 1, n_frames)
        return begin, end, (loud.ljust(at, b"\0") + tag).ljust(made.n_bytes, b"\0"), lack
    if _stated_frames(head, at) not in (None, n_sounding):
        fixed = head[: at + 8] + struct.pack(">I", n_sounding) + head[at + 12 :]
        return begin + len(fixed), end, fixed, lack
    return begin, end, b"", lack


def _stated_frames(head: bytes, at: int) -> int | None:
    """Return how many frames a part's first frame states, in a Xing or a VBRI header."""
    if head[_VBRI_AT : _VBRI_AT + 4] == b"VBRI":
        at += _VBRI_AT - at + 6
    elif head[at : at + 4] not in (b"Xing", b"Info") or len(head) < at + 12 or not head[at + 7] & 1:
        return None
    return int(struct.unpack_from(">I", head, at + 8)[0])


def _lack(stated: int | None, held: int, frame: _Frame) -> str:
    """Return what is missing of the frames that a header states, if it is more than a little."""
    version, rate_hz, _ = frame.setting
    frame_s = (1152 if version == 3 else 576) / rate_hz
    return "" if stated is None else told_lack(held * frame_s, stated * frame_s)
