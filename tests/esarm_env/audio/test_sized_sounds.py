"""Sound files whose header counts bytes: all that is there is read, and what is missing is said."""

from __future__ import annotations

import io
import re
import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile

from esarm_env.audio.loading import measure_audio, read_audio
from esarm_env.core.errors import InputError

RATE_HZ = 16_000
SIZED = ["WAV", "WAVEX", "RF64", "W64", "AIFF", "SVX", "CAF", "AU", "NIST", "VOC", "AVR"]
NO_LENGTH = [0, 0xFFFF_FFFF, 0x7FFF_F000]
NO_LONG_LENGTH = [0, (1 << 64) - 1, (1 << 63) - 1, 0xFFFF_FFFF, 0x7FFF_FFFF]


def speech(duration_s: float, *, seed: int = 0) -> np.ndarray:
    noise = np.random.default_rng(seed).standard_normal(round(duration_s * RATE_HZ))
    return (0.1 * noise).clip(-0.9, 0.9).astype(np.float32)


def encoded(kind: str, samples: np.ndarray, **options: str) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, samples, RATE_HZ, format=kind, **options)
    return file.getvalue()


def with_number(data: bytes, at: int, code: str, number: int) -> bytes:
    """Return `data` with an unsigned number put at a place."""
    content = bytearray(data)
    struct.pack_into(code, content, at, number)
    return bytes(content)


def check(path: Path, content: bytes, expected: np.ndarray) -> None:
    """Check that `content` is measured and read as these samples, of 16 bits."""
    path.write_bytes(content)
    assert measure_audio(path) == pytest.approx(len(expected) / RATE_HZ, abs=1e-3)
    np.testing.assert_allclose(read_audio(path), expected, atol=1e-4)


def check_cut(path: Path, content: bytes, *, held_s: float, stated_s: float) -> None:
    """Check that `content` is refused with both durations, by headers and when it is read."""
    path.write_bytes(content)
    message = f"{path}: must be whole, got {held_s:.2f} s of the {stated_s:.2f} s that its header"
    for read in (measure_audio, read_audio):
        with pytest.raises(InputError, match=re.escape(message)):
            read(path)


@pytest.mark.parametrize("kind", SIZED)
def test_a_whole_file_of_any_kind_is_read_as_it_is(tmp_path: Path, kind: str) -> None:
    """What cares for wrong headers must change nothing in right ones."""
    check(tmp_path / "a.bin", encoded(kind, speech(1.5)), speech(1.5))


@pytest.mark.parametrize("kind", SIZED)
def test_a_cut_file_of_any_kind_is_refused(tmp_path: Path, kind: str) -> None:
    """Read without a word, its animation ends in the middle of a sentence."""
    content = encoded(kind, speech(2.0))[: -RATE_HZ * 2]
    check_cut(tmp_path / "a.bin", content, held_s=1.0, stated_s=2.0)


@pytest.mark.parametrize("kind", SIZED)
def test_files_of_any_kind_may_be_joined(tmp_path: Path, kind: str) -> None:
    """The second header was read as a click, or all behind it was left out."""
    one, other = speech(1.0), speech(0.7, seed=1)
    content = encoded(kind, one) + encoded(kind, other)
    check(tmp_path / "a.bin", content, np.concatenate([one, other]))


def test_files_of_different_kinds_may_be_joined(tmp_path: Path) -> None:
    """Whoever joins by `cat` does not look at what they are."""
    one, other = speech(1.0), speech(0.7, seed=1)
    content = encoded("AU", one) + encoded("CAF", other) + encoded("WAV", one)
    check(tmp_path / "a.bin", content, np.concatenate([one, other, one]))


@pytest.mark.parametrize("length", [*NO_LENGTH, 3200])
@pytest.mark.parametrize("order", [">", "<"])
def test_an_au_is_read_to_its_end(tmp_path: Path, length: int, order: str) -> None:
    """Streams have all ones by the format's own rule, others 0 or what was there before."""
    endian = {">": "BIG", "<": "LITTLE"}[order]
    content = encoded("AU", speech(2.0), endian=endian, subtype="PCM_16")
    check(tmp_path / "a.au", with_number(content, 8, f"{order}I", length), speech(2.0))


@pytest.mark.parametrize("length", [*NO_LONG_LENGTH, 3204])
def test_a_caf_is_read_to_its_end(tmp_path: Path, length: int) -> None:
    """A recording that was never closed has -1 by the format's own rule."""
    content = encoded("CAF", speech(2.0))
    at = content.index(b"data") + 4
    check(tmp_path / "a.caf", with_number(content, at, ">Q", length), speech(2.0))


@pytest.mark.parametrize("length", [*NO_LONG_LENGTH, 24, 3224])
def test_a_w64_is_read_to_its_end(tmp_path: Path, length: int) -> None:
    """Its lengths count the header of their chunk."""
    content = encoded("W64", speech(2.0))
    at = content.index(b"data\xf3\xac") + 16
    check(tmp_path / "a.w64", with_number(content, at, "<Q", length), speech(2.0))


