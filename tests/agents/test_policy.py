"""The policy through Stable-Baselines3's eyes: one call a step, the cache in the state."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium import spaces
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import DummyVecEnv

from agents.network.transformer import MotionTransformer
from agents.policy import MotionPolicy
from agents.protocols import IntArray, SequenceTask
from agents.rollout.decoding import Decoding
from agents.rollout.generation import Rollout, generate
from esarm_env.core.errors import InputError
from esarm_env.core.seeds import sequence_seeds

Env = gymnasium.Env[Any, Any]
MakeEnv = Callable[..., Env]

_SIZES = {"n_layers": 2, "n_heads": 2, "width": 16}


@pytest.fixture
def policy(env: Env, model: MotionTransformer) -> MotionPolicy:
    """Return a policy with the strong random weights of `model`."""
    policy = _policy(env)
    policy.transformer.load_state_dict(model.state_dict())
    return policy


def _policy(env: Env, **options: Any) -> MotionPolicy:
    return MotionPolicy(
        env.observation_space,  # type: ignore[arg-type]
        env.action_space,
        lambda _: 1e-3,
        network={**_SIZES, "dropout": 0.5},
        **options,
    )


def _vectorised(make_env: MakeEnv, task: SequenceTask, utterances: list[int]) -> DummyVecEnv:
    """Return one environment per utterance, each of which knows no other."""
    return DummyVecEnv([lambda each=each: Monitor(make_env(task, [each])) for each in utterances])


def _greedy(policy: MotionPolicy, task: SequenceTask, utterances: list[int]) -> Rollout:
    chosen = np.array(utterances)
    zeros = np.zeros_like(chosen)
    return generate(
        policy.transformer,
        task,
        chosen,
        condition=task.condition_of(chosen),
        decoding=Decoding(),
        seeds=sequence_seeds(run_seed=0, iteration=0, utterances=chosen, samples=zeros),
    )


@pytest.mark.parametrize("utterances", [[6], [8, 1, 5, 3]])
def test_steps_with_a_state_write_what_generate_writes(
    make_env: MakeEnv, task: SequenceTask, policy: MotionPolicy, utterances: list[int]
) -> None:
    """Two ways to run one policy; tables come from one of them and demonstrations from the other.

    With 4 environments the short ones start again while the long ones go on.
    """
    venv = _vectorised(make_env, task, utterances)
    expected = _greedy(policy, task, utterances)
    written: list[list[int]] = [[] for _ in utterances]
    obs, state, starts = venv.reset(), None, np.ones(len(utterances), dtype=bool)
    for _ in range(14):
        actions, state = policy.predict(obs, state, starts, deterministic=True)
        obs, _, starts, _ = venv.step(actions)
        for tokens, action in zip(written, actions, strict=True):
            tokens.append(int(action))
    for tokens, row, length in zip(written, expected.tokens, expected.lengths, strict=True):
        whole = row[:length].tolist()
        assert tokens == (whole * 7)[:14]


@pytest.mark.parametrize("utterances", [[9], [8, 1, 5, 3]])
def test_evaluate_policy_finds_the_return_of_the_greedy_sequences(
    make_env: MakeEnv, task: SequenceTask, policy: MotionPolicy, utterances: list[int]
) -> None:
    """SB3 hands the state back untouched: a cache lost on the way would lower every return."""
    venv = _vectorised(make_env, task, utterances)
    rewards, lengths = evaluate_policy(
        policy, venv, n_eval_episodes=3 * len(utterances), return_episode_rewards=True
    )
    expected = _greedy(policy, task, utterances)
    score = venv.get_attr("score_tokens")[0]
    scores = score(np.array(utterances), expected.tokens, expected.lengths, None)
    got = sorted(zip(lengths, np.round(rewards, 5).tolist(), strict=True))
    want = zip(expected.lengths.tolist(), np.round(scores.astype(float), 5).tolist(), strict=True)
    assert got == sorted(3 * list(want))


def test_one_observation_gives_one_action(
    make_env: MakeEnv, task: SequenceTask, policy: MotionPolicy
) -> None:
    """The plain Gymnasium loop has no batch axis; an array of one would not be a valid action."""
    env = make_env(task, [11])
    obs, _ = env.reset(seed=0)
    state, tokens, terminated = None, [], False
    while not terminated:
        action, state = policy.predict(obs, state, deterministic=True)
        assert env.action_space.contains(action)
        tokens.append(int(action))
        obs, _, terminated, _, _ = env.step(action)
    assert tokens == _greedy(policy, task, [11]).tokens[0].tolist()


def test_sampled_actions_follow_the_policy(env: Env, policy: MotionPolicy) -> None:
    """The shares of 4000 first tokens against the softmax of the full pass, row by row."""
    n = 4000
    obs, _ = env.reset(seed=0, options={"utterance": 4})
    many = {key: np.repeat(value[None], n, axis=0) for key, value in obs.items()}
    torch.manual_seed(0)
    actions, _ = policy.predict(many)
    with torch.no_grad():
        windows, condition = torch.from_numpy(obs["audio"]), torch.from_numpy(obs["condition"])
        start = torch.full((1, 2), -1)
        logits, _ = policy.transformer(windows[None, None], condition[None], start)
    expected = logits[0, 0].softmax(-1).double().numpy()
    shares = np.bincount(actions, minlength=4) / n
    assert (np.abs(shares - expected) < 4 * np.sqrt(expected * (1 - expected) / n)).all()


def test_sampling_repeats_under_one_seed(env: Env, policy: MotionPolicy) -> None:
    """SB3 seeds torch; actions from anywhere else could not be reproduced."""
    obs, _ = env.reset(seed=0)
    many = {key: np.repeat(value[None], 50, axis=0) for key, value in obs.items()}
    torch.manual_seed(3)
    first, second = policy.predict(many)[0], policy.predict(many)[0]
    torch.manual_seed(3)
    assert policy.predict(many)[0].tolist() == first.tolist() != second.tolist()


def test_prediction_leaves_the_observation_and_training_mode_alone(
    env: Env, policy: MotionPolicy
) -> None:
    """Dropout during evaluation would make greedy actions random."""
    obs, _ = env.reset(seed=0)
    before = {key: value.copy() for key, value in obs.items()}
    policy.set_training_mode(True)
    actions = {int(policy.predict(obs, deterministic=True)[0]) for _ in range(20)}
    assert len(actions) == 1
    assert not policy.training
    assert all((obs[key] == before[key]).all() for key in obs)


def test_a_state_from_before_an_update_is_refused(env: Env, policy: MotionPolicy) -> None:
    """An episode that goes on through a weight update would act by no policy at all."""
    obs, _ = env.reset(seed=0)
    _, state = policy.predict(obs)
    with torch.no_grad():
        policy.transformer.to_logits.mul_(2)
    later, *_ = env.step(0)
    with pytest.raises(RuntimeError, match=re.escape("got stale caches")):
        policy.predict(later, state)
    policy.predict(obs, None)


@pytest.mark.parametrize("key", ["audio", "condition", "last_tokens", "step"])
def test_a_space_without_a_needed_key_is_rejected(env: Env, key: str) -> None:
    """A wrapper that drops a key must be named, not met as a KeyError in the first step."""
    assert isinstance(env.observation_space, spaces.Dict)
    env.observation_space = spaces.Dict(
        {name: space for name, space in env.observation_space.spaces.items() if name != key}
    )
    rule = f"`observation_space` must have ['{key}'], got none of them"
    with pytest.raises(ValueError, match=re.escape(rule)):
        _policy(env)


def test_a_space_without_keys_is_rejected(env: Env) -> None:
    """An environment whose observations were flattened must read what is missing."""
    env.observation_space = spaces.Box(-1, 1, (8,))
    rule = "`observation_space` must have ['audio', 'condition', 'last_tokens', 'step'], got none"
    with pytest.raises(ValueError, match=re.escape(rule)):
        _policy(env)


def test_a_space_without_the_utterance_is_allowed(env: Env) -> None:
    """The index is for lookups; the policy hears all it needs from the audio."""
    assert isinstance(env.observation_space, spaces.Dict)
    del env.observation_space.spaces["utterance"]
    obs, _ = env.reset(seed=0)
    del obs["utterance"]
    action, _ = _policy(env).predict(obs)
    assert env.action_space.contains(action)


def test_a_prediction_without_history_is_refused(env: Env, policy: MotionPolicy) -> None:
    """SB3's stateless `_predict` would silently act as if every token were the first."""
    obs, _ = env.reset(seed=0)
    rule = "`predict` must be used: one observation alone lacks the token history"
    with pytest.raises(RuntimeError, match=re.escape(rule)):
        policy._predict(policy.obs_to_tensor(obs)[0])


