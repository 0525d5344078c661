"""Soundtracks of recorded videos: when each utterance is heard, and muxing by ffmpeg."""

from __future__ import annotations

import importlib
import os
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from esarm_env.core.errors import InputError, MissingExtraError
from esarm_env.core.types import SAMPLE_RATE_HZ, FloatArray

if TYPE_CHECKING:
    from esarm_env.rendering.view import Timing

# AAC adds a block of 1024 samples in front, which players skip; at 48 kHz one that does not is
# late by 21 ms, at 16 kHz by 64.
_ENCODED_RATE_HZ = 48_000
_BIT_RATE = "96k"


@dataclass(frozen=True)
class Seen:
    """Content of one video frame: which utterance, at which step.

    Attributes:
        picture: Its number in the video, from 0.
        utterance: Index in the corpus.
        step: Tokens written when it was drawn.
    """

    picture: int
    utterance: int
    step: int


def soundtrack(
    seen: Sequence[Seen],
    *,
    n_pictures: int,
    timing: Timing,
    audio_of: Callable[[int], FloatArray],
) -> FloatArray:
    """Return the sound that goes with a video of one or more episodes.

    Each utterance begins `timing.delay_steps` pictures after its first, when its motion is first
    seen, or is joined in the middle where the video begins in the middle; it ends with its episode.

    Args:
        seen: What the pictures show, in order; several episodes may follow each other.
        n_pictures: Of the whole video.
        timing: Of the tokenizer; the video plays at `timing.fps`.
        audio_of: Returns the 16 kHz audio (n_samples,) of an utterance.

    Returns:
        Shape (n_samples,), float32, as long as the video; silent where nothing is said.
    """
    track = np.zeros(_sample(n_pictures, timing), dtype=np.float32)
    starts = [
        now
        for before, now in zip([None, *seen], seen, strict=False)
        if before is None or now.utterance != before.utterance or now.step <= before.step
    ]
    ends = [later.picture for later in starts[1:]] + [n_pictures]
    for start, end in zip(starts, ends, strict=True):
        heard_from = _sample(start.picture - start.step + timing.delay_steps, timing)
        begin, stop = max(heard_from, _sample(start.picture, timing)), _sample(end, timing)
        piece = audio_of(start.utterance)[begin - heard_from : max(0, stop - heard_from)]
        track[begin : begin + len(piece)] = piece
    return track


def _sample(picture: int, timing: Timing) -> int:
    """Return the sample of 16 kHz audio at which a picture begins."""
    return round(picture / timing.fps * SAMPLE_RATE_HZ)


def find_ffmpeg() -> str:
    """Return the ffmpeg that `imageio-ffmpeg` brings or finds.

    Raises:
        MissingExtraError: If it is not installed.
        InputError: If it is, but has no ffmpeg for this machine.
    """
    try:
        imageio_ffmpeg = importlib.import_module("imageio_ffmpeg")
    except ModuleNotFoundError as error:
        raise MissingExtraError("imageio-ffmpeg", extra="record", purpose="Sound") from error
    try:
        return str(imageio_ffmpeg.get_ffmpeg_exe())
    except RuntimeError as error:
        raise InputError(f"`IMAGEIO_FFMPEG_EXE` must name an ffmpeg, got none: {error}") from error


def add_sound(video: Path, sound: FloatArray) -> None:
    """Put `sound` into the file `video`, whose pictures stay as they are.

    The file is replaced at one blow: whatever goes wrong, a whole one is there.

    Args:
        video: An MP4 file; sound it has already is replaced.
        sound: Shape (n_samples,), float32 in [-1, 1], at 16 kHz.

    Raises:
        MissingExtraError: If imageio-ffmpeg is not installed.
        InputError: If ffmpeg is missing or fails; the message says what it wrote.
    """
    import soundfile

    ffmpeg = find_ffmpeg()
    with tempfile.TemporaryDirectory(prefix=".sound-", dir=video.parent) as folder:
        wave, joined = Path(folder, "sound.wav"), Path(folder, "joined.mp4")
        soundfile.write(wave, sound, SAMPLE_RATE_HZ)
        command = [ffmpeg, "-nostdin", "-loglevel", "error", "-i", str(video), "-i", str(wave)]
        command += ["-map", "0:v:0", "-map", "1:a:0", "-c:v", "copy"]
        command += ["-c:a", "aac", "-b:a", _BIT_RATE, "-ar", str(_ENCODED_RATE_HZ), str(joined)]
        try:
            done = subprocess.run(command, capture_output=True, text=True, errors="replace")
        except OSError as error:
            raise InputError(f"{ffmpeg}: must be a program that runs, got {error}") from error
        if done.returncode != 0:
            said = " ".join(done.stderr.split()) or "nothing"
            raise InputError(f"{video}: ffmpeg ended with {done.returncode} and wrote: {said}")
        os.replace(joined, video)
