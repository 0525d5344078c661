"""Every algorithm reaches the known optimum on 64 steps whose only reward comes at the end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np
import pytest

from agents.common.sequence_algorithm import SequenceAlgorithm
from agents.grpo import SequenceGRPO
from agents.ppo import SequencePPO
from agents.protocols import SequenceTask
from agents.reinforce import SequenceReinforce

MakeTask = Callable[..., SequenceTask]
MakeEnv = Callable[..., gymnasium.Env[Any, Any]]
MakeAlgorithm = Callable[..., SequenceAlgorithm]
Learn = Callable[..., dict[str, float]]

LENGTH = 64
AT_MOST = 40  # iterations

every = pytest.mark.parametrize(
    ("kind", "learning_rate"),
    [(SequencePPO, 1e-2), (SequenceGRPO, 1e-2), (SequenceReinforce, 2e-2)],
)


@pytest.fixture
def make_long(
    make_task: MakeTask, make_env: MakeEnv, make_algorithm: MakeAlgorithm
) -> Callable[..., SequenceAlgorithm]:
    """Return a maker of algorithms on eight utterances of 64 tokens: `make_long(kind, rate)`."""

    def make(
        kind: type[SequenceAlgorithm],
        learning_rate: float,
        *,
        per_chunk: int = 1,
        length: int = LENGTH,
        **settings: Any,
    ) -> SequenceAlgorithm:
        task = make_task(8, tokens_per_chunk=per_chunk, max_chunks=length // per_chunk)
        task.lengths = np.full(8, length)  # type: ignore[misc]
        minibatches = {} if kind is SequenceReinforce else {"batch_tokens": 1024}
        return make_algorithm(
            kind,
            make_env(task),
            n_episodes=32,
            samples_per_utterance=4,
            learning_rate=learning_rate,
            **minibatches,
            **settings,
        )

    return make


def _scores(algorithm: SequenceAlgorithm, learn: Learn) -> list[float]:
    """Return the mean score of every iteration until 95 % of the optimum are reached."""
    scores = [learn(algorithm)["rollout/score"]]
    while scores[-1] < 0.95 and len(scores) < AT_MOST:
        scores.append(learn(algorithm)["rollout/score"])
    return scores


@every
@pytest.mark.parametrize("seed", range(5))
def test_sampled_episodes_reach_95_per_cent_of_the_optimum(
    make_long: MakeAlgorithm,
    learn: Learn,
    kind: type[SequenceAlgorithm],
    learning_rate: float,
    seed: int,
) -> None:
    """One number for 64 tokens: an estimator that is right on short episodes may drown here."""
    scores = _scores(make_long(kind, learning_rate, seed=seed), learn)
    assert scores[0] < 0.4
    assert scores[-1] >= 0.95


@every
def test_advantages_by_stream_learn_at_least_as_fast(
    make_long: MakeAlgorithm, learn: Learn, kind: type[SequenceAlgorithm], learning_rate: float
) -> None:
    """Half the noise: a token no longer hears how the other half of the face went.

    Two streams of 16 tokens, each paid for its own right tokens; the sum is the same score.
    """
    n_iterations = {}
    for by_stream in (False, True):
        runs = [
            _scores(
                make_long(
                    kind,
                    learning_rate,
                    per_chunk=2,
                    length=32,
                    stream_advantages=by_stream,
                    seed=seed,
                ),
                learn,
            )
            for seed in range(2)
        ]
        assert all(scores[-1] >= 0.95 for scores in runs)
        n_iterations[by_stream] = sum(map(len, runs))
    assert n_iterations[True] <= n_iterations[False]
