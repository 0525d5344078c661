"""The weighted sum: numbers by hand, terms raw, and culprits by name."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch

from esarm_env.core.errors import InputError
from esarm_env.core.types import RewardFunction, Trajectories
from esarm_env.rewards import CombinedReward, RewardError, RewardTerm
from esarm_env.task.animation_task import AnimationTask

IDS = ("ben-04", "cleo-06", "dora-10")


class Plain:
    """Returns what `make` makes of the trajectories; counts its batches."""

    def __init__(self, make: Callable[[Trajectories], Any], *, truth: bool = False) -> None:
        self.make, self.needs_ground_truth = make, truth
        self.batches: list[int] = []

    def score(self, trajectories: Trajectories) -> Any:
        self.batches.append(len(trajectories))
        return self.make(trajectories)


def lengths(trajectories: Trajectories) -> Any:
    return trajectories.lengths


@pytest.fixture
def three(tiny_task: AnimationTask) -> Trajectories:
    """Return three recordings of 48, 20 and 40 tokens: `IDS`."""
    return tiny_task.recorded(np.array([4, 6, 10]))


def test_the_sum_is_weighted_and_its_terms_are_raw(
    combine: Callable[..., CombinedReward], three: Trajectories
) -> None:
    """A weighted term would change its unit with every sweep over weights."""
    flat = Plain(lambda t: np.full(len(t), 0.5), truth=True)
    reward = combine(long=(0.25, Plain(lengths)), flat=(-3, flat))
    total, terms = reward.score_terms(three)
    np.testing.assert_array_equal(total, [48 / 4 - 1.5, 20 / 4 - 1.5, 40 / 4 - 1.5])
    np.testing.assert_array_equal(terms["long"], [48, 20, 40])
    np.testing.assert_array_equal(terms["flat"], [0.5, 0.5, 0.5])
    assert list(terms) == ["long", "flat"]
    np.testing.assert_array_equal(reward.score(three), total)
    assert reward.score_terms(three).row(1) == {"long": 20.0, "flat": 0.5}


def test_the_reward_says_what_it_is_made_of(combine: Callable[..., CombinedReward]) -> None:
    """Reports name the reward by its formula."""
    long, flat = Plain(lengths), Plain(lengths, truth=True)
    reward = combine(b=(1, long), a=(-0.1, flat), c=(0, long))
    assert reward.terms == ("b", "a", "c")
    assert reward.weights == {"b": 1.0, "a": -0.1, "c": 0.0}
    assert reward.functions == {"b": long, "a": flat, "c": long}
    assert reward.name == "b - 0.1 * a + 0 * c"
    assert repr(reward) == "CombinedReward(b - 0.1 * a + 0 * c)"
    assert combine(a=(-1, long), b=(2.5, flat)).name == "-a + 2.5 * b"
    assert isinstance(reward, RewardFunction)


def test_one_term_that_needs_the_truth_is_enough(combine: Callable[..., CombinedReward]) -> None:
    """Whoever trains on the truth must be told, however small the weight."""
    blind, seeing = Plain(lengths), Plain(lengths, truth=True)
    assert combine(a=(1, blind), b=(1, blind)).needs_ground_truth is False
    assert combine(a=(1, blind), b=(0, seeing)).needs_ground_truth is True


def test_every_term_scores_a_batch_once(
    combine: Callable[..., CombinedReward], three: Trajectories
) -> None:
    """Scoring costs most of an episode; sum and terms must not pay for it twice."""
    first, second = Plain(lengths), Plain(lengths)
    combine(a=(1, first), b=(2, second)).score_terms(three)
    assert first.batches == second.batches == [3]


def test_no_trajectories_cost_nothing(
    combine: Callable[..., CombinedReward], three: Trajectories
) -> None:
    """Nothing finished in this step: plug-ins need not know that case."""
    term = Plain(lambda t: t.lengths.max())
    total, terms = combine(a=(1, term)).score_terms(three[:0])
    assert total.shape == terms["a"].shape == (0,)
    assert total.dtype == terms["a"].dtype == np.float32
    assert term.batches == []


@pytest.mark.parametrize(
    "convert",
    [
        np.float64,
        np.float16,
        np.int64,
        list,
        tuple,
        torch.tensor,
        lambda values: torch.tensor(values, dtype=torch.float64, requires_grad=True),
        lambda values: [torch.tensor(value) for value in values],
    ],
)
def test_whatever_reads_as_numbers_is_a_score(
    combine: Callable[..., CombinedReward], three: Trajectories, convert: Callable[[Any], Any]
) -> None:
    """A reward of ten lines should not have to know about dtypes."""
    total, terms = combine(a=(1, Plain(lambda t: convert([2.0, -1.0, 0.0])))).score_terms(three)
    for scores in (total, terms["a"]):
        assert type(scores) is np.ndarray
        assert scores.dtype == np.float32
        np.testing.assert_array_equal(scores, [2, -1, 0])


def test_scores_share_no_memory_with_the_reward(
    combine: Callable[..., CombinedReward], three: Trajectories
) -> None:
    """A reward that fills one buffer again and again would rewrite yesterday's scores."""
    buffer = np.zeros(3, dtype=np.float32)
    total, terms = combine(a=(1, Plain(lambda t: buffer))).score_terms(three)
    assert not np.shares_memory(total, terms["a"])
    assert not np.shares_memory(terms["a"], buffer)
    buffer += 1
    assert not total.any()
    assert not terms["a"].any()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_score_that_is_not_finite_names_its_utterance(
    combine: Callable[..., CombinedReward], three: Trajectories, value: float
) -> None:
    """One nan in a buffer turns every weight into nan an update later."""
    bad = Plain(lambda t: np.where(t.lengths == 20, value, 0))
    reward = combine(good=(1, Plain(lengths)), bad=(0, bad))
    with pytest.raises(
        RewardError, match=re.escape(f"reward 'bad' must be finite, got {value} for 'cleo-06'")
    ):
        reward.score_terms(three)
    assert reward.score(three[[0, 2]]).tolist() == [48, 40]


