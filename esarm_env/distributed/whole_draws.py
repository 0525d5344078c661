"""Random numbers of a part of a minibatch, as one process would draw them for all of its rows.

Every process draws the numbers of the whole minibatch and takes its rows of them, so that dropout
is that of one process, and all random generators stay level.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

_aten = torch.ops.aten
# Fill a tensor, whose shape is then that of what is drawn.
_IN_PLACE = {
    _aten.bernoulli_.float,
    _aten.exponential_.default,
    _aten.normal_.default,
    _aten.uniform_.default,
    _aten.random_.default,
}
# Make a tensor; the place of its shape among the arguments.
_FACTORIES = {
    _aten.rand.default: 0,
    _aten.randn.default: 0,
    _aten.randint.default: 1,
    _aten.randint.low: 2,
}


class WholeDraws(TorchDispatchMode):  # type: ignore[no-untyped-call]  # by torch
    """Context in which operations that draw by row draw for a whole minibatch."""

    def __init__(self, n_rows: int, rows: slice, *, blocks: int = 1) -> None:
        """Take the part.

        Args:
            n_rows: Of the whole minibatch.
            rows: Those computed here.
            blocks: How often the minibatch stands along the first axis.
        """
        super().__init__()  # type: ignore[no-untyped-call]  # by torch
        self._n_rows, self._rows, self._blocks = n_rows, rows, blocks
        self._n_own = len(range(n_rows)[rows])

    def __torch_dispatch__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Run one operation of torch."""
        kwargs = kwargs or {}
        if func in _IN_PLACE and self._is_by_row(args[0].shape):
            target: Tensor = args[0]
            # In the order of the target's memory: some operations draw in that. An axis of one row
            # lies within one of equal stride.
            steps = [(-target.stride(axis), target.shape[axis] == 1) for axis in range(target.ndim)]
            order = sorted(range(target.ndim), key=steps.__getitem__)
            whole = torch.empty_permuted(
                self._whole(target.shape), order, dtype=target.dtype, device=target.device
            )
            func(whole, *args[1:], **kwargs)
            return target.copy_(self._own(whole))
        if func in _FACTORIES and self._is_by_row(args[_FACTORIES[func]]):
            place = _FACTORIES[func]
            sizes = self._whole(args[place])
            drawn = func(*args[:place], sizes, *args[place + 1 :], **kwargs)
            return self._own(drawn).contiguous()
        if func is _aten.multinomial.default and args[1] == 1 and self._is_by_row(args[0].shape):
            # As torch itself draws one of each row.
            noise = args[0].new_empty(self._whole(args[0].shape)).exponential_()
            return (args[0] / self._own(noise)).argmax(-1, keepdim=True)
        if func is _aten.native_dropout.default and args[2] and self._is_by_row(args[0].shape):
            kept = args[0].new_empty(self._whole(args[0].shape)).bernoulli_(1 - args[1])
            mask = self._own(kept).bool()
            return args[0] * mask / (1 - args[1]), mask
        return func(*args, **kwargs)

    def _is_by_row(self, shape: Sequence[int]) -> bool:
        return len(shape) > 0 and shape[0] > 0 and shape[0] % (self._blocks * self._n_own) == 0

    def _whole(self, shape: Sequence[int]) -> list[int]:
        return [shape[0] // self._n_own * self._n_rows, *shape[1:]]

    def _own(self, whole: Tensor) -> Tensor:
        """Return this part of what was drawn for all rows."""
        by_row = whole.view(self._blocks, self._n_rows, -1, *whole.shape[1:])
        return by_row[:, self._rows].flatten(0, 2)
