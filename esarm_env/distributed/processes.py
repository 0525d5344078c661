"""Processes of one training by `accelerate` (extra `distributed`): `torchrun`'s, or its own.

In a script of your own, started by `torchrun --nproc_per_node 2 script.py`, every process runs:

    processes = join_processes()
    model = SequencePPO.from_clone("shipped", env, seed=0, device=str(processes.device))
    with replicated(processes):
        model.learn(20_000)
    if processes.number == 0:
        model.save("policy.zip")
"""

from __future__ import annotations

import contextlib
import os
import platform
from collections.abc import Callable
from datetime import timedelta
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, TypeVar

from esarm_env.core.errors import InputError, MissingExtraError
from esarm_env.core.training.replicas import Context, replicated

if TYPE_CHECKING:
    import torch
    from torch import Tensor

__all__ = ["LostProcessError", "Processes", "join_processes", "n_launched", "replicated"]

# A stage that one process does alone may take days, and a wait for it is no fault. Whoever dies is
# noticed at once, by the closed connection.
_LONGEST_WAIT = timedelta(days=365)
_PACKAGES = ("torch", "accelerate", "numpy", "vector-quantize-pytorch", "esarm")
_REPORT = "esarm/report"
T = TypeVar("T")


class LostProcessError(RuntimeError):
    """Another process of the training has ended."""


def n_launched() -> int:
    """Return how many processes `torchrun` or `accelerate launch` has started; 1 without them."""
    count = os.environ.get("WORLD_SIZE", "1")
    if "LOCAL_RANK" not in os.environ or "RANK" not in os.environ or not count.isdecimal():
        return 1
    return max(1, int(count))


def join_processes(*, cpu: bool = False) -> Processes:
    """Meet the other processes of this launch.

    Args:
        cpu: Whether to stay on the CPU (gloo) where there are GPUs; else each process takes the GPU
            that `LOCAL_RANK` names (NCCL).

    Raises:
        MissingExtraError: If `accelerate` is not installed; the message holds the pip line.
        InputError: If there are more processes than GPUs, or the processes have other versions.
        LostProcessError: If the others cannot be reached.
    """
    try:
        from accelerate import PartialState
    except ImportError as error:
        purpose = "training by several processes (`torchrun`)"
        raise MissingExtraError("accelerate", extra="distributed", purpose=purpose) from error
    if not cpu:
        _check_gpus()
    state = _reached(lambda: PartialState(cpu=cpu, timeout=_LONGEST_WAIT))
    processes = Processes(state)
    check_versions(processes.gather(_versions()))
    return processes


def _check_gpus() -> None:
    import torch

    here, gpus = int(os.environ.get("LOCAL_WORLD_SIZE", "1")), torch.cuda.device_count()
    if 0 < gpus < here:
        raise InputError(
            f"`--nproc_per_node` must be at most the number of GPUs, {gpus}, got {here}; start "
            "fewer processes, or pass `cpu=True`"
        )


def _versions() -> dict[str, str]:
    return {"python": platform.python_version()} | {name: version(name) for name in _PACKAGES}


def check_versions(by_process: list[dict[str, str]]) -> None:
    """Check that all processes have the versions of the first.

    Raises:
        InputError: If one has others; it names both.
    """
    for number, theirs in enumerate(by_process):
        for name, wanted in by_process[0].items():
            if theirs.get(name) != wanted:
                raise InputError(
                    f"all processes must have the same versions, got {name} {wanted} in process 0 "
                    f"and {theirs.get(name)} in process {number}; install the same on all machines"
                )


def _reached(call: Callable[[], T]) -> T:
    try:
        return call()
    except (RuntimeError, OSError) as error:  # gloo, NCCL and stores have no errors of their own
        raise LostProcessError(f"another process of the training has ended ({error})") from error


class Processes:
    """Implements `Replicas` (`esarm_env.core.training.replicas`).

    Attributes:
        number: Of this process, 0 for the main one.
        count: How many there are.
    """

    def __init__(self, state: Any) -> None:
        """Take accelerate's `PartialState`."""
        from torch.distributed import TCPStore

        self._state = state
        self._store: TCPStore | None = None  # one process needs none
        if state.num_processes > 1:
            address, port = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
            self._store = TCPStore(address, port, is_master=False)  # the launcher's, or process 0's
        self.number: int = state.process_index
        self.count: int = state.num_processes

    @property
    def device(self) -> torch.device:
        """Where this process computes."""
        device: torch.device = self._state.device
        return device

    def sum(self, values: Tensor) -> Tensor:
        """Return the sum over all processes."""
        from accelerate.utils import reduce

        moved = values.to(self.device)  # NCCL knows GPUs alone
        total: Tensor = _reached(lambda: reduce(moved, reduction="sum"))
        return total.to(values.device)

    def gather(self, value: Any) -> list[Any]:
        """Return what every process gave, by number."""
        from accelerate.utils import gather_object

        found: list[Any] = _reached(lambda: gather_object([value]))
        return found

    def from_main(self, value: Any) -> Any:
        """Return what the main process gave."""
        from accelerate.utils import broadcast_object_list

        box = [value]
        _reached(lambda: broadcast_object_list(box, from_process=0))
        return box[0]

    def drawn_as_whole(self, n_rows: int, rows: slice, blocks: int) -> Context:
        """Return the context of `Part.drawn_as_whole`."""
        from esarm_env.distributed.whole_draws import WholeDraws

        return WholeDraws(n_rows, rows, blocks=blocks)

    def leave(self) -> None:
        """Part from the others, who notice it where they still wait for this process."""
        self._state.destroy_process_group()

    def report(self, error: str) -> None:
        """Leave the text of an error to the main process, which notices when this one ends."""
        with contextlib.suppress(RuntimeError):
            if self._store is not None:
                self._store.set(_REPORT, error)

    def reported(self) -> str | None:
        """Return what another process has left as it failed."""
        with contextlib.suppress(RuntimeError):
            if self._store is not None and self._store.check([_REPORT]):
                return bytes(self._store.get(_REPORT)).decode()
        return None
