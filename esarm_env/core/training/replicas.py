"""Data parallelism: processes with equal weights that share out the rows of each minibatch.

All processes draw the same minibatches. Each computes its part of the rows, with losses weighted so
that the sum of all gradients is the gradient of the whole minibatch, and all take the same step.
Trainers ask for their part (`part_of`) and know no library; with one process it is every row, and
nothing is added up. Where several processes come from stands in `esarm_env.distributed`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

if TYPE_CHECKING:
    from torch import Tensor, nn

Context = contextlib.AbstractContextManager[object]
T = TypeVar("T")
S = TypeVar("S")


class Replicas(Protocol):
    """The processes of a training, as one of them sees them; every call is made by all alike."""

    @property
    def number(self) -> int:
        """Of this process, counted from 0, the main one."""

    @property
    def count(self) -> int:
        """How many processes there are."""

    def sum(self, values: Tensor) -> Tensor:
        """Return the sum over all processes, bit for bit the same in each."""

    def gather(self, value: Any) -> list[Any]:
        """Return what every process gave, by number."""

    def from_main(self, value: Any) -> Any:
        """Return what the main process gave."""

    def drawn_as_whole(self, n_rows: int, rows: slice, blocks: int) -> Context:
        """Return the context of `Part.drawn_as_whole`."""


_IN_FORCE: ContextVar[Replicas | None] = ContextVar("replicas", default=None)


@contextlib.contextmanager
def replicated(replicas: Replicas) -> Iterator[None]:
    """Let what is trained inside be shared out among `replicas`."""
    token = _IN_FORCE.set(replicas if replicas.count > 1 else None)
    try:
        yield
    finally:
        _IN_FORCE.reset(token)


def agreed(value: T) -> T:
    """Return the main process's `value`; with one process it is this one's."""
    replicas = _IN_FORCE.get()
    if replicas is None:
        return value
    given: T = replicas.from_main(value if replicas.number == 0 else None)
    return given


def mapped(function: Callable[[S], T], items: Sequence[S]) -> list[T]:
    """Return `function(item)` of all items; each process computes some, and all get all."""
    replicas = _IN_FORCE.get()
    if replicas is None:
        return [function(item) for item in items]
    own = [function(item) for item in items[replicas.number :: replicas.count]]
    found: list[Any] = [None] * len(items)
    for number, results in enumerate(replicas.gather(own)):
        found[number :: replicas.count] = results
    return found


def part_of(n_rows: int) -> Part:
    """Return which rows of a minibatch of `n_rows` this process computes."""
    return Part(n_rows, _IN_FORCE.get())


class Part:
    """This process's rows of a minibatch.

    A process for which there is no row stands in: it computes the first one, which counts nothing,
    so that all processes do the same things in the same order.

    Attributes:
        n_rows: Of the whole minibatch.
        rows: Which of them are computed here: every n-th, since neighbours are of like length.
        counts: Whether they count; False where this process stands in.
    """

    def __init__(self, n_rows: int, replicas: Replicas | None = None) -> None:
        """Share out `n_rows`; None shares nothing."""
        self.n_rows, self._replicas = n_rows, replicas
        self.rows, self.counts = slice(None), True
        if replicas is not None:
            self.counts = replicas.number < n_rows
            own = slice(replicas.number, None, replicas.count)
            self.rows = own if self.counts else slice(0, 1)

    @property
    def n_own(self) -> int:
        """Rows computed here, one that stands in included."""
        return len(range(self.n_rows)[self.rows])

    def scale(self, n_own: float, n_whole: float | None = None) -> float:
        """Return what turns a mean over some values here into their share of the mean over all.

        Args:
            n_own: Values that the mean here is of: tokens, pairs, rows.
            n_whole: Values in the whole minibatch; None asks the other processes.
        """
        if self._replicas is None:
            return 1.0
        n_own = n_own if self.counts else 0
        if n_whole is None:
            n_whole = self.sums({"n": n_own})["n"]
        return n_own / n_whole if n_whole else 0.0

    def sums(self, figures: Mapping[str, float]) -> dict[str, float]:
        """Return each figure added up over the processes."""
        if self._replicas is None:
            return dict(figures)
        import torch

        values = torch.tensor(list(figures.values()), dtype=torch.float64)
        return dict(zip(figures, self._replicas.sum(values).tolist(), strict=True))

    def largest(self, value: float) -> float:
        """Return the largest of the processes' values."""
        if self._replicas is None:
            return value
        values: list[float] = self._replicas.gather(value)
        return max(values)

    def sum_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Replace the gradient of each parameter by its sum over the processes.

        What has no gradient in any process keeps none.
        """
        if self._replicas is None:
            return
        import torch

        learnt = list(parameters)
        if not learnt:
            return
        known = torch.tensor([float(each.grad is not None) for each in learnt])
        parts = [torch.zeros_like(p) if p.grad is None else p.grad for p in learnt]
        flat = torch.cat([known.to(parts[0]), *(part.detach().flatten() for part in parts)])
        total = self._replicas.sum(flat)
        sizes = [len(learnt), *(each.numel() for each in learnt)]
        held, *gradients = torch.split(total, sizes)
        for each, gradient, n in zip(learnt, gradients, held.tolist(), strict=True):
            if n:
                each.grad = gradient.view_as(each).to(each.dtype)

    def joined(self, own: Tensor) -> Tensor:
        """Return all rows of the minibatch, (n_rows, ...); those computed here keep their gradient.

        Args:
            own: Shape (n_own, ...).
        """
        if self._replicas is None:
            return own
        import torch

        everywhere = own.new_zeros((self.n_rows, *own.shape[1:]))
        if self.counts:
            everywhere[self.rows] = own.detach()
        everywhere = self._replicas.sum(everywhere)
        if not self.counts:
            return everywhere
        places = torch.arange(self.n_rows, device=own.device)[self.rows]
        return everywhere.index_copy(0, places, own)

    def drawn_as_whole(self, *, blocks: int = 1) -> Context:
        """Let random numbers inside, dropout included, be this part of those of all rows.

        On a CPU they are bit for bit those that one process draws for the whole minibatch; on a
        GPU, whose attention draws within its kernel, they only have the same distribution. What is
        drawn has rows as its first axis; of scalars all processes draw the same.

        Args:
            blocks: How often the minibatch stands along the first axis: 2 where the first half
                holds one clip of every row and the second half another.
        """
        if self._replicas is None:
            return contextlib.nullcontext()
        return self._replicas.drawn_as_whole(self.n_rows, self.rows, blocks)
