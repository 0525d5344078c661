"""Values in a checkpoint: every rule is one line that names the file, before anything is built."""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
import safetensors.torch
import torch
from gymnasium import spaces
from stable_baselines3 import PPO
from stable_baselines3.common.base_class import BaseAlgorithm

from agents.cloning import BehaviourCloning
from agents.common.sequence_algorithm import SequenceAlgorithm
from agents.grpo import SequenceGRPO
from agents.policy import MotionPolicy
from agents.ppo import SequencePPO
from agents.reinforce import SequenceReinforce
from esarm_env.core.errors import InputError

Make = Callable[..., SequenceAlgorithm]
Env = gymnasium.Env[Any, Any]
KIND = ":kind:"


def changed(path: Path, *names: str, part: str = "data", to: Any) -> None:
    """Rewrite a part of a checkpoint with the entry at `names` set to `to`."""
    with zipfile.ZipFile(path) as archive:
        parts = {each: archive.read(each) for each in archive.namelist()}
    content = json.loads(parts[part])
    place = content
    for name in names[:-1]:
        place = place[name]
    place[names[-1]] = to
    parts[part] = json.dumps(content).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for each, written in parts.items():
            archive.writestr(each, written)


def with_tensor(path: Path, name: str, change: Callable[[torch.Tensor], torch.Tensor]) -> None:
    """Rewrite a tensor of a checkpoint."""
    with zipfile.ZipFile(path) as archive:
        parts = {each: archive.read(each) for each in archive.namelist()}
    tensors = safetensors.torch.load(parts["tensors.safetensors"])
    tensors[name] = change(tensors[name]).contiguous()
    parts["tensors.safetensors"] = safetensors.torch.save(tensors)
    with zipfile.ZipFile(path, "w") as archive:
        for each, written in parts.items():
            archive.writestr(each, written)


_SAVED: list[bytes] = []


@pytest.fixture
def saved(make_algorithm: Make, env: Env, tmp_path: Path) -> Path:
    """Return a checkpoint of an algorithm that has learnt, a copy for every test."""
    path = tmp_path / "agent.zip"
    if not _SAVED:
        make_algorithm(SequencePPO, env).learn(1).save(path)
        _SAVED.append(path.read_bytes())
    path.write_bytes(_SAVED[0])
    return path


NAN, LARGE = float("nan"), 10**12
VALUES: list[tuple[str, Any, str]] = [
    ("learning_rate", "1e-3", "`learning_rate` must be a finite number of at least 0, or a"),
    ("learning_rate", NAN, "`learning_rate` must be a finite number of at least 0"),
    ("learning_rate", -1e-3, "`learning_rate` must be a finite number of at least 0"),
    ("learning_rate", [1e-3], "`learning_rate` must be a finite number of at least 0"),
    ("gamma", NAN, "`gamma` must be a number from 0 to 1, got nan"),
    ("gamma", "1", "`gamma` must be a number from 0 to 1, got '1'"),
    ("gae_lambda", 1.1, "`gae_lambda` must be a number from 0 to 1, got 1.1"),
    ("n_envs", LARGE, "`n_envs` must be a whole number from 1 to 65536, got 1000000000000"),
    ("n_envs", True, "`n_envs` must be a whole number from 1 to 65536, got True"),
    ("num_timesteps", -1, "`num_timesteps` must be a whole number of at least 0, got -1"),
    ("num_timesteps", 1.5, "`num_timesteps` must be a whole number of at least 0, got 1.5"),
    ("n_iterations", "3", "`n_iterations` must be a whole number of at least 0, got '3'"),
    ("_n_updates", None, "`_n_updates` must be a whole number of at least 0, got None"),
    ("n_episodes", 7, "`n_episodes` must be a positive multiple of `samples_per_utterance`"),
    ("n_epochs", 0, "`n_epochs` must be a whole number of at least 1, got 0"),
    ("batch_tokens", -5, "`batch_tokens` must be a whole number of at least 1, or None, got -5"),
    ("seed", -1, "`seed` must be a whole number from 0 to 4294967295, or None, got -1"),
    ("verbose", 10**9, "`verbose` must be a whole number from 0 to 2, got 1000000000"),
    ("clip_range", 0, "`clip_range` must be a number above 0, got 0"),
    ("temperature", 1e-30, "`temperature` must be at least"),
    ("kl_coef", NAN, "`kl_coef` must be a number of at least 0, got nan"),
    ("max_grad_norm", "x", "`max_grad_norm` must be a number of at least 0, got 'x'"),
    ("loss_mean", "median", "`loss_mean` must be one of token, sequence, got 'median'"),
    ("stream_advantages", 1, "`stream_advantages` must be True or False, got 1"),
    ("credit", 1, "`credit` must be a text, got 1"),
    ("credit", "token", "`credit` must be one of terminal, chunk, got 'token'"),
    ("chunk_discount", NAN, "`chunk_discount` must be a number from 0 to 1, got nan"),
    ("look_ahead_chunks", 0.5, "`look_ahead_chunks` must be a whole number of at least 0, got 0.5"),
    ("spread_coef", -1, "`spread_coef` must be a number of at least 0, got -1"),
    ("normalise_terms", "x", "`normalise_terms` must be True or False, got 'x'"),
    ("policy_kwargs", [1], "`policy_kwargs` must be a mapping by text, got [1]"),
    ("tensorboard_log", 5, "`tensorboard_log` must be the path of a folder, or None, got 5"),
    ("_stats_window_size", 0, "`_stats_window_size` must be a whole number from 1"),
    ("ep_info_buffer", [1], "`ep_info_buffer` must be a deque of episodes with `r` and `l`"),
    ("_last_obs", 3, "`_last_obs` must be arrays, or None, got 3"),
    ("task_fingerprint", {"corpus": 1}, "`task_fingerprint` must be a text by name, or None"),
    ("learn", 5, "`learn` must be left out: SequencePPO has a method of it, got 5"),
    ("policy", {}, "`policy` must be left out: `load` makes it, got {}"),
    ("policy_class", {KIND: "class", "class": "Acceleration"}, "`policy_class` must be one of"),
    ("acceleration", 3, "`acceleration`"),
]


