"""Batches of whole episodes: every one once, none cut, rows that stay together."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import FrozenInstanceError, fields

import numpy as np
import pytest

from agents.common.buffer import EpisodeBatch, length_buckets

MakeBatch = Callable[..., EpisodeBatch]

_PER_TOKEN = ("log_probs", "values", "advantages", "returns")
_PER_EPISODE = ("utterances", "condition", "lengths", "scores")


@pytest.mark.parametrize("name", _PER_TOKEN)
@pytest.mark.parametrize("shape", [(2, 4), (3, 3), (2, 6)])
def test_a_token_array_of_another_shape_is_rejected(
    make_batch: MakeBatch, name: str, shape: tuple[int, int]
) -> None:
    """Broadcasting would carry a wrong shape silently into the loss."""
    rule = f"`{name}` must have shape (2, 3), got {shape}"
    with pytest.raises(ValueError, match=re.escape(rule)):
        make_batch(3, 2, **{name: np.zeros(shape, np.float32)})


@pytest.mark.parametrize("name", _PER_EPISODE)
@pytest.mark.parametrize("n_rows", [1, 3])
def test_an_episode_array_of_other_rows_is_rejected(
    make_batch: MakeBatch, name: str, n_rows: int
) -> None:
    """The scores of other episodes would train this policy."""
    rule = f"`{name}` must have 2 rows, got {n_rows}"
    with pytest.raises(ValueError, match=re.escape(rule)):
        make_batch(3, 2, **{name: np.ones((n_rows, 1))[:, 0]})


def test_arrays_that_agree_are_allowed(make_batch: MakeBatch) -> None:
    """One episode of one token is the smallest batch."""
    assert len(make_batch(1)) == 1
    assert len(make_batch(3, 1, 2)) == 3


def test_a_batch_does_not_change(make_batch: MakeBatch) -> None:
    """What was sampled and what is updated on must be the same thing."""
    with pytest.raises(FrozenInstanceError):
        make_batch(3, 2).scores = np.zeros(2)  # type: ignore[misc]


def test_inside_marks_tokens_and_not_padding(make_batch: MakeBatch) -> None:
    """Every mean of every loss goes over exactly these entries."""
    assert make_batch(1, 3, 2).inside.tolist() == [
        [True, False, False],
        [True, True, True],
        [True, True, False],
    ]


def test_rows_keep_their_numbers_and_lose_only_padding(make_batch: MakeBatch) -> None:
    """The ramp tells where each number came from: columns and rows must not mix."""
    part = make_batch(2, 5, 3).rows(np.array([2, 0]))
    assert part.tokens.tolist() == [[10, 11, 12], [0, 1, -1]]
    assert part.log_probs.tolist() == [[-10, -11, -12], [0, -1, 0]]
    assert part.values.tolist() == [[20, 22, 24], [0, 2, 0]]
    assert part.advantages.tolist() == [[30, 33, 36], [0, 3, 0]]
    assert part.returns.tolist() == [[40, 44, 48], [0, 4, 0]]
    assert part.utterances.tolist() == [102, 100]
    assert part.condition.tolist() == [[4, 5], [0, 1]]
    assert part.lengths.tolist() == [3, 2]
    assert part.scores.tolist() == [0.25, 0]


def test_rows_keep_every_dtype(make_batch: MakeBatch) -> None:
    """A float64 that slips in doubles the memory and fails only where torch meets it."""
    batch = make_batch(2, 5, 3)
    part = batch.rows(np.array([1]))
    for field in fields(EpisodeBatch):
        assert getattr(part, field.name).dtype == getattr(batch, field.name).dtype, field.name


@pytest.mark.parametrize("size", [1, 2, 3, 10, 11, 100])
def test_minibatches_hold_each_episode_once_and_whole(
    make_batch: MakeBatch, rng: np.random.Generator, size: int
) -> None:
    """An episode left out or taken twice biases the gradient; a cut one loses its reward."""
    lengths = rng.integers(1, 9, 11).tolist()
    batch = make_batch(*lengths)
    parts = list(batch.minibatches(size, rng=rng))
    seen = np.concatenate([part.utterances for part in parts]) - 100
    assert sorted(seen.tolist()) == list(range(11))
    assert sorted((len(part) for part in parts), reverse=True) == [
        min(size, 11 - begin) for begin in range(0, 11, size)
    ]
    for part in parts:
        assert part.tokens.shape[1] == part.lengths.max()
        for row, number in enumerate(part.utterances - 100):
            length = lengths[number]
            assert part.lengths[row] == length
            first = batch.tokens[number, 0]
            assert part.tokens[row, :length].tolist() == list(range(first, first + length))


def test_neighbours_in_length_stand_together(rng: np.random.Generator) -> None:
    """A short episode beside a long one is mostly padding, and padding costs as much as tokens."""
    lengths = np.repeat([100, 10, 40], 8)[rng.permutation(24)]
    for bucket in length_buckets(lengths, size=8, rng=rng):
        assert len(set(lengths[bucket].tolist())) == 1


def test_buckets_differ_from_epoch_to_epoch_but_not_from_run_to_run() -> None:
    """The same minibatch every epoch is less noise than the method wants; a new one, no rerun."""
    lengths = np.full(20, 10)
    rng = np.random.default_rng(4)
    first, second = (length_buckets(lengths, size=5, rng=rng) for _ in range(2))
    again = length_buckets(lengths, size=5, rng=np.random.default_rng(4))
    assert [set(rows.tolist()) for rows in first] != [set(rows.tolist()) for rows in second]
    assert [rows.tolist() for rows in first] == [rows.tolist() for rows in again]


def test_buckets_come_in_random_order() -> None:
    """Always short to long would be a curriculum nobody asked for."""
    lengths = np.repeat([10, 20, 40, 80, 160], 4)
    rng = np.random.default_rng(0)
    orders = {
        tuple(int(lengths[rows[0]]) for rows in length_buckets(lengths, size=4, rng=rng))
        for _ in range(20)
    }
    assert len(orders) > 10


@pytest.mark.parametrize("size", [0, -3])
def test_buckets_of_nothing_are_rejected(rng: np.random.Generator, size: int) -> None:
    """An empty minibatch would divide by zero in the update."""
    rule = f"`size` must be at least 1, got {size}"
    with pytest.raises(ValueError, match=re.escape(rule)):
        length_buckets(np.array([3, 4]), size=size, rng=rng)


def test_buckets_of_one_are_allowed(rng: np.random.Generator) -> None:
    """One episode an update is slow, not wrong."""
    buckets = length_buckets(np.array([3, 4]), size=1, rng=rng)
    assert sorted(rows.tolist() for rows in buckets) == [[0], [1]]
