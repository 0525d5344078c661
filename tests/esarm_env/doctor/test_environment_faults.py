"""The checks of environments: a healthy one passes them, and each fault is found by name."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from typing import Any, ClassVar

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces

from esarm_env.core.errors import MissingExtraError
from esarm_env.doctor import ENVIRONMENT_CHECKS, Result, Subject, run_checks
from esarm_env.envs.registration import make_env, make_vector_env
from esarm_env.envs.scalar import SpeechAnimationEnv
from esarm_env.envs.vector import SpeechAnimationVectorEnv

Step = tuple[Any, Any, Any, Any, dict[str, Any]]
Diagnose = Callable[..., dict[str, Result]]
VECTOR = {"NextStep", "SameStep", "Disabled", "vector memory", "sb3 view"}
UNSEEN = {"rendering"}  # this environment is made without a render mode


class KeepsTokens(SpeechAnimationEnv):
    """Hands out one array of tokens at the end of all episodes."""

    def step(self, action: Any) -> Step:
        obs, reward, terminated, truncated, info = super().step(action)
        if terminated:
            self._kept = getattr(self, "_kept", info["tokens"])
            self._kept[:] = info["tokens"]
            info["tokens"] = self._kept
        return obs, reward, terminated, truncated, info


class KeepsObservation(SpeechAnimationEnv):
    """Writes every observation of `step` into the arrays of the one before."""

    _kept: dict[str, np.ndarray] | None = None

    def step(self, action: Any) -> Step:
        obs, *rest = super().step(action)
        self._kept = self._kept or obs
        for key, value in obs.items():
            self._kept[key][:] = value
        return (dict(self._kept), *rest)  # type: ignore[return-value]


class KeepsInfo(SpeechAnimationEnv):
    """Adds to one dictionary of terms, episode after episode."""

    def step(self, action: Any) -> Step:
        obs, reward, terminated, truncated, info = super().step(action)
        if terminated:
            self._terms: dict[str, float] = getattr(self, "_terms", {})
            self._terms.update(info["rewards"])
            info["rewards"] = self._terms
        return obs, reward, terminated, truncated, info


class TrustsItsObservation(SpeechAnimationEnv):
    """Reads its state from the observation that it gave away."""

    def reset(self, **kwargs: Any) -> tuple[Any, dict[str, Any]]:
        self._given, info = super().reset(**kwargs)
        return self._given, info

    def step(self, action: Any) -> Step:
        condition = self._given["condition"]
        obs, *rest = super().step(action)
        obs["condition"][:] = condition
        self._given = obs
        return (obs, *rest)  # type: ignore[return-value]


class Float32Reward(SpeechAnimationEnv):
    """Returns the reward as numpy has it."""

    def step(self, action: Any) -> Step:
        obs, reward, *rest = super().step(action)
        return (obs, np.float32(reward), *rest)  # type: ignore[return-value]


class NoisyReward(SpeechAnimationEnv):
    """Adds noise of which no seed knows."""

    def step(self, action: Any) -> Step:
        obs, reward, terminated, truncated, info = super().step(action)
        noise = np.random.default_rng().normal() if terminated else 0.0
        return obs, reward + noise, terminated, truncated, info


class DeafToSeeds(SpeechAnimationEnv):
    """Takes a seed for another one."""

    def reset(self, *, seed: int | None = None, **kwargs: Any) -> tuple[Any, dict[str, Any]]:
        return super().reset(seed=None if seed is None else 0, **kwargs)


class Truncates(SpeechAnimationEnv):
    """Takes the end of the audio for a limit of steps."""

    def step(self, action: Any) -> Step:
        obs, reward, terminated, _, info = super().step(action)
        return obs, reward, False, terminated, info


class PaysEarly(SpeechAnimationEnv):
    """Pays a little for every token."""

    def step(self, action: Any) -> Step:
        obs, reward, *rest = super().step(action)
        return (obs, reward + 0.01, *rest)  # type: ignore[return-value]


class PaysNan(SpeechAnimationEnv):
    """Divides by zero at the end."""

    def step(self, action: Any) -> Step:
        obs, reward, terminated, truncated, info = super().step(action)
        return obs, float("inf") if terminated else reward, terminated, truncated, info


class ForgetsTokens(SpeechAnimationEnv):
    """Tells other tokens than were written."""

    def step(self, action: Any) -> Step:
        obs, reward, terminated, truncated, info = super().step(action)
        if terminated:
            info["tokens"][2] += 1
        return obs, reward, terminated, truncated, info


class LeavesItsSpace(SpeechAnimationEnv):
    """Is too loud in the last observation."""

    def step(self, action: Any) -> Step:
        obs, reward, terminated, truncated, info = super().step(action)
        if terminated:
            obs["audio"][4] = 9.0
        return obs, reward, terminated, truncated, info


class Remembers(SpeechAnimationEnv):
    """Shows an utterance that is asked for a second time in another light."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._asked: set[int] = set()

    def reset(self, *, options: dict[str, Any] | None = None, **kwargs: Any) -> tuple[Any, Any]:
        obs, info = super().reset(options=options, **kwargs)
        wanted = (options or {}).get("utterance")
        if wanted in self._asked:
            obs["condition"][0] = 1 - obs["condition"][0]
        if wanted is not None:
            self._asked.add(wanted)
        return obs, info


