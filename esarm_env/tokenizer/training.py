"""Training of the motion prior: reconstruction loss in millimetres on the head, AdamW, cosine rate.

Errors of coefficients are weighed by how far they move the head, and the lips and the upper face
once more by their vertices, because LVE and EVE are measured there.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from esarm_env.core.progress import track
from esarm_env.core.training.replicas import part_of
from esarm_env.tokenizer.vq import VQMotionTokenizer

if TYPE_CHECKING:
    from esarm_env.core.types import FloatArray
    from esarm_env.face.head import Head
    from esarm_env.tokenizer.config import PriorConfig


class TokenizerTrainer:
    """Resumable training loop of a `VQMotionTokenizer`; `advance` trains one epoch."""

    def __init__(
        self, motions: Sequence[FloatArray], head: Head, *, config: PriorConfig, seed: int
    ) -> None:
        """Prepare to train on `motions`, each (T, 52), measured on `head`."""
        self._config = config
        torch.manual_seed(seed)
        self._rng = np.random.default_rng(seed)
        self._frames, self._starts = _concatenate(motions, config)
        self.tokenizer = VQMotionTokenizer(config.shape)
        metric = squared_mm_metric(head)
        self.tokenizer.fit(motions, metric)
        self._optimizer = torch.optim.AdamW(
            self.tokenizer.parameters(), lr=config.learning_rate, weight_decay=1e-4
        )
        self._metric = torch.from_numpy(metric)  # (52, 52)
        self.n_done = 0

    @property
    def n_total(self) -> int:
        """Epochs to train."""
        return self._config.epochs

    def advance(self) -> dict[str, float]:
        """Train one epoch; return its mean losses."""
        self.tokenizer.train()
        steps = self._config.steps_per_epoch
        totals = np.zeros(2)
        for step in range(steps):
            progress = (self.n_done * steps + step) / (self.n_total * steps)
            for group in self._optimizer.param_groups:
                group["lr"] = self._config.learning_rate * 0.5 * (1 + math.cos(math.pi * progress))
            totals += self._update(self._crops())
        self.tokenizer.eval()
        self.n_done += 1
        names = ("loss", "commitment")
        return dict(zip(names, (totals / steps).tolist(), strict=True))

    def state_dict(self) -> dict[str, Any]:
        """Return the training state: weights, optimiser, epoch and random generators."""
        return {
            "model": self.tokenizer.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "n_done": self.n_done,
            "numpy": self._rng.bit_generator.state,
            "torch": torch.get_rng_state(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore the training state that `state_dict` returned."""
        self.tokenizer.load_state_dict(state["model"])
        self._optimizer.load_state_dict(state["optimizer"])
        self.n_done = state["n_done"]
        self._rng.bit_generator.state = state["numpy"]
        torch.set_rng_state(state["torch"])

    def _crops(self) -> Tensor:
        width = self._config.crop_chunks * self._config.frames_per_chunk
        starts = self._rng.choice(self._starts, size=self._config.batch_crops)
        return self._frames[torch.from_numpy(starts[:, None] + np.arange(width))]  # (B, T, 52)

    def _update(self, motion: Tensor) -> tuple[float, float]:
        share = self._config.quantiser_dropout
        # No number is drawn without dropout.
        drop = share > 0 and torch.rand(()).item() < share
        part = part_of(len(motion))
        own = motion[part.rows]
        # The codebooks see all rows in every process, and so does the commitment, whose gradient
        # reaches the encoder from this process's rows alone.
        output, commitment = self.tokenizer.reconstruct(own, drop_codebooks=drop, part=part)
        error = output - own
        velocity = self._squared_mm(error.diff(dim=1))
        misfit = self._squared_mm(error) + self._config.velocity_coef * velocity
        misfit = misfit * part.scale(part.n_own, part.n_rows)
        self._optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(misfit + commitment)
        part.sum_gradients(self.tokenizer.parameters())
        torch.nn.utils.clip_grad_norm_(self.tokenizer.parameters(), 10.0)
        self._optimizer.step()
        total = part.sums({"misfit": misfit.item()})["misfit"]
        return total + commitment.item(), commitment.item()

    def _squared_mm(self, error: Tensor) -> Tensor:
        return torch.einsum("btc,cd,btd->bt", error, self._metric, error).mean()


def squared_mm_metric(head: Head) -> FloatArray:
    """Return the quadratic form Q, (52, 52): e Q e is the cost of a coefficient error e, in mm^2.

    It adds the mean squared error of the lip vertices, that of the upper face, and a small share of
    how far each coefficient moves any vertex at all, so that none is forgotten. As a quadratic
    form it costs the same however many vertices the regions have.
    """
    largest = np.linalg.norm(head.deltas, axis=2).max(axis=1)  # (52,) mm
    metric = np.diag(largest**2) / len(largest)
    for vertices in (head.regions["lips"], head.upper):
        flat = head.deltas[:, vertices].reshape(len(head.deltas), -1)  # (52, 3R)
        metric += flat @ flat.T / len(vertices)
    return metric.astype(np.float32)


def train_tokenizer(
    motions: Sequence[FloatArray],
    head: Head,
    *,
    config: PriorConfig,
    seed: int,
    progress: bool = False,
) -> VQMotionTokenizer:
    """Train a tokenizer on `motions`, each (T, 52), from start to end."""
    trainer = TokenizerTrainer(motions, head, config=config, seed=seed)
    for _ in track(range(trainer.n_total), "Motion tokens", show=progress):
        trainer.advance()
    return trainer.tokenizer.eval()


def _concatenate(motions: Sequence[FloatArray], config: PriorConfig) -> tuple[Tensor, np.ndarray]:
    """Concatenate motions; return the frames, and the start indices of crops within one motion."""
    width = config.crop_chunks * config.frames_per_chunk
    rows, starts, offset = [], [], 0
    for motion in motions:
        row = np.pad(motion, ((0, max(0, width - len(motion))), (0, 0)), mode="edge")
        rows.append(row)
        starts.append(offset + np.arange(len(row) - width + 1))
        offset += len(row)
    return torch.from_numpy(np.concatenate(rows)), np.concatenate(starts)
