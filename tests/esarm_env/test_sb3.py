"""The vector environment for Stable-Baselines3: equal to its `DummyVecEnv`, and algorithms run."""

from __future__ import annotations

import copy
import dataclasses
import io
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import sb3_contrib
import stable_baselines3
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from sb3_contrib.common.maskable.utils import get_action_masks, is_masking_supported
from stable_baselines3 import A2C, DQN, PPO
from stable_baselines3.common.callbacks import EvalCallback
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.logger import HumanOutputFormat, KVWriter, Logger
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import (
    DummyVecEnv,
    VecEnv,
    VecEnvWrapper,
    VecMonitor,
    VecNormalize,
)

from agents.ppo import SequencePPO
from esarm_env.core.errors import InputError
from esarm_env.core.types import Trajectories
from esarm_env.envs.registration import OBSERVATIONS, make_env, make_vector_env
from esarm_env.envs.sampling import Sampling
from esarm_env.sb3 import SB3VecEnv, _figures_of, make_sb3_vec_env
from esarm_env.task.animation_task import AnimationTask

MakeTwins = Callable[..., tuple[VecEnv, VecEnv]]


class Fingerprint:
    """A score that no two animations share, and that no rounding changes."""

    needs_ground_truth = False

    def score(self, trajectories: Trajectories) -> np.ndarray:
        tokens = trajectories.tokens
        words = (tokens + 1) * np.arange(1, tokens.shape[1] + 1)  # padding counts nothing
        return (words.sum(axis=1) + 7 * trajectories.utterance).astype(np.float32)


@pytest.fixture
def make_twins(tiny_task: AnimationTask) -> MakeTwins:
    """Return a maker of our environment and of `DummyVecEnv` over scalar ones."""

    def make(n: int = 3, **settings: Any) -> tuple[VecEnv, VecEnv]:
        chosen = {"task": tiny_task, "reward": Fingerprint(), "metrics": False, **settings}
        ours = make_sb3_vec_env(n, monitor=False, **chosen)
        return ours, DummyVecEnv([lambda: make_env(**chosen)] * n)

    return make


@pytest.fixture
def make_env_of(tiny_task: AnimationTask) -> Callable[..., VecEnv]:
    """Return a maker of our environment."""

    def make(n: int = 3, **settings: Any) -> VecEnv:
        chosen = {"task": tiny_task, "reward": Fingerprint(), "metrics": False, **settings}
        return make_sb3_vec_env(n, **chosen)

    return make


def assert_same(ours: Any, theirs: Any, at: str = "") -> None:
    """Check types, keys, dtypes and values; scores may differ by rounding."""
    assert isinstance(ours, dict) == isinstance(theirs, dict), at
    if isinstance(ours, dict):  # an `OrderedDict` is one
        assert ours.keys() == theirs.keys(), at
        for key, value in ours.items():
            assert_same(value, theirs[key], f"{at}/{key}")
        return
    assert type(ours) is type(theirs), at
    if isinstance(ours, list | tuple):
        assert len(ours) == len(theirs), at
        for index, pair in enumerate(zip(ours, theirs, strict=True)):
            assert_same(*pair, f"{at}/{index}")
    elif isinstance(ours, float):
        assert ours == theirs or ours == pytest.approx(theirs, rel=1e-5), at
    elif isinstance(ours, np.ndarray):
        assert (ours.dtype, ours.shape) == (theirs.dtype, theirs.shape), at
        if ours.tobytes() != theirs.tobytes():
            np.testing.assert_allclose(ours, theirs, rtol=1e-5, err_msg=at)
    else:
        assert ours == theirs, at


def run_both(twins: tuple[VecEnv, VecEnv], n_steps: int) -> int:
    """Step both with equal actions and compare all; return how many episodes ended."""
    actions, n_ended = np.random.default_rng(0), 0
    for _ in range(n_steps):
        action = actions.integers(16, size=twins[0].num_envs)
        seen, expected = (env.step(action) for env in twins)
        assert_same(seen, expected)
        assert_same(twins[0].reset_infos, twins[1].reset_infos)
        n_ended += int(seen[2].sum())
    return n_ended


