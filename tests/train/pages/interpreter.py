"""An interpreter that has imported the packages and run nothing, and forks for every script.

A script thus finds the state of a fresh start: no registered names of other scripts, no used
generators, and nothing of what the tests before it did. A start of Python would take seconds.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import traceback
from pathlib import Path
from types import TracebackType
from typing import TextIO

ROOT = Path(__file__).parents[3]
OUTPUT = "output.txt"


class FreshInterpreter:
    """The process that forks; `run` gives it a script."""

    def __init__(self) -> None:
        """Start it."""
        self._process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-m", "tests.train.pages.interpreter"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> FreshInterpreter:
        """Return it."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End it."""
        self._process.communicate()

    def run(self, code: str, folder: Path) -> tuple[int, str]:
        """Run `code` as a script in `folder`; return its exit code and what it printed."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(json.dumps([code, str(folder)]) + "\n")
        self._process.stdin.flush()
        status = self._process.stdout.readline()
        return int(status), (folder / OUTPUT).read_text(encoding="utf-8")


def _serve(requests: TextIO, answers: TextIO) -> None:
    """Fork for every request, wait for the child, and answer with its exit code."""
    for request in requests:
        code, folder = json.loads(request)
        child = os.fork()
        if child == 0:
            os._exit(_run(code, folder))
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), file=answers, flush=True)


def _run(code: str, folder: str) -> int:
    """Run a script in this process, whose output goes into a file of `folder`."""
    os.chdir(folder)
    with open(OUTPUT, "w", encoding="utf-8") as file:
        sys.stdin.close()
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
        try:
            exec(compile(code, "block of a page", "exec"), {"__name__": "__main__"})
        except BaseException:
            traceback.print_exc()
            return 1
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
    return 0


def _import_all() -> None:
    """Import what the blocks import, and nothing else; no name is registered by that."""
    import numpy as np
    import stable_baselines3  # noqa: F401
    import torch

    import agents
    import esarm_env
    import reward
    from esarm_env.audio.features import LogMel

    for package in (agents, esarm_env, reward):
        for name in package.__all__:
            getattr(package, name)
    torch.set_num_threads(1)
    # Torch imports its compiler with the first optimiser, librosa most of itself when it is used.
    torch.optim.AdamW([torch.zeros(1)])
    LogMel().encode(np.zeros(8_000, np.float32))


if __name__ == "__main__":
    _import_all()
    _serve(sys.stdin, sys.stdout)
