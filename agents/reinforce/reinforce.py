"""REINFORCE over whole sequences (Williams 1992) with a choice of baseline."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from stable_baselines3.common.type_aliases import GymEnv
from torch import Tensor

from agents.common.advantages import leave_one_out, per_token
from agents.common.credit import CHUNK
from agents.common.sequence_algorithm import SequenceAlgorithm
from agents.common.update import to_tensor_like
from agents.network.acceleration import PLAIN
from agents.rollout.decoding import Decoding
from agents.rollout.wrapped_episodes import RolloutPlan

if TYPE_CHECKING:
    from agents.policy import MotionPolicy
    from agents.protocols import FloatArray
    from agents.rollout.buffer import EpisodeBatch

BASELINES = ("none", "mean", "moving_mean", "greedy", "leave_one_out")
WHOLE_EPISODES = ("moving_mean", "greedy")
MOVING_MEAN_KEPT = 0.9
WHOLE = ""  # not None: saved as JSON, keys must be strings


class SequenceReinforce(SequenceAlgorithm):
    """REINFORCE: one pass over the episodes, no value head; see `SequenceAlgorithm`."""

    fixed_settings: ClassVar[frozenset[str]] = frozenset(
        {"batch_tokens", "n_epochs", "vf_coef", "target_kl"}
    )

    def __init__(
        self,
        policy: str | type[MotionPolicy],
        env: GymEnv | str,
        *,
        baseline: str = "leave_one_out",
        n_episodes: int = 64,
        **kwargs: Any,
    ) -> None:
        """Add `baseline` to the base's arguments; all episodes are one minibatch.

        Args:
            policy: `"MotionPolicy"` or a subclass of it.
            env: `ESARM-v0`, wrapped or vectorised in this process.
            baseline: What is taken off the scores.
                `none`: nothing.
                `mean`: the mean of the iteration's scores.
                `moving_mean`: the mean of earlier iterations' scores, each weighing 0.9 times the
                one after it; in the first iteration its own mean. Unlike `mean`, it then does not
                depend on the scores it is taken off.
                `greedy`: the score of the utterance written with the most likely tokens, which
                costs one more roll-out per utterance and stream (self-critical; Rennie et al.
                2017, arXiv:1612.00563).
                `leave_one_out`: the mean of the other samples of the same utterance (RLOO), which
                takes out how hard an utterance is, as `greedy` does.
                With `credit="chunk"` each is taken by chunk; there and with `normalise_terms`
                `moving_mean` and `greedy`, which know whole scores alone, are refused.
                `spread_coef` needs `leave_one_out`.
            n_episodes: Episodes per iteration, all in one step.
            **kwargs: Of `SequenceAlgorithm`, without `batch_tokens`, `n_epochs`, `vf_coef` and
                `target_kl`, which one step without a value head has no use for.

        Raises:
            ValueError: If `baseline` is none of these.
        """
        self.baseline = baseline
        self._moving_means: dict[str, float] = {}  # by stream; `WHOLE` for all
        # One step on all episodes: a second minibatch would meet weights that did not write it.
        super().__init__(
            policy,
            env,
            n_episodes=n_episodes,
            batch_tokens=None,
            n_epochs=1,
            vf_coef=0.0,
            target_kl=None,
            **kwargs,
        )

    def check_settings(self) -> None:
        """Check all settings, as they are now.

        Raises:
            ValueError: If one is out of range.
        """
        if self.baseline not in BASELINES:
            raise ValueError(
                f"`baseline` must be one of {', '.join(BASELINES)}, got {self.baseline!r}"
            )
        by_chunk = self.credit == CHUNK
        if self.baseline in WHOLE_EPISODES and (by_chunk or self.normalise_terms):
            setting = "credit='chunk'" if by_chunk else "normalise_terms"
            raise ValueError(
                f"`baseline` must be leave_one_out, mean or none with `{setting}`, got "
                f"{self.baseline!r}, which knows the scores of whole episodes alone"
            )
        if self.spread_coef and self.baseline != "leave_one_out":
            raise ValueError(
                "`baseline` must be leave_one_out with `spread_coef`, got "
                f"{self.baseline!r}: the spread is credited for that one"
            )
        super().check_settings()

    @property
    def moving_mean(self) -> float | None:
        """Of the scores of the iterations so far, None before the first one is over."""
        return self._moving_means.get(WHOLE)

    def compute_advantages(self, batch: EpisodeBatch) -> EpisodeBatch:
        """Fill in score minus baseline, the same at every token."""
        if self.baseline == "leave_one_out":
            advantage = leave_one_out(batch.scores, batch.utterances)
        else:
            advantage = batch.scores - self._offset(batch)
        return replace(
            batch, advantages=per_token(advantage, batch), returns=per_token(batch.scores, batch)
        )

    def policy_loss(self, batch: EpisodeBatch, log_probs: Tensor) -> Tensor:
        """Return minus advantage times log-probability per token, (N, L)."""
        return -to_tensor_like(batch.advantages, log_probs) * log_probs

    def train(self) -> None:
        """Update the policy on the episodes of the last roll-out, then the moving mean."""
        super().train()
        assert self.rollout_buffer is not None, "`collect_rollouts` comes first"
        # Not before: a roll-out that is cut short and written again must not count twice.
        scored = {WHOLE: self.rollout_buffer.scores} | self.rollout_buffer.stream_scores
        for stream, scores in scored.items():
            score = float(scores.mean())
            before = self._moving_means.get(stream, score)
            mean = MOVING_MEAN_KEPT * before + (1 - MOVING_MEAN_KEPT) * score
            self._moving_means[stream] = mean

    def _offset(self, batch: EpisodeBatch) -> FloatArray | np.float32:
        if self.baseline == "greedy":
            return self._greedy_scores(batch)
        stream = batch.stream or WHOLE
        if self.baseline == "moving_mean" and stream in self._moving_means:
            return np.float32(self._moving_means[stream])
        return np.float32(0.0 if self.baseline == "none" else batch.scores.mean())

    def _greedy_scores(self, batch: EpisodeBatch) -> FloatArray:
        utterances, member_of = np.unique(batch.utterances, return_inverse=True)
        assert self.env is not None, "checked by `learn`"
        plan = RolloutPlan(
            utterances=utterances,
            samples_per_utterance=1,
            run_seed=0,  # greedy tokens need no random numbers
            iteration=0,
            decoding=Decoding(),
            by_stream=batch.stream is not None,
            acceleration=PLAIN,
        )
        greedy = self.collector.write(self.model, self.env, plan)
        scores = greedy.scores if batch.stream is None else greedy.stream_scores[batch.stream]
        return scores[member_of]
