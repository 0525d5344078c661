"""Shut lips: what the detector learns, the score by hand, and lips that are always shut."""

import re

import numpy as np
import pytest
from scipy.optimize import minimize

from esarm_env.core.errors import InputError
from esarm_env.face import ARKIT_NAMES, UPPER_CHANNELS
from esarm_env.metrics import closure_events, mouth_opening
from reward.plugins.closure import RIDGE, ClosureDetector, ClosureReward, open_closure
from reward.plugins.oracle import ClosureTruthReward, open_closure_f1


@pytest.fixture(scope="module")
def reward(tiny_task):
    """The reward of the tiny task, fitted once."""
    return open_closure(tiny_task, None)


def test_the_detector_is_the_minimum_of_its_loss(rng):
    """Newton's method stops after a few steps, also where it has not arrived."""
    features = rng.normal(size=(400, 2))
    shut = features[:, 0] + 0.5 * rng.normal(size=400) > 0.6
    inside = np.arange(400) >= 10
    detector = ClosureDetector.fit([features], [shut], [inside])
    padded = np.pad(features, ((3, 3), (0, 0)), mode="edge")
    wide = np.concatenate([padded[k : k + 400] for k in range(7)], axis=1)[inside]
    wide = np.column_stack([(wide - wide.mean(0)) / wide.std(0), np.ones(len(wide))])
    sign = np.where(shut[inside], 1, -1)

    def loss(weights):
        return np.logaddexp(0, -sign * (wide @ weights)).mean() + RIDGE / 2 * weights @ weights

    best = minimize(loss, np.zeros(15), options={"gtol": 1e-8})
    np.testing.assert_allclose(loss(detector.weights), best.fun, rtol=1e-7)
    likely = detector.probabilities(features)[inside]
    np.testing.assert_allclose(likely, 1 / (1 + np.exp(-wide @ detector.weights)), rtol=1e-6)


def test_wide_features_are_heard_without_neighbours(rng):
    """Seven WavLM states make a matrix of 5000 squared, for what each has heard already."""
    features = rng.normal(size=(60, 100))
    always = np.ones(60, dtype=bool)
    assert ClosureDetector.fit([features], [features[:, 0] > 0], [always]).context == 0
    narrow = features[:, :70]
    assert ClosureDetector.fit([narrow], [narrow[:, 0] > 0], [always]).context == 3


def test_a_constant_feature_is_ignored(rng):
    """Its deviation of 0 would make every score nan."""
    features = np.column_stack([rng.normal(size=80), np.full(80, 3.0)])
    detector = ClosureDetector.fit([features], [features[:, 0] > 0], [np.ones(80, dtype=bool)])
    assert np.isfinite(detector.probabilities(features)).all()


def jaw_motion(opened):
    """Return motion (T, 52): the jaw is far open where `opened`, shut elsewhere."""
    motion = np.zeros((48, 52), dtype=np.float32)
    motion[: len(opened), ARKIT_NAMES.index("jawOpen")] = 0.5 * opened
    return motion


def test_the_score_compares_likely_with_unlikely_frames(tiny_task, reward, moving, rng):
    """By hand, with a loop."""
    opened = rng.random(45) < 0.5
    moving(jaw_motion(opened))
    likely, speech = reward.heard(4), reward._heard.of(4)[1]
    sums = np.zeros((2, 2))
    for p, open_, counts in zip(likely, opened, speech, strict=True):
        if counts:
            sums += [[p * (not open_), p], [(1 - p) * (not open_), 1 - p]]
    expected = sums[0, 0] / sums[0, 1] - sums[1, 0] / sums[1, 1]
    scores = reward.score(tiny_task.recorded(np.array([4])))
    assert scores.dtype == np.float32
    np.testing.assert_allclose(scores, expected, rtol=1e-5)


@pytest.mark.parametrize("opened", [0, 1])
def test_lips_that_never_change_score_nothing(tiny_task, reward, moving, opened):
    """A mouth that stays shut hits every closure, which must not pay."""
    moving(jaw_motion(np.full(48, opened)))
    np.testing.assert_allclose(reward.score(tiny_task.recorded(np.arange(12))), 0, atol=1e-6)