@pytest.mark.parametrize(("name", "value", "rule"), VALUES, ids=[f"{v[0]}-{v[1]}" for v in VALUES])
def test_a_value_out_of_its_range_is_one_clear_line(
    saved: Path, name: str, value: Any, rule: str
) -> None:
    """A NaN for a discount trains to nothing, and a text for a rate ended in an assertion."""
    changed(saved, name, to=value)
    with pytest.raises(InputError, match=re.escape(f"{saved}: ") + ".*" + re.escape(rule)) as found:
        SequencePPO.load(saved)
    assert "\n" not in str(found.value)


def schedule(start: Any) -> dict[str, Any]:
    parts = {"start": start, "end": 0.0, "end_fraction": 1.0}
    return {KIND: "schedule", "class": "LinearSchedule", "parts": parts}


@pytest.mark.parametrize("start", ["x", NAN, -1.0, None])
def test_a_schedule_of_no_numbers_is_one_clear_line(saved: Path, start: Any) -> None:
    """It is called in the middle of a training."""
    changed(saved, "learning_rate", to=schedule(start))
    with pytest.raises(InputError, match="`learning_rate` must be a finite number"):
        SequencePPO.load(saved)
    changed(saved, "learning_rate", to=schedule(1e-3))
    assert SequencePPO.load(saved).lr_schedule(1.0) == 1e-3


SIZES: list[tuple[Any, str]] = [
    ({"n_layers": 10**6}, "sizes of a larger network than it has weights for"),
    ({"n_layers": 10**9}, "sizes of a larger network than it has weights for"),
    ({"width": 10**6}, "sizes of a larger network than it has weights for"),
    ({"content_dim": 10**5, "emotion_dim": 10**5}, "sizes of a larger network"),
    ({"width": -4}, "`policy_kwargs` must be what a policy can be built with"),
    ({"width": "x"}, "`policy_kwargs` must be what a policy can be built with"),
    ({"other": 1}, "`policy_kwargs` must be what a policy can be built with"),
    (3, "`policy_kwargs` must be what a policy can be built with"),
]


@pytest.mark.parametrize(("sizes", "rule"), SIZES, ids=[str(each[0]) for each in SIZES])
def test_sizes_are_held_against_the_weights_before_anything_is_built(
    saved: Path, monkeypatch: pytest.MonkeyPatch, sizes: Any, rule: str
) -> None:
    """A file of kilobytes that asks for a million layers took minutes, and then the memory."""
    changed(saved, "policy_kwargs", "network", to=sizes)
    monkeypatch.setattr(SequencePPO, "_setup_model", lambda self: pytest.fail("it was built"))
    with pytest.raises(InputError, match=re.escape(f"{saved}: ") + ".*" + re.escape(rule)):
        SequencePPO.load(saved)


