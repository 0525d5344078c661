"""Worker process of `esarm bench agents`, one case each."""

from __future__ import annotations

from typing import Any

import torch

from train.bench.agents.cases import Backend, Case, preload
from train.bench.agents.ours import Ours, make_model, parameters_of
from train.bench.agents.rivals import RECURRENT_BATCH_SIZE, Generate, Recurrent, Stock
from train.bench.turns import MIB, MemoryMeter, RemoteWorker, read_order, serve


class LocalAgent:
    """A case in this process."""

    def __init__(self, case: Case) -> None:
        """Make what `case` names; modules and what else was there do not count as its memory."""
        preload(case.backend)
        self._memory, self._device = MemoryMeter(), case.device
        self._backend = open_backend(case)

    def wait(self) -> None:
        """Return at once: all is made."""

    def window(self) -> dict[str, Any]:
        """As of `Backend`."""
        return self._backend.window()

    def finish(self) -> dict[str, Any]:
        """Return memory, `buffer_bytes`, `parameters`, and of ours `log_prob_error`."""
        figures = {
            **self._memory.figures(),
            "gpu_mib": gpu_mib(self._device),
            "buffer_bytes": self._backend.buffer_bytes(),
            "parameters": self._backend.parameters,
        }
        if isinstance(self._backend, Ours):
            figures["log_prob_error"] = self._backend.log_prob_error()
        return figures

    def kill(self) -> None:
        """Do nothing: there is no process to end."""


class RemoteAgent(RemoteWorker):
    """A case in a fresh process."""

    def __init__(self, case: Case, *, threads: int) -> None:
        """Start the process with `threads` threads for torch."""
        order = {"case": case.to_dict(), "threads": threads}
        super().__init__(case, "train.bench.agents.worker", order, threads=threads)


def open_backend(case: Case) -> Backend:
    """Make the networks, the task and the environments of a case."""
    if case.backend in ("ours", "accelerated"):
        return Ours(case)
    if case.backend == "stock":
        return Stock(case)
    parameters = parameters_of(make_model(case))
    if case.backend == "generate":
        return Generate(case, parameters=parameters)
    ours = case.length * min(case.sizes.batch_size, case.n_episodes)
    batch_size = ours if case.backend == "recurrent" else RECURRENT_BATCH_SIZE
    return Recurrent(case, parameters=parameters, batch_size=batch_size)


def gpu_mib(device: str) -> float:
    """Return the most that tensors took on `device` in this process; 0 on a CPU."""
    if not device.startswith("cuda"):
        return 0.0
    return torch.cuda.max_memory_allocated(device) / MIB


def main(order: dict[str, Any]) -> None:
    """Serve a case to a `RemoteAgent`."""
    torch.set_num_threads(order["threads"])
    serve(lambda: LocalAgent(Case.from_dict(order["case"])))


if __name__ == "__main__":
    main(read_order())
