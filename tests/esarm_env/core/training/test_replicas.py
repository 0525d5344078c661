"""The seam of data parallelism, without any process: who computes which rows, and their weight."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from esarm_env.core.training.replicas import Context, Part, agreed, mapped, part_of, replicated


class Twin:
    """Implements `Replicas` as process `number` of 2, whose other one always gives `theirs`."""

    count = 2

    def __init__(self, number: int, theirs: Any = None) -> None:
        self.number, self._theirs = number, theirs

    def sum(self, values: Tensor) -> Tensor:
        return values + self._theirs

    def gather(self, value: Any) -> list[Any]:
        return [value, self._theirs] if self.number == 0 else [self._theirs, value]

    def from_main(self, value: Any) -> Any:
        return value if self.number == 0 else self._theirs

    def drawn_as_whole(self, n_rows: int, rows: slice, blocks: int) -> Context:
        return nullcontext()


def test_one_process_computes_everything_and_weighs_it_by_1() -> None:
    """Figures of a training without processes must stay what they were, bit for bit."""
    part = part_of(5)
    assert list(range(5)[part.rows]) == [0, 1, 2, 3, 4]
    assert part.scale(3) == part.scale(3, 7) == 1.0
    assert part.sums({"loss": 0.1}) == {"loss": 0.1}
    assert part.largest(2.0) == 2.0
    rows = torch.arange(5)
    assert part.joined(rows) is rows
    assert agreed("mine") == "mine"
    assert mapped(str, [1, 2]) == ["1", "2"]
    weight = nn.Parameter(torch.ones(2))
    part.sum_gradients([weight])
    assert weight.grad is None


@pytest.mark.parametrize("n_rows", [1, 2, 5])
def test_every_row_counts_once(n_rows: int) -> None:
    """A row that nobody computes, or two do, changes the gradient and no figure."""
    parts = [Part(n_rows, Twin(number)) for number in (0, 1)]
    rows = [row for part in parts if part.counts for row in range(n_rows)[part.rows]]
    assert sorted(rows) == list(range(n_rows))
    assert sum(part.scale(part.n_own, n_rows) for part in parts) == pytest.approx(1)


def test_who_has_no_row_stands_in_with_weight_0() -> None:
    """A process that skips a minibatch would leave the others waiting for its gradient."""
    part = Part(1, Twin(1, theirs=torch.tensor([3.0])))
    assert not part.counts
    assert (part.n_own, part.rows) == (1, slice(0, 1))
    assert part.scale(3, 3) == part.scale(3) == 0.0
    # What it computed of the first row is not put beside that of whoever has it.
    assert part.joined(torch.tensor([7.0])).tolist() == [3.0]


def test_a_share_is_of_what_all_processes_have() -> None:
    """Where no process knows how many tokens the others have, they must be asked."""
    part = Part(4, Twin(0, theirs=torch.tensor([6.0])))
    assert part.scale(2) == 0.25
    assert Part(4, Twin(0, theirs=torch.tensor([0.0]))).scale(0) == 0.0


def test_gradients_are_added_up_and_what_has_none_anywhere_keeps_none() -> None:
    """AdamW decays a weight that has a gradient of 0, and leaves one without alone."""
    here, there, nowhere = (nn.Parameter(torch.zeros(2)) for _ in range(3))
    here.grad = torch.tensor([1.0, 2.0])
    # Flags of the three, then their gradients.
    theirs = torch.tensor([1.0, 1, 0, 10, 20, 5, 6, 0, 0])
    Part(2, Twin(0, theirs)).sum_gradients([here, there, nowhere])
    assert here.grad.tolist() == [11, 22]
    assert there.grad is not None and there.grad.tolist() == [5, 6]
    assert nowhere.grad is None


def test_joined_rows_keep_the_gradient_of_ones_own() -> None:
    """Codebooks see all rows, and the encoder learns from each exactly once."""
    own = torch.tensor([[1.0], [3.0]], requires_grad=True)
    joined = Part(3, Twin(0, theirs=torch.tensor([[0.0], [2.0], [0.0]]))).joined(own)
    assert joined.flatten().tolist() == [1, 2, 3]
    torch.autograd.backward(joined.sum())
    assert own.grad is not None and own.grad.flatten().tolist() == [1, 1]


def test_decisions_and_results_are_those_of_the_main_process() -> None:
    """One process that stops and one that goes on wait for each other for ever."""
    with replicated(Twin(1, theirs="theirs")):
        assert agreed("mine") == "theirs"
    with replicated(Twin(1, theirs=["0", "2"])):
        assert mapped(str, [0, 1, 2]) == ["0", "1", "2"]
        assert part_of(2).rows == slice(1, None, 2)
    assert agreed("mine") == "mine"
    assert Part(2, Twin(0, theirs=5.0)).largest(3.0) == 5.0
