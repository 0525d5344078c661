"""The network under stock algorithms: the same policy as in our trainers and as cached stepping."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from stable_baselines3.common.vec_env import VecEnv
from torch import Tensor

from agents.network.session import PolicySession
from agents.network.transformer import MotionTransformer
from agents.policy import MotionPolicy
from agents.stock import TransformerActorCriticPolicy
from esarm_env.sb3 import make_sb3_vec_env
from esarm_env.task.animation_task import AnimationTask

_N_ENVS = 4

MakeVecEnv = Callable[..., VecEnv]
MakeNetwork = Callable[..., MotionTransformer]
MakePolicy = Callable[..., TransformerActorCriticPolicy]
Obs = dict[str, np.ndarray]


@dataclass
class _Play:
    """What two observations of the same episodes show, step by step, under one stream of actions.

    Row r of `full` and of `slim` is the same moment; `starts` marks rows that begin an episode.
    """

    full: list[Obs]
    slim: list[Obs]
    actions: np.ndarray
    starts: np.ndarray


@pytest.fixture(scope="module")
def play(make_venv: MakeVecEnv) -> _Play:
    """Return 60 steps of 4 environments whose episodes of 20 to 48 steps end at different times."""
    full, slim = make_venv(), make_venv(observation="slim")
    rng = np.random.default_rng(1)
    seen: tuple[list[Obs], list[Obs]] = ([], [])
    actions = rng.integers(full.action_space.n, size=(110, _N_ENVS))  # type: ignore[attr-defined]
    starts = np.ones((110, _N_ENVS), dtype=bool)
    obs = [full.reset(), slim.reset()]
    for t in range(110):
        for part, each in zip(seen, obs, strict=True):
            assert isinstance(each, dict)
            part.append({key: value.copy() for key, value in each.items()})
        results = [venv.step(actions[t]) for venv in (full, slim)]
        obs = [result[0] for result in results]
        if t < 109:
            starts[t + 1] = results[0][2]
    assert len({tuple(column) for column in starts.T}) > 1, "all rows started together"
    return _Play(*seen, actions, starts)


def _tensors(obs: Obs) -> dict[str, Tensor]:
    return {key: torch.as_tensor(value) for key, value in obs.items()}


def _logits(policy: TransformerActorCriticPolicy, obs: dict[str, Tensor]) -> Tensor:
    """Return normalised logits (B, K)."""
    distribution: Any = policy.get_distribution(obs).distribution
    logits: Tensor = distribution.logits
    return logits


def _stock(policy: TransformerActorCriticPolicy, play: _Play) -> tuple[Tensor, Tensor]:
    """Return log-probabilities of all tokens (T, N, K) and values (T, N), one step at a time."""
    rows = []
    with torch.no_grad():
        for obs in play.full:
            rows.append(
                (_logits(policy, _tensors(obs)), policy.predict_values(_tensors(obs))[:, 0])
            )
    return _stacked(rows)


def _stacked(rows: list[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
    return torch.stack([row[0] for row in rows]), torch.stack([row[1] for row in rows])


def _cached(model: MotionTransformer, play: _Play) -> tuple[Tensor, Tensor]:
    """Return the same from a session that is reset row by row, as `MotionPolicy.predict` does."""
    session = PolicySession(model, n_rows=_N_ENVS, max_length=48)
    rows = []
    with torch.no_grad():
        for obs, start in zip(play.slim, play.starts, strict=True):
            session.reset(torch.from_numpy(start))
            each = _tensors(obs)
            chunk = model.conditioning(each["audio"][:, None], each["condition"])[:, 0]
            logits, values = session.step(chunk, each["last_tokens"][:, -1])
            rows.append((logits.log_softmax(-1), values))
    return _stacked(rows)


@pytest.fixture(scope="module")
def stock(
    make_venv: MakeVecEnv, make_policy: MakePolicy, clone: MotionTransformer, play: _Play
) -> tuple[Tensor, Tensor]:
    """Return what the stock policy says of `play`, once for all who compare with it."""
    return _stock(make_policy(clone, make_venv()), play)


def _episodes(play: _Play) -> Iterator[tuple[int, int, int]]:
    """Yield row, first step and length of every episode that ended."""
    for row in range(_N_ENVS):
        begins = np.flatnonzero(play.starts[:, row]).tolist()
        for first, after in pairwise(begins):
            yield row, first, after - first


def _whole(
    model: MotionTransformer, task: AnimationTask, play: _Play, episode: tuple[int, int, int]
) -> tuple[Tensor, Tensor]:
    """Return the same of one episode in one pass, from the arrays that our trainers use."""
    row, first, length = episode
    utterance = play.slim[first]["utterance"][row]
    tokens = play.actions[first : first + length, row]
    with torch.no_grad():
        logits, values = model(
            torch.from_numpy(task.audio_windows(utterance)),
            torch.from_numpy(play.slim[first]["condition"][row])[None],
            torch.from_numpy(tokens)[None],
        )
    return logits[0].log_softmax(-1), values[0]


def test_single_observations_equal_whole_sequences(
    tiny_task: AnimationTask,
    stock: tuple[Tensor, Tensor],
    clone: MotionTransformer,
    play: _Play,
) -> None:
    """A position, window or token off by one gives finite numbers: of another policy."""
    log_probs, values = stock
    episodes = list(_episodes(play))
    for row, first, length in episodes:
        place = slice(first, first + length)
        expected = _whole(clone, tiny_task, play, (row, first, length))
        torch.testing.assert_close(
            (log_probs[place, row], values[place, row]), expected, atol=1e-5, rtol=0
        )
    assert len(episodes) >= 6 and len({length for _, _, length in episodes}) >= 3


def test_single_observations_equal_cached_steps(
    stock: tuple[Tensor, Tensor], clone: MotionTransformer, play: _Play
) -> None:
    """A clone that plays by its cache must be the policy that a stock algorithm goes on with."""
    expected = _cached(clone, play)
    torch.testing.assert_close(stock, expected, atol=1e-5, rtol=0)


def test_cached_steps_equal_whole_sequences(
    tiny_task: AnimationTask, clone: MotionTransformer, play: _Play
) -> None:
    """Roll-outs by cache and updates of whole sequences must agree on rows that start apart."""
    log_probs, values = _cached(clone, play)
    for row, first, length in _episodes(play):
        place = slice(first, first + length)
        expected = _whole(clone, tiny_task, play, (row, first, length))
        torch.testing.assert_close(
            (log_probs[place, row], values[place, row]), expected, atol=1e-5, rtol=0
        )


def test_all_methods_tell_of_one_policy(
    make_venv: MakeVecEnv, make_policy: MakePolicy, clone: MotionTransformer, play: _Play
) -> None:
    """The algorithm acts by one method and learns by another; rows here stand apart."""
    policy = make_policy(clone, make_venv())
    obs = _tensors(play.full[35])
    assert (obs["step"] != obs["step"][0]).any()
    with torch.no_grad():
        actions, values, log_probs = policy(obs)
        again = policy.evaluate_actions(obs, actions)
        distribution = policy.get_distribution(obs)
        assert torch.equal(policy.predict_values(obs), values) and values.shape == (_N_ENVS, 1)
        assert torch.equal(again[0], values) and torch.equal(again[1], log_probs)
        entropy = distribution.entropy()
        assert entropy is not None and torch.equal(again[2], entropy)  # type: ignore[arg-type]
        best = _logits(policy, obs).argmax(-1)
    assert policy.predict(play.full[35], deterministic=True)[0].tolist() == best.tolist()
    single = {key: value[2] for key, value in play.full[35].items()}
    assert policy.predict(single, deterministic=True)[0] == best[2]


def test_a_row_does_not_depend_on_the_others(
    make_venv: MakeVecEnv, make_policy: MakePolicy, clone: MotionTransformer, play: _Play
) -> None:
    """Positions beyond the furthest row are left out; what is left out must not matter."""
    policy = make_policy(clone, make_venv())
    obs = _tensors(play.full[35])
    with torch.no_grad():
        together = _logits(policy, obs)
        for row in range(_N_ENVS):
            alone = {key: value[row : row + 1] for key, value in obs.items()}
            torch.testing.assert_close(_logits(policy, alone)[0], together[row], atol=1e-5, rtol=0)


def test_greedy_predictions_equal_those_with_a_cache(
    make_venv: MakeVecEnv, make_policy: MakePolicy, clone: MotionTransformer
) -> None:
    """One policy, two observations: tables made with either must be the same."""
    full, slim = make_venv(), make_venv(observation="slim")
    stock = make_policy(clone, full)
    kwargs: Any = {
        "observation_space": slim.observation_space,
        "action_space": slim.action_space,
        "network": {"n_layers": 2, "n_heads": 2, "width": 16},
    }
    cached = MotionPolicy(lr_schedule=lambda _: 1e-3, **kwargs)
    cached.transformer.load_state_dict(clone.state_dict())
    obs: Any = full.reset()
    other: Any = slim.reset()
    state, starts = None, np.ones(_N_ENVS, dtype=bool)
    for _ in range(60):
        actions, _ = stock.predict(obs, deterministic=True)
        expected, state = cached.predict(other, state, starts, deterministic=True)
        assert actions.tolist() == expected.tolist()
        obs, (other, _, starts, _) = full.step(actions)[0], slim.step(actions)


@pytest.mark.parametrize("context", [0, 2])
def test_other_contexts_equal_the_windows_of_the_task(
    tiny_task: AnimationTask, make_network: MakeNetwork, make_policy: MakePolicy, context: int
) -> None:
    """The windows are rebuilt from chunks; with the wrong neighbours a clone hears other sounds."""
    task = AnimationTask(
        tiny_task.corpus, tiny_task.features, tiny_task.tokenizer, tiny_task.head,
        tiny_task.conditions, context=context,
    )  # fmt: skip
    venv = make_sb3_vec_env(1, task=task, reward="zero", observation="full_sequence", seed=3)
    clone = make_network(task)
    policy = make_policy(clone, venv)
    assert policy.context == context
    heard: list[Tensor] = []
    policy.transformer.register_forward_pre_hook(lambda _, inputs: heard.append(inputs[0]))
    obs: Any = venv.reset()
    length = int(obs["length"][0, 0])
    for _ in range(length):
        obs = venv.step(policy.predict(obs)[0])[0]
    expected = [task.audio_windows(np.array([each])) for each in range(len(task.lengths))]
    assert any(
        np.array_equal(heard[-1].numpy(), windows)
        for windows in expected
        if windows.shape == tuple(heard[-1].shape)
    )
