"""Wrappers between trainer and environment: each is honoured, or refused by its name."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.vector import SyncVectorEnv
from gymnasium.wrappers import (
    ClipReward,
    FilterObservation,
    NormalizeReward,
    RecordEpisodeStatistics,
    TimeAwareObservation,
    TimeLimit,
    TransformAction,
    TransformObservation,
    TransformReward,
)
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import (
    DummyVecEnv,
    VecEnv,
    VecEnvWrapper,
    VecFrameStack,
    VecMonitor,
    VecNormalize,
)

from agents.cloning import BehaviourCloning
from agents.common.sequence_algorithm import SequenceAlgorithm
from agents.grpo import SequenceGRPO
from agents.ppo import SequencePPO
from agents.protocols import SequenceTask
from agents.reinforce import SequenceReinforce
from agents.rollout.buffer import EpisodeBatch
from esarm_env.core.errors import InputError
from esarm_env.core.types import Trajectories
from esarm_env.envs.registration import make_env as make_env_of
from esarm_env.envs.sampling import Sampling
from esarm_env.sb3 import SB3VecEnv, make_sb3_vec_env
from esarm_env.task.animation_task import AnimationTask

Env = gymnasium.Env[Any, Any]
Make = Callable[..., SequenceAlgorithm]


def learnt(make: Make, env: Any, kind: Any = SequencePPO, **settings: Any) -> EpisodeBatch:
    """Return the episodes of one iteration."""
    batch = make(kind, env, **settings).learn(1).batch
    assert batch is not None
    return batch


class Negated(gymnasium.RewardWrapper):  # type: ignore[type-arg]
    def reward(self, reward: Any) -> Any:
        return -reward


class Penalised(gymnasium.RewardWrapper):  # type: ignore[type-arg]
    def reward(self, reward: Any) -> Any:
        return reward - 0.5


class StepShaped(gymnasium.Wrapper):  # type: ignore[type-arg]
    """Shapes the reward in `step`, by what it saw of the episode."""

    def step(self, action: Any) -> Any:
        obs, reward, terminated, truncated, info = self.env.step(action)
        bonus = float(obs["step"][0]) if terminated else 0.0
        return obs, float(reward) + bonus, terminated, truncated, info


class Stops(gymnasium.Wrapper):  # type: ignore[type-arg]
    def step(self, action: Any) -> Any:
        obs, reward, _, truncated, info = self.env.step(action)
        return obs, reward, True, truncated, info


class Chooses(gymnasium.Wrapper):  # type: ignore[type-arg]
    """Puts its options in place of the caller's, as many do."""

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        return self.env.reset(seed=seed, options=options or {"utterance": 7})


class Curriculum(gymnasium.Wrapper):  # type: ignore[type-arg]
    """Goes through the utterances by itself, whatever seed it is given."""

    def __init__(self, env: Env) -> None:
        super().__init__(env)
        self.turn = -1

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        self.turn = (self.turn + 1) % 12
        return self.env.reset(seed=seed, options={"utterance": self.turn})


@pytest.mark.parametrize("kind", [SequencePPO, SequenceReinforce, SequenceGRPO])
def test_a_reward_wrapper_changes_what_is_learnt(make_algorithm: Make, env: Env, kind: Any) -> None:
    """Passed over, training goes the opposite way of what was asked for, to the last digit."""
    plain = learnt(make_algorithm, env, kind)
    batch = learnt(make_algorithm, Negated(env), kind)
    np.testing.assert_array_equal(batch.tokens, plain.tokens)
    np.testing.assert_array_equal(batch.scores, -plain.scores)
    np.testing.assert_array_equal(batch.utterances, plain.utterances)


