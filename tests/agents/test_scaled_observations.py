"""Observations whose tokens, steps or masks a wrapper has scaled: every policy refuses them."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np
import pytest
from stable_baselines3 import PPO
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv, VecNormalize

from agents.policy import MotionPolicy
from agents.stock import TransformerActorCriticPolicy
from esarm_env.core.errors import InputError
from esarm_env.sb3 import make_sb3_vec_env
from esarm_env.task.animation_task import AnimationTask

Env = gymnasium.Env[Any, Any]
NETWORK = {"network": {"n_layers": 1, "n_heads": 2, "width": 16, "dropout": 0.0}}
REMEDY = 'pass `norm_obs_keys=["audio"]` to it, or `norm_obs=False`'


@pytest.fixture
def make_venv(tiny_task: AnimationTask) -> Callable[..., VecEnv]:
    """Return a maker of normalised environments of full sequences: `make_venv(**settings)`."""

    def make(**settings: Any) -> VecEnv:
        plain = make_sb3_vec_env(
            2, task=tiny_task, reward="zero", metrics=False, seed=0, observation="full_sequence"
        )
        return VecNormalize(plain, norm_reward=False, **settings)

    return make


def _stock(env: VecEnv) -> PPO:
    return PPO(
        TransformerActorCriticPolicy, env, policy_kwargs=NETWORK, n_steps=8, batch_size=8, seed=0
    )


def test_a_stock_policy_does_not_learn_from_scaled_tokens(make_venv: Callable[..., VecEnv]) -> None:
    """Cast back to integers, a scaled token is another token, and nothing looks wrong."""
    with pytest.raises(InputError, match=re.escape(REMEDY)) as caught:
        _stock(make_venv()).learn(8)
    got = "got audio_mask torch.float32, tokens torch.float32, step torch.float32"
    assert got in str(caught.value)


def test_a_stock_policy_does_not_act_on_scaled_tokens(make_venv: Callable[..., VecEnv]) -> None:
    """Trained on the plain environment and tried on a normalised one, it acts on other tokens."""
    env = make_venv()
    model = _stock(env.venv)  # type: ignore[attr-defined]
    with pytest.raises(InputError, match=re.escape(REMEDY)):
        evaluate_policy(model, env, n_eval_episodes=2, warn=False)


def test_quantities_may_be_scaled(make_venv: Callable[..., VecEnv]) -> None:
    """Audio features are quantities: the remedy that the message names works."""
    env = make_venv(norm_obs_keys=["audio"])
    model = _stock(env).learn(8)
    evaluate_policy(model, env, n_eval_episodes=2, warn=False)


@pytest.mark.parametrize("scaled", ["last_tokens", "step"])
def test_the_policy_with_a_cache_refuses_scaled_names(env: Env, scaled: str) -> None:
    """`predict` would cast them back with `.long()` and animate other tokens."""
    policy = MotionPolicy(env.observation_space, env.action_space, lambda _: 1e-3, **NETWORK)  # type: ignore[arg-type]
    obs, _ = env.reset(seed=0)
    policy.predict(obs)
    message = f"integers in last_tokens, step, as its space says, got {scaled} float32"
    with pytest.raises(InputError, match=re.escape(message)):
        policy.predict({**obs, scaled: obs[scaled].astype(np.float32)})


def test_an_untouched_normalisation_clips_tokens_and_is_refused(env: Env) -> None:
    """With fresh statistics values look whole, but every token above `clip_obs` is another one."""
    venv = VecNormalize(DummyVecEnv([lambda: env]), norm_reward=False, training=False)
    policy = MotionPolicy(env.observation_space, env.action_space, lambda _: 1e-3, **NETWORK)  # type: ignore[arg-type]
    with pytest.raises(InputError, match=re.escape("pass `norm_obs=False`, as this policy hears")):
        policy.predict(venv.reset())  # type: ignore[arg-type]
