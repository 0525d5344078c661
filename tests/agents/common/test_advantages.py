"""Advantages: against the definition, summed out, and numbers worked by hand."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch
from gymnasium import spaces
from stable_baselines3.common.buffers import RolloutBuffer

from agents.common.advantages import leave_one_out, terminal_gae


def _by_definition(
    score: float, values: np.ndarray, *, gamma: float, gae_lambda: float
) -> list[float]:
    """Return A_t, the sum over l of (γλ)^l δ_{t+l}, of one episode with a last reward."""
    length = len(values)
    rewards = [0.0] * (length - 1) + [score]
    ahead = [*values[1:].tolist(), 0.0]
    deltas = [rewards[t] + gamma * ahead[t] - float(values[t]) for t in range(length)]
    return [
        sum((gamma * gae_lambda) ** (k - t) * deltas[k] for k in range(t, length))
        for t in range(length)
    ]


def test_the_worked_example() -> None:
    """γ = 0.9, λ = 0.8, score 1 on values 0.5, 0.4, 0.2; and score -1 on a single token.

    δ = 0.9 * 0.4 - 0.5, 0.9 * 0.2 - 0.4, 1 - 0.2 = -0.14, -0.22, 0.8; A_2 = 0.8,
    A_1 = -0.22 + 0.72 * 0.8 = 0.356, A_0 = -0.14 + 0.72 * 0.356 = 0.11632. An index off by one
    would credit each token with its neighbour's merit.
    """
    advantages, returns = terminal_gae(
        np.array([1.0, -1.0], np.float32),
        np.array([[0.5, 0.4, 0.2], [0.3, 0, 0]], np.float32),
        np.array([3, 1]),
        gamma=0.9,
        gae_lambda=0.8,
    )
    np.testing.assert_allclose(advantages, [[0.11632, 0.356, 0.8], [-1.3, 0, 0]], atol=1e-6)
    np.testing.assert_allclose(returns, [[0.61632, 0.756, 1.0], [-1.0, 0, 0]], atol=1e-6)
    assert advantages.dtype == returns.dtype == np.float32


@pytest.mark.parametrize("gamma", [0.0, 0.7, 0.99, 1.0])
@pytest.mark.parametrize("gae_lambda", [0.0, 0.5, 0.95, 1.0])
def test_the_batched_recursion_is_the_definition(
    rng: np.random.Generator, gamma: float, gae_lambda: float
) -> None:
    """Ragged episodes in one array: the end of one row must not be the end of another."""
    lengths = np.array([1, 7, 4, 7, 2, 5])
    scores = rng.normal(size=6).astype(np.float32)
    values = rng.normal(size=(6, 7)).astype(np.float32)
    advantages, returns = terminal_gae(scores, values, lengths, gamma=gamma, gae_lambda=gae_lambda)
    for row, length in enumerate(lengths):
        expected = _by_definition(
            float(scores[row]), values[row, :length], gamma=gamma, gae_lambda=gae_lambda
        )
        np.testing.assert_allclose(advantages[row, :length], expected, atol=1e-5)
        np.testing.assert_allclose(
            returns[row, :length], expected + values[row, :length], atol=1e-5
        )
        assert (advantages[row, length:] == 0).all() and (returns[row, length:] == 0).all()


@pytest.mark.parametrize(("gamma", "gae_lambda"), [(1.0, 1.0), (0.99, 0.95), (0.9, 0.0)])
def test_one_episode_is_that_of_sb3(
    rng: np.random.Generator, gamma: float, gae_lambda: float
) -> None:
    """Stable-Baselines3's own buffer, filled with one episode whose reward comes at the end."""
    length, score = 23, 0.7
    values = rng.normal(size=length).astype(np.float32)
    box = spaces.Box(-1, 1, (1,))
    theirs = RolloutBuffer(
        length, box, spaces.Discrete(3), device="cpu", gamma=gamma, gae_lambda=gae_lambda
    )
    for step in range(length):
        reward = np.array([score if step == length - 1 else 0.0])
        begins = np.array([step == 0])
        value = torch.from_numpy(values[step : step + 1])
        theirs.add(np.zeros((1, 1)), np.zeros(1), reward, begins, value, torch.zeros(1))
    theirs.compute_returns_and_advantage(torch.full((1,), 99.0), dones=np.array([True]))
    advantages, returns = terminal_gae(
        np.array([score], np.float32),
        values[None],
        np.array([length]),
        gamma=gamma,
        gae_lambda=gae_lambda,
    )
    np.testing.assert_allclose(advantages[0], theirs.advantages[:, 0], atol=1e-5)
    np.testing.assert_allclose(returns[0], theirs.returns[:, 0], atol=1e-5)


