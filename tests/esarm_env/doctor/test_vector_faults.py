"""The checks of vector environments: each fault is found by the mode in which it shows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode

from esarm_env.doctor import ENVIRONMENT_CHECKS, Result, Subject, run_checks
from esarm_env.envs.scalar import SpeechAnimationEnv
from esarm_env.envs.vector import SpeechAnimationVectorEnv

Diagnose = Callable[..., dict[str, Result]]
VectorStep = tuple[Any, Any, Any, Any, dict[str, Any]]


class SwapsRows(SpeechAnimationVectorEnv):
    """Pays the environments in the wrong order."""

    def step(self, actions: Any) -> VectorStep:
        obs, rewards, *rest = super().step(actions)
        return (obs, rewards[::-1].copy(), *rest)  # type: ignore[return-value]


class SwapsSeeds(SpeechAnimationVectorEnv):
    """Gives all environments one seed where only some are reset."""

    def reset(self, *, seed: Any = None, options: Any = None) -> tuple[Any, Any]:
        if options and "reset_mask" in options:
            seed = 5
        return super().reset(seed=seed, options=options)


class ForgetsFinalInfo(SpeechAnimationVectorEnv):
    """Leaves a mask of the final infos out."""

    def step(self, actions: Any) -> VectorStep:
        *rest, infos = super().step(actions)
        if "final_info" in infos:
            del infos["final_info"]["_lve"]
        return (*rest, infos)  # type: ignore[return-value]


class KeepsRewards(SpeechAnimationVectorEnv):
    """Returns one array of rewards for ever."""

    def step(self, actions: Any) -> VectorStep:
        obs, rewards, *rest = super().step(actions)
        self._paid = getattr(self, "_paid", rewards)
        self._paid[:] = rewards
        return (obs, self._paid, *rest)  # type: ignore[return-value]


class NextStepOnly(SpeechAnimationVectorEnv):
    """Says that it resets in the next step, whatever it was told."""

    def __init__(self, num_envs: int = 1, **kwargs: Any) -> None:
        super().__init__(num_envs, **kwargs)
        self.metadata = {**self.metadata, "autoreset_mode": AutoresetMode.NEXT_STEP}


class Rounds(SpeechAnimationVectorEnv):
    """Pays a little more than the scalar environment."""

    surplus = 0.0

    def step(self, actions: Any) -> VectorStep:
        obs, rewards, *rest = super().step(actions)
        return (obs, rewards * (1 + self.surplus), *rest)  # type: ignore[return-value]


class RoundsALittle(Rounds):
    """As sums of float32 in another order do."""

    surplus = 1e-6


class RoundsMuch(Rounds):
    """As a reward in half precision does."""

    surplus = 1e-3


def failed(results: dict[str, Result]) -> set[str]:
    return {name for name, result in results.items() if result.status == "FAIL"}


@pytest.mark.parametrize(
    ("vector", "checks", "message"),
    [
        (SwapsRows, {"NextStep", "SameStep", "Disabled"}, "got reward"),
        (SwapsSeeds, {"Disabled"}, "reset of the ended after step"),
        (ForgetsFinalInfo, {"SameStep"}, 'info["final_info"]["_lve"]: only in the second'),
        (KeepsRewards, {"vector memory"}, "reward of step 1 and reward of step 2 share memory"),
        (NextStepOnly, {"SameStep", "Disabled", "sb3 view"}, '`metadata["autoreset_mode"]` must'),
        (RoundsMuch, {"NextStep", "SameStep", "Disabled"}, "got reward[0]: "),
    ],
)
def test_a_fault_is_found_in_its_mode(
    diagnose: Diagnose, vector: Any, checks: set[str], message: str
) -> None:
    """Trainers use one mode; a fault in the others waits for the next user."""
    results = diagnose(SpeechAnimationEnv, vector=vector)
    if "SameStep" in checks:
        checks = checks - {"sb3 view"}  # it is skipped then
    assert failed(results) == checks, results
    assert any(message in results[name].text for name in checks)


def test_sums_of_another_order_are_no_fault(diagnose: Diagnose) -> None:
    """Episodes that end together are scored in one batch, which rounds otherwise."""
    assert failed(diagnose(SpeechAnimationEnv, vector=RoundsALittle)) == set()


def test_a_fault_of_the_sb3_view_is_found(
    diagnose: Diagnose, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stable-Baselines3 bootstraps from `terminal_observation`."""
    from esarm_env.sb3 import SB3VecEnv

    whole = SB3VecEnv.step_wait

    def step_wait(self: SB3VecEnv) -> Any:
        obs, rewards, dones, infos = whole(self)
        for info in infos:
            info.pop("terminal_observation", None)
        return obs, rewards, dones, infos

    monkeypatch.setattr(SB3VecEnv, "step_wait", step_wait)
    results = diagnose(SpeechAnimationEnv, vector=SpeechAnimationVectorEnv)
    assert failed(results) == {"sb3 view"}
    assert '["terminal_observation"]: only in the second' in results["sb3 view"].text


def test_vectors_of_others_that_choose_their_mode_are_skipped() -> None:
    """Gymnasium's own environments have vector entry points of another kind."""
    results = {r.name: r for r in run_checks(ENVIRONMENT_CHECKS, Subject("CartPole-v1"))}
    assert results["NextStep"].status == "skipped"
    assert "no `autoreset_mode`" in results["NextStep"].text


def test_registered_wrappers_have_no_vectors(register: Callable[..., str]) -> None:
    """`make_vec` refuses them; that is Gymnasium's rule and no fault."""
    env_id = register(SpeechAnimationEnv, vector=SpeechAnimationVectorEnv)
    spec = gymnasium.spec(env_id)
    wrapped = gymnasium.wrappers.TransformReward(gymnasium.make(env_id), np.negative)
    assert wrapped.spec is not None
    spec.additional_wrappers = wrapped.spec.additional_wrappers
    results = {r.name: r for r in run_checks(ENVIRONMENT_CHECKS, Subject(env_id))}
    assert failed(results) == set(), results
    assert "registered with wrappers" in results["Disabled"].text
