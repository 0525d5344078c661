"""The reward of lips that shut at p, b and m, by hand on a task of a few frames."""

import numpy as np
import pytest

from esarm_env.audio.encoders.phone_spans import PhoneSpan
from esarm_env.metrics.mouth import mouth_opening
from train.speech import closure
from train.speech.closure import LipTimes, PhoneClosureReward


def test_times_are_frames_around_the_phone():
    """A frame off, and lips would learn to shut beside the sound."""
    spans = [
        PhoneSpan("b", 0.10, 0.20),
        PhoneSpan("a", 0.20, 0.40),
        PhoneSpan("s", 0.40, 0.50),
        PhoneSpan("m", 0.95, 1.00),
        PhoneSpan("a", 1.50, 1.60),
    ]
    times = LipTimes.of(spans, n_frames=30)
    assert times.shut.tolist() == [[2, 8], [27, 30]], "3 to 6 and a frame around; the end cuts"
    assert times.open.tolist() == [9], "what lies behind the end does not count"
    nothing = LipTimes.of([], n_frames=30)
    assert nothing.shut.shape == (0, 2) and nothing.open.shape == (0,)


@pytest.fixture
def reward(tiny_task, monkeypatch):
    """The reward with phones at known times: shut in frames 4 to 8, open in frame 17."""
    monkeypatch.setattr("esarm_env.audio.encoders.phone_network.hama_version", lambda **_: "1")
    made = PhoneClosureReward(tiny_task)
    monkeypatch.setattr(made, "times_of", lambda _: LipTimes(np.array([[4, 9]]), np.array([17])))
    return made


def animations(task, utterances):
    """Return the recordings of utterances as trajectories."""
    return task.recorded(np.array(utterances))


def test_score_is_what_the_formula_says(reward, tiny_task):
    """The formula is documented; weights are chosen by it."""
    written = animations(tiny_task, [0, 1, 4])
    opening = mouth_opening(tiny_task.decode(written), head=tiny_task.head)
    hits = np.clip((6 - opening[:, 4:9].min(axis=1)) / 4, 0, 1)
    pressed = np.clip(2 - opening[:, 17], 0, 1)
    np.testing.assert_allclose(reward.score(written), hits - pressed, atol=1e-6)
    assert reward.score(written).dtype == np.float32


def test_chunks_add_up_to_the_score(reward, tiny_task):
    """What a chunk earned stands at the chunk of its phone, and the mouth alone earns it."""
    written = animations(tiny_task, [0, 1, 4])
    chunks, score = reward.score_chunks(written), reward.score(written)
    assert chunks.shape == (3, -(-45 // 4), 1) and reward.chunk_streams == ("mouth",)
    np.testing.assert_allclose(chunks.sum(axis=(1, 2)), score, atol=1e-6)
    where = {int(chunk) for chunk in np.flatnonzero(chunks.any(axis=(0, 2)))}
    assert where <= {6 // 4, 17 // 4}


def test_neither_shut_nor_open_lips_earn_anything_for_nothing(reward, tiny_task, monkeypatch):
    """A mouth that is always shut hits every p, b and m."""
    written = animations(tiny_task, [0, 1])
    for opening_mm, expected in ((0.0, 0.0), (10.0, 0.0), (4.0, 0.5)):
        still = lambda motion, mm=opening_mm, **_: np.full(motion.shape[:2], mm)  # noqa: E731
        monkeypatch.setattr(closure, "mouth_opening", still)
        np.testing.assert_allclose(reward.score(written), expected)


def test_an_utterance_without_phones_scores_0(reward, tiny_task, monkeypatch):
    """A mean over nothing is nan, and would end the training."""
    nothing = LipTimes.of([], n_frames=30)
    monkeypatch.setattr(reward, "times_of", lambda _: nothing)
    written = animations(tiny_task, [0, 1])
    np.testing.assert_array_equal(reward.score(written), 0)
