"""Checkpoints without pickle: what is saved comes back, and nothing in a file runs."""

from __future__ import annotations

import base64
import io
import json
import os
import re
import zipfile
from collections import OrderedDict, deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cloudpickle
import gymnasium
import numpy as np
import pytest
import safetensors.torch
import torch
from gymnasium import spaces
from stable_baselines3 import PPO
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.policies import BaseModel
from stable_baselines3.common.utils import FloatSchedule, LinearSchedule

from agents.cloning import BehaviourCloning
from agents.common.plain_data import decode, encode
from agents.common.sequence_algorithm import SequenceAlgorithm
from agents.grpo import SequenceGRPO
from agents.network.acceleration import Acceleration
from agents.policy import MotionPolicy
from agents.ppo import SequencePPO
from agents.reinforce import SequenceReinforce
from esarm_env.core.errors import InputError

Env = gymnasium.Env[Any, Any]
Make = Callable[..., SequenceAlgorithm]


class Runs:
    """Makes a folder when it is unpickled."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.folder),)


def changed(path: Path, name: str, change: Callable[[Any], Any]) -> None:
    """Rewrite the JSON entry `name` of a checkpoint."""
    with zipfile.ZipFile(path) as archive:
        parts = {each: archive.read(each) for each in archive.namelist()}
    parts[name] = json.dumps(change(json.loads(parts[name]))).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for each, content in parts.items():
            archive.writestr(each, content)


def pickled(value: Any) -> dict[str, str]:
    return {":type:": "x", ":serialized:": base64.b64encode(cloudpickle.dumps(value)).decode()}


@pytest.fixture
def saved(make_algorithm: Make, env: Env, tmp_path: Path) -> Path:
    """Return a checkpoint of an algorithm that has learnt."""
    make_algorithm(SequencePPO, env).learn(1).save(tmp_path / "agent")
    return tmp_path / "agent.zip"


VALUES = [
    None,
    True,
    -3,
    2**200,
    0.1,
    float("inf"),
    "text",
    [1, [2.5, None]],
    (1, ("a",)),
    deque([{"r": 1.0}], maxlen=5),
    {"a": {"b": 1}},
    {1: "x", (2, 3): "y"},
    {":kind:": "tensor", "name": "no tag of ours"},
    OrderedDict(a=1),
    Path("some/place"),
    Acceleration(bf16=True),
    MotionPolicy,
    torch.optim.AdamW,
    spaces.Discrete(5, start=2),
    spaces.MultiDiscrete([3, 4]),
    spaces.MultiBinary(3),
    spaces.Box(-1, 2, (3, 2), np.float32),
    spaces.Box(np.array([0, 5]), np.array([3, 9]), dtype=np.int64),
    spaces.Dict({"b": spaces.Box(0, 1, (2,), np.int8), "a": spaces.Discrete(3)}),
]


@pytest.mark.parametrize("value", VALUES, ids=[str(v)[:30] for v in VALUES])
def test_plain_values_come_back(value: Any) -> None:
    """A tuple that comes back as a list, or a key as a text, breaks a resumed run far away."""
    classes = {kind.__name__: kind for kind in (Acceleration, MotionPolicy)}
    tensors: dict[str, torch.Tensor] = {}
    written = json.loads(json.dumps(encode(value, tensors, name="x", classes=classes)))
    assert ":serialized:" not in str(written)
    read = decode(written, tensors, classes=classes)
    assert read == value
    assert type(read) is type(value) or isinstance(value, OrderedDict)


@pytest.mark.parametrize("dtype", ["bool", "int8", "uint8", "int64", "float32", "float64"])
def test_arrays_come_back_with_shape_and_type(dtype: str) -> None:
    """A float64 that comes back as a float32 is no exact resumption."""
    for value in (np.arange(6).reshape(2, 3).astype(dtype), np.array(1, dtype), np.zeros((0, 2))):
        tensors: dict[str, torch.Tensor] = {}
        read = decode(encode(value, tensors, name="x", classes={}), tensors, classes={})
        assert (read.dtype, read.shape) == (value.dtype, value.shape)
        np.testing.assert_array_equal(read, value)
    tensors = {}
    scalar = np.float64(0.1)
    read = decode(encode([scalar], tensors, name="x", classes={}), tensors, classes={})[0]
    assert (type(read), read) == (np.float64, scalar)


def test_schedules_of_sb3_come_back() -> None:
    """They are classes with numbers in them, and need no pickle."""
    for schedule in (LinearSchedule(1e-3, 1e-5, 0.5), FloatSchedule(LinearSchedule(1.0, 0.5, 1))):
        written = encode(schedule, {}, name="x", classes={})
        read = decode(json.loads(json.dumps(written)), {}, classes={})
        assert type(read) is type(schedule)
        assert [read(each) for each in (1, 0.7, 0.1)] == [schedule(e) for e in (1, 0.7, 0.1)]


@pytest.mark.parametrize("kind", [SequencePPO, SequenceReinforce, SequenceGRPO])
def test_a_file_is_json_and_safetensors(
    kind: Any, make_algorithm: Make, env: Env, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And loads where unpickling is forbidden altogether."""
    algorithm = make_algorithm(kind, env, learning_rate=LinearSchedule(1e-3, 1e-4, 1.0)).learn(1)
    algorithm.save(tmp_path / "agent")
    with zipfile.ZipFile(tmp_path / "agent.zip") as archive:
        assert archive.namelist() == ["data", "parameters", "tensors.safetensors"]
        tensors = safetensors.torch.load(archive.read("tensors.safetensors"))
        assert ":serialized:" not in archive.read("data").decode()
    name = "transformer.mix.weight"
    assert torch.equal(tensors[f"parameters/policy/{name}"], algorithm.policy.state_dict()[name])

    def forbidden(*_: Any, **__: Any) -> Any:
        raise AssertionError("something was unpickled")

    monkeypatch.setattr(cloudpickle, "loads", forbidden)
    monkeypatch.setattr(torch, "load", forbidden)
    loaded = kind.load(tmp_path / "agent", env=env)
    assert torch.equal(loaded.policy.state_dict()[name], algorithm.policy.state_dict()[name])
    assert loaded.get_parameters().keys() == algorithm.get_parameters().keys()
    other = make_algorithm(kind, env)
    other.set_parameters(tmp_path / "agent.zip")
    assert torch.equal(other.policy.state_dict()[name], algorithm.policy.state_dict()[name])
    loaded.learn(1)