class ForgivesActions(SpeechAnimationEnv):
    """Takes the nearest token for one that does not exist."""

    def step(self, action: Any) -> Step:
        return super().step(int(np.clip(np.max(action), 0, 15)))


class GoesOn(SpeechAnimationEnv):
    """Starts anew by itself where it is stepped after the end."""

    def step(self, action: Any) -> Step:
        if self._step == self._length > 0:
            self.reset()
        return super().step(action)


class HoldsALock(SpeechAnimationEnv):
    """Is made with something that no other process can be sent."""

    def __init__(self, lock: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)


class Renders(SpeechAnimationEnv):
    """Renders one grey; `None` in the mode `human`."""

    metadata: ClassVar[dict[str, Any]] = {  # type: ignore[misc]
        "render_modes": ["human", "rgb_array"],
        "render_fps": 30,
    }
    dtype: ClassVar[type] = np.uint8

    def render(self) -> Any:
        if self.render_mode == "human":
            return None
        return np.full((4, 4, 3), 7, dtype=self.dtype)


class RendersFloats(Renders):
    """Renders what no video takes."""

    dtype = np.float64


class NeedsAnExtra(Renders):
    """Can open no window here."""

    def __init__(self, *, render_mode: str | None = None, **kwargs: Any) -> None:
        if render_mode == "human":
            raise MissingExtraError("pygame", extra="render", purpose="a window")
        super().__init__(render_mode=render_mode, **kwargs)


class Plain(gymnasium.Env[np.ndarray, int]):
    """A small environment that has nothing to do with speech."""

    observation_space = spaces.Box(-1, 1, (2,), np.float32)
    action_space = spaces.Discrete(2)
    metadata: ClassVar[dict[str, Any]] = {"render_modes": []}  # type: ignore[misc]

    def __init__(self, **_: Any) -> None:
        self._left = 0

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self._left = 5
        return self._observe(), {}

    def step(self, action: int) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self._left -= 1
        return self._observe(), float(action), self._left == 0, False, {}

    def _observe(self) -> np.ndarray:
        return self.np_random.uniform(-1, 1, 2).astype(np.float32)


def failed(results: dict[str, Result]) -> set[str]:
    return {name for name, result in results.items() if result.status == "FAIL"}


def skipped(results: dict[str, Result]) -> set[str]:
    return {name for name, result in results.items() if result.status == "skipped"}


def test_a_healthy_environment_passes_everything(diagnose: Diagnose) -> None:
    """A doctor that finds faults in the healthy is not asked again."""
    results = diagnose(SpeechAnimationEnv, vector=SpeechAnimationVectorEnv)
    assert failed(results) == set(), results
    assert skipped(results) <= UNSEEN
    assert set(results) == {check.name for check in ENVIRONMENT_CHECKS}
    assert "other seeds draw other utterances" in results["determinism"].text
    for name in ("NextStep", "SameStep", "Disabled"):
        assert results[name].text.endswith("6 ends"), "two ends of each of three environments"


@pytest.mark.parametrize("observation", ["flat", "full_sequence"])
def test_a_wrapped_variant_is_checked_with_its_wrapper(
    register: Callable[..., str], observation: str
) -> None:
    """`unwrapped` would check the slim environment again, and Gymnasium warns of the wrapper."""
    subject = Subject(register(make_env, vector=make_vector_env), {"observation": observation})
    results = {result.name: result for result in run_checks(ENVIRONMENT_CHECKS, subject)}
    assert failed(results) == set(), results
    assert skipped(results) <= UNSEEN
    assert "Observation<" in results["make"].text


def test_an_environment_of_another_kind_is_checked_as_far_as_it_goes(diagnose: Diagnose) -> None:
    """Promises that only ESARM gives must not be asked of others, and the reason is said."""
    results = diagnose(Plain)
    assert failed(results) == set(), results
    assert skipped(results) == {"rendering", "replay", "episode end", "mistakes"} | VECTOR
    assert "no `sequence_task`" in results["replay"].text
    assert "registered without `vector_entry_point`" in results["NextStep"].text


