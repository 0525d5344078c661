"""Recordings of speech to learn from and to measure, and the task that they make of a run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from esarm_env.core.types import SAMPLE_RATE_HZ
from esarm_env.task.extended import HeardRecording, with_recordings
from esarm_env.task.opening import open_task
from esarm_env.task.recording import AnimationCondition, SpeechReader
from train.speech.folder import Clip, held_out, read_speech, tell, without
from train.speech.measures import Held
from train.speech.recorded import RecordedMotion, recorded_motion

if TYPE_CHECKING:
    from esarm_env.core.types import IntArray
    from esarm_env.task.animation_task import AnimationTask
    from train.speech.settings import SpeechSettings

_FROM_THE_VOICE = AnimationCondition("auto")


@dataclass(frozen=True)
class SpeechData:
    """Recordings to learn from and to measure.

    Attributes:
        train: To learn from.
        test: To measure.
        truths: Motion of recordings to measure, by name.
        told: What was read and what was not, as plain values.
    """

    train: tuple[Clip, ...]
    test: tuple[Clip, ...]
    truths: dict[str, RecordedMotion]
    told: dict[str, Any]


def read_data(speech: Path, test: Path | None, settings: SpeechSettings) -> SpeechData:
    """Read the folders, and warn of what cannot be used.

    Args:
        speech: To learn from; a share of it is measured where `test` is None.
        test: To measure.
        settings: Say how large that share is.

    Raises:
        InputError: If a folder holds nothing that can be used, or too little.
    """
    read = read_speech(speech)
    tell(read)
    measured = read
    if test is None:
        train, kept = held_out(read.clips, share=settings.test_share)
    else:
        measured = without(read.clips, read_speech(test, option="speech_test"))
        tell(measured)
        train, kept = list(read.clips), list(measured.clips)
        if read.motion:
            recorded_motion(read, ())  # says that it is not learnt from
    told = {
        "train": _told_of(train) | {"folder": str(speech)},
        "test": _told_of(kept) | {"folder": str(speech if test is None else test)},
        "left_out": [str(fault) for fault in dict.fromkeys([*read.left_out, *measured.left_out])],
    }
    truths = recorded_motion(measured, kept)
    return SpeechData(tuple(train), tuple(kept), truths, told | {"with_motion": len(truths)})


def open_speech_task(
    run_path: Path, data: SpeechData
) -> tuple[AnimationTask, IntArray, list[Held]]:
    """Return the run's task with the speech, the pieces to learn from (N,), and what is measured.

    Conditions are read from the voice; the speaker is unknown.

    Args:
        run_path: Of the run.
        data: The recordings.
    """
    reader = SpeechReader(run_path)
    heard = [
        HeardRecording(
            f"speech/{part}/{clip.name}",
            reader.read(clip.audio, _FROM_THE_VOICE),
            clip.audio,
            _FROM_THE_VOICE,
        )
        for part, clips in (("train", data.train), ("test", data.test))
        for clip in clips
    ]
    task, indices = with_recordings(open_task(run_path), heard)
    n_train = len(data.train)
    held = [
        Held(recording, pieces, data.truths.get(clip.name))
        for clip, recording, pieces in zip(
            data.test, heard[n_train:], indices[n_train:], strict=True
        )
    ]
    return task, np.concatenate(indices[:n_train]), held


def _told_of(clips: Sequence[Clip]) -> dict[str, Any]:
    seconds = sum(len(clip.audio) for clip in clips) / SAMPLE_RATE_HZ
    return {"recordings": len(clips), "duration_s": round(seconds, 1)}
