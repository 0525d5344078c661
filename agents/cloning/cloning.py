"""Clone recorded motion: cross-entropy on its tokens, whole sequences at a time."""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from agents.common.buffer import length_buckets
from agents.common.protocols import IntArray, SequenceTask
from agents.transformer import MotionTransformer, PolicyConfig


@dataclass(frozen=True)
class CloneConfig:
    """Settings of behaviour cloning.

    Attributes:
        n_layers: Transformer blocks of the policy.
        n_heads: Attention heads.
        width: Width of the residual stream.
        dropout: Only while cloning.
        epochs: At most this many passes over the training utterances.
        patience: Stop after this many epochs without a better validation loss.
        batch_size: Utterances per update.
        learning_rate: Highest value; warmed up over the first epoch, then falling to 2 % of it.
        weight_decay: Of AdamW.
        label_smoothing: Share of probability spread over all tokens.
        speaker_dropout: How often the speaker is hidden, so that "unknown" means "average".
        feature_noise: Spread of the noise added to audio features.
        token_noise: Share of past tokens replaced at random, against drifting off the recordings.
    """

    n_layers: int = 2
    n_heads: int = 4
    width: int = 128
    dropout: float = 0.15
    epochs: int = 12
    patience: int = 4
    batch_size: int = 8
    learning_rate: float = 1.5e-3
    weight_decay: float = 0.05
    label_smoothing: float = 0.05
    speaker_dropout: float = 0.2
    feature_noise: float = 0.1
    token_noise: float = 0.05