def test_open_files_work_too(make_algorithm: Make, env: Env) -> None:
    """Stable-Baselines3 takes them, and so do uploads."""
    buffer = io.BytesIO()
    algorithm = make_algorithm(SequencePPO, env)
    algorithm.save(buffer)
    buffer.seek(0)
    assert SequencePPO.load(buffer).seed == algorithm.seed


@pytest.mark.parametrize("place", ["learning_rate", "lr_schedule", "_last_obs", "policy_kwargs"])
def test_code_in_a_file_does_not_run(saved: Path, tmp_path: Path, place: str) -> None:
    """Whoever sends a checkpoint could do anything on the machine that loads it."""
    trap = tmp_path / "ran"
    changed(saved, "data", lambda data: {**data, place: pickled(Runs(trap))})
    message = (
        f"{saved}: must hold plain data, got pickles, which may run any code when they are read: "
        f"`{place}` (x); if you trust who made the file, pass `allow_pickle=True`"
    )
    with pytest.raises(InputError, match=re.escape(message)):
        SequencePPO.load(saved)
    assert not trap.exists()
    if place == "lr_schedule":
        SequencePPO.load(saved, allow_pickle=True)
        assert trap.exists(), "who trusts the file gets what is in it"


def test_code_deep_in_a_file_does_not_run(saved: Path, tmp_path: Path) -> None:
    """Parameters and nested values are read by the same rule, also by `set_parameters`."""
    trap = tmp_path / "ran"
    changed(saved, "parameters", lambda parts: {**parts, "policy": [{"a": pickled(Runs(trap))}]})
    with pytest.raises(InputError, match="got pickles"):
        SequencePPO.load(saved)
    with pytest.raises(InputError, match="got pickles"):
        MakeShift.of(saved)
    assert not trap.exists()