def test_recordings_shut_where_it_sounds_so_and_random_tokens_do_not(reward, demonstrations):
    """Also on utterances that the detector has not heard in training."""
    scores = reward.score(demonstrations.trajectories)
    unheard = demonstrations.trajectories.utterance >= 8
    clean = demonstrations.epsilon == 0
    assert scores[clean & unheard].mean() > scores[~clean & unheard].mean() + 0.2
    assert np.abs(scores).max() <= 1
    assert reward.needs_ground_truth is False


def test_the_recording_of_the_scored_utterance_is_not_looked_at(
    tiny_task, tiny_corpus, reward, demonstrations, monkeypatch
):
    """The reward says that it needs no ground truth; every agent relies on that."""
    before = reward.score(demonstrations.trajectories)
    monkeypatch.setattr(type(tiny_corpus), "__getitem__", None)
    np.testing.assert_array_equal(reward.score(demonstrations.trajectories), before)


@pytest.mark.parametrize("kind", [ClosureReward, ClosureTruthReward])
def test_scoring_a_batch_equals_scoring_one_by_one(tiny_task, demonstrations, kind):
    """The longest of a batch decides its padding, and nothing else."""
    reward, trajectories = kind(tiny_task), demonstrations.trajectories
    alone = [reward.score(trajectories[row : row + 1])[0] for row in range(len(trajectories))]
    np.testing.assert_allclose(reward.score(trajectories), alone, atol=1e-5)


@pytest.mark.parametrize(
    ("kind", "name"), [(ClosureReward, "closure"), (ClosureTruthReward, "closure_f1")]
)
def test_a_corpus_without_the_mouth_is_refused(tiny_task, captured_only, kind, name):
    """At the start, not as nan at the end of the first episode."""
    message = (
        f"the corpus must have captured the opening of the mouth for the reward `{name}`, "
        "got none of it in 'partial'"
    )
    with pytest.raises(InputError, match=re.escape(message)):
        kind(captured_only(tiny_task, UPPER_CHANNELS))


def test_a_corpus_that_never_opens_the_mouth_is_refused(tiny_task, captured_only):
    """Nothing can be learned of closures there."""
    message = (
        "the corpus must have training recordings that open and shut the mouth for the reward "
        "`closure`, got not both in 'partial'"
    )
    with pytest.raises(InputError, match=re.escape(message)):
        ClosureReward(captured_only(tiny_task, range(52)))


def test_a_detector_needs_both_kinds_of_frames():
    """The loss has no minimum with one."""
    frames, inside = np.zeros((5, 2)), np.ones(5, dtype=bool)
    for shut, kind in ((inside, "shut"), (~inside, "open")):
        message = f"`shut` must hold shut and open lips, got {kind} ones only"
        with pytest.raises(ValueError, match=re.escape(message)):
            ClosureDetector.fit([frames], [shut], [inside])


def test_the_oracle_is_the_metrics_f1(tiny_task, tiny_corpus, demonstrations):
    """Utterance by utterance, and it says that it looks at the truth."""
    reward, trajectories = open_closure_f1(tiny_task, None), demonstrations.trajectories
    expected = []
    for utterance, motion in zip(
        trajectories.utterance, tiny_task.decode_chunks(trajectories), strict=True
    ):
        target = tiny_corpus[int(utterance)].motion
        curves = [mouth_opening(m, head=tiny_task.head) for m in (motion[: len(target)], target)]
        expected.append(closure_events(*curves).f1[0])
    assert reward.needs_ground_truth is True
    np.testing.assert_allclose(reward.score(trajectories), np.nan_to_num(expected, nan=1.0))


def test_two_mouths_that_never_shut_agree(tiny_task, tiny_corpus, moving, monkeypatch):
    """F1 has no closure to count there, and nan would stop the training."""
    wide = jaw_motion(np.ones(48))
    moving(wide)
    monkeypatch.setattr(type(tiny_task), "target_motion", lambda self, utterances: wide[None, :45])
    assert open_closure_f1(tiny_task, None).score(tiny_task.recorded(np.array([4]))).tolist() == [1]
