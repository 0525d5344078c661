"""Losses of the consensus reward, and the minibatches that they are taken over."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from esarm_env.task.conditions import SPEAKER_START
from reward.consensus.data import Animations, ConsensusData
from reward.consensus.member import Judgement, mean_of_chunks

if TYPE_CHECKING:
    from esarm_env.core.types import IntArray
    from reward.consensus.network import ConsensusModel
    from reward.consensus.settings import ConsensusConfig


@dataclass(frozen=True)
class Batch:
    """B utterances, P animations of each.

    Attributes:
        audio: Shape (B, C, A).
        condition: Shape (B, D).
        n_chunks: Shape (B,).
        motion: Shape (B, P, C, F * 52).
        errors: Expected, shape (B, P, C, S), mm.
        noise: Shape (B, P), noise levels of roll-outs; nan for all else.
        present: Shape (B, P), bool.
        n_samples: How many of the P are samples; these come first.
        n_recorded: How many of those behind them are ground truth.
    """

    audio: Tensor
    condition: Tensor
    n_chunks: Tensor
    motion: Tensor
    errors: Tensor
    noise: Tensor
    present: Tensor
    n_samples: int
    n_recorded: int

    def rows(self, chosen: slice) -> Batch:
        """Return some of the utterances."""
        by_row: dict[str, Any] = {k: v for k, v in vars(self).items() if isinstance(v, Tensor)}
        return replace(self, **{name: tensor[chosen] for name, tensor in by_row.items()})

    @property
    def counted(self) -> Tensor:
        """Which chunks are there, shape (B, P, C, 1), bool."""
        inside = torch.arange(self.errors.shape[2]) < self.n_chunks[:, None]
        return inside[:, None, :, None] * self.present[..., None, None]

    @property
    def less_noisy(self) -> Tensor:
        """Which roll-out has less noise than which, shape (B, P, P), bool."""
        less = self.noise[:, :, None] < self.noise[:, None, :]  # False where either is nan
        return less & self.present[:, :, None] & self.present[:, None, :]


def draw_batch(
    data: ConsensusData, utterances: IntArray, *, config: ConsensusConfig, rng: np.random.Generator
) -> Batch:
    """Draw some samples and some other animations of each of `utterances` (rows of `data`)."""
    width = int(data.n_chunks[utterances].max())
    n_samples = min(config.samples_per_update, data.samples.motion.shape[1])
    parts = [
        _drawn(data.samples, utterances, n_samples, width, rng),
        _drawn(data.recorded, utterances, data.recorded.motion.shape[1], width, rng),
        _drawn(data.others, utterances, config.others_per_update, width, rng),
    ]
    condition = data.condition[utterances].clone()
    hidden = rng.random(len(utterances)) < config.hidden_speakers
    condition[torch.from_numpy(hidden), SPEAKER_START:] = 0
    return Batch(
        data.audio[utterances, :width],
        condition,
        data.n_chunks[utterances],
        motion=torch.cat([part.motion for part in parts], dim=1),
        errors=torch.cat([part.errors for part in parts], dim=1),
        noise=torch.cat([part.noise for part in parts], dim=1),
        present=torch.cat([part.present for part in parts], dim=1),
        n_samples=n_samples,
        n_recorded=data.recorded.motion.shape[1],
    )


def _drawn(
    animations: Animations, utterances: IntArray, n: int, width: int, rng: np.random.Generator
) -> Animations:
    """Return `n` different animations of each utterance, or all if there are fewer."""
    rows = torch.from_numpy(np.asarray(utterances))
    present = animations.present[rows].numpy()
    # Those that are there come first, each set in random order.
    order = np.argsort(rng.random(present.shape) + ~present, axis=1)[:, :n]
    columns = torch.from_numpy(order)
    row = rows[:, None]
    return Animations(
        animations.motion[row, columns, :width].float(),
        animations.errors[row, columns, :width],
        animations.noise[row, columns],
        animations.present[row, columns],
    )


# Weights of the parts, chosen on validation utterances of the synthetic corpus.
LEVEL, OTHERS, RECORDED, NOISE = 0.1, 0.3, 0.3, 0.1


def member_loss(
    model: ConsensusModel,
    judgement: Judgement,
    batch: Batch,
    *,
    chunk_spread: Tensor,
    whole: Batch | None = None,
) -> Tensor:
    """Return a member's loss, a scalar.

    1. Which of an utterance's samples are better, chunk by chunk: the band where policies move.
    2. How hard the utterance is, with a tenth of the weight: no policy can change that.
    3. How much worse damage and noise are than samples; far off, only linearly.
    4. Which animation is ground truth, and of two noise levels, which is less (Eq. 1).

    Args:
        model: Turns judgements into scores.
        judgement: Of all animations of `batch`.
        batch: With what is expected.
        chunk_spread: Shape (S,), spread of a chunk's error within an utterance's samples, mm.
        whole: The minibatch of which `batch` is a part: the losses of all its parts add up to its
            own. None if it is whole.
    """
    n, whole = batch.n_samples, whole or batch
    off = (judgement.errors - batch.errors) / chunk_spread * model.measured  # (B, P, C, S)
    counted, of = batch.counted, whole.counted
    level = off[:, :n].mean(dim=1, keepdim=True)
    within = _mean((off[:, :n] - level).square(), counted[:, :n], of[:, :n])
    levels = _mean(level.square(), counted[:, :1], of[:, :1])
    far = functional.huber_loss(off[:, n:], torch.zeros_like(off[:, n:]), reduction="none")
    return (
        within
        + LEVEL * levels
        + OTHERS * _mean(far, counted[:, n:], of[:, n:])
        + RECORDED * _recorded_loss(judgement.recorded, batch, whole)
        + NOISE * _noise_loss(model, judgement, batch, whole)
    )


def _mean(values: Tensor, counted: Tensor, of: Tensor) -> Tensor:
    """Return the sum of (B, P, C, S) where `counted` (B, P, C, 1), by how many `of` count."""
    total = (values * counted).sum()
    return total / (of.sum() * values.shape[-1]).clamp(min=1)


def _recorded_loss(log_odds: Tensor, batch: Batch, whole: Batch | None = None) -> Tensor:
    """Cross-entropy of ground truth against the rest; it is rare, so its weight is high.

    Args:
        log_odds: Shape (B, P).
        batch: Samples come first, then ground truth.
        whole: As of `member_loss`.
    """
    begin, end = batch.n_samples, batch.n_samples + batch.n_recorded
    truth = torch.zeros_like(log_odds)
    truth[:, begin:end] = 1
    weights = torch.full_like(log_odds, 0.5)
    weights[:, :begin], weights[:, begin:end] = 1.0, 3.0
    weights = weights * batch.present
    losses = functional.binary_cross_entropy_with_logits(log_odds, truth, reduction="none")
    return (losses * weights).sum() / (whole or batch).present.sum()


def _noise_loss(
    model: ConsensusModel, judgement: Judgement, batch: Batch, whole: Batch | None = None
) -> Tensor:
    """Cross-entropy of ranking each utterance's roll-outs by less noise, 0 if there are none."""
    inside = torch.arange(judgement.errors.shape[2]) < batch.n_chunks[:, None]
    errors = mean_of_chunks(judgement.errors, inside) / model.spread * model.measured
    scores = -errors.sum(dim=-1)  # (B, P)
    better = batch.less_noisy
    if not better.any():
        return scores.new_zeros(())
    share = 1.0 if whole is None else float(better.sum() / whole.less_noisy.sum())
    margin = (scores[:, :, None] - scores[:, None, :])[better]
    return functional.softplus(-margin).mean() * share