class MakeShift:
    """`set_parameters` of an algorithm without an environment."""

    @staticmethod
    def of(path: Path) -> None:
        made: Any = object.__new__(SequencePPO)
        made.set_parameters(str(path))


def test_a_file_names_no_classes_but_those_allowed(saved: Path) -> None:
    """Importing what a file names runs what that module does."""
    for named in (
        {":kind:": "class", "class": "Popen"},
        {":kind:": "dataclass", "class": "Popen", "parts": {"args": "true"}},
        {":kind:": "space", "class": "Tuple", "parts": {}},
        {":kind:": "schedule", "class": "get_device", "parts": {}},
        {":kind:": "optimizer class", "class": "lr_scheduler"},
        {":kind:": "surprise", "class": "x"},
    ):
        changed(saved, "data", lambda data, named=named: {**data, "policy_class": named})
        with pytest.raises(InputError, match="must be a whole checkpoint of `save`, got"):
            SequencePPO.load(saved)


def test_functions_are_given_again_or_trusted(
    make_algorithm: Make, env: Env, tmp_path: Path
) -> None:
    """A learning rate that is a function cannot be plain data."""
    make_algorithm(SequencePPO, env, learning_rate=lambda left: 1e-3 * left).save(tmp_path / "a")
    with pytest.raises(InputError, match=re.escape("`learning_rate` (builtins.function)")):
        SequencePPO.load(tmp_path / "a", env=env)
    given = SequencePPO.load(tmp_path / "a", custom_objects={"learning_rate": lambda left: left})
    assert given.lr_schedule(0.5) == 0.5
    trusted = SequencePPO.load(tmp_path / "a", env=env, allow_pickle=True)
    assert trusted.lr_schedule(0.5) == 5e-4


def test_a_file_of_an_older_version_needs_trust(
    make_algorithm: Make, env: Env, tmp_path: Path
) -> None:
    """It is a pickle; saved again it is none."""
    algorithm = make_algorithm(SequencePPO, env).learn(1)
    BaseAlgorithm.save(algorithm, tmp_path / "old")
    with pytest.raises(InputError, match=re.escape("all of it (a version before safetensors)")):
        SequencePPO.load(tmp_path / "old", env=env)
    with pytest.raises(InputError, match="got pickles"):
        algorithm.set_parameters(str(tmp_path / "old"))
    loaded = SequencePPO.load(tmp_path / "old", env=env, allow_pickle=True)
    loaded.save(tmp_path / "new")
    again = SequencePPO.load(tmp_path / "new", env=env)
    for name, weights in algorithm.policy.state_dict().items():
        assert torch.equal(again.policy.state_dict()[name], weights)
    algorithm.set_parameters(str(tmp_path / "old"), allow_pickle=True)


def test_a_policy_of_its_own_file_runs_nothing(env: Env, tmp_path: Path) -> None:
    """`policy.load` of Stable-Baselines3 unpickles all of a file."""
    network = {"n_layers": 1, "n_heads": 2, "width": 16}
    policy = MotionPolicy(
        env.observation_space,  # type: ignore[arg-type]
        env.action_space,
        lambda _: 1e-3,
        network=network,
    )
    trap = tmp_path / "ran"
    torch.save({"data": Runs(trap), "state_dict": {}}, tmp_path / "evil.pt")
    with pytest.raises(InputError, match="got pickles"):
        MotionPolicy.load(str(tmp_path / "evil.pt"))
    assert not trap.exists()
    BaseModel.save(policy, str(tmp_path / "old.pt"))
    loaded = MotionPolicy.load(str(tmp_path / "old.pt"), allow_pickle=True)
    assert loaded.network == network