def test_without_discount_an_advantage_is_score_minus_value(rng: np.random.Generator) -> None:
    """The default: every token hears all of the score, however long the utterance."""
    lengths = np.array([100, 60])
    scores, values = np.array([2.0, -1.0], np.float32), rng.normal(size=(2, 100)).astype(np.float32)
    advantages, returns = terminal_gae(scores, values, lengths)
    inside = np.arange(100) < lengths[:, None]
    np.testing.assert_allclose(advantages, np.where(inside, scores[:, None] - values, 0), atol=1e-5)
    np.testing.assert_allclose(returns, np.where(inside, scores[:, None], 0), atol=1e-5)


def test_rubbish_in_the_padding_stays_there() -> None:
    """A value of the padding that is bootstrapped from reaches every token before it."""
    values = np.array([[1.0, 2.0, np.nan, np.nan], [1.0, 2.0, 3.0, 4.0]], np.float32)
    advantages, returns = terminal_gae(np.ones(2, np.float32), values, np.array([2, 4]), gamma=0.9)
    assert np.isfinite(advantages).all() and np.isfinite(returns).all()
    assert (advantages[0, 2:] == 0).all()


@pytest.mark.parametrize("value", [-0.01, 1.01, float("nan")])
@pytest.mark.parametrize("name", ["gamma", "gae_lambda"])
def test_a_discount_out_of_range_is_rejected(name: str, value: float) -> None:
    """Above 1 the advantages of long utterances explode only after hours."""
    rule = re.escape(f"`{name}` must be in [0, 1], got {value}")
    with pytest.raises(ValueError, match=rule):
        terminal_gae(np.ones(1), np.ones((1, 2)), np.array([2]), **{name: value})


def test_leave_one_out_takes_off_the_mean_of_the_others() -> None:
    """Group 7 scores 1, 2, 6 (others 4, 3.5, 1.5); group 3 scores 10, 20 (others 20, 10).

    The groups are interleaved: a mean over the wrong rows would still have mean 0.
    """
    advantages = leave_one_out(np.array([1.0, 10.0, 2.0, 20.0, 6.0]), np.array([7, 3, 7, 3, 7]))
    np.testing.assert_allclose(advantages, [-3.0, -10.0, -1.5, 10.0, 4.5])
    assert advantages.dtype == np.float32


@pytest.mark.parametrize("groups", [[1, 1, 2], [4]])
def test_a_group_of_one_is_rejected(groups: list[int]) -> None:
    """Nobody is left to compare with: 0 / 0 would reach the weights as nan."""
    rule = (
        "`groups` must have at least 2 samples per utterance, got 1; raise `samples_per_utterance`"
    )
    with pytest.raises(ValueError, match=re.escape(rule)):
        leave_one_out(np.ones(len(groups), np.float32), np.array(groups))


def test_groups_of_two_are_allowed() -> None:
    """The cheapest baseline there is: each is the other's."""
    np.testing.assert_allclose(leave_one_out(np.array([3.0, 1.0]), np.array([0, 0])), [2.0, -2.0])
