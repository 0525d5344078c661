"""Proximal policy optimisation over whole sequences (Schulman et al. 2017, arXiv:1707.06347)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from stable_baselines3.common.type_aliases import GymEnv
from torch import Tensor

from agents.common.advantages import leave_one_out, terminal_gae
from agents.common.sequence_algorithm import SequenceAlgorithm
from agents.common.update import clipped_surrogate

if TYPE_CHECKING:
    from agents.policy import MotionPolicy
    from agents.rollout.buffer import EpisodeBatch


class SequencePPO(SequenceAlgorithm):
    """PPO with a value head and per-token clipping; see `SequenceAlgorithm` for the rest."""

    def __init__(
        self,
        policy: str | type[MotionPolicy],
        env: GymEnv | str,
        *,
        clip_range: float = 0.2,
        n_epochs: int = 2,
        value_warmup: int = 0,
        vf_coef: float = 0.5,
        **kwargs: Any,
    ) -> None:
        """Add `clip_range` and `value_warmup` to the base's arguments.

        Args:
            policy: `"MotionPolicy"` or a subclass of it.
            env: `ESARM-v0`, wrapped or vectorised in this process.
            clip_range: How far a token's probability ratio counts, above 0.
            n_epochs: Passes over an iteration's episodes.
            value_warmup: First iterations in which the value head alone learns: one that knows
                nothing yet would let the first advantages tear at a cloned policy.
            vf_coef: Weight of the value loss.
            **kwargs: Of `SequenceAlgorithm`.

        Raises:
            ValueError: If a setting is out of range.
        """
        self.clip_range, self.value_warmup = clip_range, value_warmup
        super().__init__(policy, env, n_epochs=n_epochs, vf_coef=vf_coef, **kwargs)

    def check_settings(self) -> None:
        """Check all settings, as they are now.

        Raises:
            ValueError: If one is out of range.
        """
        if not self.clip_range > 0:
            raise ValueError(f"`clip_range` must be above 0, got {self.clip_range}")
        if self.value_warmup < 0:
            raise ValueError(f"`value_warmup` must be at least 0, got {self.value_warmup}")
        if self.value_warmup and not self.vf_coef > 0:
            raise ValueError(
                "`vf_coef` must be above 0 where `value_warmup` trains the values, got "
                f"{self.vf_coef}"
            )
        super().check_settings()

    @property
    def is_warming_up(self) -> bool:
        """Whether this is one of the first `value_warmup` iterations."""
        return self.n_iterations < self.value_warmup

    def compute_advantages(self, batch: EpisodeBatch) -> EpisodeBatch:
        """Fill in generalised advantages from the value head.

        With two or more samples per utterance, the mean score of the others is taken off first: how
        hard an utterance is moves scores more than any token does, and the value head need not
        learn it. With `credit="chunk"` the recursion runs within a chunk, whose reward-to-go is
        paid with its last token: what later chunks count is `chunk_discount` alone.
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
