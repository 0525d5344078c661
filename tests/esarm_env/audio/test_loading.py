"""Reading speech: what is no speech is refused by name, and what is comes out at 16 kHz mono."""

from __future__ import annotations

import re
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import soundfile

from esarm_env.audio import read_audio
from esarm_env.audio.loading import MAX_DURATION_S, MIN_DURATION_S, SILENCE_PEAK, measure_audio
from esarm_env.audio.video_sound import read_sound, sound_start_s
from esarm_env.core.errors import InputError, MissingExtraError

RATE_HZ = 16_000


def tone(duration_s: float, *, rate_hz: int = RATE_HZ, pitch_hz: float = 1000.0) -> np.ndarray:
    time_s = np.arange(round(duration_s * rate_hz)) / rate_hz
    return (0.5 * np.sin(2 * np.pi * pitch_hz * time_s)).astype(np.float32)


def wav(
    folder: Path, samples: np.ndarray, *, rate_hz: int = RATE_HZ, subtype: str = "FLOAT"
) -> Path:
    path = folder / "speech.wav"
    soundfile.write(path, samples, rate_hz, subtype=subtype)
    return path


def peak_hz(audio: np.ndarray) -> float:
    spectrum = np.abs(np.fft.rfft(audio * np.hanning(len(audio))))
    return float(np.argmax(spectrum) * RATE_HZ / len(audio))


def refused(path: Path, rule: str, **limits: float) -> None:
    """Check that `path` is refused and that the message names it first."""
    with pytest.raises(InputError, match=re.escape(f"{path}: {rule}")):
        read_audio(path, **limits)


@pytest.mark.parametrize(
    ("name", "rule"),
    [
        ("absent.wav", "no such file; give the path of a sound file"),
        (".", "must be a sound file, got a folder"),
    ],
)
def test_a_missing_file_is_rejected(tmp_path: Path, name: str, rule: str) -> None:
    """libsndfile would only say "System error"; a folder would be opened as a file."""
    refused(tmp_path / name, rule)


def test_an_empty_file_is_rejected(tmp_path: Path) -> None:
    """A full disk leaves such files behind."""
    path = tmp_path / "speech.wav"
    path.touch()
    refused(path, "must hold audio, got an empty file (0 bytes)")


@pytest.mark.parametrize("content", [b"hello, this is text\n" * 50, b"RIFF\x24\x00\x00\x00WAVE"])
def test_a_file_that_is_no_audio_is_rejected(tmp_path: Path, content: bytes) -> None:
    """A text with another ending, or a header alone, must not end in a traceback."""
    path = tmp_path / "speech.wav"
    path.write_bytes(content)
    refused(path, "must be audio that libsndfile reads (WAV, FLAC, Ogg, MP3), got ")


@pytest.mark.parametrize("n_samples", [0, 1, 160, 3199])
def test_a_short_file_is_rejected(tmp_path: Path, n_samples: int) -> None:
    """Ten milliseconds hold no frame of motion, and no window of the spectrum."""
    path = wav(tmp_path, tone(1)[:n_samples])
    rule = f"duration must be 0.2 to 600 s, got {n_samples / RATE_HZ:.3f} s"
    refused(path, f"{rule}; cut or join recordings first")


def test_a_long_file_is_rejected(tmp_path: Path) -> None:
    """An hour by accident would fill the memory before anyone saw a message."""
    path = wav(tmp_path, tone(1.01))
    rule = "duration must be 0.2 to 1 s, got 1.010 s; cut or join recordings first"
    refused(path, rule, max_duration_s=1.0)


def test_the_limits_of_the_duration_are_allowed(tmp_path: Path) -> None:
    """A strict comparison would refuse a file that the message says is fine."""
    assert (MIN_DURATION_S, MAX_DURATION_S) == (0.2, 600.0)
    assert len(read_audio(wav(tmp_path, tone(0.2)))) == 3200
    assert len(read_audio(wav(tmp_path, tone(1)), max_duration_s=1.0)) == RATE_HZ
    assert len(read_audio(wav(tmp_path, tone(0.01)), min_duration_s=0.01)) == 160


@pytest.mark.parametrize(("peak", "shown"), [(0.0, "0.0e+00"), (0.99e-3, "9.9e-04")])
def test_silence_is_rejected(tmp_path: Path, peak: float, shown: str) -> None:
    """A muted microphone would be animated with a face that means nothing."""
    samples = np.zeros(RATE_HZ, np.float32)
    samples[100] = peak
    rule = f"must hold speech, got silence (peak {shown}); check the recording's level"
    refused(wav(tmp_path, samples), rule)


