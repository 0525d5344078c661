"""`esarm doctor`: is the installation healthy, and does an environment keep its promises?"""

from __future__ import annotations

import json as json_format
import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from esarm_env.errors import InputError
from train.commands.options import write_json

if TYPE_CHECKING:
    from rich.console import Console

    from esarm_env.doctor import Result

EXIT_UNHEALTHY = 1
_STYLES = {"ok": "green", "FAIL": "bold red", "skipped": "yellow"}
_COLUMN = 38  # where texts begin


def command_doctor(
    *, env: str | None = None, kwargs: str | None = None, json: Path | None = None
) -> None:
    """Check this installation and `ESARM-v0`, or any environment.

    One line per check: `ok`, `FAIL` with a remedy, or `skipped` with the reason. The exit code is 1
    if a check failed. Nothing is changed or deleted.

    Args:
        env: Check this environment alone, also one of your own: an id, with the module that
            registers it in front, as in `my_package:MyEnv-v0`. The working folder is searched, too.
        kwargs: Arguments to make it with, as JSON: `'{"observation": "flat", "split": "test"}'`.
            Without `--env` they are for `ESARM-v0`, which then is checked alone.
        json: Also write what was found to this file.
    """
    from rich.console import Console

    from esarm_env.doctor import (
        DEFAULT_ENV,
        ENVIRONMENT_CHECKS,
        INSTALLATION_CHECKS,
        Subject,
        run_checks,
    )

    # Before torch is imported: for models this small, more threads only wait for each other.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    alone = env is not None or kwargs is not None
    subject = Subject(env or DEFAULT_ENV, _arguments(kwargs))
    if os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())  # last, so that no file there hides an installed package
    checks = ENVIRONMENT_CHECKS if alone else (*INSTALLATION_CHECKS, *ENVIRONMENT_CHECKS)
    console = Console(highlight=False, soft_wrap=True, emoji=False, markup=False)
    console.print(f"{subject.env_id} {json_format.dumps(subject.kwargs) if kwargs else ''}".strip())
    results = _show(run_checks(checks, subject), console)
    counts = {status: sum(r.status == status for r in results) for status in _STYLES}
    healthy = not counts["FAIL"]
    seconds = sum(result.seconds for result in results)
    console.print(
        f"\n{counts['ok']} ok, {counts['FAIL']} failed, {counts['skipped']} skipped "
        f"in {seconds:.1f} s",
        style="bold" if healthy else "bold red",
    )
    found = {
        "env": subject.env_id,
        "kwargs": subject.kwargs,
        "healthy": healthy,
        "seconds": round(seconds, 3),
        "checks": [result.to_dict() for result in results],
    }
    write_json(found, json)
    if not healthy:
        sys.exit(EXIT_UNHEALTHY)


def _arguments(text: str | None) -> dict[str, Any]:
    """Return the arguments that `--kwargs` stands for."""
    rule = '`kwargs` must be a JSON object such as \'{"split": "test"}\''
    if text is None:
        return {}
    try:
        values = json_format.loads(text)
    except json_format.JSONDecodeError as error:
        raise InputError(f"{rule}, got {text!r} ({error})") from error
    if not isinstance(values, dict):
        raise InputError(f"{rule}, got {text!r}")
    return values


def _show(results: Iterable[Result], console: Console) -> list[Result]:
    """Print each result as it comes; return all."""
    from rich.text import Text

    shown: list[Result] = []
    for result in results:
        if not shown or result.section != shown[-1].section:
            console.print(f"\n{result.section}", style="bold")
        line = Text("  ").append(f"{result.status:<8}", style=_STYLES[result.status])
        line.append(f"{result.seconds:5.2f} s  {result.name:<19} ")
        console.print(line.append(result.text))
        for detail in result.details:
            console.print(" " * _COLUMN + detail)
        if result.remedy:
            console.print(" " * _COLUMN + f"-> {result.remedy}")
        shown.append(result)
    return shown