@pytest.mark.parametrize("observation", OBSERVATIONS)
@pytest.mark.parametrize("n", [1, 4])
def test_steps_equal_those_of_stable_baselines3(
    make_twins: MakeTwins, observation: str, n: int
) -> None:
    """Rewards, ends, last observations, infos and first infos: all that algorithms read."""
    twins = make_twins(n, observation=observation, sampling=Sampling(n_buckets=2))
    assert twins[0].observation_space == twins[1].observation_space
    assert twins[0].action_space == twins[1].action_space
    for env in twins:
        env.seed(12)
    assert_same(*(env.reset() for env in twins))
    assert_same(*(env.reset_infos for env in twins))
    assert run_both(twins, 130) >= 2 * n
    assert_same(*(env.reset() for env in twins))
    run_both(twins, 60)


def test_scores_and_errors_equal_those_of_stable_baselines3(make_twins: MakeTwins) -> None:
    """They are scored in batches here, one by one there."""
    twins = make_twins(2, reward={"accuracy": 1.0, "lve": -0.25}, metrics=True)
    for env in twins:
        env.seed(1)
        env.set_options({"utterance": 6})
        env.reset()
    assert run_both(twins, 45) >= 2


@pytest.mark.parametrize(
    "options",
    [
        {"utterance": "ben-04", "emotion": "fear"},
        [{"utterance": 4}, {"utterance": "dora-11"}, {"utterance": None}],
        [{"emotion": "sad", "speaker": None}, {"speaker": "ben", "emotion": "sad"}] * 2,
        None,
        {},
    ],
)
def test_options_equal_those_of_stable_baselines3(make_twins: MakeTwins, options: Any) -> None:
    """Set once, they hold for the next reset alone."""
    twins = make_twins(4 if isinstance(options, list) and len(options) == 4 else 3)
    for env in twins:
        env.seed(3)
        env.set_options(options)
    assert_same(*(env.reset() for env in twins))
    assert_same(*(env.reset_infos for env in twins))
    run_both(twins, 50)
    assert_same(*(env.reset() for env in twins))


def test_seeds_equal_those_of_stable_baselines3(make_twins: MakeTwins) -> None:
    """The seed counts for the next reset, not for the one after."""
    twins = make_twins(3)
    assert twins[0].seed(5) == twins[1].seed(5) == [5, 6, 7]
    for _ in range(4):
        assert_same(*(env.reset() for env in twins))
    for env in twins:
        env.seed(5)
    first = [env.reset() for env in twins]
    assert_same(*first)
    assert first[0]["step"].tolist() == [[0]] * 3
    assert len(set(twins[0].seed())) == 3, "drawn, but different"


def test_the_seed_of_the_maker_is_used(make_env_of: Callable[..., VecEnv]) -> None:
    """Without it no run can be repeated."""
    first, again, other = (
        [make_env_of(4, seed=seed).reset()["utterance"].ravel().tolist()] for seed in (8, 8, 9)
    )
    assert first == again
    assert first != other


def test_the_monitor_counts_returns_and_lengths(
    make_env_of: Callable[..., VecEnv], tiny_task: AnimationTask
) -> None:
    """Learning curves are drawn from them."""
    env = make_env_of(3, seed=0)
    assert isinstance(env, VecMonitor)
    env.reset()
    n_seen = 0
    for step in range(120):
        _, _, dones, infos = env.step(np.full(3, step % 16))
        for done, info in zip(dones, infos, strict=True):
            assert done == ("episode" in info)
            if done:
                index = tiny_task.index_of[info["utterance_id"]]
                assert info["episode"]["l"] == tiny_task.lengths[index]
                assert info["episode"]["r"] == info["rewards"]["Fingerprint"]
                n_seen += 1
    assert n_seen >= 6
    assert not isinstance(make_env_of(monitor=False), VecMonitor)


