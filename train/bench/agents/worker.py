"""Worker process of `esarm bench agents`, one case each.

`python -m train.bench.agents.worker` makes the networks, then answers every line on its standard
input with a line of JSON, so that many workers can take turns.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from typing import Any

import torch

from train.bench.agents.cases import Backend, Case, preload
from train.bench.agents.ours import Ours, make_model, parameters_of
from train.bench.agents.rivals import RECURRENT_BATCH_SIZE, Generate, Recurrent, Stock
from train.bench.worker import _Memory as Memory

_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


class LocalAgent:
    """A case in this process."""

    def __init__(self, case: Case) -> None:
        """Make what `case` names; modules and what else was there do not count as its memory."""
        preload(case.backend)
        self._memory, self._device = Memory(), case.device
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


class RemoteAgent:
    """A case in a fresh process; it starts at once, so that several may start side by side."""

    def __init__(self, case: Case, *, threads: int) -> None:
        """Start the process with `threads` threads for torch."""
        self._case = case
        order = {"case": case.to_dict(), "threads": threads}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "train.bench.agents.worker", json.dumps(order)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | dict.fromkeys(_THREADS, str(threads)),
        )

    def wait(self) -> None:
        """Return when all is made."""
        self._read()

    def window(self) -> dict[str, Any]:
        """As `LocalAgent.window`."""
        return self._ask("window")

    def finish(self) -> dict[str, Any]:
        """As `LocalAgent.finish`; ends the process."""
        figures = self._ask("finish")
        self._process.communicate()
        return figures

    def kill(self) -> None:
        """End the process if it still runs."""
        self._process.kill()
        self._process.communicate()

    def _ask(self, word: str) -> dict[str, Any]:
        assert self._process.stdin is not None, "made with a pipe"
        with contextlib.suppress(BrokenPipeError):  # `_read` says what has happened
            self._process.stdin.write(word + "\n")
            self._process.stdin.flush()
        return self._read()

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout is not None, "made with a pipe"
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(
                f"the worker of {self._case} must answer, got exit code {self._process.wait()}; "
                "its own message stands above"
            )
        answer: dict[str, Any] = json.loads(line)
        return answer


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
    return torch.cuda.max_memory_allocated(device) / 2**20


def main(order: dict[str, Any]) -> None:
    """Serve a case to a `RemoteAgent`."""
    # Whatever a package prints must not stand between the answers.
    answers, sys.stdout = sys.stdout, sys.stderr
    torch.set_num_threads(order["threads"])
    local = LocalAgent(Case.from_dict(order["case"]))
    print(json.dumps({}), file=answers, flush=True)
    for line in sys.stdin:
        answer = local.finish() if line.strip() == "finish" else local.window()
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
