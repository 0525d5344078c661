"""An algorithm of one's own is two methods: advantage-weighted regression, as in the README."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch

from agents.common.advantages import leave_one_out, spread
from agents.common.buffer import EpisodeBatch
from agents.common.sequence_algorithm import SequenceAlgorithm

Env = gymnasium.Env[Any, Any]
MakeEnv = Callable[..., Env]
MakeAlgorithm = Callable[..., SequenceAlgorithm]
MakeBatch = Callable[..., EpisodeBatch]
Learn = Callable[..., dict[str, float]]


class AdvantageWeightedRegression(SequenceAlgorithm):
    """Imitate one's own episodes, the better the more (Peng et al. 2019, arXiv:1910.00177)."""

    def compute_advantages(self, batch: EpisodeBatch) -> EpisodeBatch:
        """Compare each score with the other samples of its utterance."""
        advantages = spread(leave_one_out(batch.scores, batch.utterances), batch)
        return replace(batch, advantages=advantages, returns=spread(batch.scores, batch))

    def policy_loss(self, batch: EpisodeBatch, log_probs: torch.Tensor) -> torch.Tensor:
        """Weigh each token's log-likelihood by its exponentiated advantage, at most 20."""
        weights = torch.from_numpy(batch.advantages).exp().clamp(max=20.0)
        return -weights * log_probs


def test_the_weights_are_exponentiated_advantages(
    env: Env, make_algorithm: MakeAlgorithm, make_batch: MakeBatch
) -> None:
    """exp(0) = 1, exp(1) = e, and exp(9) is cut to 20: the base must hand over what was filled."""
    algorithm = make_algorithm(AdvantageWeightedRegression, env, samples_per_utterance=2)
    batch = make_batch(3, advantages=np.array([[0, 1, 9]], np.float32))
    loss = algorithm.policy_loss(batch, torch.full((1, 3), -0.5))
    np.testing.assert_allclose(loss.numpy(), [[0.5, 0.5 * np.e, 10.0]], rtol=1e-6)


@pytest.mark.parametrize("seed", [0])
def test_two_methods_are_an_algorithm_that_learns_saves_and_goes_on(
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
