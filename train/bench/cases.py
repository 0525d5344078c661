"""Cases of `esarm bench env`: the same episodes behind several interfaces."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
from gymnasium.vector import AsyncVectorEnv, AutoresetMode, SyncVectorEnv

from esarm_env.envs.scalar import SpeechAnimationEnv
from esarm_env.envs.vector import SpeechAnimationVectorEnv
from reward.plugins.motion_alone import ZeroReward

NAMES = {
    "scalar": "SpeechAnimationEnv",
    "made": "the same through gymnasium.make",
    "sync": "SyncVectorEnv",
    "async": "AsyncVectorEnv",
    "dummy": "SB3 DummyVecEnv",
    "native": "SpeechAnimationVectorEnv",
    "deferred": "the same, rewards deferred",
    "sb3": "make_sb3_vec_env",
}
N_ACTIONS = 256  # prepared for each environment, over and over
_ENDED = 2  # where `step` says which episodes have ended: `terminated`, or SB3's `dones`

Settings = dict[str, Any]
Advance = Callable[[int], int]


@dataclass(frozen=True)
class Case:
    """One row of the table.

    Attributes:
        backend: Key of `NAMES`.
        num_envs: How many environments.
        scored: Whether episodes end with the learned reward, LVE and EVE; nothing is scored
            otherwise.
        autoreset: Mode of the vector environments of Gymnasium's kind; SB3 has `SameStep` alone.
    """

    backend: str
    num_envs: int
    scored: bool = False
    autoreset: str = AutoresetMode.SAME_STEP.value

    def template(self, run_path: str | Path | None) -> SpeechAnimationEnv:
        """Return a scalar environment whose task and reward all environments of the case share."""
        reward = "learned" if self.scored else ZeroReward()
        return SpeechAnimationEnv(run_path, reward=reward, metrics=self.scored)


@dataclass(frozen=True)
class OpenCase:
    """A case whose environments have begun their first episodes.

    Attributes:
        advance: Takes so many steps of all environments with prepared random actions and returns
            how many episodes have ended. Episodes go on from call to call.
        close: Closes the environments.
    """

    advance: Advance
    close: Callable[[], None]


def open_case(case: Case, template: SpeechAnimationEnv, actions: np.ndarray) -> OpenCase:
    """Make the environments of a case and reset them.

    Args:
        case: Which.
        template: Whose task and reward all environments share, so that none is loaded twice.
        actions: Shape (n, num_envs), valid tokens, taken in turn.
    """
    settings = {
        "task": template.sequence_task,
        "reward": template.reward_function,
        "metrics": case.scored,
    }
    if case.backend in ("scalar", "made"):
        return _open_scalar(case, settings, actions[:, 0])
    env = _VECTORS[case.backend](case, settings)
    if case.backend in ("dummy", "sb3"):
        env.seed(0)
        env.reset()
    else:
        env.reset(seed=0)
    advance = _advance_vector(env.step, list(actions))
    if case.backend == "deferred":
        advance = _scoring_at_the_end(advance, env.score_finished)
    return OpenCase(advance, env.close)


def _open_scalar(case: Case, settings: Settings, actions: np.ndarray) -> OpenCase:
    if case.backend == "scalar":
        env: gymnasium.Env[Any, Any] = SpeechAnimationEnv(**settings)
    else:
        env = gymnasium.make("ESARM-v0", **settings)
    env.reset(seed=0)
    upcoming = itertools.cycle(actions)
    return OpenCase(partial(_advance_scalar, env.step, env.reset, upcoming), env.close)


def _advance_scalar(
    step: Callable[[Any], Any], reset: Callable[[], Any], upcoming: Iterator[Any], n_steps: int
) -> int:
    episodes = 0
    for action in itertools.islice(upcoming, n_steps):
        if step(action)[_ENDED]:
            reset()
            episodes += 1
    return episodes


def _advance_vector(step: Callable[[np.ndarray], Any], actions: Sequence[np.ndarray]) -> Advance:
    upcoming = itertools.cycle(actions)

    def advance(n_steps: int) -> int:
        rows = itertools.islice(upcoming, n_steps)
        return sum(int(np.count_nonzero(step(row)[_ENDED])) for row in rows)

    return advance


def _scoring_at_the_end(advance: Advance, score: Callable[[], Any]) -> Advance:
    """Return `advance` with all its episodes scored in one batch, as a trainer would."""

    def advance_and_score(n_steps: int) -> int:
        episodes = advance(n_steps)
        if episodes:
            score()
        return episodes

    return advance_and_score


def _sync(case: Case, settings: Settings) -> Any:
    return SyncVectorEnv(_functions(case, settings), autoreset_mode=case.autoreset)


def _async(case: Case, settings: Settings) -> Any:
    return AsyncVectorEnv(_functions(case, settings), autoreset_mode=case.autoreset)


def _dummy(case: Case, settings: Settings) -> Any:
    from stable_baselines3.common.vec_env import DummyVecEnv

    return DummyVecEnv(_functions(case, settings))


def _functions(case: Case, settings: Settings) -> list[Callable[[], gymnasium.Env[Any, Any]]]:
    return [partial(SpeechAnimationEnv, **settings)] * case.num_envs


def _native(case: Case, settings: Settings, *, defer: bool = False) -> Any:
    return SpeechAnimationVectorEnv(
        case.num_envs, autoreset_mode=case.autoreset, defer_rewards=defer, **settings
    )


def _sb3(case: Case, settings: Settings) -> Any:
    from esarm_env.sb3 import make_sb3_vec_env

    return make_sb3_vec_env(case.num_envs, monitor=False, **settings)


_VECTORS: dict[str, Callable[[Case, Settings], Any]] = {
    "sync": _sync,
    "async": _async,
    "dummy": _dummy,
    "native": _native,
    "deferred": partial(_native, defer=True),
    "sb3": _sb3,
}
