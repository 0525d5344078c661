"""What a check is, and how a list of them is run: nothing that one does stops the others."""

from __future__ import annotations

import time
import traceback
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any, Literal

from esarm_env.doctor.subject import Subject

LONGEST_TEXT = 400  # the text of a space of a thousand bounds would bury the message before it

Status = Literal["ok", "FAIL", "skipped"]


class CheckFailed(Exception):
    """Something is not as it must be; the message says what."""

    def __init__(self, message: str, *, remedy: str | None = None) -> None:
        """Say what is wrong; `remedy` stands instead of the check's own."""
        super().__init__(message)
        self.remedy = remedy


class CheckSkipped(Exception):
    """The check does not apply here; the message says why."""


@dataclass(frozen=True)
class Check:
    """One thing to look at.

    Attributes:
        section: Heading it stands under.
        name: A word or two, unique.
        run: Looks; returns what it found, the first line short, further lines only where there is
            something to do. It may raise anything: that is a failure.
        remedy: What to do after a failure that brings no remedy of its own.
        needs: Checks without whose success this one would only repeat their message.
    """

    section: str
    name: str
    run: Callable[[Subject], str]
    remedy: str
    needs: tuple[str, ...] = ()


@dataclass(frozen=True)
class Result:
    """What a check found.

    Attributes:
        section: Of the check.
        name: Of the check.
        status: `ok`, `FAIL` or `skipped`.
        seconds: What it took.
        text: What was found, the first line of the error, or why it was skipped.
        details: Further lines of what was found.
        remedy: What to do about a failure; None otherwise.
    """

    section: str
    name: str
    status: Status
    seconds: float
    text: str
    details: tuple[str, ...] = ()
    remedy: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain values."""
        return {**asdict(self), "details": list(self.details), "seconds": round(self.seconds, 3)}


def run_checks(checks: Iterable[Check], subject: Subject) -> Iterator[Result]:
    """Run checks in order, and yield each result as soon as it is there.

    Only a keyboard interrupt ends it early. Warnings are not shown; checks that are about them
    record them.

    Args:
        checks: What to look at; those whose `needs` failed are skipped.
        subject: The environment that the checks of environments look at.
    """
    barred: set[str] = set()
    for check in checks:
        missing = [name for name in check.needs if name in barred]
        if missing:
            result = Result(check.section, check.name, "skipped", 0.0, f"`{missing[0]}` failed")
        else:
            result = _run(check, subject)
        if missing or result.status == "FAIL":
            barred.add(check.name)
        yield result


def _run(check: Check, subject: Subject) -> Result:
    begin = time.perf_counter()
    status: Status = "ok"
    lines: list[str] = []
    remedy: str | None = None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            lines = check.run(subject).splitlines()
    except KeyboardInterrupt:
        raise
    except CheckSkipped as reason:
        status, lines = "skipped", [first_line(reason)]
    except BaseException as error:  # a module that is imported may even call `sys.exit`
        status, lines = "FAIL", [first_line(error)]
        remedy = getattr(error, "remedy", None) or check.remedy
    seconds = time.perf_counter() - begin
    text, *details = lines or [""]
    return Result(check.section, check.name, status, seconds, text, tuple(details), remedy)


def first_line(error: BaseException) -> str:
    """Return one line that says what went wrong, and where if the message was not made for it."""
    lines = str(error).strip().splitlines()
    text = lines[0] if lines else ""
    if len(text) > LONGEST_TEXT:
        text = text[:LONGEST_TEXT] + " ..."
    made_to_be_read = type(error).__module__.split(".")[0] in ("esarm_env", "gymnasium")
    if text and (made_to_be_read or isinstance(error, AssertionError)):  # as checkers raise
        return text
    frames = traceback.extract_tb(error.__traceback__)
    place = f" ({frames[-1].filename}:{frames[-1].lineno})" if frames else ""
    return f"{type(error).__name__}: {text}{place}" if text else f"{type(error).__name__}{place}"
