"""Loudness and mouth: the correlation by hand, its lags, and mouths that do not move."""

import re

import numpy as np
import pytest

from esarm_env.core.errors import InputError
from esarm_env.corpus.realism.signals import loudness_db, speech_frames
from esarm_env.face import ARKIT_NAMES, UPPER_CHANNELS
from esarm_env.rewards import resolve_reward
from reward.plugins.synchrony import SynchronyReward, best_correlation, open_synchrony

ROW = np.array([4])  # 45 frames


def jaw_motion(curve):
    """Return motion (T, 52) that moves the jaw alone."""
    motion = np.zeros((len(curve), 52), dtype=np.float32)
    motion[:, ARKIT_NAMES.index("jawOpen")] = curve
    return motion


def test_the_score_is_pearsons_correlation_at_the_best_lag(tiny_task, moving):
    """Against numpy's own, on frames of speech alone."""
    curve = np.random.default_rng(3).uniform(size=48)
    moving(jaw_motion(curve))
    loudness = loudness_db(tiny_task.corpus[4].audio, 45)
    speech = speech_frames(loudness)
    at_lag = []
    for lag in range(-2, 3):
        inside = [t for t in range(45) if speech[t] and 0 <= t + lag < 45]
        seen = curve[[t + lag for t in inside]]
        at_lag.append(np.corrcoef(loudness[inside], seen)[0, 1])
    scores = open_synchrony(tiny_task, None).score(tiny_task.recorded(ROW))
    assert scores.dtype == np.float32
    np.testing.assert_allclose(scores, max(at_lag), rtol=1e-5)


@pytest.mark.parametrize("lag", [-2, 0, 2])
def test_a_mouth_two_frames_off_is_in_time(tiny_task, moving, lag):
    """Nobody sees 67 ms, and recordings themselves are off by that much."""
    loudness = loudness_db(tiny_task.corpus[4].audio, 45)
    curve = (loudness - loudness.min()) / np.ptp(loudness)
    moving(jaw_motion(np.roll(curve, lag)))
    assert SynchronyReward(tiny_task).score(tiny_task.recorded(ROW))[0] > 0.999


def test_a_late_and_a_contrary_mouth_score_less(tiny_task, moving):
    """The sign of the correlation must survive, and lags must not be without end."""
    loudness = loudness_db(tiny_task.corpus[4].audio, 45)
    curve = (loudness - loudness.min()) / np.ptp(loudness)
    scores = []
    for shown in (curve, np.roll(curve, 5), 1 - curve):
        moving(jaw_motion(shown))
        scores.append(SynchronyReward(tiny_task).score(tiny_task.recorded(ROW))[0])
    assert scores[0] > scores[1] + 0.2
    assert scores[2] < 0


def test_recordings_are_more_in_time_than_random_tokens(tiny_task, demonstrations):
    """The voices of the corpus made by hand are as loud as the mouth is open."""
    scores = SynchronyReward(tiny_task).score(demonstrations.trajectories)
    clean = demonstrations.epsilon == 0
    assert scores[clean].mean() > scores[~clean].mean() + 0.3
    assert np.abs(scores).max() <= 1


@pytest.mark.parametrize("value", [0.0, 0.4])
def test_a_mouth_that_does_not_move_is_not_in_time(tiny_task, moving, value):
    """A correlation with a constant is 0/0, and nan would stop the training."""
    moving(np.full((48, 52), value, dtype=np.float32))
    assert SynchronyReward(tiny_task).score(tiny_task.recorded(np.arange(12))).tolist() == [0] * 12


@pytest.mark.parametrize("n_speech", [0, 2])
def test_two_frames_of_speech_tell_nothing(n_speech):
    """Two points always correlate perfectly."""
    speech = np.arange(10) < n_speech
    assert best_correlation(np.arange(10.0), np.arange(10.0), speech) == 0
    assert best_correlation(np.arange(10.0), np.arange(10.0), np.arange(10) < 3) == 1


def test_scoring_a_batch_equals_scoring_one_by_one(tiny_task, demonstrations):
    """The longest of a batch decides its padding, and nothing else."""
    reward, trajectories = SynchronyReward(tiny_task), demonstrations.trajectories
    alone = [reward.score(trajectories[row : row + 1])[0] for row in range(len(trajectories))]
    np.testing.assert_allclose(reward.score(trajectories), alone, atol=1e-5)


def test_a_corpus_without_the_mouth_is_refused(tiny_task, captured_only):
    """At the start, not as nan at the end of the first episode."""
    message = (
        "the corpus must have captured the opening of the mouth for the reward `synchrony`, "
        "got none of it in 'partial'"
    )
    with pytest.raises(InputError, match=re.escape(message)):
        SynchronyReward(captured_only(tiny_task, UPPER_CHANNELS))


def test_audio_is_read_once(tiny_task, tiny_corpus, demonstrations):
    """Decoding speech at the end of every episode would cost more than the reward."""
    reward = SynchronyReward(tiny_task)
    reward.score(demonstrations.trajectories)
    before = tiny_corpus.n_reads
    reward.score(demonstrations.trajectories)
    assert tiny_corpus.n_reads == before
    assert resolve_reward(reward, tiny_task, None).needs_ground_truth is False
