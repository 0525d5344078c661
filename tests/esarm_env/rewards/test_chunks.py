"""Scores by chunk: they add up to the score, and what cannot tell is paid at the end."""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np
import pytest

from esarm_env.core.types import Trajectories
from esarm_env.rewards import CombinedReward, RewardError
from esarm_env.task.animation_task import AnimationTask


class Tokens:
    """Pays each chunk the sum of its tokens, by column."""

    needs_ground_truth = False

    def __init__(self, per_chunk: int, columns: tuple[str, ...], off: float = 0.0) -> None:
        self.per_chunk, self.chunk_streams, self.off = per_chunk, columns, off

    def score(self, trajectories: Trajectories) -> np.ndarray:
        return np.where(trajectories.tokens >= 0, trajectories.tokens, 0).sum(1).astype(np.float32)

    def score_chunks(self, trajectories: Trajectories) -> np.ndarray:
        counted = np.where(trajectories.tokens >= 0, trajectories.tokens, 0)
        by_chunk = counted.reshape(len(counted), -1, self.per_chunk)
        parts = np.split(by_chunk, len(self.chunk_streams), axis=2)
        return np.stack([part.sum(2) for part in parts], axis=2) + self.off


class Silent:
    """Pays 1, and does not say for what."""

    needs_ground_truth = False

    def score(self, trajectories: Trajectories) -> np.ndarray:
        return np.ones(len(trajectories), np.float32)


@pytest.fixture
def three(tiny_task: AnimationTask) -> Trajectories:
    """Return three recordings of different lengths."""
    return tiny_task.recorded(np.array([4, 6, 10]))


def test_chunks_of_a_sum_add_up_to_its_score(
    tiny_task: AnimationTask, three: Trajectories, combine: Callable[..., CombinedReward]
) -> None:
    """Chunks that are paid and the score that is reported must be the same reward."""
    per_chunk = tiny_task.tokens_per_chunk
    apart = Tokens(per_chunk, ("mouth", "upper"))
    reward = combine(a=(0.5, apart), b=(-2, Tokens(per_chunk, ("whole",))), c=(3, Silent()))
    assert reward.chunk_streams == ("mouth", "upper", "whole")
    chunks = reward.score_chunks(three)
    n_chunks = three.tokens.shape[1] // per_chunk
    assert chunks.shape == (3, n_chunks, 3)
    assert chunks.dtype == np.float32
    np.testing.assert_allclose(chunks.sum((1, 2)), reward.score(three), rtol=1e-5)
    mouth = three.tokens.reshape(3, n_chunks, per_chunk)[:, 0, : per_chunk // 2].sum(1)
    np.testing.assert_allclose(chunks[:, 0, 0], 0.5 * mouth)


def test_what_cannot_tell_is_paid_with_the_last_chunk(
    tiny_task: AnimationTask, three: Trajectories, combine: Callable[..., CombinedReward]
) -> None:
    """Past a short animation's end nobody would be paid."""
    reward = combine(
        told=(1e-6, Tokens(tiny_task.tokens_per_chunk, ("mouth", "upper"))), silent=(4, Silent())
    )
    whole = reward.score_chunks(three)[:, :, 2]
    ends = three.lengths // tiny_task.tokens_per_chunk - 1
    assert len(set(ends.tolist())) > 1, "the test needs several lengths"
    np.testing.assert_allclose(whole[np.arange(3), ends], 4)
    np.testing.assert_allclose(whole.sum(1), 4)


def test_terms_of_weight_0_have_no_columns(
    tiny_task: AnimationTask, combine: Callable[..., CombinedReward]
) -> None:
    """What is only watched is not paid."""
    told = Tokens(tiny_task.tokens_per_chunk, ("mouth", "upper"))
    assert combine(told=(0, told), silent=(1, Silent())).chunk_streams == ()
    assert combine(told=(1, told), silent=(0, Silent())).chunk_streams == ("mouth", "upper")


def test_a_reward_that_cannot_tell_is_refused(
    three: Trajectories, combine: Callable[..., CombinedReward]
) -> None:
    """The message says what to use instead."""
    with pytest.raises(ValueError, match=re.escape("none of its terms can; use `score`")):
        combine(silent=(1, Silent())).score_chunks(three)


def test_chunks_that_do_not_add_up_are_refused_with_both_numbers(
    tiny_task: AnimationTask, three: Trajectories, combine: Callable[..., CombinedReward]
) -> None:
    """Paid by chunk, such a reward would be another one."""
    reward = combine(odd=(1, Tokens(tiny_task.tokens_per_chunk, ("whole",), off=1.0)))
    score = reward.score(three)
    n_chunks = three.tokens.shape[1] // tiny_task.tokens_per_chunk
    message = f"must add up to its score {score[0]}, got {score[0] + n_chunks}"
    with pytest.raises(RewardError, match=re.escape(message)):
        reward.score_chunks(three)


@pytest.mark.parametrize(
    ("chunks", "message"),
    [
        (np.zeros((3, 4)), "must have shape (3, chunks, 1), one column for each of ('whole',)"),
        (np.zeros((3, 4, 2)), "got (3, 4, 2) for"),
        (np.full((3, 4, 1), np.nan), "must be finite, got nan in all"),
        (np.full((3, 4, 1), "x"), "must be numbers, got <U1"),
    ],
)
def test_what_is_no_score_by_chunk_is_refused(
    chunks: np.ndarray, message: str, three: Trajectories, combine: Callable[..., CombinedReward]
) -> None:
    """The message names the reward."""
    odd = Tokens(1, ("whole",))
    odd.score_chunks = lambda trajectories: chunks  # type: ignore[method-assign]
    with pytest.raises(RewardError, match=r"the chunks of reward 'odd'.*" + re.escape(message)):
        combine(odd=(1, odd)).score_chunks(three)


def test_terms_with_other_numbers_of_chunks_are_refused(
    tiny_task: AnimationTask, three: Trajectories, combine: Callable[..., CombinedReward]
) -> None:
    """Added up, chunks of one would be paid at times of the other."""
    told, fewer = (Tokens(tiny_task.tokens_per_chunk, ("whole",)) for _ in range(2))
    total = fewer.score(three)[:, None, None]
    fewer.score_chunks = lambda trajectories: total  # type: ignore[method-assign]
    reward = combine(a=(1, told), b=(1, fewer))
    with pytest.raises(RewardError, match="must tell of as many chunks"):
        reward.score_chunks(three)


def test_no_animation_has_no_chunks(
    tiny_task: AnimationTask, three: Trajectories, combine: Callable[..., CombinedReward]
) -> None:
    """An empty batch calls no term."""
    reward = combine(told=(1, Tokens(tiny_task.tokens_per_chunk, ("mouth", "upper"))))
    assert reward.score_chunks(three[:0]).shape == (0, 0, 2)
