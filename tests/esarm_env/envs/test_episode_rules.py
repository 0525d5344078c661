"""What all episodes share: the split, the longest utterance, masks of tokens, and the options."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import gymnasium
import numpy as np
import pytest
import sb3_contrib
from sb3_contrib.common.maskable.utils import get_action_masks, is_masking_supported
from stable_baselines3.common.vec_env import DummyVecEnv

from esarm_env.audio.store import FeatureStore
from esarm_env.core.errors import InputError
from esarm_env.core.types import Corpus, Trajectories
from esarm_env.envs.episode_rules import check_options
from esarm_env.envs.scalar import SpeechAnimationEnv
from esarm_env.envs.vector import SpeechAnimationVectorEnv
from esarm_env.task.animation_task import AnimationTask

MakeTask = Callable[..., AnimationTask]


def vector(**settings: Any) -> SpeechAnimationVectorEnv:
    return SpeechAnimationVectorEnv(2, **settings)


BOTH = pytest.mark.parametrize("make", [SpeechAnimationEnv, vector], ids=["scalar", "vector"])


class Zero:
    needs_ground_truth = False

    def score(self, trajectories: Trajectories) -> np.ndarray:
        return np.zeros(len(trajectories), np.float32)


@pytest.fixture
def make_task(
    tiny_task: AnimationTask, tiny_corpus: Corpus, make_corpus: Callable[..., Corpus]
) -> MakeTask:
    """Return a maker of tasks of utterances as long as is said, in frames."""

    def make(n_frames: Sequence[int], splits: Mapping[str, Sequence[int]]) -> AnimationTask:
        utterances = []
        for index, frames in enumerate(n_frames):
            whole = tiny_corpus[index]
            record = dataclasses.replace(whole.record, n_frames=frames)
            motion = np.resize(whole.motion, (frames, 52))
            utterances.append(dataclasses.replace(whole, record=record, motion=motion))
        values = np.zeros((sum(n_frames), tiny_task.features.dim), np.float16)
        corpus = make_corpus(utterances, {"validation": [], "test": [], **splits})
        features = FeatureStore(values, list(n_frames))
        return dataclasses.replace(tiny_task, corpus=corpus, features=features)

    return make


def drawn(env: SpeechAnimationEnv) -> set[int]:
    return {int(env.reset(seed=seed)[0]["utterance"][0]) for seed in range(40)}


@BOTH
@pytest.mark.parametrize("split", ["dev", "Train", "", "all", None])
def test_an_unknown_split_is_rejected(
    tiny_task: AnimationTask, make: Callable[..., Any], split: Any
) -> None:
    """The message lists the splits."""
    message = f"`split` must be one of train, validation, test, got {split!r}"
    with pytest.raises(InputError, match=re.escape(message)):
        make(task=tiny_task, reward=Zero(), split=split)


@BOTH
def test_an_empty_split_is_rejected(make_task: MakeTask, make: Callable[..., Any]) -> None:
    """Small folders have no validation split; the first reset would fail inside numpy."""
    task = make_task([9, 5], {"train": [0, 1]})
    message = "`split` must hold at least one utterance, got 'test' with none"
    with pytest.raises(InputError, match=re.escape(message)):
        make(task=task, reward=Zero(), split="test")


@pytest.mark.parametrize("n_frames", [1, 4, 5])
def test_a_corpus_of_one_utterance_works(make_task: MakeTask, n_frames: int) -> None:
    """Also with buckets, errors and the shortest of recordings."""
    task = make_task([n_frames], {"train": [0]})
    length = 4 * -(-n_frames // 4)
    one = SpeechAnimationEnv(task=task, reward="accuracy")
    many = vector(task=task, reward="accuracy", autoreset_mode="SameStep")
    for seed in range(3):
        assert one.reset(seed=seed)[0]["utterance"].tolist() == [0]
        many.reset(seed=seed)
        for step in range(length):
            obs, reward, terminated, _, info = one.step(step)
            infos = many.step(np.array([step, step]))[4]
        assert one.observation_space.contains(obs)
        assert (terminated, obs["step"].tolist()) == (True, [length])
        assert info["tokens"].tolist() == list(range(length))
        assert reward == pytest.approx(-(info["lve"] + info["eve"]) / 2, rel=1e-5)
        np.testing.assert_allclose(infos["final_info"]["lve"], [info["lve"]] * 2, rtol=1e-5)


def test_long_utterances_are_left_out(tiny_task: AnimationTask) -> None:
    """Of 33, 30, 24, 27, 45, 26, 20 and 36 frames, 1 s admits five."""
    env = SpeechAnimationEnv(task=tiny_task, reward=Zero(), max_duration_s=1.0, metrics=False)
    assert env.utterances.tolist() == [1, 2, 3, 5, 6]
    assert drawn(env) == {1, 2, 3, 5, 6}
    assert env.observation_space["step"].high.tolist() == [32]
    env.reset(options={"utterance": "anna-01"})
    for _ in range(32):
        info = env.step(0)[4]
    assert info["tokens"].shape == (32,), "as long as the longest that can come"


@BOTH
def test_long_utterances_cannot_be_chosen(
    tiny_task: AnimationTask, make: Callable[..., Any]
) -> None:
    """Their tokens would not fit behind the others'."""
    env = make(task=tiny_task, reward=Zero(), max_duration_s=1.0)
    message = "`utterance` must not be longer than `max_duration_s` = 1.0, got 'ben-04' of 1.50 s"
    for wanted in (4, "ben-04"):
        with pytest.raises(InputError, match=re.escape(message)):
            env.reset(options={"utterance": wanted})
    env.reset(options={"utterance": 8})  # of another split, and short enough