@pytest.mark.parametrize("n_envs", [1, 3])
def test_reward_wrappers_count_in_every_environment(
    make_algorithm: Make, make_env: Any, task: SequenceTask, n_envs: int
) -> None:
    """Environment `i` plays the episodes `i`, `i + n`, ... with wrappers of its own."""
    factors = [10.0, 20.0, 30.0][:n_envs]

    def wrapped(factor: float) -> Env:
        return TransformReward(make_env(task), lambda reward: factor * float(reward))

    venv = DummyVecEnv([lambda f=f: wrapped(f) for f in factors])
    plain = learnt(make_algorithm, DummyVecEnv([lambda: make_env(task)] * n_envs))
    batch = learnt(make_algorithm, venv)
    expected = plain.scores * np.resize(factors, len(plain))
    np.testing.assert_allclose(batch.scores, expected, rtol=1e-6)


def test_a_step_of_ones_own_is_played(make_algorithm: Make, env: Env) -> None:
    """No list of known wrappers knows those that users write."""
    plain = learnt(make_algorithm, env)
    batch = learnt(make_algorithm, StepShaped(env))
    np.testing.assert_allclose(batch.scores, plain.scores + plain.lengths, rtol=1e-6)


def test_a_subclass_with_a_step_of_its_own_is_played(
    make_algorithm: Make, make_env: Any, task: SequenceTask
) -> None:
    """A derived environment is passed over as silently as a wrapped one."""

    class Doubled(make_env):  # type: ignore[misc]
        def step(self, action: Any) -> Any:
            obs, reward, *rest = super().step(action)
            return obs, 2 * reward, *rest

    plain = learnt(make_algorithm, make_env(task))
    batch = learnt(make_algorithm, Doubled(task))
    np.testing.assert_array_equal(batch.scores, 2 * plain.scores)


def test_normalised_rewards_are_those_of_the_wrapper(make_algorithm: Make, env: Env) -> None:
    """Its running statistics see every step, those that pay nothing included."""
    plain = learnt(make_algorithm, env)
    batch = learnt(make_algorithm, NormalizeReward(env))
    by_hand = NormalizeReward(env)
    for number in range(len(plain)):
        by_hand.reset(options={"utterance": int(plain.utterances[number])})
        for token in plain.tokens[number, : plain.lengths[number]]:
            *_, reward, terminated, _, _ = by_hand.step(token)
        assert terminated
        assert batch.scores[number] == pytest.approx(reward, rel=1e-6)


def test_normalised_rewards_of_sb3_are_those_of_the_wrapper(
    make_algorithm: Make, make_env: Any, task: SequenceTask
) -> None:
    """`VecNormalize` is how Stable-Baselines3's users scale rewards; the monitor sees raw ones."""
    venv = VecMonitor(DummyVecEnv([lambda: make_env(task)] * 2))
    plain = learnt(make_algorithm, venv)
    wrapped = VecNormalize(venv, norm_obs=False)
    algorithm = make_algorithm(SequencePPO, wrapped)
    batch = algorithm.learn(1).batch
    assert batch is not None
    by_hand = VecNormalize(DummyVecEnv([lambda: make_env(task)] * 2), norm_obs=False)
    ends = [plain.lengths[index::2] for index in range(2)]
    at, number = [0, 0], [0, 0]
    for _ in range(max(int(each.sum()) for each in ends)):
        rewards, dones = np.zeros(2, np.float32), np.zeros(2, np.bool_)
        for index in range(2):
            if number[index] < len(ends[index]):
                at[index] += 1
                if at[index] == ends[index][number[index]]:
                    episode = index + 2 * number[index]
                    rewards[index], dones[index] = plain.scores[episode], True
                    at[index], number[index] = 0, number[index] + 1
        by_hand._update_reward(rewards)
        paid = by_hand.normalize_reward(rewards)
        by_hand.returns[dones] = 0
        for index in np.flatnonzero(dones):
            episode = index + 2 * (number[index] - 1)
            assert batch.scores[episode] == pytest.approx(paid[index], rel=1e-5)
    assert wrapped.ret_rms.var == pytest.approx(by_hand.ret_rms.var)
    assert algorithm.ep_info_buffer is not None
    noted = [episode["r"] for episode in algorithm.ep_info_buffer]
    np.testing.assert_allclose(noted, plain.scores, rtol=1e-6)


