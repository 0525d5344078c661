"""Contract checks of an environment: Gymnasium's and SB3's checkers, and ESARM's own rules.

The checkers must pass without a warning. Our own rules are about dtypes and bounds of observations,
the end of an episode, and mistakes that must be refused.
"""

from __future__ import annotations

import contextlib
import os
import re
import warnings
from collections.abc import Iterator
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.utils.passive_env_checker import (
    env_render_passive_checker,
    env_reset_passive_checker,
    env_step_passive_checker,
)

from esarm_env.core.errors import MissingExtraError
from esarm_env.doctor.check import AnyEnv, CheckFailed, CheckSkipped, Subject, is_esarm
from esarm_env.doctor.rollouts import LONGEST, rollout
from esarm_env.envs.chunk_payments import TERMINAL

# `check_env` warns of every wrapper; here the entry point itself wraps, so that is expected.
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
    """Play two episodes with the passive checker on every call."""
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
    """Passive checker on every call; the one that `gymnasium.make` adds checks the first only."""

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
    """Turn the first warning of the block into a `CheckFailed`; an exception in it wins."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
    texts = [_COLOUR.sub("", str(warning.message)) for warning in caught]
    texts = [text.removeprefix("WARN: ") for text in texts if _ABOUT_WRAPPERS not in text]
    if texts:
        more = f" (and {len(texts) - 1} more)" if len(texts) > 1 else ""
        raise CheckFailed(f"a warning was given: {texts[0].splitlines()[0]}{more}")


@contextlib.contextmanager
def _no_window() -> Iterator[None]:
    """Set SDL's dummy drivers, so that pygame opens neither a window nor a sound device."""
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


def check_spaces(subject: Subject) -> str:
    """Check that every observation lies in its space, with exactly its dtypes."""
    with subject.make() as env:
        n_calls = 0
        for call in rollout(env, seed=6, n_episodes=2):
            obs = call.returned["obs"]
            faults = _dtype_faults(env.observation_space, obs, "obs")
            if not faults and not env.observation_space.contains(obs):
                faults = [_outside(env.observation_space, obs)]
            if faults:
                raise CheckFailed(f"{call.name}: {faults[0]}")
            n_calls += 1
    return f"{n_calls} observations inside, dtypes exact"


def check_episode_end(subject: Subject) -> str:
    """Check that rewards come when they are due, and that `info` holds the tokens.

    Due is the last token of the episode, or of every chunk with `reward_timing="chunk"`.
    """
    with subject.make() as env:
        need_esarm(env)
        task = env.get_wrapper_attr("sequence_task")
        lengths = {
            record.id: int(length)
            for record, length in zip(task.corpus.records, task.lengths, strict=True)
        }
        due = _tokens_between_rewards(env)
        rewards = [_end_of_episode(env, lengths, due=due, seed=seed) for seed in range(3)]
    return f"3 episodes, rewards {', '.join(f'{reward:.3g}' for reward in rewards)}"


def check_mistakes(subject: Subject) -> str:
    """Check that steps outside an episode and invalid actions are refused."""
    with subject.make_bare() as env:
        need_esarm(env)
        _expect_refusal(env, 0, "before the first `reset`")
        for _ in rollout(env, seed=8):
            pass
        _expect_refusal(env, 0, "after the end of the episode")
        env.reset(seed=8)
        n_tokens = int(env.action_space.n)  # type: ignore[attr-defined]
        for action in (-1, n_tokens, 0.5, np.zeros(2, dtype=np.int64)):
            _expect_refusal(env, action, f"of the action {action!r}")
        env.step(0)
    return "steps at the wrong time and invalid actions are refused"


def need_esarm(env: AnyEnv) -> None:
    """Raise `CheckSkipped` if `env` does not keep the contract of `ESARM-v0`."""
    if not is_esarm(env):
        raise CheckSkipped("it has no `sequence_task`, so it is not of ESARM's kind")


def _tokens_between_rewards(env: AnyEnv) -> int | None:
    """Return after how many tokens a reward is due before the last token; None for never."""
    timing = getattr(env.unwrapped, "reward_timing", TERMINAL)
    return None if timing == TERMINAL else env.get_wrapper_attr("sequence_task").tokens_per_chunk