def test_masks_are_handed_out_by_index(make_env_of: Callable[..., VecEnv]) -> None:
    """A mask of another environment is one of another slot, after the first uneven end."""
    mask = np.zeros((4, 16), np.bool_)
    mask[np.arange(4), [3, 5, 7, 9]] = True
    env = make_env_of(3, action_mask=mask)
    env.set_options({"utterance": 6})
    env.reset()
    assert is_masking_supported(env)
    for step in range(6):
        np.testing.assert_array_equal(get_action_masks(env), [mask[step % 4]] * 3)
        env.step(np.zeros(3, np.int64))
    vector_env = env.unwrapped._env  # type: ignore[attr-defined]
    vector_env.reset(options={"reset_mask": np.array([False, True, False])})
    for indices, slots in ((None, [2, 0, 2]), (1, [0]), ([2, 1], [2, 0]), (range(2), [2, 0])):
        rows = env.env_method("action_masks", indices=indices)
        assert [int(np.flatnonzero(row)[0]) for row in rows] == [3 + 2 * slot for slot in slots]


def test_attributes_are_found_behind_all_wrappers(
    make_env_of: Callable[..., VecEnv], tiny_task: AnimationTask
) -> None:
    """Sequence algorithms look for the task; `has_attr` is how masks are discovered."""
    env = make_env_of(3, observation="flat")
    assert env.get_attr("sequence_task", indices=[0]) == [tiny_task]
    assert env.get_attr("sequence_task") == [tiny_task] * 3
    assert "audio" in env.get_attr("slices", 1)[0]
    assert env.get_attr("render_mode") == [None] * 3
    assert env.has_attr("action_masks")
    assert not env.has_attr("compute_reward")
    with pytest.raises(AttributeError, match="compute_reward"):
        env.get_attr("compute_reward")
    env.set_attr("note", "mine")
    assert env.get_attr("note", indices=range(2)) == ["mine", "mine"]
    assert env.env_is_wrapped(Monitor) == [False] * 3
    assert env.env_is_wrapped(Monitor, indices=[0]) == [False]


def test_a_reset_of_one_index_leaves_the_others_where_they_are(
    make_twins: MakeTwins, observation: str = "slim"
) -> None:
    """Curricula restart one environment in the middle of a roll-out; all lost their episodes."""
    twins = make_twins(3, observation=observation)
    for env in twins:
        env.seed(0)
        env.reset()
        for _ in range(10):
            env.step(np.zeros(3, np.int64))
    options = {"utterance": 4, "emotion": "sad"}
    answers = [env.env_method("reset", options=options, indices=[1]) for env in twins]
    assert_same(*answers)
    assert len(answers[0]) == 1
    for _ in range(2):
        assert_same(*(env.step(np.ones(3, np.int64)) for env in twins))
    assert twins[0].step(np.zeros(3, np.int64))[0]["step"].ravel().tolist() == [13, 3, 13]
    both = twins[0].env_method("reset", seed=5, options={}, indices=[0, 2])
    assert [obs["step"].tolist() for obs, _ in both] == [[0], [0]]


def test_attributes_are_set_by_index(make_twins: MakeTwins) -> None:
    """With `indices=[0]` all environments got the value."""
    for env in make_twins(3):
        env.set_attr("level", 1)
        env.set_attr("level", 2, indices=[0])
        assert env.get_attr("level") == [2, 1, 1]
        assert env.get_attr("level", indices=[2, 0]) == [1, 2]
        env.set_attr("stage", "late", indices=[1])
        with pytest.raises(AttributeError, match="stage"):
            env.get_attr("stage", indices=[0])


def test_what_all_share_is_refused_for_one_index(make_env_of: Callable[..., VecEnv]) -> None:
    """Set or called for all, it would be another experiment than the one asked for."""
    env = make_env_of(3)
    env.reset()
    message = (
        "`utterances` must be set for all environments at once, which share it, got 1 of 3 or "
        "several values; leave `indices` out, or use `DummyVecEnv`"
    )
    with pytest.raises(InputError, match=re.escape(message)):
        env.set_attr("utterances", np.array([1]), indices=[0])
    env.set_attr("utterances", np.array([1]))
    assert env.get_attr("utterances")[2].tolist() == [1]
    message = "`score_finished` must be called for all environments at once, got 1 of 3"
    with pytest.raises(InputError, match=re.escape(message)):
        env.env_method("score_finished", indices=[0])
    with pytest.raises(InputError, match="environments step together"):
        env.env_method("step", 0, indices=[0])


