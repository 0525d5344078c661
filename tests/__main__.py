"""`python -m tests`: all tests, as two sessions of pytest at once, each on one processor.

What the first session prints is seen as it comes; what the second prints follows in one piece.
The command fails if either session fails. Arguments go to both: `python -m tests -x -q`.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parents[1]
# Half of the seconds, about; the second session takes whatever does not stand here.
FIRST = ("tests/agents", "tests/train")
OF_THE_SECOND = "tests/train/pages"
NO_TESTS = 5  # pytest's exit code where nothing was chosen, as by `-k` in one of two sessions


def halves() -> tuple[list[str], list[str]]:
    """Return what pytest is told to collect in each session: every test file in one of them."""
    first = [*FIRST, f"--ignore={OF_THE_SECOND}"]
    # Named one by one: below a folder that is ignored, pytest takes no further path.
    others = (path.relative_to(ROOT).as_posix() for path in sorted((ROOT / "tests").iterdir()))
    rest = [
        path
        for path in others
        if path not in FIRST
        and ((ROOT / path).is_dir() or path.startswith("tests/test_"))
        and not path.endswith("__")
    ]
    return first, [*rest, OF_THE_SECOND]


def run_both(first: Sequence[str], second: Sequence[str]) -> int:
    """Run two commands at once in the root folder, each on one thread; print what they print.

    Returns:
        0 if both ended with 0, else the exit code of the first command that did not. A session
        without a test counts as well ended beside one that had some.
    """
    env = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}
    # Each of the processes that tests start would compile our sources anew.
    env.pop("PYTHONDONTWRITEBYTECODE", None)
    with tempfile.TemporaryFile() as kept:
        beside = subprocess.Popen(second, cwd=ROOT, env=env, stdout=kept, stderr=kept)
        try:
            code = subprocess.run(first, cwd=ROOT, env=env).returncode
            codes = [code, beside.wait()]
        finally:  # nothing goes on alone after Ctrl-C
            beside.terminate()
            beside.wait()
            sys.stdout.flush()
            kept.seek(0)
            with os.fdopen(os.dup(1), "wb") as out:
                shutil.copyfileobj(kept, out)
    worst = [code for code in codes if code not in (0, NO_TESTS)]
    return worst[0] if worst else min(codes)


def main(arguments: Sequence[str]) -> int:
    """Run both halves with the further `arguments` of pytest; return the exit code."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # ends both sessions
    pytest = [sys.executable, "-m", "pytest"]
    first, second = ([*pytest, *half, *arguments] for half in halves())
    return run_both(first, second)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
