"""Worker process of `esarm bench env`, one case each: its time and its memory.

`python -m train.bench.worker` makes the environments, then answers every line on its standard input
with a line of JSON, so that many workers can take turns.
"""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import resource
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from train.bench.cases import N_ACTIONS, Case, open_case

if TYPE_CHECKING:
    from esarm_env.envs.scalar import SpeechAnimationEnv

MIB = 2**20
# One thread each: on a small machine the threads of one case would disturb the next one's turn.
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


class LocalCase:
    """A case in this process."""

    def __init__(self, case: Case, template: SpeechAnimationEnv, *, window_s: float) -> None:
        """Make the environments of `case`.

        Args:
            case: Which.
            template: Whose task and reward are measured; what it takes is not counted as memory.
            window_s: About how long a window is to take.
        """
        rng = np.random.default_rng(0)
        task = template.sequence_task
        actions = rng.integers(0, task.n_tokens, (N_ACTIONS, case.num_envs))
        self._num_envs = case.num_envs
        self._memory = _Memory()
        self._open = open_case(case, template, actions)
        self._window_s = window_s
        self._longest = int(task.lengths[template.utterances].max())
        # What an episode's end costs shows only in windows as long as an episode.
        self._fewest = self._longest + 1 if case.scored else 1
        self._n_steps = 0

    def window(self) -> dict[str, Any]:
        """Step for a while; return steps of all environments, seconds, and episodes ended.

        The first call warms up before.
        """
        self._n_steps = self._n_steps or max(self._fewest, self._warm_up())
        begin = time.perf_counter()
        episodes = self._open.advance(self._n_steps)
        seconds = time.perf_counter() - begin
        return {
            "steps": self._n_steps * self._num_envs,
            "seconds": seconds,
            "episodes": episodes,
        }

    def finish(self) -> dict[str, Any]:
        """Close the environments; return the memory they took, see `_Memory.figures`."""
        figures = self._memory.figures()
        self._open.close()
        return figures

    def _warm_up(self) -> int:
        """Step until the environments are at different places; return how many steps a window has.

        They begin together: without this, short windows of slow cases would see no episode end.
        """
        n_steps = self._longest + 1
        while True:
            begin = time.perf_counter()
            self._open.advance(n_steps)
            taken_s = time.perf_counter() - begin
            if taken_s >= self._window_s / 4:
                return round(n_steps * self._window_s / taken_s)
            n_steps *= 2


class RemoteCase:
    """A case in a fresh process; it starts at once, so that several may start side by side."""

    def __init__(self, case: Case, *, run_path: Path | None, window_s: float) -> None:
        """Start the process, on the task of a run or, where `run_path` is None, the default one."""
        self._case = case
        order = asdict(case) | {"run_path": run_path and str(run_path), "window_s": window_s}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "train.bench.worker", json.dumps(order)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | dict.fromkeys(_THREADS, "1"),
        )

    def wait(self) -> None:
        """Return when the environments are made."""
        self._read()

    def window(self) -> dict[str, Any]:
        """As `LocalCase.window`."""
        return self._ask("window")

    def finish(self) -> dict[str, Any]:
        """As `LocalCase.finish`; ends the process."""
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


class _Memory:
    """Memory allocated since this object was created."""

    def __init__(self) -> None:
        self._resident, self._peak = _resident_bytes(), _peak_bytes()

    def figures(self) -> dict[str, Any]:
        """Return `above_mib`, the peak above what was there before, and `total_mib`."""
        peak = _peak_bytes()
        # Importing may once have taken more than all that came later.
        highest = peak if peak > self._peak else _resident_bytes()
        children = _private_bytes_of_children()
        return {
            "above_mib": max(0, highest - self._resident + children) / MIB,
            "total_mib": (peak + children) / MIB,
        }


def _peak_bytes() -> int:
    """Return the largest resident size so far; the system counts in kilobytes, macOS in bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 2**10


def _resident_bytes() -> int:
    """Return the resident size; where the system does not tell, the largest so far."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        return _peak_bytes()
    return pages * resource.getpagesize()


def _private_bytes_of_children() -> int:
    """Return what child processes do not share with this one; 0 where the system does not tell."""
    total = 0
    for child in multiprocessing.active_children():
        path = Path(f"/proc/{child.pid}/smaps_rollup")
        lines = path.read_text().splitlines() if path.is_file() else []
        total += sum(int(line.split()[1]) for line in lines if line.startswith("Private_"))
    return total * 2**10


def main(order: dict[str, Any]) -> None:
    """Serve a case to a `RemoteCase`."""
    # Whatever a package prints must not stand between the answers.
    answers, sys.stdout = sys.stdout, sys.stderr
    import torch

    torch.set_num_threads(1)
    case = Case(order["backend"], order["num_envs"], order["scored"], order["autoreset"])
    local = LocalCase(case, case.template(order["run_path"]), window_s=order["window_s"])
    print(json.dumps({}), file=answers, flush=True)
    for line in sys.stdin:
        answer = local.finish() if line.strip() == "finish" else local.window()
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