def test_methods_are_called_with_their_arguments(
    make_env_of: Callable[..., VecEnv], tiny_task: AnimationTask
) -> None:
    """Sequence algorithms score whole batches through it."""
    env = make_env_of(2)
    batch = tiny_task.recorded(np.array([4, 6]))
    arrays = [batch.utterance, batch.tokens, batch.lengths]
    (scores,) = env.env_method("score_tokens", *arrays, condition=batch.condition, indices=[0])
    np.testing.assert_array_equal(scores, Fingerprint().score(batch))


@pytest.mark.parametrize("observation", OBSERVATIONS)
def test_no_memory_is_shared(make_env_of: Callable[..., VecEnv], observation: str) -> None:
    """Replay buffers keep what they are given."""

    def arrays_in(value: Any) -> list[np.ndarray]:
        if isinstance(value, np.ndarray):
            return [value]
        parts = value.values() if isinstance(value, dict) else value
        within = isinstance(value, dict | list | tuple)
        return [array for part in parts for array in arrays_in(part)] if within else []

    env = make_env_of(2, seed=0, observation=observation, monitor=False)
    last = arrays_in(env.reset())
    for _ in range(50):
        arrays = arrays_in(env.step(np.zeros(2, np.int64)))
        assert not any(np.shares_memory(one, other) for one in arrays for other in last)
        last = arrays


def test_closing_twice_is_allowed(make_env_of: Callable[..., VecEnv]) -> None:
    """Callbacks close what the script closes, too."""
    env = make_env_of()
    env.reset()
    env.close()
    env.close()


@pytest.mark.parametrize(
    ("name", "value"), [("autoreset_mode", "NextStep"), ("defer_rewards", True)]
)
def test_what_stable_baselines3_fixes_is_rejected(
    make_env_of: Callable[..., VecEnv], name: str, value: Any
) -> None:
    """Deferred rewards would leave it nothing to learn from."""
    message = f"`{name}` must be left out (Stable-Baselines3 fixes it), got {value!r}"
    with pytest.raises(InputError, match=re.escape(message)):
        make_env_of(**{name: value})


@pytest.mark.parametrize("mode", [AutoresetMode.NEXT_STEP, AutoresetMode.DISABLED])
def test_an_environment_of_another_mode_is_rejected(
    tiny_task: AnimationTask, mode: AutoresetMode
) -> None:
    """The first step of every episode would be thrown away, and no one would notice."""
    env = make_vector_env(2, task=tiny_task, reward=Fingerprint(), autoreset_mode=mode)
    message = (
        f"`env` must reset in the same step, got {mode}; make it with `autoreset_mode='SameStep'`"
    )
    with pytest.raises(InputError, match=re.escape(message)):
        SB3VecEnv(env)


def test_other_vector_environments_can_be_wrapped(make_twins: MakeTwins) -> None:
    """One of one's own, made of scalar ones, speaks the same protocol."""
    ours, theirs = make_twins(2)
    scalar = theirs.envs  # type: ignore[attr-defined]
    wrapped = SB3VecEnv(
        SyncVectorEnv([lambda: scalar[0], lambda: scalar[1]], autoreset_mode="SameStep")
    )
    for env in (ours, wrapped):
        env.seed(2)
        env.reset()
    assert run_both((ours, wrapped), 60) >= 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([{"utterance": 1}, {}, {}], "`options` must set the same in every environment, got [["),
        ([{"utterance": 1}] * 2, "`utterance` must be one value or 3, got 2"),
        ({"utterance": 99}, "`utterance` must be an id or in 0..11, got 99"),
        ({"mood": "sad"}, "`options` must be among utterance, emotion, intensity, speaker, got mo"),
    ],
)
def test_bad_options_are_rejected(
    make_env_of: Callable[..., VecEnv], options: Any, message: str
) -> None:
    """At the reset that they are for."""
    env = make_env_of(3)
    env.set_options(options)
    with pytest.raises(InputError, match=re.escape(message)):
        env.reset()
    env.set_options()
    env.reset()


