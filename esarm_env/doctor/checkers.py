"""Checks by others: Gymnasium's two checkers and that of Stable-Baselines3, all without warning."""

from __future__ import annotations

import contextlib
import os
import re
import warnings
from collections.abc import Iterator
from typing import Any

import gymnasium
from gymnasium.utils.passive_env_checker import (
    env_render_passive_checker,
    env_reset_passive_checker,
    env_step_passive_checker,
)

from esarm_env.doctor.check import CheckFailed, CheckSkipped
from esarm_env.doctor.rollouts import rollout
from esarm_env.doctor.subject import AnyEnv, Subject
from esarm_env.errors import MissingExtraError

# `check_env` says so of whatever is wrapped; here the entry point wraps, and that is checked.
_ABOUT_WRAPPERS = "is different from the unwrapped version"
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


def check_make(subject: Subject) -> str:
    """Make the environment as users do."""
    with subject.make() as env:
        text = f"{env}, actions {env.action_space}"
    return text


def check_gymnasium(subject: Subject) -> str:
    """Run Gymnasium's `check_env` on what the entry point returns."""
    from gymnasium.utils.env_checker import check_env

    with subject.make_bare() as env, _no_warnings():
        env.action_space.seed(0)
        check_env(env, skip_render_check=True)
    return "no fault, no warning"


def check_stable_baselines3(subject: Subject) -> str:
    """Run the `check_env` of Stable-Baselines3, which is stricter about types."""
    from stable_baselines3.common.env_checker import check_env

    with subject.make() as env, _no_warnings():
        env.action_space.seed(0)
        check_env(env)
    return "no fault, no warning"


def check_passively(subject: Subject) -> str:
    """Play two episodes under the passive checker, at every call and not at the first alone."""
    with _EveryCall(subject.make_checked()) as env, _no_warnings():
        n_calls = sum(1 for _ in rollout(env, seed=0, n_episodes=2))
    return f"{n_calls} calls without a warning"


def check_rendering(subject: Subject) -> str:
    """Render before and after a step in every declared mode."""
    with subject.make() as env:
        modes = tuple(env.metadata.get("render_modes") or ())
    if not modes:
        raise CheckSkipped("no render mode is declared")
    done, missing = [], []
    for mode in modes:
        try:
            with _no_window(), subject.make(render_mode=mode) as env, _no_warnings():
                _render(env)
            done.append(mode)
        except MissingExtraError as error:
            missing.append(f"{mode}: {error}")
    if not done:
        raise CheckSkipped("; ".join(missing))
    return ", ".join(done) + "".join(f"; not {text}" for text in missing)


class _EveryCall(gymnasium.Wrapper[Any, Any, Any, Any]):
    """Looks at every call; the wrapper that `gymnasium.make` adds looks at the first ones."""

    def reset(self, **kwargs: Any) -> tuple[Any, dict[str, Any]]:
        return env_reset_passive_checker(self.env, **kwargs)

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        return env_step_passive_checker(self.env, action)


def _render(env: AnyEnv) -> None:
    calls = rollout(env, seed=0)
    for _ in range(2):
        next(calls)
        env_render_passive_checker(env)


@contextlib.contextmanager
def _no_warnings() -> Iterator[None]:
    """Turn the first warning of the block into a failure; an error in it goes before."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
    texts = [_COLOUR.sub("", str(warning.message)) for warning in caught]
    texts = [text.removeprefix("WARN: ") for text in texts if _ABOUT_WRAPPERS not in text]
    if texts:
        more = f" (and {len(texts) - 1} more)" if len(texts) > 1 else ""
        raise CheckFailed(f"there must be no warning, got: {texts[0].splitlines()[0]}{more}")


@contextlib.contextmanager
def _no_window() -> Iterator[None]:
    """Let SDL, which pygame draws with, open neither a window nor a loudspeaker."""
    names = ("SDL_VIDEODRIVER", "SDL_AUDIODRIVER")
    before = {name: os.environ.get(name) for name in names}
    os.environ.update(dict.fromkeys(names, "dummy"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
