"""REINFORCE over whole sequences (Williams 1992) with a choice of baseline."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from stable_baselines3.common.type_aliases import GymEnv
from torch import Tensor

from agents.common.advantages import leave_one_out
from agents.common.buffer import EpisodeBatch
from agents.common.sequence_algorithm import SequenceAlgorithm, spread
from agents.policy import MotionPolicy

BASELINES = ("none", "mean", "leave_one_out")


class SequenceReinforce(SequenceAlgorithm):
    """REINFORCE: one pass over the episodes, no value head; see `SequenceAlgorithm`."""

    def __init__(
        self,
        policy: str | type[MotionPolicy],
        env: GymEnv | str,
        *,
        baseline: str = "leave_one_out",
        n_episodes: int = 64,
        **kwargs: Any,
    ) -> None:
        """Add `baseline` to the base's arguments; `batch_size` is always `n_episodes`.

        `none`; `mean`, of the iteration's scores; or `leave_one_out`, the mean of the other samples
        of the same utterance (RLOO), which takes out how hard an utterance is.
        """
        if baseline not in BASELINES:
            raise ValueError(f"`baseline` must be one of {', '.join(BASELINES)}, got {baseline!r}")
        self.baseline = baseline
        # One step on all episodes: a second minibatch would meet weights that did not write it.
        super().__init__(
            policy,
            env,
            n_episodes=n_episodes,
            batch_size=n_episodes,
            n_epochs=1,
            vf_coef=0.0,
            **kwargs,
        )

    def compute_advantages(self, batch: EpisodeBatch) -> EpisodeBatch:
        """Fill in score minus baseline, the same at every token."""
        if self.baseline == "leave_one_out":
            advantage = leave_one_out(batch.scores, batch.utterances)
        else:
            offset = batch.scores.mean() if self.baseline == "mean" else 0.0
            advantage = batch.scores - offset
        return replace(
            batch, advantages=spread(advantage, batch), returns=spread(batch.scores, batch)
        )

    def policy_loss(self, batch: EpisodeBatch, log_probs: Tensor) -> Tensor:
        """Return minus advantage times log-probability per token, (N, L)."""
        return -torch.from_numpy(batch.advantages) * log_probs