@pytest.mark.parametrize("magic", [b"RF64", b"BW64"])
@pytest.mark.parametrize("length", [*NO_LONG_LENGTH, 3200])
def test_a_64_bit_wav_is_read_to_its_end(tmp_path: Path, length: int, magic: bytes) -> None:
    """Recorders write zeros in front and the length when they stop; power goes before."""
    content = magic + encoded("RF64", speech(2.0))[4:]
    content = with_number(with_number(content, 28, "<Q", length), 36, "<Q", length // 2)
    check(tmp_path / "a.wav", content, speech(2.0))


@pytest.mark.parametrize("length", [0, 3200])
def test_a_64_bit_wav_with_a_wrong_length_of_32_bits_is_read(tmp_path: Path, length: int) -> None:
    """A number that is not all ones stands for itself."""
    content = encoded("RF64", speech(2.0))
    at = content.index(b"data") + 4
    check(tmp_path / "a.wav", with_number(content, at, "<I", length), speech(2.0))


@pytest.mark.parametrize("length", [*NO_LENGTH, 3208])
@pytest.mark.parametrize("n_frames", [0, 1600])
def test_an_aiff_is_read_to_its_end(tmp_path: Path, length: int, n_frames: int) -> None:
    """It counts bytes and frames in two places."""
    content = encoded("AIFF", speech(2.0))
    content = with_number(content, content.index(b"COMM") + 10, ">I", n_frames)
    at = content.index(b"SSND") + 4
    check(tmp_path / "a.aiff", with_number(content, at, ">I", length), speech(2.0))


@pytest.mark.parametrize("kind", ["WAV", "RF64", "AU", "CAF"])
def test_a_file_without_a_length_may_begin_with_silence(tmp_path: Path, kind: str) -> None:
    """Zeros are no padding where the header knows of no samples at all: it was 0.000 s."""
    samples = np.concatenate([np.zeros(RATE_HZ, np.float32), speech(1.0)])
    content = encoded(kind, samples)
    at = {"AU": 8, "RF64": 28}.get(kind, content.index(b"data") + 4 if kind != "AU" else 0)
    code = {"AU": ">I", "RF64": "<Q", "CAF": ">Q", "WAV": "<I"}[kind]
    check(tmp_path / "a.bin", with_number(content, at, code, 0), samples)


def test_samples_that_go_on_with_silence_are_read(tmp_path: Path) -> None:
    """The old length ended in a pause: all behind it was taken for padding."""
    samples = np.concatenate([speech(1.0), np.zeros(RATE_HZ, np.float32), speech(1.0, seed=1)])
    content = encoded("WAV", samples)
    check(tmp_path / "a.wav", with_number(content, 40, "<I", 2 * RATE_HZ), samples)


@pytest.mark.parametrize("between", [b"", b"LIST\x04\0\0\0INFO"])
@pytest.mark.parametrize("kind", ["WAV", "AIFF"])
def test_every_stretch_of_samples_in_a_file_is_read(
    tmp_path: Path, kind: str, between: bytes
) -> None:
    """Editors that append write a second chunk; decoders stop behind the first."""
    one, other = speech(1.0), speech(0.7, seed=1)
    content, order, name = encoded(kind, one), "<", b"data"
    more = (other * 32_768).round().astype("<i2").tobytes()
    if kind == "AIFF":
        order, name = ">", b"SSND"
        between = between.replace(b"\x04\0\0\0", b"\0\0\0\x04")
        more = bytes(8) + (other * 32_768).round().astype(">i2").tobytes()
    content += between + name + struct.pack(f"{order}I", len(more)) + more
    content = with_number(content, 4, f"{order}I", len(content) - 8)
    check(tmp_path / "a.bin", content, np.concatenate([one, other]))
    check_cut(tmp_path / "b.bin", content[:-RATE_HZ], held_s=0.2, stated_s=0.7)


@pytest.mark.parametrize(
    ("kind", "tail"),
    [
        ("CAF", b"info" + struct.pack(">q", 8192) + b"\1" * 8192),
        ("W64", b"summ" + bytes.fromhex("f3acd3118cd100c04f8edb8a") + struct.pack("<Q", 8216)
         + b"\1" * 8192),
        ("RF64", b"LIST" + struct.pack("<I", 8192) + b"\1" * 8192),
        ("AU", bytes(9000)),
        ("AU", b"ID3" + b"\1" * 9000),
    ],
)  # fmt: skip
def test_what_stands_behind_the_samples_is_no_sound(tmp_path: Path, kind: str, tail: bytes) -> None:
    """A title read as samples is a click at the end of every sentence."""
    check(tmp_path / "a.bin", encoded(kind, speech(2.0)) + tail, speech(2.0))


def test_a_file_that_tells_no_bytes_a_second_is_cut_by_bytes(tmp_path: Path) -> None:
    """An AU of a coding without a fixed width: there are no seconds to speak of."""
    path = tmp_path / "a.au"
    content = with_number(encoded("AU", speech(2.0)), 12, ">I", 99)
    path.write_bytes(content[: -RATE_HZ * 2])
    message = f"{path}: must be whole, got 32000 bytes of the 64000 bytes that its header states"
    with pytest.raises(InputError, match=re.escape(message)):
        read_audio(path)


def test_a_long_header_is_not_put_in_front_of_thousands_of_stretches(tmp_path: Path) -> None:
    """A file of one megabyte would fill gigabytes: a copy of its header for each."""
    path = tmp_path / "a.wav"
    content = encoded("WAV", speech(1.0))
    head = content[:36] + b"JUNK" + struct.pack("<I", 1 << 20) + bytes(1 << 20)
    path.write_bytes(head + (b"data" + struct.pack("<I", 4) + bytes(4)) * 1000)
    message = f"{path}: must have its samples in one stretch, got more than 64 behind a header of"
    with pytest.raises(InputError, match=re.escape(message)):
        measure_audio(path)


def test_a_length_that_no_file_system_knows_is_refused(tmp_path: Path) -> None:
    """To look behind it is an error of the system, not of the file."""
    content = with_number(encoded("RF64", speech(1.0)), 28, "<Q", 1 << 47)
    stated_s = (1 << 47) / (2 * RATE_HZ)
    check_cut(tmp_path / "a.wav", content, held_s=1.0, stated_s=stated_s)