def test_a_prediction_without_the_state_is_refused_after_the_first_token(
    env: Env, policy: MotionPolicy
) -> None:
    """The usual loop `action, _ = model.predict(obs)` used to act as if every token were first."""
    obs, _ = env.reset(seed=0, options={"utterance": 4})
    action, _ = policy.predict(obs)
    obs, *_ = env.step(action)
    rule = (
        "`state` must be at step 1 as the observation is (row 0), got None; it holds the tokens so "
        "far, without which no token can be chosen: start with None at step 0, then pass back what "
        "the call before returned (`action, state = model.predict(obs, state)`); stock policies on "
        "`full_sequence` observations need no state"
    )
    for starts in (None, np.array([True])):
        with pytest.raises(InputError, match=re.escape(rule)):
            policy.predict(obs, None, starts)


def test_a_state_of_another_step_is_refused(
    make_env: MakeEnv, task: SequenceTask, policy: MotionPolicy
) -> None:
    """A step that the policy was not asked about leaves a hole in its history."""
    venv = _vectorised(make_env, task, [8, 9])
    first = venv.reset()
    actions, state = policy.predict(first)
    venv.step(actions)
    obs, *_ = venv.step(actions)
    rule = "`state` must be at step 2 as the observation is (row 0), got one at step 1"
    with pytest.raises(InputError, match=re.escape(rule)):
        policy.predict(obs, state)
    one = {key: value[:1] for key, value in first.items()}
    rule = "`state` must have a row per observation (1), got 2"
    with pytest.raises(InputError, match=re.escape(rule)):
        policy.predict(one, state)