def test_sizes_of_spaces_are_held_against_the_weights(saved: Path) -> None:
    """The number of tokens comes from the action space, which is in the file, too."""
    changed(saved, "action_space", "parts", "n", to=LARGE)
    with pytest.raises(InputError, match=re.escape(f"{saved}: `policy_kwargs` must be those of")):
        SequencePPO.load(saved)


@pytest.mark.parametrize("longest", [0, -1, 2**40])
def test_an_episode_of_no_length_is_one_clear_line(saved: Path, longest: int) -> None:
    """Caches are as long as the longest episode, and take the memory at the first `predict`."""
    name = "data/observation_space/spaces/step/high"
    with_tensor(saved, name, lambda high: torch.full_like(high, longest))
    with pytest.raises(InputError, match=re.escape(f"{saved}: ")):
        SequencePPO.load(saved)


@pytest.mark.parametrize("longest", [0.5, "9", 2**40, -3])
def test_a_length_of_the_policys_own_is_one_clear_line(saved: Path, longest: Any) -> None:
    """As the bound of the space is, in whose place it is."""
    changed(saved, "policy_kwargs", "max_length", to=longest)
    with pytest.raises(InputError, match=re.escape(f"{saved}: `policy_kwargs` must")):
        SequencePPO.load(saved)


WEIGHT = "parameters/policy/transformer.mix.weight"
MOMENT = "parameters/policy.optimizer/state/0/exp_avg"
TENSORS: list[tuple[str, Callable[[torch.Tensor], torch.Tensor], str]] = [
    (WEIGHT, lambda each: each * NAN, "`policy.transformer.mix.weight` must be finite"),
    (WEIGHT, lambda each: each[:1], "`policy.transformer.mix.weight` must be a tensor of shape"),
    (MOMENT, lambda each: each * NAN, "`policy.optimizer.state.0.exp_avg` must be finite"),
    (MOMENT, lambda each: each[:1], "`policy.optimizer.state.0.exp_avg` must be finite, of shape"),
    ("parameters/reference/mix.weight", lambda each: each + 1e39, "`reference.mix.weight` must be"),
]


@pytest.mark.parametrize(("name", "change", "rule"), TENSORS)
def test_weights_that_do_not_fit_are_one_clear_line(
    saved: Path, make_algorithm: Make, env: Env, name: str, change: Any, rule: str
) -> None:
    """By `load` and by `set_parameters`, which leaves an algorithm as it was."""
    with_tensor(saved, name, change)
    with pytest.raises(InputError, match=re.escape(f"{saved}: {rule}")):
        SequencePPO.load(saved)
    algorithm = make_algorithm(SequencePPO, env)
    before = {key: each.clone() for key, each in algorithm.policy.state_dict().items()}
    with pytest.raises(InputError, match=re.escape(f"{saved}: {rule}")):
        algorithm.set_parameters(saved)
    assert all(
        torch.equal(each, before[key]) for key, each in algorithm.policy.state_dict().items()
    )


GROUPS: list[tuple[tuple[str, ...], Any, str]] = [
    (("lr",), "x", "`policy.optimizer.lr` must be like"),
    (("betas",), [0.9], "`policy.optimizer.betas` must be like (0.9, 0.999)"),
    (("eps",), NAN, "`policy.optimizer.eps` must be like 1e-08, got nan"),
    (("fused",), "yes", "`policy.optimizer.fused` must be like True, got 'yes'"),
    (("params",), [0], "`policy.optimizer.params` must be like"),
]


@pytest.mark.parametrize(("names", "value", "rule"), GROUPS, ids=[each[0][0] for each in GROUPS])
def test_settings_of_an_optimiser_are_checked(
    saved: Path, names: tuple[str, ...], value: Any, rule: str
) -> None:
    """They are used at the first update, hours after the file was read."""
    with zipfile.ZipFile(saved) as archive:
        groups = json.loads(archive.read("parameters"))["policy.optimizer"]["param_groups"]
    groups[0][names[0]] = value
    changed(saved, "policy.optimizer", "param_groups", part="parameters", to=groups)
    with pytest.raises(InputError, match=re.escape(f"{saved}: {rule}")):
        SequencePPO.load(saved)


