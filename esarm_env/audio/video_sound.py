"""PyAV decoder for the sound tracks of video and AAC files, which libsndfile cannot read.

Also says when that sound starts on the file's clock: video and sound of one recording often start
some milliseconds apart, and lips that are off by 50 ms look wrong.
"""

from __future__ import annotations

import contextlib
import io
import math
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from esarm_env.audio.sample_heads import told_lack
from esarm_env.core.errors import InputError, MissingExtraError, one_line

if TYPE_CHECKING:
    from esarm_env.core.types import FloatArray

# FFmpeg opens what a playlist names, be it on another machine: so it may take recordings alone.
_FORMATS = (
    "mov,mp4,matroska,webm,aac,avi,flv,asf,mpeg,mpegts,mp3,ogg,wav,w64,flac,caf,aiff,au,amr,ac3,"
    "eac3,dts,nut,mxf,ape,wv,tta"
)
_MOST_PIXELS = 8192 * 8192
# Time that a recording may lack in one place; what jumps further has no time stamps to believe.
_LONGEST_GAP_S = 60.0
# Time stamps are rounded to as much as a millisecond; a lost packet of AAC takes 21 ms.
_SMALLEST_GAP_S = 0.01
# Of a file that may be missing at its end: some packets.
_LOST_S, _LOST_BYTES = 0.5, 4096
_STREAMED = 0x7FFF_0000  # what writers put as a size that they cannot know, or more
_HEAD = 1 << 16  # bytes of a Matroska file in which its duration stands, if it states one
_DURATION = b"\x44\x89"


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
    options = {"format_whitelist": _FORMATS, "protocol_whitelist": "file"}
    try:
        # By an open file: a name may be none in UTF-8, or one that FFmpeg takes for an address.
        with (
            path.open("rb", buffering=0) as file,
            av.open(_Nameless(file), metadata_errors="ignore", options=options) as container,
        ):
            for stream in container.streams.video:
                if stream.codec_context is not None:  # of a codec that FFmpeg knows
                    stream.codec_context.options = {"max_pixels": str(_MOST_PIXELS)}
            yield container
    except (InputError, MissingExtraError):
        raise
    except Exception as error:  # of FFmpeg, or what PyAV meets in a file that makes no sense
        reason = getattr(error, "strerror", None) or one_line(error)
        raise InputError(
            f"{path}: must be a whole media file that FFmpeg decodes, got {reason}; "
            "play it to see whether it is damaged"
        ) from error


