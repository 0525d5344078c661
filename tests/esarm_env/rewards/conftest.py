"""An empty registry of rewards for every test."""

from __future__ import annotations

import pytest

from esarm_env.rewards import registry


@pytest.fixture(autouse=True)
def empty_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forget what a test registered: names are taken for the whole process."""
    monkeypatch.setattr(registry.REWARDS, "_registered", {})
