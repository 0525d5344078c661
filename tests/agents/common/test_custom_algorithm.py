"""An algorithm of one's own is a loss: advantage-weighted regression, as in the README."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch

from agents.common.sequence_algorithm import SequenceAlgorithm
from agents.rollout.buffer import EpisodeBatch

Env = gymnasium.Env[Any, Any]
MakeEnv = Callable[..., Env]
MakeAlgorithm = Callable[..., SequenceAlgorithm]
MakeBatch = Callable[..., EpisodeBatch]
Learn = Callable[..., dict[str, float]]


class AdvantageWeightedRegression(SequenceAlgorithm):
    """Imitate one's own episodes, the better the more (Peng et al. 2019, arXiv:1910.00177)."""

    def policy_loss(self, batch: EpisodeBatch, log_probs: torch.Tensor) -> torch.Tensor:
        """Weigh each token's log-likelihood by its exponentiated advantage, at most 20."""
        advantages = torch.as_tensor(batch.advantages, device=log_probs.device)
        return -advantages.exp().clamp(max=20.0) * log_probs


def test_the_weights_are_exponentiated_advantages(
    env: Env, make_algorithm: MakeAlgorithm, make_batch: MakeBatch
) -> None:
    """exp(0) = 1, exp(1) = e, and exp(9) is cut to 20: the base must hand over what was filled."""
    algorithm = make_algorithm(AdvantageWeightedRegression, env, samples_per_utterance=2)
    batch = make_batch(3, advantages=np.array([[0, 1, 9]], np.float32))
    loss = algorithm.policy_loss(batch, torch.full((1, 3), -0.5))
    np.testing.assert_allclose(loss.numpy(), [[0.5, 0.5 * np.e, 10.0]], rtol=1e-6)


@pytest.mark.parametrize(
    ("samples", "expected"), [(2, [-1, 1, -5, 5]), (1, [-3, -2, 0, 5])], ids=["others", "all"]
)
def test_scores_are_compared_unless_told_otherwise(
    env: Env,
    make_algorithm: MakeAlgorithm,
    make_batch: MakeBatch,
    samples: int,
    expected: list[float],
) -> None:
    """1, 2 of one utterance and 4, 9 of another: with the other sample, or with the mean of 4."""
    algorithm = make_algorithm(AdvantageWeightedRegression, env, samples_per_utterance=samples)
    batch = make_batch(
        1, 2, 3, 2, utterances=np.array([5, 5, 6, 6]), scores=np.array([1, 2, 4, 9], np.float32)
    )
    filled = algorithm.compute_advantages(batch)
    column = np.array(expected, np.float32)[:, None]
    np.testing.assert_array_equal(filled.advantages, np.where(batch.inside, column, 0))
    scores = np.where(batch.inside, batch.scores[:, None], 0)
    np.testing.assert_array_equal(filled.returns, scores)
    assert filled.advantages.dtype == filled.returns.dtype == np.float32


def test_one_sample_of_an_utterance_is_enough(
    env: Env, make_algorithm: MakeAlgorithm, learn: Learn
) -> None:
    """The base must have a default for whoever has many utterances and a costly reward."""
    algorithm = make_algorithm(
        AdvantageWeightedRegression, env, samples_per_utterance=1, n_episodes=6
    )
    assert np.isfinite(learn(algorithm)["train/policy_loss"])


@pytest.mark.parametrize("seed", [0])
def test_a_loss_is_an_algorithm_that_learns_saves_and_goes_on(
    env: Env, tmp_path: Path, make_algorithm: MakeAlgorithm, learn: Learn, seed: int
) -> None:
    """Whoever brings a loss must get the rest: optimisation, logging, saving, resumption."""
    algorithm = make_algorithm(
        AdvantageWeightedRegression, env, n_episodes=48, learning_rate=1e-2, seed=seed
    )
    first = learn(algorithm)["rollout/score"]
    learn(algorithm, n_iterations=25)
    algorithm.save(tmp_path / "agent")
    loaded = AdvantageWeightedRegression.load(tmp_path / "agent", env=env)
    last = learn(loaded, n_iterations=2)["rollout/score"]
    assert last == learn(algorithm, n_iterations=2)["rollout/score"]
    assert first < 0.4
    assert last >= 0.9