@pytest.mark.parametrize(
    ("n_frames", "max_duration_s"),
    [
        (30, 1.0),
        (33, 1.1),
        (45, 1.5),
        (44, 44 / 30),
        (123, 4.1),
        (246, 8.2),
        (507, 16.9),
        (245, 245 / 30),
    ],
)
def test_the_limit_itself_is_not_too_long(
    make_task: MakeTask, n_frames: int, max_duration_s: float
) -> None:
    """Utterances of exactly the limit must not come or go with the last bit of a product."""
    task = make_task([n_frames, n_frames + 1], {"train": [0, 1]})
    env = SpeechAnimationEnv(task=task, reward=Zero(), max_duration_s=max_duration_s)
    assert env.utterances.tolist() == [0]


@BOTH
@pytest.mark.parametrize(
    ("max_duration_s", "message"),
    [
        (0, "`max_duration_s` must be above 0 or None, got 0"),
        (-1.5, "`max_duration_s` must be above 0 or None, got -1.5"),
        (np.nan, "`max_duration_s` must be above 0 or None, got nan"),
        ("2", "`max_duration_s` must be above 0 or None, got '2'"),
        (
            0.5,
            "`max_duration_s` must admit at least one utterance of 'train' "
            "(the shortest takes 0.67 s), got 0.5",
        ),
    ],
)
def test_bad_limits_are_rejected(
    tiny_task: AnimationTask, make: Callable[..., Any], max_duration_s: Any, message: str
) -> None:
    """The remedy is in the message: how long the shortest is."""
    with pytest.raises(InputError, match=re.escape(message)):
        make(task=tiny_task, reward=Zero(), max_duration_s=max_duration_s)


def test_all_tokens_are_allowed_without_a_mask(tiny_task: AnimationTask) -> None:
    """Maskable algorithms must run on the plain environment."""
    env = SpeechAnimationEnv(task=tiny_task, reward=Zero())
    env.reset(seed=0)
    mask = env.action_masks()
    assert (mask.shape, mask.dtype) == ((16,), np.bool_)
    assert mask.all()
    mask[:] = False
    assert env.action_masks().all(), "a fresh copy every time"


def test_a_mask_is_of_the_slot_whose_turn_it_is(tiny_task: AnimationTask) -> None:
    """A mask of the slot before would forbid what the demonstrations do."""
    mask = np.zeros((4, 16), np.bool_)
    mask[np.arange(4), [3, 5, 7, 9]] = True
    env = SpeechAnimationEnv(task=tiny_task, reward=Zero(), action_mask=mask)
    env.reset(options={"utterance": 6})
    mask[:] = True  # the caller's array is the caller's
    for step in range(20):
        assert np.flatnonzero(env.action_masks()).tolist() == [3 + 2 * (step % 4)]
        env.step(0)  # a masked token is taken: the mask is advice
    env.reset()
    assert np.flatnonzero(env.action_masks()).tolist() == [3]


def test_demonstrated_tokens_are_those_of_the_training_recordings(
    tiny_task: AnimationTask,
) -> None:
    """Of every slot by itself, and of no other split: that would be a leak."""
    env = SpeechAnimationEnv(
        task=tiny_task, reward=Zero(), action_mask="demonstrated", split="test"
    )
    used: list[set[int]] = [set() for _ in range(4)]
    for index in range(8):
        for place, token in enumerate(tiny_task.recorded_tokens(index).tolist()):
            used[place % 4].add(token)
    assert used[0] != used[2], "the slots must be told apart"
    env.reset(seed=0)
    for slot in range(4):
        assert set(np.flatnonzero(env.action_masks()).tolist()) == used[slot]
        env.step(0)


