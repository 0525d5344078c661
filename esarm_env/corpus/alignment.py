"""Alignment of a take: audio at 16 kHz and motion at 30 fps, trimmed to one duration."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from esarm_env.audio.loading import read_audio
from esarm_env.core.errors import InputError
from esarm_env.core.types import FRAME_RATE_HZ, N_CHANNELS, SAMPLE_RATE_HZ, BoolArray, FloatArray
from esarm_env.corpus.clocks import Clock
from esarm_env.corpus.motion import (
    MotionTrack,
    at_frame_rate,
    check_values,
    fill_gaps,
    read_track,
)
from esarm_env.corpus.motion.track import regular_times

if TYPE_CHECKING:
    from esarm_env.corpus.takes import Take

LONGEST_TAKE_S = 4 * 3600.0
FILE_CLOCK = Clock()
_SAME_RATE = 2e-3  # 30 and 29.97 fps are one rate to a message
MAX_LENGTH_DIFFERENCE = 3  # frames at 30 fps by which motion and audio of one take may differ
# Commonest first: where two fit equally well, as 30 and 29.97 do in short takes, the first wins.
STANDARD_RATES_HZ = (30.0, 60.0, 25.0, 24.0, 50.0, 120.0, 100.0, 29.97, 59.94)


@dataclass(frozen=True)
class AlignedTake:
    """Aligned audio and motion of one take.

    Attributes:
        audio: Shape (n_samples,), float32, 16 kHz.
        motion: Shape (T, 52), float32 in [0, 1], 30 fps; zeros where there is no motion file.
        captured: Shape (52,), the channels its file holds.
        notes: What was mended on the way, one line each.
    """

    audio: FloatArray
    motion: FloatArray
    captured: BoolArray
    notes: tuple[str, ...] = ()


def frames_of(duration_s: float) -> int:
    """Convert a duration to frames at 30 fps."""
    return round(duration_s * FRAME_RATE_HZ)


def infer_rate(n_frames: Sequence[int], durations_s: Sequence[float]) -> float:
    """Return the standard frame rate at which most takes last as long as their audio.

    For files that do not state a rate. One short take fits several rates: of those, the one that
    most takes fit to a frame is taken.

    Args:
        n_frames: Frames of each take, at least one take.
        durations_s: Duration of each take's audio.
    """
    rates = np.array(STANDARD_RATES_HZ)[:, None]
    seen = np.round(np.array(n_frames) / rates * FRAME_RATE_HZ)  # (rates, takes)
    heard = np.round(np.array(durations_s) * FRAME_RATE_HZ)
    difference = np.abs(seen - heard)
    n_fitting = (difference <= MAX_LENGTH_DIFFERENCE).sum(axis=1)
    n_close = (difference <= 1).sum(axis=1)  # rounding; a trimmed take must not decide
    order = np.lexsort((-n_close, -n_fitting))  # stable: the first of equals
    return STANDARD_RATES_HZ[int(order[0])]


def check_durations(
    path: Path,
    *,
    n_frames: int,
    rate_hz: float,
    motion_s: float,
    audio_s: float,
    start_s: float = 0.0,
) -> str | None:
    """Check that motion and audio last equally long; return a note if they differ by frames.

    Args:
        path: The motion file.
        n_frames: Its frames.
        rate_hz: Its frame rate.
        motion_s: When its last frame ends.
        audio_s: Duration of the audio.
        start_s: When its first frame is. Motion that begins before its sound and is as long ends
            as much before it; both are cut to what they share.

    Raises:
        InputError: If they differ by more; the message names the rate that would fit.
    """
    difference = frames_of(motion_s) - frames_of(audio_s)
    is_as_long = abs(motion_s - start_s - audio_s) * FRAME_RATE_HZ <= MAX_LENGTH_DIFFERENCE
    if abs(difference) > MAX_LENGTH_DIFFERENCE and not (start_s < 0 < motion_s and is_as_long):
        raise InputError(
            f"{path}: must last as long as its audio ({audio_s:.2f} s) within "
            f"{MAX_LENGTH_DIFFERENCE} frames at {FRAME_RATE_HZ} fps, got {n_frames} frames at "
            f"{rate_hz:.5g} fps ({motion_s:.2f} s)"
            + (f", the first at {start_s:.2f} s" if start_s else "")
            + _better_rate(n_frames, rate_hz=rate_hz, audio_s=audio_s)
        )
    if difference == 0:
        return None
    longer = "motion" if difference > 0 else "audio"
    return f"{longer} trimmed by {abs(difference)} frame{'s' * (abs(difference) > 1)}"


def _better_rate(n_frames: int, *, rate_hz: float, audio_s: float) -> str:
    """Return what an error says of a rate at which motion would last as long as its audio."""
    better = infer_rate([n_frames], [audio_s])
    fits = abs(frames_of(n_frames / better) - frames_of(audio_s)) <= MAX_LENGTH_DIFFERENCE
    if not fits or abs(better / rate_hz - 1) < _SAME_RATE:
        return ""
    return (
        f"; at {better:g} fps it would: is its rate wrong? State it: `--rate {better:g}`, or a "
        "column `rate` in metadata.csv"
    )


def read_aligned(
    take: Take,
    *,
    rate_hz: float,
    n_frames: int,
    offset_s: float = 0.0,
    clock: Clock = FILE_CLOCK,
) -> AlignedTake:
    """Read one take.

    Args:
        take: With `audio`; without `motion` the result's motion is zero and nothing is captured.
        rate_hz: Frame rate of the motion where its file has no times of its own.
        n_frames: Length T of the result, as the headers told; a frame too few is held.
        offset_s: How late the motion is against the audio; it is moved forward by this much.
        clock: How the file's times become those of its sound.

    Raises:
        InputError: If a file cannot be read, holds unusable values, or the durations differ.
    """
    if take.audio is None:
        raise InputError(f"{take.id}: must have a sound file, got none")
    told: list[str] = []
    audio = read_audio(take.audio, max_duration_s=LONGEST_TAKE_S, on_note=told.append)
    audio_s = len(audio) / SAMPLE_RATE_HZ
    if take.motion is None:
        if abs(n_frames - frames_of(audio_s)) > MAX_LENGTH_DIFFERENCE:
            raise InputError(
                f"{take.audio}: must be as long as its header says "
                f"({n_frames / FRAME_RATE_HZ:.2f} s), got {audio_s:.2f} s; copy it again"
            )
        still = np.zeros((n_frames, N_CHANNELS), np.float32)
        captured = np.zeros(N_CHANNELS, np.bool_)
        return AlignedTake(_trimmed(audio, n_frames), still, captured, tuple(told))
    track, notes = _read_motion(take.motion, rate_hz, clock)
    assert track.time_s is not None, "`_read_motion` gives every frame its time"
    rate_hz = track.rate_hz or rate_hz
    motion_s = float(track.time_s[-1]) + 1 / rate_hz
    note = check_durations(
        take.motion,
        n_frames=len(track.values),
        rate_hz=rate_hz,
        motion_s=motion_s,
        audio_s=audio_s,
        start_s=float(track.time_s[0]),
    )
    moved = dataclasses.replace(track, time_s=track.time_s - offset_s)
    motion = at_frame_rate(moved, n_frames=n_frames)
    all_notes = (*told, *clock.notes, *notes, *([note] if note else []))
    return AlignedTake(_trimmed(audio, n_frames), motion, track.captured, all_notes)


def _read_motion(path: Path, rate_hz: float, clock: Clock) -> tuple[MotionTrack, list[str]]:
    """Return a file's motion, checked, with a time for each frame; and what was mended."""
    track = read_track(path)
    if track.time_s is not None and len(track.time_s) > 1:
        track = dataclasses.replace(track, time_s=clock.times(track.time_s))
    elif clock.shift_s:
        times = regular_times(len(track.values), rate_hz) - clock.shift_s
        track = dataclasses.replace(track, time_s=times)
    n_lost = int(track.lost.sum())
    track = fill_gaps(track, path, rate_hz=rate_hz)
    notes, values = check_values(track, path)
    notes = [*track.notes, *(note.removeprefix(f"{path}: ") for note in notes)]
    if n_lost:
        notes.append(f"{n_lost} frames without a face filled")
    if track.time_s is None or len(values) < 2:
        times = regular_times(len(values), rate_hz)
        return dataclasses.replace(track, values=values, time_s=times), notes
    return dataclasses.replace(track, values=values), notes


def _trimmed(audio: FloatArray, n_frames: int) -> FloatArray:
    """Return the audio of `n_frames`, padded with silence where the motion is a frame longer."""
    n_samples = n_frames * SAMPLE_RATE_HZ // FRAME_RATE_HZ
    return np.pad(audio[:n_samples], (0, max(0, n_samples - len(audio))))
