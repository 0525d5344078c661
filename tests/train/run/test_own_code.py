"""Algorithms and rewards of one's own in the settings of a run, and which of them are run."""

import re
import sys

import pytest

from agents.registry import ALGORITHMS
from esarm_env.core.errors import InputError
from esarm_env.core.workers.pool import BY_VALUE
from esarm_env.rewards.registry import REWARDS
from train.run import own_code
from train.run.config import from_dict, make_config, to_dict
from train.run.setting_ranges import check_settings

OWN = '''
from agents import SequencePPO


class Mild(SequencePPO):
    """PPO of one's own."""


class Calm:
    """Reward of one's own."""

    needs_ground_truth = False

    def __init__(self, task, run):
        pass

    def score(self, trajectories):
        return [0.0] * len(trajectories)


value = 3
'''


@pytest.fixture(autouse=True)
def fresh(monkeypatch):
    """Registries and memory as in a new process."""
    for registry in (ALGORITHMS, REWARDS):
        monkeypatch.setattr(registry, "_registered", {})
    for memory in ("_named", "_registered"):
        monkeypatch.setattr(own_code, memory, set())
    yield
    for name in ("mine", "esarm_own_mine"):
        sys.modules.pop(name, None)
        BY_VALUE.discard(name)


@pytest.fixture
def file(tmp_path):
    """A file with an algorithm, a reward and something else."""
    path = tmp_path / "mine.py"
    path.write_text(OWN)
    return path


def test_own_classes_are_named_in_settings_and_called_by_their_names(file):
    """Without a package with entry points, no run could train a user's ten lines."""
    config = make_config(
        preset="demo",
        overrides=[
            f"improve.algorithms=['{file}:Mild', ppo]",
            f"improve.reward={{'{file}:Calm': 1, jerk: -0.1}}",
        ],
    )
    assert config.improve.algorithms == ("Mild", "ppo")
    assert config.improve.reward == {"Calm": 1.0, "jerk": -0.1}
    assert config.improve.code == (f"{file}:Mild", f"{file}:Calm")
    assert from_dict(to_dict(config)) == config
    for _ in range(2):  # every stage checks its settings
        check_settings(config, ["improve"])
    assert ALGORITHMS.load("Mild", setting="x").__doc__ == "PPO of one's own."
    assert "Calm" in REWARDS.names()


def test_modules_of_the_working_folder_are_found(file, monkeypatch):
    """As `python -m` finds them."""
    monkeypatch.chdir(file.parent)
    config = make_config(preset="demo", overrides=["improve.algorithms=[mine:Mild]"])
    check_settings(config, ["improve"])
    assert ALGORITHMS.load("Mild", setting="x").__module__ == "mine"


def test_code_that_only_a_file_names_is_not_run(file, tmp_path):
    """A run of somebody else would run any file of ours, or of its own."""
    (tmp_path / "run.yaml").write_text(f"improve:\n  algorithms: ['{file}:Mild']\n")
    config = make_config(preset="demo", file=tmp_path / "run.yaml")
    file.write_text("raise SystemExit('run')")
    message = f"`improve.code` must be named where it is run, got '{file}:Mild' from a run's"
    with pytest.raises(InputError, match=re.escape(message)):
        check_settings(config, ["improve"])


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("mine.py:Wild", "AttributeError: module 'esarm_own_mine' has no attribute 'Wild'"),
        ("mine.py:value", "must be a class under its own name, got 'mine.py:value', int"),
        ("none.py:Mild", "got 'none.py:Mild': FileNotFoundError"),
        ("no_such_module:Mild", "got 'no_such_module:Mild': ModuleNotFoundError"),
    ],
)
def test_what_cannot_be_imported_is_told(file, monkeypatch, name, message):
    """Before the first stage works, and by one line."""
    monkeypatch.chdir(file.parent)
    config = make_config(preset="demo", overrides=[f"improve.algorithms=[{name}]"])
    with pytest.raises(InputError, match=re.escape(message)):
        check_settings(config)
