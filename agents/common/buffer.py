"""Whole episodes of tokens: about 20 bytes a token, never cut, never an observation."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from agents.common.protocols import FloatArray, IntArray


@dataclass(frozen=True)
class EpisodeBatch:
    """Some finished episodes and what was computed of them.

    Attributes:
        utterances: Shape (N,).
        condition: Shape (N, C).
        tokens: Shape (N, L), padded with -1.
        lengths: Shape (N,).
        log_probs: Shape (N, L), at sampling time.
        values: Shape (N, L), at sampling time.
        scores: Shape (N,), terminal reward.
        advantages: Shape (N, L).
        returns: Shape (N, L).
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

    def __post_init__(self) -> None:
        """Check that all arrays agree in rows and width."""
        n, width = self.tokens.shape
        for name in ("log_probs", "values", "advantages", "returns"):
            shape = getattr(self, name).shape
            if shape != (n, width):
                raise ValueError(f"`{name}` must have shape {(n, width)}, got {shape}")
        for name in ("utterances", "condition", "lengths", "scores"):
            rows = len(getattr(self, name))
            if rows != n:
                raise ValueError(f"`{name}` must have {n} rows, got {rows}")

    def __len__(self) -> int:
        """Return the number of episodes."""
        return len(self.tokens)

    @property
    def inside(self) -> np.ndarray:
        """Shape (N, L), True where a token is, False in padding."""
        return np.arange(self.tokens.shape[1]) < self.lengths[:, None]

    def rows(self, chosen: IntArray) -> EpisodeBatch:
        """Return the `chosen` episodes, trimmed to the longest of them."""
        width = int(self.lengths[chosen].max())
        return EpisodeBatch(
            utterances=self.utterances[chosen],
            condition=self.condition[chosen],
            tokens=self.tokens[chosen, :width],
            lengths=self.lengths[chosen],
            log_probs=self.log_probs[chosen, :width],
            values=self.values[chosen, :width],
            scores=self.scores[chosen],
            advantages=self.advantages[chosen, :width],
            returns=self.returns[chosen, :width],
        )

    def minibatches(self, size: int, *, rng: np.random.Generator) -> Iterator[EpisodeBatch]:
        """Yield the episodes once, `size` at a time, neighbours in length together."""
        for rows in length_buckets(self.lengths, size=size, rng=rng):
            yield self.rows(rows)


def length_buckets(lengths: IntArray, *, size: int, rng: np.random.Generator) -> list[IntArray]:
    """Return row indices in batches of about equal length, batches in random order.

    Lengths are jittered before sorting, so that the batches differ from epoch to epoch.

    Args:
        lengths: Shape (N,).
        size: Rows per batch; the last one may be smaller.
        rng: Source of the jitter and the order.
    """
    if size < 1:
        raise ValueError(f"`size` must be at least 1, got {size}")
    jittered = lengths * rng.uniform(0.85, 1.15, len(lengths))
    order = np.argsort(jittered, kind="stable")
    batches = [order[begin : begin + size] for begin in range(0, len(order), size)]
    return [batches[int(number)] for number in rng.permutation(len(batches))]