def test_a_vec_env_wrapper_of_ones_own_counts(
    make_algorithm: Make, make_env: Any, task: SequenceTask
) -> None:
    """Learned rewards are put in by such wrappers (imitation's `RewardVecEnvWrapper`)."""

    class Twice(VecEnvWrapper):
        def reset(self) -> Any:
            return self.venv.reset()

        def step_wait(self) -> Any:
            obs, rewards, dones, infos = self.venv.step_wait()
            return obs, 2 * rewards, dones, infos

    plain = learnt(make_algorithm, make_env(task))
    wrapped = Twice(DummyVecEnv([lambda: Negated(make_env(task))]))
    np.testing.assert_allclose(learnt(make_algorithm, wrapped).scores, -2 * plain.scores, rtol=1e-6)
    assert isinstance(wrapped.venv, DummyVecEnv), "put back"


def test_options_that_a_wrapper_sets_hold(make_algorithm: Make, env: Env) -> None:
    """Also where it takes its own only if the caller gives none."""
    batch = learnt(make_algorithm, Chooses(env))
    assert set(batch.utterances.tolist()) == {7}
    assert set(batch.lengths.tolist()) == {4}


def test_a_curriculum_chooses_utterances(make_algorithm: Make, env: Env) -> None:
    """One sample of each is all that it can give; several share an utterance."""
    batch = learnt(make_algorithm, Curriculum(env), samples_per_utterance=1)
    # One reset to look at the first observation, one by `learn`.
    assert batch.utterances.tolist() == [(2 + number) % 12 for number in range(16)]
    message = (
        "`env` must begin the 4 samples of an utterance with that utterance, as one seed asks, "
        "got the utterances ["
    )
    with pytest.raises(InputError, match=re.escape(message)) as caught:
        learnt(make_algorithm, Curriculum(env))
    assert "`Curriculum`" in str(caught.value)


def test_a_condition_that_a_wrapper_sets_is_what_is_learnt_from(
    make_algorithm: Make, tiny_task: AnimationTask
) -> None:
    """The policy would be told of one emotion and scored for another."""

    class Sad(gymnasium.Wrapper):  # type: ignore[type-arg]
        def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
            return self.env.reset(seed=seed, options={**(options or {}), "emotion": "sad"})

    made = gymnasium.make("ESARM-v0", task=tiny_task, reward="accuracy", metrics=False)
    batch = learnt(make_algorithm, Sad(made), n_episodes=4)
    record = tiny_task.corpus.records[int(batch.utterances[0])]
    sad = tiny_task.conditions.encode("sad", record.intensity, record.speaker)
    np.testing.assert_array_equal(batch.condition[0], sad)
    scores = made.get_wrapper_attr("score_tokens")(
        batch.utterances, batch.tokens, batch.lengths, batch.condition
    )
    np.testing.assert_allclose(batch.scores, scores, rtol=1e-5)


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open() as file:
        file.readline()
        return list(csv.DictReader(file))


@pytest.mark.parametrize("keywords", [(), ("mood",)])
def test_a_monitor_writes_its_file(
    make_algorithm: Make, env: Env, tmp_path: Path, keywords: tuple[str, ...]
) -> None:
    """Learning curves are drawn from it; it stayed empty."""

    class Moody(gymnasium.Wrapper):  # type: ignore[type-arg]
        def step(self, action: Any) -> Any:
            *seen, info = self.env.step(action)
            return *seen, {**info, "mood": 3}

    monitor = Monitor(Moody(env) if keywords else env, str(tmp_path / "m"), info_keywords=keywords)
    batch = learnt(make_algorithm, monitor)
    monitor.close()
    rows = rows_of(tmp_path / "m.monitor.csv")
    assert [int(row["l"]) for row in rows] == batch.lengths.tolist()
    np.testing.assert_allclose([float(row["r"]) for row in rows], batch.scores, atol=1e-6)
    assert not keywords or all(row["mood"] == "3" for row in rows)
    assert monitor.get_episode_lengths() == batch.lengths.tolist()
    assert monitor.get_total_steps() == batch.lengths.sum()


