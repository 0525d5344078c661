"""Our rewards as plug-ins: every one is installed, described, and opens on a task."""

from __future__ import annotations

import configparser
import importlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import reward
from esarm_env.rewards import REWARD_GROUP, InstalledReward, find_rewards, resolve_reward
from reward.plugins.closure import open_closure
from reward.plugins.emotion import open_emotion
from reward.plugins.motion_alone import ZeroReward, open_liveliness, open_zero
from reward.plugins.oracle import open_closure_f1
from reward.plugins.synchrony import open_synchrony

OURS = {
    "accuracy": ("accuracy", True),
    "bond": ("bond:ARGUMENT", None),
    "closure": ("closure", False),
    "closure_f1": ("closure_f1", True),
    "emotion": ("emotion", False),
    "ensemble": ("ensemble:ARGUMENT", False),
    "eve": ("eve", True),
    "expected-error": ("expected-error[:ARGUMENT]", False),
    "http": ("http:ARGUMENT", None),
    "https": ("https:ARGUMENT", None),
    "jerk": ("jerk", False),
    "learned": ("learned[:ARGUMENT]", False),
    "likelihood": ("likelihood[:ARGUMENT]", False),
    "liveliness": ("liveliness", False),
    "lve": ("lve", True),
    "naturalness": ("naturalness[:ARGUMENT]", False),
    "synchrony": ("synchrony", False),
    "zero": ("zero", False),
}


def declared():
    """Return the rewards of `setup.cfg`, as an installation made from it would offer them."""
    file = configparser.ConfigParser()
    file.read(Path(__file__).parents[3] / "setup.cfg")
    lines = file["options.entry_points"][REWARD_GROUP].strip().splitlines()
    found = {}
    for name, place in (line.split(" = ") for line in lines):
        module, function = place.split(":")

        def source(module=module, function=function):
            return getattr(importlib.import_module(module), function)

        found[name] = InstalledReward(name, "esarm", source)
    return found


@pytest.mark.parametrize("name", OURS)
def test_every_reward_of_ours_is_declared(name):
    """An entry point that was renamed would only fail when somebody asks for it."""
    found = declared()[name]
    assert found.error is None
    assert (found.usage, found.needs_ground_truth) == OURS[name]
    assert 10 < len(found.description) < 90
    assert callable(found.load())


def test_all_that_is_declared_stands_in_the_list():
    """One that is missing here is checked by nothing."""
    assert set(declared()) == set(OURS)


def test_what_is_installed_is_what_is_declared():
    """An installation made before an entry point was added does not know it."""
    installed = {
        name: found for name, found in find_rewards().items() if found.package.startswith("esarm ")
    }
    if set(installed) != set(OURS):
        pytest.skip("installed from an older setup.cfg: run `pip install -e .` again")
    for name, found in declared().items():
        assert installed[name].load() is found.load()


@pytest.mark.parametrize("name", ["accuracy", "eve", "jerk", "lve", "zero"])
def test_what_is_listed_of_the_truth_is_what_the_reward_says(name, tiny_task):
    """The list is read before the choice; the reward is asked after it."""
    assert resolve_reward(name, tiny_task, None).needs_ground_truth == OURS[name][1]


@pytest.mark.parametrize(
    "factory", [open_closure, open_closure_f1, open_emotion, open_liveliness, open_synchrony]
)
def test_terms_stand_in_weighted_sums(factory, tiny_task, demonstrations):
    """What they are for: each is checked as every plug-in is, its scores fresh and finite."""
    from esarm_env.rewards import CombinedReward, RewardTerm

    name = factory.__name__.removeprefix("open_")
    terms = [RewardTerm("zero", 1.0, ZeroReward()), RewardTerm(name, 0.5, factory(tiny_task, None))]
    combined = CombinedReward(tiny_task.corpus, terms)
    total, raw = combined.score_terms(demonstrations.trajectories)
    assert combined.needs_ground_truth == OURS[name][1]
    np.testing.assert_allclose(total, 0.5 * raw[name], rtol=1e-6)
    assert np.ptp(raw[name]) > 0


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
        "import sys; from reward.plugins import closure, emotion, ensemble, learned, motion_alone; "
        "from reward.plugins import oracle, synchrony; import train.likelihood; "
        "print(sorted({'torch', 'scipy', 'librosa', 'stable_baselines3'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
