"""Bad input: environments that do not fit, other tasks, and what a message must name."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback, CheckpointCallback
from stable_baselines3.common.vec_env import DummyVecEnv

from agents.cloning import BehaviourCloning
from agents.common.sequence_algorithm import SequenceAlgorithm
from agents.faults import TrainingFault, names_of
from agents.grpo import SequenceGRPO
from agents.ppo import SequencePPO
from agents.protocols import FloatArray, IntArray, SequenceTask
from agents.reinforce import SequenceReinforce
from esarm_env.core.errors import InputError

Env = gymnasium.Env[Any, Any]
MakeTask = Callable[..., SequenceTask]
MakeEnv = Callable[..., Env]
MakeAlgorithm = Callable[..., SequenceAlgorithm]

KEYS = "audio, condition, last_tokens, step"
trainers = pytest.mark.parametrize("kind", [SequencePPO, SequenceReinforce, SequenceGRPO])
Make = Callable[..., BaseAlgorithm]


@pytest.fixture(params=[SequencePPO, BehaviourCloning])
def make(request: pytest.FixtureRequest, network: dict[str, Any]) -> Make:
    """Return a maker of a small algorithm, a trainer and cloning in turn: `make(env)`."""

    def made(env: Any, **settings: Any) -> BaseAlgorithm:
        algorithm: BaseAlgorithm = request.param(
            "MotionPolicy", env, policy_kwargs=network, seed=0, **settings
        )
        return algorithm

    made.kind = request.param  # type: ignore[attr-defined]
    return made


def _slim(env: Env, **changed: spaces.Space[Any] | None) -> spaces.Dict:
    assert isinstance(env.observation_space, spaces.Dict)
    parts = dict(env.observation_space.spaces) | changed
    return spaces.Dict({key: part for key, part in parts.items() if part is not None})


@pytest.mark.parametrize(
    ("action_space", "rule"),
    [
        (spaces.Box(-1, 1, (4,)), "must be Discrete(4), one action per token of the task, got Box"),
        (spaces.Discrete(5), "must be Discrete(4), one action per token of the task, got Discrete"),
        (spaces.MultiDiscrete([4, 4]), "must be Discrete(4), one action per token of the task"),
    ],
)
def test_an_action_that_is_no_token_is_rejected(
    env: Env, make: Make, action_space: spaces.Space[Any], rule: str
) -> None:
    """A network with a logit too few or too many trains, and fails where the token is read."""
    env.action_space = action_space
    with pytest.raises(ValueError, match=re.escape(f"`action_space` {rule}")):
        make(env)


@pytest.mark.parametrize(
    ("changed", "rule"),
    [
        ({"last_tokens": None}, f"`observation_space` must be a Dict with {KEYS}"),
        ({"audio": spaces.Box(-8, 8, (9,))}, "`observation_space['audio']` must have shape (8,)"),
        ({"step": spaces.Box(0, 6, (2,))}, "`observation_space['step']` must have shape (1,)"),
    ],
)
def test_an_observation_that_does_not_fit_is_rejected(
    env: Env, make: Make, changed: dict[str, Any], rule: str
) -> None:
    """Trained on the task's windows, it would act on something else."""
    env.observation_space = _slim(env, **changed)
    with pytest.raises(ValueError, match=re.escape(rule)):
        make(env)


def test_other_observations_name_what_takes_them(env: Env, make: Make) -> None:
    """`full_sequence` and `flat` are options of one environment: mixing them up is easy."""
    env.observation_space = spaces.Dict(
        {key: spaces.Box(0, 1, (3,)) for key in ("audio", "audio_mask", "tokens", "step")}
    )
    rule = "got ['audio', 'audio_mask', 'step', 'tokens']; stock algorithms take `full_sequence`"
    with pytest.raises(ValueError, match=re.escape(rule)):
        make(env)


def test_a_flat_observation_is_named_by_its_shape(env: Env, make: Make) -> None:
    """The bounds of hundreds of numbers would bury the rule."""
    env.observation_space = spaces.Box(-8, 8, (831,))
    rule = "got a Box of shape (831,); stock algorithms take `full_sequence`"
    with pytest.raises(ValueError, match=re.escape(rule)):
        make(env)


def test_an_empty_split_is_rejected(env: Env, make: Make) -> None:
    """`choice` of nothing raises in numpy, and names no split."""
    env.unwrapped.utterances = np.array([], np.int64)  # type: ignore[attr-defined]
    with pytest.raises(
        ValueError, match=re.escape("must have at least one utterance, got an empt")
    ):
        make(env)


@trainers
def test_an_environment_that_pays_by_chunk_names_the_setting_that_does(
    make_env: MakeEnv,
    task: SequenceTask,
    make_algorithm: MakeAlgorithm,
    kind: type[SequenceAlgorithm],
) -> None:
    """Whole episodes are scored at once: its timing would be ignored, also that of the second."""
    first, second = make_env(task), make_env(task)
    second.unwrapped.reward_timing = "chunk"
    rule = (
        "`env` must have `reward_timing='terminal'`, got 'chunk': a sequence algorithm scores "
        "whole episodes by itself; leave it out and pass `credit='chunk'` to the algorithm"
    )
    with pytest.raises(InputError, match=re.escape(rule)):
        make_algorithm(kind, DummyVecEnv([lambda: first, lambda: second]), n_episodes=4)
    second.unwrapped.reward_timing = "terminal"
    make_algorithm(kind, DummyVecEnv([lambda: first, lambda: second]), n_episodes=4)


