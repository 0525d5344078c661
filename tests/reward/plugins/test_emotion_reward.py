"""The emotion that was asked for: whose probability, under which condition, of which judge."""

import re
from dataclasses import replace

import numpy as np
import pytest

from esarm_env.core.errors import InputError
from esarm_env.core.types import EMOTIONS, Trajectories
from esarm_env.metrics.emotion import EmotionClassifier
from reward.plugins.emotion import EmotionReward, open_emotion


@pytest.fixture(scope="module")
def reward(tiny_task):
    """The reward of the tiny task, fitted once."""
    return open_emotion(tiny_task, None)


def asking_for(task, utterances, emotion):
    """Return the recorded tokens under a condition that asks for `emotion`."""
    recorded = task.recorded(utterances)
    condition = np.tile(task.conditions.encode(emotion, 1, None), (len(utterances), 1))
    return Trajectories(recorded.utterance, recorded.tokens, recorded.lengths, condition)


def test_the_score_is_the_classifiers_probability_of_the_wanted_emotion(
    tiny_task, tiny_corpus, reward
):
    """Against the classifier, fitted apart on the recordings, plain and through the tokenizer."""
    train = tiny_corpus.split("train").tolist()
    labels = [tiny_corpus.records[index].emotion for index in train]
    plain = [tiny_corpus[index].motion for index in train]
    coded = [tiny_task.tokenizer.decode(tiny_task.tokenizer.encode(motion)) for motion in plain]
    motions = [*plain, *(new[: len(old)] for new, old in zip(coded, plain, strict=True))]
    judge = EmotionClassifier.fit(motions, labels * 2)
    recorded = tiny_task.recorded(np.arange(12))
    shown = [m[:n] for m, n in zip(tiny_task.decode_chunks(recorded), tiny_task.n_frames, strict=1)]
    wanted = [judge.labels.index(record.emotion) for record in tiny_corpus.records]
    expected = judge.probabilities(shown)[np.arange(12), wanted]
    scores = reward.score(recorded)
    assert scores.dtype == np.float32
    np.testing.assert_allclose(scores, expected, rtol=1e-4)


def test_the_condition_decides_and_not_the_recording(tiny_task, reward):
    """Else a policy that is asked for another emotion is paid for the recorded one."""
    emotions = reward.classifier.labels
    by_emotion = [reward.score(asking_for(tiny_task, np.arange(4), name)) for name in emotions]
    np.testing.assert_allclose(np.sum(by_emotion, axis=0), 1, rtol=1e-5)


def test_recordings_show_their_emotion_and_no_other(tiny_task, tiny_corpus, reward, monkeypatch):
    """What the judge is for; the tiny tokenizer is too coarse to show it."""
    utterances = tiny_corpus.split("train")

    def recorded(self, trajectories):
        return [tiny_corpus[int(index)].motion for index in trajectories.utterance]

    monkeypatch.setattr(type(tiny_task), "decode_chunks", recorded)
    right = reward.score(tiny_task.recorded(utterances))
    emotions = {"neutral": "sad", "sad": "happy", "happy": "angry", "angry": "neutral"}
    wrong = [
        reward.score(asking_for(tiny_task, np.array([i]), emotions[tiny_corpus.records[i].emotion]))
        for i in utterances.tolist()
    ]
    assert right.min() > 0.8
    assert np.max(wrong) < 0.2
    assert reward.needs_ground_truth is False


def test_scoring_a_batch_equals_scoring_one_by_one(reward, demonstrations):
    """The longest of a batch decides its padding, and nothing else."""
    trajectories = demonstrations.trajectories
    alone = [reward.score(trajectories[row : row + 1])[0] for row in range(len(trajectories))]
    np.testing.assert_allclose(reward.score(trajectories), alone, atol=1e-5)


def test_an_emotion_that_no_recording_shows_is_refused(tiny_task, reward):
    """The judge cannot know it; a silent 0 would teach the policy nonsense."""
    message = (
        "`condition` must ask for one of angry, happy, neutral, sad (the emotions of the training "
        "recordings) under the reward `emotion`, got "
    )
    with pytest.raises(InputError, match=re.escape(message + "calm")):
        reward.score(asking_for(tiny_task, np.arange(2), "calm"))
    nothing = asking_for(tiny_task, np.arange(2), EMOTIONS[0])
    with pytest.raises(InputError, match=re.escape(message + "none")):
        reward.score(replace(nothing, condition=np.zeros_like(nothing.condition)))


@pytest.mark.parametrize(
    ("splits", "got"),
    [(None, "['neutral']"), ({"train": (), "validation": (0,), "test": ()}, "[]")],
)
def test_a_corpus_of_one_emotion_is_refused(tiny_task, captured_only, splits, got):
    """Every animation would score 1."""
    message = (
        "the corpus must have training recordings of at least 2 emotions for the reward "
        f"`emotion`, got {got} in 'partial'"
    )
    with pytest.raises(InputError, match=re.escape(message)):
        EmotionReward(captured_only(tiny_task, range(52), splits=splits))