class BehaviourCloning:
    """Trains a `MotionTransformer` on recorded tokens, one epoch a call of `advance`."""

    def __init__(
        self,
        task: SequenceTask,
        *,
        train: IntArray,
        validation: IntArray,
        config: CloneConfig,
        speaker_start: int,
        seed: int,
    ) -> None:
        """Build an untrained network.

        Args:
            task: Audio, conditions and recorded tokens by utterance index.
            train: Indices of the utterances to clone.
            validation: Indices that choose when to stop.
            config: Settings.
            speaker_start: First speaker column of a condition.
            seed: Fixes weights, order and noise.

        Raises:
            ValueError: If `train` or `validation` is empty.
        """
        for name, part in (("train", train), ("validation", validation)):
            if len(part) == 0:
                raise ValueError(f"`{name}` must hold at least one utterance, got none")
        if min(config.patience, config.epochs) < 1:
            raise ValueError(
                "`patience` and `epochs` must be at least 1, "
                f"got {config.patience} and {config.epochs}"
            )
        torch.manual_seed(seed)
        self._task, self._train, self._validation = task, train, validation
        self._config, self._speaker_start = config, speaker_start
        self._rng = np.random.default_rng(seed)
        self.model = MotionTransformer(
            PolicyConfig(
                n_tokens=task.n_tokens,
                tokens_per_chunk=task.tokens_per_chunk,
                window_dim=task.window_dim,
                condition_dim=task.condition_dim,
                n_layers=config.n_layers,
                n_heads=config.n_heads,
                width=config.width,
                dropout=config.dropout,
            )
        )
        self._optimizer = torch.optim.AdamW(
            self.model.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay
        )
        self.n_done = 0
        self._best_loss, self._best_epoch = float("inf"), 0
        self._best = copy.deepcopy(self.model.state_dict())

    @property
    def n_total(self) -> int:
        """Epochs left to the end, had they all to be run; shrinks when patience is spent."""
        spent = self.n_done - self._best_epoch >= self._config.patience
        return self.n_done if spent else self._config.epochs

    @property
    def best_weights(self) -> dict[str, Tensor]:
        """Weights with the lowest validation loss so far."""
        return self._best

    def advance(self) -> dict[str, float]:
        """Train one epoch; return its losses (nats per token) and validation accuracy."""
        self.model.train()
        size = self._config.batch_size
        batches = length_buckets(self._task.lengths[self._train], size=size, rng=self._rng)
        losses = []
        for number, rows in enumerate(batches):
            self._set_rate(self.n_done + number / len(batches))
            losses.append(self._update(self._train[rows]))
            if not math.isfinite(losses[-1]):
                raise RuntimeError(
                    f"loss must be finite, got {losses[-1]} in epoch {self.n_done + 1}, "
                    f"utterances {self._train[rows].tolist()}"
                )
        self.n_done += 1
        loss, accuracy = self._validate()
        if not math.isfinite(loss):
            raise RuntimeError(
                f"loss must be finite, got {loss} in validation, epoch {self.n_done}"
            )
        if loss < self._best_loss:
            self._best_loss, self._best_epoch = loss, self.n_done
            self._best = copy.deepcopy(self.model.state_dict())
        return {
            "train_loss": float(np.mean(losses)),
            "validation_loss": loss,
            "validation_accuracy": accuracy,
        }

    def learn(self) -> MotionTransformer:
        """Train to the end; return the network with its best weights."""
        while self.n_done < self.n_total:
            self.advance()
        self.model.load_state_dict(self._best)
        return self.model.eval()

    def state_dict(self) -> dict[str, Any]:
        """Return everything needed to go on after an interruption."""
        return {
            "model": self.model.state_dict(),
            "best": self._best,
            "best_loss": self._best_loss,
            "best_epoch": self._best_epoch,
            "optimizer": self._optimizer.state_dict(),
            "n_done": self.n_done,
            "numpy": self._rng.bit_generator.state,
            "torch": torch.get_rng_state(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what `state_dict` returned."""
        self.model.load_state_dict(state["model"])
        self._best = state["best"]
        self._best_loss, self._best_epoch = state["best_loss"], state["best_epoch"]
        self._optimizer.load_state_dict(state["optimizer"])
        self.n_done = state["n_done"]
        self._rng.bit_generator.state = state["numpy"]
        torch.set_rng_state(state["torch"])

    def _set_rate(self, epoch: float) -> None:
        warm_up = min(1.0, epoch + 0.05)
        decay = 0.02 + 0.49 * (1 + math.cos(math.pi * epoch / self._config.epochs))
        for group in self._optimizer.param_groups:
            group["lr"] = self._config.learning_rate * warm_up * decay

    def _update(self, utterances: IntArray) -> float:
        windows, condition, tokens = self._read(utterances)
        config = self._config
        windows = windows + config.feature_noise * torch.randn_like(windows)
        hidden = torch.rand(len(condition), 1) < config.speaker_dropout
        condition[:, self._speaker_start :] *= ~hidden
        swap = (torch.rand(tokens.shape) < config.token_noise) & (tokens >= 0)
        seen = torch.where(swap, torch.randint_like(tokens, self._task.n_tokens), tokens)
        logits, _ = self.model(windows, condition, seen)
        loss = _cross_entropy(logits, tokens, smoothing=config.label_smoothing)
        self._optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self._optimizer.step()
        return loss.item()

    @torch.inference_mode()
    def _validate(self) -> tuple[float, float]:
        self.model.eval()
        losses, hits, weights = [], [], []
        size = self._config.batch_size
        for begin in range(0, len(self._validation), size):
            windows, condition, tokens = self._read(self._validation[begin : begin + size])
            logits, _ = self.model(windows, condition, tokens)
            inside = tokens >= 0
            losses.append(_cross_entropy(logits, tokens, smoothing=0.0).item())
            hits.append((logits.argmax(-1) == tokens)[inside].float().mean().item())
            weights.append(int(inside.sum()))
        return float(np.average(losses, weights=weights)), float(np.average(hits, weights=weights))

    def _read(self, utterances: IntArray) -> tuple[Tensor, Tensor, Tensor]:
        return (
            torch.from_numpy(self._task.audio_windows(utterances)),
            torch.from_numpy(self._task.condition_of(utterances)),
            torch.from_numpy(self._task.demonstrations(utterances)),
        )


def _cross_entropy(logits: Tensor, tokens: Tensor, *, smoothing: float) -> Tensor:
    """Return the mean over tokens of logits (B, L, K) against tokens (B, L), -1 left out."""
    return functional.cross_entropy(
        logits.flatten(0, 1), tokens.flatten(), ignore_index=-1, label_smoothing=smoothing
    )
