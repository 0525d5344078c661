"""`predict(deterministic=True)` by choice: greedily or by expected distance, in both policies."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from stable_baselines3 import PPO

from agents import Decoding, MotionPolicy, MotionTransformer, SequencePPO, policy_kwargs_of
from agents.protocols import FloatArray, SequenceTask
from agents.rollout.generation import generate
from agents.stock import TransformerActorCriticPolicy
from esarm_env import InputError
from esarm_env.core.seeds import sequence_seeds
from esarm_env.task.animation_task import AnimationTask

Env = gymnasium.Env[Any, Any]
MakeEnv = Callable[..., Env]
MakeModel = Callable[..., MotionTransformer]

_GREEDY, _BY_DISTANCE = Decoding(), Decoding(expected_distance=True)
_SIZES = {"n_layers": 2, "n_heads": 2, "width": 16}


def _distances(task: SequenceTask) -> FloatArray:
    """Return distances in which the codes 0 and 3, that the network likes, stand far from all."""
    shape = (task.tokens_per_chunk, task.n_tokens, task.n_tokens)
    table = np.ones(shape, dtype=np.float32)
    table[:, [0, 3]] += 5
    table[:, :, [0, 3]] += 5
    table[:, np.arange(task.n_tokens), np.arange(task.n_tokens)] = 0
    return table


@pytest.fixture
def model(model: MotionTransformer) -> MotionTransformer:
    """Return a network that is less sure: what it would rather write is not all it weighs."""
    with torch.no_grad():
        model.to_logits.mul_(0.3)
    return model


def _policy(env: Env, model: MotionTransformer, **options: Any) -> MotionPolicy:
    space: Any = env.observation_space
    action_space: Any = env.action_space
    policy = MotionPolicy(space, action_space, lambda _: 1e-3, network=_SIZES, **options)
    policy.transformer.load_state_dict(model.state_dict())
    return policy


def _written(model: MotionTransformer, task: SequenceTask, decoding: Decoding) -> list[int]:
    chosen = np.array([11])
    seeds = sequence_seeds(run_seed=0, iteration=0, utterances=chosen, samples=0)
    condition = task.condition_of(chosen)
    rollout = generate(model, task, chosen, condition=condition, decoding=decoding, seeds=seeds)
    return rollout.tokens[0].tolist()


def _predicted(policy: Any, env: Env) -> list[int]:
    """Return the tokens of one episode, through `predict` alone."""
    obs, _ = env.reset(seed=0)
    state, tokens, ended = None, [], False
    while not ended:
        action, state = policy.predict(obs, state, deterministic=True)
        tokens.append(int(action))
        obs, _, ended, _, _ = env.step(action)
    return tokens


@pytest.mark.parametrize(
    ("choice", "decoding"),
    [
        ("auto", _BY_DISTANCE),
        ("expected-distance", _BY_DISTANCE),
        ("greedy", _GREEDY),
    ],
)
def test_predict_writes_what_generate_writes_by_that_decoding(
    make_env: MakeEnv,
    task: SequenceTask,
    model: MotionTransformer,
    choice: str,
    decoding: Decoding,
) -> None:
    """A table would be made by one and a callback's curve by the other."""
    model.set_code_distances(_distances(task))
    policy = _policy(make_env(task, [11]), model, deterministic_decoding=choice)
    assert _written(model, task, _GREEDY) != _written(model, task, _BY_DISTANCE)
    assert _predicted(policy, make_env(task, [11])) == _written(model, task, decoding)


def test_rows_at_different_steps_are_each_at_their_own_slot(
    make_env: MakeEnv, task: SequenceTask, model: MotionTransformer
) -> None:
    """Vector environments whose episodes end at different times are at different slots."""
    model.set_code_distances(_distances(task))
    policy = _policy(make_env(task, [11]), model)
    alone = _written(model, task, _BY_DISTANCE)
    envs = [make_env(task, [11]) for _ in range(2)]
    obs = [env.reset(seed=0)[0] for env in envs]
    starts, written, state = np.array([True, True]), [[], []], None  # type: ignore[var-annotated]
    for step in range(6):
        stacked = {key: np.stack([each[key] for each in obs]) for key in obs[0]}
        actions, state = policy.predict(stacked, state, starts, deterministic=True)
        starts = np.array([False, step == 0])
        for row, env in enumerate(envs):
            written[row].append(int(actions[row]))
            if row == 1 and step == 0:
                obs[row] = env.reset(seed=0)[0]  # the second begins again, a step behind
                written[row] = []
            else:
                obs[row] = env.step(actions[row])[0]
    assert written == [alone, alone[:5]]


