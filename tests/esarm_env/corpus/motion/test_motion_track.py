"""Tracks: what every reader returns and every later step relies on."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from esarm_env.core.errors import InputError
from esarm_env.corpus.motion.track import (
    Extent,
    MotionTrack,
    check_rate,
    check_times,
    rate_of,
    track_of_table,
)
from esarm_env.face.names import ARKIT_NAMES

_ALL = np.ones(52, dtype=np.bool_)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"values": np.zeros((3, 51), np.float32)}, "`values` must be float32 of shape (T, 52)"),
        ({"values": np.zeros((3, 52))}, "got float64 (3, 52)"),
        ({"captured": np.ones(51, dtype=np.bool_)}, "`captured` must be bool of shape (52,)"),
        ({"captured": np.ones(52)}, "got float64 (52,)"),
        ({"time_s": np.zeros(2)}, "`time_s` must have shape (3,), got (2,)"),
        ({"quality": np.zeros(4, np.float32)}, "`quality` must have shape (3,), got (4,)"),
    ],
)
def test_a_track_whose_arrays_do_not_fit_is_refused(change: dict[str, Any], message: str) -> None:
    """A time column that is one short moves every later frame."""
    arguments: dict[str, Any] = {"values": np.zeros((3, 52), np.float32), "captured": _ALL}
    with pytest.raises(ValueError, match=re.escape(message)):
        MotionTrack(**{**arguments, **change})


def test_a_frame_is_lost_if_no_captured_channel_has_a_number() -> None:
    """Channels that the file lacks are 0, which is a number."""
    captured = _ALL.copy()
    captured[51] = False
    values = np.zeros((3, 52), np.float32)
    values[1, :51] = np.nan
    values[2, :50] = np.nan
    assert MotionTrack(values, captured).lost.tolist() == [False, True, False]


def test_quality_zero_makes_a_frame_lost() -> None:
    """Trackers leave the last values, or zeros, where they saw nothing."""
    track = track_of_table(
        "x.csv", ["jawOpen"], [[0.5], [0.0]], quality=np.array([1.0, 0.0], np.float32)
    )
    assert track.lost.tolist() == [False, True]
    assert not np.isnan(track.values[:, 0]).any()


@pytest.mark.parametrize(
    ("names", "table", "quality", "message"),
    [
        (["smirk", "grin"], np.zeros((1, 2)), None, "once, got unknown: smirk, grin"),
        (["jawOpen", "mouthClos"], np.zeros((1, 2)), None, "mouthClos; did you mean mouthClose?"),
        (["jawOpen", "JawOpen"], np.zeros((1, 2)), None, "double: JawOpen"),
        (["HeadYaw"], np.zeros((1, 1)), None, "at least one ARKit shape, each once, got none"),
        (["jawOpen"], np.zeros((0, 1)), None, "x.csv: must hold at least one frame, got none"),
        (["jawOpen"], np.zeros((2, 1)), [1.0, 1.5], "in [0, 1], got 1.5 at frame 1"),
        (["jawOpen"], np.zeros((2, 1)), [np.nan, 1.0], "in [0, 1], got nan at frame 0"),
    ],
)
def test_a_table_that_is_no_motion_is_refused(
    names: list[str], table: np.ndarray, quality: list[float] | None, message: str
) -> None:
    """Every format ends here, so that each fault has one message."""
    known = None if quality is None else np.array(quality, np.float32)
    with pytest.raises(InputError, match=re.escape(message)):
        track_of_table("x.csv", names, table, quality=known)


def test_numbers_too_large_for_float32_become_infinite() -> None:
    """A warning of NumPy's would name no file; the check of values does."""
    track = track_of_table("x.npy", ARKIT_NAMES, np.full((1, 52), 1e300))
    assert np.isinf(track.values).all()


def test_the_rate_survives_gaps_and_rounding() -> None:
    """The median step of 60 fps in whole milliseconds is 17 ms: 58.8 fps."""
    time_s = np.round(np.arange(600) / 60, 3)
    kept = np.delete(time_s, slice(100, 160))
    assert rate_of(kept) == pytest.approx(60, rel=1e-3)
    assert MotionTrack(np.zeros((540, 52), np.float32), _ALL, kept).rate_hz == rate_of(kept)
    assert MotionTrack(np.zeros((540, 52), np.float32), _ALL).rate_hz is None
    assert rate_of(np.zeros(1)) is None


@pytest.mark.parametrize(
    ("times", "expected"),
    [
        ([0.0, 0.1], [0.0, 0.1]),
        ([0.4, 0.5], [0.4, 0.5]),
        ([1000.0, 1000.1], [0.0, 0.1]),
        ([-0.05, 0.05], [-0.05, 0.05]),
        ([-7.0, -6.9], [-7.0, -6.9]),
        ([1.5, 1.6], [1.5, 1.6]),
        ([-3600.0, -3599.9], [0.0, 0.1]),
    ],
)
def test_a_first_frame_beside_zero_stays_there_and_a_clock_starts_at_zero(
    times: list[float], expected: list[float]
) -> None:
    """Taking off a start of 0.4 s would move the face before its sound."""
    np.testing.assert_allclose(check_times("x", times), expected, atol=1e-9)


@pytest.mark.parametrize(
    ("times", "claimed_hz", "message"),
    [
        ([0.0, np.nan, 0.2], None, "x: times must be finite, got nan at frame 1"),
        ([0.0, 0.1, 0.1], None, "x: times must ascend, got 0.1 at frame 2"),
        ([0.0, 0.1, 0.05], None, "x: times must ascend, got 0.05 at frame 2"),
        ([0, 33, 67], None, "got 0.0298507 Hz; are they milliseconds?"),
        ([0, 1e-4, 2e-4], None, "at 5 to 500 Hz, got 10000 Hz"),
        ([0.0, 0.1, 0.2], 30.0, "must fit the times of the frames (10.00 Hz), got 30 Hz"),
    ],
)
def test_times_that_cannot_be_are_refused(
    times: list[float], claimed_hz: float | None, message: str
) -> None:
    """A wrong rate in a header plays the whole corpus at double speed."""
    with pytest.raises(InputError, match=re.escape(message)):
        check_times("x", times, claimed_hz=claimed_hz)


def test_a_rounded_rate_in_the_header_is_fine() -> None:
    """30 and 29.97 are the same camera."""
    check_times("x", np.arange(10) / 29.97, claimed_hz=30.0)


@pytest.mark.parametrize("rate_hz", [0, -30, 4.9, 501, float("nan"), "fast", None, [30]])
def test_a_rate_that_cannot_be_is_refused(rate_hz: object) -> None:
    """Zero would be divided by, `nan` spreads."""
    message = f"x: frame rate must be 5 to 500 Hz, got {rate_hz!r}"
    with pytest.raises(InputError, match=re.escape(message)):
        check_rate("x", rate_hz)


@pytest.mark.parametrize("rate_hz", [5, 29.97, "60", 500.0])
def test_a_rate_that_can_be_is_kept(rate_hz: object) -> None:
    """The limits themselves are allowed."""
    assert check_rate(Path("x"), rate_hz) == float(rate_hz)  # type: ignore[arg-type]


def test_the_extent_of_one_frame_has_no_rate() -> None:
    """One frame lasts as long as one likes."""
    assert Extent.of_times(1, 0.0, 0.0) == Extent(1, None)
    assert Extent.of_times(31, 0.5, 1.5) == Extent(31, 30.0, 0.5, 30.0)
    assert Extent.of_times(31, 100.0, 101.0).start_s == 0.0, "a clock starts anywhere"
