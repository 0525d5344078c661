"""Stock PPO and A2C with the network: they learn, save and load, and refuse what does not fit."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from gymnasium import spaces
from stable_baselines3 import A2C, PPO
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm
from stable_baselines3.common.type_aliases import DictRolloutBufferSamples
from stable_baselines3.common.vec_env import VecEnv
from torch import Tensor

from agents.network.transformer import MotionTransformer, PolicyConfig
from agents.stock import TransformerActorCriticPolicy, policy_kwargs_of
from agents.weights import load_policy, save_policy
from esarm_env.task.animation_task import AnimationTask

MakeVecEnv = Callable[..., VecEnv]
MakeNetwork = Callable[..., MotionTransformer]
MakePolicy = Callable[..., TransformerActorCriticPolicy]
Kind = type[OnPolicyAlgorithm]

_SETTINGS: dict[Kind, dict[str, Any]] = {
    PPO: {"n_steps": 16, "batch_size": 32, "n_epochs": 2},
    A2C: {"n_steps": 8},
}


def _algorithm(kind: Kind, venv: VecEnv, clone: MotionTransformer) -> OnPolicyAlgorithm:
    algorithm = kind(
        TransformerActorCriticPolicy,
        venv,
        policy_kwargs=policy_kwargs_of(clone, venv.observation_space),
        seed=0,
        **_SETTINGS[kind],
    )
    _policy_of(algorithm).load_clone(clone)
    return algorithm


def _policy_of(algorithm: OnPolicyAlgorithm) -> TransformerActorCriticPolicy:
    assert isinstance(algorithm.policy, TransformerActorCriticPolicy)
    return algorithm.policy


def _vector(algorithm: OnPolicyAlgorithm) -> Tensor:
    return torch.nn.utils.parameters_to_vector(algorithm.policy.parameters()).detach().clone()


@pytest.mark.parametrize("kind", [PPO, A2C])
def test_stock_algorithms_learn(
    make_venv: MakeVecEnv, clone: MotionTransformer, kind: Kind
) -> None:
    """Stock code calls the policy its own way; warnings are errors here, as everywhere."""
    algorithm = _algorithm(kind, make_venv(), clone)
    before = _vector(algorithm)
    algorithm.learn(128)
    after = _vector(algorithm)
    assert algorithm.num_timesteps == 128
    assert bool(after.isfinite().all()) and (after - before).abs().max() > 1e-4


def _record_ratios(algorithm: OnPolicyAlgorithm, monkeypatch: pytest.MonkeyPatch) -> list[Tensor]:
    """Return a list that `learn` fills with the ratios of every minibatch."""
    latest: list[DictRolloutBufferSamples] = []
    ratios: list[Tensor] = []
    get, evaluate = algorithm.rollout_buffer.get, algorithm.policy.evaluate_actions

    def recording_get(batch_size: int | None) -> Iterator[DictRolloutBufferSamples]:
        for data in get(batch_size):
            latest[:] = [data]  # type: ignore[list-item]
            yield data  # type: ignore[misc]

    def recording_evaluate(obs: Any, actions: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        assert algorithm.policy.training, "the update is where dropout would be active"
        output = evaluate(obs, actions)
        ratios.append((output[1].detach() - latest[0].old_log_prob).exp())
        return output

    monkeypatch.setattr(algorithm.rollout_buffer, "get", recording_get)
    monkeypatch.setattr(algorithm.policy, "evaluate_actions", recording_evaluate)
    return ratios


def test_the_first_ratio_is_one(
    make_venv: MakeVecEnv, clone: MotionTransformer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a dropout of 0.5 in the update, another policy learns than the one that acted."""
    assert clone.config.dropout == 0.5
    algorithm = _algorithm(PPO, make_venv(), clone)
    ratios = _record_ratios(algorithm, monkeypatch)
    algorithm.learn(64)
    torch.testing.assert_close(ratios[0], torch.ones(32), atol=1e-5, rtol=0)
    assert (ratios[-1] - 1).abs().max() > 1e-3, "the policy never moved"