class _Nameless:
    """An open file of which FFmpeg learns no name."""

    def __init__(self, file: io.FileIO) -> None:
        self.read, self.tell, self._seek = file.read, file.tell, file.seek

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move to a byte; -1 if there is none, as damaged files ask for."""
        try:
            return self._seek(offset, whence)
        except (OSError, ValueError, OverflowError):
            return -1


def read_sound(path: Path) -> Iterator[tuple[FloatArray, int]]:
    """Decode the first sound track.

    Packets that are missing in the middle become silence, so that sample `n` stands at
    `n / rate` seconds after `sound_start_s` all the way.

    Args:
        path: A media file.

    Yields:
        Samples (n, channels), float32, and their rate in Hz, block by block.

    Raises:
        MissingExtraError: If PyAV is absent.
        InputError: If the file has no sound, cannot be decoded, or its time stamps jump far.
    """
    n_samples = 0
    with open_media(path) as container:
        frames = _decoded(container.decode(_sound_track(container, path)))
        for samples, rate_hz in _without_gaps(path, frames):
            n_samples += len(samples)
            yield samples, rate_hz
    if not n_samples:
        raise InputError(f"{path}: must hold sound, got a sound track without samples")


def sound_duration_s(path: Path) -> float:
    """Return the duration of the first sound track, without decoding it.

    The header of MP4 and QuickTime tells, whose index is complete; elsewhere it is often a guess
    from the bit rate, or was never written, and packets are counted.

    Raises:
        MissingExtraError: If PyAV is absent.
        InputError: If the file has no sound or cannot be opened.
    """
    with open_media(path) as container:
        stream = _sound_track(container, path)
        if (stream.duration or 0) > 0 and "mp4" in container.format.name.split(","):
            return float(stream.duration * stream.time_base)
        begin, end = math.inf, -math.inf
        for packet in container.demux(stream):
            if packet.pts is not None:
                begin = min(begin, packet.pts)
                end = max(end, packet.pts + (packet.duration or 0))
        return max(0.0, (end - begin) * float(stream.time_base))


def sound_lack(path: Path) -> str:
    """Return what is missing at the end of a media file by its own header; empty if nothing is.

    Matroska, WebM, WMA and Flash state how long they are in front and AVI how large; other formats
    have an index without which they cannot be read, or state nothing.

    Raises:
        MissingExtraError: If PyAV is absent.
        InputError: If the file cannot be opened.
    """
    with path.open("rb") as file:
        head, size = file.read(_HEAD), file.seek(0, io.SEEK_END)
    if head[:4] == b"RIFF":
        stated = int.from_bytes(head[4:8], "little") + 8
        is_cut = size + _LOST_BYTES < stated < _STREAMED
        told = f"ends early: {size} of the {stated} bytes that its header states are there"
        return f"{told}; copy or export it again" if is_cut else ""
    with open_media(path) as container:
        kind = container.format.name.split(",")[0]
        states = kind in ("asf", "flv") or (kind == "matroska" and _DURATION in head)
        if not states or not container.duration:
            return ""
        ends = [
            float((packet.pts + (packet.duration or 0)) * packet.time_base)
            for packet in container.demux()
            if packet.pts is not None
        ]
        return told_lack(max(ends, default=0.0), container.duration / 1e6, tolerance_s=_LOST_S)


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


def sound_late_s(path: Path) -> float:
    """Return how much later than the first picture of a video its sound starts, in seconds.

    Returns:
        0 if it has no pictures (a cover is none), no sound, or no time stamps.

    Raises:
        MissingExtraError: If PyAV is absent.
        InputError: If the file cannot be opened or decoded.
    """
    with open_media(path) as container:
        import av

        cover = av.stream.Disposition.attached_pic
        pictures = [each for each in container.streams.video if not each.disposition & cover]
        if not pictures or not container.streams.audio:
            return 0.0
        shown = next(iter(container.decode(pictures[0])), None)
    heard_s = sound_start_s(path)
    if shown is None or shown.time is None or heard_s is None:
        return 0.0
    return heard_s - float(shown.time)


def _sound_track(container: Any, path: Path) -> Any:
    if not container.streams.audio:
        raise InputError(f"{path}: must have a sound track, got none; use another recording")
    return container.streams.audio[0]


def _decoded(frames: Iterable[Any]) -> Iterator[tuple[float | None, FloatArray, int]]:
    """Yield time in seconds, samples (n, channels) and rate in Hz of each frame that holds any."""
    import av

    # In one plane: PyAV reads beyond its memory where eight channels or more have one each.
    to_float = av.AudioResampler(format="flt")
    for frame in frames:
        if not frame.samples:
            continue
        time_s = frame.time
        for converted in to_float.resample(frame):
            n_channels = converted.layout.nb_channels
            samples = converted.to_ndarray().astype(np.float32, copy=False).reshape(-1, n_channels)
            yield time_s, samples, converted.sample_rate


def _without_gaps(
    path: Path, frames: Iterable[tuple[float | None, FloatArray, int]]
) -> Iterator[tuple[FloatArray, int]]:
    """Yield the samples in order, with silence where time stamps skip ahead, and their rate."""
    now_s, start_s = 0.0, None
    for time_s, samples, rate_hz in frames:
        start_s = time_s if start_s is None else start_s
        if time_s is not None and start_s is not None:
            gap_s = time_s - start_s - now_s
            if gap_s > _LONGEST_GAP_S:
                raise InputError(
                    f"{path}: must have sound all the way, got none from {now_s:.2f} to "
                    f"{now_s + gap_s:.2f} s by its time stamps; cut it there"
                )
            if gap_s > _SMALLEST_GAP_S:
                n_lost = round(gap_s * rate_hz)
                now_s += n_lost / rate_hz
                yield np.zeros((n_lost, samples.shape[1]), dtype=np.float32), rate_hz
        now_s += len(samples) / rate_hz
        yield samples, rate_hz
