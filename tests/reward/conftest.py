"""Noisy demonstrations of the tiny task: recorded tokens with a share of random ones."""

import numpy as np
import pytest

from esarm_env.types import Trajectories
from reward.demonstrations import Demonstrations


@pytest.fixture(scope="session")
def make_demonstrations(tiny_task):
    """Return a function: utterances and levels to demonstrations."""

    def make(utterances, levels, seed=0):
        rng = np.random.default_rng(seed)
        parts = []
        for level in levels:
            recorded = tiny_task.recorded(utterances)
            noisy = (rng.random(recorded.tokens.shape) < level) & (recorded.tokens >= 0)
            random = rng.integers(tiny_task.n_tokens, size=recorded.tokens.shape)
            parts.append(
                Trajectories(
                    recorded.utterance,
                    np.where(noisy, random, recorded.tokens),
                    recorded.lengths,
                    recorded.condition,
                )
            )
        epsilon = np.repeat(levels, len(utterances)).astype(np.float32)
        return Demonstrations(Trajectories.concatenate(parts), epsilon)

    return make


@pytest.fixture
def demonstrations(tiny_task, make_demonstrations):
    """Two levels of every utterance of the tiny task."""
    return make_demonstrations(np.arange(len(tiny_task.corpus)), (0.0, 1.0))


class NoisyRecordings:
    """A policy that writes the recording, worse the hotter and the further from its condition."""

    def __init__(self, task):
        self._task = task

    def __call__(self, utterances, *, condition, temperature, epsilon, seeds):
        recorded = self._task.recorded(utterances)
        tokens = recorded.tokens.copy()
        away = np.abs(condition - self._task.condition_of(utterances)).sum(axis=1)  # (N,)
        for row, seed in enumerate(seeds):
            rng = np.random.default_rng(seed.tolist())
            length = recorded.lengths[row]
            share = epsilon + temperature / 4 + away[row] / 4
            hit = rng.random(length) < share
            tokens[row, :length][hit] = rng.integers(self._task.n_tokens, size=hit.sum())
        return Trajectories(utterances, tokens, recorded.lengths, condition)


@pytest.fixture(scope="session")
def roll_out(tiny_task):
    """A policy of the tiny task that behaves as policies should."""
    return NoisyRecordings(tiny_task)
