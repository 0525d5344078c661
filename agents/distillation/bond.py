"""BOND's form of a reward: the quantile that a score has among samples of the clone.

The best of n samples of a clone has the density `n p_≤(y)^(n-1) pi(y)`, up to ties, where `p_≤` is
the share of the clone's samples of the same utterance that score no higher than y. A policy that
shall be that distribution climbs `(n - 1) ln p_≤(y)` with a KL term of weight 1 (Sessa et al. 2024,
arXiv:2407.14622, section 4.2). The reward knows no scale, and nothing is to be gained above the
best of the clone's samples, where a learned reward is least to be trusted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from agents.rollout.decoding import Decoding
from agents.rollout.generation import generate
from esarm_env.core.errors import InputError
from esarm_env.core.seeds import sequence_seeds
from esarm_env.core.types import Trajectories

if TYPE_CHECKING:
    from agents.network.transformer import MotionTransformer
    from agents.protocols import SpeechTask
    from esarm_env.core.types import FloatArray, RewardFunction

Key = tuple[int, bytes]


def log_quantiles(scores: FloatArray, others: FloatArray) -> FloatArray:
    """Return the logarithm of the share of others that score no higher, (N,), at most 0.

    Each score counts as one of its own others, so that the worst has `-ln(M + 1)` and not minus
    infinity.

    Args:
        scores: Shape (N,).
        others: Shape (N, M), what each is compared with.
    """
    below = (others <= scores[:, None]).sum(axis=1)
    shares = (1 + below) / (1 + others.shape[1])
    quantiles: FloatArray = np.log(shares).astype(np.float32)
    return quantiles


class BondReward:
    """`(n - 1) ln quantile` of another reward's scores; implements `RewardFunction`.

    The clone is frozen, and so are the scores of its samples: each utterance under each condition
    is sampled once, when it is first scored, and the reward of an animation never changes.
    """

    def __init__(
        self,
        reward: RewardFunction,
        clone: MotionTransformer,
        task: SpeechTask,
        *,
        n: int = 16,
        samples: int = 32,
        seed: int = 0,
    ) -> None:
        """Transform `reward`.

        Args:
            reward: Whose scores are compared.
            clone: Draws what they are compared with.
            task: Gives its audio.
            n: Of the best of n that is to be reached, at least 2.
            samples: Samples of each utterance that the quantile is counted in.
            seed: Of the samples.

        Raises:
            InputError: If `n` or `samples` is below its least.
        """
        for name, value, least in (("n", n, 2), ("samples", samples, 1)):
            if value < least:
                raise InputError(f"`{name}` must be at least {least}, got {value}")
        self.needs_ground_truth = reward.needs_ground_truth
        self._reward, self._clone, self._task = reward, clone, task
        self._n, self._samples, self._seed = n, samples, seed
        self._known: dict[Key, FloatArray] = {}

    def score(self, trajectories: Trajectories) -> FloatArray:
        """Return `(n - 1) ln quantile`, shape (N,), between `-(n - 1) ln(samples + 1)` and 0."""
        if not len(trajectories):
            return np.zeros(0, dtype=np.float32)
        keys = [
            (int(utterance), condition.tobytes())
            for utterance, condition in zip(
                trajectories.utterance, trajectories.condition, strict=True
            )
        ]
        fresh = {key: row for row, key in enumerate(keys) if key not in self._known}
        if fresh:
            self._draw(trajectories[np.array(list(fresh.values()))], list(fresh))
        others = np.stack([self._known[key] for key in keys])
        scores = np.asarray(self._reward.score(trajectories), dtype=np.float32)
        return ((self._n - 1) * log_quantiles(scores, others)).astype(np.float32)

    def _draw(self, asked: Trajectories, keys: list[Key]) -> None:
        """Note the scores of the clone's samples of each of `asked`."""
        utterances = np.repeat(asked.utterance, self._samples)
        condition = np.repeat(asked.condition, self._samples, axis=0)
        seeds = sequence_seeds(
            run_seed=self._seed,
            iteration=0,
            utterances=utterances,
            samples=np.tile(np.arange(self._samples), len(keys)),
        )
        drawn = generate(
            self._clone,
            self._task,
            utterances,
            condition=condition,
            decoding=Decoding(temperature=1.0),
            seeds=seeds,
        )
        written = Trajectories(utterances, drawn.tokens, drawn.lengths, condition)
        scores = np.asarray(self._reward.score(written), dtype=np.float32)
        self._known |= dict(zip(keys, scores.reshape(len(keys), -1), strict=True))
