"""`python -m tests` runs every test file once, and fails if either of its sessions fails."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[1]
EXIT = "import sys; print({word!r}); sys.exit({code})"


@pytest.fixture(scope="module")
def runner() -> ModuleType:
    """Return the module behind `python -m tests`."""
    spec = importlib.util.spec_from_file_location("tests_main", ROOT / "tests" / "__main__.py")
    assert spec is not None and spec.loader is not None, "it is a Python file"
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def chosen(arguments: list[str]) -> set[Path]:
    """Return the test files below the paths of `arguments`, less those of `--ignore=PATH`."""
    ignored = [ROOT / text.partition("=")[2] for text in arguments if text.startswith("--ignore=")]
    paths = [ROOT / text for text in arguments if not text.startswith("-")]
    assert all(path.exists() for path in paths + ignored), "a folder was renamed"
    found = {
        file for path in paths for file in (path.rglob("test_*.py") if path.is_dir() else [path])
    }
    return {file for file in found if not any(file.is_relative_to(path) for path in ignored)}


def test_every_test_file_is_in_exactly_one_half(runner: ModuleType) -> None:
    """A folder in neither would be tested by nobody; in both, it would take its time twice."""
    first, second = (chosen(half) for half in runner.halves())
    assert first and second and not first & second
    assert first | second == set((ROOT / "tests").rglob("test_*.py"))


@pytest.mark.parametrize(
    ("codes", "expected"),
    [
        *[((0, 0), 0), ((1, 0), 1), ((0, 1), 1), ((2, 1), 2), ((0, 3), 3)],
        *[((0, 5), 0), ((5, 0), 0), ((5, 5), 5), ((5, 1), 1)],
    ],
)
def test_either_half_can_fail_the_whole(
    runner: ModuleType, codes: tuple[int, int], expected: int, capfd: pytest.CaptureFixture[str]
) -> None:
    """The half that is read last must not decide alone; 5 is a session without a test."""
    words = ("first", "second")
    commands = [
        [sys.executable, "-S", "-c", EXIT.format(word=word, code=code)]
        for word, code in zip(words, codes, strict=True)
    ]
    assert runner.run_both(*commands) == expected
    assert capfd.readouterr().out.split() == list(words)


def test_a_half_that_is_killed_fails_the_whole(runner: ModuleType) -> None:
    """Out of memory is no success."""
    killed = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
    fine, dead = ([sys.executable, "-S", "-c", code] for code in ("", killed))
    assert runner.run_both(fine, dead) == runner.run_both(dead, fine) == -9


def test_make_test_and_the_checks_of_the_host_run_both_halves() -> None:
    """One that names a folder would leave the others out."""
    for path in ("Makefile", ".github/workflows/check.yml"):
        assert "python -m tests\n" in (ROOT / path).read_text(), path
