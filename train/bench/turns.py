"""Harness of the benchmarks: one worker process a case, timed in turns, with its peak memory.

Cases that are compared take turns in short windows, so that a slow minute of a shared machine falls
on all of them; each has a process of its own, so that none pays for another's memory or threads.
"""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import resource
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Protocol, TypeVar

MIB = 2**20
CaseT = TypeVar("CaseT")
# The working folder is left out of the import path: a `json.py` or `train/` there is the user's.
_START = (
    "import sys; sys.path[:] = [p for p in sys.path if p not in ('', '.')]; "
    "import runpy; runpy.run_module(sys.argv[1], run_name='__main__', alter_sys=False)"
)
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


class LocalWorker(Protocol):
    """A case in this process."""

    def window(self) -> dict[str, Any]:
        """Run for a while; return what was done and how long it took."""

    def finish(self) -> dict[str, Any]:
        """Return the figures of the whole case, memory among them."""


class Worker(LocalWorker, Protocol):
    """A case that runs somewhere, here or in a `RemoteWorker`."""

    def wait(self) -> None:
        """Return when it is ready to be timed."""

    def kill(self) -> None:
        """End it at once."""


class RemoteWorker:
    """A case in a fresh process; it starts at once, so that several may start side by side."""

    def __init__(self, case: object, module: str, order: dict[str, Any], *, threads: int) -> None:
        """Start the process.

        Args:
            case: Named if the process dies.
            module: Run there; it calls `serve`.
            order: What it is to make; plain values, read by `read_order`.
            threads: Of the numerical libraries.
        """
        self._case = case
        self._process = subprocess.Popen(
            [sys.executable, "-c", _START, module, json.dumps(order)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | dict.fromkeys(_THREADS, str(threads)),
        )

    def wait(self) -> None:
        """As of `Worker`."""
        self._read()

    def window(self) -> dict[str, Any]:
        """As of `Worker`."""
        return self._ask("window")

    def finish(self) -> dict[str, Any]:
        """As of `Worker`; ends the process."""
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


def read_order() -> dict[str, Any]:
    """Return the order that a `RemoteWorker` gave this process."""
    order: dict[str, Any] = json.loads(sys.argv[-1])
    return order


def serve(make: Callable[[], LocalWorker]) -> None:
    """Make a case, then answer each line of standard input with a line of JSON."""
    # Whatever a package prints must not stand between the answers.
    answers, sys.stdout = sys.stdout, sys.stderr
    local = make()
    print(json.dumps({}), file=answers, flush=True)
    for line in sys.stdin:
        answer = local.finish() if line.strip() == "finish" else local.window()
        print(json.dumps(answer), file=answers, flush=True)


def take_turns(
    cases: Sequence[CaseT],
    start: Callable[[CaseT], Worker],
    *,
    n_windows: int,
    n_warm_up: int = 0,
) -> list[tuple[CaseT, list[dict[str, Any]], dict[str, Any]]]:
    """Time the cases against each other, a window each in turn.

    Args:
        cases: Compared with each other.
        start: Starts the worker of a case; all are started before the first is waited for.
        n_windows: How often each is timed.
        n_warm_up: Windows before those, which are thrown away.

    Returns:
        Each case with its windows and with what its worker returned at the end.
    """
    with ExitStack() as stack:
        workers = []
        for case in cases:
            worker = start(case)
            stack.callback(worker.kill)
            workers.append(worker)
        for worker in workers:
            worker.wait()
        rounds = [[worker.window() for worker in workers] for _ in range(n_warm_up + n_windows)][
            n_warm_up:
        ]
        return [
            (case, [windows[i] for windows in rounds], worker.finish())
            for i, (case, worker) in enumerate(zip(cases, workers, strict=True))
        ]


class MemoryMeter:
    """Memory allocated since this object was created."""

    def __init__(self) -> None:
        self._resident, self._peak = _resident_bytes(), peak_bytes()

    def figures(self) -> dict[str, Any]:
        """Return `above_mib`, the peak above what was there before, and `total_mib`."""
        peak = peak_bytes()
        # Importing may once have taken more than all that came later.
        highest = peak if peak > self._peak else _resident_bytes()
        children = _private_bytes_of_children()
        return {
            "above_mib": max(0, highest - self._resident + children) / MIB,
            "total_mib": (peak + children) / MIB,
        }


def peak_bytes() -> int:
    """Return the largest resident size so far; the system counts in kilobytes, macOS in bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 2**10


def _resident_bytes() -> int:
    """Return the resident size; where the system does not tell, the largest so far."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        return peak_bytes()
    return pages * resource.getpagesize()


def _private_bytes_of_children() -> int:
    """Return what child processes do not share with this one; 0 where the system does not tell."""
    total = 0
    for child in multiprocessing.active_children():
        path = Path(f"/proc/{child.pid}/smaps_rollup")
        lines = path.read_text().splitlines() if path.is_file() else []
        total += sum(int(line.split()[1]) for line in lines if line.startswith("Private_"))
    return total * 2**10