def test_quiet_speech_is_allowed(tmp_path: Path) -> None:
    """A far microphone is no silence."""
    samples = np.zeros(RATE_HZ, np.float32)
    samples[100] = -1.01 * SILENCE_PEAK
    assert np.abs(read_audio(wav(tmp_path, samples))).max() >= SILENCE_PEAK


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_samples_that_are_not_finite_are_rejected(tmp_path: Path, value: float) -> None:
    """One nan makes every feature nan, and the policy answers all the same."""
    samples = np.stack([tone(1), tone(1)], axis=1)
    samples[[5, 50, 500], 1] = value
    refused(wav(tmp_path, samples), "samples must be finite, got 3 NaN or infinite; re-export it")


@pytest.mark.parametrize("rate_hz", [8_000, 16_000, 44_100, 48_000])
@pytest.mark.parametrize("n_channels", [1, 2])
def test_every_rate_and_channel_count_comes_out_at_16_khz(
    tmp_path: Path, rate_hz: int, n_channels: int
) -> None:
    """A rate taken for another shifts pitch and timing, and still sounds like speech."""
    mono = tone(1.5, rate_hz=rate_hz)
    samples = np.stack([mono] * n_channels, axis=1)
    audio = read_audio(wav(tmp_path, samples, rate_hz=rate_hz, subtype="PCM_16"))
    assert audio.dtype == np.float32
    assert audio.shape == (24_000,)
    assert peak_hz(audio) == pytest.approx(1000, abs=1)
    np.testing.assert_allclose(audio[2000:-2000], tone(1.5)[2000:-2000], atol=2e-3)


def test_channels_are_averaged(tmp_path: Path) -> None:
    """Taking the first one alone loses an interview's second speaker."""
    left, right = tone(1, pitch_hz=500), tone(1, pitch_hz=3000)
    audio = read_audio(wav(tmp_path, np.stack([left, right], axis=1)))
    np.testing.assert_allclose(audio, (left + right) / 2, atol=1e-6)


def test_loud_samples_are_clipped(tmp_path: Path) -> None:
    """A float file may exceed full scale; everything after counts on [-1, 1]."""
    audio = read_audio(wav(tmp_path, 4 * tone(1)))
    assert (audio.min(), audio.max()) == (-1, 1)


@pytest.mark.parametrize("ending", ["flac", "ogg"])
def test_other_formats_are_read(tmp_path: Path, ending: str) -> None:
    """Corpora come as FLAC and Ogg as often as WAV."""
    path = tmp_path / f"speech.{ending}"
    soundfile.write(path, tone(1), RATE_HZ)
    assert peak_hz(read_audio(str(path))) == pytest.approx(1000, abs=1)


@pytest.mark.parametrize("ending", ["wav", "flac", "ogg"])
def test_a_header_tells_the_duration(tmp_path: Path, ending: str) -> None:
    """A corpus of thousands opens by its headers alone."""
    path = tmp_path / f"speech.{ending}"
    soundfile.write(path, tone(1.25, rate_hz=8000), 8000)
    assert measure_audio(str(path)) == pytest.approx(1.25)


@pytest.mark.parametrize(
    ("name", "content", "rule"),
    [
        ("absent.wav", None, "no such file; give the path of a sound file"),
        ("empty.mp4", b"", "must hold audio, got an empty file (0 bytes)"),
        ("text.wav", b"hello" * 99, "must be audio that libsndfile reads (WAV, FLAC, Ogg, MP3)"),
    ],
)
def test_what_has_no_header_is_rejected(
    tmp_path: Path, name: str, content: bytes | None, rule: str
) -> None:
    """Measuring comes before reading, so this is where bad files are met first."""
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=re.escape(f"{path}: {rule}")):
        measure_audio(path)


def test_without_pyav_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """MEAD's sound is M4A, and libsndfile would call it no audio."""
    path = tmp_path / "speech.M4A"
    path.write_bytes(b"any")
    monkeypatch.setitem(sys.modules, "av", None)
    rule = "Reading .M4A files needs `av`: run `pip install 'esarm[video]'`"
    for read in (read_audio, measure_audio):
        with pytest.raises(MissingExtraError, match=re.escape(rule)):
            read(path)


