"""Times as text: what they say, and what is no time."""

from __future__ import annotations

import re

import numpy as np
import pytest

from esarm_env.core.errors import InputError
from esarm_env.formats.clock_times import clock_seconds, is_clock


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1970-01-01T00:00:01.5Z", 1.5),
        ("1970-01-02 00:00:00", 86400.0),
        ("19700101T000001,25", 1.25),
        ("1970/01/01 00:00:01", 1.0),
        ("1970-01-01T02:00:00+02:00", 0.0),
        ("1969-12-31T19:00:00-0500", 0.0),
        ("01:02:03.004", 3723.004),
        ("2:03,5", 123.5),
        ("-00:00:00.250", -0.25),
        ("1 days 00:00:00.033333", 86400.033333),
        ("  00:00:01.000000001 ", 1.000000001),
    ],
)
def test_a_time_is_read_in_seconds(text: str, seconds: float) -> None:
    """A part that is overlooked moves the face by hours, or by milliseconds."""
    assert clock_seconds([text]).tolist() == pytest.approx([seconds], abs=1e-9)
    assert is_clock(text)


@pytest.mark.parametrize(
    "text",
    [
        *("", "0.5", "12", "1:60", "00:61:00", "12:00 pm", "1:2:3:4:5:6", "x" * 100, "9" * 64),
        *("2026-13-01T00:00:00", "2026-02-30T00:00:00", "\u0663:\u0661\u0661"),
    ],
)
def test_what_is_no_time_has_none(text: str) -> None:
    """It costs its frame; a number is told by others."""
    assert np.isnan(clock_seconds([text, "00:00:01"])).tolist() == [True, False]
    assert not is_clock(text)


def test_a_clock_goes_on_at_midnight() -> None:
    """A date says so itself, a time of day does not."""
    texts = ["23:59:59.5", "", "00:00:00.5", "13:00:00", "00:00:01"]
    expected = [86399.5, np.nan, 86400.5, 133200.0, 172801.0]
    np.testing.assert_allclose(clock_seconds(texts), expected)
    day = ["2026-05-01T23:59:59", "2026-05-01T00:00:00"]
    assert np.diff(clock_seconds(day)).tolist() == [-86399.0]


def test_timecodes_among_times_are_counted() -> None:
    """They are frames of a second, not its parts."""
    codes = [f"01:00:00:{frame:02}" for frame in range(20, 25)] + ["01:00:01:00", "?"]
    expected = [*(np.arange(6) / 25), np.nan]
    np.testing.assert_allclose(clock_seconds(codes), expected, atol=1e-9)
    with pytest.raises(InputError, match=re.escape("times must be timecodes, got a jump in time")):
        clock_seconds(["01:00:00:05", "01:00:00:04"])