def test_training_mode_leaves_dropout_off(
    make_venv: MakeVecEnv, make_policy: MakePolicy, clone: MotionTransformer
) -> None:
    """Stock algorithms switch training mode on before each update."""
    policy = make_policy(clone, make_venv())
    policy.set_training_mode(True)
    assert policy.training and not any(part.training for part in policy.transformer.modules())


def test_only_the_network_is_trained(
    make_venv: MakeVecEnv, make_policy: MakePolicy, clone: MotionTransformer
) -> None:
    """The perceptrons of stock policies, left in, would make a comparison of sizes unfair."""
    policy = make_policy(clone, make_venv())
    n_parameters = sum(parameter.numel() for parameter in clone.parameters())
    assert sum(parameter.numel() for parameter in policy.parameters()) == n_parameters


@pytest.mark.parametrize("kind", [PPO, A2C])
def test_a_saved_algorithm_plays_as_before(
    make_venv: MakeVecEnv, clone: MotionTransformer, tmp_path: Path, kind: Kind
) -> None:
    """Loading rebuilds the policy from its keywords, and then goes on learning."""
    venv = make_venv()
    algorithm = _algorithm(kind, venv, clone)
    algorithm.learn(32)
    algorithm.save(tmp_path / "model")
    loaded = kind.load(tmp_path / "model", env=make_venv())
    assert torch.equal(_vector(loaded), _vector(algorithm))
    obs: Any = venv.reset()
    ours, theirs = (each.predict(obs, deterministic=True)[0] for each in (algorithm, loaded))
    assert ours.tolist() == theirs.tolist()
    loaded.learn(32)


def test_a_saved_policy_plays_as_before(
    make_venv: MakeVecEnv, make_policy: MakePolicy, clone: MotionTransformer, tmp_path: Path
) -> None:
    """A policy alone must come back with its sizes and context."""
    venv = make_venv()
    policy = make_policy(clone, venv)
    policy.save(str(tmp_path / "policy"))
    loaded = TransformerActorCriticPolicy.load(str(tmp_path / "policy"))
    obs: Any = venv.reset()
    ours, theirs = (each.predict(obs, deterministic=True)[0] for each in (policy, loaded))
    assert ours.tolist() == theirs.tolist() and loaded.context == policy.context


def test_evaluate_policy_runs(make_venv: MakeVecEnv, clone: MotionTransformer) -> None:
    """The common way to score a model plays whole episodes, with observations at their ends."""
    algorithm = _algorithm(PPO, make_venv(2), clone)
    scored: Any = evaluate_policy(
        algorithm, make_venv(2), n_eval_episodes=3, return_episode_rewards=True
    )
    returns, lengths = scored
    assert returns == [0.0] * 3 and all(20 <= length <= 48 for length in lengths)


def test_a_clone_from_a_file_is_taken(
    make_venv: MakeVecEnv, clone: MotionTransformer, tmp_path: Path
) -> None:
    """Cloning hands its result over as a file; all its weights must arrive."""
    save_policy(clone, tmp_path / "clone.safetensors")
    algorithm = _algorithm(PPO, make_venv(), load_policy(tmp_path / "clone.safetensors"))
    weights = _policy_of(algorithm).transformer.state_dict()
    for name, value in clone.state_dict().items():
        assert torch.equal(weights[name], value), name


def test_the_end_of_the_longest_episode_has_a_value(
    make_venv: MakeVecEnv, make_policy: MakePolicy, clone: MotionTransformer
) -> None:
    """Stock code asks for the value of a last observation that another wrapper cut off."""
    venv = make_venv()
    obs: Any = venv.reset()
    ended = {key: torch.as_tensor(value) for key, value in obs.items()}
    longest = ended["tokens"].shape[1]
    ended |= {"step": torch.full((4, 1), longest), "tokens": torch.zeros(4, longest)}
    assert make_policy(clone, venv).predict_values(ended).shape == (4, 1)


