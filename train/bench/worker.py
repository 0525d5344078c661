"""Worker process of `esarm bench env`, one case each: its time and its memory."""

from __future__ import annotations

import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from train.bench.cases import N_ACTIONS, Case, open_case
from train.bench.turns import MemoryMeter, RemoteWorker, read_order, serve

if TYPE_CHECKING:
    from esarm_env.envs.scalar import SpeechAnimationEnv


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
        self._memory = MemoryMeter()
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
        """Close the environments; return the memory they took, see `MemoryMeter.figures`."""
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


class RemoteCase(RemoteWorker):
    """A case in a fresh process."""

    def __init__(self, case: Case, *, run_path: Path | None, window_s: float) -> None:
        """Start the process, on the task of a run or, where `run_path` is None, the default one."""
        order = asdict(case) | {"run_path": run_path and str(run_path), "window_s": window_s}
        # One thread each: on a small machine more would disturb the next case's turn.
        super().__init__(case, "train.bench.worker", order, threads=1)


def main(order: dict[str, Any]) -> None:
    """Serve a case to a `RemoteCase`."""
    import torch

    torch.set_num_threads(1)
    case = Case(order["backend"], order["num_envs"], order["scored"], order["autoreset"])
    serve(
        lambda: LocalCase(case, case.template(order["run_path"]), window_s=order["window_s"]),
    )


if __name__ == "__main__":
    main(read_order())