@trainers
def test_fewer_episodes_than_environments_are_rejected(
    make_env: MakeEnv,
    task: SequenceTask,
    make_algorithm: MakeAlgorithm,
    tmp_path: Path,
    kind: type[SequenceAlgorithm],
) -> None:
    """Some would never be used, which nobody means; loading may bring more of them."""
    few, many = (DummyVecEnv([lambda: make_env(task)] * n) for n in (4, 5))
    rule = "`n_episodes` must be at least the number of environments (5), got 4; one environment"
    with pytest.raises(ValueError, match=re.escape(rule)):
        make_algorithm(kind, many, n_episodes=4)
    make_algorithm(kind, few, n_episodes=4).save(tmp_path / "agent")
    with pytest.raises(ValueError, match=re.escape(rule)):
        kind.load(tmp_path / "agent", env=many)


def _told(task: SequenceTask, **fingerprint: str) -> SequenceTask:
    task.fingerprint = fingerprint  # type: ignore[attr-defined]
    return task


@pytest.mark.parametrize(
    ("other", "part"),
    [
        ({"tokenizer": "aaaa", "corpus": "cccc"}, "corpus cccc instead of bbbb"),
        ({"tokenizer": "cccc", "corpus": "bbbb"}, "tokenizer cccc instead of aaaa"),
        ({"tokenizer": "cccc"}, "tokenizer cccc instead of aaaa"),
    ],
)
def test_a_checkpoint_of_another_task_is_refused(
    make_task: MakeTask,
    make_env: MakeEnv,
    make: Make,
    tmp_path: Path,
    other: dict[str, str],
    part: str,
) -> None:
    """With another tokenizer every token means another face, and the shapes are the same."""
    algorithm = make(make_env(_told(make_task(), tokenizer="aaaa", corpus="bbbb")))
    algorithm.save(tmp_path / "agent")
    kind = make.kind  # type: ignore[attr-defined]
    env = make_env(_told(make_task(), **other))
    name = part.split()[0]
    rule = (
        f"`env` must have the {name} that the agent was trained with, got {part}; to go on with it "
        "all the same, pass `custom_objects={'task_fingerprint': None}` to `load`"
    )
    with pytest.raises(ValueError, match=re.escape(rule)):
        kind.load(tmp_path / "agent", env=env)
    before = algorithm.env
    for each in (algorithm, kind.load(tmp_path / "agent")):
        with pytest.raises(ValueError, match=re.escape(rule)):
            each.set_env(env)
    assert algorithm.env is before
    agreed = kind.load(tmp_path / "agent", env=env, custom_objects={"task_fingerprint": None})
    assert agreed.task_fingerprint == other


def test_the_same_task_and_one_that_cannot_tell_are_allowed(
    make_task: MakeTask, make_env: MakeEnv, make: Make, tmp_path: Path
) -> None:
    """Whoever writes a task of their own need not know of fingerprints."""
    make(make_env(_told(make_task(), tokenizer="aaaa"))).save(tmp_path / "agent")
    kind = make.kind  # type: ignore[attr-defined]
    for told in ({"tokenizer": "aaaa"}, {"corpus": "b"}):
        env = make_env(_told(make_task(), **told))
        assert kind.load(tmp_path / "agent", env=env).task_fingerprint == {"tokenizer": "aaaa"}
    kind.load(tmp_path / "agent", env=make_env(make_task())).set_env(make_env(make_task()))


def test_other_spaces_are_explained(
    make_task: MakeTask, make_env: MakeEnv, make: Make, tmp_path: Path
) -> None:
    """Stable-Baselines3 prints two dictionaries; what they have to do with a corpus, it cannot."""
    algorithm = make(make_env(make_task()))
    algorithm.save(tmp_path / "agent")
    other = make_env(make_task(n_tokens=5))
    rule = (
        "`env` must have the spaces that the agent was trained with, those of another tokenizer, "
        "corpus or observation do not fit, got: Observation spaces do not match: "
    )
    with pytest.raises(ValueError, match=re.escape(rule)):
        make.kind.load(tmp_path / "agent", env=other)  # type: ignore[attr-defined]
    with pytest.raises(ValueError, match=re.escape(rule)):
        algorithm.set_env(other)


def test_another_error_of_loading_is_left_alone(
    env: Env, make: Make, tmp_path: Path, network: dict[str, Any]
) -> None:
    """Explained as a matter of spaces, it could not be found."""
    make(env).save(tmp_path / "agent")
    with pytest.raises(ValueError, match="specified policy kwargs do not equal"):
        make.kind.load(tmp_path / "agent", env=env, policy_kwargs={})  # type: ignore[attr-defined]