@pytest.mark.parametrize(
    "parameters", [{}, {"policy": 3}, {"policy": {}}, {"learn": {}}, {"policy.optimizer": []}]
)
def test_other_parameters_are_one_clear_line(
    saved: Path, make_algorithm: Make, env: Env, parameters: Any
) -> None:
    """From a file, or as a dictionary."""
    with pytest.raises(InputError, match="`load_path_or_dict`: "):
        make_algorithm(SequencePPO, env).set_parameters(parameters)
    for name in ("policy", "policy.optimizer", "reference"):
        changed(saved, name, part="parameters", to=parameters.get(name, 1))
    with pytest.raises(InputError, match=re.escape(f"{saved}: ")):
        SequencePPO.load(saved)


@pytest.mark.parametrize(
    ("kind", "name", "value", "rule"),
    [
        (SequenceGRPO, "samples_per_utterance", 1, "`samples_per_utterance` must be at least 2"),
        (SequenceGRPO, "clip_range", NAN, "`clip_range` must be a number above 0, got nan"),
        (SequenceReinforce, "baseline", "x", "`baseline` must be one of none, mean, moving_mean"),
        (SequenceReinforce, "_moving_means", {"": NAN}, "`_moving_means` must be a finite number"),
    ],
)
def test_settings_of_each_algorithm_are_checked(
    make_algorithm: Make, env: Env, tmp_path: Path, kind: Any, name: str, value: Any, rule: str
) -> None:
    """By the very checks of its constructor."""
    make_algorithm(kind, env).save(tmp_path / "agent.zip")
    changed(tmp_path / "agent.zip", name, to=value)
    with pytest.raises(InputError, match=re.escape(rule)):
        kind.load(tmp_path / "agent.zip")


def test_what_a_caller_gives_is_checked_as_what_a_file_holds(saved: Path) -> None:
    """A misspelt argument of `load` was taken for an attribute, and changed nothing."""
    with pytest.raises(InputError, match=re.escape("`gamma` must be a number from 0 to 1,")):
        SequencePPO.load(saved, gamma=NAN)
    with pytest.raises(InputError, match=re.escape("got `gama`; did you mean `gamma`?")):
        SequencePPO.load(saved, gama=0.9)
    with pytest.raises(InputError, match=re.escape("`temperature` must be at least")):
        SequencePPO.load(saved, temperature=1e-30)
    assert SequencePPO.load(saved, gamma=0.9).gamma == 0.9


def test_infinite_bounds_are_still_allowed(make_algorithm: Make, env: Env, tmp_path: Path) -> None:
    """No clipping is written as infinity, which JSON here has."""
    given = {"max_grad_norm": float("inf"), "clip_range": float("inf"), "batch_tokens": None}
    make_algorithm(SequencePPO, env, **given).save(tmp_path / "agent")
    loaded = SequencePPO.load(tmp_path / "agent", env=env)
    assert {name: getattr(loaded, name) for name in given} == given


def test_a_trusted_file_of_another_algorithm_is_one_clear_line(env: Env, tmp_path: Path) -> None:
    """It ended in an `AttributeError` where a policy of ours was looked for."""
    PPO("MultiInputPolicy", env, n_steps=8, batch_size=8).save(tmp_path / "stock")
    rule = "`policy_class` must be one of MotionPolicy or a subclass, got MultiInputActorCritic"
    for env_or_none in (None, env):
        with pytest.raises(InputError, match=re.escape(rule)):
            SequencePPO.load(tmp_path / "stock", env=env_or_none, allow_pickle=True)
    with pytest.raises(InputError, match=re.escape(f"{tmp_path / 'stock'}")):
        MotionPolicy.load(str(tmp_path / "stock.zip"), allow_pickle=True)
    torch.save({"something": "else"}, tmp_path / "other.zip")
    with pytest.raises(InputError, match=re.escape(f"{tmp_path / 'other.zip'}")):
        SequencePPO.load(tmp_path / "other.zip", allow_pickle=True)
    with pytest.raises(InputError, match=re.escape(f"{tmp_path / 'other.zip'}")):
        MotionPolicy.load(str(tmp_path / "other.zip"), allow_pickle=True)


def test_values_of_a_trusted_file_are_checked_too(
    make_algorithm: Make, env: Env, tmp_path: Path
) -> None:
    """Who trusts that no code is run has not said that the numbers are right."""
    algorithm = make_algorithm(SequencePPO, env)
    algorithm.gamma = NAN
    BaseAlgorithm.save(algorithm, tmp_path / "old")
    with pytest.raises(InputError, match=re.escape("`gamma` must be a number from 0 to 1,")):
        SequencePPO.load(tmp_path / "old", allow_pickle=True)