def test_of_several_that_are_not_finite_the_first_is_named(
    combine: Callable[..., CombinedReward], three: Trajectories
) -> None:
    """A list of 4,096 ids is no message."""
    reward = combine(bad=(1, Plain(lambda t: np.where(t.lengths < 48, np.nan, 0))))
    message = "reward 'bad' must be finite, got nan for 'cleo-06' (and for 1 more)"
    with pytest.raises(RewardError, match=re.escape(message) + "$"):
        reward.score(three)


def test_a_score_beyond_float32_is_refused(
    combine: Callable[..., CombinedReward], three: Trajectories
) -> None:
    """It is finite in the plug-in and infinite in every buffer; so may a sum be."""
    with pytest.raises(RewardError, match=re.escape("must be finite, got 1e+300 for 'ben-04'")):
        combine(big=(1, Plain(lambda t: np.full(len(t), 1e300)))).score(three)
    large = Plain(lambda t: np.full(len(t), 3e38))
    for weight in (2.0, 1e300):
        reward = combine(a=(weight, large), b=(1, Plain(lengths)))
        formula = re.escape(f"reward '{weight:g} * a + b' must be finite, got ")
        with pytest.raises(RewardError, match=formula + ".* for 'ben-04'"):
            reward.score(three)


@pytest.mark.parametrize(
    ("made", "got"),
    [
        (np.zeros(2), "(2,)"),
        (np.zeros((3, 1)), "(3, 1)"),
        (0.5, "()"),
        (None, "()"),
        ([], "(0,)"),
    ],
)
def test_another_shape_is_refused(
    combine: Callable[..., CombinedReward], three: Trajectories, made: Any, got: str
) -> None:
    """(N, 1) would broadcast to (N, N) in the first sum behind it."""
    message = f"reward 'a' must return shape (3,), got {got} for 'ben-04', 'cleo-06', 'dora-10'"
    with pytest.raises(RewardError, match=re.escape(message)):
        combine(a=(1, Plain(lambda t: made))).score(three)


@pytest.mark.parametrize(
    ("made", "got"),
    [
        (["1", "2", "3"], "<U1"),
        ([True, False, True], "bool"),
        ([1j, 0, 0], "complex128"),
        ([None, 1, 2], "object"),
    ],
)
def test_what_is_no_number_is_refused(
    combine: Callable[..., CombinedReward], three: Trajectories, made: Any, got: str
) -> None:
    """numpy turns texts into numbers and drops imaginary parts without a word."""
    message = f"reward 'a' must return numbers, got {got} for 'ben-04', 'cleo-06', 'dora-10'"
    with pytest.raises(RewardError, match=re.escape(message)):
        combine(a=(1, Plain(lambda t: made))).score(three)


def test_a_long_batch_is_not_listed_whole(
    combine: Callable[..., CombinedReward], tiny_task: AnimationTask
) -> None:
    """Three ids are enough to try with."""
    many = tiny_task.recorded(np.arange(12))
    with pytest.raises(RewardError, match=r"got \(\) for 'anna-00', .*, 'anna-02' and 9 more$"):
        combine(a=(1, Plain(lambda t: 0.0))).score(many)


def test_a_reward_that_raises_names_the_utterance_it_raises_for(
    combine: Callable[..., CombinedReward], three: Trajectories
) -> None:
    """Of a batch of thousands, the author needs the one to try again with."""

    def picky(trajectories: Trajectories) -> Any:
        for length in trajectories.lengths:
            if length < 48:
                raise ValueError(f"cannot do {length} tokens")
        return trajectories.lengths

    term = Plain(picky)
    reward = combine(good=(1, Plain(lengths)), picky=(1, term))
    message = "reward 'picky' must not raise, got ValueError for 'cleo-06': cannot do 20 tokens"
    with pytest.raises(RewardError, match=re.escape(message)) as caught:
        reward.score(three)
    assert isinstance(caught.value.__cause__, ValueError)
    assert isinstance(caught.value, RuntimeError)
    assert term.batches == [3, 1, 1], "the first at fault is enough"
    assert RewardError(*caught.value.args).args == caught.value.args, "workers send errors by text"


