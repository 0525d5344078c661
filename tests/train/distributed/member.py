"""Two processes of a training, for the tests: `python -m tests.train.distributed.member FILE OUT`.

FILE holds trainers that another process pickled; the main process writes their weights and rows.
The second is a fork of the first: what both need is imported and read once.
"""

from __future__ import annotations

import functools
import os
import pickle
import sys
from pathlib import Path
from typing import Any

import accelerate.utils  # noqa: F401  before the fork
import torch

from esarm_env.distributed.processes import join_processes
from train.distributed.lockstep import advancing, follow, leading
from train.run.warm_start import WarmStarted

State = dict[str, Any]


class Iterations(WarmStarted):
    """A sequence algorithm, an iteration a call of `advance`."""

    n_total = 2

    def advance(self) -> dict[str, float]:
        return self.learn_once()


class Again:
    """Builds the trainer that is called `name` in a file of trainers."""

    def __init__(self, file: Path, name: str) -> None:
        self.file, self.name = file, name

    def __call__(self) -> Any:
        return _read_once(self.file)[self.name]


def trainers_in(file: Path) -> dict[str, Any]:
    found: dict[str, Any] = pickle.loads(file.read_bytes())
    return found


_read_once = functools.cache(trainers_in)  # each is trained once


def train(trainer: Any, advance: Any, *, most: int = 3) -> tuple[State, list[dict[str, float]]]:
    """Advance `trainer` until it or `most` ends; return its state and its rows."""
    rows = []
    while trainer.n_done < min(trainer.n_total, most):
        rows.append(advance())
    return trainer.state_dict(), rows


def main(file: Path, out: Path) -> None:
    """Be the main process, and a fork of it the other one.

    Raises:
        RuntimeError: If the other one failed.
    """
    torch.set_num_threads(1)
    _read_once(file)
    other = os.fork()
    os.environ["RANK"] = os.environ["LOCAL_RANK"] = "0" if other else "1"
    member(file, out)
    if other:
        code = os.waitstatus_to_exitcode(os.waitpid(other, 0)[1])
        if code:
            raise RuntimeError(f"the other process must end well, got exit code {code}")


def member(file: Path, out: Path) -> None:
    """Be the process that `RANK` tells."""
    processes = join_processes(cpu=True)
    if processes.number:
        follow(processes)
    else:
        found = {}
        with leading(processes):
            for name, trainer in _read_once(file).items():
                torch.manual_seed(0)
                with advancing(trainer, Again(file, name)) as advance:
                    found[name] = train(trainer, advance)
            processes.from_main(("end", 0, 0))
        out.write_bytes(pickle.dumps(found))
    processes.leave()


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