@pytest.mark.parametrize("n_envs", [0, -1, 2.5, True])
def test_bad_numbers_of_environments_are_rejected(
    make_env_of: Callable[..., VecEnv], n_envs: Any
) -> None:
    """By the name that the caller gave."""
    message = f"`n_envs` must be an integer of at least 1, got {n_envs!r}"
    with pytest.raises(InputError, match=re.escape(message)):
        make_env_of(n_envs)


@pytest.mark.parametrize(
    ("algorithm", "observation", "settings"),
    [
        (stable_baselines3.PPO, "slim", {"n_steps": 32, "batch_size": 32, "n_epochs": 1}),
        (stable_baselines3.PPO, "full_sequence", {"n_steps": 32, "batch_size": 32, "n_epochs": 1}),
        (stable_baselines3.A2C, "slim", {"n_steps": 8}),
        (stable_baselines3.DQN, "flat", {"learning_starts": 16, "buffer_size": 200}),
        (sb3_contrib.MaskablePPO, "slim", {"n_steps": 32, "batch_size": 32, "n_epochs": 1}),
        (sb3_contrib.MaskablePPO, "flat", {"n_steps": 32, "batch_size": 32, "n_epochs": 1}),
    ],
)
def test_stock_algorithms_learn(
    make_env_of: Callable[..., VecEnv],
    algorithm: Any,
    observation: str,
    settings: dict[str, Any],
    tmp_path: Path,
) -> None:
    """Without a warning: those that Stable-Baselines3 gives are worth heeding."""
    masked = algorithm is sb3_contrib.MaskablePPO
    env = make_env_of(4, observation=observation, action_mask="demonstrated" if masked else None)
    policy = "MlpPolicy" if observation == "flat" else "MultiInputPolicy"
    model = algorithm(policy, env, seed=0, device="cpu", **settings)
    model.learn(256)
    assert model.num_timesteps == 256
    lengths = [episode["l"] for episode in model.ep_info_buffer]
    assert len(lengths) >= 4
    assert set(lengths) <= {20, 24, 28, 32, 36, 48}, "episodes must not be cut"
    model.save(tmp_path / "model.zip")
    loaded = algorithm.load(tmp_path / "model.zip", env=env)
    returns, _ = evaluate_policy(
        loaded, env, n_eval_episodes=4, return_episode_rewards=True, warn=True
    )
    assert len(returns) == 4
    assert min(returns) > 0


def test_observations_may_be_normalised(make_env_of: Callable[..., VecEnv]) -> None:
    """`VecNormalize` reads `terminal_observation`, and writes into what it was given."""
    env = VecNormalize(make_env_of(2, observation="flat", seed=0))
    env.reset()
    for _ in range(60):
        obs, _, dones, infos = env.step(np.ones(2, np.int64))
        assert np.abs(obs).max() <= 10
        for done, info in zip(dones, infos, strict=True):
            if done:
                assert info["terminal_observation"].shape == env.observation_space.shape


def test_our_sequence_algorithm_takes_it(make_env_of: Callable[..., VecEnv]) -> None:
    """It writes whole utterances, and asks the environment for task, utterances and scores."""
    network = {"network": {"n_layers": 1, "n_heads": 2, "width": 16, "dropout": 0.0}}
    settings = {"policy_kwargs": network, "n_episodes": 4, "batch_tokens": 128, "kl_coef": 0.0}
    model = SequencePPO("MotionPolicy", make_env_of(2), seed=0, **settings)
    model.learn(1)
    assert model.num_timesteps >= 4 * 20
    assert np.isfinite(model.batch.scores).all()


def test_our_sequence_algorithm_refuses_another_tokenizer(
    tiny_task: AnimationTask, tmp_path: Path
) -> None:
    """Equal spaces, other codes: the agent would go on as if nothing had happened."""
    network = {"network": {"n_layers": 1, "n_heads": 2, "width": 16, "dropout": 0.0}}
    env = make_sb3_vec_env(2, task=tiny_task, reward="accuracy", metrics=False)
    model = SequencePPO("MotionPolicy", env, policy_kwargs=network, n_episodes=4, seed=0)
    model.save(tmp_path / "agent")
    assert SequencePPO.load(tmp_path / "agent", env=env).task_fingerprint == tiny_task.fingerprint
    tokenizer = copy.deepcopy(tiny_task.tokenizer)
    tokenizer.mean_pose += 0.01
    other = dataclasses.replace(tiny_task, tokenizer=tokenizer)
    env = make_sb3_vec_env(2, task=other, reward="accuracy", metrics=False)
    with pytest.raises(ValueError, match="must have the tokenizer that the agent was trained with"):
        SequencePPO.load(tmp_path / "agent", env=env)


