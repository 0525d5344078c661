"""Group-relative policy optimisation over whole sequences (Shao et al. 2024, arXiv:2402.03300)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

from stable_baselines3.common.type_aliases import GymEnv
from torch import Tensor

from agents.common.advantages import group_normalised, per_token
from agents.common.sequence_algorithm import SequenceAlgorithm
from agents.common.update import clipped_surrogate

if TYPE_CHECKING:
    from agents.policy import MotionPolicy
    from agents.rollout.buffer import EpisodeBatch

EPSILON = 1e-4


class SequenceGRPO(SequenceAlgorithm):
    """GRPO: scores normalised per utterance, PPO's clip, no value head; see `SequenceAlgorithm`.

    What differs from the paper: the divergence from the reference is the exact one over all tokens
    instead of an estimate from the sampled token; losses are averaged by token unless
    `loss_mean="sequence"`, which is the paper's; the standard deviation gets 1e-4 added.
    """

    scale_advantages: ClassVar[bool] = False  # the group's deviation is their scale
    fixed_settings: ClassVar[frozenset[str]] = frozenset({"vf_coef", "gamma", "gae_lambda"})

    def __init__(
        self,
        policy: str | type[MotionPolicy],
        env: GymEnv | str,
        *,
        clip_range: float = 0.2,
        n_epochs: int = 2,
        samples_per_utterance: int = 4,
        **kwargs: Any,
    ) -> None:
        """Add `clip_range`, how far a token's probability ratio counts, to the base's arguments.

        Args:
            policy: `"MotionPolicy"` or a subclass of it.
            env: `ESARM-v0`, wrapped or vectorised in this process.
            clip_range: Above 0.
            n_epochs: Passes over an iteration's episodes.
            samples_per_utterance: Size of a group, at least 2.
            **kwargs: Of `SequenceAlgorithm`, without `vf_coef`, `gamma` and `gae_lambda`, which
                GRPO has no use for.

        Raises:
            ValueError: If a setting is out of range.
        """
        self.clip_range = clip_range
        super().__init__(
            policy,
            env,
            n_epochs=n_epochs,
            samples_per_utterance=samples_per_utterance,
            vf_coef=0.0,
            gamma=1.0,
            gae_lambda=1.0,
            **kwargs,
        )

    def check_settings(self) -> None:
        """Check all settings, as they are now.

        Raises:
            ValueError: If one is out of range.
        """
        if not self.clip_range > 0:
            raise ValueError(f"`clip_range` must be above 0, got {self.clip_range}")
        if self.samples_per_utterance < 2:
            raise ValueError(
                f"`samples_per_utterance` must be at least 2, got {self.samples_per_utterance}: "
                "a group of one has nothing to be compared with"
            )
        super().check_settings()

    def compute_advantages(self, batch: EpisodeBatch) -> EpisodeBatch:
        """Fill in each score normalised within its utterance, the same at every token.

        With `normalise_terms` the terms were, and their sum is taken as it is (GDPO).
        """
        if self.normalise_terms:
            advantage = batch.scores
        else:
            advantage = group_normalised(batch.scores, batch.utterances, epsilon=EPSILON)
        return replace(
            batch, advantages=per_token(advantage, batch), returns=per_token(batch.scores, batch)
        )

    def policy_loss(self, batch: EpisodeBatch, log_probs: Tensor) -> Tensor:
        """Return the clipped surrogate per token, (N, L)."""
        return clipped_surrogate(batch, log_probs, clip_range=self.clip_range)
