"""Weighted sum of rewards, the one an environment pays; each term stays visible."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from numbers import Real
from typing import TYPE_CHECKING, NamedTuple, cast

import numpy as np

from esarm_env.core.errors import InputError
from esarm_env.rewards.chunks import (
    WeightedScores,
    checked_chunks,
    chunk_streams_of,
    columns_of_sum,
    sum_of_chunks,
)
from esarm_env.rewards.gradients import differentiable_sum, terms_without_gradient
from esarm_env.rewards.validation import (
    Ids,
    RewardError,
    StreamScores,
    checked_scores,
    checked_streams,
    finite_scores,
    streams_of,
)

if TYPE_CHECKING:
    from torch import Tensor

    from esarm_env.core.types import (
        ChunkedReward,
        Corpus,
        DifferentiableScores,
        FloatArray,
        IntArray,
        RewardFunction,
        StreamedReward,
        Trajectories,
    )


@dataclass(frozen=True)
class RewardTerm:
    """One term of a weighted sum.

    Attributes:
        name: Its key in `info["rewards"]`.
        weight: Finite; negative for what is to be little, 0 for what is only to be watched.
        function: Scores.
    """

    name: str
    weight: float
    function: RewardFunction

    def __post_init__(self) -> None:
        """Check the weight and make it a float."""
        given: object = self.weight
        try:
            number = isinstance(given, Real) and not isinstance(given, bool)
            weight = float(self.weight) if number else math.nan
        except OverflowError:  # of a whole number beyond every float
            weight = math.inf
        if not math.isfinite(weight):
            raise InputError(
                f"the weight of reward {self.name!r} must be a finite number, got {given!r}"
            )
        object.__setattr__(self, "weight", weight)


class Scores(NamedTuple):
    """What a batch of N animations is worth.

    Attributes:
        total: Shape (N,), float32, the weighted sum.
        terms: Each term's own scores by its name, shape (N,), float32, not weighted.
    """

    total: FloatArray
    terms: dict[str, FloatArray]

    def row(self, index: int) -> dict[str, float]:
        """Return the terms of one animation, as `info["rewards"]` holds them."""
        return {name: float(scores[index]) for name, scores in self.terms.items()}


class CombinedReward:
    """A weighted sum of rewards; implements `RewardFunction`.

    The score is `sum(weight * term)`, added up in float64. Terms are reported raw, so that they
    keep their meaning and unit when a weight changes.

    Attributes:
        name: The formula, for instance `learned - 0.1 * jerk`.
        needs_ground_truth: Whether any term does.
    """

    def __init__(self, corpus: Corpus, terms: Sequence[RewardTerm]) -> None:
        """Add up `terms`, in this order; messages name utterances by their ids in `corpus`.

        Raises:
            InputError: If there is no term, or two have one name.
        """
        names = [term.name for term in terms]
        if not names or len(set(names)) < len(names):
            raise InputError(f"`terms` must be at least one, each of another name, got {names}")
        self._corpus, self._terms = corpus, tuple(terms)
        self.name = _formula(self._terms)
        self.needs_ground_truth = any(term.function.needs_ground_truth for term in terms)

    @property
    def terms(self) -> tuple[str, ...]:
        """Names of the terms, in their order."""
        return tuple(term.name for term in self._terms)

    @property
    def weights(self) -> dict[str, float]:
        """Weight by name of the term."""
        return {term.name: term.weight for term in self._terms}

    @property
    def functions(self) -> dict[str, RewardFunction]:
        """What scores, by name of the term: for what a reward offers beside `score`."""
        return {term.name: term.function for term in self._terms}

    def __repr__(self) -> str:
        return f"CombinedReward({self.name})"

    def score(self, trajectories: Trajectories) -> FloatArray:
        """Return the weighted sums, shape (N,); errors as of `score_terms`."""
        return self.score_terms(trajectories).total

    def score_terms(self, trajectories: Trajectories) -> Scores:
        """Return sums and terms; each term scores the batch once. An empty batch calls no term.

        Raises:
            RewardError: If a term raises, writes into `trajectories`, or does not return finite
                numbers of shape (N,). The message names the term and the utterance.
            InputError: If an utterance is not of the corpus.
        """
        self._check_utterances(trajectories)
        ids = partial(self._ids, trajectories)
        if len(trajectories) == 0:
            nothing = np.zeros((1 + len(self._terms), 0), dtype=np.float32)
            return Scores(nothing[0], dict(zip(self.terms, nothing[1:], strict=True)))
        terms: dict[str, FloatArray] = {}
        untouched = _contents(trajectories)
        for term in self._terms:
            scores = checked_scores(term.name, term.function, trajectories, ids)
            # The next term, and a trainer that keeps the tokens, would read what this one wrote.
            if _contents(trajectories) != untouched:
                raise RewardError(
                    f"reward {term.name!r} must leave `trajectories` as they are, got a change; "
                    "let it copy an array before writing into it"
                )
            terms[term.name] = scores
        return Scores(self._total(terms, ids), terms)

    @cached_property
    def streams(self) -> tuple[str, ...]:
        """Streams that every term scores (a term of weight 0 need not); empty if one does not."""
        told = [self._term_streams[term.name] for term in self._terms if term.weight]
        return told[0] if told and all(set(each) == set(told[0]) for each in told) else ()

    @cached_property
    def _term_streams(self) -> dict[str, tuple[str, ...]]:
        return {term.name: streams_of(term.function) for term in self._terms}

    def score_streams(self, trajectories: Trajectories) -> StreamScores:
        """Return `score` by stream, (N,) each: the weighted sums of what the terms say of each.

        Raises:
            ValueError: If there are no `streams`.
            RewardError: As of `score_terms`, or if a term's streams do not add up to its score.
        """
        if not self.streams:
            silent = [t.name for t in self._terms if t.weight and not self._term_streams[t.name]]
            why = f"{silent} cannot" if silent else f"its terms have {self._term_streams}"
            raise ValueError(
                f"reward {self.name!r} cannot score streams, since {why}; use `score`, or leave "
                "`stream_advantages` False"
            )
        terms = self.score_terms(trajectories).terms
        ids = partial(self._ids, trajectories)
        sums: dict[str, np.ndarray] = {}
        for term in self._terms:
            if term.weight and len(trajectories):
                scores, function = terms[term.name], cast("StreamedReward", term.function)
                parts = checked_streams(term.name, function, trajectories, scores, ids)
                for stream, values in parts.items():
                    weighted = term.weight * values.astype(np.float64)
                    sums[stream] = sums.get(stream, 0.0) + weighted
        return {stream: finite_scores(self.name, total, ids) for stream, total in sums.items()}

    @cached_property
    def chunk_streams(self) -> tuple[str, ...]:
        """Columns of `score_chunks`: those of all terms; empty if no term tells chunks apart."""
        return columns_of_sum([chunk_streams_of(t.function) for t in self._terms if t.weight])

    def score_chunks(self, trajectories: Trajectories) -> FloatArray:
        """Return `score` by chunk, (N, C, S), in the columns `chunk_streams`.

        What a term says of a whole animation alone is earned with its last chunk.

        Raises:
            ValueError: If there are no `chunk_streams`.
            RewardError: As of `score_terms`, or if a term's chunks do not add up to its score.
        """
        if not self.chunk_streams:
            raise ValueError(
                f"reward {self.name!r} cannot score chunks, since none of its terms can; use "
                "`score`, or a reward with `chunk_streams`, such as `learned` or `accuracy`"
            )
        scores = self.score_terms(trajectories).terms
        ids = partial(self._ids, trajectories)
        told = []
        for term in self._terms if len(trajectories) else ():
            columns, values = chunk_streams_of(term.function), scores[term.name]
            if term.weight and columns:
                function = cast("ChunkedReward", term.function)
                values = checked_chunks(term.name, function, trajectories, values, ids)
            if term.weight:
                told.append(WeightedScores(term.weight, columns, values))
        if not told:
            return np.zeros((0, 0, len(self.chunk_streams)), dtype=np.float32)
        return sum_of_chunks(told, self.chunk_streams, trajectories.lengths)

    @property
    def without_gradient(self) -> tuple[str, ...]:
        """Names of the terms that count and have no `differentiable_score`; empty if all have."""
        return terms_without_gradient(self.functions, self.weights)

    def differentiable_score(
        self, choices: Tensor, utterances: IntArray, lengths: IntArray, condition: FloatArray
    ) -> DifferentiableScores:
        """Return `score` with a gradient to the choices among tokens; see `DifferentiableReward`.

        Raises:
            InputError: If a term of `without_gradient` counts.
            RewardError: If a term's scores have another shape than (N,).
        """
        given = (choices, utterances, lengths, condition)
        return differentiable_sum(self.functions, self.weights, *given)

    def _total(self, terms: dict[str, FloatArray], ids: Ids) -> FloatArray:
        scores, *more = terms.values()
        if not more and self._terms[0].weight == 1:
            return scores.copy()  # common case: one term of weight 1, no float64 sum needed
        total = np.zeros(len(scores))
        with np.errstate(over="ignore", invalid="ignore"):
            for term in self._terms:
                total += term.weight * terms[term.name].astype(np.float64)
        return finite_scores(self.name, total, ids)

    def _check_utterances(self, trajectories: Trajectories) -> None:
        n = len(self._corpus.records)
        given = trajectories.utterance
        # As an unsigned number, a negative one is huge.
        if np.maximum.reduce(given.astype(np.uint64), initial=0) >= n:
            wrong = given[(given < 0) | (given >= n)][0]
            raise InputError(f"`utterance` must be in 0..{n - 1}, got {wrong}")

    def _ids(self, trajectories: Trajectories) -> list[str]:
        records = self._corpus.records
        return [records[int(index)].id for index in trajectories.utterance]


def _formula(terms: Sequence[RewardTerm]) -> str:
    text = ""
    for term in terms:
        size = "" if abs(term.weight) == 1 else f"{abs(term.weight):g} * "
        sign = " - " if term.weight < 0 else " + "
        text += (sign if text else sign.strip(" +")) + size + term.name
    return text


def _contents(trajectories: Trajectories) -> tuple[bytes, ...]:
    given = trajectories
    parts = (given.utterance, given.tokens, given.lengths, given.condition)
    return tuple(part.tobytes() for part in parts)