class Sour:
    """Scores 0.5, and from the `after`-th call on nan for utterance 3."""

    def __init__(self, after: int, value: float = float("nan")) -> None:
        self.left, self.value = after, value

    def __call__(
        self, utterances: IntArray, tokens: IntArray, lengths: IntArray, condition: FloatArray
    ) -> FloatArray:
        self.left -= 1
        bad = self.value if self.left < 0 else 0.5
        return np.where(utterances == 3, bad, 0.5).astype(np.float32)


@trainers
def test_the_last_good_checkpoint_is_named(
    env: Env, make_algorithm: MakeAlgorithm, tmp_path: Path, kind: type[SequenceAlgorithm]
) -> None:
    """After a night of training, the question is from where to go on."""
    env.unwrapped.score_tokens = Sour(4)  # type: ignore[attr-defined]
    # 192 tokens an iteration, scored in two parts.
    algorithm = make_algorithm(kind, env, n_episodes=48)
    callback = CheckpointCallback(192, str(tmp_path), name_prefix="agent")
    path = tmp_path / "agent_384_steps.zip"
    rule = (
        "scores must be finite, got nan for utterances [3], at step 384 (iteration 2); the last "
        f"good checkpoint is {path}"
    )
    with pytest.raises(TrainingFault, match=re.escape(rule)):
        algorithm.learn(1000, callback=callback)
    env.unwrapped.score_tokens = Sour(0)  # type: ignore[attr-defined]
    resumed = kind.load(path, env=env)
    with pytest.raises(TrainingFault, match=re.escape(f"the last good checkpoint is {path}")):
        resumed.learn(1000, reset_num_timesteps=False)


def test_utterances_are_called_by_their_names(
    env: Env, task: SequenceTask, make_algorithm: MakeAlgorithm
) -> None:
    """An index says nothing to whoever has to listen to the recording."""
    task.ids_of = lambda rows: [f"ben-{row:02}" for row in rows]  # type: ignore[attr-defined]
    env.unwrapped.score_tokens = Sour(0, float("inf"))  # type: ignore[attr-defined]
    with pytest.raises(TrainingFault, match=re.escape("got inf for utterances ['ben-03'], at")):
        make_algorithm(SequencePPO, env, n_episodes=48).learn(1)


def test_a_message_names_each_of_sixty_four_utterances(task: SequenceTask) -> None:
    """An iteration may have hundreds, most of them several times."""
    rows = np.repeat(np.arange(67), 3)
    shown = ", ".join(str(row) for row in range(64))
    assert names_of(task, rows[::-1]) == f"utterances [{shown}] and 3 more"
    assert names_of(task, rows[:4]) == "utterances [0, 1]"


def test_a_reward_that_fails_is_located(env: Env, make_algorithm: MakeAlgorithm) -> None:
    """Its own message knows the utterance, but neither the step nor the checkpoint."""

    def fail(*_: Any) -> FloatArray:
        raise RuntimeError("reward 'mine' must be finite, got nan for 'ben-03'")

    env.unwrapped.score_tokens = fail  # type: ignore[attr-defined]
    rule = (
        "scoring failed: reward 'mine' must be finite, got nan for 'ben-03', "
        "at step 0 (iteration 0); no checkpoint was written"
    )
    with pytest.raises(TrainingFault, match=re.escape(rule)):
        make_algorithm(SequencePPO, env).learn(1)


class Spoil(BaseCallback):
    """Saves after the first epoch, and spoils the weights."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path

    def _on_step(self) -> bool:
        self.model.save(self._path)
        model = self.model.trainer.model  # type: ignore[attr-defined]
        model.to_logits.data.fill_(float("nan"))
        return True


def test_cloning_names_its_checkpoint_too(
    env: Env, network: dict[str, Any], tmp_path: Path
) -> None:
    """It runs for hours on a large corpus."""
    cloning = BehaviourCloning("MotionPolicy", env, policy_kwargs=network, seed=0)
    rule = (
        r"loss must be finite, got nan in epoch 2 for utterances \[.*\].*; the last good "
        rf"checkpoint is {re.escape(str(tmp_path))}/clone\.zip"
    )
    with pytest.raises(TrainingFault, match=rule):
        cloning.learn(callback=Spoil(tmp_path / "clone"))


def test_another_longest_utterance_is_named(
    make_env: MakeEnv, make_task: Any, make: Make, tmp_path: Path
) -> None:
    """`max_duration_s` changes the space of `step`, and nobody looks for it there."""
    make(make_env(make_task(max_chunks=3))).save(tmp_path / "agent")
    longer = make_env(make_task(max_chunks=4, n_utterances=16))
    shorter = make_env(make_task(max_chunks=2))
    for env, n in ((longer, 8), (shorter, 4)):
        message = f"its longest utterance has {n} tokens instead of 6, which `max_duration_s`"
        with pytest.raises(ValueError, match=re.escape(message)):
            make.kind.load(tmp_path / "agent", env=env)  # type: ignore[attr-defined]
