"""A policy network as what collects demonstrations."""

import numpy as np
import pytest

from agents.rollout.animation import animate_utterances, roll_out_with
from agents.rollout.generation import Decoding
from reward.demonstrations import RankedDemonstrations, collect
from tests.small_policy import untrained

UTTERANCES = np.array([4, 1, 5, 9])
LEVELS = (0.1, 0.9)


@pytest.fixture(scope="module")
def policy(tiny_task):
    """An untrained policy of the tiny task."""
    return untrained(tiny_task)


def test_collecting_writes_what_the_plain_recipe_always_wrote(policy, tiny_task):
    """Another seeding would change every figure of the runs that were made before."""
    made = collect(
        roll_out_with(policy, tiny_task), tiny_task, UTTERANCES, epsilons=LEVELS, rollouts=2, seed=3
    )
    jobs = [(epsilon, sample) for epsilon in LEVELS for sample in range(2)]
    parts = [
        animate_utterances(
            policy, tiny_task, UTTERANCES, decoding=Decoding(epsilon=epsilon), seed=3, sample=number
        )
        for number, (epsilon, _) in enumerate(jobs)
    ]
    tokens = np.concatenate([part.tokens for part in parts])
    np.testing.assert_array_equal(made.trajectories.tokens, tokens)
    assert made.epsilon.tolist() == np.repeat([e for e, _ in jobs], 4).astype(np.float32).tolist()


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_batches_and_workers_change_nothing(temperature, policy, tiny_task):
    """Each sequence has random numbers of its own."""

    def gathered(parts, batch_size):
        roll_out = roll_out_with(policy, tiny_task, batch_size=batch_size)
        made = RankedDemonstrations.concatenate([
            collect(roll_out, tiny_task, part, epsilons=LEVELS, seed=3, temperature=temperature)
            for part in parts
        ])  # fmt: skip
        order = np.lexsort((made.utterance, made.epsilon))
        return made[order].trajectories.tokens

    whole = gathered([UTTERANCES], 64)
    np.testing.assert_array_equal(gathered([UTTERANCES[:1], UTTERANCES[1:]], 1), whole)
    np.testing.assert_array_equal(gathered([UTTERANCES[::-1]], 3), whole)
