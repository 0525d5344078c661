"""Audio file reader: any speech file as 16 kHz mono; files that hold no speech are refused.

libsndfile reads sound files; the sound of videos and AAC files goes through PyAV.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import soundfile

from esarm_env.audio.video_sound import SUFFIXES, read_sound, sound_duration_s
from esarm_env.core.errors import InputError
from esarm_env.core.types import SAMPLE_RATE_HZ, FloatArray

MIN_DURATION_S = 0.2
MAX_DURATION_S = 600.0
# -60 dBFS: below the noise floor of a bad microphone, above 16-bit dither.
SILENCE_PEAK = 1e-3


def read_audio(
    path: str | Path,
    *,
    min_duration_s: float = MIN_DURATION_S,
    max_duration_s: float = MAX_DURATION_S,
) -> FloatArray:
    """Read `path`, mix it to mono and resample it to 16 kHz.

    Args:
        path: A sound file of any rate and channel count (WAV, FLAC, Ogg, MP3, ...), or a video
            or AAC file (MP4, MOV, M4A, WebM, ...), whose first sound track counts.
        min_duration_s: Shorter files are refused.
        max_duration_s: Longer files are refused before their samples are read.

    Returns:
        Shape (n_samples,), float32, at 16 kHz.

    Raises:
        InputError: If the file is missing, empty, no audio, too short or long, silent, or holds
            NaN or infinite samples.
        MissingExtraError: If it is a video or AAC file and PyAV is absent.
    """
    path = Path(path)
    _check_exists(path)
    samples, rate_hz = _read_samples(path, min_duration_s, max_duration_s)
    if not np.isfinite(samples).all():
        bad = int(np.size(samples) - np.isfinite(samples).sum())
        raise InputError(f"{path}: samples must be finite, got {bad} NaN or infinite; re-export it")
    mono = samples.mean(axis=1)  # (n,)
    peak = float(np.abs(mono).max())
    if peak < SILENCE_PEAK:
        raise InputError(
            f"{path}: must hold speech, got silence (peak {peak:.1e}); check the recording's level"
        )
    if rate_hz != SAMPLE_RATE_HZ:
        mono = _resample(mono, rate_hz)
    limited: FloatArray = np.clip(mono, -1.0, 1.0, dtype=np.float32)
    return limited


def measure_audio(
    path: str | Path,
    *,
    min_duration_s: float = MIN_DURATION_S,
    max_duration_s: float = MAX_DURATION_S,
) -> float:
    """Return the duration of `path` in seconds by its header, without decoding it.

    Raises:
        InputError: If the file is missing, empty, no audio, or too short or long.
        MissingExtraError: If it is a video or AAC file and PyAV is absent.
    """
    path = Path(path)
    _check_exists(path)
    if path.suffix.lower() in SUFFIXES:
        duration_s = sound_duration_s(path)
    else:
        with _opened(path) as file:
            duration_s = float(file.frames / file.samplerate)
    _check_duration(path, duration_s, min_duration_s, max_duration_s)
    return duration_s


def _check_exists(path: Path) -> None:
    if not path.is_file():
        raise InputError(f"{path}: no such file; give the path of a sound file")
    if path.stat().st_size == 0:
        raise InputError(f"{path}: must hold audio, got an empty file (0 bytes)")


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[soundfile.SoundFile]:
    """Open a sound file; libsndfile's errors become an `InputError`."""
    try:
        with soundfile.SoundFile(path) as file:
            yield file
    except soundfile.SoundFileError as error:
        raise InputError(
            f"{path}: must be audio that libsndfile reads (WAV, FLAC, Ogg, MP3), got {error}"
        ) from error


def _read_samples(path: Path, shortest_s: float, longest_s: float) -> tuple[FloatArray, int]:
    """Return samples of shape (n, channels) and their rate."""
    if path.suffix.lower() in SUFFIXES:
        _check_duration(path, sound_duration_s(path), shortest_s, longest_s)
        return read_sound(path, longest_s=longest_s)
    with _opened(path) as file:
        _check_duration(path, file.frames / file.samplerate, shortest_s, longest_s)
        return file.read(dtype="float32", always_2d=True), file.samplerate


def _check_duration(path: Path, duration_s: float, shortest_s: float, longest_s: float) -> None:
    if not shortest_s <= duration_s <= longest_s:
        raise InputError(
            f"{path}: duration must be {shortest_s:g} to {longest_s:g} s, "
            f"got {duration_s:.3f} s; cut or join recordings first"
        )


def _resample(mono: FloatArray, rate_hz: int) -> FloatArray:
    import librosa  # heavy, and not needed for 16 kHz files

    return librosa.resample(mono, orig_sr=rate_hz, target_sr=SAMPLE_RATE_HZ)
