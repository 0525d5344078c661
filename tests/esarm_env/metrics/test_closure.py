"""F1 of mouth closures, with phones and without."""

from __future__ import annotations

import itertools
import re
from typing import Any

import numpy as np
import pytest

from esarm_env.core.errors import InputError
from esarm_env.metrics import ClosureCounts, bilabial_closures, closed_share, closure_events

_SECOND_HALF = np.array([[0.5, 0.6]])


def _counts(counts: ClosureCounts) -> list[list[int]]:
    """Return hits, false alarms and misses of each utterance."""
    return np.stack([counts.hits, counts.false_alarms, counts.misses], axis=1).tolist()


def _opening(n_frames: int, *closed: int) -> np.ndarray:
    """Return a mouth 10 mm open but for the frames in `closed`."""
    opening = np.full(n_frames, 10.0)
    opening[list(closed)] = 0.5
    return opening


def test_bilabials_are_counted_as_by_hand() -> None:
    """Four p, b and m: closed in both, in the truth alone, in the prediction alone, in neither."""
    intervals = np.array([[0.2, 0.3], [0.6, 0.7], [1.0, 1.1], [1.4, 1.5]])
    truth, ours = _opening(60, 7, 19), _opening(60, 8, 31)
    counts = bilabial_closures(ours, truth, intervals=[intervals])
    assert _counts(counts) == [[1, 1, 1]]
    assert (counts.precision, counts.recall, counts.f1) == (0.5, 0.5, 0.5)


@pytest.mark.parametrize(
    ("frame", "closed"), [(4, False), (5, True), (6, True), (9, True), (10, True), (11, False)]
)
def test_a_bilabial_reaches_one_frame_beyond_its_times(frame: int, closed: bool) -> None:
    """0.2 s to 0.3 s are frames 6 to 9; floating point must not lose the frame at the edge."""
    counts = bilabial_closures(_opening(20, frame), _opening(20, 7), intervals=[[[0.2, 0.3]]])
    assert _counts(counts) == [[int(closed), 0, int(not closed)]]


def test_a_bilabial_at_the_very_end_has_a_frame() -> None:
    """Alignments overrun the last frame by a little."""
    counts = bilabial_closures(_opening(30, 29), _opening(30, 29), intervals=[[[0.99, 1.2]]])
    assert _counts(counts) == [[1, 0, 0]]


def test_closed_is_below_the_threshold() -> None:
    """At the threshold the mouth is open."""
    curve = np.full(30, 3.0)
    for closed_mm, hits in ((3.0, 0), (3.1, 1)):
        counts = bilabial_closures(curve, curve, intervals=[_SECOND_HALF], closed_mm=closed_mm)
        assert _counts(counts) == [[hits, 0, 0]]
        assert _counts(closure_events(curve, curve, closed_mm=closed_mm)) == [[hits, 0, 0]]


def test_an_utterance_without_closures_has_no_f1() -> None:
    """0 would punish sentences without p, b and m, 1 would reward them."""
    curves = np.stack([_opening(30), _opening(30, 16)])
    counts = bilabial_closures(curves, curves, intervals=[[], _SECOND_HALF])
    assert _counts(counts) == [[0, 0, 0], [1, 0, 0]]
    np.testing.assert_array_equal(counts.f1, [np.nan, 1.0])
    np.testing.assert_array_equal(counts.precision, [np.nan, 1.0])
    np.testing.assert_array_equal(counts.recall, [np.nan, 1.0])


def test_pooled_f1_is_of_all_closures_together() -> None:
    """3 hits and a miss, then a false alarm: F1 6/7 and 0, together 6/8 and not their mean."""
    counts = ClosureCounts(np.array([3, 0]), np.array([0, 1]), np.array([1, 0]))
    np.testing.assert_allclose(counts.f1, [6 / 7, 0])
    assert counts.pooled().f1.tolist() == [0.75]


def test_events_are_counted_as_by_hand() -> None:
    """Truth shuts at 5 to 7, 15 and 25; ours at 10 (2 open frames after 7), 14 and 40.

    With 2 frames allowed 10 goes with the first and 14 with the second; with 1 only 14 is a hit.
    """
    truth, ours = _opening(50, 5, 6, 7, 15, 25), _opening(50, 10, 14, 40)
    assert _counts(closure_events(ours, truth)) == [[2, 1, 1]]
    assert _counts(closure_events(ours, truth, tolerance_frames=1)) == [[1, 2, 2]]


def test_touching_runs_match_without_tolerance() -> None:
    """0 still allows a closure that ends in the frame before the other's first."""
    truth = _opening(20, 8)
    hits = [closure_events(_opening(20, f), truth, tolerance_frames=0).hits[0] for f in range(20)]
    assert np.flatnonzero(hits).tolist() == [7, 8, 9]


def test_a_mouth_that_stays_shut_hits_once() -> None:
    """Frame by frame it would have perfect recall."""
    truth = _opening(60, 5, 20, 35, 50)
    assert _counts(closure_events(np.zeros(60), truth)) == [[1, 0, 3]]


def test_frames_past_the_length_hold_no_closure() -> None:
    """Padding with zeros is a mouth shut."""
    truth, ours = np.stack([_opening(20, 3)] * 2), np.stack([_opening(20, 3)] * 2)
    ours[1, 10:], truth[1, 10:] = 0.0, np.nan
    assert _counts(closure_events(ours, truth, lengths=[20, 10])) == [[1, 0, 0]] * 2
    counts = bilabial_closures(
        ours, truth, lengths=[20, 10], intervals=[[[0.5, 0.6]], [[0.3, 0.5]]]
    )
    assert _counts(counts) == [[0, 0, 0]] * 2


