"""Jerk as a reward: its number by hand, and what it leaves out."""

import re

import numpy as np
import pytest

from esarm_env.core.errors import InputError
from esarm_env.face import ARKIT_NAMES, MOUTH_CHANNELS, UPPER_CHANNELS
from esarm_env.metrics import jerk
from esarm_env.rewards import resolve_reward
from reward.plugins.motion_alone import JerkReward, open_jerk


def lips_mm(task, channel):
    """Return the mean length in mm of the lip vertices' displacement by a channel at 1."""
    deltas = task.head.deltas[ARKIT_NAMES.index(channel)][task.head.regions["lips"]]
    return np.linalg.norm(deltas, axis=-1).mean()


def test_a_cubic_has_the_jerk_of_its_third_derivative(tiny_task, moving):
    """d3/dt3 of a t^3 is 6 a, whatever the frame rate; the unit is m/s³, not mm per frame³."""
    utterances = np.array([6])  # 20 frames
    time_s = np.arange(20) / 30
    motion = np.zeros((20, 52), dtype=np.float32)
    motion[:, ARKIT_NAMES.index("jawOpen")] = 0.5 * time_s**3
    moving(motion)
    upper = tiny_task.head.deltas[ARKIT_NAMES.index("jawOpen")][tiny_task.head.upper]
    expected = 6 * 0.5 * lips_mm(tiny_task, "jawOpen") / 1000
    expected += 6 * 0.5 * np.linalg.norm(upper, axis=-1).mean() / 1000
    scores = open_jerk(tiny_task, None).score(tiny_task.recorded(utterances))
    assert scores.dtype == np.float32
    np.testing.assert_allclose(scores, expected / 2, rtol=1e-3)


def test_a_still_face_has_no_jerk(tiny_task, moving):
    """The least there is."""
    moving(np.full((48, 52), 0.3, dtype=np.float32))
    assert JerkReward(tiny_task).score(tiny_task.recorded(np.arange(12))).tolist() == [0.0] * 12


def test_jerk_is_the_mean_of_the_metric_over_both_regions(tiny_task, demonstrations):
    """Reports print the metric; the reward is that number in metres."""
    trajectories = demonstrations.trajectories
    known = {"head": tiny_task.head, "lengths": tiny_task.n_frames[trajectories.utterance]}
    motion = tiny_task.decode(trajectories)
    both = [jerk(motion, region=region, **known) for region in ("lips", "upper")]
    scores = JerkReward(tiny_task).score(trajectories)
    np.testing.assert_allclose(scores, np.mean(both, axis=0) / 1000, rtol=1e-6)


def test_jitter_is_jerkier_than_smooth_motion(tiny_task, moving, rng):
    """A weight below 0 must push towards smooth motion, not away from it."""
    smooth = np.clip(0.3 + 0.2 * np.sin(np.arange(48) / 6)[:, None], 0, 1).repeat(52, axis=1)
    jitter = rng.normal(0, 0.02, smooth.shape)
    scores = []
    for motion in (smooth, smooth + jitter, smooth + 2 * jitter):
        moving(motion.astype(np.float32))
        scores.append(JerkReward(tiny_task).score(tiny_task.recorded(np.array([4])))[0])
    assert 0 < scores[0] < 0.2 * scores[1]
    assert scores[2] == pytest.approx(2 * scores[1], rel=0.1)


def test_scoring_a_batch_equals_scoring_one_by_one(tiny_task, demonstrations):
    """The longest of a batch decides its padding, and nothing else."""
    reward, trajectories = JerkReward(tiny_task), demonstrations.trajectories
    alone = [reward.score(trajectories[row : row + 1])[0] for row in range(len(trajectories))]
    np.testing.assert_allclose(reward.score(trajectories), alone, rtol=1e-5)


def test_frames_past_the_end_of_the_audio_do_not_count(tiny_task, moving):
    """The last chunk is cut where the utterance ends; what stands behind is never seen."""
    motion = np.zeros((36, 52), dtype=np.float32)
    motion[33:, :] = 1.0
    moving(motion)
    assert JerkReward(tiny_task).score(tiny_task.recorded(np.array([0]))).tolist() == [0.0]


def test_less_than_four_frames_have_no_jerk(tiny_task, captured_only, moving):
    """The metric has no third difference there, and nan would stop the training."""
    task = captured_only(tiny_task, range(52))
    motion = np.random.default_rng(0).uniform(size=(24, 52)).astype(np.float32)
    moving(motion)
    long, short = JerkReward(task).score(tiny_task.recorded(np.array([0, 1])))
    assert long > 0
    assert short == 0


@pytest.mark.parametrize(
    ("channels", "region"), [(MOUTH_CHANNELS, "lips"), (UPPER_CHANNELS, "upper")]
)
def test_a_region_that_was_never_captured_is_left_out(
    tiny_task, captured_only, moving, channels, region
):
    """Half of the mean would be nan."""
    task = captured_only(tiny_task, channels, frames=(24,))
    motion = np.random.default_rng(0).uniform(size=(24, 52)).astype(np.float32)
    moving(motion)
    known = {"head": task.head, "captured": task.corpus.captured, "lengths": [24]}
    expected = jerk(motion, region=region, **known) / 1000
    np.testing.assert_allclose(
        JerkReward(task).score(tiny_task.recorded(np.array([0]))), expected, rtol=1e-6
    )


def test_a_corpus_that_captured_no_face_is_refused(tiny_task, captured_only):
    """At the start, not as nan at the end of the first episode."""
    task = captured_only(tiny_task, [ARKIT_NAMES.index("tongueOut")])
    message = (
        "the corpus must have captured lips or upper face for the reward `jerk`, "
        "got neither in 'partial'"
    )
    with pytest.raises(InputError, match=re.escape(message)):
        JerkReward(task)


def test_jerk_is_one_term_of_a_sum(tiny_task, demonstrations):
    """What it is meant for; `info` shows it positive, and the sum takes it off."""
    from esarm_env.rewards import CombinedReward, RewardTerm
    from reward.plugins.motion_alone import ZeroReward

    terms = [RewardTerm("zero", 1.0, ZeroReward()), RewardTerm("jerk", -0.1, JerkReward(tiny_task))]
    total, raw = CombinedReward(tiny_task.corpus, terms).score_terms(demonstrations.trajectories)
    assert (raw["jerk"] > 0).all()
    np.testing.assert_allclose(total, -0.1 * raw["jerk"], rtol=1e-6)
    assert resolve_reward(JerkReward(tiny_task), tiny_task, None).terms == ("JerkReward",)