def test_cloning_goes_on_without_pickle(env: Env, network: dict[str, Any], tmp_path: Path) -> None:
    """Its demonstrations, settings, optimiser and random generators are in the file."""
    cloning = BehaviourCloning("MotionPolicy", env, policy_kwargs=network, n_epochs=3, seed=0)
    cloning.learn(1)
    cloning.save(tmp_path / "clone")
    with zipfile.ZipFile(tmp_path / "clone.zip") as archive:
        assert ":serialized:" not in archive.read("data").decode()
    assert BehaviourCloning.load(tmp_path / "clone", env=env).n_epochs_done == 1


DAMAGE: list[tuple[str, Callable[[bytes], bytes]]] = [
    ("empty", lambda content: b""),
    ("no zip", lambda content: b"something else" * 9),
    ("cut", lambda content: content[: len(content) // 2]),
    ("changed", lambda content: content.replace(b"observation_space", b"observation_sp\xff\xffe")),
]


@pytest.mark.parametrize("damage", [each[1] for each in DAMAGE], ids=[each[0] for each in DAMAGE])
def test_a_damaged_file_is_one_clear_line(saved: Path, damage: Callable[[bytes], bytes]) -> None:
    """Not a traceback of zipfile."""
    saved.write_bytes(damage(saved.read_bytes()))
    with pytest.raises(InputError, match=re.escape(f"{saved}: must be a whole checkpoint")):
        SequencePPO.load(saved)


@pytest.mark.parametrize(
    "change",
    [
        lambda data: {**data, "observation_space": 3},
        lambda data: {key: each for key, each in data.items() if key != "policy_class"},
        lambda data: {**data, "action_space": {":kind:": "space"}},
        lambda data: {**data, "_last_obs": {":kind:": "array", "name": "nowhere"}},
        lambda data: [data],
        lambda data: None,
    ],
)
def test_other_data_in_a_file_are_one_clear_line(saved: Path, change: Any) -> None:
    """Of whatever kind."""
    changed(saved, "data", change)
    with pytest.raises(InputError, match="checkpoint"):
        SequencePPO.load(saved)


def test_a_missing_file_is_one_clear_line(tmp_path: Path) -> None:
    """By its name."""
    with pytest.raises(InputError, match=re.escape(f"{tmp_path / 'none'}: must be a file that")):
        SequencePPO.load(tmp_path / "none")


def test_a_file_that_unpacks_to_a_bomb_is_refused(tmp_path: Path) -> None:
    """A few kilobytes of zip are a few gigabytes of zeros."""
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("data", "{}")
        archive.writestr("parameters", "{}")
        archive.writestr("tensors.safetensors", bytes(64_000_000))
    with pytest.raises(InputError, match="bytes that unpack to 64000004"):
        SequencePPO.load(tmp_path / "bomb.zip")


def test_a_write_that_fails_leaves_the_old_file(
    saved: Path, make_algorithm: Make, env: Env, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk must not take the last good checkpoint with it."""
    before = saved.read_bytes()

    def full(*_: Any, **__: Any) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(zipfile.ZipFile, "writestr", full)
    with pytest.raises(OSError, match="no space left"):
        make_algorithm(SequencePPO, env).save(saved)
    assert saved.read_bytes() == before


def test_a_file_of_a_stock_algorithm_is_not_unpickled(env: Env, tmp_path: Path) -> None:
    """Given to one of ours by mistake, or on purpose."""
    PPO("MultiInputPolicy", env, n_steps=8, batch_size=8).save(tmp_path / "stock")
    with pytest.raises(InputError, match="got pickles"):
        SequencePPO.load(tmp_path / "stock")


def test_a_checkpoint_of_another_algorithm_is_refused(saved: Path, env: Env) -> None:
    """Its settings mean other things, and training would go on without a word."""
    message = "the checkpoint must be one of SequenceGRPO, got one of SequencePPO"
    with pytest.raises(InputError, match=re.escape(message)):
        SequenceGRPO.load(saved, env=env)


def test_a_pipe_is_no_checkpoint(tmp_path: Path) -> None:
    """Opening it would wait for ever."""
    os.mkfifo(tmp_path / "agent.zip")
    with pytest.raises(InputError, match=re.escape("must be a file, got a folder, a FIFO or a")):
        SequencePPO.load(tmp_path / "agent")