def test_a_reward_that_raises_on_one_is_not_asked_again(
    combine: Callable[..., CombinedReward], three: Trajectories
) -> None:
    """There is nobody else to blame."""

    def fail(trajectories: Trajectories) -> Any:
        raise KeyError("jaw")

    term = Plain(fail)
    message = "reward 'a' must not raise, got KeyError for 'dora-10': 'jaw'"
    with pytest.raises(RewardError, match=re.escape(message)):
        combine(a=(1, term)).score(three[2:])
    assert term.batches == [1]


def test_a_reward_that_raises_on_batches_alone_names_the_batch(
    combine: Callable[..., CombinedReward], three: Trajectories
) -> None:
    """Naming any one utterance would send its author the wrong way."""

    def single(trajectories: Trajectories) -> Any:
        if len(trajectories) > 1:
            raise ValueError("one at a time")
        return [0.0]

    message = (
        "reward 'a' must not raise, got ValueError for 'ben-04', 'cleo-06', 'dora-10': "
        "one at a time"
    )
    with pytest.raises(RewardError, match=re.escape(message)):
        combine(a=(1, Plain(single))).score(three)


def test_a_reward_of_ragged_lists_is_refused(
    combine: Callable[..., CombinedReward], three: Trajectories
) -> None:
    """numpy's own error names neither reward nor utterance."""
    with pytest.raises(RewardError, match="reward 'a' must not raise, got ValueError for 'ben-04'"):
        combine(a=(1, Plain(lambda t: [[1.0], [1.0, 2.0], []]))).score(three)


@pytest.mark.parametrize("rows", [slice(0, 1), slice(0, 3)])
def test_an_interruption_passes(
    combine: Callable[..., CombinedReward], three: Trajectories, rows: slice
) -> None:
    """Ctrl+C is not the reward's fault, not even while the culprit is looked for."""

    def interrupted(trajectories: Trajectories) -> Any:
        if len(trajectories) > 1:
            raise ValueError("look for the culprit")
        raise KeyboardInterrupt("by the test")

    with pytest.raises(KeyboardInterrupt, match=r"^by the test$"):
        combine(a=(1, Plain(interrupted))).score(three[rows])


@pytest.mark.parametrize("part", ["tokens", "utterance", "lengths", "condition"])
def test_a_reward_that_writes_into_its_input_is_refused(
    combine: Callable[..., CombinedReward], three: Trajectories, part: str
) -> None:
    """The next term, and the trainer that keeps the tokens, would read what it wrote."""

    def spoil(trajectories: Trajectories) -> Any:
        getattr(trajectories, part)[0] += 1
        return np.zeros(len(trajectories))

    last = Plain(lengths)
    copied = Trajectories(
        three.utterance.copy(), three.tokens.copy(), three.lengths.copy(), three.condition.copy()
    )
    message = "reward 'spoil' must leave `trajectories` as they are, got a change"
    with pytest.raises(RewardError, match=re.escape(message)):
        combine(spoil=(1, Plain(spoil)), last=(1, last)).score(copied)
    assert last.batches == []


@pytest.mark.parametrize("index", [-1, 12])
def test_an_utterance_of_another_corpus_is_refused(
    combine: Callable[..., CombinedReward], three: Trajectories, index: int
) -> None:
    """-1 would score the last utterance of the corpus."""
    foreign = Trajectories(np.array([4, index, 10]), three.tokens, three.lengths, three.condition)
    with pytest.raises(InputError, match=re.escape(f"`utterance` must be in 0..11, got {index}")):
        combine(a=(1, Plain(lengths))).score(foreign)


@pytest.mark.parametrize(
    "weight", [np.nan, np.inf, -np.inf, True, np.True_, "1", None, 1j, 10**400]
)
def test_a_weight_must_be_a_finite_number(weight: Any) -> None:
    """`True` is a switch somebody meant, and nan is found an update later."""
    message = f"the weight of reward 'a' must be a finite number, got {weight!r}"
    with pytest.raises(InputError, match=re.escape(message)):
        RewardTerm("a", weight, Plain(lengths))


@pytest.mark.parametrize(
    "weight", [0, -2, 0.5, np.float32(0.5), np.int64(3), Fraction(1, 4), 1e-300]
)
def test_any_finite_number_is_a_weight(weight: Any) -> None:
    """Sweeps hand over numpy's numbers."""
    term = RewardTerm("a", weight, Plain(lengths))
    assert type(term.weight) is float
    assert math.isclose(term.weight, float(weight))


def test_terms_must_be_there_and_differ(tiny_task: AnimationTask) -> None:
    """Two of one name would share a key of `info`."""
    term = RewardTerm("a", 1.0, Plain(lengths))
    for terms, got in (([], "[]"), ([term, term], "['a', 'a']")):
        message = f"`terms` must be at least one, each of another name, got {got}"
        with pytest.raises(InputError, match=re.escape(message)):
            CombinedReward(tiny_task.corpus, terms)
