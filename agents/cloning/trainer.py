"""Trainer of behaviour cloning: cross-entropy on whole demonstrated sequences, epoch by epoch.

The loss, label smoothing, and what the network sees of its own past (token noise, scheduled
sampling) stand here, too.

The trainer can stop after any epoch and go on from its state, bit for bit: it keeps the optimiser,
the best weights and the state of its own random numbers, and leaves torch's global ones alone.
"""

from __future__ import annotations

import copy
import math
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from agents.cloning.demonstrations import Demonstrations
from agents.cloning.losses import cross_entropy, look_alike_targets, soft_cross_entropy
from agents.common.checkpoint_values import check_states
from agents.faults import TrainingFault, names_of
from agents.network.geometry import start_from_looks
from agents.network.transformer import DISTANCES, MotionTransformer, PolicyConfig
from agents.rollout.buffer import length_buckets

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


class CloneTrainer:
    """Trains a `MotionTransformer` on demonstrations, one epoch a call of `advance`."""

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
        self._task, self._config, self._speaker_start = task, config, speaker_start
        self._train = _demonstrations(task, train, name="train")
        self._validation = _demonstrations(task, validation, name="validation")
        self._rng = np.random.default_rng(seed)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.model = model or _new_model(task, config)
            self._set_distances()
            if model is None and config.start_from_looks and self.model.knows_distances:
                start_from_looks(self.model)
            self._torch_state = torch.get_rng_state()
        self._device = next(self.model.parameters()).device
        self._optimizer = torch.optim.AdamW(
            self.model.parameters(),
            lr=config.learning_rate,
            weight_decay=config.weight_decay,
            fused=True,
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
    def tokens_per_epoch(self) -> int:
        """Tokens that one epoch learns from."""
        return int(self._train.lengths.sum())

    @property
    def best_weights(self) -> dict[str, Tensor]:
        """Weights with the lowest validation loss so far."""
        return self._best

    def advance(self) -> dict[str, float]:
        """Train one epoch; return its losses (nats per token) and validation accuracy.

        With scheduled sampling, `own_tokens` is the share of past tokens that were the model's.

        Raises:
            TrainingFault: If a loss is not finite; it names the epoch and the utterances.
        """
        with torch.random.fork_rng(devices=[]):
            torch.set_rng_state(self._torch_state)
            row = self._train_epoch()
            self._torch_state = torch.get_rng_state()
        self.n_done += 1
        loss, accuracy = self._validate()
        if not math.isfinite(loss):
            raise TrainingFault(
                f"loss must be finite, got {loss} in validation, epoch {self.n_done}"
            )
        if loss < self._best_loss:
            self._best_loss, self._best_epoch = loss, self.n_done
            self._best = copy.deepcopy(self.model.state_dict())
        return row | {"validation_loss": loss, "validation_accuracy": accuracy}

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
            "torch": self._torch_state,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what `state_dict` returned.

        Raises:
            ValueError: If it is of other sizes, has counts that no training has, or NaN for
                weights; `KeyError` and `RuntimeError`, too.
        """
        counts = [state["n_done"], state["best_epoch"]]
        if not all(type(each) is int and 0 <= each <= 10**9 for each in counts):
            raise ValueError(f"`n_done` and `best_epoch` must be whole numbers, got {counts}")
        if not isinstance(state["best_loss"], float) or math.isnan(state["best_loss"]):
            raise ValueError(f"`best_loss` must be a number, got {state['best_loss']!r}")
        owners = {"model": self.model, "best": self.model, "optimizer": self._optimizer}
        states = {name: state[name] for name in owners}
        check_states(states, owners, exact=True, label="state of a cloning")
        torch.Generator().set_state(state["torch"])  # an error of torch, if it is no state
        self.model.load_state_dict(state["model"])
        self._best = state["best"]
        if DISTANCES not in self._best:  # saved before there were distances
            self._set_distances()
            self._best[DISTANCES] = self.model.code_distances.clone()
        self._best_loss, self._best_epoch = state["best_loss"], state["best_epoch"]
        self._optimizer.load_state_dict(state["optimizer"])
        self.n_done = state["n_done"]
        self._rng.bit_generator.state = state["numpy"]
        self._torch_state = state["torch"]

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

    def _train_epoch(self) -> dict[str, float]:
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
        windows, condition, tokens = self._read(batch)
        config = self._config
        windows = windows + config.feature_noise * torch.randn(windows.shape).to(windows)
        hidden = torch.rand(len(condition), 1).to(condition) < config.speaker_dropout
        condition[:, self._speaker_start :] *= ~hidden
        seen, share = tokens, 0.0
        if own_share > 0:
            own = own_tokens(self.model, windows, condition, tokens)
            seen, swapped = mix_tokens(tokens, own, share=own_share)
            share = int(swapped.sum()) / int((tokens >= 0).sum())
        swap = (torch.rand(tokens.shape).to(windows) < config.token_noise) & (tokens >= 0)
        others = torch.randint(self._task.n_tokens, tokens.shape).to(tokens)
        seen = torch.where(swap, others, seen)
        logits, _ = self.model(windows, condition, seen)
        loss = cross_entropy(logits, tokens, smoothing=config.label_smoothing)
        if self._look_alikes is not None:
            soft = soft_cross_entropy(logits, tokens, self._look_alikes)
            loss = (1 - config.distance_smoothing) * loss + config.distance_smoothing * soft
        self._optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self._optimizer.step()
        return loss.item(), share

    @torch.inference_mode()
    def _validate(self) -> tuple[float, float]:
        self.model.eval()
        losses, hits, weights = [], [], []
        size = self._config.batch_sequences
        for begin in range(0, len(self._validation), size):
            rows = np.arange(begin, min(begin + size, len(self._validation)))
            windows, condition, tokens = self._read(self._validation.rows(rows))
            logits, _ = self.model(windows, condition, tokens)
            inside = tokens >= 0
            losses.append(cross_entropy(logits, tokens, smoothing=0.0).item())
            hits.append((logits.argmax(-1) == tokens)[inside].float().mean().item())
            weights.append(int(inside.sum()))
        return float(np.average(losses, weights=weights)), float(np.average(hits, weights=weights))

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
