"""Sound that is odd but speech all the same, and sound that only looks like it."""

from __future__ import annotations

import importlib.util
import os
import re
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from esarm_env.audio.loading import measure_audio, read_audio
from esarm_env.core.errors import InputError
from esarm_env.corpus.folder import FolderCorpus
from esarm_env.formats.sound_suffixes import FFMPEG_SUFFIXES, SOUND_SUFFIXES, VIDEO_SUFFIXES

RATE_HZ = 16_000


def tone(duration_s: float, *, pitch_hz: float = 200.0, rate_hz: int = RATE_HZ) -> np.ndarray:
    time_s = np.arange(round(duration_s * rate_hz)) / rate_hz
    return (0.3 * np.sin(2 * np.pi * pitch_hz * time_s)).astype(np.float32)


def wav(folder: Path, samples: np.ndarray, *, subtype: str = "FLOAT") -> Path:
    path = folder / "a.wav"
    soundfile.write(path, samples, RATE_HZ, subtype=subtype)
    return path


# --- channels -----------------------------------------------------------------------------------


@pytest.mark.parametrize("gain", [-1.0, -0.9, -1.1])
def test_channels_that_cancel_are_one_channel(tmp_path: Path, gain: float) -> None:
    """A balanced microphone on a stereo input: both channels loud, and their mean silence."""
    left = tone(1)
    audio = read_audio(wav(tmp_path, np.stack([left, gain * left], axis=1)))
    np.testing.assert_allclose(audio, left if abs(gain) <= 1 else gain * left, atol=1e-6)


def test_one_quiet_microphone_among_many_channels_is_heard(tmp_path: Path) -> None:
    """An interface with 64 inputs: the mean of all is 36 dB below the one that speaks."""
    samples = np.zeros((RATE_HZ, 64), np.float32)
    samples[:, 40] = 0.1 * tone(1)
    np.testing.assert_allclose(read_audio(wav(tmp_path, samples)), samples[:, 40], atol=1e-7)


def test_two_speakers_on_two_channels_are_still_mixed(tmp_path: Path) -> None:
    """Unrelated channels do not cancel, whatever moment one looks at."""
    left, right = tone(1), tone(1, pitch_hz=317.0)
    audio = read_audio(wav(tmp_path, np.stack([left, -right], axis=1)))
    np.testing.assert_allclose(audio, (left - right) / 2, atol=1e-7)


def test_a_constant_is_silence(tmp_path: Path) -> None:
    """A muted microphone on an input with an offset: loud by its peak, and no sound."""
    path = wav(tmp_path, np.full(RATE_HZ, 0.3, np.float32))
    with pytest.raises(InputError, match=re.escape("must hold speech, got silence (peak 0.0e+00")):
        read_audio(path)
    speech = wav(tmp_path, tone(1) + 0.3)
    np.testing.assert_allclose(read_audio(speech), tone(1) + 0.3, atol=1e-6)


# --- scale --------------------------------------------------------------------------------------


@pytest.mark.parametrize("scale", [32_768.0, 2.0**31, 255.0])
def test_a_float_file_in_another_scale_is_refused(tmp_path: Path, scale: float) -> None:
    """Clipped, nearly all samples stand at the rail: a square wave for speech."""
    path = wav(tmp_path, tone(1) * np.float32(scale))
    peak = float(np.abs(tone(1)).max() * np.float32(scale))
    rule = f"{path}: samples must be within 2 of 0, full scale being 1, got a peak of {peak:g}"
    with pytest.raises(InputError, match=re.escape(rule)):
        read_audio(path)


def test_an_eight_bit_file_is_read(tmp_path: Path) -> None:
    """Unsigned samples: their middle is 128."""
    audio = read_audio(wav(tmp_path, tone(1), subtype="PCM_U8"))
    np.testing.assert_allclose(audio, tone(1), atol=0.01)


def test_samples_too_large_for_a_float_are_no_sound(tmp_path: Path) -> None:
    """A file of doubles: 1e300 becomes infinite."""
    path = wav(tmp_path, np.full(RATE_HZ, 1e300), subtype="DOUBLE")
    with pytest.raises(InputError, match=re.escape("samples must be finite, got 16000 NaN")):
        read_audio(path)