@pytest.mark.parametrize(
    ("env", "check", "message"),
    [
        (KeepsTokens, "memory", 'info["tokens"] of step'),
        (KeepsInfo, "memory", "are the same dict"),
        (TrustsItsObservation, "memory", "the caller's to write into, got after that KeyError"),
        (Float32Reward, "sb3 checker", "The reward returned by `step()` must be a float"),
        (NoisyReward, "determinism", "of one seed, got reward: "),
        (Truncates, "episode end", "must be terminated and not truncated"),
        (PaysEarly, "episode end", "step 1 must pay 0 before the last token, got 0.01"),
        (ForgetsTokens, "episode end", "must be the actions and then -1"),
        (Remembers, "replay", 'reset must be equal in two replays of utterance 7, got obs["cond'),
        (ForgivesActions, "mistakes", "a step of the action -1 did not raise an error"),
        (GoesOn, "mistakes", "a step after the end of the episode did not raise an error"),
        (functools.partial(HoldsALock, threading.Lock()), "pickling", "cannot pickle"),
        (RendersFloats, "rendering", "with dtype uint8, got float64"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_a_fault_is_found_by_its_check_alone(
    diagnose: Diagnose, env: Any, check: str, message: str
) -> None:
    """A fault that is not found, or that a check blames on something else, costs days."""
    results = diagnose(env)
    assert failed(results) == {check}, results
    assert message in results[check].text
    assert results[check].remedy


@pytest.mark.parametrize(
    ("env", "checks", "messages"),
    [
        (
            KeepsObservation,
            {"gymnasium checker", "passive checker", "memory"},
            {"memory": 'obs["audio"] of step 1 and obs["audio"] of step 2 share memory'},
        ),
        (
            DeafToSeeds,
            {"gymnasium checker", "determinism"},
            {"determinism": "seeds must decide the utterances, got ["},
        ),
        (
            LeavesItsSpace,
            {"passive checker", "spaces"},
            {"spaces": 'obs["audio"][4] must be in -8.0..8.0, got 9.0'},
        ),
        (
            PaysNan,
            {"passive checker", "episode end"},
            {
                "passive checker": "a warning was given: The reward is an inf value.",
                "episode end": "must be finite, got inf",
            },
        ),
    ],
)
def test_a_fault_that_others_see_too_is_told_by_all(
    diagnose: Diagnose, env: Any, checks: set[str], messages: dict[str, str]
) -> None:
    """Gymnasium's checkers look at some of it; what they add to ours is no more than that."""
    results = diagnose(env)
    assert failed(results) == checks, results
    for name, message in messages.items():
        assert message in results[name].text


def test_what_depends_on_a_failed_check_is_skipped(diagnose: Diagnose) -> None:
    """Noise would fail every comparison, and bury the one message that helps."""
    results = diagnose(NoisyReward, vector=SpeechAnimationVectorEnv)
    assert failed(results) == {"determinism"}
    assert skipped(results) >= {"memory", "pickling", "replay"} | VECTOR
    assert results["NextStep"].text == "`determinism` failed"


def test_every_declared_mode_is_rendered(diagnose: Diagnose) -> None:
    """Before and after a step, without a window."""
    result = diagnose(Renders)["rendering"]
    assert (result.status, result.text) == ("ok", "human, rgb_array")


def test_a_mode_that_needs_an_extra_is_no_fault(diagnose: Diagnose) -> None:
    """A bare installation is a healthy one; the line says what to install."""
    result = diagnose(NeedsAnExtra)["rendering"]
    assert result.status == "ok"
    assert result.text.startswith("rgb_array; not human: a window needs `pygame`: run `pip install")


def test_a_time_limit_is_found(diagnose: Diagnose) -> None:
    """`max_episode_steps` of a registration cuts episodes, and the reward with them."""
    results = diagnose(SpeechAnimationEnv, max_episode_steps=10)
    assert failed(results) == {"episode end"}
    assert "step 10 must be terminated and not truncated" in results["episode end"].text


@pytest.mark.parametrize(
    ("subject", "message"),
    [
        (Subject("Nonesuch-v0"), "Environment `Nonesuch` doesn't exist"),
        (Subject("no_such_module:ESARM-v0"), "No module named 'no_such_module'"),
        (Subject(kwargs={"observation": "fat"}), "`observation` must be one of slim, full_sequen"),
        (Subject(kwargs={"colour": "red"}), "unexpected keyword argument 'colour'"),
    ],
)
def test_an_environment_that_cannot_be_made_fails_once(subject: Subject, message: str) -> None:
    """One line says why; the others wait."""
    results = {result.name: result for result in run_checks(ENVIRONMENT_CHECKS, subject)}
    assert failed(results) == {"make"}
    assert message in results["make"].text
    assert skipped(results) == set(results) - {"make"}