def test_a_vec_monitor_writes_its_file(make_algorithm: Make, env: Env, tmp_path: Path) -> None:
    """The other place of the same statistics."""
    venv = VecMonitor(DummyVecEnv([lambda: env]), str(tmp_path / "v"))
    batch = learnt(make_algorithm, venv)
    venv.close()
    rows = rows_of(tmp_path / "v.monitor.csv")
    assert [int(row["l"]) for row in rows] == batch.lengths.tolist()
    np.testing.assert_allclose([float(row["r"]) for row in rows], batch.scores, atol=1e-6)


def test_infos_that_nobody_makes_are_refused(
    make_algorithm: Make, tiny_task: AnimationTask, tmp_path: Path
) -> None:
    """Roll-outs of the vector environment are scored without metrics."""
    venv = make_sb3_vec_env(2, task=tiny_task, reward="zero", monitor=False)
    monitor = VecMonitor(venv, str(tmp_path / "v"), info_keywords=("lve",))
    with pytest.raises(InputError, match=re.escape("a file and `info_keywords` ['lve']")):
        make_algorithm(SequencePPO, monitor)
    monitor.close()


def test_a_vec_monitor_that_asks_for_infos_gets_them(
    make_algorithm: Make, tiny_task: AnimationTask, tmp_path: Path
) -> None:
    """Played for their sake: it died of a missing key."""
    made = gymnasium.make("ESARM-v0", task=tiny_task, reward="zero")
    venv = VecMonitor(DummyVecEnv([lambda: made]), str(tmp_path / "v"), info_keywords=("lve",))
    batch = learnt(make_algorithm, venv, n_episodes=4)
    venv.close()
    errors = made.get_wrapper_attr("sequence_task").errors(
        Trajectories(batch.utterances, batch.tokens, batch.lengths, batch.condition)
    )
    noted = [float(row["lve"]) for row in rows_of(tmp_path / "v.monitor.csv")]
    np.testing.assert_allclose(noted, errors["lve"], rtol=1e-5)


def test_weights_of_utterances_are_kept(make_algorithm: Make, tiny_task: AnimationTask) -> None:
    """`sampling` was the environment's alone, which the trainer does not ask to draw."""
    weights = {"anna-00": 3.0, "ben-04": 1.0}
    for make in (make_env_of, lambda **made: make_sb3_vec_env(2, **made)):
        env = make(task=tiny_task, reward="zero", metrics=False, sampling=Sampling(weights))
        drawn = learnt(make_algorithm, env, n_episodes=64, samples_per_utterance=1).utterances
        assert set(drawn.tolist()) == {0, 4}
        assert 36 <= np.sum(drawn == 0) <= 60


def test_a_vector_environment_itself_is_refused_in_words(
    make_algorithm: Make, tiny_task: AnimationTask
) -> None:
    """Stable-Baselines3 takes it for one of OpenAI Gym."""
    env: Any = gymnasium.make_vec("ESARM-v0", num_envs=2, task=tiny_task, reward="zero")
    with pytest.raises(InputError, match=re.escape("`esarm_env.sb3.make_sb3_vec_env` makes many")):
        make_algorithm(SequencePPO, env)


def test_statistics_of_gymnasium_are_kept(make_algorithm: Make, env: Env) -> None:
    """`RecordEpisodeStatistics` is Gymnasium's monitor."""
    wrapped = RecordEpisodeStatistics(env)
    batch = learnt(make_algorithm, wrapped)
    assert list(wrapped.length_queue) == batch.lengths.tolist()
    np.testing.assert_allclose(list(wrapped.return_queue), batch.scores, rtol=1e-6)


def test_wrappers_that_change_nothing_pass(make_algorithm: Make, env: Env) -> None:
    """A limit that cuts nothing, a key that nobody reads, a clip that nothing reaches."""
    plain = learnt(make_algorithm, env)
    keys = ["audio", "condition", "last_tokens", "step", "utterance"]
    wrappers: list[Callable[[Env], Env]] = [
        lambda env: TimeLimit(env, 8),
        lambda env: ClipReward(env, -5.0, 5.0),
        lambda env: FilterObservation(env, keys),
        lambda env: TimeAwareObservation(TimeLimit(env, 8), flatten=False),
    ]
    for wrap in wrappers:
        batch = learnt(make_algorithm, wrap(env))
        np.testing.assert_allclose(batch.scores, plain.scores, rtol=1e-6)