def _most_matches(near: np.ndarray) -> int:
    """Return the size of the largest matching, by trying all."""
    rows, columns = near.shape
    if rows > columns:
        return _most_matches(near.T)
    orders = itertools.permutations(range(columns), rows)
    return max((int(near[range(rows), order].sum()) for order in orders), default=0)


def test_events_are_matched_as_often_as_possible() -> None:
    """One pass in order of time must not waste a closure that another could have matched."""
    rng = np.random.default_rng(0)
    for tolerance in (0, 1, 3):
        for ours, truth in rng.random((40, 2, 24)) < 0.35:
            runs = [np.flatnonzero(np.diff(np.r_[False, side, False])) for side in (ours, truth)]
            a, b = (steps.reshape(-1, 2) for steps in runs)
            near = (a[:, None, 1] + tolerance >= b[None, :, 0]) & (
                b[None, :, 1] + tolerance >= a[:, None, 0]
            )
            if max(near.shape) > 6:  # too many orders to try
                continue
            expected = _most_matches(near)
            curves = np.where(ours, 0.0, 9.0), np.where(truth, 0.0, 9.0)
            counts = closure_events(*curves, tolerance_frames=tolerance)
            assert _counts(counts) == [[expected, len(a) - expected, len(b) - expected]]


@pytest.mark.parametrize(
    ("intervals", "message"),
    [
        ([], "`intervals` must hold one array per utterance (1), got 0"),
        ([[0.1, 0.2]], "`intervals[0]` must have shape (n, 2), got (2,)"),
        ([[[0.2, 0.1]]], "`intervals[0]` must start in [0, 1.00) s and end after they start"),
        ([[[-0.1, 0.1]]], "end after they start, got [[-0.1, 0.1]]"),
        ([[[1.0, 1.1]]], "end after they start, got [[1.0, 1.1]]"),
        ([[[0.1, np.nan]]], "end after they start, got [[0.1, nan]]"),
    ],
)
def test_intervals_that_do_not_fit_are_refused(intervals: Any, message: str) -> None:
    """Milliseconds in place of seconds lie past the end of every utterance."""
    with pytest.raises(InputError, match=re.escape(message)):
        bilabial_closures(np.zeros(30), np.zeros(30), intervals=intervals)


@pytest.mark.parametrize("name", ["predicted_mm", "target_mm"])
def test_an_opening_that_is_not_finite_is_refused(name: str) -> None:
    """nan is not below any threshold: the mouth would count as open."""
    curves: dict[str, Any] = {"predicted_mm": np.zeros(9), "target_mm": np.zeros(9)}
    curves[name] = np.full(9, np.nan)
    with pytest.raises(InputError, match=f"`{name}` must be finite, got nan or infinity"):
        closure_events(**curves)


def test_a_negative_tolerance_is_refused() -> None:
    """It would demand an overlap of so many frames, which nobody means."""
    with pytest.raises(InputError, match="`tolerance_frames` must be at least 0, got -1"):
        closure_events(np.zeros(9), np.zeros(9), tolerance_frames=-1)


def test_closures_without_a_truth_are_counted_as_by_hand() -> None:
    """Recordings of voices alone: two of three p, b and m shut, none to shut, none shut."""
    curves = np.stack([_opening(60, 7, 31), _opening(60), _opening(60, 7)])
    intervals = [[[0.2, 0.3], [0.6, 0.7], [1.0, 1.1]], [], [[1.0, 1.1]]]
    shares = closed_share(curves, intervals=intervals)
    np.testing.assert_allclose(shares, [2 / 3, np.nan, 0])
    assert closed_share(curves[0], intervals=intervals[:1]) == pytest.approx(2 / 3)
    short = closed_share(curves[0], intervals=[[[0.2, 0.3], [0.9, 1.1]]], lengths=[31])
    assert short == pytest.approx(1 / 2), "the closure of frame 31 is past the length"


@pytest.mark.parametrize(("frame", "share"), [(3, 0.0), (4, 1.0), (11, 1.0), (12, 0.0)])
def test_the_margin_is_in_seconds(frame: int, share: float) -> None:
    """0.2 s to 0.3 s and 80 ms around them are frames 4 (0.133 s) to 11 (0.367 s)."""
    intervals = [[[0.2, 0.3]]]
    assert closed_share(_opening(20, frame), intervals=intervals, margin_s=0.08) == share
    assert closed_share(_opening(20, frame), intervals=intervals, margin_s=0) == 0.0


@pytest.mark.parametrize("margin_s", [-0.01, np.nan, np.inf])
def test_margins_that_are_no_time_are_refused(margin_s: float) -> None:
    """A nan would become the first frame of an array."""
    message = f"`margin_s` must be at least 0 and finite, got {margin_s}"
    with pytest.raises(InputError, match=re.escape(message)):
        closed_share(np.zeros(30), intervals=[[[0.1, 0.2]]], margin_s=margin_s)


def test_a_share_of_no_number_is_refused() -> None:
    """nan is not below any threshold: the mouth would count as open."""
    with pytest.raises(InputError, match=r"^`predicted_mm` must be finite"):
        closed_share(np.full(30, np.nan), intervals=[[[0.1, 0.2]]])
    with pytest.raises(InputError, match=re.escape("one array per utterance (1), got 2")):
        closed_share(np.zeros(30), intervals=[[], []])
