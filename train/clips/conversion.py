"""Conversion of motion: `esarm convert`, from what others captured or wrote to any format.

What is read goes through 30 fps, at which every exporter takes motion; channels are matched by
name.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from esarm_env.core.errors import InputError
from esarm_env.core.types import FRAME_RATE_HZ, SAMPLE_RATE_HZ
from esarm_env.corpus.motion import (
    MOTION_SUFFIXES,
    MotionTrack,
    at_frame_rate,
    check_values,
    fill_gaps,
    read_track,
)
from esarm_env.corpus.motion.track import RATE_TOLERANCE, check_rate
from esarm_env.face.exporters import Sound
from esarm_env.face.names import ARKIT_NAMES
from train.clips.outputs import Outputs
from train.tables.gltf_curves import SUFFIXES as GLTF_SUFFIXES
from train.tables.gltf_curves import read_gltf_track

if TYPE_CHECKING:
    from collections.abc import Sequence

    from esarm_env.core.types import FloatArray

SOURCES = (*MOTION_SUFFIXES, *GLTF_SUFFIXES)
_MOST_APART_S = 0.5  # by which sound and motion may differ in length without a word
_MOST_NAMED = 6


def convert_file(
    source: Path,
    paths: Sequence[Path],
    *,
    formats: Sequence[str] = (),
    head: str | None = None,
    speech: Path | None = None,
    rate_hz: int = FRAME_RATE_HZ,
    fps: float | None = None,
) -> dict[str, Any]:
    """Read a file of motion and write it in other formats; return what was done.

    Args:
        source: Of any format that `read_track` reads, or glTF.
        paths: The files to write.
        formats: Names of exporters, for suffixes that several share.
        head: As of `open_head`, for formats that show one; None for the one that ships.
        speech: A sound file, for formats with sound.
        rate_hz: Frames per second of the outputs.
        fps: Frames per second of a source that does not state them; 30 by default.

    Raises:
        InputError: If the source cannot be read, states another rate than `fps`, or an output
            cannot be written or has no place for what is asked of it.
        MissingExtraError: If a package is absent that an output needs.
    """
    outputs = Outputs.planned(paths, source=source, formats=formats, rate_hz=rate_hz, head=head)
    _check_speech(outputs, speech)
    motion, notes = read_motion(source, fps=fps)
    sound = None if speech is None else read_sound(speech)
    duration_s = len(motion) / FRAME_RATE_HZ
    if sound is not None and abs(sound.duration_s - duration_s) > _MOST_APART_S:
        longer = sound.duration_s > duration_s
        notes.append(
            f"{speech}: lasts {sound.duration_s:.2f} s, and the motion {duration_s:.2f} s: "
            f"{'the rest of the sound is cut' if longer else 'the end is silent'}"
        )
    outputs.write(motion, speech=sound, name=source.stem)
    return {
        "source": str(source),
        "outputs": [str(path) for path in paths],
        "head": head,
        "speech": None if speech is None else str(speech),
        "duration_s": round(duration_s, 2),
        "rate_hz": rate_hz,
        "frames": (len(motion) - 1) * rate_hz // FRAME_RATE_HZ + 1,
        "notes": notes,
    }


def _check_speech(outputs: Outputs, speech: Path | None) -> None:
    """Refuse sound that no output has a place for, or that an output would replace."""
    if speech is None:
        return
    if not outputs.takes("speech"):
        listed = ", ".join(dict.fromkeys(exporter.suffix for exporter in outputs.exporters))
        raise InputError(
            f"`speech` must be left out where no output has sound, got {speech} for {listed} "
            "alone; write a .mp4 or .webm, too"
        )
    same = [path for path in outputs.paths if path.exists() and speech.exists()]
    if any(path.samefile(speech) for path in same):
        raise InputError(f"`output` must be another file than the recording, got {speech}")


def read_sound(path: Path) -> Sound:
    """Return the speech of a sound file, at 16 kHz.

    Raises:
        InputError: If it holds none.
        MissingExtraError: If it is a video or AAC file and PyAV is absent.
    """
    from esarm_env.audio import read_audio

    return Sound(read_audio(path), SAMPLE_RATE_HZ, path.name)


def read_motion(source: Path, *, fps: float | None = None) -> tuple[FloatArray, list[str]]:
    """Read a file of motion; return it as (T, 52) at 30 fps, and what was mended or assumed.

    Args:
        source: Of any format that `read_track` reads, or glTF.
        fps: Frames per second of a file that does not state them; 30 by default.

    Raises:
        InputError: If it cannot be read, or states another rate than `fps`.
    """
    if fps is not None:
        check_rate("`--fps`", fps)
    suffix = source.suffix.lower()
    if source.is_file() and suffix not in SOURCES:
        raise InputError(
            f"{source}: must be a file of motion, in {', '.join(SOURCES)}, got {suffix!r}"
        )
    track = read_gltf_track(source) if suffix in GLTF_SUFFIXES else read_track(source)
    stated = track.rate_hz
    if stated is not None and fps is not None and abs(stated / fps - 1) > RATE_TOLERANCE:
        raise InputError(
            f"{source}: must have the frame rate that is given, {fps:g} fps, got {stated:g} by its "
            "own times; leave `--fps` out, it is for files that state none"
        )
    rate = stated or fps or float(FRAME_RATE_HZ)
    whole = fill_gaps(track, source, rate_hz=rate)
    mended, values = check_values(whole, source)
    notes = [f"{source}: {note}" for note in track.notes] + mended
    if not (stated or fps):
        notes.append(f"{source}: states no frame rate and is taken at 30 fps; `--fps` says another")
    absent = [ARKIT_NAMES[i] for i in np.flatnonzero(~whole.captured)]
    if absent:
        more = f" and {len(absent) - _MOST_NAMED} more" if len(absent) > _MOST_NAMED else ""
        named = ", ".join(absent[:_MOST_NAMED]) + more
        notes.append(f"{source}: has no {named}, written as 0")
    checked = MotionTrack(values, whole.captured, whole.time_s)
    return at_frame_rate(checked, rate_hz=rate), notes