def test_our_sequence_algorithm_learns_by_stream(tiny_task: AnimationTask) -> None:
    """Mouth and upper face of a real task, with a reward that tells, and with one that does not."""
    network = {"network": {"n_layers": 1, "n_heads": 2, "width": 16, "dropout": 0.0}}
    settings = {"policy_kwargs": network, "n_episodes": 4, "stream_advantages": True, "seed": 0}
    settings["kl_coef"] = 0.0
    env = make_sb3_vec_env(2, task=tiny_task, reward="accuracy", metrics=False)
    model = SequencePPO("MotionPolicy", env, **settings)
    model.learn(1)
    assert set(model.batch.stream_scores) == {"mouth", "upper"}
    env = make_sb3_vec_env(2, task=tiny_task, reward="jerk", metrics=False)
    with pytest.raises(ValueError, match="must have a reward that gives streams"):
        SequencePPO("MotionPolicy", env, **settings)


def test_our_sequence_algorithm_learns_by_chunk(tiny_task: AnimationTask) -> None:
    """What each chunk of a real task earned adds up to the score that its environment pays."""
    network = {"network": {"n_layers": 1, "n_heads": 2, "width": 16, "dropout": 0.0}}
    settings = {"policy_kwargs": network, "n_episodes": 4, "seed": 0, "kl_coef": 0.0}
    env = make_sb3_vec_env(2, task=tiny_task, reward="accuracy", metrics=False)
    model = SequencePPO("MotionPolicy", env, credit="chunk", stream_advantages=True, **settings)
    model.learn(1)
    batch = model.batch
    assert batch.chunk_streams == ("mouth", "upper")
    assert batch.chunk_scores.shape[1] == batch.tokens.shape[1] // tiny_task.tokens_per_chunk
    written = (batch.utterances, batch.tokens, batch.lengths, batch.condition)
    paid = env.get_attr("score_tokens")[0](*written)
    np.testing.assert_allclose(batch.scores, paid, rtol=1e-4)
    env = make_sb3_vec_env(2, task=tiny_task, reward="zero", metrics=False)
    with pytest.raises(InputError, match="`credit` must be 'terminal' where the reward cannot"):
        SequencePPO("MotionPolicy", env, credit="chunk", **settings)


def test_our_sequence_algorithm_asks_for_spread_and_terms(tiny_task: AnimationTask) -> None:
    """Of a real task, through the native vector environment."""
    network = {"network": {"n_layers": 1, "n_heads": 2, "width": 16, "dropout": 0.0}}
    settings = {"policy_kwargs": network, "n_episodes": 4, "seed": 0, "kl_coef": 0.0}
    reward = {"accuracy": 1.0, "jerk": -0.1}
    env = make_sb3_vec_env(2, task=tiny_task, reward=reward, metrics=False)
    model = SequencePPO("MotionPolicy", env, normalise_terms=True, **settings)
    model.learn(1)
    terms = model.batch.term_scores
    total = terms["accuracy"] - 0.1 * terms["jerk"]
    np.testing.assert_allclose(model.batch.scores, total, rtol=1e-5)
    model = SequencePPO("MotionPolicy", env, spread_coef=0.5, **settings)
    model.learn(1)
    assert model.batch.distances.sum(axis=(1, 2)).min() > 0


def logged(algorithm: Any, callback: Any = None) -> dict[str, list[float]]:
    """Return every value by its name that a short training writes."""
    seen: dict[str, list[float]] = {}

    class Output(KVWriter):
        def write(self, key_values: Any, key_excluded: Any, step: int = 0) -> None:
            for key, value in key_values.items():
                seen.setdefault(key, []).append(value)

        def close(self) -> None:
            pass

    algorithm.set_logger(Logger(None, [Output(), HumanOutputFormat(io.StringIO())]))
    algorithm.learn(200, callback, log_interval=1)
    return seen


