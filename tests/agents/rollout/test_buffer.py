"""Batches of whole episodes: every one once, none cut, rows that stay together."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import FrozenInstanceError, replace

import numpy as np
import pytest

from agents.rollout.buffer import EpisodeBatch, EpisodeBuffer, length_buckets, token_buckets

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
    with pytest.raises(FrozenInstanceError, match="cannot assign to field 'scores'"):
        make_batch(3, 2).scores = np.zeros(2)  # type: ignore[misc]


def test_inside_marks_tokens_and_not_padding(make_batch: MakeBatch) -> None:
    """Every mean of every loss goes over exactly these entries."""
    assert make_batch(1, 3, 2).inside.tolist() == [
        [True, False, False],
        [True, True, True],
        [True, True, False],
    ]


def test_chosen_episodes_keep_their_numbers_and_lose_only_padding(make_batch: MakeBatch) -> None:
    """The ramp tells where each number came from: columns and rows must not mix."""
    part = EpisodeBuffer.pack(make_batch(2, 5, 3)).episodes(np.array([2, 0]))
    assert part.tokens.tolist() == [[10, 11, 12], [0, 1, -1]]
    assert part.log_probs.tolist() == [[-10, -11, -12], [0, -1, 0]]
    assert part.values.tolist() == [[20, 22, 24], [0, 2, 0]]
    assert part.advantages.tolist() == [[30, 33, 36], [0, 3, 0]]
    assert part.returns.tolist() == [[40, 44, 48], [0, 4, 0]]
    assert part.utterances.tolist() == [102, 100]
    assert part.condition.tolist() == [[4, 5], [0, 1]]
    assert part.lengths.tolist() == [3, 2]
    assert part.scores.tolist() == [0.25, 0]


@pytest.mark.parametrize("lengths", [[1], [4, 4], [2, 5, 3], [9, 1, 1, 9]])
def test_a_batch_comes_out_of_the_buffer_as_it_went_in(
    make_batch: MakeBatch, lengths: list[int]
) -> None:
    """Numbers and dtypes: what is updated on must be what was sampled, as torch wants it."""
    batch = make_batch(*lengths)
    again = EpisodeBuffer.pack(batch).episodes()
    for name in ("tokens", *_PER_TOKEN, *_PER_EPISODE):
        one, two = getattr(batch, name), getattr(again, name)
        np.testing.assert_array_equal(one, two, err_msg=name)
        assert one.dtype == two.dtype, name


@pytest.mark.parametrize(
    ("n_tokens", "wanted"), [(2, np.int16), (2**15, np.int16), (2**15 + 1, np.int32)]
)
def test_tokens_are_as_narrow_as_they_can_be(
    make_batch: MakeBatch, n_tokens: int, wanted: type
) -> None:
    """A token that wraps round is another token; int64 is most of the memory."""
    tokens = np.array([[0, n_tokens - 1]])
    buffer = EpisodeBuffer.pack(make_batch(2, tokens=tokens))
    assert buffer.tokens.dtype == wanted
    assert buffer.tokens.tolist() == tokens[0].tolist()


@pytest.mark.parametrize(("length", "highest"), [(128, 95), (128, 99_999), (16, 95)])
def test_a_token_takes_at_most_twenty_bytes(
    make_batch: MakeBatch, rng: np.random.Generator, length: int, highest: int
) -> None:
    """Of all arrays of tokens, and of everything where an episode has 128, unequal ones too."""
    lengths = rng.integers(length // 2, length, 64, endpoint=True)
    lengths[0] = length
    tokens = np.where(np.arange(length) < lengths[:, None], highest, -1)
    condition = np.zeros((64, 21), np.float32)
    buffer = EpisodeBuffer.pack(make_batch(*lengths, tokens=tokens, condition=condition))
    per_token = ("tokens", "log_probs", "values", "advantages", "returns")
    assert buffer.n_tokens == lengths.sum()
    assert sum(getattr(buffer, name).nbytes for name in per_token) <= 20 * buffer.n_tokens
    per_episode = 4 * (21 + 3)
    assert buffer.nbytes <= 20 * buffer.n_tokens + per_episode * 64
    if highest < 2**15 and length == 128:
        assert buffer.nbytes <= 20 * buffer.n_tokens


@pytest.mark.parametrize("name", ["tokens", *_PER_TOKEN])
def test_an_array_that_is_not_as_long_as_the_episodes_is_rejected(
    make_batch: MakeBatch, name: str
) -> None:
    """One token too few shifts every episode behind it."""
    buffer = EpisodeBuffer.pack(make_batch(3, 2))
    short = getattr(buffer, name)[:-1]
    rule = f"`{name}` must have shape (5,), got (4,)"
    with pytest.raises(ValueError, match=re.escape(rule)):
        replace(buffer, **{name: short})


@pytest.mark.parametrize("name", ["condition", "scores"])
def test_an_array_of_other_episodes_is_rejected(make_batch: MakeBatch, name: str) -> None:
    """The scores of other episodes would train this policy."""
    buffer = EpisodeBuffer.pack(make_batch(3, 2))
    rule = f"`{name}` must have 2 rows, got 1"
    with pytest.raises(ValueError, match=re.escape(rule)):
        replace(buffer, **{name: getattr(buffer, name)[:-1]})


@pytest.mark.parametrize("batch_size", [1, 5, 8, 9, 20, 1000, None])
def test_minibatches_hold_each_episode_once_and_whole(
    make_batch: MakeBatch, rng: np.random.Generator, batch_size: int | None
) -> None:
    """An episode left out or taken twice biases the gradient; a cut one loses its reward."""
    lengths = rng.integers(1, 9, 11).tolist()
    batch = make_batch(*lengths)
    parts = list(EpisodeBuffer.pack(batch).minibatches(batch_size, rng=rng))
    seen = np.concatenate([part.utterances for part in parts]) - 100
    assert sorted(seen.tolist()) == list(range(11))
    for part in parts:
        assert part.tokens.shape[1] == part.lengths.max()
        assert batch_size is None or len(part) == 1 or part.tokens.size <= batch_size
        for row, number in enumerate(part.utterances - 100):
            length = lengths[number]
            assert part.lengths[row] == length
            first = batch.tokens[number, 0]
            assert part.tokens[row, :length].tolist() == list(range(first, first + length))
    if batch_size is None:
        assert len(parts) == 1


def test_a_budget_is_spent() -> None:
    """Half-empty minibatches would be slower, and noisier, than what was asked for."""
    rng = np.random.default_rng(0)
    buckets = token_buckets(np.full(32, 80), budget=2560, rng=rng)
    assert [len(rows) for rows in buckets] == [32]
    mixed = np.repeat([10, 100], [30, 3])
    sizes = {
        (int(mixed[rows].max()), len(rows)) for rows in token_buckets(mixed, budget=300, rng=rng)
    }
    assert sizes == {(10, 30), (100, 3)}


@pytest.mark.parametrize(
    ("n", "budget", "sizes"), [(32, 800, [8] * 4), (33, 800, [6, 9, 9, 9]), (21, 800, [7] * 3)]
)
def test_no_minibatch_is_a_leftover(n: int, budget: int, sizes: list[int]) -> None:
    """Ten of 80 tokens fit: two left over would make as large a step, and a noisier one."""
    buckets = token_buckets(np.full(n, 80), budget=budget, rng=np.random.default_rng(0))
    assert sorted(len(rows) for rows in buckets) == sizes


def test_an_episode_over_the_budget_stands_alone() -> None:
    """Left out, the longest utterances would never be learnt."""
    rng = np.random.default_rng(0)
    buckets = token_buckets(np.array([3, 50, 3, 40]), budget=10, rng=rng)
    assert sorted(sorted(rows.tolist()) for rows in buckets) == [[0, 2], [1], [3]]


@pytest.mark.parametrize("budget", [0, -3])
def test_a_budget_of_nothing_is_rejected(rng: np.random.Generator, budget: int) -> None:
    """An endless loop says less."""
    rule = f"`budget` must be at least 1, got {budget}"
    with pytest.raises(ValueError, match=re.escape(rule)):
        token_buckets(np.array([3, 4]), budget=budget, rng=rng)


def test_token_buckets_differ_between_epochs_and_come_in_random_order() -> None:
    """The same minibatch every epoch, or always short to long, is what nobody asked for."""
    lengths = np.repeat([10, 20, 40, 80, 160], 4)
    rng = np.random.default_rng(0)
    epochs = [token_buckets(lengths, budget=160, rng=rng) for _ in range(20)]
    assert len({tuple(int(lengths[rows].max()) for rows in epoch) for epoch in epochs}) > 10
    again = token_buckets(lengths, budget=160, rng=np.random.default_rng(0))
    assert [rows.tolist() for rows in again] == [rows.tolist() for rows in epochs[0]]


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
