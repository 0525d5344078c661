"""Epoch trainers: they stop in time, go on bit for bit, and refuse states of something else."""

from __future__ import annotations

import copy
import io
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from esarm_env.core.errors import InputError
from esarm_env.core.training.epochs import EpochTrainer

State = dict[str, Any]


class _Line(EpochTrainer):
    """Learns a line from noise; its validation losses are given."""

    def __init__(self, losses: list[float], *, seed: int = 0, patience: int = 2) -> None:
        super().__init__(seed=seed, epochs=len(losses), patience=patience)
        self.losses = losses
        with self.own_randomness():
            self.line = torch.nn.Linear(2, 1)
        optimizer = torch.optim.AdamW(self.line.parameters(), lr=0.1)
        self.begin(optimizer, line=self.line)

    def train_epoch(self) -> dict[str, float]:
        x = torch.randn(4, 2) + float(self._rng.standard_normal())
        loss = self.line(x).square().mean()
        self._optimizer.zero_grad()
        torch.autograd.backward(loss)
        self._optimizer.step()
        return {"train_loss": loss.item()}

    def validate(self) -> dict[str, float]:
        return {"validation_loss": self.losses[self.n_done - 1]}


def _saved(trainer: EpochTrainer) -> State:
    """Return the state of a trainer as it comes out of a file."""
    file = io.BytesIO()
    torch.save(trainer.state_dict(), file)
    file.seek(0)
    state: State = torch.load(file, weights_only=True)
    return state


def test_training_goes_on_bit_for_bit_and_leaves_random_numbers_alone() -> None:
    """Weights, order and noise: leave one out and no run can be repeated."""
    losses = [3.0, 2.0, 1.0, 0.5]
    straight = _Line(losses)
    rows = [straight.advance() for _ in range(4)]
    stopped = _Line(losses)
    torch.manual_seed(5)
    assert [stopped.advance() for _ in range(2)] == rows[:2]
    found = torch.rand(1)
    torch.manual_seed(5)
    assert torch.equal(found, torch.rand(1))
    other = _Line(losses, seed=9)
    other.load_state_dict(_saved(stopped))
    assert [other.advance() for _ in range(2)] == rows[2:]
    assert torch.equal(other.line.weight, straight.line.weight)


def test_the_best_epoch_is_kept_and_patience_counts_from_it() -> None:
    """The last epoch of a training that learnt by heart is its worst."""
    trainer = _Line([2.0, 1.0, 1.5, 1.5, 0.1])
    trainer.advance()
    trainer.advance()
    best = trainer.line.weight.clone()
    assert trainer.n_total == 5
    trainer.advance()
    trainer.advance()
    assert trainer.n_total == trainer.n_done == 4
    assert torch.equal(trainer.best_weights["weight"], best)
    assert not torch.equal(trainer.line.weight, best)


def test_a_state_is_laid_out_as_it_was() -> None:
    """Checkpoints of interrupted runs hold these names."""
    names = ["line", "best", "best_loss", "best_epoch", "optimizer", "n_done", "numpy", "torch"]
    assert list(_Line([1.0]).state_dict()) == names


def test_a_validation_loss_that_is_no_number_stops_training() -> None:
    """It is below nothing: the first epoch's weights would be kept for ever."""
    trainer = _Line([float("nan")])
    message = "loss must be finite, got nan in validation, epoch 1"
    with pytest.raises(InputError, match=re.escape(message)):
        trainer.advance()


def _set(*path: str, value: Any) -> Callable[[State], None]:
    def change(state: State) -> None:
        for name in path[:-1]:
            state = state[name]
        state[path[-1]] = value

    return change


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (_set("n_done", value=-1), ValueError, "`n_done` and `best_epoch` must be whole numbers"),
        (_set("n_done", value=True), ValueError, "whole numbers, got [True, 2]"),
        (_set("best_epoch", value=1.5), ValueError, "whole numbers, got [2, 1.5]"),
        (_set("best_loss", value=float("nan")), ValueError, "`best_loss` must be a number, got"),
        (_set("best_loss", value="low"), ValueError, "`best_loss` must be a number, got 'low'"),
        (
            _set("line", "weight", value=torch.ones(1, 3)),
            InputError,
            "state of a training: `line.weight` must be a tensor of shape (1, 2), got (1, 3)",
        ),
        (
            _set("best", "bias", value=torch.full((1,), torch.nan)),
            InputError,
            "`best.bias` must be finite, got 'NaN or infinity'",
        ),
        (_set("best", value=[1]), InputError, "`best` must be a state dict, got [1]"),
        (
            _set("line", "more", value=torch.ones(1)),
            InputError,
            "`line` must be 2 weights of this algorithm, got ['more']",
        ),
        (_set("optimizer", value={}), InputError, "`optimizer` must be the state of an optimiser"),
        (_set("torch", value=torch.ones(3)), TypeError, "RNG state must be"),
        (_set("numpy", value={"bit_generator": "MT19937"}), ValueError, "PCG64"),
        (lambda state: state.pop("best"), KeyError, "best"),
    ],
)
def test_a_state_of_something_else_is_refused_and_changes_nothing(
    change: Callable[[State], None], error: type[Exception], message: str
) -> None:
    """Half loaded, it would train on as a mixture of two."""
    done = _Line([3.0, 2.0, 1.0])
    done.advance()
    done.advance()
    state = _saved(done)
    change(state)
    fresh = _Line([3.0, 2.0, 1.0], seed=4)
    before = copy.deepcopy(_saved(fresh))
    with pytest.raises(error, match=re.escape(message)):
        fresh.load_state_dict(state)
    after = _saved(fresh)
    for part in ("line", "best"):
        assert all(torch.equal(before[part][name], after[part][name]) for name in before[part])
    assert after["numpy"] == before["numpy"] and torch.equal(after["torch"], before["torch"])
    assert (after["n_done"], after["best_loss"]) == (0, np.inf)


def test_weights_that_older_states_lack_may_be_named() -> None:
    """An update must not take the run away that was interrupted last night."""

    class Young(_Line):
        may_lack = ("bias",)

        def complete(self, best: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
            return best | {"bias": torch.zeros(1)}

    state = _saved(Young([1.0]))
    del state["best"]["bias"]
    trainer = Young([1.0])
    trainer.load_state_dict(state)
    assert torch.equal(trainer.best_weights["bias"], torch.zeros(1))
    assert "bias" not in state["best"]
