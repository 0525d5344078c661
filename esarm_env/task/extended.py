"""A task with a recording's pieces behind its utterances, so that rewards can score its animations.

Rewards ask a task for audio, features and training recordings by utterance index. A recording of
speech alone gets indices of its own here; it has no motion, so rewards that need the ground truth
cannot score it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from esarm_env.audio.store import FeatureStore
from esarm_env.core.errors import InputError
from esarm_env.core.types import (
    FRAME_RATE_HZ,
    N_CHANNELS,
    SAMPLE_RATE_HZ,
    BoolArray,
    Corpus,
    FloatArray,
    IntArray,
    Record,
    Utterance,
)
from esarm_env.task.emotion_choice import emotion_named

if TYPE_CHECKING:
    from esarm_env.task.animation_task import AnimationTask
    from esarm_env.task.recording import AnimationCondition, SpeechRecording


def with_recording(
    task: AnimationTask, speech: SpeechRecording, audio: FloatArray, how: AnimationCondition
) -> tuple[AnimationTask, IntArray]:
    """Return `task` with the pieces of a recording, and their indices, shape (N,).

    Args:
        task: Of the run that the recording was read for.
        speech: The recording.
        audio: Its samples, shape (n_samples,), at 16 kHz.
        how: How it is to be said; what is no single emotion counts as neutral among the records,
            while animations carry their own conditions.

    Raises:
        InputError: If the recording was read with other audio features than those of `task`.
    """
    n_frames = [len(piece) * task.tokenizer.frames_per_chunk for piece in speech.windows]
    n_windows = {piece.shape[1] / task.chunk_dim for piece in speech.windows}
    if any(number % 2 != 1 for number in n_windows):
        raise InputError(
            f"`speech` must have windows of chunks of {task.chunk_dim} features like the task, got "
            f"windows of {speech.windows[0].shape[1]}; open it with the run of the task"
        )
    named = emotion_named(how.emotion) if isinstance(how.emotion, str) else None
    emotion = named or "neutral"
    speaker, intensity = how.speaker or "", how.intensity or 2
    records = [
        Record(f"recording-{number:03d}", speaker, emotion, intensity, None, count)
        for number, count in enumerate(n_frames)
    ]
    begins = speech.begins * task.tokenizer.frames_per_chunk
    pieces = [_cut(audio, begin, count) for begin, count in zip(begins, n_frames, strict=True)]
    features = [_features(piece, task.chunk_dim, task.features.dim) for piece in speech.windows]
    extended = dataclasses.replace(
        task,
        corpus=_ExtendedCorpus(task.corpus, records, pieces),
        features=_ExtendedFeatures(task.features, features),
    )
    return extended, len(task.corpus) + np.arange(len(records))


def _cut(audio: FloatArray, begin: int, n_frames: int) -> FloatArray:
    """Return the samples of `n_frames` frames from frame `begin`; silence behind the end."""
    first, last = (
        round(frame * SAMPLE_RATE_HZ / FRAME_RATE_HZ) for frame in (begin, begin + n_frames)
    )
    piece = audio[first:last].astype(np.float32)
    return np.pad(piece, (0, last - first - len(piece)))


def _features(windows: FloatArray, chunk_dim: int, dim: int) -> FloatArray:
    """Return the features (T, dim) of the middle chunk of each of `windows` (n_chunks, W)."""
    before = (windows.shape[1] // chunk_dim - 1) // 2 * chunk_dim
    return windows[:, before : before + chunk_dim].reshape(-1, dim).astype(np.float32)


class _ExtendedCorpus:
    """A `Corpus` with speech without motion behind its utterances, in none of its splits."""

    def __init__(
        self, corpus: Corpus, records: Sequence[Record], audio: Sequence[FloatArray]
    ) -> None:
        self._corpus, self._audio = corpus, audio
        self.records = (*corpus.records, *records)
        self.name: str = corpus.name
        self.captured: BoolArray = corpus.captured

    @property
    def content_hash(self) -> str:
        return self._corpus.content_hash

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, index: int) -> Utterance:
        if index < len(self._corpus):
            return self._corpus[index]
        record = self.records[index]
        unknown = np.zeros((record.n_frames, N_CHANNELS), dtype=np.float32)
        return Utterance(record, self._audio[index - len(self._corpus)], unknown, self.captured)

    def split(self, name: str) -> IntArray:
        return self._corpus.split(name)


class _ExtendedFeatures(FeatureStore):
    """A feature store with those of some more utterances, (T_i, dim) each."""

    def __init__(self, store: FeatureStore, more: Sequence[FloatArray]) -> None:
        self._store, self._more = store, more

    @property
    def dim(self) -> int:
        return self._store.dim

    def __len__(self) -> int:
        return len(self._store) + len(self._more)

    def __getitem__(self, index: int) -> FloatArray:
        if not 0 <= index < len(self):
            raise IndexError(f"`index` must be in 0..{len(self) - 1}, got {index}")
        behind = index - len(self._store)
        return self._store[index] if behind < 0 else self._more[behind].copy()