@pytest.mark.parametrize(
    ("names", "value", "rule"),
    [
        (("network", "n_layers"), 10**6, "sizes of a larger network than it has weights for"),
        (("network", "width"), 10**6, "sizes of a larger network than it has weights for"),
        (("max_length",), 2**40, "sizes of a larger network than it has weights for"),
        (("observation_space",), 3, "`observation_space` must have"),
        (("other",), 3, "`policy_kwargs` must be what a policy can be built with"),
    ],
)
def test_values_of_a_policys_own_file_are_checked(
    env: Env, tmp_path: Path, names: tuple[str, ...], value: Any, rule: str
) -> None:
    """It holds the sizes and the spaces that the network is built from."""
    assert isinstance(env.observation_space, spaces.Dict)
    assert isinstance(env.action_space, spaces.Discrete)
    network = {"n_layers": 1, "n_heads": 2, "width": 16}
    policy = MotionPolicy(env.observation_space, env.action_space, lambda _: 1e-3, network=network)
    path = tmp_path / "policy.zip"
    policy.save(str(path))
    assert MotionPolicy.load(str(path)).network == network
    changed(path, *names, to=value)
    with pytest.raises(InputError, match=re.escape(f"{path}: ") + ".*" + re.escape(rule)):
        MotionPolicy.load(str(path))


@pytest.fixture
def cloned(env: Env, network: dict[str, Any], tmp_path: Path) -> Path:
    """Return a checkpoint of a cloning after its first epoch."""
    cloning = BehaviourCloning("MotionPolicy", env, policy_kwargs=network, n_epochs=3, seed=0)
    cloning.learn(1)
    cloning.save(tmp_path / "clone")
    return tmp_path / "clone.zip"


@pytest.mark.parametrize(
    ("name", "value", "rule"),
    [
        ("learning_rate", "x", "`CloneConfig.learning_rate` must be of type float, got 'x'"),
        ("learning_rate", NAN, "`CloneConfig.learning_rate` must be of type float, got nan"),
        ("epochs", 1.5, "`CloneConfig.epochs` must be of type int, got 1.5"),
        ("epochs", 0, "`epochs` must be at least 1, got 0"),
        ("batch_sequences", 0, "`batch_sequences` must be at least 1, got 0"),
        ("weight_decay", -1.0, "`weight_decay` must be at least 0 and finite, got -1.0"),
    ],
)
def test_settings_of_a_cloning_are_checked(cloned: Path, name: str, value: Any, rule: str) -> None:
    """They are a dataclass in the file, whose fields could be anything."""
    changed(cloned, "config", "parts", name, to=value)
    with pytest.raises(InputError, match=re.escape(f"{cloned}: ") + ".*" + re.escape(rule)):
        BehaviourCloning.load(cloned)


@pytest.mark.parametrize(
    ("names", "value"),
    [
        (("n_done",), -1),
        (("n_done",), "1"),
        (("best_loss",), None),
        (("best",), {}),
        (("optimizer",), 3),
        (("numpy",), {}),
        (("torch",), 5),
    ],
)
def test_progress_of_a_cloning_is_checked(
    cloned: Path, env: Env, names: tuple[str, ...], value: Any
) -> None:
    """Only a task can tell whether it fits, so that `learn` is where it is read."""
    changed(cloned, "_progress", *names, to=value)
    with pytest.raises(InputError, match=re.escape(f"{cloned}: `_progress` must be that of a")):
        BehaviourCloning.load(cloned, env=env).learn(1)


def test_demonstrations_of_a_file_must_be_of_the_task(cloned: Path, env: Env) -> None:
    """Tokens that no codebook has were looked up all the same."""
    with_tensor(
        cloned,
        "data/demonstrations/tokens",
        lambda each: torch.where(each >= 0, torch.full_like(each, 99), each),
    )
    with pytest.raises(ValueError, match=re.escape("`tokens` must be below 4, got 99")):
        BehaviourCloning.load(cloned, env=env, custom_objects={"task_fingerprint": None}).learn(1)


@pytest.mark.parametrize("value", ["1e-3", NAN, -1.0, np.inf])
def test_a_learning_rate_of_the_constructor_is_checked(
    make_algorithm: Make, env: Env, value: Any
) -> None:
    """It ended in an assertion of Stable-Baselines3, or in weights of NaN."""
    with pytest.raises(InputError, match=re.escape("`learning_rate` must be a finite number")):
        make_algorithm(SequencePPO, env, learning_rate=value)
