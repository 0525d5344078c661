"""Our rewards as plug-ins: every one is installed, described, and opens on a task."""

from __future__ import annotations

import importlib
import subprocess
import sys

import numpy as np
import pytest

import reward
from esarm_env.rewards import find_rewards, resolve_reward
from reward.constant import ZeroReward, open_zero

OURS = {
    "accuracy": ("accuracy", True),
    "ensemble": ("ensemble:ARGUMENT", False),
    "eve": ("eve", True),
    "jerk": ("jerk", False),
    "learned": ("learned[:ARGUMENT]", False),
    "lve": ("lve", True),
    "zero": ("zero", False),
}


@pytest.mark.parametrize("name", OURS)
def test_every_reward_of_ours_is_installed(name):
    """An entry point that was renamed would only fail when somebody asks for it."""
    found = find_rewards()[name]
    assert found.error is None
    assert (found.usage, found.needs_ground_truth) == OURS[name]
    assert found.package.startswith("esarm ")
    assert 10 < len(found.description) < 90
    assert callable(found.load())


@pytest.mark.parametrize("name", ["accuracy", "eve", "jerk", "lve", "zero"])
def test_what_is_listed_of_the_truth_is_what_the_reward_says(name, tiny_task):
    """The list is read before the choice; the reward is asked after it."""
    assert resolve_reward(name, tiny_task, None).needs_ground_truth == OURS[name][1]


def test_zero_scores_nothing_and_decodes_nothing(tiny_task, demonstrations, monkeypatch):
    """Speed of the environment is measured with it: decoding would be most of the time."""
    monkeypatch.setattr(type(tiny_task), "decode_chunks", None)
    zero = open_zero(tiny_task, None)
    scores = zero.score(demonstrations.trajectories)
    assert isinstance(zero, ZeroReward)
    assert scores.dtype == np.float32
    assert scores.tolist() == [0.0] * len(demonstrations)


def test_the_public_names_of_the_package_are_there_when_asked_for():
    """They are imported late, so that a name that is gone would not be noticed."""
    assert set(reward.__all__) == set(reward._HOMES)
    for name, home in reward._HOMES.items():
        assert getattr(reward, name) is getattr(importlib.import_module(f"reward.{home}"), name)
    with pytest.raises(AttributeError, match="module 'reward' has no attribute 'Nothing'"):
        reward.Nothing  # noqa: B018


def test_describing_our_rewards_loads_nothing_heavy():
    """`esarm rewards` would take seconds, most of them torch's."""
    code = (
        "import sys; from reward import constant, ensemble, learned, oracle, smoothness; "
        "print(sorted({'torch', 'scipy', 'librosa', 'stable_baselines3'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
