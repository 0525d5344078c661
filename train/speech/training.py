"""Trainer on speech alone: reinforcement learning, and cloning of old recordings in between.

Rewards say little of what they do not look at, so a policy that learns by them alone forgets. After
each iteration it therefore clones some of its run's training recordings again (rehearsal; Robins
1995), with steps of its own, while the divergence from where it began is held down by REINFORCE.
A p takes a tenth of a second: paid to every token of an utterance, what it earned would be mostly
noise, so credit is by chunk.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from agents.cloning.losses import cross_entropy
from agents.common.credit import CHUNK
from agents.reinforce.reinforce import SequenceReinforce
from esarm_env.envs.scalar import SpeechAnimationEnv
from esarm_env.task.conditions import SPEAKER_START
from esarm_env.task.extended import with_splits
from train.run.warm_start import WarmStarted

if TYPE_CHECKING:
    from agents.cloning import CloneConfig
    from agents.network.transformer import MotionTransformer
    from esarm_env.core.types import IntArray
    from esarm_env.rewards.combined import CombinedReward
    from esarm_env.task.animation_task import AnimationTask
    from train.speech.settings import SpeechSettings

_STREAM = 3  # of random numbers; an iteration's roll-out and update draw from 0 and 1


class SpeechTrainer(WarmStarted):
    """One iteration on speech, and a few minibatches of old recordings, a call of `advance`."""

    def __init__(
        self,
        policy: MotionTransformer,
        task: AnimationTask,
        speech: IntArray,
        reward: CombinedReward,
        *,
        settings: SpeechSettings,
        cloning: CloneConfig,
        seed: int,
    ) -> None:
        """Start from `policy`.

        Args:
            policy: Of the run; a copy is trained.
            task: With the speech behind its utterances.
            speech: Shape (N,), utterances of it to learn from.
            reward: Needs no recorded motion.
            settings: Checked.
            cloning: How the run cloned its recordings.
            seed: Of all choices.
        """
        env = SpeechAnimationEnv(
            task=with_splits(task, {"train": speech}), reward=reward, metrics=False
        )
        told = set(env.reward_chunk_streams)
        algorithm = SequenceReinforce.from_clone(
            policy,
            env,
            learning_rate=settings.learning_rate,
            n_episodes=settings.n_episodes,
            samples_per_utterance=settings.samples_per_utterance,
            kl_coef=settings.kl_coef,
            credit=CHUNK,
            stream_advantages=not told.isdisjoint(task.token_streams),
            seed=seed,
        )
        super().__init__(algorithm, policy)
        self._task, self._settings, self._cloning, self._seed = task, settings, cloning, seed
        self._old = task.corpus.split("train")
        self._rehearser = torch.optim.AdamW(
            algorithm.model.parameters(),
            lr=settings.rehearsal_rate,
            weight_decay=cloning.weight_decay,
        )

    @property
    def n_total(self) -> int:
        """Iterations to run."""
        return self._settings.iterations

    def advance(self) -> dict[str, float]:
        """Run one iteration; return its figures and the cross-entropy of old recordings."""
        number = self.n_done
        return self.learn_once() | self._rehearse(number)

    def _rehearse(self, iteration: int) -> dict[str, float]:
        """Clone a few minibatches of old recordings; return the loss in nats a token."""
        rng = np.random.default_rng([self._seed, iteration, _STREAM])
        model, settings = self.algorithm.model, self._settings
        size = min(settings.rehearsal_sequences, len(self._old))
        losses = []
        for _ in range(settings.rehearsals):
            rows = rng.choice(self._old, size=size, replace=False)
            windows = torch.from_numpy(self._task.audio_windows(rows))
            condition = self._task.condition_of(rows)
            hidden = rng.random(len(rows)) < self._cloning.speaker_dropout
            condition[hidden, SPEAKER_START:] = 0  # new voices have no speaker either
            tokens = torch.from_numpy(self._task.demonstrations(rows))
            logits, _ = model(windows, torch.from_numpy(condition), tokens)
            loss = cross_entropy(logits, tokens, smoothing=self._cloning.label_smoothing)
            self._rehearser.zero_grad(set_to_none=True)
            torch.autograd.backward(loss)
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            self._rehearser.step()
            losses.append(loss.item())
        return {"rehearsal_loss": float(np.mean(losses))} if losses else {}

    def state_dict(self) -> dict[str, Any]:
        """Return everything needed to go on after an interruption."""
        return super().state_dict() | {"rehearser": self._rehearser.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what `state_dict` returned."""
        self._rehearser.load_state_dict(state["rehearser"])
        super().load_state_dict(state)
