"""A task with recordings' pieces behind its utterances, so that rewards can score their animations.

Rewards ask a task for audio, features and training recordings by utterance index. A recording of
speech alone gets indices of its own here; it has no motion, so rewards that need the ground truth
cannot score it. With splits of recordings alone, environments draw them as they draw utterances.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
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
from esarm_env.corpus.splits import SPLITS, check_split
from esarm_env.task.conditions import ConditionEncoder
from esarm_env.task.emotion_choice import emotion_named

if TYPE_CHECKING:
    from esarm_env.task.animation_task import AnimationTask
    from esarm_env.task.recording import AnimationCondition, SpeechRecording


@dataclass(frozen=True)
class HeardRecording:
    """A recording of speech, read for the run of a task.

    Attributes:
        name: Of its pieces: `NAME-000` and on; no other recording of the task has it.
        speech: What was read.
        audio: Its samples, shape (n_samples,), at 16 kHz.
        how: How it is to be said.
    """

    name: str
    speech: SpeechRecording
    audio: FloatArray
    how: AnimationCondition


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
    extended, (indices,) = with_recordings(task, [HeardRecording("recording", speech, audio, how)])
    return extended, indices


def with_recordings(
    task: AnimationTask, recordings: Sequence[HeardRecording]
) -> tuple[AnimationTask, list[IntArray]]:
    """Return `task` with the pieces of recordings, and the indices of each one's, (N_i,).

    Their conditions are those that the recordings were read with, blends and what the voice told
    among them.

    Args:
        task: Of the run that the recordings were read for.
        recordings: At least one.

    Raises:
        InputError: If one was read with other audio features than those of `task`.
    """
    records: list[Record] = []
    pieces: list[FloatArray] = []
    features: list[FloatArray] = []
    conditions: list[FloatArray] = []
    indices: list[IntArray] = []
    for each in recordings:
        _check_windows(task, each.speech)
        own = _records_of(task, each)
        begins = each.speech.begins * task.tokenizer.frames_per_chunk
        indices.append(len(task.corpus) + len(records) + np.arange(len(own)))
        records += own
        pieces += [
            _cut(each.audio, begin, record.n_frames)
            for begin, record in zip(begins, own, strict=True)
        ]
        features += [
            _features(piece, task.chunk_dim, task.features.dim) for piece in each.speech.windows
        ]
        conditions += list(each.speech.condition_of(np.arange(len(own))))
    heard = {record.id: row for record, row in zip(records, conditions, strict=True)}
    extended = dataclasses.replace(
        task,
        corpus=_ExtendedCorpus(task.corpus, records, pieces, conditions),
        features=_ExtendedFeatures(task.features, features),
        conditions=_HeardConditions(task.conditions.speakers, heard),
    )
    return extended, indices


def with_splits(task: AnimationTask, splits: Mapping[str, IntArray]) -> AnimationTask:
    """Return `task` with other splits, from which environments draw their episodes.

    Make rewards from `task` itself: they learn from its training recordings.

    Args:
        task: Of any corpus.
        splits: Utterances by `train`, `validation` and `test`; those that are left out are empty.
    """
    return dataclasses.replace(task, corpus=_OtherSplits(task.corpus, splits))


def _check_windows(task: AnimationTask, speech: SpeechRecording) -> None:
    n_windows = {piece.shape[1] / task.chunk_dim for piece in speech.windows}
    if any(number % 2 != 1 for number in n_windows):
        raise InputError(
            f"`speech` must have windows of chunks of {task.chunk_dim} features like the task, got "
            f"windows of {speech.windows[0].shape[1]}; open it with the run of the task"
        )


def _records_of(task: AnimationTask, recording: HeardRecording) -> list[Record]:
    """Return a record for each piece."""
    how = recording.how
    named = emotion_named(how.emotion) if isinstance(how.emotion, str) else None
    speaker, intensity = how.speaker or "", how.intensity or 2
    n_frames = [len(piece) * task.tokenizer.frames_per_chunk for piece in recording.speech.windows]
    return [
        Record(
            f"{recording.name}-{number:03d}", speaker, named or "neutral", intensity, None, count
        )
        for number, count in enumerate(n_frames)
    ]


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
        self,
        corpus: Corpus,
        records: Sequence[Record],
        audio: Sequence[FloatArray],
        conditions: Sequence[FloatArray],
    ) -> None:
        self._corpus, self._audio, self._conditions = corpus, audio, conditions
        self.records = (*corpus.records, *records)
        self.name: str = corpus.name
        self.captured: BoolArray = corpus.captured

    @functools.cached_property
    def content_hash(self) -> str:
        digest = hashlib.sha256(self._corpus.content_hash.encode())
        for audio, condition in zip(self._audio, self._conditions, strict=True):
            digest.update(audio.tobytes() + condition.tobytes())
        return digest.hexdigest()

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


class _OtherSplits:
    """A `Corpus` with splits of its own."""

    def __init__(self, corpus: Corpus, splits: Mapping[str, IntArray]) -> None:
        self._corpus, self._splits = corpus, splits
        self.records, self.name, self.captured = corpus.records, corpus.name, corpus.captured

    @functools.cached_property
    def content_hash(self) -> str:
        digest = hashlib.sha256(self._corpus.content_hash.encode())
        for name in SPLITS:
            digest.update(name.encode() + self.split(name).tobytes())
        return digest.hexdigest()

    def __len__(self) -> int:
        return len(self._corpus)

    def __getitem__(self, index: int) -> Utterance:
        return self._corpus[index]

    def split(self, name: str) -> IntArray:
        nothing = np.zeros(0, dtype=np.int64)
        return np.asarray(self._splits.get(check_split(name), nothing), dtype=np.int64)


@dataclass(frozen=True)
class _HeardConditions(ConditionEncoder):
    """Conditions of a corpus's records, and those that recordings were read with, by id."""

    heard: Mapping[str, FloatArray] = field(default_factory=dict)

    def encode_records(self, records: Sequence[Record]) -> FloatArray:
        rows = [
            self.encode(record.emotion, record.intensity, record.speaker)
            if (heard := self.heard.get(record.id)) is None
            else heard
            for record in records
        ]
        return np.stack(rows).astype(np.float32)


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
