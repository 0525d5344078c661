"""Episode buffer: whole episodes of tokens, about 18 bytes a token, without observations.

`EpisodeBatch` is some episodes side by side, padded to the longest, as a forward pass takes them.
`EpisodeBuffer` keeps a whole roll-out end to end, without padding, and hands out such batches.

Shape letters: N episodes, L tokens of the longest, T tokens of all together, C chunks of the
longest, S columns of scores by chunk.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from agents.protocols import FloatArray, IntArray

PER_TOKEN = ("log_probs", "values", "advantages", "returns")
BY_CHUNK = ("chunk_scores", "distances")
PER_EPISODE = ("utterances", "condition", "lengths", "scores")


@dataclass(frozen=True)
class EpisodeBatch:
    """Some finished episodes and what was computed of them.

    Attributes:
        utterances: Shape (N,).
        condition: Shape (N, condition_dim).
        tokens: Shape (N, L), padded with -1.
        lengths: Shape (N,).
        log_probs: Shape (N, L), at sampling time.
        values: Shape (N, L), at sampling time.
        scores: Shape (N,), terminal reward.
        advantages: Shape (N, L).
        returns: Shape (N, L).
        stream_scores: Terminal reward of each stream of tokens, (N,) each; empty if not asked for.
            With scores by chunk, those of each of their columns.
        stream: The stream whose tokens and scores these are alone; None for all.
        monitored: Shape (N,), returns as a monitor among wrappers saw them; None for the scores.
        chunk_scores: Shape (N, C, S), what each chunk earned; None if not asked for.
        chunk_streams: Names of the S columns.
        chunk: The chunk whose tokens these are alone; None for all.
        distances: Shape (N, C, streams), mean distance to the other samples of the utterance, in
            mm, by chunk and stream of the task; None if not asked for.
        term_scores: Terms of the reward, unweighted, (N,) each; empty if not asked for.
    """

    utterances: IntArray
    condition: FloatArray
    tokens: IntArray
    lengths: IntArray
    log_probs: FloatArray
    values: FloatArray
    scores: FloatArray
    advantages: FloatArray
    returns: FloatArray
    stream_scores: dict[str, FloatArray] = field(default_factory=dict)
    stream: str | None = None
    monitored: FloatArray | None = None
    chunk_scores: FloatArray | None = None
    chunk_streams: tuple[str, ...] = ()
    chunk: int | None = None
    distances: FloatArray | None = None
    term_scores: dict[str, FloatArray] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check that all arrays agree in rows and width."""
        n, width = self.tokens.shape
        for name in PER_TOKEN:
            shape = getattr(self, name).shape
            if shape != (n, width):
                raise ValueError(f"`{name}` must have shape {(n, width)}, got {shape}")
        _check_rows(self, n)

    def __len__(self) -> int:
        """Return the number of episodes."""
        return len(self.tokens)

    def rows(self, chosen: slice) -> EpisodeBatch:
        """Return some of the episodes, trimmed to the longest of them."""
        width = int(self.lengths[chosen].max(initial=0))
        parts: dict[str, Any] = {
            name: getattr(self, name)[chosen, :width] for name in (*PER_TOKEN, "tokens")
        }
        for name in (*BY_CHUNK, *PER_EPISODE, "monitored"):
            array = getattr(self, name)
            parts[name] = None if array is None else array[chosen]
        for name in ("stream_scores", "term_scores"):
            parts[name] = {key: each[chosen] for key, each in getattr(self, name).items()}
        return replace(self, **parts)

    @property
    def inside(self) -> npt.NDArray[np.bool_]:
        """Shape (N, L), True where a token is, False in padding."""
        inside: npt.NDArray[np.bool_] = np.arange(self.tokens.shape[1]) < self.lengths[:, None]
        return inside


