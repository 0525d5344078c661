"""Settings that were renamed: old spellings warn and work, and old files load without a word."""

from __future__ import annotations

import json
import re
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium
import pytest
from stable_baselines3.common.save_util import json_to_data

from agents import BehaviourCloning, CloneConfig, SequenceGRPO, SequencePPO, SequenceReinforce
from esarm_env.core.errors import InputError

Env = gymnasium.Env[Any, Any]
RENAMED = {"batch_size": "batch_tokens", "kl_target": "reference_kl_target"}


def warned(old: str, new: str) -> Any:
    rule = f"`{old}` is deprecated and goes with the next version; use `{new}`"
    return pytest.warns(DeprecationWarning, match=re.escape(rule))


@pytest.mark.parametrize(("old", "value"), [("batch_size", 96), ("kl_target", 0.02)])
@pytest.mark.parametrize("kind", [SequencePPO, SequenceGRPO])
def test_old_arguments_of_the_algorithms_work_and_warn(
    kind: Any, old: str, value: float, env: Env, network: dict[str, Any]
) -> None:
    """The constructor that takes it is not the one that is called: the user's line is to blame."""
    with warned(old, RENAMED[old]) as caught:
        algorithm = kind("MotionPolicy", env, policy_kwargs=network, **{old: value})
    assert caught[0].filename == __file__
    assert getattr(algorithm, RENAMED[old]) == value
    with warned(f"{kind.__name__}.{old}", f"{kind.__name__}.{RENAMED[old]}"):
        assert getattr(algorithm, old) == value
    with warned(f"{kind.__name__}.{old}", f"{kind.__name__}.{RENAMED[old]}"):
        setattr(algorithm, old, 2 * value)
    assert getattr(algorithm, RENAMED[old]) == 2 * value


def test_an_old_argument_beside_the_new_one_is_refused(env: Env) -> None:
    """One of them would be ignored."""
    rule = "`batch_size` must be left out beside `batch_tokens`, its new name, got 8 and 16"
    with pytest.raises(InputError, match=re.escape(rule)):
        SequencePPO("MotionPolicy", env, batch_size=8, batch_tokens=16)


def test_cloning_counts_sequences(env: Env, network: dict[str, Any]) -> None:
    """An utterance may have several demonstrations; a minibatch holds sequences."""
    with warned("batch_size", "batch_sequences"):
        cloning = BehaviourCloning("MotionPolicy", env, batch_size=3, policy_kwargs=network)
    assert cloning.config.batch_sequences == 3
    with warned("batch_size", "batch_sequences") as caught:
        config = CloneConfig(batch_size=5)
    assert caught[0].filename == __file__
    assert config == CloneConfig(batch_sequences=5)
    with warned("CloneConfig.batch_size", "CloneConfig.batch_sequences"):
        assert config.batch_size == 5


def rewrite(path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Change the settings in a file of Stable-Baselines3."""
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    data = json.loads(parts["data"])
    change(data)
    parts["data"] = json.dumps(data).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in parts.items():
            archive.writestr(name, content)


def as_it_was(data: dict[str, Any]) -> None:
    """Give settings the names that they had when older versions saved them."""
    for old, new in RENAMED.items():
        data[old] = data.pop(new)
    del data["_has_random_reference"]


@pytest.mark.parametrize("kind", [SequencePPO, SequenceGRPO, SequenceReinforce])
def test_a_file_of_an_older_version_keeps_its_settings(
    kind: Any, env: Env, network: dict[str, Any], tmp_path: Path
) -> None:
    """Under their old names they would be left aside, and training go on with the defaults."""
    minibatch = {} if kind is SequenceReinforce else {"batch_tokens": 77}
    settings = {"n_episodes": 8, "reference_kl_target": 0.03, **minibatch}
    algorithm = kind("MotionPolicy", env, policy_kwargs=network, **settings)
    algorithm.warm_start(algorithm.model)
    algorithm.save(tmp_path / "agent")
    rewrite(tmp_path / "agent.zip", as_it_was)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        loaded = kind.load(tmp_path / "agent", env=env)
        loaded.learn(1)
    assert loaded.batch_tokens == minibatch.get("batch_tokens")
    assert loaded.reference_kl_target == 0.03
    loaded.save(tmp_path / "again")
    with zipfile.ZipFile(tmp_path / "again.zip") as archive:
        data = json_to_data(archive.read("data").decode())
    assert not RENAMED.keys() & data.keys(), "saved again, it has the new names alone"


def test_settings_can_be_changed_while_an_old_file_is_loaded(
    env: Env, network: dict[str, Any], tmp_path: Path
) -> None:
    """What `load` is told is over what the file says, by the new name and by the old one."""
    SequencePPO("MotionPolicy", env, policy_kwargs=network, batch_tokens=77).save(tmp_path / "a")
    rewrite(tmp_path / "a.zip", as_it_was)
    assert SequencePPO.load(tmp_path / "a", batch_tokens=88).batch_tokens == 88
    with warned("batch_size", "batch_tokens"):
        assert SequencePPO.load(tmp_path / "a", batch_size=99).batch_tokens == 99


def test_a_pickled_configuration_of_an_older_version_keeps_its_settings() -> None:
    """`BehaviourCloning.save` pickles it; the class's default would stand where the value did."""
    config = CloneConfig(epochs=3)
    state = dict(config.__dict__)
    state["batch_size"] = state.pop("batch_sequences") + 11
    restored = object.__new__(CloneConfig)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        restored.__setstate__(state)  # type: ignore[attr-defined]
    assert restored == CloneConfig(epochs=3, batch_sequences=19)