class Noting(VecEnvWrapper):
    """Keeps the last infos of all episodes."""

    ended: list[dict[str, Any]]

    def reset(self) -> Any:
        self.ended = []
        return self.venv.reset()

    def step_wait(self) -> Any:
        found = self.venv.step_wait()
        self.ended += [info for info in found[3] if "episode" in info]
        return found


@pytest.mark.parametrize("kind", [PPO, A2C, DQN])
def test_metrics_and_terms_are_logged_by_whoever_trains(
    tiny_task: AnimationTask, kind: type[Any]
) -> None:
    """Stable-Baselines3 logs the return alone, which may rise while lips get worse."""
    reward = {"zero": 1.0, "jerk": -0.1, "accuracy": 1.0}
    made = make_sb3_vec_env(2, task=tiny_task, reward=reward, observation="flat", seed=0)
    env = Noting(made)
    settings: dict[str, Any] = {"n_steps": 32, "batch_size": 32} if kind is PPO else {}
    settings |= {"learning_starts": 50, "buffer_size": 100} if kind is DQN else {}
    model = kind("MlpPolicy", env, seed=0, stats_window_size=5, device="cpu", **settings)
    seen = logged(model)
    last = env.ended[-5:]
    if kind is not PPO:  # the last table may be older than the last episodes
        assert {"rollout/ep_lve_mean", "rollout/ep_eve_mean"} <= set(seen)
        return
    for name in ("lve", "eve"):
        assert seen[f"rollout/ep_{name}_mean"][-1] == pytest.approx(
            np.mean([info[name] for info in last]), rel=1e-5
        )
    for name in reward:
        expected = np.mean([info["rewards"][name] for info in last])
        assert seen[f"rollout/term_{name}"][-1] == pytest.approx(expected, rel=1e-5)


def test_evaluations_and_unmonitored_training_log_nothing(tiny_task: AnimationTask) -> None:
    """Held-out episodes would be drawn into the curves of training."""
    settings: dict[str, Any] = {"task": tiny_task, "reward": "zero", "observation": "flat"}

    def keys(callback: Any = None, **others: Any) -> set[str]:
        env = make_sb3_vec_env(1, **settings, **others)
        model = PPO("MlpPolicy", env, n_steps=50, batch_size=50, n_epochs=1, seed=0)
        return {key for key in logged(model, callback) if "_lve_" in key or "term" in key}

    watch = EvalCallback(make_sb3_vec_env(1, **settings), eval_freq=100, n_eval_episodes=1)
    assert keys(watch, metrics=False) == {"rollout/term_zero"}
    assert watch.last_mean_reward == 0.0, "it was evaluated"
    assert keys(monitor=False) == set()


class Keeping(Noting):
    """Keeps them over resets, as a window of training does."""

    def __init__(self, venv: VecEnv) -> None:
        super().__init__(venv)
        self.ended = []

    def reset(self) -> Any:
        return self.venv.reset()


def episodes_of(model: Any, callback: Any = None) -> list[float]:
    """Return the means of the term `accuracy` that a short training logs."""
    return logged(model, callback).get("rollout/term_accuracy", [])


def small_ppo(env: Any, **settings: Any) -> PPO:
    """Return PPO that rolls out 50 steps at a time."""
    settings = {"n_steps": 50, "batch_size": 50, "n_epochs": 1, "seed": 0} | settings
    return PPO("MlpPolicy", env, device="cpu", **settings)


def test_wrappers_of_wrappers_hide_nobody(tiny_task: AnimationTask) -> None:
    """Observations are usually normalised, and monitored once more."""
    made = make_sb3_vec_env(2, task=tiny_task, reward="accuracy", observation="flat", seed=0)
    noting = Noting(VecNormalize(made, norm_reward=False))
    seen = episodes_of(small_ppo(VecMonitor(noting), stats_window_size=3))
    last = [info["rewards"]["accuracy"] for info in noting.ended[-3:]]
    assert seen[-1] == pytest.approx(np.mean(last), rel=1e-5)


