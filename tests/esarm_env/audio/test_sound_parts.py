"""Joined and streamed sound files: all that is there is read, whatever a header counts."""

from __future__ import annotations

import re
import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile

from esarm_env.audio.loading import measure_audio, read_audio
from esarm_env.core.errors import InputError

RATE_HZ = 16_000


def speech(duration_s: float, *, rate_hz: int = RATE_HZ, seed: int = 0) -> np.ndarray:
    """Return noise whose loudness changes, so that a coder of variable rate has work to do."""
    time_s = np.arange(round(duration_s * rate_hz)) / rate_hz
    noise = np.random.default_rng(seed).standard_normal(len(time_s))
    return (0.1 * noise * (1 + np.sin(2 * np.pi * 2 * time_s))).astype(np.float32)


def written(path: Path, samples: np.ndarray, rate_hz: int = RATE_HZ) -> bytes:
    soundfile.write(path, samples, rate_hz)
    return path.read_bytes()


def seconds(path: Path) -> tuple[float, float]:
    """Return the duration as measured, and as read."""
    return measure_audio(path), len(read_audio(path)) / RATE_HZ


@pytest.mark.parametrize("ending", ["wav", "flac", "ogg", "mp3", "aiff"])
def test_a_whole_file_is_read_sample_by_sample(tmp_path: Path, ending: str) -> None:
    """What cares for odd files must change nothing in all others."""
    path = tmp_path / f"a.{ending}"
    written(path, speech(2.0))
    expected, _ = soundfile.read(path, dtype="float32")
    np.testing.assert_allclose(read_audio(path), expected.clip(-1, 1), atol=1e-7)
    assert measure_audio(path) == pytest.approx(2.0)


@pytest.mark.parametrize("ending", ["wav", "flac", "ogg", "mp3", "aiff"])
def test_parts_that_were_appended_to_one_file_are_all_read(tmp_path: Path, ending: str) -> None:
    """Pieces of a speech service in one file: the first header tells of the first piece alone."""
    one, other = speech(1.5), speech(1.0, seed=1)
    path = tmp_path / f"a.{ending}"
    first = written(path, one)
    joined = first + written(path, other)
    path.write_bytes(joined)
    assert seconds(path) == pytest.approx((2.5, 2.5), abs=0.15)
    audio = read_audio(path)
    start = len(audio) - len(other)
    # The delay of a coder apart, the second piece stands behind the first.
    overlap = np.correlate(audio[start - 1200 :], other[:-2400], "valid")
    assert overlap.max() > 0.5 * float(other @ other)


@pytest.mark.parametrize("ending", ["wav", "ogg", "mp3"])
def test_parts_may_differ_in_rate_and_channels(tmp_path: Path, ending: str) -> None:
    """An announcement at 44.1 kHz before speech at 16 kHz."""
    path = tmp_path / f"a.{ending}"
    stereo = np.stack([speech(1.0, rate_hz=44_100)] * 2, axis=1)
    first = written(path, stereo, 44_100)
    path.write_bytes(first + written(path, speech(1.0)))
    assert seconds(path) == pytest.approx((2.0, 2.0), abs=0.15)


def xing_at(data: bytes) -> int:
    return data.index(b"Xing")


def without_xing(data: bytes) -> bytes:
    """Return an MP3 without the frame that tells its length, as an encoder in a pipe writes it."""
    return data[data.index(data[:2], xing_at(data)) :]


def test_a_variable_rate_mp3_without_a_length_is_read_to_its_end(tmp_path: Path) -> None:
    """The length is guessed from the first frame's rate: 1.2 of 3 s were read, silently."""
    path = tmp_path / "a.mp3"
    quiet = np.concatenate([np.zeros(2 * RATE_HZ, np.float32), speech(3.0)])
    path.write_bytes(without_xing(written(path, quiet)))
    assert abs(soundfile.info(path).duration - 5.0) > 1.0, "the guess that must not be believed"
    assert seconds(path) == pytest.approx((5.0, 5.0), abs=0.15)


@pytest.mark.filterwarnings("ignore:.*ends early.*:RuntimeWarning")
@pytest.mark.parametrize("n_frames", [1, 100_000])
def test_a_wrong_length_in_an_mp3_is_corrected(tmp_path: Path, n_frames: int) -> None:
    """Cut or joined without a new header; the first is told besides."""
    path = tmp_path / "a.mp3"
    data = bytearray(written(path, speech(3.0)))
    at = xing_at(bytes(data))
    data[at + 8 : at + 12] = struct.pack(">I", n_frames)
    path.write_bytes(data)
    assert seconds(path) == pytest.approx((3.0, 3.0), abs=0.15)


