"""Rewards that look at the truth."""

import numpy as np
import pytest

from esarm_env.opening import reward_names
from reward.oracle import ErrorReward, open_accuracy, open_eve, open_lve


def test_oracle_scores_are_minus_the_true_errors(tiny_task, demonstrations):
    """Researchers use these as the upper bound of what any reward can give."""
    errors = tiny_task.errors(demonstrations.trajectories)
    trajectories = demonstrations.trajectories
    np.testing.assert_allclose(open_lve(tiny_task, None).score(trajectories), -errors["lve"])
    np.testing.assert_allclose(open_eve(tiny_task, None).score(trajectories), -errors["eve"])
    mean = (errors["lve"] + errors["eve"]) / 2
    np.testing.assert_allclose(open_accuracy(tiny_task, None).score(trajectories), -mean, rtol=1e-6)


def test_random_tokens_score_lower_than_recorded_ones(tiny_task, demonstrations):
    """The order of the reward must be that of quality, not of error."""
    scores = ErrorReward(tiny_task, ("lve", "eve")).score(demonstrations.trajectories)
    clean = demonstrations.epsilon == 0
    assert scores[clean].mean() > scores[~clean].mean()


@pytest.mark.parametrize("name", ["learned", "accuracy", "lve", "eve"])
def test_every_reward_of_ours_is_registered(name):
    """An entry point that was renamed would only fail when somebody asks for it."""
    assert callable(reward_names()[name].load())
