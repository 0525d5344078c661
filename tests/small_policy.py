"""A small untrained policy, the same every time; for tests that need one and not what it does."""

from __future__ import annotations

import torch

from agents import MotionTransformer, PolicyConfig
from esarm_env.task.animation_task import AnimationTask


def untrained(task: AnimationTask) -> MotionTransformer:
    """Return a policy of `task` with one layer of width 16, from seed 0; torch's own seed stays."""
    config = PolicyConfig(
        n_tokens=task.n_tokens,
        tokens_per_chunk=task.tokens_per_chunk,
        window_dim=task.window_dim,
        condition_dim=task.condition_dim,
        n_layers=1,
        n_heads=2,
        width=16,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return MotionTransformer(config)