def test_tags_between_the_parts_of_an_mp3_are_skipped(tmp_path: Path) -> None:
    """Each download brings its own: title in front, a second tag behind."""
    path = tmp_path / "a.mp3"
    data = written(path, speech(1.5))
    front = b"ID3\x04\0\0\0\0\x02\0" + bytes(256)
    path.write_bytes((front + data + b"TAG" + bytes(125)) * 2)
    assert seconds(path) == pytest.approx((3.0, 3.0), abs=0.15)


@pytest.mark.parametrize(
    ("riff", "data"),
    [
        (0, 0),
        (36, 0),
        (0xFFFF_FFFF, 0xFFFF_FFFF),
        (0x7FFF_F024, 0x7FFF_F000),
        (36 + 3200, 3200),
        (None, 3200),
    ],
)
def test_a_wav_whose_header_knows_no_length_is_read_to_its_end(
    tmp_path: Path, riff: int | None, data: int
) -> None:
    """Written to a pipe, or by a recorder that lost power: 0, a huge number, or an old one."""
    path = tmp_path / "a.wav"
    content = bytearray(written(path, speech(2.0)))
    content[4:8] = struct.pack("<I", len(content) - 8 if riff is None else riff)
    content[40:44] = struct.pack("<I", data)
    path.write_bytes(content)
    assert seconds(path) == pytest.approx((2.0, 2.0), abs=0.01)


@pytest.mark.parametrize("tail", [b"LIST\x04\0\0\0INFO", b"TAG" + bytes(5000), bytes(9000)])
def test_what_stands_behind_the_samples_is_no_sound(tmp_path: Path, tail: bytes) -> None:
    """A title read as samples is a click at the end of every sentence."""
    path = tmp_path / "a.wav"
    path.write_bytes(written(path, speech(2.0)) + tail)
    assert seconds(path) == (2.0, 2.0)


def test_a_wav_without_samples_is_refused(tmp_path: Path) -> None:
    """Its length of 0 is true."""
    path = tmp_path / "a.wav"
    path.write_bytes(written(path, speech(0.0)) + b"LIST\x04\0\0\0INFO")
    with pytest.raises(InputError, match=re.escape("duration must be 0.2 to 600 s, got 0.000 s")):
        read_audio(path)


@pytest.mark.parametrize("ending", ["wav", "aiff"])
def test_a_file_that_was_cut_short_is_refused(tmp_path: Path, ending: str) -> None:
    """A download that stopped: its animation would end in the middle and nobody be told."""
    path = tmp_path / f"a.{ending}"
    path.write_bytes(written(path, speech(2.0))[:-32_000])
    for read in (read_audio, measure_audio):
        with pytest.raises(InputError, match=re.escape(f"{path}: must be whole, got")):
            read(path)


@pytest.mark.parametrize("n_samples", [0, 100])
def test_a_flac_whose_header_knows_no_length_is_read_to_its_end(
    tmp_path: Path, n_samples: int
) -> None:
    """Encoders in a pipe write 0; the frames tell where they are."""
    path = tmp_path / "a.flac"
    data = bytearray(written(path, speech(2.3)))
    data[22:26] = struct.pack(">I", n_samples)
    path.write_bytes(data)
    assert seconds(path) == pytest.approx((2.3, 2.3), abs=1e-4)


def test_a_flac_that_was_cut_short_is_refused(tmp_path: Path) -> None:
    """Its header tells the whole length, and its decoder gives less."""
    path = tmp_path / "a.flac"
    data = written(path, speech(2.0))
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(InputError, match=re.escape(f"{path}: must be whole")):
        read_audio(path)


def test_a_length_that_no_file_has_room_for_takes_no_memory(tmp_path: Path) -> None:
    """2 to the 36th samples are 256 GiB: refused by its header, or read block by block."""
    path = tmp_path / "a.flac"
    data = bytearray(written(path, speech(2.0)))
    data[21] |= 0x0F
    data[22:26] = b"\xff\xff\xff\xff"
    path.write_bytes(data)
    with pytest.raises(InputError, match=re.escape("duration must be 0.2 to 600 s, got 4")):
        read_audio(path)