def test_each_algorithm_has_its_own_episodes(tiny_task: AnimationTask) -> None:
    """One trained inside the other's callback, then a third on the environment of the first."""
    settings: dict[str, Any] = {"task": tiny_task, "reward": "accuracy", "observation": "flat"}
    envs = [Noting(make_sb3_vec_env(1, seed=seed, **settings)) for seed in (0, 1)]
    inner: list[float] = []

    def train_another(_: Any, __: Any) -> bool:
        if not inner:
            inner.extend(episodes_of(small_ppo(envs[1])))
        return True

    outer = episodes_of(small_ppo(envs[0]), train_another)
    for env, seen in zip(envs, (outer, inner), strict=True):
        own = [info["rewards"]["accuracy"] for info in env.ended]
        assert seen[-1] == pytest.approx(np.mean(own), rel=1e-5)
    again = episodes_of(small_ppo(envs[0], seed=5))
    own = [info["rewards"]["accuracy"] for info in envs[0].ended]
    assert again[-1] == pytest.approx(np.mean(own), rel=1e-5), "without those of the first"


def test_a_training_that_goes_on_keeps_its_window(tiny_task: AnimationTask) -> None:
    """As `rollout/ep_rew_mean` does, so that the curves are of the same episodes."""
    made = make_sb3_vec_env(1, task=tiny_task, reward="accuracy", observation="flat", seed=0)
    env = Keeping(made)
    model = small_ppo(env)
    episodes_of(model)
    before = len(env.ended)
    on = SimpleNamespace(
        set_logger=model.set_logger, learn=partial(model.learn, reset_num_timesteps=False)
    )
    seen = episodes_of(on)
    every = [info["rewards"]["accuracy"] for info in env.ended]
    assert len(every) > before > 0
    assert seen[-1] == pytest.approx(np.mean(every), rel=1e-5)


def test_an_evaluation_on_the_training_environment_logs_nothing(tiny_task: AnimationTask) -> None:
    """Greedy episodes in the curve of a sampled policy look like progress."""
    made = make_sb3_vec_env(1, task=tiny_task, reward="accuracy", observation="flat", seed=0)
    env = Keeping(made)
    model = small_ppo(env, n_steps=100)
    trained: list[int] = []

    def evaluate(found: Any, _: Any) -> bool:
        if model.num_timesteps == 150:
            trained.append(len(env.ended))
            evaluate_policy(model, model.get_env(), n_eval_episodes=2)
            trained.append(len(env.ended))
        return True

    seen = episodes_of(model, evaluate)
    begin, end = trained
    own = env.ended[:begin] + env.ended[end:]
    values = [info["rewards"]["accuracy"] for info in own]
    assert end >= begin + 2
    assert seen[-1] == pytest.approx(np.mean(values), rel=1e-5)


def test_an_algorithm_of_ones_own_is_found_whatever_it_calls_its_methods(
    tiny_task: AnimationTask,
) -> None:
    """The name of a method of Stable-Baselines3 is no promise of theirs."""

    class Other(PPO):
        def gather(self) -> dict[str, Any]:
            assert self.env is not None
            done = False
            while not done:
                done = bool(self.env.step(np.zeros(1, dtype=np.int64))[2][0])
            return self.logger.name_to_value

    env = make_sb3_vec_env(1, task=tiny_task, reward="accuracy", observation="flat", seed=0)
    model = Other("MlpPolicy", env, n_steps=50, batch_size=50, n_epochs=1, seed=0)
    model._setup_learn(50)
    assert {"rollout/term_accuracy", "rollout/ep_lve_mean"} <= set(model.gather())


def test_long_names_and_equal_ones_have_tags_of_their_own() -> None:
    """Tables of Stable-Baselines3 cut names and raise where two are then equal."""
    long = "a" * 40
    info = {"lve": 1.0, long: 2.0, "rewards": {"learned:a/b": 3.0, "learned:c": 4.0, long: 5.0}}
    found = dict(_figures_of(info, ["lve", long, "absent"]))
    assert found == {
        "rollout/ep_lve_mean": 1.0,
        f"rollout/ep_{'a' * 16}_mean": 2.0,
        "rollout/term_learned": 3.0,
        "rollout/term_learned2": 4.0,
        f"rollout/term_{'a' * 16}": 5.0,
    }
