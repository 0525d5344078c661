"""Mutated sound and video: each file is read, or refused by one line; nothing else may come out."""

from __future__ import annotations

import functools
import io
import resource
import struct
import warnings
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from esarm_env.audio.loading import measure_audio, read_audio, sound_lateness
from esarm_env.core.errors import InputError
from esarm_env.formats.timecodes import parse_timecodes

_RATE_HZ = 16_000
_TIME_S = np.arange(8000) / _RATE_HZ
_SPEECH = (0.2 * np.sin(2 * np.pi * 200 * _TIME_S) * (1 + np.sin(30 * _TIME_S))).astype(np.float32)
_GIGABYTE = 1 << 20  # in KiB, as `ru_maxrss` counts
_SPECIAL = [0, 1, 0x7F, 0x80, 0xFF, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF]


@functools.cache
def _sound(kind: str, subtype: str | None = None) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, _SPEECH, _RATE_HZ, format=kind, subtype=subtype)
    return file.getvalue()


@functools.cache
def _video(kind: str, codec: str) -> bytes:
    import av

    file = io.BytesIO()
    with av.open(file, "w", format=kind) as container:
        stream = container.add_stream(codec, rate=48_000, layout="mono")
        pictures = container.add_stream("mpeg4", rate=25) if kind != "adts" else None
        if pictures is not None:
            pictures.width = pictures.height = 32
        samples = np.repeat(_SPEECH, 3)
        for begin in range(0, len(samples), 960):
            data = samples[None, begin : begin + 960].copy()
            frame = av.AudioFrame.from_ndarray(data, format="fltp", layout="mono")
            frame.sample_rate, frame.time_base = 48_000, Fraction(1, 48_000)
            frame.pts = begin
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
        if pictures is not None:
            for number in range(12):
                picture = av.VideoFrame.from_ndarray(
                    np.zeros((32, 32, 3), np.uint8), format="rgb24"
                )
                picture.pts = number
                container.mux(pictures.encode(picture))
            container.mux(pictures.encode())
    return file.getvalue()


_SOUNDS: dict[str, Callable[[], bytes]] = {
    "pcm.wav": lambda: _sound("WAV"),
    "float.wav": lambda: _sound("WAV", "FLOAT"),
    "gsm.wav": lambda: _sound("WAV", "GSM610"),
    "adpcm.wav": lambda: _sound("WAV", "MS_ADPCM"),
    "joined.wav": lambda: 2 * _sound("WAV"),
    "a.flac": lambda: _sound("FLAC"),
    "joined.flac": lambda: 2 * _sound("FLAC"),
    "a.mp3": lambda: _sound("MP3"),
    "joined.mp3": lambda: 2 * _sound("MP3"),
    "a.ogg": lambda: _sound("OGG", "VORBIS"),
    "joined.opus": lambda: 2 * _sound("OGG", "OPUS"),
    "a.aiff": lambda: _sound("AIFF"),
    "a.caf": lambda: _sound("CAF"),
    "a.w64": lambda: _sound("W64"),
    "a.rf64": lambda: _sound("RF64"),
    "joined.au": lambda: 2 * _sound("AU"),
    "a.sph": lambda: _sound("NIST"),
    "a.voc": lambda: _sound("VOC"),
    "a.avr": lambda: _sound("AVR"),
    "a.svx": lambda: _sound("SVX"),
}
_VIDEOS: dict[str, Callable[[], bytes]] = {
    "a.mov": lambda: _video("mov", "pcm_s16le"),
    "a.mp4": lambda: _video("ismv", "aac"),
    "a.mkv": lambda: _video("matroska", "aac"),
    "a.avi": lambda: _video("avi", "pcm_s16le"),
    "a.aac": lambda: _video("adts", "aac"),
    "a.ts": lambda: _video("mpegts", "aac"),
}


def _mutated(data: bytes, draw: st.DataObject) -> bytes:
    """Return `data` with some of its bytes changed, cut, doubled, put in or left out."""
    content = bytearray(data)
    for _ in range(draw.draw(st.integers(1, 4))):
        # Headers stand in front, and are what a decoder believes.
        last = max(0, len(content) - 1)
        at = draw.draw(st.integers(0, min(last, 120)) | st.integers(0, last))
        what = draw.draw(st.sampled_from("bit number cut drop double insert".split()))
        length = draw.draw(st.integers(1, 300))
        if what == "bit" and content:
            content[at] ^= 1 << draw.draw(st.integers(0, 7))
        elif what == "number":
            order = draw.draw(st.sampled_from("<>"))
            content[at : at + 4] = struct.pack(f"{order}I", draw.draw(st.sampled_from(_SPECIAL)))
        elif what == "cut":
            del content[at:]
        elif what == "drop":
            del content[at : at + length]
        elif what == "double":
            content[at:at] = content[at : at + length]
        else:
            content[at:at] = draw.draw(st.binary(max_size=length))
    return bytes(content)


def _read_or_refuse(path: Path) -> None:
    """Use a file in every way; anything but success and an `InputError` about it is a fault."""
    for read in (measure_audio, read_audio, sound_lateness):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", RuntimeWarning)  # of what is missing
                found = read(path)
        except InputError as error:
            assert str(error).startswith(f"{path}: "), error
            assert "\n" not in str(error)
        else:
            assert np.isfinite(found).all() and np.abs(found).max(initial=0.0) <= 600.0


def _memory_kib() -> int:
    """Return the most memory that this process has taken so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


@given(draw=st.data(), name=st.sampled_from(sorted(_SOUNDS)))
def test_a_mutated_sound_file_is_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, draw: st.DataObject, name: str
) -> None:
    """One file of a thousand must not end what reads the others, nor fill the memory."""
    path = tmp_path_factory.getbasetemp() / f"mutated-{name}"
    path.write_bytes(_mutated(_SOUNDS[name](), draw))
    before = _memory_kib()
    _read_or_refuse(path)
    assert _memory_kib() - before < _GIGABYTE


@given(draw=st.data(), name=st.sampled_from(sorted(_VIDEOS)))
def test_a_mutated_video_is_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, draw: st.DataObject, name: str
) -> None:
    """FFmpeg and its bindings have errors of many kinds, some of them Python's own."""
    pytest.importorskip("av", reason="videos need the extra `video`")
    path = tmp_path_factory.getbasetemp() / f"mutated-{name}"
    path.write_bytes(_mutated(_VIDEOS[name](), draw))
    before = _memory_kib()
    _read_or_refuse(path)
    assert _memory_kib() - before < _GIGABYTE


@given(
    codes=st.lists(
        st.from_regex(r"\d{1,2}[:;.]\d{1,2}[:;.]\d{1,2}[:;.,]\d{1,3}([.,:;]\d{1,6})?")
        | st.text(max_size=14),
        min_size=1,
        max_size=12,
    )
)
def test_any_timecodes_are_parsed_or_refused(codes: list[str]) -> None:
    """Frames come out in order, and at a rate that is one."""

    def fault(row: int, got: str) -> InputError:
        return InputError(f"{codes[row]!r}: {got}")

    try:
        found = parse_timecodes(codes, fault)
    except InputError:
        return
    assert (np.diff(found.frames) >= 0).all() and found.frames[0] == 0
    assert 0 < found.rate_hz <= found.counted_hz <= 1000
