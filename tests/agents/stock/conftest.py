"""The tiny task as full sequences, and a network of strong random weights that plays it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from stable_baselines3.common.vec_env import VecEnv

from agents.network.transformer import MotionTransformer, PolicyConfig
from agents.stock import TransformerActorCriticPolicy, policy_kwargs_of
from esarm_env.sb3 import make_sb3_vec_env
from esarm_env.task.animation_task import AnimationTask

_SIZES: dict[str, Any] = {"n_layers": 2, "n_heads": 2, "width": 16, "dropout": 0.5}

MakeVecEnv = Callable[..., VecEnv]
MakeNetwork = Callable[..., MotionTransformer]
MakePolicy = Callable[..., TransformerActorCriticPolicy]


@pytest.fixture(scope="session")
def make_venv(tiny_task: AnimationTask) -> MakeVecEnv:
    """Return a maker of vector environments over the tiny task, full sequences by default."""

    def make(n_envs: int = 4, observation: str = "full_sequence", **options: Any) -> VecEnv:
        chosen: dict[str, Any] = {"task": tiny_task, "reward": "zero", "seed": 0} | options
        return make_sb3_vec_env(n_envs, observation=observation, **chosen)

    return make


@pytest.fixture(scope="session")
def make_network() -> MakeNetwork:
    """Return a maker of networks with a dropout that must never act: `make_network(task)`."""

    def make(task: AnimationTask, **changed: Any) -> MotionTransformer:
        sizes = {
            "n_tokens": task.n_tokens,
            "tokens_per_chunk": task.tokens_per_chunk,
            "window_dim": task.window_dim,
            "condition_dim": task.condition_dim,
        }
        torch.manual_seed(0)
        model = MotionTransformer(PolicyConfig(**{**sizes, **_SIZES, **changed}))
        # Fresh heads are almost flat; far-off weights make every mistake visible in the logits.
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(0.2 * torch.randn(parameter.shape))
        return model.eval()

    return make


@pytest.fixture(scope="session")
def clone(tiny_task: AnimationTask, make_network: MakeNetwork) -> MotionTransformer:
    """Return a network for the tiny task; shared, so nobody trains it."""
    return make_network(tiny_task)


@pytest.fixture(scope="session")
def make_policy() -> MakePolicy:
    """Return a maker of stock policies that loaded a clone: `make_policy(clone, venv)`."""

    def make(clone: MotionTransformer, venv: VecEnv) -> TransformerActorCriticPolicy:
        policy = TransformerActorCriticPolicy(
            venv.observation_space,  # type: ignore[arg-type]
            venv.action_space,  # type: ignore[arg-type]
            lambda _: 1e-3,
            **policy_kwargs_of(clone, venv.observation_space),
        )
        policy.load_clone(clone)
        return policy

    return make
