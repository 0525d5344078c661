"""A task with a recording behind its utterances: rewards score its pieces as they do recordings."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest

from esarm_env import InputError
from esarm_env.core.types import FRAME_RATE_HZ, SAMPLE_RATE_HZ, FloatArray, Trajectories
from esarm_env.envs.scalar import SpeechAnimationEnv
from esarm_env.rewards.registry import resolve_reward
from esarm_env.task.animation_task import AnimationTask, audio_windows
from esarm_env.task.extended import (
    HeardRecording,
    with_recording,
    with_recordings,
    with_splits,
)
from esarm_env.task.recording import AnimationCondition, SpeechRecording

_HOW = AnimationCondition("happy", 3, "anna")
_BEGINS = np.array([0, 4])  # chunks; the second piece overlaps the first


@pytest.fixture
def audio(tiny_task: AnimationTask) -> FloatArray:
    """Return the voice of utterance 4, of 45 frames."""
    return tiny_task.corpus[4].audio


@pytest.fixture
def speech(tiny_task: AnimationTask) -> SpeechRecording:
    """Return the same as a recording in two pieces, of 6 and 8 chunks."""
    windows = audio_windows(tiny_task.features[4], frames_per_chunk=4, context=tiny_task.context)
    condition = tiny_task.conditions.encode("happy", 3, "anna")
    return SpeechRecording(
        [windows[:6], windows[4:]], _BEGINS, condition, tiny_task.tokenizer, n_frames=45
    )


def test_pieces_have_the_audio_and_the_features_of_their_place(
    tiny_task: AnimationTask, speech: SpeechRecording, audio: FloatArray
) -> None:
    """A piece heard a chunk too early would be scored against the wrong sounds."""
    task, indices = with_recording(tiny_task, speech, audio, _HOW)
    assert indices.tolist() == [12, 13]
    assert task.n_frames[indices].tolist() == [24, 32]
    np.testing.assert_array_equal(task.lengths[indices], speech.lengths)
    features = tiny_task.features[4]
    np.testing.assert_array_equal(task.features[12], features[:24])
    # 45 frames fill twelve chunks, the last frame repeated, as everywhere.
    np.testing.assert_array_equal(task.features[13][:29], features[16:])
    np.testing.assert_array_equal(task.features[13][29:], np.repeat(features[-1:], 3, axis=0))
    per_frame = SAMPLE_RATE_HZ / FRAME_RATE_HZ
    second = task.corpus[13].audio
    assert len(second) == round(48 * per_frame) - round(16 * per_frame)
    np.testing.assert_array_equal(
        second[: len(audio) - round(16 * per_frame)], audio[round(16 * per_frame) :]
    )
    assert (second[len(audio) - round(16 * per_frame) :] == 0).all()
    np.testing.assert_array_equal(task.condition_of(indices), speech.condition_of(np.arange(2)))


def test_the_task_s_own_utterances_and_splits_stay(
    tiny_task: AnimationTask, speech: SpeechRecording, audio: FloatArray
) -> None:
    """Rewards learn from the training recordings: the new speech must not be among them."""
    task, _ = with_recording(tiny_task, speech, audio, _HOW)
    for split in ("train", "validation", "test"):
        np.testing.assert_array_equal(task.corpus.split(split), tiny_task.corpus.split(split))
    np.testing.assert_array_equal(task.features[3], tiny_task.features[3])
    np.testing.assert_array_equal(task.corpus[3].motion, tiny_task.corpus[3].motion)
    assert len(tiny_task.corpus) == 12 and len(task.corpus) == len(task.features) == 14
    with pytest.raises(IndexError, match=re.escape("`index` must be in 0..13, got 14")):
        task.features[14]


@pytest.mark.parametrize("name", ["synchrony", "closure", "liveliness", "emotion", "jerk"])
def test_a_recording_is_scored_as_the_same_utterance_is(
    tiny_task: AnimationTask, name: str
) -> None:
    """One animation of one audio has one score, whether it is of the corpus or not."""
    utterance = np.array([7])  # of 36 frames, whole chunks
    windows = audio_windows(tiny_task.features[7], frames_per_chunk=4, context=1)
    condition = tiny_task.condition_of(utterance)
    whole = SpeechRecording([windows], np.array([0]), condition[0], tiny_task.tokenizer, 36)
    how = AnimationCondition("sad", 3, "cleo")
    task, indices = with_recording(tiny_task, whole, tiny_task.corpus[7].audio, how)
    reward = resolve_reward(name, task, None)
    tokens, lengths = tiny_task.recorded_tokens(7)[None], np.array([36])
    there, here = (
        reward.score(Trajectories(rows, tokens, lengths, condition))
        for rows in (indices, utterance)
    )
    assert np.isfinite(there).all()
    np.testing.assert_allclose(there, here, atol=1e-6)


def test_a_recording_for_another_run_is_refused(
    tiny_task: AnimationTask, speech: SpeechRecording, audio: FloatArray
) -> None:
    """Its features would be cut apart in the wrong places, and scored all the same."""
    odd = replace(speech, windows=[piece[:, :-1] for piece in speech.windows])
    message = f"`speech` must have windows of chunks of {tiny_task.chunk_dim} features"
    with pytest.raises(InputError, match=re.escape(message)):
        with_recording(tiny_task, odd, audio, _HOW)


def test_what_is_no_single_emotion_is_neutral_among_the_records(
    tiny_task: AnimationTask, speech: SpeechRecording, audio: FloatArray
) -> None:
    """A blend has no name; animations bring their own condition."""
    task, indices = with_recording(tiny_task, speech, audio, AnimationCondition("happy:0.5", 2))
    assert [task.corpus.records[int(i)].emotion for i in indices] == ["neutral", "neutral"]


def test_recordings_keep_their_places_and_what_they_were_read_with(
    tiny_task: AnimationTask, speech: SpeechRecording, audio: FloatArray
) -> None:
    """One recording's pieces scored against another's sound would teach nonsense."""
    blend = speech.condition.copy()
    blend[:9] = 1 / 9
    other = replace(speech, windows=[speech.windows[1]], begins=np.array([0]), condition=blend)
    heard = [HeardRecording("one", speech, audio, _HOW), HeardRecording("two", other, audio, _HOW)]
    task, indices = with_recordings(tiny_task, heard)
    assert [rows.tolist() for rows in indices] == [[12, 13], [14]]
    assert [task.corpus.records[i].id for i in (12, 13, 14)] == ["one-000", "one-001", "two-000"]
    np.testing.assert_array_equal(task.condition_of(indices[1])[0], blend)
    np.testing.assert_array_equal(task.condition_of(indices[0]), speech.condition_of(np.arange(2)))
    np.testing.assert_array_equal(
        task.condition_of(np.arange(12)), tiny_task.condition_of(np.arange(12))
    )
    np.testing.assert_array_equal(task.features[14], task.features[13])
    alone, _ = with_recordings(tiny_task, heard[:1])
    hashes = {each.corpus.content_hash for each in (tiny_task, alone, task)}
    assert len(hashes) == 3, "another task's tokens must not be taken for this one's"


def test_an_environment_draws_from_other_splits(
    tiny_task: AnimationTask, speech: SpeechRecording, audio: FloatArray
) -> None:
    """Who learns from new speech must not be handed the old corpus."""
    task, indices = with_recording(tiny_task, speech, audio, _HOW)
    other = with_splits(task, {"train": indices})
    assert other.corpus.split("train").tolist() == [12, 13]
    assert len(other.corpus.split("test")) == 0 and len(task.corpus.split("test")) == 2
    assert other.corpus.content_hash != task.corpus.content_hash
    with pytest.raises(InputError, match="`split` must be one of train, validation, test"):
        other.corpus.split("rest")
    env = SpeechAnimationEnv(task=other, reward="zero", metrics=False)
    observation, info = env.reset(seed=0)
    assert info["utterance_id"] in {"recording-000", "recording-001"}
    np.testing.assert_array_equal(observation["condition"], speech.condition)
