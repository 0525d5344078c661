"""The environment that is looked at: an id, its arguments, and the ways to make it.

What a check is, and how a list of them is run: nothing that one does stops the others.
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


@dataclass(frozen=True)
class Subject:
    """A registered environment with arguments.

    Attributes:
        env_id: As `gymnasium.make` takes it; `module:Name-v0` imports the module first.
        kwargs: What the environment is made with.
    """

    env_id: str = DEFAULT_ENV
    kwargs: Mapping[str, Any] = field(default_factory=dict)

    @functools.cached_property
    def spec(self) -> EnvSpec:
        """What is registered under the id.

        Raises:
            gymnasium.error.Error: If nothing is.
            ImportError: If the module before the colon cannot be imported.
        """
        module, _, name = self.env_id.rpartition(":")
        if module:
            importlib.import_module(module)
        return gymnasium.spec(name)

    def make(self, **more: Any) -> AnyEnv:
        """Make it as users do, but for the passive checker; `more` are further arguments."""
        return gymnasium.make(self.spec, disable_env_checker=True, **{**self.kwargs, **more})

    def make_checked(self) -> AnyEnv:
        """Make it with the passive checker, also if it is registered without."""
        return gymnasium.make(self.spec, disable_env_checker=False, **self.kwargs)

    def make_bare(self) -> AnyEnv:
        """Make what the entry point returns, without any wrapper that `gymnasium.make` adds.

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
    """Return whether `env` keeps the contract of `ESARM-v0`: whether it has a `sequence_task`."""
    return env.has_wrapper_attr("sequence_task")


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
