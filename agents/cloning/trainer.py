"""Trainer of behaviour cloning: cross-entropy on whole demonstrated sequences, epoch by epoch.

The loss, label smoothing, and what the network sees of its own past (token noise, scheduled
sampling) stand here, too.

Stopping early and going on from a saved state are those of `esarm_env.core.training.epochs`.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from agents.cloning.demonstrations import Demonstrations
from agents.cloning.losses import cross_entropy, look_alike_targets, soft_cross_entropy
from agents.faults import TrainingFault, names_of
from agents.network.geometry import start_from_looks
from agents.network.transformer import DISTANCES, MotionTransformer, PolicyConfig
from agents.rollout.buffer import length_buckets
from esarm_env.core.training.epochs import EpochTrainer
from esarm_env.core.training.replicas import Part, mapped, part_of

if TYPE_CHECKING:
    from agents.cloning.config import CloneConfig
    from agents.protocols import IntArray, SequenceTask


@torch.no_grad()
def own_tokens(
    model: MotionTransformer, windows: Tensor, condition: Tensor, tokens: Tensor
) -> Tensor:
    """Return what the model itself would say at every step after the recorded past, (B, L).

    First of the two passes of scheduled sampling for transformers (Mihaylova and Martins 2019,
    arXiv:1906.07651). The tokens are sampled, as roll-outs sample them, and without dropout.

    Args:
        model: Left in the mode in which it came.
        windows: Shape (B, C, window_dim).
        condition: Shape (B, condition_dim).
        tokens: Shape (B, L), recorded, -1 in padding.
    """
    training = model.training
    model.eval()
    logits, _ = model(windows, condition, tokens)
    model.train(training)
    chances = logits.softmax(-1).flatten(0, 1)  # (B * L, K)
    return torch.multinomial(chances, 1).view(tokens.shape)


def mix_tokens(tokens: Tensor, others: Tensor, *, share: float) -> tuple[Tensor, Tensor]:
    """Replace each token by its counterpart in `others` with probability `share`.

    Args:
        tokens: Shape (B, L), -1 in padding, which stays.
        others: Shape (B, L).
        share: In [0, 1].

    Returns:
        The mixture and where it comes from `others`, both (B, L).
    """
    swap = (torch.rand(tokens.shape).to(tokens.device) < share) & (tokens >= 0)
    return torch.where(swap, others, tokens), swap


class CloneTrainer(EpochTrainer):
    """Trains a `MotionTransformer` on demonstrations, one epoch a call of `advance`.

    Losses are in nats per token. With scheduled sampling, `own_tokens` is the share of past tokens
    that were the model's. A loss that is not finite is a `TrainingFault`, which names the epoch and
    the utterances.
    """

    fault = TrainingFault
    may_lack = (DISTANCES,)

    def __init__(
        self,
        task: SequenceTask,
        *,
        train: IntArray | Demonstrations,
        validation: IntArray | Demonstrations,
        config: CloneConfig,
        speaker_start: int,
        seed: int,
        model: MotionTransformer | None = None,
    ) -> None:
        """Take `model`, or build an untrained network.

        Args:
            task: Audio, conditions and recorded tokens by utterance index.
            train: What to clone: demonstrations, or indices of recorded utterances.
            validation: The same for what chooses when to stop.
            config: Settings.
            speaker_start: First speaker column of a condition.
            seed: Fixes weights, order and noise.
            model: Is trained in place; by default a new one of the sizes in `config`.

        Raises:
            ValueError: If a split is empty or does not fit `task`, or a setting is out of range.
        """
        config.check()
        super().__init__(seed=seed, epochs=config.epochs, patience=config.patience)
        self._task, self._config, self._speaker_start = task, config, speaker_start
        self._train = _demonstrations(task, train, name="train")
        self._validation = _demonstrations(task, validation, name="validation")
        with self.own_randomness():
            self.model = model or _new_model(task, config)
            self._set_distances()
            if model is None and config.start_from_looks and self.model.knows_distances:
                start_from_looks(self.model)
        self._device = next(self.model.parameters()).device
        optimizer = torch.optim.AdamW(
            self.model.parameters(),
            lr=config.learning_rate,
            weight_decay=config.weight_decay,
            fused=True,
        )
        self.begin(optimizer, model=self.model)

    @property
    def tokens_per_epoch(self) -> int:
        """Tokens that one epoch learns from."""
        return int(self._train.lengths.sum())

    def learn(self) -> MotionTransformer:
        """Train to the end; return the network with its best weights."""
        while self.n_done < self.n_total:
            self.advance()
        self.model.load_state_dict(self.best_weights)
        return self.model.eval()

    def complete(self, best: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return the best weights of a saved state; older ones know no distances of codes."""
        if DISTANCES not in best:
            self._set_distances()
            best[DISTANCES] = self.model.code_distances.clone()
        return best

    def _set_distances(self) -> None:
        """Let the network know how far apart codes look, where the task can tell."""
        distances = getattr(self._task, DISTANCES, None)
        if distances is not None:
            self.model.set_code_distances(distances)
        self._look_alikes: Tensor | None = None
        if self._config.distance_smoothing > 0:
            if distances is None:
                raise ValueError(
                    "`distance_smoothing` must be 0 where the task knows no distances of codes, "
                    f"got {self._config.distance_smoothing}"
                )
            known = self.model.code_distances
            self._look_alikes = look_alike_targets(known, scale_mm=self._config.distance_scale_mm)

    def train_epoch(self) -> dict[str, float]:
        """Train on every demonstration once; return the loss and the share of own tokens."""
        self.model.train()
        batches = length_buckets(
            self._train.lengths, size=self._config.batch_sequences, rng=self._rng
        )
        losses, shares = [], []
        for number, rows in enumerate(batches):
            self._set_rate(self.n_done + number / len(batches))
            past = (self.n_done + (number + 1) / len(batches)) / self._config.epochs
            batch = self._train.rows(rows)
            loss, share = self._update(batch, own_share=self._config.scheduled_sampling * past)
            if not math.isfinite(loss):
                raise TrainingFault(
                    f"loss must be finite, got {loss} in epoch {self.n_done + 1} for "
                    f"{names_of(self._task, batch.utterances)}"
                )
            losses.append(loss)
            shares.append(share)
        row = {"train_loss": float(np.mean(losses))}
        return row | ({"own_tokens": float(np.mean(shares))} if any(shares) else {})

    def _set_rate(self, epoch: float) -> None:
        warm_up = min(1.0, epoch + 0.05)
        decay = 0.02 + 0.49 * (1 + math.cos(math.pi * epoch / self._config.epochs))
        for group in self._optimizer.param_groups:
            group["lr"] = self._config.learning_rate * warm_up * decay

    def _update(self, batch: Demonstrations, *, own_share: float) -> tuple[float, float]:
        """Take one step; return the loss and the share of own tokens in the past shown."""
        part = part_of(len(batch))
        with part.drawn_as_whole():
            loss, share = self._loss(batch, part, own_share=own_share)
        self._optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        part.sum_gradients(self.model.parameters())
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self._optimizer.step()
        figures = part.sums({"loss": loss.item(), "share": share})
        return figures["loss"], figures["share"]

    def _loss(self, batch: Demonstrations, part: Part, *, own_share: float) -> tuple[Tensor, float]:
        """Return this process's share of the loss, and of the share of own tokens."""
        windows, condition, tokens = (each[part.rows] for each in self._read(batch))
        n_tokens = int((tokens >= 0).sum())
        weight = part.scale(n_tokens, int(batch.lengths.sum()))
        config = self._config
        windows = windows + config.feature_noise * torch.randn(windows.shape).to(windows)
        hidden = torch.rand(len(condition), 1).to(condition) < config.speaker_dropout
        condition[:, self._speaker_start :] *= ~hidden
        seen, share = tokens, 0.0
        if own_share > 0:
            own = own_tokens(self.model, windows, condition, tokens)
            seen, swapped = mix_tokens(tokens, own, share=own_share)
            share = int(swapped.sum()) / n_tokens * weight
        swap = (torch.rand(tokens.shape).to(windows) < config.token_noise) & (tokens >= 0)
        others = torch.randint(self._task.n_tokens, tokens.shape).to(tokens)
        seen = torch.where(swap, others, seen)
        logits, _ = self.model(windows, condition, seen)
        loss = cross_entropy(logits, tokens, smoothing=config.label_smoothing)
        if self._look_alikes is not None:
            soft = soft_cross_entropy(logits, tokens, self._look_alikes)
            loss = (1 - config.distance_smoothing) * loss + config.distance_smoothing * soft
        return loss * weight, share

    @torch.inference_mode()
    def validate(self) -> dict[str, float]:
        """Return loss and accuracy of the tokens of the validation demonstrations."""
        self.model.eval()
        size = self._config.batch_sequences
        measured = mapped(self._measure, range(0, len(self._validation), size))
        losses, hits, weights = zip(*measured, strict=True)
        return {
            "validation_loss": float(np.average(losses, weights=weights)),
            "validation_accuracy": float(np.average(hits, weights=weights)),
        }

    def _measure(self, begin: int) -> tuple[float, float, int]:
        """Return loss, accuracy and tokens of the validation minibatch that begins there."""
        end = min(begin + self._config.batch_sequences, len(self._validation))
        batch = self._validation.rows(np.arange(begin, end))
        windows, condition, tokens = self._read(batch)
        logits, _ = self.model(windows, condition, tokens)
        inside = tokens >= 0
        loss = cross_entropy(logits, tokens, smoothing=0.0).item()
        right = (logits.argmax(-1) == tokens)[inside].float().mean().item()
        return loss, right, int(inside.sum())

    def _read(self, batch: Demonstrations) -> tuple[Tensor, Tensor, Tensor]:
        arrays = (self._task.audio_windows(batch.utterances), batch.condition, batch.tokens)
        windows, condition, tokens = (torch.from_numpy(array).to(self._device) for array in arrays)
        return windows, condition, tokens


def _demonstrations(
    task: SequenceTask, part: IntArray | Demonstrations, *, name: str
) -> Demonstrations:
    if len(part) == 0:
        raise ValueError(f"`{name}` must hold at least one utterance, got none")
    if not isinstance(part, Demonstrations):
        part = Demonstrations.recorded(task, part)
    part.check_for(task)
    return part


def _new_model(task: SequenceTask, config: CloneConfig) -> MotionTransformer:
    return MotionTransformer(
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
