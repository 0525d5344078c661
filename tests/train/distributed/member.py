"""One process of a training, for the tests: `python -m tests.train.distributed.member FILE OUT`.

FILE holds trainers that another process pickled; the main process writes their weights and rows.
"""

from __future__ import annotations

import functools
import pickle
import sys
from pathlib import Path
from typing import Any

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
    torch.set_num_threads(1)
    processes = join_processes(cpu=True)
    if processes.number:
        follow(processes)
    else:
        found = {}
        with leading(processes):
            for name, trainer in trainers_in(file).items():
                torch.manual_seed(0)
                with advancing(trainer, Again(file, name)) as advance:
                    found[name] = train(trainer, advance)
            processes.from_main(("end", 0, 0))
        out.write_bytes(pickle.dumps(found))
    processes.leave()


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
