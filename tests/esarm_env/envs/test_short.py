"""`ESARM-Short-v0`: checked, seeded, never longer than a second, and ready for stock algorithms."""

from __future__ import annotations

import re
import warnings
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from stable_baselines3.common.env_checker import check_env as check_sb3

from esarm_env import make_evaluation_env, make_sb3_vec_env
from esarm_env.core.errors import InputError
from esarm_env.core.types import Corpus
from esarm_env.corpus.cut import CutCorpus
from esarm_env.envs.short import SHORT_ID
from esarm_env.task.animation_task import AnimationTask
from esarm_env.task.opening import assemble_task


@pytest.fixture(scope="module")
def short_task(tiny_task: AnimationTask) -> AnimationTask:
    """Return the tiny task cut at 28 frames, as `open_short_task` cuts the shipped one."""
    return assemble_task(CutCorpus(tiny_task.corpus, 28), tiny_task.tokenizer, encoder="logmel")


def test_audio_and_motion_are_cut_alike(tiny_corpus: Corpus) -> None:
    """Motion that outlasts its audio, or another second of it, could not be learned."""
    cut = CutCorpus(tiny_corpus, 28)
    assert len(cut) == len(tiny_corpus)
    for index, whole in enumerate(tiny_corpus.records):
        got, uncut = cut[index], tiny_corpus[index]
        n_frames = min(whole.n_frames, 28)
        assert got.record.n_frames == n_frames == len(got.motion)
        assert (got.record.id, got.record.text) == (whole.id, None)
        np.testing.assert_array_equal(got.motion, uncut.motion[:n_frames])
        expected = uncut.audio if whole.n_frames <= 28 else uncut.audio[: 28 * 16_000 // 30]
        np.testing.assert_array_equal(got.audio, expected)
    for split in ("train", "validation", "test"):
        np.testing.assert_array_equal(cut.split(split), tiny_corpus.split(split))


def test_another_cut_is_another_corpus(tiny_corpus: Corpus) -> None:
    """Cached features of one cut would be taken for those of another."""
    hashes = {CutCorpus(tiny_corpus, n).content_hash for n in (20, 28)}
    assert len(hashes | {tiny_corpus.content_hash}) == 3
    with pytest.raises(InputError, match=re.escape("`n_frames` must be at least 1, got 0")):
        CutCorpus(tiny_corpus, 0)


def test_gymnasiums_and_sb3s_checkers_find_nothing(short_task: AnimationTask) -> None:
    """The first thing that whoever wants to train on it runs."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        env = gymnasium.make(SHORT_ID, task=short_task)
        check_env(env.unwrapped, skip_render_check=True)
        check_sb3(env)
    assert env.observation_space.shape is not None, "one flat vector, for `MlpPolicy`"


def test_no_episode_is_longer_than_a_second(short_task: AnimationTask) -> None:
    """7 chunks of 4 frames, 0.93 s: it is what makes the task small."""
    env: Any = gymnasium.make(SHORT_ID, task=short_task)
    env.reset(seed=0)
    rewards, done = [], False
    while not done:
        _, reward, done, truncated, info = env.step(0)
        assert not truncated
        rewards.append(reward)
    per_chunk = short_task.tokens_per_chunk
    assert len(rewards) <= 7 * per_chunk
    assert short_task.n_frames.max() == 28 and short_task.lengths.max() == 7 * per_chunk
    paid = [n for n, reward in enumerate(rewards, start=1) if reward]
    assert len(paid) > 1 and all(n % per_chunk == 0 for n in paid), "paid chunk by chunk"
    truth = -(info["lve"] + info["eve"]) / 2
    assert sum(rewards) == pytest.approx(truth, abs=1e-4), "what is paid is the true error"


def test_it_is_seeded_and_many_are_as_one(short_task: AnimationTask) -> None:
    """Curves of one seed would differ from run to run."""
    envs: Any = gymnasium.make_vec(SHORT_ID, 2, task=short_task, autoreset_mode="SameStep")
    alone: Any = gymnasium.make_vec(
        SHORT_ID,
        2,
        vectorization_mode="sync",
        vector_kwargs={"autoreset_mode": gymnasium.vector.AutoresetMode.SAME_STEP},
        task=short_task,
    )
    tokens = np.random.default_rng(0).integers(16, size=(60, 2))
    seen = [_played(each, tokens) for each in (envs, envs, alone)]
    for other in seen[1:]:
        for ours, theirs in zip(seen[0], other, strict=True):
            np.testing.assert_array_equal(ours, theirs)


def _played(envs: Any, tokens: np.ndarray) -> list[np.ndarray]:
    shown = [envs.reset(seed=3)[0]]
    for row in tokens:
        obs, reward, terminated, *_ = envs.step(row)
        shown += [obs, reward, terminated]
    return [np.array(each) for each in shown]


def test_what_is_not_short_is_refused_by_name(tiny_task: AnimationTask) -> None:
    """Whole sentences under the name of the small task would make figures that compare nothing."""
    with pytest.raises(
        InputError,
        match=re.escape(
            "`task` must have utterances of at most 1 s with ESARM-Short-v0, got one of 1.50 s; "
            "make it with `open_short_task`"
        ),
    ):
        gymnasium.make(SHORT_ID, task=tiny_task)
    with pytest.raises(InputError, match=re.escape("`corpus` must be left out with ESARM-Short-v")):
        gymnasium.make_vec(SHORT_ID, 2, corpus="synthetic-mead")


def test_the_front_doors_open_it_by_its_id(short_task: AnimationTask) -> None:
    """`make_sb3_vec_env` and `make_evaluation_env` are what the examples start from."""
    held_out = make_evaluation_env(2, env_id=SHORT_ID, task=short_task)
    assert held_out.single_observation_space.shape is not None
    vec = make_sb3_vec_env(2, env_id=SHORT_ID, task=short_task, seed=0)
    assert vec.observation_space == held_out.single_observation_space
    slim = make_sb3_vec_env(2, env_id=SHORT_ID, task=short_task, observation="slim")
    assert isinstance(slim.observation_space, gymnasium.spaces.Dict)
    with pytest.raises(InputError, match=re.escape("`env_id` must be registered")):
        make_sb3_vec_env(2, env_id="ESARM-Long-v0")
    with pytest.raises(InputError, match=re.escape("vector environment of its own, got 'Acrobot")):
        make_evaluation_env(2, env_id="Acrobot-v1")