@pytest.mark.parametrize("rate_hz", [0, 1, 3_999, 384_001, 1_000_000_000, 4_000_000_000])
def test_a_rate_that_no_recorder_has_is_refused(tmp_path: Path, rate_hz: int) -> None:
    """At 1 Hz a second of speech lasts for hours; at 4 GHz it is no frame of motion."""
    path = wav(tmp_path, tone(1), subtype="PCM_16")
    data = bytearray(path.read_bytes())
    data[24:28] = rate_hz.to_bytes(4, "little")
    path.write_bytes(data)
    for read in (read_audio, measure_audio):
        with pytest.raises(InputError, match=re.escape(f"{path}: ")):
            read(path)


# --- what reads a file --------------------------------------------------------------------------


@pytest.mark.parametrize("ending", ["flac", "ogg", "mp3", "aiff", "caf", "au"])
@pytest.mark.parametrize("suffix", [".wav", ".mp4", ".xyz", ".raw", ""])
def test_the_content_of_a_file_counts_and_not_its_suffix(
    tmp_path: Path, ending: str, suffix: str
) -> None:
    """Download sites and phones rename; a `.raw` was a traceback."""
    soundfile.write(tmp_path / f"a.{ending}", tone(1), RATE_HZ)
    path = (tmp_path / f"a.{ending}").rename(tmp_path / f"b{suffix}")
    assert measure_audio(path) == pytest.approx(1.0, abs=0.1)
    assert len(read_audio(path)) == pytest.approx(RATE_HZ, abs=1600)


@pytest.mark.parametrize("codec", ["aac", "libopus", "libmp3lame"])
@pytest.mark.parametrize("suffix", [".wav", ".flac", ".dat"])
def test_what_libsndfile_does_not_know_pyav_reads(tmp_path: Path, codec: str, suffix: str) -> None:
    """A phone's AAC in a file called `.wav`."""
    av = pytest.importorskip("av", reason="videos need the extra `video`")
    with av.open(str(tmp_path / "a.mka"), "w", format="matroska") as container:
        stream = container.add_stream(codec, rate=48_000, layout="mono")
        samples = tone(1, rate_hz=48_000)
        for begin in range(0, 48_000, 960):
            data = samples[None, begin : begin + 960].copy()
            frame = av.AudioFrame.from_ndarray(data, format="fltp", layout="mono")
            frame.sample_rate, frame.pts = 48_000, begin
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    path = (tmp_path / "a.mka").rename(tmp_path / f"a{suffix}")
    assert measure_audio(path) == pytest.approx(1.0, abs=0.06)
    assert len(read_audio(path)) == pytest.approx(RATE_HZ, abs=1000)


