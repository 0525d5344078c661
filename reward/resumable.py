"""Training state shared by the reward trainers: epochs, steps, learning rate, resumable state."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from esarm_env.core.training.replicas import Part
    from esarm_env.core.types import IntArray

LARGEST_GRADIENT = 1.0


class ResumableTrainer:
    """A network with its optimiser and random numbers, which goes on exactly where it stopped.

    Attributes:
        model: What is trained.
        n_done: Epochs so far.
    """

    model: nn.Module
    n_done: int

    def _begin(
        self, model: nn.Module, *, learning_rate: float, weight_decay: float, seed: int
    ) -> None:
        """Take `model`, whose weights were drawn under `seed`, and start at the first epoch."""
        self.model, self.n_done = model, 0
        self._rng = np.random.default_rng(seed)
        self._learning_rate = learning_rate
        self._optimizer = torch.optim.AdamW(
            model.parameters(), lr=learning_rate, weight_decay=weight_decay
        )

    def state_dict(self) -> dict[str, Any]:
        """Return everything needed to go on after an interruption."""
        return {
            "model": self.model.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "n_done": self.n_done,
            "numpy": self._rng.bit_generator.state,
            "torch": torch.get_rng_state(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what `state_dict` returned."""
        self.model.load_state_dict(state["model"])
        self._optimizer.load_state_dict(state["optimizer"])
        self.n_done = state["n_done"]
        self._rng.bit_generator.state = state["numpy"]
        torch.set_rng_state(state["torch"])

    def _set_learning_rate(self, progress: float, *, warm: float = 1.0) -> None:
        """Follow a cosine from the highest rate to 0 as `progress` goes from 0 to 1."""
        for group in self._optimizer.param_groups:
            group["lr"] = self._learning_rate * warm * 0.5 * (1 + math.cos(math.pi * progress))

    def _epoch(
        self,
        update: Callable[[IntArray], float],
        *,
        n_rows: int,
        batch_rows: int,
        n_epochs: int,
        warm_up_steps: int,
    ) -> float:
        """Learn from all rows once, in an order of chance; return the mean loss.

        Args:
            update: Takes a step on some rows, and returns its loss.
            n_rows: How many there are.
            batch_rows: Of a minibatch.
            n_epochs: Over which the learning rate falls to 0.
            warm_up_steps: Over which it rises first.
        """
        self.model.train()
        order = self._rng.permutation(n_rows)
        starts = range(0, n_rows, batch_rows)
        losses = []
        for number, begin in enumerate(starts):
            step = self.n_done * len(starts) + number
            warm = min(1.0, (step + 1) / warm_up_steps)
            self._set_learning_rate(step / (len(starts) * n_epochs), warm=warm)
            losses.append(update(order[begin : begin + batch_rows]))
        self.n_done += 1
        self.model.eval()
        return float(np.mean(losses))

    def _step(self, loss: Tensor, part: Part | None = None) -> float:
        """Take one step down `loss`, and return it.

        Args:
            loss: Of the whole minibatch, or this process's share of it.
            part: What it is a share of; None if it is whole.
        """
        self._optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        if part is not None:
            part.sum_gradients(self.model.parameters())
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), LARGEST_GRADIENT)
        self._optimizer.step()
        return loss.item() if part is None else part.sums({"loss": loss.item()})["loss"]
