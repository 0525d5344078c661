"""The trade-off between the heads: what is kept as naturalness weighs more, and its figures."""

from __future__ import annotations

import re

import numpy as np
import pytest

from esarm_env.core.errors import InputError
from esarm_env.face import ARKIT_NAMES
from reward.naturalness.tradeoff import dynamics, trade_off


@pytest.fixture
def animations(tiny_task):
    """The recording, a still face and a trembling one, (3, N, T, 52), with scores of both heads."""
    utterances = tiny_task.corpus.split("train")
    target = tiny_task.target_motion(utterances)
    still = np.repeat(target.mean(axis=1, keepdims=True), target.shape[1], axis=1)
    noise = np.random.default_rng(0).random(target.shape, dtype=np.float32)
    motions = np.stack([still, target, np.clip(target + 0.2 * noise, 0, 1)])
    ones = np.ones(len(utterances), np.float32)
    scores = {
        "expected_error": np.stack([2 * ones, ones, -ones]),
        "naturalness": np.stack([-ones, ones, 4 * ones]),
    }
    return utterances, motions, scores


def test_more_weight_keeps_what_is_more_natural(tiny_task, animations):
    """At 0 the still face, in between the recording, at last the trembling one."""
    utterances, motions, scores = animations
    points = trade_off(tiny_task, utterances, motions, **scores, weights=(0, 0.6, 5), keep=1)
    assert [point.weight for point in points] == [0, 0.6, 5]
    for point, motion in zip(points, motions, strict=True):
        assert point.figures == pytest.approx(
            dynamics(tiny_task, utterances, motion[None]), nan_ok=True
        )
    still, recorded, trembling = (point.figures for point in points)
    assert recorded["lve"] == recorded["eve"] == recorded["fdd_absolute"] == 0
    assert recorded["closure_f1"] == 1
    assert still["jerk"] < recorded["jerk"] < trembling["jerk"]
    assert still["lip_speed"] < recorded["lip_speed"] < trembling["lip_speed"]
    assert still["lve"] > 0 < still["fdd_absolute"]
    assert np.isnan(still["diversity"])


def test_what_is_kept_differs_by_its_diversity(tiny_task, animations):
    """The mean lip distance between the two that are kept; none where both are one."""
    utterances, motions, scores = animations
    (point,) = trade_off(tiny_task, utterances, motions, **scores, weights=(0.0,), keep=2)
    assert point.figures["diversity"] > 0.1
    same = np.stack([motions[0], motions[0]])
    assert dynamics(tiny_task, utterances, same)["diversity"] == 0


def test_blinks_are_counted_by_the_minute(tiny_task):
    """Of the counted frames, over all utterances."""
    utterances = tiny_task.corpus.split("train")
    motion = np.zeros_like(tiny_task.target_motion(utterances))
    lids = [ARKIT_NAMES.index(f"eyeBlink{side}") for side in ("Left", "Right")]
    motion[:, 8:12, lids] = 1
    seconds = tiny_task.n_frames[utterances].sum() / 30
    figures = dynamics(tiny_task, utterances, motion[None])
    assert figures["blinks_per_min"] == pytest.approx(60 * len(utterances) / seconds)


def test_scores_of_other_animations_are_refused(tiny_task, animations):
    """A transposed array would choose by another animation's score."""
    utterances, motions, scores = animations
    wrong = {**scores, "naturalness": scores["naturalness"].T}
    with pytest.raises(InputError, match=re.escape("must have shape (K, N) for N utterances, got")):
        trade_off(tiny_task, utterances, motions, **wrong)
    with pytest.raises(InputError, match=re.escape("`keep` must be in 1..3, got 4")):
        trade_off(tiny_task, utterances, motions, **scores, keep=4)
