"""Probes, verdicts, and what is asked of a scorer."""

import re

import numpy as np
import pytest

from esarm_env.core.errors import InputError
from reward.report import PLAIN_PROBES, UNKNOWN, check_scores, judged, score_columns, shown
from reward.report.ordering import LOOP_FRAMES, frozen_first, frozen_mean, loop
from reward.report.scorer import column_for


def test_probes_do_what_they_say():
    """A probe that leaves the animation as it was would be passed by every reward."""
    motion = np.repeat(np.arange(40, dtype=np.float32)[:, None], 52, axis=1)
    assert (frozen_mean(motion) == 19.5).all() and (frozen_first(motion) == 0).all()
    looped = loop(motion)[:, 0]
    assert (looped[:-LOOP_FRAMES] == looped[LOOP_FRAMES:]).all()
    assert looped[0] == 12 and np.ptp(looped) == LOOP_FRAMES - 1
    for spoil in PLAIN_PROBES.values():
        assert spoil(motion).shape == motion.shape and spoil(motion[:3]).shape == (3, 52)


@pytest.mark.parametrize(
    ("figure", "met"),
    [
        ((0.98, 0.975, 0.99), "yes"),
        ((0.98, 0.90, 0.99), "by the mean alone"),
        ((0.96, 0.90, 0.99), "not by the mean, perhaps by its interval"),
        ((0.90, 0.85, 0.95), "no"),
        (UNKNOWN, "not measured"),
    ],
)
def test_a_verdict_goes_by_the_interval(figure, met):
    """A mean that happens to clear the bar is not yet a bar that is cleared."""
    assert judged("asked", figure, least=0.97).met == met
    turned = tuple(1 - figure[place] for place in (0, 2, 1))
    assert judged("asked", turned, most=0.03).met == met


@pytest.mark.parametrize(("old", "new"), [("asked", "criterion"), ("verdict", "met")])
def test_names_of_earlier_versions_still_work(old, new):
    """Notebooks that read a report must not break at once."""
    line = judged("a", (1.0, 1.0, 1.0), least=0.5)
    message = f"`Verdict.{old}` is now `Verdict.{new}`; it goes in the next version"
    with pytest.warns(DeprecationWarning, match=re.escape(message)):
        assert getattr(line, old) == getattr(line, new)


def test_figures_are_printed_with_their_intervals():
    """The figure and both ends; no minus before nothing."""
    assert shown((0.971, 0.9, 1.0), percent=True) == "97.1 % [90.0, 100.0]"
    assert shown((-0.001, -0.2, 0.1)) == "0.00 [-0.20, 0.10]"
    assert shown(UNKNOWN) == "n/a"


@pytest.mark.parametrize("bars", [{}, {"least": 1.0, "most": 2.0}])
def test_a_verdict_needs_one_bar(bars):
    """Two would contradict each other, and none can be reached."""
    with pytest.raises(ValueError, match=re.escape("one of `least` and `most` must be given")):
        judged("asked", (1.0, 1.0, 1.0), **bars)


class Scorer:
    """Scores by length, with two heads."""

    def score_motion(self, utterances, motions):
        raise AssertionError("twice the work: the heads add up to it")

    def score_motion_streams(self, utterances, motions):
        half = np.array([len(motion) for motion in motions], dtype=np.float32) / 2
        return {"mouth": half, "upper": half}


def test_heads_get_columns_of_their_own(tiny_task):
    """The head for an error is what its correlation is asked of."""
    utterances = np.array([3, 0])
    motions = [tiny_task.corpus[int(i)].motion for i in utterances]
    columns = score_columns("r", Scorer(), tiny_task, utterances=utterances, motions=motions)
    assert set(columns) == {"r", "r:mouth", "r:upper"}
    assert columns["r"].tolist() == [27, 33] and columns["r:mouth"].tolist() == [13.5, 16.5]
    assert column_for("eve", "r", columns) == "r:upper"
    assert column_for("eve", "other", columns) == "other"


def test_a_score_that_is_not_finite_names_its_utterance():
    """Sorted anywhere, nan would spoil every figure without a word."""
    scores = np.array([0.0, np.nan, np.inf], dtype=np.float32)
    message = "got nan for the utterance 'anna-01' (2 of 3 animations); train the reward model anew"
    with pytest.raises(InputError, match=re.escape(message)):
        check_scores(scores, ["anna-00", "anna-01", "ben-02"], name="reward")
    with pytest.raises(InputError, match=re.escape("must have shape (2,), got (3,)")):
        check_scores(scores, ["anna-00", "anna-01"], name="reward")
