"""Rewards that look at the truth."""

import copy
import re
from dataclasses import replace

import numpy as np
import pytest

from esarm_env.core.errors import InputError
from esarm_env.face import ARKIT_NAMES, MOUTH_CHANNELS, UPPER_CHANNELS
from reward.plugins.oracle import ErrorReward, open_accuracy, open_eve, open_lve


def test_oracle_scores_are_minus_the_true_errors(tiny_task, demonstrations):
    """Researchers use these as the upper bound of what any reward can give."""
    errors = tiny_task.errors(demonstrations.trajectories)
    trajectories = demonstrations.trajectories
    np.testing.assert_allclose(open_lve(tiny_task, None).score(trajectories), -errors["lve"])
    np.testing.assert_allclose(open_eve(tiny_task, None).score(trajectories), -errors["eve"])
    mean = (errors["lve"] + errors["eve"]) / 2
    np.testing.assert_allclose(open_accuracy(tiny_task, None).score(trajectories), -mean, rtol=1e-6)


@pytest.mark.parametrize(
    ("make", "shares"),
    [
        (open_accuracy, {"mouth": ("lve", 0.5), "upper": ("eve", 0.5)}),
        (open_lve, {"mouth": ("lve", 1), "upper": ("lve", 0)}),
        (open_eve, {"mouth": ("eve", 0), "upper": ("eve", 1)}),
    ],
)
def test_each_stream_answers_for_its_own_error(tiny_task, demonstrations, make, shares):
    """A mouth that is blamed for the brows learns from noise; and the shares must add up."""
    trajectories = demonstrations.trajectories
    errors, reward = tiny_task.errors(trajectories), make(tiny_task, None)
    streams = reward.score_streams(trajectories)
    assert set(streams) == set(tiny_task.token_streams)
    for name, (error, share) in shares.items():
        np.testing.assert_allclose(streams[name], -share * errors[error], rtol=1e-6)
        assert streams[name].dtype == np.float32
    np.testing.assert_allclose(sum(streams.values()), reward.score(trajectories), rtol=1e-6)


def test_random_tokens_score_lower_than_recorded_ones(tiny_task, demonstrations):
    """The order of the reward must be that of quality, not of error."""
    scores = ErrorReward(tiny_task, ("lve", "eve")).score(demonstrations.trajectories)
    clean = demonstrations.epsilon == 0
    assert scores[clean].mean() > scores[~clean].mean()


@pytest.fixture
def captured_only(tiny_task):
    """Return a function: the tiny task, had its corpus captured certain channels alone."""

    def make(channels):
        corpus = copy.copy(tiny_task.corpus)
        corpus.name, corpus.captured = "partial", np.isin(np.arange(52), channels)
        return replace(tiny_task, corpus=corpus)

    return make


@pytest.mark.parametrize(
    ("channels", "known", "unknown"),
    [(MOUTH_CHANNELS, "lve", "eve"), (UPPER_CHANNELS, "eve", "lve")],
)
def test_an_error_the_corpus_cannot_tell_is_left_out(captured_only, channels, known, unknown):
    """The mean would be nan; and a reward of that error alone must be refused at the start."""
    task = captured_only(channels)
    recorded = task.recorded(np.arange(4))
    errors = task.errors(recorded)
    assert np.isnan(errors[unknown]).all()
    np.testing.assert_allclose(open_accuracy(task, None).score(recorded), -errors[known])
    streams = open_accuracy(task, None).score_streams(recorded)
    np.testing.assert_allclose(sum(streams.values()), -errors[known])
    message = (
        f"the corpus must have captured what `{unknown}` measures, got none of it in 'partial'"
    )
    with pytest.raises(InputError, match=re.escape(message)):
        ErrorReward(task, (unknown,))


def test_a_corpus_that_captured_no_face_has_no_accuracy(captured_only):
    """At the start, not as nan at the end of the first episode."""
    message = (
        "the corpus must have captured what `lve` or `eve` measures, got none of it in 'partial'"
    )
    with pytest.raises(InputError, match=re.escape(message)):
        open_accuracy(captured_only([ARKIT_NAMES.index("tongueOut")]), None)