@BOTH
@pytest.mark.parametrize(
    ("mask", "message"),
    [
        ("recorded", "`action_mask` must be None, 'demonstrated' or an array, got 'recorded'"),
        (np.ones((4, 15), np.bool_), "of shape (4, 16) (slot of the chunk, token), got bool (4, 1"),
        (np.ones((16, 4), np.bool_), "`action_mask` must be bool of shape (4, 16)"),
        (np.ones(16, np.bool_), "(slot of the chunk, token), got bool (16,)"),
        (np.ones((4, 16), np.int64), "(slot of the chunk, token), got int64 (4, 16)"),
        (True, "(slot of the chunk, token), got bool ()"),
        (np.eye(4, 16) > 1, "`action_mask` must allow a token in every slot, got none in slot 0"),
        (np.arange(4)[:, None] * np.ones(16) != 2, "in every slot, got none in slot 2"),
        (
            [[True] * 16, [True] * 15],
            "`action_mask` must be bool of shape (4, 16)",
        ),
    ],
)
def test_bad_masks_are_rejected(
    tiny_task: AnimationTask, make: Callable[..., Any], mask: Any, message: str
) -> None:
    """A slot without a token has no distribution: NaN in the first update."""
    with pytest.raises(InputError, match=re.escape(message)):
        make(task=tiny_task, reward=Zero(), action_mask=mask)


def test_nothing_demonstrated_is_rejected(make_task: MakeTask) -> None:
    """A corpus for testing alone has no training recordings: every token would be forbidden."""
    task = make_task([9, 5], {"train": [], "test": [0, 1]})
    with pytest.raises(InputError, match=re.escape("`action_mask` must allow a token")):
        SpeechAnimationEnv(task=task, reward=Zero(), split="test", action_mask="demonstrated")


@pytest.mark.parametrize("observation", ["slim", "flat"])
def test_maskable_ppo_finds_the_masks(tiny_task: AnimationTask, observation: str) -> None:
    """It looks for the name behind all wrappers, and falls back to no mask without a word."""
    mask = np.zeros((4, 16), np.bool_)
    mask[:, 4] = mask[1, 11] = True
    settings: dict[str, Any] = {"task": tiny_task, "reward": Zero(), "action_mask": mask}
    env = DummyVecEnv([lambda: gymnasium.make("ESARM-v0", observation=observation, **settings)] * 2)
    assert is_masking_supported(env)
    env.seed(0)
    env.reset()
    for step in range(9):
        np.testing.assert_array_equal(get_action_masks(env), [mask[step % 4]] * 2)
        env.step(np.array([4, 4]))
    policy = "MlpPolicy" if observation == "flat" else "MultiInputPolicy"
    model = sb3_contrib.MaskablePPO(policy, env, n_steps=16, batch_size=16, n_epochs=1, seed=0)
    model.learn(32)
    assert set(model.rollout_buffer.actions.ravel().astype(int).tolist()) == {4, 11}


def test_options_are_copied_and_may_be_missing() -> None:
    """`reset` reads them later; the caller's dictionary may have changed by then."""
    options = {"emotion": "sad"}
    given = check_options(options)
    assert given == options
    assert given is not options
    assert check_options(None) == check_options({}) == {}


def test_an_id_may_be_a_text_of_numpy(tiny_task: AnimationTask) -> None:
    """Ids out of `infos` or of a table come as such."""
    env = SpeechAnimationEnv(task=tiny_task, reward=Zero())
    assert env.reset(options={"utterance": np.str_("ben-03")})[0]["utterance"].tolist() == [3]


@BOTH
def test_a_single_none_draws(tiny_task: AnimationTask, make: Callable[..., Any]) -> None:
    """`{"utterance": None}` is how a caller's default reads."""
    env = make(task=tiny_task, reward=Zero())
    with_none, without = (env.reset(seed=3, options=o)[0] for o in ({"utterance": None}, None))
    np.testing.assert_equal(with_none, without)


@pytest.mark.parametrize("options", [[], "x", 5])
def test_options_that_are_no_mapping_are_rejected(tiny_task: AnimationTask, options: Any) -> None:
    """A list that counts as no options at all hides a caller's mistake."""
    message = f"`options` must be a dict or None, got {options!r}"
    with pytest.raises(InputError, match=re.escape(message)):
        SpeechAnimationEnv(task=tiny_task, reward="accuracy").reset(options=options)
    with pytest.raises(InputError, match=re.escape(message)):
        SpeechAnimationVectorEnv(2, task=tiny_task, reward="accuracy").reset(options=options)
