"""Exporters `mp4` and `webm`: the rendered head with its sound, by PyAV (extra `video`).

H.264 and AAC, which everything plays; VP9 and Opus, which browsers play without a licence. Pictures
are drawn by the package's own renderer in numpy.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from esarm_env.core.errors import InputError, MissingExtraError
from esarm_env.face.exporters.clip import at_rate, check_motion
from esarm_env.face.exporters.frames import SIDE, rendered
from esarm_env.face.exporters.registry import Exporter

if TYPE_CHECKING:
    from pathlib import Path

    from esarm_env.core.types import FloatArray
    from esarm_env.face.exporters.clip import Sound
    from esarm_env.face.head import Head

# Both encoders know it, and at 16 kHz a block of AAC would be three times as long.
_SOUND_HZ = 48_000
_BLOCK = 1024  # samples


@dataclass(frozen=True)
class _Codecs:
    """Encoders of one kind of video file.

    Attributes:
        container: Name of the format in ffmpeg.
        pictures: Names of encoders, the best one first, with their options.
        sound: Likewise.
    """

    container: str
    pictures: dict[str, dict[str, str]]
    sound: dict[str, dict[str, str]]


_MP4 = _Codecs(
    "mp4",
    {
        "libx264": {"crf": "18", "preset": "veryfast"},
        "libopenh264": {"b": "2500000"},
        "mpeg4": {"q": "3"},
    },
    {"aac": {"b": "128000"}},
)
_WEBM = _Codecs(
    "webm",
    {
        "libvpx-vp9": {
            **{"crf": "28", "b": "0", "deadline": "realtime", "cpu-used": "7"},
            "row-mt": "1",
        },
        "libvpx": {"b": "2500000", "deadline": "realtime", "cpu-used": "7"},
    },
    {"libopus": {"b": "96000"}, "libvorbis": {}},
)


def need_av() -> Any:
    """Return the module `av`.

    Raises:
        MissingExtraError: If it is not installed.
    """
    try:
        return importlib.import_module("av")
    except ImportError as error:
        raise MissingExtraError("av", extra="video", purpose="A video") from error


def _encoder(av: Any, known: dict[str, dict[str, str]]) -> tuple[str, dict[str, str]]:
    """Return the first encoder that this PyAV was built with, and its options."""
    for name, options in known.items():
        try:
            av.codec.Codec(name, "w")
        except (ValueError, av.error.FFmpegError):
            continue
        return name, options
    names = ", ".join(known)
    raise InputError(
        f"PyAV must have one of the encoders {names}, got none; the wheels on PyPI have them"
    )


def _write(
    codecs: _Codecs,
    path: Path,
    motion: FloatArray,
    *,
    rate_hz: int,
    head: Head,
    speech: Sound | None = None,
    name: str = "",
) -> None:
    av = need_av()
    values = at_rate(check_motion(motion, rate_hz=rate_hz), rate_hz)
    options = {"movflags": "+faststart"} if codecs is _MP4 else {}  # plays while it loads
    with av.open(str(path), "w", format=codecs.container, options=options) as video:
        video.metadata["title"] = name
        codec, settings = _encoder(av, codecs.pictures)
        pictures = video.add_stream(codec, rate=rate_hz, options=settings)
        pictures.width = pictures.height = SIDE
        pictures.pix_fmt = "yuv420p"
        pictures.time_base = Fraction(1, rate_hz)
        sound = None
        if speech is not None:
            codec, settings = _encoder(av, codecs.sound)
            sound = video.add_stream(codec, rate=_SOUND_HZ, layout="mono", options=settings)
        # Streams are added before the first packet, which writes the header.
        if sound is not None and speech is not None:
            n_samples = round(len(values) / rate_hz * speech.rate_hz)
            _add_sound(av, video, sound, speech.samples[:n_samples], speech.rate_hz)
        for number, picture in enumerate(rendered(head, values)):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, rate_hz)
            video.mux(pictures.encode(frame))
        video.mux(pictures.encode(None))


def _add_sound(av: Any, video: Any, stream: Any, samples: FloatArray, rate_hz: int) -> None:
    """Encode mono samples (n_samples,); the muxer puts them beside the pictures they belong to."""
    clipped = np.clip(samples, -1.0, 1.0).astype(np.float32)
    for start in range(0, len(clipped), _BLOCK):
        block = np.ascontiguousarray(clipped[None, start : start + _BLOCK])
        frame = av.AudioFrame.from_ndarray(block, format="fltp", layout="mono")
        frame.sample_rate, frame.pts = rate_hz, start
        frame.time_base = Fraction(1, rate_hz)
        video.mux(stream.encode(frame))
    video.mux(stream.encode(None))


MP4 = Exporter(
    ".mp4",
    partial(_write, _MP4),
    "Video with sound, H.264 and AAC, of the head drawn without a GPU (extra video).",
    needs=need_av,
)
WEBM = Exporter(
    ".webm",
    partial(_write, _WEBM),
    "Video with sound, VP9 and Opus, of the head drawn without a GPU (extra video).",
    needs=need_av,
)