def _end_of_episode(env: AnyEnv, lengths: dict[str, int], *, due: int | None, seed: int) -> float:
    """Play an episode, and return its summed reward."""
    calls = list(rollout(env, seed=seed))
    name = calls[0].returned["info"].get("utterance_id")
    if name not in lengths:
        raise CheckFailed(f"`reset` must tell `utterance_id` in `info`, got {name!r}")
    *before, last = calls[1:]
    for number, call in enumerate(before, start=1):
        paid = call.returned["reward"]
        if paid != 0 and (due is None or number % due):
            rule = "before the last token" if due is None else f"within a chunk of {due} tokens"
            raise CheckFailed(f"{call.name} must pay 0 {rule}, got {paid}")
    if last.returned["truncated"] or not last.returned["terminated"]:
        flags = {key: last.returned[key] for key in ("terminated", "truncated")}
        if not last.ended:
            raise CheckFailed(f"the episode must end at the end of its audio, got {LONGEST} steps")
        raise CheckFailed(f"{last.name} must be terminated and not truncated, got {flags}")
    if len(calls) - 1 != lengths[name]:
        raise CheckFailed(f"{name} must end after {lengths[name]} steps, got {len(calls) - 1}")
    reward = float(sum(call.returned["reward"] for call in calls[1:]))
    if not np.isfinite(reward):
        raise CheckFailed(f"the reward of {name} must be finite, got {reward}")
    _check_last_info(last.returned["info"], [int(call.action) for call in calls[1:]])
    return reward


def _check_last_info(info: dict[str, Any], actions: list[int]) -> None:
    missing = [key for key in ("rewards", "tokens", "utterance_id") if key not in info]
    if missing:
        raise CheckFailed(f"the last `info` must hold {', '.join(missing)}, got {', '.join(info)}")
    terms = info["rewards"]
    if not isinstance(terms, dict) or not all(np.isfinite(value) for value in terms.values()):
        raise CheckFailed(f'`info["rewards"]` must be finite numbers by name, got {terms!r}')
    tokens = np.asarray(info["tokens"])
    written = tokens[: len(actions)].tolist()
    if written != actions or (tokens[len(actions) :] != -1).any():
        raise CheckFailed(
            f'`info["tokens"]` must be the actions and then -1, got {tokens.tolist()}'
        )


def _expect_refusal(env: AnyEnv, action: Any, when: str) -> None:
    try:
        env.step(action)
    except Exception:  # any exception type is allowed
        return
    raise CheckFailed(f"a step {when} did not raise an error")


def _dtype_faults(space: spaces.Space[Any], value: Any, path: str) -> list[str]:
    """Return the entries of `value` whose dtype or shape is not exactly that of its `space`."""
    if isinstance(space, spaces.Dict) and isinstance(value, dict):
        if set(value) != set(space):
            return [f"{path} must have the keys {', '.join(space)}, got {', '.join(value)}"]
        pairs = [(space[key], value[key], f'{path}["{key}"]') for key in space]
    elif isinstance(space, spaces.Tuple) and isinstance(value, tuple):
        pairs = [(*pair, f"{path}[{n}]") for n, pair in enumerate(zip(space, value, strict=True))]
    elif isinstance(space, spaces.Box | spaces.MultiDiscrete | spaces.MultiBinary):
        got = f"{getattr(value, 'dtype', type(value).__name__)} {getattr(value, 'shape', '')}"
        rule = f"{space.dtype} {space.shape}"
        return [] if got == rule else [f"{path} must be {rule}, got {got}"]
    else:
        return []
    return [fault for pair in pairs for fault in _dtype_faults(*pair)]


def _outside(space: spaces.Space[Any], value: Any, path: str = "obs") -> str:
    """Return which entry of a value is out of its space's bounds."""
    if isinstance(space, spaces.Dict) and isinstance(value, dict):
        for key, part in space.items():
            if not part.contains(value[key]):
                return _outside(part, value[key], f'{path}["{key}"]')
    if isinstance(space, spaces.Box) and isinstance(value, np.ndarray):
        bad = np.argwhere(~((value >= space.low) & (value <= space.high)))
        if len(bad):
            at = tuple(bad[0].tolist())
            limits = f"{space.low[at]}..{space.high[at]}"
            return f"{path}[{', '.join(map(str, at))}] must be in {limits}, got {value[at]}"
    return f"{path} must be in {space}, got {value!r}"
