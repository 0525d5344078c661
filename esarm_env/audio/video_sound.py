"""PyAV decoder for the sound tracks of video and AAC files, which libsndfile cannot read.

Also says when that sound starts on the file's clock: video and sound of one recording often start
some milliseconds apart, and lips that are off by 50 ms look wrong.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from esarm_env.core.errors import InputError, MissingExtraError

if TYPE_CHECKING:
    from esarm_env.core.types import FloatArray

SUFFIXES = frozenset(
    ".3gp .aac .avi .flv .m4a .m4v .mkv .mov .mp4 .mpeg .mpg .ts .webm .wma .wmv".split()
)
# Time stamps are rounded to as much as a millisecond; a lost packet of AAC takes 21 ms.
_SMALLEST_GAP_S = 0.01


@contextlib.contextmanager
def open_media(path: Path, *, extra: str = "video") -> Iterator[Any]:
    """Open `path` with PyAV; decoding errors in the block become an `InputError` about the file.

    Args:
        path: An existing file.
        extra: The extra to name if PyAV is absent.

    Yields:
        The `av.container.InputContainer`.

    Raises:
        MissingExtraError: If PyAV is absent.
        InputError: If FFmpeg cannot open the file, or cannot decode it inside the block.
    """
    try:
        import av
    except ModuleNotFoundError as error:
        purpose = f"Reading {path.suffix} files"
        raise MissingExtraError("av", extra=extra, purpose=purpose) from error
    try:
        with av.open(str(path), metadata_errors="ignore") as container:
            yield container
    except av.error.FFmpegError as error:
        raise InputError(
            f"{path}: must be a whole media file that FFmpeg decodes, got {error.strerror}; "
            "play it to see whether it is damaged"
        ) from error


def read_sound(path: Path, *, longest_s: float) -> tuple[FloatArray, int]:
    """Decode the first sound track to mono samples.

    Packets that are missing in the middle become silence, so that sample `n` stands at
    `n / rate` seconds after `sound_start_s` all the way.

    Args:
        path: A media file.
        longest_s: Where to stop with an error, should the header have told too little.

    Returns:
        Samples mixed to mono, shape (n_samples, 1), float32; and their rate in Hz.

    Raises:
        MissingExtraError: If PyAV is absent.
        InputError: If the file has no sound or cannot be decoded.
    """
    with open_media(path) as container:
        frames = _decoded(container.decode(_sound_track(container, path)))
        parts, rate_hz = _without_gaps(path, frames, longest_s)
    if not parts:
        raise InputError(f"{path}: must hold sound, got a sound track without samples")
    return np.concatenate(parts)[:, None], rate_hz


def sound_duration_s(path: Path) -> float:
    """Return the duration of the first sound track, without decoding it.

    The header tells, but for Matroska and raw AAC, whose packets are counted.

    Raises:
        MissingExtraError: If PyAV is absent.
        InputError: If the file has no sound or cannot be opened.
    """
    with open_media(path) as container:
        stream = _sound_track(container, path)
        # The header of raw AAC is FFmpeg's guess from the bit rate.
        if stream.duration is not None and container.format.name != "aac":
            return float(stream.duration * stream.time_base)
        begin, end = math.inf, -math.inf
        for packet in container.demux(stream):
            if packet.pts is not None:
                begin = min(begin, packet.pts)
                end = max(end, packet.pts + (packet.duration or 0))
        return max(0.0, (end - begin) * float(stream.time_base))


def sound_start_s(path: Path) -> float | None:
    """Return the time of the first sample of `read_sound` on the clock of the video's frames.

    Returns:
        Seconds, often but not always 0; None if there is no sound.

    Raises:
        MissingExtraError: If PyAV is absent.
        InputError: If the file cannot be opened, or its sound cannot be decoded.
    """
    with open_media(path) as container:
        if not container.streams.audio:
            return None
        for frame in container.decode(container.streams.audio[0]):
            if frame.samples:
                return None if frame.time is None else float(frame.time)
    return None


def _sound_track(container: Any, path: Path) -> Any:
    if not container.streams.audio:
        raise InputError(f"{path}: must have a sound track, got none; use another recording")
    return container.streams.audio[0]


def _decoded(frames: Iterable[Any]) -> Iterator[tuple[float | None, FloatArray, int]]:
    """Yield time in seconds, mono samples (n,) and rate in Hz of each frame that holds any."""
    import av

    to_float = av.AudioResampler(format="fltp")
    for frame in frames:
        if not frame.samples:
            continue
        time_s = frame.time
        for converted in to_float.resample(frame):
            samples = converted.to_ndarray().mean(axis=0, dtype=np.float32)  # (n,)
            yield time_s, samples, converted.sample_rate


def _without_gaps(
    path: Path, frames: Iterable[tuple[float | None, FloatArray, int]], longest_s: float
) -> tuple[list[FloatArray], int]:
    """Return the samples in order, with silence where time stamps skip ahead, and their rate."""
    parts: list[FloatArray] = []
    n_samples, rate_hz, start_s = 0, 0, None
    for time_s, samples, rate_hz in frames:
        start_s = time_s if start_s is None else start_s
        if time_s is not None and start_s is not None:
            gap = round((time_s - start_s) * rate_hz) - n_samples
            if _SMALLEST_GAP_S * rate_hz < gap < longest_s * rate_hz:
                parts.append(np.zeros(gap, dtype=np.float32))
                n_samples += gap
        parts.append(samples)
        n_samples += len(samples)
        if n_samples > longest_s * rate_hz:
            raise InputError(
                f"{path}: must last at most {longest_s:g} s, got more than its header tells; "
                "cut it first"
            )
    return parts, rate_hz
