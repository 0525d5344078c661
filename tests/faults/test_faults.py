"""A few of the moments at which `python -m tests.faults` harms a tiny run; the rest by command."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.skipif(sys.platform != "linux", reason="counts files by /proc, and forks")
@pytest.mark.parametrize("what", ["kill", "full"])
def test_a_run_that_was_harmed_ends_as_an_undisturbed_one(what: str) -> None:
    """Weights and figures to the last bit, whichever write was the last before the harm."""
    command = [sys.executable, "-W", "ignore", "-m", "tests.faults", what, "--moments", "3"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1] == "3 tries, 0 wrong"
