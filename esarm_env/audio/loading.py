"""Audio file reader: any speech file as 16 kHz mono; files that hold no speech are refused.

What reads a file is told by its first bytes, not by its suffix: libsndfile sound files, PyAV the
sound of videos and AAC files, and whatever libsndfile does not know.
"""

from __future__ import annotations

import importlib.util
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from esarm_env.audio.mixing import Mixer
from esarm_env.audio.sound_files import (
    LEAST_RATE_HZ,
    MOST_RATE_HZ,
    UnknownFormatError,
    is_for_ffmpeg,
    measure_file,
    open_file,
    read_blocks,
)
from esarm_env.audio.video_sound import read_sound, sound_duration_s, sound_lack, sound_late_s
from esarm_env.core.errors import InputError
from esarm_env.formats.sound_suffixes import FFMPEG_SUFFIXES

if TYPE_CHECKING:
    import io
    from collections.abc import Callable, Sequence

    from esarm_env.core.types import FloatArray

MIN_DURATION_S = 0.2
MAX_DURATION_S = 600.0
# -60 dBFS: below the noise floor of a bad microphone, above 16-bit dither.
SILENCE_PEAK = 1e-3
# Full scale is 1. Overshoot of a codec or a loud float export is clipped; far beyond lies another
# scale, mostly that of 16-bit integers, and clipping would make square waves of it.
MOST_PEAK = 2.0
_MORE_S = 0.05  # by which sound may be longer than its header tells: a frame of a codec
_LOST_S = 0.5  # of a video's sound that may be missing at its end: some packets


def read_audio(
    path: str | Path,
    *,
    min_duration_s: float = MIN_DURATION_S,
    max_duration_s: float = MAX_DURATION_S,
    on_note: Callable[[str], None] | None = None,
) -> FloatArray:
    """Read `path`, mix it to mono and resample it to 16 kHz.

    The mean of the channels is taken. Where they cancel (a balanced microphone on a stereo input
    gives one channel and its negative), or their mean is silent and one of them is not, the loudest
    channel stands for all.

    Args:
        path: A sound file of any rate and channel count (WAV, FLAC, Ogg, MP3, ...), or a video
            or AAC file (MP4, MOV, M4A, WebM, ...), whose first sound track counts. Parts that were
            joined to one file are read one after the other.
        min_duration_s: Shorter files are refused.
        max_duration_s: Longer files are refused before their samples are read.
        on_note: Called with what is missing at the end of a file that can be read all the same;
            a `RuntimeWarning` by default.

    Returns:
        Shape (n_samples,), float32, at 16 kHz.

    Raises:
        InputError: If the file is missing, empty, no audio, cut short, too short or long, silent,
            far beyond full scale, or holds NaN or infinite samples.
        MissingExtraError: If it is a video or AAC file and PyAV is absent.
    """
    path = Path(path)
    with open_file(path) as file:
        expected_s, is_video, notes = _measure(file, path, max_duration_s)
        _check_duration(path, expected_s, min_duration_s, max_duration_s)
        source = None if is_video else file
        mixer = _mixed(source, path, expected_s, max_duration_s, channel=None)
        if (channel := mixer.channel_to_use(SILENCE_PEAK)) is not None:
            mixer = _mixed(source, path, expected_s, max_duration_s, channel=channel)
    if mixer.duration_s < expected_s - _LOST_S:
        raise InputError(
            f"{path}: must be whole, got {mixer.duration_s:.2f} s of the {expected_s:.2f} s that "
            "its header states; copy or export it again"
        )
    _check_duration(path, mixer.duration_s, min_duration_s, max_duration_s + _MORE_S)
    if mixer.peak < SILENCE_PEAK:
        beside = (
            f" beside a constant {mixer.offset:.2g}" if abs(mixer.offset) > SILENCE_PEAK else ""
        )
        raise InputError(
            f"{path}: must hold speech, got silence (peak {mixer.peak:.1e}{beside}); "
            "check the recording's level"
        )
    _tell(path, notes, on_note)
    audio = mixer.result()
    return np.clip(audio, -1.0, 1.0, out=audio)


