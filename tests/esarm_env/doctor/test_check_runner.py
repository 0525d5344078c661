"""Running checks: whatever one does, the others are run, and a line says what happened."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable

import gymnasium
import pytest

from esarm_env.core.errors import InputError
from esarm_env.doctor import (
    ENVIRONMENT_CHECKS,
    INSTALLATION_CHECKS,
    Check,
    CheckFailed,
    CheckSkipped,
    Result,
    Subject,
    run_checks,
)


def run(*looks: Callable[[Subject], str], needs: tuple[str, ...] = ()) -> list[Result]:
    """Run functions as checks called 0, 1, 2, ...; the last one has `needs`."""
    checks = [Check("Some", str(number), look, "mend it") for number, look in enumerate(looks)]
    last = checks[-1]
    checks[-1] = Check(last.section, last.name, last.run, last.remedy, needs)
    return list(run_checks(checks, Subject()))


def raising(error: BaseException) -> Callable[[Subject], str]:
    def look(_: Subject) -> str:
        raise error

    return look


def fine(_: Subject) -> str:
    return "found\ndelete this"


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (CheckFailed("not so\nsecond line"), "not so"),
        (InputError("`x` must be 1, got 2"), "`x` must be 1, got 2"),
        (AssertionError("checkers speak so"), "checkers speak so"),
        (gymnasium.error.NameNotFound("no such name"), "no such name"),
        (ValueError("odd"), "ValueError: odd ("),
        (SystemExit(3), "SystemExit: 3 ("),
        (AssertionError(), "AssertionError ("),
    ],
)
def test_whatever_is_raised_is_a_failed_check(error: BaseException, text: str) -> None:
    """One line, and where it was raised if the message was not made for reading."""
    failed, after = run(raising(error), fine)
    assert failed.status == "FAIL"
    assert failed.text.startswith(text)
    assert "\n" not in failed.text
    assert (f"{__file__}:" in failed.text) is text.endswith("(")
    assert failed.remedy == "mend it"
    assert (after.status, after.text, after.details) == ("ok", "found", ("delete this",))


def test_a_failure_may_bring_its_own_remedy() -> None:
    """The check's own is for all its failures, and too general for some."""
    (result,) = run(raising(CheckFailed("not so", remedy="delete X")))
    assert result.remedy == "delete X"


def test_a_skipped_check_says_why_and_hinders_nothing() -> None:
    """What does not apply is not broken."""
    skipped, after = run(raising(CheckSkipped("no vectors")), fine, needs=("0",))
    assert (skipped.status, skipped.text, skipped.remedy) == ("skipped", "no vectors", None)
    assert after.status == "ok"


def test_what_needs_a_failed_check_is_not_run() -> None:
    """Its message would be the same once more; what needs that one waits, too."""
    results = list(
        run_checks(
            [
                Check("Some", "a", raising(CheckFailed("x")), "mend it"),
                Check("Some", "b", fine, "mend it", ("a",)),
                Check("Some", "c", fine, "mend it", ("b", "not run at all")),
            ],
            Subject(),
        )
    )
    assert [result.status for result in results] == ["FAIL", "skipped", "skipped"]
    assert [result.text for result in results[1:]] == ["`a` failed", "`b` failed"]


def test_a_keyboard_interrupt_ends_it() -> None:
    """Ctrl-C must not be one more failed check; what was found by then has been told."""
    results = run_checks(
        [
            Check("Some", "a", fine, "mend it"),
            Check("Some", "b", raising(KeyboardInterrupt("by the test")), "mend it"),
        ],
        Subject(),
    )
    assert next(results).status == "ok"
    with pytest.raises(KeyboardInterrupt, match=r"^by the test$"):
        next(results)


def test_warnings_of_checks_are_not_shown() -> None:
    """They would stand between the lines; here they would be errors."""

    def look(_: Subject) -> str:
        warnings.warn("between the lines", stacklevel=1)
        return "found"

    assert run(look)[0].status == "ok"


def test_a_long_message_is_cut() -> None:
    """A space is written out with all its bounds."""
    (result,) = run(raising(CheckFailed("x" * 5_000)))
    assert len(result.text) < 500


def test_names_are_unique_and_needs_come_before() -> None:
    """A need that comes later would never be met."""
    seen: set[str] = set()
    for check in (*INSTALLATION_CHECKS, *ENVIRONMENT_CHECKS):
        assert check.name not in seen
        assert set(check.needs) <= seen, check.name
        seen.add(check.name)


def test_listing_the_checks_loads_nothing_heavy() -> None:
    """`esarm doctor` must be able to say that torch is missing."""
    import subprocess

    heavy = {"torch", "librosa", "transformers", "scipy", "stable_baselines3", "soundfile"}
    code = f"import sys, esarm_env.doctor; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]", f"importing esarm_env.doctor loaded {done.stdout}"