def test_a_wrapper_that_scores_by_itself_is_asked(make_algorithm: Make, env: Env) -> None:
    """The way for a reward wrapper to stay fast: it says what becomes of a batch."""

    class Halved(gymnasium.RewardWrapper):  # type: ignore[type-arg]
        def reward(self, reward: Any) -> Any:
            raise AssertionError("`score_tokens` stands for it")

        def score_tokens(self, *arrays: Any) -> Any:
            return self.env.get_wrapper_attr("score_tokens")(*arrays) / 2

    plain = learnt(make_algorithm, env)
    np.testing.assert_array_equal(learnt(make_algorithm, Halved(env)).scores, plain.scores / 2)


REFUSED: list[tuple[str, Callable[[Env], Any], str]] = [
    ("limit", lambda env: TimeLimit(env, 3), "`TimeLimit` of 3 steps: it cuts episodes of up to 6"),
    ("per step", Penalised, "must pay 0 before the last token, got -0.5 at step 1 of"),
    ("clip", lambda env: ClipReward(env, 0.5, 1.0), "got 0.5 at step 1 of"),
    ("ends", Stops, "must end an episode with its audio and not cut it off, got another end at"),
    (
        "observation",
        lambda env: TransformObservation(
            env, lambda obs: {**obs, "audio": 2 * obs["audio"]}, env.observation_space
        ),
        "must show `audio` as the task has it, got another one through `TransformObservation`",
    ),
    (
        "tokens",
        lambda env: TransformObservation(
            env,
            lambda obs: {**obs, "step": obs["step"].astype(np.float32)},
            env.observation_space,
        ),
        "must show `step` as the task has it, got another one through `TransformObservation`",
    ),
    (
        "action",
        lambda env: TransformAction(env, lambda action: (action + 1) % 4, spaces.Discrete(4)),
        "must show `last_tokens` as the task has it, got another one through `TransformAction`",
    ),
    (
        "normalised",
        lambda env: VecNormalize(DummyVecEnv([lambda: env])),
        "got `VecNormalize` that normalises ['audio', 'condition', 'last_tokens', 'step', 'utter",
    ),
    (
        "normalised audio",
        lambda env: VecNormalize(DummyVecEnv([lambda: env]), norm_obs_keys=["audio"]),
        "got `VecNormalize` that normalises ['audio']: sequence algorithms hear the audio as",
    ),
    (
        "stacked",
        lambda env: VecFrameStack(DummyVecEnv([lambda: env]), 2),
        "got `VecFrameStack`, which changes observations",
    ),
    (
        "sync",
        lambda env: SB3VecEnv(SyncVectorEnv([lambda: Negated(env)], autoreset_mode="SameStep")),
        "got `Negated` in a `SyncVectorEnv`: wrap single environments in a `DummyVecEnv`",
    ),
]


@pytest.mark.parametrize(
    ("wrap", "message"), [each[1:] for each in REFUSED], ids=[each[0] for each in REFUSED]
)
def test_what_cannot_be_honoured_is_refused_by_name(
    make_algorithm: Make, env: Env, wrap: Any, message: str
) -> None:
    """Each was ignored without a word."""
    with pytest.raises(InputError, match=re.escape(message)):
        learnt(make_algorithm, wrap(env))


def test_a_vector_wrapper_is_refused_by_name(
    make_algorithm: Make, tiny_task: AnimationTask
) -> None:
    """Around the native vector environment there is no single environment to play."""
    made = gymnasium.make_vec(
        "ESARM-v0", num_envs=2, task=tiny_task, reward="zero", autoreset_mode="SameStep"
    )
    wrapped = gymnasium.wrappers.vector.TransformReward(made, lambda reward: 2 * reward)
    with pytest.raises(InputError, match="got `TransformReward` around a vector environment"):
        make_algorithm(SequencePPO, SB3VecEnv(wrapped))


