"""Trainer of the consensus reward, and of its ceiling on true errors.

It needs the recordings, so it is no reward model; it bounds what any model could know from the same
inputs, and stands beside the reward in the report.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from esarm_env.core.training.replicas import part_of
from esarm_env.core.types import N_CHANNELS, STREAMS, IntArray
from reward.consensus.errors import ExpectedErrors
from reward.consensus.losses import draw_batch, member_loss
from reward.consensus.network import ConsensusModel
from reward.rank_measures import spearman_rho
from reward.resumable import ResumableTrainer

if TYPE_CHECKING:
    from esarm_env.task.animation_task import AnimationTask
    from reward.consensus.data import Animations, ConsensusData
    from reward.consensus.settings import ConsensusConfig

WARM_UP_STEPS = 30
_TYPICAL_UTTERANCES = 300  # that the network is calibrated on
_SCORED_AT_ONCE = 32  # utterances


class ConsensusTrainer(ResumableTrainer):
    """Trains a `ConsensusModel`, one epoch a call of `advance`."""

    model: ConsensusModel

    def __init__(
        self,
        task: AnimationTask,
        *,
        train: ConsensusData,
        validation: ConsensusData,
        config: ConsensusConfig,
        seed: int,
    ) -> None:
        """Prepare to learn from `train`; `validation` is only measured."""
        torch.manual_seed(seed)
        self._config, self._train, self._validation = config, train, validation
        step = task.tokenizer.frames_per_chunk
        self.model = ConsensusModel(
            config,
            audio_dim=task.features.dim * step,
            condition_dim=task.condition_dim,
            frames=step,
        )
        self._calibrate(task)
        self._begin(
            self.model,
            learning_rate=config.learning_rate,
            weight_decay=config.weight_decay,
            seed=seed,
        )

    @property
    def n_total(self) -> int:
        """Epochs to train."""
        return self._config.epochs

    def advance(self) -> dict[str, float]:
        """Train one epoch; return its loss, and how far scores agree with expected errors."""
        loss = self._epoch(
            self._update,
            n_rows=len(self._train),
            batch_rows=self._config.batch_utterances,
            n_epochs=self.n_total,
            warm_up_steps=WARM_UP_STEPS,
        )
        row = {"loss": loss}
        if len(self._validation):
            agreement = self.agreement(self._validation)
            row |= {f"validation_{name}": value for name, value in agreement.items()}
        return row

    def agreement(self, data: ConsensusData) -> dict[str, float]:
        """Return the mean rank correlation of samples' scores with minus their expected errors.

        Within each utterance, for each stream: `agreement_mouth`, `agreement_upper`.
        """
        scores = scores_of(self.model, data, data.samples).mean(dim=0)  # (N, K, S)
        errors = data.samples.errors.sum(dim=2) / data.n_chunks[:, None, None]
        return {
            f"agreement_{stream}": float(
                spearman_rho(scores[..., s].numpy(), -errors[..., s].numpy(), undefined=0.0)
                .astype(np.float32)  # as before: figures of earlier runs stay comparable
                .mean()
            )
            for s, stream in enumerate(STREAMS)
        }

    def finish(self) -> ConsensusModel:
        """Standardise the score on the policy's samples, and return the model."""
        scores = scores_of(self.model.eval(), self._train, self._train.samples)
        self.model.standardise(scores.flatten(1, 2))
        return self.model.eval()

    def _calibrate(self, task: AnimationTask) -> None:
        """Tell the network how faces move, and how far samples of one utterance differ."""
        samples, n_chunks = self._train.samples, self._train.n_chunks
        inside = torch.arange(samples.motion.shape[2]) < n_chunks[:, None]  # (N, C)
        typical = samples.motion[:_TYPICAL_UTTERANCES, 0][inside[:_TYPICAL_UTTERANCES]].float()
        chunks = torch.unflatten(typical, -1, (self.model.frames, -1))
        errors = ExpectedErrors(task)
        self.model.calibrate(errors.planes, chunks)
        means = samples.errors.sum(dim=2) / n_chunks[:, None, None]  # (N, K, S)
        self.model.spread.copy_(means.std(dim=1).mean(dim=0).clamp(min=1e-3))
        self.model.measured.copy_(errors.measured)
        centred = (samples.errors - samples.errors.mean(dim=1, keepdim=True)).square()
        counted = inside.sum() * samples.errors.shape[1]
        self._chunk_spread = (centred.sum(dim=(0, 1, 2)) / counted).sqrt().clamp(min=1e-3)

    def _update(self, utterances: IntArray) -> float:
        whole = draw_batch(self._train, utterances, config=self._config, rng=self._rng)
        part = part_of(len(utterances))
        batch = whole.rows(part.rows)
        with part.drawn_as_whole():
            given = batch.audio, batch.condition, batch.motion, batch.n_chunks
            judgements = self.model.judge(*given)
        losses = [
            member_loss(self.model, judgement, batch, chunk_spread=self._chunk_spread, whole=whole)
            for judgement in judgements
        ]
        loss = torch.stack(losses).sum() * part.counts
        return self._step(loss, part) / len(losses)


@torch.inference_mode()
def scores_of(model: ConsensusModel, data: ConsensusData, animations: Animations) -> Tensor:
    """Return standardised scores by member and stream, shape (members, N, K, S).

    Args:
        model: In evaluation mode.
        data: Gives the speech.
        animations: Of the same utterances.
    """
    parts = []
    for begin in range(0, len(data), _SCORED_AT_ONCE):
        rows = slice(begin, begin + _SCORED_AT_ONCE)
        width = int(data.n_chunks[rows].max())
        motion = animations.motion[rows, :, :width].float()
        given = data.audio[rows, :width], data.condition[rows], motion, data.n_chunks[rows]
        parts.append(model(*given))
    return torch.cat(parts, dim=1)


def with_true_errors(task: AnimationTask, data: ConsensusData) -> ConsensusData:
    """Return `data` with the true LVE and EVE of every chunk in place of the expected ones.

    Args:
        task: Theirs.
        data: From `collect_consensus`; its recordings are the truth.
    """
    errors = ExpectedErrors(task)
    truth = data.recorded.motion[:, :1]  # (N, 1, C, F * 52)

    def against_truth(animations: Animations) -> Animations:
        if animations.motion.shape[1] == 0:
            return animations
        rows = [
            errors.between(
                _frames(animations.motion[row]),
                _frames(truth[row]),
                n_frames=int(task.n_frames[utterance]),
            )[:, 0]
            for row, utterance in enumerate(data.utterances)
        ]
        return replace(animations, errors=torch.stack(rows))

    return replace(
        data,
        samples=against_truth(data.samples),
        recorded=against_truth(data.recorded),
        others=against_truth(data.others),
    )


def _frames(motion: Tensor) -> Tensor:
    """Return motion in chunks (K, C, F * 52) as frames (K, T, 52)."""
    return motion.float().reshape(len(motion), -1, N_CHANNELS)
