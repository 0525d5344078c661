"""An empty registry of rewards for every test, and weighted sums of any."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from esarm_env.rewards import CombinedReward, RewardTerm, registry
from esarm_env.task.animation_task import AnimationTask


@pytest.fixture(autouse=True)
def empty_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forget what a test registered: names are taken for the whole process."""
    monkeypatch.setattr(registry.REWARDS, "_registered", {})


@pytest.fixture
def combine(tiny_task: AnimationTask) -> Callable[..., CombinedReward]:
    """Return a function: `combine(name=(weight, function), ...)`."""

    def make(**terms: tuple[float, Any]) -> CombinedReward:
        parts = [RewardTerm(name, weight, function) for name, (weight, function) in terms.items()]
        return CombinedReward(tiny_task.corpus, parts)

    return make