def test_without_distances_the_default_is_greedy(
    make_env: MakeEnv, task: SequenceTask, model: MotionTransformer
) -> None:
    """Policies of older versions go on as they were."""
    policy = _policy(make_env(task, [11]), model)
    assert policy.deterministic_decoding == "auto"
    assert _predicted(policy, make_env(task, [11])) == _written(model, task, _GREEDY)


def test_distances_that_are_not_known_cannot_be_asked_for(
    make_env: MakeEnv, task: SequenceTask, model: MotionTransformer
) -> None:
    """Silently greedy figures would stand under the name of the other decoding."""
    policy = _policy(make_env(task, [11]), model, deterministic_decoding="expected-distance")
    with pytest.raises(InputError, match="the policy knows no distances of codes"):
        _predicted(policy, make_env(task, [11]))
    policy.deterministic_decoding = "greedy"
    assert _predicted(policy, make_env(task, [11])) == _written(model, task, _GREEDY)


def test_an_unknown_choice_is_refused(env: Env, model: MotionTransformer) -> None:
    """A typo would be found at the first evaluation, after hours of training."""
    message = "`deterministic_decoding` must be one of auto, greedy, expected-distance, got 'beam'"
    with pytest.raises(InputError, match=re.escape(message)):
        _policy(env, model, deterministic_decoding="beam")


def test_the_choice_survives_files(model: MotionTransformer, env: Env, tmp_path: Any) -> None:
    """A model that is loaded for evaluation is decoded as the one that was saved."""
    policy = _policy(env, model, deterministic_decoding="greedy")
    policy.save(tmp_path / "policy.zip")
    assert MotionPolicy.load(tmp_path / "policy.zip").deterministic_decoding == "greedy"
    kwargs = {"deterministic_decoding": "greedy"}
    algorithm = SequencePPO.from_clone(model, env, policy_kwargs=kwargs, n_episodes=8, seed=0)
    algorithm.save(tmp_path / "a.zip")
    loaded = SequencePPO.load(tmp_path / "a.zip", env=env)
    assert loaded.policy.deterministic_decoding == "greedy"


def test_stock_algorithms_predict_by_expected_distance_too(
    tiny_task: AnimationTask, make_model: MakeModel
) -> None:
    """One network under two policies must be the same policy."""
    clone = make_model(tiny_task)
    clone.set_code_distances(tiny_task.code_distances)
    env = gymnasium.make("ESARM-v0", task=tiny_task, reward="accuracy", observation="full_sequence")
    kwargs = policy_kwargs_of(clone, env.observation_space)
    ppo = PPO(TransformerActorCriticPolicy, env, policy_kwargs=kwargs, n_steps=8, batch_size=8)
    assert isinstance(ppo.policy, TransformerActorCriticPolicy)
    ppo.policy.load_clone(clone)
    utterance, tokens = np.array([8]), {}
    seeds = sequence_seeds(run_seed=0, iteration=0, utterances=utterance, samples=0)
    for choice, decoding in (("auto", _BY_DISTANCE), ("greedy", _GREEDY)):
        ppo.policy.deterministic_decoding = choice
        obs, _ = env.reset(options={"utterance": 8})
        written, ended = [], False
        while not ended:
            action, _ = ppo.predict(obs, deterministic=True)
            written.append(int(action))
            obs, _, ended, _, _ = env.step(action)
        condition = tiny_task.condition_of(utterance)
        expected = generate(
            clone, tiny_task, utterance, condition=condition, decoding=decoding, seeds=seeds
        )
        assert written == expected.tokens[0].tolist()
        tokens[choice] = written
    assert tokens["auto"] != tokens["greedy"]
