"""Learning from speech on a tiny task: what is learnt from, what is cloned beside, resuming."""

import dataclasses
import re

import numpy as np
import pytest
import torch

from agents.cloning import CloneConfig
from esarm_env.core.errors import InputError
from esarm_env.task.animation_task import audio_windows
from esarm_env.task.extended import HeardRecording, with_recordings
from esarm_env.task.recording import AnimationCondition, SpeechRecording
from tests.small_policy import untrained
from train.speech.rewards import speech_reward
from train.speech.settings import SpeechSettings
from train.speech.training import SpeechTrainer

TINY = SpeechSettings(
    iterations=2, n_episodes=4, samples_per_utterance=2, rehearsals=2, rehearsal_sequences=3
)


@pytest.fixture(scope="module")
def speech(tiny_task):
    """The task with two recordings behind it, and the utterances of their pieces."""
    heard = []
    for number in (8, 9):
        windows = audio_windows(
            tiny_task.features[number], frames_per_chunk=4, context=tiny_task.context
        )
        condition = tiny_task.conditions.encode("happy", 2, None)
        condition[:2] = 0.25  # a blend, as voices are heard
        recording = SpeechRecording(
            [windows], np.array([0]), condition, tiny_task.tokenizer, n_frames=4 * len(windows)
        )
        audio = tiny_task.corpus[number].audio
        heard.append(
            HeardRecording(f"speech/{number}", recording, audio, AnimationCondition("auto"))
        )
    task, indices = with_recordings(tiny_task, heard)
    return task, np.concatenate(indices)


def trainer_of(speech, settings=TINY):
    """Return a fresh trainer, the same every time."""
    task, pieces = speech
    reward = speech_reward(task, None, {"synchrony": 1.0})
    return SpeechTrainer(
        untrained(task),
        task,
        pieces,
        reward,
        settings=settings,
        cloning=CloneConfig(),
        seed=0,
    )


def weights_of(trainer):
    """Return all weights in one row."""
    return torch.cat([each.flatten() for each in trainer.algorithm.model.state_dict().values()])


def test_episodes_are_of_speech_under_what_the_voice_told(speech):
    """Drawn from the corpus, nothing of the new voice would be learnt."""
    _, pieces = speech
    trainer = trainer_of(speech)
    env = trainer.algorithm.env.envs[0].unwrapped
    np.testing.assert_array_equal(env.utterances, pieces)
    assert env.sequence_task.condition_of(pieces)[0, :2].tolist() == [0.25, 0.25]
    observation, info = env.reset(seed=0)
    assert info["utterance_id"].startswith("speech/")
    assert observation["condition"][:2].tolist() == [0.25, 0.25], "a step sees what a batch does"
    labelled, _ = env.reset(seed=0, options={"emotion": "sad"})
    assert labelled["condition"][:9].sum() == 1
    trainer.advance()
    assert set(trainer.algorithm.batch.utterances.tolist()) <= set(pieces.tolist())


def test_rewards_learn_from_the_old_recordings(speech):
    """The new speech has motion of zeros: a judge taught by it would love a dead face."""
    task, pieces = speech
    assert not set(task.corpus.split("train").tolist()) & set(pieces.tolist())
    reward = speech_reward(task, None, {"liveliness": 1.0})
    moving = task.recorded(np.arange(4))
    assert reward.score(moving).min() > 0.5


def test_old_recordings_are_cloned_beside(speech):
    """Without them, what the reward does not look at is forgotten."""
    settings = dataclasses.replace(TINY, rehearsals=8, rehearsal_rate=3e-3, iterations=8)
    trainer = trainer_of(speech, settings)
    losses = [trainer.advance()["rehearsal_loss"] for _ in range(6)]
    assert losses[-1] < losses[0] - 0.1, losses
    none = trainer_of(speech, dataclasses.replace(TINY, rehearsals=0))
    assert "rehearsal_loss" not in none.advance()


def test_a_resumed_training_ends_in_the_same_weights(speech):
    """An interruption must not be seen in the result."""
    whole = trainer_of(speech)
    begun = trainer_of(speech)
    begun.advance()
    state = begun.state_dict()
    while whole.n_done < whole.n_total:
        whole.advance()
    resumed = trainer_of(speech)
    resumed.load_state_dict(state)
    assert (resumed.n_done, resumed.n_total) == (1, 2)
    resumed.advance()
    assert torch.equal(weights_of(resumed), weights_of(whole))
    assert not torch.equal(weights_of(resumed), weights_of(begun))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"learning_rate": 0.0}, "`learning_rate` must be above 0 and finite, got 0.0"),
        ({"test_share": 1.0}, "`test_share` must be above 0 and below 1, got 1.0"),
        ({"samples_per_utterance": 1}, "`samples_per_utterance` must be at least 2, got 1"),
        (
            {"n_episodes": 10},
            "`n_episodes` must be a multiple of `samples_per_utterance` (8), got 10",
        ),
    ],
)
def test_settings_out_of_range_are_refused(wrong, message):
    """An hour of reading sound must not end in a traceback."""
    with pytest.raises(InputError, match=re.escape(message)):
        SpeechSettings(**wrong).check()
