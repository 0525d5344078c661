"""Health checks: their type, their result, the environment under test, and the runner.

An exception in one check fails that check alone; the others still run.
"""

from __future__ import annotations

import dataclasses
import functools
import importlib
import time
import traceback
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import gymnasium
from gymnasium.envs.registration import EnvSpec
from gymnasium.vector import AutoresetMode, VectorEnv

AnyEnv = gymnasium.Env[Any, Any]
AnyVectorEnv = VectorEnv[Any, Any, Any]

DEFAULT_ENV = "ESARM-v0"
LONGEST_TEXT = 400  # the text of a space of a thousand bounds would bury the message before it

Status = Literal["ok", "FAIL", "skipped"]


@dataclass(frozen=True)
class Subject:
    """Environment under test: a registered id with arguments, and ways to make it.

    Attributes:
        env_id: As `gymnasium.make` takes it; `module:Name-v0` imports the module first.
        kwargs: What the environment is made with.
    """

    env_id: str = DEFAULT_ENV
    kwargs: Mapping[str, Any] = field(default_factory=dict)

    @functools.cached_property
    def spec(self) -> EnvSpec:
        """The spec registered under the id.

        Raises:
            gymnasium.error.Error: If nothing is.
            ImportError: If the module before the colon cannot be imported.
        """
        module, _, name = self.env_id.rpartition(":")
        if module:
            importlib.import_module(module)
        return gymnasium.spec(name)

    def make(self, **more: Any) -> AnyEnv:
        """Make the environment as users do, without the passive checker; `more` are arguments."""
        return gymnasium.make(self.spec, disable_env_checker=True, **{**self.kwargs, **more})

    def make_checked(self) -> AnyEnv:
        """Make the environment with Gymnasium's passive checker, even if registered without."""
        return gymnasium.make(self.spec, disable_env_checker=False, **self.kwargs)

    def make_bare(self) -> AnyEnv:
        """Make the environment without the wrappers that `gymnasium.make` adds.

        That is more than `unwrapped` where the entry point itself wraps, as for ESARM's
        `observation="flat"`.
        """
        bare = dataclasses.replace(
            self.spec,
            order_enforce=False,
            disable_env_checker=True,
            max_episode_steps=None,
            additional_wrappers=(),
        )
        return gymnasium.make(bare, **self.kwargs)

    def make_vector(self, num_envs: int, mode: AutoresetMode) -> AnyVectorEnv:
        """Make the vector environment that is registered beside the scalar one."""
        return gymnasium.make_vec(
            self.spec,
            num_envs=num_envs,
            vectorization_mode="vector_entry_point",
            autoreset_mode=mode,
            **self.kwargs,
        )


def is_esarm(env: AnyEnv) -> bool:
    """Return whether `env` is of ESARM's kind: whether it has a `sequence_task`."""
    return env.has_wrapper_attr("sequence_task")


class CheckFailed(Exception):
    """Raised by a check that failed; the message says what is wrong."""

    def __init__(self, message: str, *, remedy: str | None = None) -> None:
        """Store the message; `remedy` replaces the check's own."""
        super().__init__(message)
        self.remedy = remedy


class CheckSkipped(Exception):
    """Raised by a check that does not apply; the message says why."""


@dataclass(frozen=True)
class Check:
    """A health check: its name, its function and its remedy.

    Attributes:
        section: Heading it stands under.
        name: A word or two, unique.
        run: The check; returns its findings, the first line short, further lines only where there
            is something to do. Any exception it raises is a failure.
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
    """Result of a health check.

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
        """Return the result as plain values, for JSON."""
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
    """Return a one-line summary of an exception, with file and line unless the message is ours."""
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
