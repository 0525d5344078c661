"""Paired intervals: against another way to compute them, and pairs that cannot be told."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from scipy.stats import bootstrap

from agents.monitoring.paired import Change, paired_change


def test_the_interval_is_that_of_the_paired_differences(rng: np.random.Generator) -> None:
    """What makes an utterance hard for everybody must drop out: it is most of the spread."""
    hardness = 100 * rng.random(60)
    before = hardness + rng.normal(size=60)
    after = hardness + 0.8 + rng.normal(size=60)
    change = paired_change(before, after, confidence=0.9, resamples=8000)
    theirs = bootstrap(
        ((after - before),), np.mean, confidence_level=0.9, n_resamples=8000, method="percentile"
    ).confidence_interval
    assert change.mean == pytest.approx((after - before).mean())
    assert (change.low, change.high) == pytest.approx((theirs.low, theirs.high), abs=0.02)
    assert change.rose
    assert not paired_change(after, before, confidence=0.9).rose
    assert change == paired_change(before, after, confidence=0.9, resamples=8000)


def test_pairs_with_a_figure_that_is_none_are_left_out() -> None:
    """An error may be nan for one utterance and must not be for all."""
    before, after = np.array([1.0, np.nan, 3.0, 4.0]), np.array([2.0, 5.0, 4.0, np.inf])
    assert paired_change(before, after, confidence=0.95) == Change(1.0, 1.0, 1.0)
    nothing = paired_change(before[:2], after[:2], confidence=0.95)
    assert np.isnan([nothing.mean, nothing.low, nothing.high]).all()
    assert not nothing.rose
    assert str(Change(0.312, 0.2, -0.4)) == "+0.312 [+0.2, -0.4]"


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (
            {"after": np.zeros(3)},
            "`before` and `after` must have one shape (N,), got (2,) and (3,)",
        ),
        (
            {"before": np.zeros((1, 2)), "after": np.zeros((1, 2))},
            "`before` and `after` must have one shape (N,), got (1, 2) and (1, 2)",
        ),
        ({"confidence": 1.0}, "`confidence` must be above 0 and below 1, got 1.0"),
        ({"confidence": np.nan}, "`confidence` must be above 0 and below 1, got nan"),
        ({"resamples": 0}, "`resamples` must be at least 1, got 0"),
    ],
)
def test_bad_arguments_are_refused(changed: dict[str, Any], message: str) -> None:
    """Each would give an interval of something else."""
    given: dict[str, Any] = {"before": np.zeros(2), "after": np.zeros(2), "confidence": 0.9}
    with pytest.raises(ValueError, match=re.escape(message)):
        paired_change(**{**given, **changed})
