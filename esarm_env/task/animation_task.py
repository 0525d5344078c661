"""`AnimationTask`: data and decoder of the problem, independent of any agent, queried by index.

The environment steps through it one token at a time, trainers take whole utterances from it, and
rewards read the decoded motion of finished trajectories from it. Several reward terms and the
metrics of `info` read the same animation, and decoding it is half of what each of them costs, so a
`BatchCache` keeps what was last computed for as long as its batch lives. `agents` sees a task
through a protocol and imports nothing from here.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from esarm_env.core.deprecation import warn_renamed
from esarm_env.core.types import Corpus, FloatArray, IntArray, Trajectories
from esarm_env.metrics.variant import Variant
from esarm_env.metrics.vertex_error import vertex_errors_of_rows
from esarm_env.task.episode_metrics import EVE, LVE

if TYPE_CHECKING:
    from esarm_env.audio.store import FeatureStore
    from esarm_env.encoder.network import SpeechEncoder
    from esarm_env.face.head import Head
    from esarm_env.task.conditions import ConditionEncoder
    from esarm_env.tokenizer.vq import VQMotionTokenizer

Value = TypeVar("Value")
_VARIANTS = {LVE: Variant("lips"), EVE: Variant("upper")}


class BatchCache:
    """Cache of size one: values computed from the latest batch, dropped with that batch.

    A batch that was written into since counts as another one. Copies and pickles are empty.
    """

    def __init__(self) -> None:
        self._batch: weakref.ref[Trajectories] | None = None
        self._read: list[np.ndarray[Any, Any]] = []
        self._values: dict[str, Any] = {}

    def get(
        self, trajectories: Trajectories, name: str, compute: Callable[[Trajectories], Value]
    ) -> Value:
        """Return `compute(trajectories)`, computed once per batch; the result is shared."""
        if not self._holds(trajectories):
            parts = (trajectories.utterance, trajectories.tokens, trajectories.lengths)
            self._read = [part.copy() for part in parts]
            self._values = {}
            self._batch = weakref.ref(trajectories, self._forget)
        if name not in self._values:
            self._values[name] = compute(trajectories)
        value: Value = self._values[name]
        return value

    def _holds(self, trajectories: Trajectories) -> bool:
        if self._batch is None or self._batch() is not trajectories:
            return False
        parts = (trajectories.utterance, trajectories.tokens, trajectories.lengths)
        return all(map(np.array_equal, parts, self._read))

    def _forget(self, batch: weakref.ref[Trajectories]) -> None:
        if batch is self._batch:
            self._batch, self._read, self._values = None, [], {}

    def __reduce__(self) -> tuple[type[BatchCache], tuple[()]]:
        return BatchCache, ()


# Chunks heard before and after the current one: 0.13 s each way, the reach of coarticulation.
# With two each way a clone learns its training sentences by heart (LVE 3.5 against 3.2 mm on new
# ones), because a window then holds whole words.
CONTEXT_CHUNKS = 1
# A speech encoder has heard the whole utterance already: each chunk's streams stand for themselves.
HEARD_CONTEXT_CHUNKS = 0
# Utterances whose audio is kept in memory, about 25 kB each; of larger corpora the rest is read
# from the feature store every time.
N_KEPT = 4096


@dataclass(frozen=True)
class AnimationTask:
    """Corpus, audio features, tokenizer and head of a task, without the agent and the reward.

    Attributes:
        corpus: Utterances by index.
        features: Audio features of the same utterances.
        tokenizer: Motion to tokens and back.
        head: Where errors are measured.
        conditions: Emotion, intensity and speaker as a vector.
        context: Chunks of audio before and after the current one in a window.
        speech_encoder: What `features` were heard through; None if they are the audio's own.
    """

    corpus: Corpus
    features: FeatureStore
    tokenizer: VQMotionTokenizer
    head: Head
    conditions: ConditionEncoder
    context: int = CONTEXT_CHUNKS
    speech_encoder: SpeechEncoder | None = None
    _chunks: dict[int, FloatArray] = field(default_factory=dict, init=False, repr=False)
    _tokens: dict[int, IntArray] = field(default_factory=dict, init=False, repr=False)
    _motion: dict[int, FloatArray] = field(default_factory=dict, init=False, repr=False)
    _latest: BatchCache = field(default_factory=BatchCache, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Check that features and corpus belong together."""
        if len(self.features) != len(self.corpus):
            raise ValueError(
                f"`features` must hold {len(self.corpus)} utterances like the corpus, "
                f"got {len(self.features)}"
            )

    @property
    def n_tokens(self) -> int:
        """Size of the action space."""
        return self.tokenizer.n_tokens

    @property
    def tokens_per_chunk(self) -> int:
        """Actions per chunk of frames."""
        return self.tokenizer.tokens_per_chunk

    @property
    def token_streams(self) -> tuple[str, ...]:
        """Stream of each token of a chunk, shape (tokens_per_chunk,): `mouth` or `upper`."""
        return self.tokenizer.token_streams

    @property
    def chunk_dim(self) -> int:
        """Width of the audio features of one chunk."""
        return self.features.dim * self.tokenizer.frames_per_chunk

    @property
    def window_dim(self) -> int:
        """Width of an audio window: a chunk and `context` chunks on each side."""
        return self.chunk_dim * (2 * self.context + 1)

    @property
    def condition_dim(self) -> int:
        """Width of a condition."""
        return self.conditions.dim

    @cached_property
    def n_frames(self) -> IntArray:
        """Frames of every utterance, shape (n_utterances,)."""
        return np.array([record.n_frames for record in self.corpus.records], dtype=np.int64)

    @cached_property
    def lengths(self) -> IntArray:
        """Tokens of every utterance, shape (n_utterances,)."""
        chunks = -(-self.n_frames // self.tokenizer.frames_per_chunk)
        return chunks * self.tokens_per_chunk

    @cached_property
    def index_of(self) -> dict[str, int]:
        """Index of every utterance by its id."""
        return {record.id: index for index, record in enumerate(self.corpus.records)}

    def ids_of(self, utterances: IntArray) -> list[str]:
        """Return the ids of `utterances` (N,), for messages."""
        return [self.corpus.records[int(index)].id for index in utterances]

    @cached_property
    def fingerprint(self) -> dict[str, str]:
        """Hashes of tokenizer, corpus and speech encoder, by which saved tokens find their task."""
        hashes = {"tokenizer": self.tokenizer.content_hash(), "corpus": self.corpus.content_hash}
        if self.speech_encoder is not None:
            hashes["speech_encoder"] = self.speech_encoder.content_hash()
        return hashes

    @cached_property
    def code_distances(self) -> FloatArray:
        """How far apart codes look, (tokens_per_chunk, n_tokens, n_tokens) in mm; do not write.

        Contexts are drawn from the training recordings. Of the finest codebooks, missing at all
        costs more (`esarm_env.tokenizer.distances.with_detail`).
        """
        from esarm_env.tokenizer.distances import N_CONTEXTS, code_distances, with_detail

        train = self.corpus.split("train")
        if not len(train):
            train = np.arange(len(self.corpus))
        chosen = np.random.default_rng(0).permutation(train)[:N_CONTEXTS]
        recorded = [self.tokenizer.encode(self.corpus[int(index)].motion) for index in chosen]
        distances = code_distances(self.tokenizer, self.head, recorded)
        return with_detail(distances, self.token_streams)

    @cached_property
    def _conditions(self) -> FloatArray:
        return self.conditions.encode_records(self.corpus.records)

    def condition_of(self, utterances: IntArray) -> FloatArray:
        """Return the recorded conditions, shape (N, condition_dim), a fresh copy."""
        return self._conditions[utterances]

    def chunks_of(self, utterance: int) -> FloatArray:
        """Return the audio of every chunk, shape (context + n_chunks + context, chunk_dim).

        The first and the last `context` rows are zero: what is heard outside the recording.
        Do not write.
        """
        chunks = self._chunks.get(utterance)
        if chunks is None:
            chunks = audio_chunks(
                self.features[utterance],
                frames_per_chunk=self.tokenizer.frames_per_chunk,
                context=self.context,
            )
            if len(self._chunks) < N_KEPT:
                self._chunks[utterance] = chunks
        return chunks

    def windows_of(self, utterance: int) -> FloatArray:
        """Return the audio window of every chunk, shape (n_chunks, window_dim), read-only."""
        return sliding_windows(self.chunks_of(utterance), context=self.context)

    def audio_windows(self, utterances: IntArray) -> FloatArray:
        """Return windows of several utterances, zero-padded, shape (N, n_chunks, window_dim)."""
        return pad_stack([self.windows_of(int(index)) for index in utterances])

    def audio_chunks(self, utterances: IntArray) -> FloatArray:
        """Return the features of each chunk alone, zero-padded, shape (N, n_chunks, D)."""
        chunks = [self.chunks_of(int(index)) for index in utterances]
        return pad_stack([padded[self.context : len(padded) - self.context] for padded in chunks])

    def recorded_tokens(self, utterance: int) -> IntArray:
        """Return the recorded motion as tokens, shape (L,)."""
        if utterance not in self._tokens:
            self._tokens[utterance] = self.tokenizer.encode(self.corpus[utterance].motion)
        return self._tokens[utterance]

    def demonstration(self, utterance: int) -> IntArray:
        """Return `recorded_tokens`, of which this is the old name."""
        warn_renamed("AnimationTask.demonstration", "AnimationTask.recorded_tokens")
        return self.recorded_tokens(utterance)

    def demonstrations(self, utterances: IntArray) -> IntArray:
        """Return the recordings' tokens (ground truth), shape (N, L), padded with -1."""
        return pad_stack([self.recorded_tokens(int(index)) for index in utterances], value=-1)

    def answers(self, utterances: IntArray, tokens: IntArray) -> IntArray:
        """Return the recordings' answers to `tokens`, (N, L) as well; see `tokenizer.answers`."""
        from esarm_env.tokenizer.answers import answers

        found = np.full_like(tokens, -1)
        for row, index in enumerate(utterances.tolist()):
            own = tokens[row][tokens[row] >= 0]
            found[row, : len(own)] = answers(self.tokenizer, self.corpus[index].motion, own)
        return found

    def median_tokens(self, utterances: IntArray, tokens: IntArray) -> IntArray:
        """Return tokens (N, L) of the medians of animations (N, n, L); see `tokenizer.medians`."""
        from esarm_env.tokenizer.medians import median_tokens

        return median_tokens(self.tokenizer, tokens, self.lengths[utterances])

    def recorded(self, utterances: IntArray) -> Trajectories:
        """Return the recordings as trajectories: ground truth, encoded by the tokenizer."""
        lengths = self.lengths[utterances]
        tokens = self.demonstrations(utterances)
        return Trajectories(utterances, tokens, lengths, self.condition_of(utterances))

    def decode(self, trajectories: Trajectories) -> FloatArray:
        """Decode `trajectories` to motion, shape (N, T, 52), the last frame repeated as padding."""
        n_frames = self.n_frames[trajectories.utterance]
        whole = self.decode_chunks(trajectories)
        return pad_stack([m[:n] for m, n in zip(whole, n_frames, strict=True)], edge=True)

    def decode_chunks(self, trajectories: Trajectories) -> list[FloatArray]:
        """Decode trajectories to motion, not cut at the last frame: fresh arrays (T_i, 52) each."""
        rows = self._latest.get(trajectories, "chunks", self._decode_chunks)
        return [motion.copy() for motion in rows]

    def _decode_chunks(self, trajectories: Trajectories) -> list[FloatArray]:
        rows: list[FloatArray] = []
        frames = trajectories.lengths // self.tokens_per_chunk * self.tokenizer.frames_per_chunk
        for begin in range(0, len(trajectories), 256):  # bounds the memory of the convolutions
            part = trajectories[begin : begin + 256] if len(trajectories) > 256 else trajectories
            decoded = self.tokenizer.decode_batch(part.tokens, part.lengths)
            counts = frames[begin : begin + 256]
            rows += [motion[:count] for motion, count in zip(decoded, counts, strict=True)]
        return rows

    def target_motion(self, utterances: IntArray) -> FloatArray:
        """Return the recorded motion, shape (N, T, 52), the last frame repeated as padding."""
        return pad_stack([self.recorded_motion(int(index)) for index in utterances], edge=True)

    def recorded_motion(self, utterance: int) -> FloatArray:
        """Return the recorded motion, shape (T, 52). Do not write."""
        motion = self._motion.get(utterance)
        if motion is None:
            motion = self.corpus[utterance].motion
            if len(self._motion) < N_KEPT:
                self._motion[utterance] = motion
        return motion

    def errors_of_motion(
        self, motion: FloatArray | Sequence[FloatArray], utterances: IntArray
    ) -> dict[str, FloatArray]:
        """Return the vertex errors `lve` and `eve` in mm, each (N,), of N motions (T_i, 52)."""
        target = [self.recorded_motion(int(index)) for index in utterances]
        rows = [row[: len(truth)] for row, truth in zip(motion, target, strict=True)]
        known: dict[str, Any] = {"head": self.head, "captured": self.corpus.captured}
        errors = vertex_errors_of_rows(rows, target, variants=_VARIANTS.values(), **known)
        return {name: errors[what].astype(np.float32) for name, what in _VARIANTS.items()}

    def errors(self, trajectories: Trajectories) -> dict[str, FloatArray]:
        """Return the vertex errors `lve` and `eve` in mm of finished `trajectories`, each (N,)."""
        errors = self._latest.get(trajectories, "errors", self._errors)
        return {name: values.copy() for name, values in errors.items()}

    def _errors(self, trajectories: Trajectories) -> dict[str, FloatArray]:
        return self.errors_of_motion(self.decode(trajectories), trajectories.utterance)

    def sample_distances(self, trajectories: Trajectories) -> FloatArray:
        """Return how far each animation is from the others of its utterance, (N, C, S), in mm.

        By chunk and stream; a stream's chunks add up to the mean LVE or EVE against the others.
        """
        from esarm_env.task.sample_distances import distances_to_others

        return distances_to_others(
            self.decode(trajectories),
            trajectories.utterance,
            n_frames=self.n_frames[trajectories.utterance],
            frames_per_chunk=self.tokenizer.frames_per_chunk,
            streams=tuple(dict.fromkeys(self.token_streams)),
            head=self.head,
            captured=self.corpus.captured,
        )


def audio_chunks(features: FloatArray, *, frames_per_chunk: int, context: int) -> FloatArray:
    """Group frame features by chunk, zero-padded by `context` chunks on both sides.

    Args:
        features: Shape (T, D); the last frame fills up the last chunk.
        frames_per_chunk: Frames per chunk.
        context: Rows of zeros before and after.

    Returns:
        Shape (context + n_chunks + context, frames_per_chunk * D).
    """
    missing = -len(features) % frames_per_chunk
    filled = np.pad(features, ((0, missing), (0, 0)), mode="edge")
    chunks = filled.reshape(-1, frames_per_chunk * features.shape[1])  # (C, frames_per_chunk * D)
    return np.pad(chunks, ((context, context), (0, 0)))


def sliding_windows(chunks: FloatArray, *, context: int) -> FloatArray:
    """Return sliding windows over chunks, each chunk with its neighbours, as a read-only view.

    Args:
        chunks: Shape (..., context + n_chunks + context, W), contiguous.
        context: Neighbours on each side.

    Returns:
        Shape (..., n_chunks, (2 * context + 1) * W): neighbours stand side by side in memory.
    """
    if not chunks.flags.c_contiguous:
        raise ValueError(f"`chunks` must be contiguous, got strides {chunks.strides}")
    *front, rows, width = chunks.shape
    shape = (*front, rows - 2 * context, (2 * context + 1) * width)
    return np.lib.stride_tricks.as_strided(chunks, shape, chunks.strides, writeable=False)


def audio_windows(features: FloatArray, *, frames_per_chunk: int, context: int) -> FloatArray:
    """Return the audio window of each chunk: its features and those of `context` neighbours.

    Args:
        features: Shape (T, D); the last frame fills up the last chunk.
        frames_per_chunk: Frames per chunk.
        context: Chunks on each side; outside the recording they are zero.

    Returns:
        Shape (n_chunks, (2 * context + 1) * frames_per_chunk * D).
    """
    chunks = audio_chunks(features, frames_per_chunk=frames_per_chunk, context=context)
    return sliding_windows(chunks, context=context).copy()


def pad_stack(rows: Sequence[np.ndarray], *, value: float = 0, edge: bool = False) -> np.ndarray:
    """Stack `rows` (L_i, ...) as (N, max L, ...), padded with `value` or with the last entry."""
    width = max(len(row) for row in rows)
    stacked = np.full((len(rows), width, *rows[0].shape[1:]), value, dtype=rows[0].dtype)
    for out, row in zip(stacked, rows, strict=True):
        out[: len(row)] = row
        if edge:
            out[len(row) :] = row[-1]
    return stacked