def measure_audio(
    path: str | Path,
    *,
    min_duration_s: float = MIN_DURATION_S,
    max_duration_s: float = MAX_DURATION_S,
    on_note: Callable[[str], None] | None = None,
) -> float:
    """Return the duration of `path` in seconds by its headers, without decoding it.

    Headers that cannot tell (streamed files, joined parts) are corrected by what the file holds.
    What is missing at the end is told as `read_audio` tells it.

    Raises:
        InputError: If the file is missing, empty, no audio, cut short, or too short or long.
        MissingExtraError: If it is a video or AAC file and PyAV is absent.
    """
    path = Path(path)
    with open_file(path) as file:
        duration_s, _, notes = _measure(file, path, max_duration_s)
    _check_duration(path, duration_s, min_duration_s, max_duration_s)
    _tell(path, notes, on_note)
    return duration_s


def sound_lateness(path: Path) -> float:
    """Return how much later than its first picture a video's sound starts; 0 for sound files.

    Raises:
        InputError: If it is a video and cannot be decoded.
        MissingExtraError: If it is a video and PyAV is absent.
    """
    return sound_late_s(path) if path.suffix.lower() in FFMPEG_SUFFIXES else 0.0


def _tell(path: Path, notes: Sequence[str], on_note: Callable[[str], None] | None) -> None:
    """Tell what is missing at the end of a file."""
    for note in notes:
        if on_note is not None:
            on_note(note)
        else:
            warnings.warn(f"{path}: {note}", RuntimeWarning, stacklevel=3)


def _measure(file: io.FileIO, path: Path, longest_s: float) -> tuple[float, bool, tuple[str, ...]]:
    """Return the duration of a file in seconds, whether FFmpeg is to read it, and what it lacks.

    Its first bytes tell; where they do not, its suffix, and then what libsndfile says.
    """
    is_video = is_for_ffmpeg(file)
    if is_video is None:
        is_video = path.suffix.lower() in FFMPEG_SUFFIXES
    if is_video:
        return _measure_video(path)
    try:
        duration_s, notes = measure_file(file, path, longest_s=longest_s)
    except UnknownFormatError as error:
        if importlib.util.find_spec("av") is None:
            raise InputError(f"{error}; FFmpeg may: run `pip install 'esarm[video]'`") from error
        try:
            return _measure_video(path)
        except InputError:
            raise error from None
    return duration_s, False, notes


def _measure_video(path: Path) -> tuple[float, bool, tuple[str, ...]]:
    lack = sound_lack(path)
    return sound_duration_s(path), True, (lack,) if lack else ()


def _mixed(
    file: io.FileIO | None,
    path: Path,
    expected_s: float,
    longest_s: float,
    *,
    channel: int | None,
) -> Mixer:
    """Return a sound file's samples (a video's without `file`): mixed to mono, or one channel."""
    mixer = Mixer(channel, expected_s=expected_s)
    for samples, rate_hz in read_sound(path) if file is None else read_blocks(file, path):
        if not LEAST_RATE_HZ <= rate_hz <= MOST_RATE_HZ:
            raise InputError(
                f"{path}: sample rate must be {LEAST_RATE_HZ} to {MOST_RATE_HZ} Hz, got {rate_hz}; "
                "is its header damaged?"
            )
        mixer.add(samples, rate_hz)
        if mixer.duration_s > longest_s + _MORE_S:
            raise InputError(
                f"{path}: must last at most {longest_s:g} s, got more than its header tells; "
                "cut it first"
            )
    if mixer.n_bad:
        raise InputError(
            f"{path}: samples must be finite, got {mixer.n_bad} NaN or infinite; re-export it"
        )
    if mixer.highest > MOST_PEAK:
        raise InputError(
            f"{path}: samples must be within {MOST_PEAK:g} of 0, full scale being 1, got a peak of "
            f"{mixer.highest:g}; divide them (those of 16-bit integers by 32768)"
        )
    return mixer


def _check_duration(path: Path, duration_s: float, shortest_s: float, longest_s: float) -> None:
    if not shortest_s <= duration_s <= longest_s:
        raise InputError(
            f"{path}: duration must be {shortest_s:g} to {longest_s:g} s, "
            f"got {duration_s:.3f} s; cut or join recordings first"
        )