def test_an_observation_at_step_0_begins_anew_whatever_the_state(
    make_env: MakeEnv, task: SequenceTask, policy: MotionPolicy
) -> None:
    """A plain loop over episodes need not say where one begins: nothing was written yet."""
    env = make_env(task, [11])
    state, written = None, []
    for _ in range(3):
        obs, _ = env.reset()
        terminated, tokens = False, []
        while not terminated:
            action, state = policy.predict(obs, state, deterministic=True)
            tokens.append(int(action))
            obs, _, terminated, _, _ = env.step(action)
        written.append(tokens)
    assert written == [_greedy(policy, task, [11]).tokens[0].tolist()] * 3


@pytest.mark.parametrize(("max_length", "n_steps"), [(None, 6), (3, 3), (9, 9)])
def test_episodes_are_as_long_as_the_space_says_or_the_caller(
    env: Env, max_length: int | None, n_steps: int
) -> None:
    """A cache longer than any episode wastes memory, a shorter one must be refused aloud."""
    policy = _policy(env, max_length=max_length)
    obs, _ = env.reset(seed=0)
    state = None
    for step in range(n_steps):
        obs["step"] = np.array([step])
        _, state = policy.predict(obs, state)
    obs["step"] = np.array([n_steps])
    with pytest.raises(RuntimeError, match=re.escape(f"must stay within {n_steps} tokens")):
        policy.predict(obs, state)


def test_a_saved_policy_loads_alone(env: Env, policy: MotionPolicy, tmp_path: Path) -> None:
    """SB3 users save `model.policy` to act without the trainer."""
    policy.save(str(tmp_path / "policy.pt"))
    loaded = MotionPolicy.load(str(tmp_path / "policy.pt"))
    obs, _ = env.reset(seed=0)
    assert loaded.predict(obs, deterministic=True)[0] == policy.predict(obs, deterministic=True)[0]
    for ours, theirs in zip(policy.parameters(), loaded.parameters(), strict=True):
        assert torch.equal(ours, theirs)


def test_the_optimiser_starts_at_the_schedules_first_rate(env: Env) -> None:
    """A rate read at another progress would start a linear schedule at 0."""
    policy = MotionPolicy(
        env.observation_space,  # type: ignore[arg-type]
        env.action_space,
        lambda progress: 2e-3 * progress,
        network=_SIZES,
    )
    assert [group["lr"] for group in policy.optimizer.param_groups] == [2e-3]
    held = sum(len(group["params"]) for group in policy.optimizer.param_groups)
    assert held == len(list(policy.parameters()))


def test_the_toy_task_is_honest(env: Env, task: SequenceTask) -> None:
    """Were its optimum not 1, no test of learning below would mean anything."""
    utterances: IntArray = np.arange(12)
    tokens, lengths = task.demonstrations(utterances), task.lengths
    score = env.get_wrapper_attr("score_tokens")
    assert (score(utterances, tokens, lengths, None) == 1).all()
    for utterance in (0, 5, 11):
        env.reset(options={"utterance": utterance})
        steps = [env.step(token) for token in tokens[utterance, : lengths[utterance]]]
        assert [step[1] for step in steps] == [0.0] * (lengths[utterance] - 1) + [1.0]
        assert [step[2] for step in steps] == [False] * (lengths[utterance] - 1) + [True]