def test_without_pyav_the_message_names_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever has a sound that libsndfile does not know must learn what would."""
    path = tmp_path / "a.wav"
    path.write_bytes(b"any sound at all" * 99)
    found = importlib.util.find_spec

    def without_av(name: str, package: str | None = None) -> object:
        return None if name == "av" else found(name, package)

    monkeypatch.setattr(importlib.util, "find_spec", without_av)
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(InputError, match=re.escape("run `pip install 'esarm[video]'`")):
        read_audio(path)


def test_a_file_that_cannot_be_sought_in_is_read(tmp_path: Path) -> None:
    """GSM 6.10, of telephones and dictation machines: soundfile wants to be told how much."""
    path = tmp_path / "a.wav"
    soundfile.write(path, tone(2, rate_hz=8000), 8000, subtype="GSM610")
    assert len(read_audio(path)) == pytest.approx(2 * RATE_HZ, abs=700)


@pytest.mark.parametrize("name", ["loop.wav", "x" * 300 + ".wav", "a\0b.wav", "folder"])
def test_a_path_that_cannot_be_opened_is_told_in_a_line(tmp_path: Path, name: str) -> None:
    """A link to itself, a name that no disk takes: errors of the system, not of the reader."""
    (tmp_path / "loop.wav").symlink_to("loop.wav")
    (tmp_path / "folder").mkdir()
    for read in (read_audio, measure_audio):
        with pytest.raises(InputError, match=re.escape(str(tmp_path))):
            read(tmp_path / name)


def test_a_name_that_is_no_unicode_is_read(tmp_path: Path) -> None:
    """Archives of other systems unpack to such names."""
    path = tmp_path / os.fsdecode(b"\xff.wav")
    soundfile.write(tmp_path / "a.wav", tone(1), RATE_HZ)
    (tmp_path / "a.wav").rename(path)
    assert len(read_audio(path)) == RATE_HZ


@pytest.mark.parametrize(
    "playlist",
    [
        "#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\n{}\n#EXT-X-ENDLIST\n",
        "ffconcat version 1.0\nfile '{}'\n",
        "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=-\nm=audio 5004 RTP/AVP 0\n",
    ],
)
@pytest.mark.parametrize("suffix", [".mp4", ".wav"])
def test_a_playlist_opens_nothing_that_it_names(tmp_path: Path, playlist: str, suffix: str) -> None:
    """FFmpeg takes it for a recording and opens the addresses in it."""
    pytest.importorskip("av", reason="videos need the extra `video`")
    soundfile.write(tmp_path / "secret.flac", tone(1), RATE_HZ)
    path = tmp_path / f"a{suffix}"
    path.write_text(playlist.format(tmp_path / "secret.flac"))
    with pytest.raises(InputError, match=re.escape(f"{path}: must be")):
        read_audio(path)


# --- one table of suffixes ----------------------------------------------------------------------


def test_suffixes_are_named_once(tmp_path: Path) -> None:
    """Whatever is in none of the lists is passed over by every scan, whatever lies in it."""
    every = (*SOUND_SUFFIXES, *VIDEO_SUFFIXES)
    assert len(set(every)) == len(every) and set(every) >= FFMPEG_SUFFIXES
    assert all(suffix == suffix.lower() and suffix.startswith(".") for suffix in every)


@pytest.mark.parametrize("ending", ["opus", "aif", "caf", "oga", "W64"])
def test_a_corpus_takes_every_kind_of_sound(tmp_path: Path, ending: str) -> None:
    """Read by the animator and unknown to the corpus: the takes were gone without a word."""
    kind = {"opus": "ogg", "oga": "ogg", "aif": "aiff", "caf": "caf", "W64": "w64"}[ending]
    subtype = "OPUS" if ending == "opus" else None
    path = tmp_path / "audio" / f"anna_1.{ending}"
    path.parent.mkdir()
    soundfile.write(path, tone(3), RATE_HZ, format=kind, subtype=subtype)
    (tmp_path / "blendshape").mkdir()
    np.save(tmp_path / "blendshape" / "anna_1.npy", np.full((90, 52), 0.2))
    corpus = FolderCorpus(tmp_path, verify=True)
    assert [take.audio for take in corpus.takes] == [path] and corpus.faults == ()


# --- what is no file ----------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a.wav", "a.mp4"])
@pytest.mark.parametrize("kind", ["a FIFO", "a folder", "a device", "no such file behind its link"])
def test_what_is_no_file_is_told_and_not_waited_for(tmp_path: Path, name: str, kind: str) -> None:
    """A FIFO waits for a writer, a device has no end; "no such file" sends its owner searching."""
    path = tmp_path / name
    if kind == "a FIFO":
        os.mkfifo(path)
    elif kind == "a folder":
        path.mkdir()
    else:
        path.symlink_to("/dev/zero" if kind == "a device" else tmp_path / "absent")
    for read in (measure_audio, read_audio):
        with pytest.raises(InputError, match=f"^{re.escape(f'{path}: must be a sound file')}") as e:
            read(path)
        assert str(e.value) == f"{path}: must be a sound file, got {kind}"


def test_a_corpus_passes_what_is_no_file(tmp_path: Path) -> None:
    """A FIFO among a thousand recordings must not stop the opening for ever."""
    (tmp_path / "audio").mkdir()
    soundfile.write(tmp_path / "audio" / "a.wav", tone(2), RATE_HZ)
    os.mkfifo(tmp_path / "audio" / "b.wav")
    (tmp_path / "audio" / "c.wav").symlink_to("/dev/zero")
    corpus = FolderCorpus(tmp_path, verify=True)
    assert [take.id for take in corpus.takes] == ["a"]
    reasons = " ".join(fault.reason for fault in corpus.faults)
    assert "a FIFO" in reasons and "a device" in reasons
