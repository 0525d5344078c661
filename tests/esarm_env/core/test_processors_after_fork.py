"""A forked worker process computes: torch's threads stay with its parent."""

from __future__ import annotations

import subprocess
import sys

FORKS = """
import os
import torch
import esarm_env.core.processors
torch.set_num_threads(2)
square = torch.rand(600, 600)
torch.mm(square, square).softmax(-1).sum()  # the pool of threads begins here
child = os.fork()
if child == 0:
    torch.mm(square, square).softmax(-1).sum()
    os._exit(7 if torch.get_num_threads() == 1 else 8)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), torch.get_num_threads())
"""


def test_a_forked_child_does_not_wait_for_threads_of_its_parent() -> None:
    """`SubprocVecEnv(start_method="fork")` hung at the first score of a learned reward."""
    done = subprocess.run(
        [sys.executable, "-c", FORKS], capture_output=True, text=True, timeout=120, check=True
    )
    assert done.stdout.split() == ["7", "2"]
