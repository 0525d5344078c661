"""The reward of speech without recordings: which terms, by which streams, and what is refused."""

import re

import numpy as np
import pytest

from esarm_env.core.errors import InputError, MissingExtraError
from esarm_env.rewards.registry import REWARDS, register_reward
from reward.plugins.motion_alone import ZeroReward
from train.speech import rewards
from train.speech.rewards import speech_reward


@pytest.fixture
def learned(monkeypatch):
    """A stand-in for the reward model of a run."""
    before = REWARDS.find().get("learned")
    register_reward("learned", lambda task, run: ZeroReward(), replace=True)
    yield
    REWARDS.register("learned", before.load(), replace=True)


@pytest.fixture
def without_phones(monkeypatch):
    """An installation without the extra `phones`."""

    def fail(task):
        raise MissingExtraError("hama", extra="phones", purpose="The reward `phone-closure`")

    monkeypatch.setattr(rewards, "PhoneClosureReward", fail)


def test_the_upper_face_does_not_answer_for_the_lips(tiny_task):
    """A blink would be paid or punished for a loud vowel."""
    reward = speech_reward(tiny_task, None, {"synchrony": 3.0, "emotion": 0.5})
    assert reward.name == "3 * synchrony + 0.5 * emotion" and not reward.needs_ground_truth
    written = tiny_task.recorded(np.arange(4))
    assert reward.chunk_streams == ("mouth", "upper")
    streams, terms = reward.score_chunks(written).sum(axis=1), reward.score_terms(written).terms
    np.testing.assert_allclose(streams[:, 1], 0.25 * terms["emotion"], atol=1e-6)
    mouth = 3 * terms["synchrony"] + 0.25 * terms["emotion"]
    np.testing.assert_allclose(streams[:, 0], mouth, atol=1e-5)
    np.testing.assert_allclose(streams.sum(axis=1), reward.score(written), 1e-5)


def test_without_the_extra_a_detector_stands_in(learned, without_phones, tiny_task, tmp_path):
    """Who has not installed it still gets lips that shut, and is told what is missing."""
    message = "no `phone-closure` for this speech, `closure` stands in for it: "
    with pytest.warns(UserWarning, match=re.escape(message)):
        reward = speech_reward(tiny_task, tmp_path, {})
    assert reward.name == (
        "0.5 * learned + 2.5 * closure + 20 * synchrony + liveliness + 0.5 * emotion"
    )
    with pytest.raises(MissingExtraError, match=re.escape("run `pip install 'esarm[phones]'`")):
        speech_reward(tiny_task, tmp_path, {"phone-closure": 1.0})


def test_a_run_without_its_reward_model_is_refused(tiny_task, tmp_path):
    """Rules alone know no face: what they do not look at would drift unseen."""
    message = "must hold the stage `reward`, got none; run `esarm reward --run "
    with pytest.raises(InputError, match=re.escape(message)):
        speech_reward(tiny_task, tmp_path, {})


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("lve", "`reward` must not need the recorded motion, which speech alone lacks, got 'lve'"),
        ("lvee", "`reward` must be one of accuracy, "),
    ],
)
def test_terms_that_cannot_be_are_refused(tiny_task, name, message):
    """Speech has motion of zeros behind it: errors against it would be learnt."""
    with pytest.raises(InputError, match=re.escape(message)):
        speech_reward(tiny_task, None, {name: 1.0})
