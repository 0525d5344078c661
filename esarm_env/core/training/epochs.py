"""Epoch trainer: base of trainers that stop early and go on from a saved state, bit for bit.

It keeps the optimiser, the best weights and the state of its own random numbers, and leaves torch's
global ones alone. A subclass trains an epoch and validates it.
"""

from __future__ import annotations

import abc
import contextlib
import copy
import math
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from esarm_env.core.errors import InputError
from esarm_env.core.training.states import check_states

if TYPE_CHECKING:
    from torch import Tensor, nn
    from torch.optim import Optimizer

_MOST_EPOCHS = 10**9


class EpochTrainer(abc.ABC):
    """Trains networks, one epoch a call of `advance`, until patience is spent.

    A subclass makes its networks within `own_randomness`, and then calls `begin`.

    Attributes:
        fault: Is raised where a loss is not finite.
        may_lack: Ends of the names of weights that older states lack, see `complete`.
        n_done: Epochs done.
    """

    fault: ClassVar[type[Exception]] = InputError
    may_lack: ClassVar[tuple[str, ...]] = ()

    def __init__(self, *, seed: int, epochs: int, patience: int) -> None:
        """Take what fixes the length of training.

        Args:
            seed: Of weights, order and noise.
            epochs: At most.
            patience: Stop after this many epochs without a better validation loss.
        """
        self._seed, self._epochs, self._patience = seed, epochs, patience
        self._rng = np.random.default_rng(seed)
        self._torch_state: Tensor | None = None
        self.n_done = 0
        self._best_loss, self._best_epoch = math.inf, 0

    def begin(self, optimizer: Optimizer, **networks: nn.Module) -> None:
        """Take what is trained.

        Args:
            optimizer: Of all the networks' weights.
            networks: By their names in a saved state; the first one's best weights are kept.
        """
        self._optimizer, self._networks = optimizer, networks
        self._kept = next(iter(networks.values()))
        self._best = copy.deepcopy(self._kept.state_dict())

    @contextlib.contextmanager
    def own_randomness(self) -> Iterator[None]:
        """Draw from the trainer's own random numbers, and leave torch's global ones alone."""
        import torch

        with torch.random.fork_rng(devices=[]):
            if self._torch_state is None:
                torch.manual_seed(self._seed)
            else:
                torch.set_rng_state(self._torch_state)
            yield
            self._torch_state = torch.get_rng_state()

    @abc.abstractmethod
    def train_epoch(self) -> dict[str, float]:
        """Train the networks for one epoch; return its figures."""

    @abc.abstractmethod
    def validate(self) -> dict[str, float]:
        """Return figures on what is not trained on; of them `validation_loss` chooses the epoch."""

    @property
    def n_total(self) -> int:
        """Epochs to the end; shrinks when patience is spent."""
        spent = self.n_done - self._best_epoch >= self._patience
        return self.n_done if spent else self._epochs

    @property
    def best_weights(self) -> dict[str, Tensor]:
        """Weights with the lowest validation loss so far."""
        return self._best

    def advance(self) -> dict[str, float]:
        """Train one epoch; return its figures.

        Raises:
            Exception: `fault`, if a loss is not finite.
        """
        with self.own_randomness():
            row = self.train_epoch()
        self.n_done += 1
        figures = self.validate()
        loss = figures["validation_loss"]
        if not math.isfinite(loss):
            raise self.fault(f"loss must be finite, got {loss} in validation, epoch {self.n_done}")
        if loss < self._best_loss:
            self._best_loss, self._best_epoch = loss, self.n_done
            self._best = copy.deepcopy(self._kept.state_dict())
        return row | figures

    def state_dict(self) -> dict[str, Any]:
        """Return everything needed to go on after an interruption."""
        return {
            **{name: network.state_dict() for name, network in self._networks.items()},
            "best": self._best,
            "best_loss": self._best_loss,
            "best_epoch": self._best_epoch,
            "optimizer": self._optimizer.state_dict(),
            "n_done": self.n_done,
            "numpy": self._rng.bit_generator.state,
            "torch": self._torch_state,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state_dict` returned.

        Raises:
            ValueError: If it is of other sizes, has counts that no training has, or NaN for
                weights; `KeyError` and `RuntimeError`, too. Nothing is changed then.
        """
        self._check(state)
        for name, network in self._networks.items():
            network.load_state_dict(state[name])
        self._best = self.complete(dict(state["best"]))
        self._best_loss, self._best_epoch = state["best_loss"], state["best_epoch"]
        self._optimizer.load_state_dict(state["optimizer"])
        self.n_done = state["n_done"]
        self._rng.bit_generator.state = state["numpy"]
        self._torch_state = state["torch"]

    def complete(self, best: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return the best weights of a saved state with those that older states lack."""
        return best

    def _check(self, state: Mapping[str, Any]) -> None:
        """Refuse a state that training cannot go on from."""
        import torch

        counts = [state["n_done"], state["best_epoch"]]
        if not all(type(each) is int and 0 <= each <= _MOST_EPOCHS for each in counts):
            raise ValueError(f"`n_done` and `best_epoch` must be whole numbers, got {counts}")
        if not isinstance(state["best_loss"], float) or math.isnan(state["best_loss"]):
            raise ValueError(f"`best_loss` must be a number, got {state['best_loss']!r}")
        owners = {**self._networks, "best": self._kept, "optimizer": self._optimizer}
        states = {name: state[name] for name in owners}
        check_states(states, owners, may_lack=self.may_lack, label="state of a training")
        # Errors of torch and numpy, if they are no states.
        torch.Generator().set_state(state["torch"])
        np.random.default_rng().bit_generator.state = state["numpy"]