def test_options_of_the_next_reset_are_refused(
    make_algorithm: Make, tiny_task: AnimationTask
) -> None:
    """They are for one reset, and a roll-out needs one an episode."""
    venv = make_sb3_vec_env(2, task=tiny_task, reward="zero", metrics=False)
    algorithm = make_algorithm(SequencePPO, venv, n_episodes=4)
    venv.set_options({"emotion": "sad"})
    with pytest.raises(InputError, match="`set_options` must not be used before `learn`"):
        algorithm.learn(1)


def test_streams_and_wrappers_that_may_change_scores_are_refused(
    make_algorithm: Make, env: Env
) -> None:
    """A wrapper knows one reward, not that of the mouth alone."""
    with pytest.raises(InputError, match="`stream_advantages` must be False where wrappers may"):
        make_algorithm(SequencePPO, Negated(env), stream_advantages=True)


def test_cloning_refuses_changed_observations(env: Env, network: dict[str, Any]) -> None:
    """It learns from the task's audio, and acts on what the wrapper shows."""
    quiet = TransformObservation(
        env, lambda obs: {**obs, "audio": obs["audio"] / 2}, env.observation_space
    )
    with pytest.raises(InputError, match="must show `audio` as the task has it"):
        BehaviourCloning("MotionPolicy", quiet, policy_kwargs=network)


def test_wrapper_kwargs_of_a_maker_count(
    make_algorithm: Make, make_env: Any, task: SequenceTask
) -> None:
    """`make_vec_env(wrapper_class=...)` wraps inside `Monitor`."""
    venv: VecEnv = make_vec_env(
        lambda: make_env(task),
        n_envs=2,
        wrapper_class=ClipReward,
        wrapper_kwargs={"min_reward": 0.0, "max_reward": 0.25},
    )
    batch = learnt(make_algorithm, venv)
    plain = learnt(make_algorithm, make_env(task))
    np.testing.assert_allclose(batch.scores, plain.scores.clip(0, 0.25), rtol=1e-6)


def test_wrapped_runs_repeat(make_algorithm: Make, env: Env) -> None:
    """Same seed, same weights: also where a wrapper chooses in its `reset`."""
    weights = []
    for _ in range(2):
        algorithm = make_algorithm(SequencePPO, Chooses(env)).learn(1)
        weights.append(algorithm.model.state_dict())
    assert all((weights[0][name] == weights[1][name]).all() for name in weights[0])


class OtherActions(VecEnvWrapper):
    """Sends other tokens than it is given."""

    def reset(self) -> Any:
        return self.venv.reset()

    def step_async(self, actions: Any) -> None:
        self.venv.step_async((actions + 1) % self.action_space.n)  # type: ignore[attr-defined]

    def step_wait(self) -> Any:
        return self.venv.step_wait()


class OtherOptions(OtherActions):
    """Sets options of its own at every reset."""

    def reset(self) -> Any:
        self.venv.set_options({"emotion": "sad"})
        return self.venv.reset()

    def step_async(self, actions: Any) -> None:
        self.venv.step_async(actions)


@pytest.mark.parametrize(
    ("wrapper", "message"),
    [
        (OtherActions, "got a `VecEnvWrapper` that changes them"),
        (OtherOptions, "got a `VecEnvWrapper` that sets {'emotion': 'sad'}"),
    ],
)
def test_a_vec_env_wrapper_that_acts_is_refused(
    make_algorithm: Make, env: Env, wrapper: Any, message: str
) -> None:
    """It saw finished episodes, and what it changed was dropped."""
    with pytest.raises(InputError, match=re.escape(message)):
        learnt(make_algorithm, wrapper(DummyVecEnv([lambda: env])))


def test_environments_of_unlike_rewards_are_refused(tiny_task: AnimationTask) -> None:
    """The first one's reward scored the episodes of all."""
    kinds = [
        lambda name=name: make_env_of(task=tiny_task, reward=name) for name in ("jerk", "zero")
    ]
    message = "got another reward_function in environment 1"
    with pytest.raises(InputError, match=re.escape(message)):
        SequencePPO("MotionPolicy", DummyVecEnv(kinds)).learn(1)