@dataclass(frozen=True)
class EpisodeBuffer:
    """A roll-out as `algorithm.rollout_buffer` holds it: whole episodes, end to end.

    Attributes:
        utterances: Shape (N,), int32.
        condition: Shape (N, condition_dim), float32.
        lengths: Shape (N,), int32.
        scores: Shape (N,), float32, terminal reward.
        tokens: Shape (T,), int16, or int32 where a token needs it.
        log_probs: Shape (T,), float32, at sampling time, and so are `values`.
        values: Shape (T,), float32.
        advantages: Shape (T,), float32.
        returns: Shape (T,), float32.
        stream_scores: Terminal reward of each stream of tokens, (N,) each; empty if not asked for.
        chunk_scores: Shape (N, C, S), as of `EpisodeBatch`; None if not asked for.
        chunk_streams: Names of the S columns.
        distances: Shape (N, C, streams), as of `EpisodeBatch`; None if not asked for.
        term_scores: Terms of the reward, unweighted, (N,) each; empty if not asked for.
    """

    utterances: npt.NDArray[np.int32]
    condition: FloatArray
    lengths: npt.NDArray[np.int32]
    scores: FloatArray
    tokens: npt.NDArray[np.integer[Any]]
    log_probs: FloatArray
    values: FloatArray
    advantages: FloatArray
    returns: FloatArray
    stream_scores: dict[str, FloatArray] = field(default_factory=dict)
    chunk_scores: FloatArray | None = None
    chunk_streams: tuple[str, ...] = ()
    distances: FloatArray | None = None
    term_scores: dict[str, FloatArray] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check that rows agree with each other, and tokens with the lengths."""
        n, total = len(self.utterances), int(self.lengths.sum())
        _check_rows(self, n)
        for name in ("tokens", *PER_TOKEN):
            shape = getattr(self, name).shape
            if shape != (total,):
                raise ValueError(f"`{name}` must have shape {(total,)}, got {shape}")

    @classmethod
    def pack(cls, batch: EpisodeBatch) -> EpisodeBuffer:
        """Keep the episodes of `batch` without their padding."""
        inside = batch.inside
        highest = int(batch.tokens.max(initial=0))
        narrow = np.int16 if highest <= np.iinfo(np.int16).max else np.int32
        return cls(
            utterances=batch.utterances.astype(np.int32),
            condition=batch.condition.astype(np.float32),
            lengths=batch.lengths.astype(np.int32),
            scores=batch.scores.astype(np.float32),
            tokens=batch.tokens[inside].astype(narrow),
            stream_scores=batch.stream_scores,
            term_scores=batch.term_scores,
            **{name: getattr(batch, name) for name in BY_CHUNK},
            chunk_streams=batch.chunk_streams,
            **{name: getattr(batch, name)[inside].astype(np.float32) for name in PER_TOKEN},
        )

    def __len__(self) -> int:
        """Return the number of episodes."""
        return len(self.lengths)

    @property
    def n_tokens(self) -> int:
        """Tokens of all episodes together."""
        return len(self.tokens)

    @property
    def nbytes(self) -> int:
        """Bytes of all arrays."""
        arrays = [getattr(self, name) for name in ("tokens", *PER_TOKEN, *PER_EPISODE)]
        arrays += [array for name in BY_CHUNK if (array := getattr(self, name)) is not None]
        arrays += [*self.stream_scores.values(), *self.term_scores.values()]
        return sum(int(array.nbytes) for array in arrays)

    def figures(self) -> dict[str, float]:
        """Return mean scores, and the mean distance between samples where it was asked for."""
        figures = {"score": float(self.scores.mean())}
        for name, scores in self.stream_scores.items():
            figures[f"score_{name}"] = float(scores.mean())
        for name, scores in self.term_scores.items():
            figures[f"term_{name}"] = float(scores.mean())
        if self.distances is not None:
            figures["spread"] = float(self.distances.sum(axis=(1, 2)).mean())
        return figures

    def episodes(self, chosen: IntArray | None = None) -> EpisodeBatch:
        """Return the `chosen` episodes (by default all), padded to the longest of them."""
        rows = np.arange(len(self)) if chosen is None else chosen
        lengths = self.lengths[rows].astype(np.int64)
        columns = np.arange(int(lengths.max(initial=0)))
        inside = columns < lengths[:, None]  # (N, L)
        starts = self.lengths.cumsum(dtype=np.int64) - self.lengths
        places = (starts[rows, None] + columns)[inside]
        tokens = np.full(inside.shape, -1, dtype=np.int64)
        tokens[inside] = self.tokens[places]
        others: dict[str, Any] = {}
        for name in PER_TOKEN:
            others[name] = np.zeros(inside.shape, dtype=np.float32)
            others[name][inside] = getattr(self, name)[places]
        for name in BY_CHUNK:
            array = getattr(self, name)
            others[name] = None if array is None else array[rows]
        return EpisodeBatch(
            utterances=self.utterances[rows].astype(np.int64),
            condition=self.condition[rows],
            tokens=tokens,
            lengths=lengths,
            scores=self.scores[rows],
            stream_scores={name: each[rows] for name, each in self.stream_scores.items()},
            term_scores={name: each[rows] for name, each in self.term_scores.items()},
            chunk_streams=self.chunk_streams,
            **others,
        )

    def minibatches(
        self, batch_size: int | None, *, rng: np.random.Generator
    ) -> Iterator[EpisodeBatch]:
        """Yield every episode once, neighbours in length together, in random order.

        Args:
            batch_size: Tokens per minibatch, see `token_buckets`; None puts all into one.
            rng: Source of the order.
        """
        if batch_size is None:
            yield self.episodes()
            return
        for rows in token_buckets(self.lengths.astype(np.int64), budget=batch_size, rng=rng):
            yield self.episodes(rows)


def _check_rows(episodes: EpisodeBatch | EpisodeBuffer, n: int) -> None:
    arrays = {name: getattr(episodes, name) for name in PER_EPISODE}
    arrays |= {f"stream_scores[{name}]": each for name, each in episodes.stream_scores.items()}
    arrays |= {f"term_scores[{name}]": each for name, each in episodes.term_scores.items()}
    arrays |= {name: getattr(episodes, name) for name in BY_CHUNK}
    for name, array in arrays.items():
        if array is not None and len(array) != n:
            raise ValueError(f"`{name}` must have {n} rows, got {len(array)}")


def token_buckets(lengths: IntArray, *, budget: int, rng: np.random.Generator) -> list[IntArray]:
    """Return row indices in batches of about equal length under a token budget, in random order.

    A batch of several rows costs rows times its longest, padding counted, which is at most
    `budget`; a row that is longer than that is a batch of its own.

    Args:
        lengths: Shape (N,).
        budget: Tokens per batch.
        rng: Source of the jitter and the order.
    """
    if budget < 1:
        raise ValueError(f"`budget` must be at least 1, got {budget}")
    order = _jittered_order(lengths, rng)
    ordered = lengths[order]
    n_batches = len(_filled_sizes(ordered, budget))
    # As few as the budget allows, but of about equal cost: a leftover of one episode would make as
    # large a step as all others, and a noisier one.
    low, high = 1, budget
    while low < high:
        middle = (low + high) // 2
        if len(_filled_sizes(ordered, middle)) > n_batches:
            low = middle + 1
        else:
            high = middle
    ends = np.cumsum(_filled_sizes(ordered, high))[:-1]
    return _shuffled(np.split(order, ends), rng)


def _filled_sizes(lengths: IntArray, budget: int) -> list[int]:
    """Return how many of `lengths` (N,), in their order, go into each batch, filled in turn."""
    sizes: list[int] = []
    while len(lengths):
        costs = np.maximum.accumulate(lengths) * np.arange(1, len(lengths) + 1)
        sizes.append(max(1, int(np.searchsorted(costs, budget, side="right"))))  # costs never fall
        lengths = lengths[sizes[-1] :]
    return sizes


def length_buckets(lengths: IntArray, *, size: int, rng: np.random.Generator) -> list[IntArray]:
    """Return row indices in batches of about equal length, batches in random order.

    Args:
        lengths: Shape (N,).
        size: Rows per batch; the last one may be smaller.
        rng: Source of the jitter and the order.
    """
    if size < 1:
        raise ValueError(f"`size` must be at least 1, got {size}")
    order = _jittered_order(lengths, rng)
    batches = [order[begin : begin + size] for begin in range(0, len(order), size)]
    return _shuffled(batches, rng)


def _jittered_order(lengths: IntArray, rng: np.random.Generator) -> IntArray:
    """Return rows from short to long, but not quite, so that batches differ between epochs."""
    return np.argsort(lengths * rng.uniform(0.85, 1.15, len(lengths)), kind="stable")


def _shuffled(batches: list[IntArray], rng: np.random.Generator) -> list[IntArray]:
    return [batches[int(number)] for number in rng.permutation(len(batches))]
