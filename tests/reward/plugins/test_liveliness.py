"""Liveliness: a share of the recordings' speed, by hand, and no more than all of it."""

import re

import numpy as np
import pytest

from esarm_env.core.errors import InputError
from esarm_env.face import ARKIT_NAMES, MOUTH_CHANNELS
from reward.plugins.motion_alone import LivelinessReward, open_liveliness

JAW, BROW = ARKIT_NAMES.index("jawOpen"), ARKIT_NAMES.index("browInnerUp")


def speed_mm_s(task, region, motion):
    """Return the mean speed of a region's vertices, straight from the mesh."""
    vertices = task.head.upper if region == "upper" else task.head.regions["lips"]
    moved = np.einsum("tc,cvk->tvk", motion, task.head.deltas[:, vertices])
    return 30 * np.linalg.norm(np.diff(moved, axis=0), axis=-1).mean()


@pytest.fixture
def swinging():
    """Motion of 48 frames in which jaw and brow swing."""
    motion = np.zeros((48, 52), dtype=np.float32)
    wave = 0.5 + 0.5 * np.sin(np.arange(48))
    motion[:, JAW], motion[:, BROW] = 0.02 * wave, 0.02 * wave
    return motion


def test_references_are_what_three_quarters_of_the_recordings_reach(tiny_task, tiny_corpus):
    """Measured on the mesh, apart from the metrics' code."""
    motions = [tiny_corpus[int(index)].motion for index in tiny_corpus.split("train")]
    for region, reference in LivelinessReward(tiny_task).references.items():
        speeds = [speed_mm_s(tiny_task, region, motion) for motion in motions]
        assert reference == pytest.approx(np.quantile(speeds, 0.25), rel=1e-4)


def test_the_score_is_the_mean_share_of_both_regions(tiny_task, moving, swinging):
    """Half as much movement is worth half as much."""
    moving(swinging)
    row = np.array([4])
    reward = open_liveliness(tiny_task, None)
    shares = [
        speed_mm_s(tiny_task, name, swinging[:45]) / limit
        for name, limit in reward.references.items()
    ]
    assert max(shares) < 1
    score = reward.score(tiny_task.recorded(row))
    assert score.dtype == np.float32
    np.testing.assert_allclose(score, np.mean(shares), rtol=1e-4)
    moving(0.5 * swinging)
    np.testing.assert_allclose(reward.score(tiny_task.recorded(row)), 0.5 * score, rtol=1e-4)


def test_a_frozen_face_scores_nothing_and_a_wild_one_no_more_than_all(tiny_task, moving, rng):
    """Paying for ever more movement would make faces tremble."""
    reward = LivelinessReward(tiny_task)
    moving(np.full((48, 52), 0.3, dtype=np.float32))
    assert reward.score(tiny_task.recorded(np.arange(12))).tolist() == [0.0] * 12
    moving(rng.random((48, 52), dtype=np.float32))
    assert reward.score(tiny_task.recorded(np.arange(12))).tolist() == [1.0] * 12


def test_a_frozen_upper_face_is_not_paid_for_by_the_lips(tiny_task, moving, swinging):
    """One speed for the whole face would let the mouth move for the brows."""
    motion = 40 * swinging
    motion[:, BROW] = 0
    moving(motion)
    reward = LivelinessReward(tiny_task)
    still = speed_mm_s(tiny_task, "upper", motion[:45]) / reward.references["upper"]
    score = reward.score(tiny_task.recorded(np.array([4])))
    np.testing.assert_allclose(score, (1 + min(1, still)) / 2, rtol=1e-4)


def test_frames_past_the_end_of_the_audio_do_not_count(tiny_task, moving):
    """The last chunk is cut where the utterance ends; what stands behind is never seen."""
    motion = np.zeros((36, 52), dtype=np.float32)
    motion[33:, :] = 1.0
    moving(motion)
    assert LivelinessReward(tiny_task).score(tiny_task.recorded(np.array([0]))).tolist() == [0.0]


def test_scoring_a_batch_equals_scoring_one_by_one(tiny_task, demonstrations):
    """The longest of a batch decides its padding, and nothing else."""
    reward, trajectories = LivelinessReward(tiny_task), demonstrations.trajectories
    alone = [reward.score(trajectories[row : row + 1])[0] for row in range(len(trajectories))]
    np.testing.assert_allclose(reward.score(trajectories), alone, atol=1e-5)
    assert reward.needs_ground_truth is False


def test_a_region_that_was_never_captured_is_left_out(tiny_task, tiny_corpus, monkeypatch):
    """Half of the mean would be nan."""
    captured = np.isin(np.arange(52), MOUTH_CHANNELS)
    monkeypatch.setattr(tiny_corpus, "captured", captured)
    reward = LivelinessReward(tiny_task)
    assert set(reward.references) == {"lips"}
    assert np.isfinite(reward.score(tiny_task.recorded(np.arange(4)))).all()


def test_one_frame_cannot_move(tiny_task, captured_only, moving, monkeypatch):
    """Nor can it be blamed: nan would stop the training."""
    task = captured_only(tiny_task, range(52), frames=(24, 1))
    motion = np.random.default_rng(0).uniform(size=(24, 52)).astype(np.float32)
    lively = LivelinessReward(tiny_task)
    monkeypatch.setattr(lively, "_task", task)
    moving(motion)
    assert lively.score(tiny_task.recorded(np.array([0, 1]))).tolist() == [1.0, 1.0]


@pytest.mark.parametrize(
    ("channels", "splits", "rule"),
    [
        (range(52), None, "must have captured lips or upper face in motion"),
        ([ARKIT_NAMES.index("tongueOut")], None, "must have captured lips or upper face in motion"),
        (range(52), {"train": (), "validation": (0,), "test": ()}, "must have training recordings"),
    ],
)
def test_a_corpus_that_shows_no_movement_is_refused(
    tiny_task, captured_only, channels, splits, rule
):
    """At the start: a reference of 0 would make every score 0/0."""
    with pytest.raises(InputError, match=re.escape(rule) + r".*`liveliness`, got .*'partial'"):
        LivelinessReward(captured_only(tiny_task, channels, splits=splits))
