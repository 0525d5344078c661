"""The baseline that ignores the audio: a mean that is one, and always an answer."""

from __future__ import annotations

import re

import numpy as np
import pytest

from agents.baselines import MeanFace


def _still(value: float, n_frames: int) -> np.ndarray:
    return np.full((n_frames, 2), [value, value / 2], np.float32)


@pytest.fixture
def baseline() -> MeanFace:
    """Return two happy clips, 1 frame of 0.9 and 3 of 0.1, and a sad one, 4 of 0.5."""
    motions = [_still(0.9, 1), _still(0.5, 4), _still(0.1, 3)]
    return MeanFace(motions, [("happy", 1), ("sad", 2), ("happy", 1)])


def test_every_frame_counts_once(baseline: MeanFace) -> None:
    """(0.9 + 3 * 0.1) / 4 = 0.3; a mean of clip means would say 0.5 and favour short clips."""
    motion = baseline.animate(("happy", 1), n_frames=5)
    np.testing.assert_allclose(motion, _still(0.3, 5), atol=1e-6)
    assert motion.dtype == np.float32
    np.testing.assert_allclose(baseline.animate(("sad", 2), n_frames=1), _still(0.5, 1), atol=1e-6)


@pytest.mark.parametrize("condition", [("happy", 2), "happy", None])
def test_an_unseen_condition_gets_the_mean_of_everything(
    baseline: MeanFace, condition: object
) -> None:
    """(0.9 + 4 * 0.5 + 3 * 0.1) / 8 = 0.4; a KeyError would end the evaluation of a new speaker."""
    motion = baseline.animate(condition, n_frames=3)
    np.testing.assert_allclose(motion, _still(0.4, 3), atol=1e-6)


def test_no_frames_are_allowed(baseline: MeanFace) -> None:
    """Nothing to animate is an empty motion, not an error."""
    assert baseline.animate(("sad", 2), n_frames=0).shape == (0, 2)


def test_the_motion_is_the_callers_own(baseline: MeanFace) -> None:
    """Editing one animation must not bend the face of the next."""
    baseline.animate(("sad", 2), n_frames=2)[:] = 9
    np.testing.assert_allclose(baseline.animate(("sad", 2), n_frames=1), _still(0.5, 1), atol=1e-6)


def test_a_million_frames_have_the_mean_of_one() -> None:
    """A corpus of nine hours must not shift the baseline by 1 %."""
    baseline = MeanFace([_still(0.1, 1_000_000)], ["neutral"])
    np.testing.assert_allclose(baseline.animate("neutral", n_frames=1), _still(0.1, 1), rtol=1e-4)


@pytest.mark.parametrize(("n_motions", "n_conditions"), [(0, 0), (0, 1), (2, 1), (1, 2)])
def test_motions_without_their_conditions_are_rejected(n_motions: int, n_conditions: int) -> None:
    """Pairs cut to the shorter list would leave training data out without a word."""
    rule = f"`motions` must be one or more, one per condition, got {n_motions} and {n_conditions}"
    with pytest.raises(ValueError, match=re.escape(rule)):
        MeanFace([_still(0.5, 2)] * n_motions, ["sad"] * n_conditions)


def test_one_motion_is_allowed() -> None:
    """A corpus of one clip has a mean."""
    motion = MeanFace([_still(0.5, 2)], ["sad"]).animate("happy", n_frames=1)
    np.testing.assert_allclose(motion, _still(0.5, 1), atol=1e-6)
