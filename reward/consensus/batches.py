"""One update's worth of animations: samples first, then ground truth, then the others."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from esarm_env.conditions import SPEAKER_START
from esarm_env.types import IntArray
from reward.consensus.data import Animations, ConsensusData
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