def test_another_clone_is_refused(
    make_venv: MakeVecEnv, make_policy: MakePolicy, make_network: MakeNetwork,
    clone: MotionTransformer, tiny_task: AnimationTask,
) -> None:  # fmt: skip
    """Weights of other sizes fail deep inside torch, and equal shapes may be another network."""
    policy = make_policy(clone, make_venv())
    other = make_network(tiny_task, n_heads=4, n_layers=1)
    rule = (
        "`clone` must have the sizes of this policy, got n_layers 1 for 2, n_heads 4 for 2; "
        "make the policy with `policy_kwargs=policy_kwargs_of(clone, env.observation_space)`"
    )
    with pytest.raises(ValueError, match=re.escape(rule)):
        policy.load_clone(other)
    policy.load_clone(make_network(tiny_task, dropout=0.0))


@pytest.mark.parametrize("width", [-1, 2])
def test_a_clone_of_other_windows_is_refused(
    make_venv: MakeVecEnv, make_network: MakeNetwork, tiny_task: AnimationTask, width: int
) -> None:
    """A clone of another task hears features that mean something else."""
    chunk = tiny_task.chunk_dim
    window_dim = chunk * 3 - 1 if width < 0 else chunk * width
    rule = (
        f"`clone` must hear an odd number of chunks of {chunk} features, "
        f"got windows of {window_dim}"
    )
    with pytest.raises(ValueError, match=re.escape(rule)):
        policy_kwargs_of(
            make_network(tiny_task, window_dim=window_dim), make_venv().observation_space
        )


def _box(width: int) -> spaces.Box:
    return spaces.Box(0, 1, (width,))


def _spaces(**changed: spaces.Space[Any]) -> spaces.Dict:
    parts: dict[str, spaces.Space[Any]] = {
        "audio": _box(12), "audio_mask": _box(3), "condition": _box(5), "tokens": _box(6),
        "step": _box(1),
    }  # fmt: skip
    return spaces.Dict(parts | changed)


_KNOWN = [
    each for each in PolicyConfig.__dataclass_fields__
    if each not in ("n_tokens", "tokens_per_chunk", "window_dim", "condition_dim")
]  # fmt: skip

_WRONG: list[tuple[dict[str, Any], str]] = [
    (
        {"observation_space": spaces.Dict({"audio": _box(12), "step": _box(1)})},
        "`observation_space` must have ['audio_mask', 'condition', 'tokens'], got none of them; "
        "make the environment with `observation='full_sequence'`",
    ),
    (
        {"observation_space": _box(3)},
        "`observation_space` must have ['audio', 'audio_mask', 'condition', 'step', 'tokens'], "
        "got none of them; make the environment with `observation='full_sequence'`",
    ),
    (
        {"observation_space": _spaces(audio=_box(13))},
        "`audio` must be a multiple of 3 (one entry of `audio_mask` per chunk), got 13",
    ),
    (
        {"observation_space": _spaces(tokens=_box(7))},
        "`tokens` must be a multiple of 3 (one entry of `audio_mask` per chunk), got 7",
    ),
    (
        {"action_space": spaces.MultiDiscrete([3, 3])},
        "`action_space` must be Discrete, got MultiDiscrete([3 3])",
    ),
    ({"network": {"layers": 2}}, f"`network` must have keys of {_KNOWN}, got ['layers']"),
    ({"network": {"n_tokens": 2}}, f"`network` must have keys of {_KNOWN}, got ['n_tokens']"),
    ({"context": -1}, "`context` must be at least 0, got -1"),
    ({"use_sde": True}, "`use_sde` must be False (tokens are discrete), got True"),
]


@pytest.mark.parametrize(("changed", "rule"), _WRONG)
def test_what_does_not_fit_is_refused(changed: dict[str, Any], rule: str) -> None:
    """A network of guessed sizes would learn from misread observations."""
    fitting = {"observation_space": _spaces(), "action_space": spaces.Discrete(3)}
    with pytest.raises(ValueError, match=re.escape(rule)):
        TransformerActorCriticPolicy(lr_schedule=lambda _: 1e-3, **{**fitting, **changed})


def test_the_least_that_fits_is_allowed() -> None:
    """One chunk of one token, and no neighbours, is a small task but no mistake."""
    tiny = _spaces(audio=_box(4), audio_mask=_box(1), tokens=_box(1))
    policy = TransformerActorCriticPolicy(tiny, spaces.Discrete(1), lambda _: 1e-3, context=0)
    assert policy.transformer.config.window_dim == 4
    assert policy.transformer.config.tokens_per_chunk == 1
