"""Proximal policy optimisation over whole sequences (Schulman et al. 2017, arXiv:1707.06347)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from stable_baselines3.common.type_aliases import GymEnv
from torch import Tensor

from agents.common.advantages import leave_one_out, terminal_gae
from agents.common.buffer import EpisodeBatch
from agents.common.sequence_algorithm import SequenceAlgorithm
from agents.common.update import clipped_surrogate
from agents.policy import MotionPolicy


class SequencePPO(SequenceAlgorithm):
    """PPO with a value head and per-token clipping; see `SequenceAlgorithm` for the rest."""

    def __init__(
        self,
        policy: str | type[MotionPolicy],
        env: GymEnv | str,
        *,
        clip_range: float = 0.2,
        n_epochs: int = 2,
        **kwargs: Any,
    ) -> None:
        """Add `clip_range`, how far a token's probability ratio counts, to the base's arguments."""
        if not clip_range > 0:
            raise ValueError(f"`clip_range` must be above 0, got {clip_range}")
        self.clip_range = clip_range
        super().__init__(policy, env, n_epochs=n_epochs, **kwargs)

    def compute_advantages(self, batch: EpisodeBatch) -> EpisodeBatch:
        """Fill in generalised advantages from the value head.

        With two or more samples per utterance, the mean score of the others is taken off first: how
        hard an utterance is moves scores more than any token does, and the value head need not
        learn it.
        """
        scores = batch.scores
        if self.samples_per_utterance > 1:
            scores = leave_one_out(scores, batch.utterances)
        advantages, returns = terminal_gae(
            scores,
            batch.values,
            batch.lengths,
            gamma=self.gamma,
            gae_lambda=self.gae_lambda,
        )
        return replace(batch, advantages=advantages, returns=returns)

    def policy_loss(self, batch: EpisodeBatch, log_probs: Tensor) -> Tensor:
        """Return the clipped surrogate per token, (N, L)."""
        return clipped_surrogate(batch, log_probs, clip_range=self.clip_range)