def media(
    path: Path,
    *,
    codec: str = "pcm_s16le",
    n_channels: int = 1,
    starts_s: float = 0.0,
    missing_s: tuple[float, float] = (9.0, 9.0),
) -> Path:
    """Write 0.5 s of silence and 1 s of tone, without the blocks that begin in `missing_s`."""
    av = pytest.importorskip("av", reason="videos need the extra `video`")
    rate_hz, block = 48_000, 960
    layout = {1: "mono", 2: "stereo"}[n_channels]
    mono = np.concatenate([np.zeros(rate_hz // 2), tone(1, rate_hz=rate_hz)])
    samples = np.repeat(mono[None].astype(np.float32), n_channels, axis=0)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate_hz, layout=layout)
        for begin in range(0, len(mono), block):
            if missing_s[0] <= begin / rate_hz < missing_s[1]:
                continue
            data = samples[:, begin : begin + block].copy()
            frame = av.AudioFrame.from_ndarray(data, format="fltp", layout=layout)
            frame.sample_rate, frame.time_base = rate_hz, Fraction(1, rate_hz)
            frame.pts = begin + round(starts_s * rate_hz)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def silent_video(path: Path) -> Path:
    av = pytest.importorskip("av", reason="videos need the extra `video`")
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.width = stream.height = 32
        picture = np.zeros((32, 32, 3), np.uint8)
        container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    return path


def onset_s(audio: np.ndarray) -> float:
    return float(np.argmax(np.abs(audio) > 0.25) / RATE_HZ)


@pytest.mark.parametrize(
    ("name", "codec", "n_channels"),
    [
        ("a.mp4", "aac", 1),
        ("a.m4a", "aac", 2),
        ("a.MOV", "pcm_s16le", 2),
        ("a.mkv", "pcm_s16le", 1),
        ("a.webm", "libopus", 1),
        ("a.avi", "pcm_s16le", 2),
        ("a.aac", "aac", 1),
    ],
)
def test_the_sound_of_videos_is_read(
    tmp_path: Path, name: str, codec: str, n_channels: int
) -> None:
    """Speech comes with its video; a wrong rate or a lost lead-in shifts it against the lips."""
    path = media(tmp_path / name, codec=codec, n_channels=n_channels)
    audio = read_audio(path)
    # Raw AAC alone keeps the encoder's lead-in of 21 ms, which no header tells.
    assert audio.dtype == np.float32
    assert onset_s(audio) == pytest.approx(0.5, abs=0.03)
    assert peak_hz(audio) == pytest.approx(1000, abs=1)
    assert measure_audio(path) == pytest.approx(len(audio) / RATE_HZ, abs=0.05)
    assert len(audio) / RATE_HZ == pytest.approx(1.5, abs=0.05)


@pytest.mark.parametrize("starts_s", [0.0, 0.3])
def test_the_start_of_the_sound_is_on_the_clock_of_the_file(
    tmp_path: Path, starts_s: float
) -> None:
    """Motion is laid against the first sample, wherever the video began."""
    path = media(tmp_path / "a.mkv", starts_s=starts_s)
    assert sound_start_s(path) == pytest.approx(starts_s, abs=1e-3)
    assert onset_s(read_audio(path)) == pytest.approx(0.5, abs=1e-3), "counted from there"


def test_lost_packets_are_silence(tmp_path: Path) -> None:
    """Joined over the gap, all that follows would be early."""
    path = media(tmp_path / "a.mkv", missing_s=(0.1, 0.4))
    audio = read_audio(path)
    assert onset_s(audio) == pytest.approx(0.5, abs=2e-3)
    assert len(audio) == pytest.approx(1.5 * RATE_HZ, abs=32)


def test_a_video_without_sound_is_rejected(tmp_path: Path) -> None:
    """A silent camera cannot drive a face."""
    path = silent_video(tmp_path / "a.mp4")
    refused(path, "must have a sound track, got none; use another recording")
    assert sound_start_s(path) is None


def test_a_damaged_video_is_rejected(tmp_path: Path) -> None:
    """A download that stopped has no index."""
    pytest.importorskip("av", reason="videos need the extra `video`")
    path = tmp_path / "a.mp4"
    path.write_bytes(b"not found" * 99)
    refused(path, "must be a whole media file that FFmpeg decodes, got Invalid data found when")


def test_a_long_or_short_video_is_rejected(tmp_path: Path) -> None:
    """The limits are those of any sound file."""
    path = media(tmp_path / "a.mov")
    refused(path, "duration must be 0.2 to 1 s, got 1.500 s; cut or join", max_duration_s=1.0)
    refused(path, "duration must be 2 to 600 s, got 1.500 s; cut or join", min_duration_s=2.0)


def test_a_header_that_tells_too_little_does_not_fill_the_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stream that was never closed says 0 s and goes on for a day."""
    path = media(tmp_path / "a.mov")
    monkeypatch.setattr("esarm_env.audio.loading.sound_duration_s", lambda path: 0.5)
    refused(path, "must last at most 1 s, got more than its header tells", max_duration_s=1.0)


@pytest.mark.parametrize("n_channels", [2, 9, 17])
def test_a_video_of_many_channels_is_read(tmp_path: Path, n_channels: int) -> None:
    """A plane for each of more than eight ended the process: memory of others was read."""
    pytest.importorskip("av", reason="videos need the extra `video`")
    path = tmp_path / "a.wav"
    samples = np.random.default_rng(0).uniform(-0.5, 0.5, (RATE_HZ, n_channels))
    soundfile.write(path, samples, RATE_HZ, format="WAVEX")
    found = np.concatenate([block for block, _ in read_sound(path)])
    np.testing.assert_allclose(found, samples, atol=1e-4)


def test_a_sound_track_without_samples_is_rejected(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Joining no parts would end in numpy's words."""
    path = media(tmp_path / "a.mkv")
    monkeypatch.setattr("esarm_env.audio.video_sound._decoded", lambda frames: iter(()))
    refused(path, "must hold sound, got a sound track without samples")
