"""Timecodes: what they count, what is behind the point, and which labels are left out."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import pytest

from esarm_env.core.errors import InputError
from esarm_env.formats.timecodes import NTSC, Timecodes, parse_timecodes


def fault(row: int, got: str) -> InputError:
    return InputError(f"row {row}: {got}")


def parsed(codes: Sequence[str]) -> Timecodes:
    return parse_timecodes(codes, fault)


def label(number: int, rate: int, *, fraction: str = ".000", sep: str = ":") -> str:
    """Return the label of a frame that is counted without leaving any out."""
    seconds, frame = divmod(number, rate)
    minutes, second = divmod(seconds, 60)
    return f"{minutes // 60:02}:{minutes % 60:02}:{second:02}{sep}{frame:02}{fraction}"


def drop_label(number: int, rate: int, *, sep: str = ";") -> str:
    """Return the drop-frame label of a frame: 2 (4) are left out a minute, but for the tenth."""
    dropped = rate // 15
    per_minute, per_ten = 60 * rate - dropped, 600 * rate - 9 * dropped
    tens, rest = divmod(number, per_ten)
    skipped = 9 * dropped * tens
    if rest >= dropped:
        skipped += dropped * ((rest - dropped) // per_minute)
    return label(number + skipped, rate, fraction="", sep=sep)


@pytest.mark.parametrize("rate", [10, 12, 15, 20, 24, 25, 30, 48, 50, 60, 90, 100, 120, 240])
def test_the_labels_tell_what_they_count(rate: int) -> None:
    """A closed list read 15 as 30: half of the frames seemed lost."""
    found = parsed([label(7 + number, rate) for number in range(4 * rate)])
    assert (found.counted_hz, found.rate_hz) == (rate, rate)
    np.testing.assert_array_equal(found.frames, np.arange(4 * rate))


@pytest.mark.parametrize("rate", [7, 14, 29, 75])
def test_an_unusual_rate_is_believed_where_every_second_agrees(rate: int) -> None:
    """A webcam counts what its driver says."""
    assert parsed([label(number, rate) for number in range(5 * rate)]).counted_hz == rate


@pytest.mark.parametrize("rate", [24, 25, 30, 60])
def test_dropped_frames_do_not_make_another_rate(rate: int) -> None:
    """Lost where a second ends, a frame makes that second seem shorter."""
    kept = [number for number in range(3 * rate) if number % 7]
    found = parsed([label(number, rate) for number in kept])
    assert found.counted_hz == rate
    np.testing.assert_array_equal(found.frames, np.array(kept) - kept[0])


@pytest.mark.parametrize("rate", [30, 60])
@pytest.mark.parametrize("sep", [";", ":"])
def test_drop_frame_labels_are_no_gaps(rate: int, sep: str) -> None:
    """At the end of a minute two labels are missing and no frame is; the rest is 29.97 fps."""
    first = 17 * rate
    numbers = range(first, first + 90 * rate)
    found = parsed([drop_label(number, rate, sep=sep) for number in numbers])
    assert found.counted_hz == rate
    assert found.rate_hz == pytest.approx(rate / NTSC)
    np.testing.assert_array_equal(found.frames, np.arange(90 * rate))


def test_ten_minutes_of_drop_frame_labels_are_ten_minutes() -> None:
    """Every tenth minute leaves out none: 18 labels in ten, so that the clock is right."""
    numbers = [0, *range(17_900, 18_100)]
    found = parsed([drop_label(number, 30) for number in numbers])
    assert found.frames[-1] / found.rate_hz == pytest.approx(18_099 * NTSC / 30, abs=1e-9)


def test_a_label_that_is_missing_by_chance_is_a_gap() -> None:
    """Without `;`, only labels 0 and 1 at a minute's begin are those that are never there."""
    numbers = [number for number in range(55 * 30, 65 * 30) if number != 1801]
    found = parsed([label(number, 30) for number in numbers])
    assert found.rate_hz == 30 and found.frames[-1] == 65 * 30 - 1 - 55 * 30


@pytest.mark.parametrize("rate", [30, 60])
def test_thousandths_of_a_frame_are_believed_where_they_make_steps_even(rate: int) -> None:
    """A phone's camera is a little off: `:01.950`, `:02.980`, `:04.010`."""
    true = 1.95 + 1.03 * np.arange(3 * rate)
    codes = [
        label(int(frame), rate, fraction=f".{round(1000 * (frame % 1)) % 1000:03}")
        for frame in true
    ]
    np.testing.assert_allclose(parsed(codes).frames, true - true[0], atol=2e-3)


@pytest.mark.parametrize("digits", [2, 3, 6])
@pytest.mark.parametrize("length_s", [0.5, 4.0])
def test_the_time_of_the_second_is_no_part_of_a_frame(digits: int, length_s: float) -> None:
    """Players write milliseconds: frame 30 of 60 is `:30.500`, and is not half a frame late."""
    codes = [
        label(number, 60, fraction=f".{int(10**digits * (number % 60) / 60):0{digits}}")
        for number in range(int(60 * length_s))
    ]
    found = parsed(codes)
    np.testing.assert_array_equal(found.frames, np.arange(len(codes)))


@pytest.mark.parametrize("first", [0, 1])
@pytest.mark.parametrize("n_frames", [100, 1100])
def test_a_running_counter_is_no_part_of_a_frame(first: int, n_frames: int) -> None:
    """Counted to 999 and back: a frame early or late, and a jump."""
    codes = [label(n, 30, fraction=f".{(n + first) % 1000:03}") for n in range(n_frames)]
    np.testing.assert_array_equal(parsed(codes).frames, np.arange(n_frames))


def test_thousandths_without_leading_zeros_are_thousandths() -> None:
    """`.5` for five thousandths of a frame moves that frame by half of one."""
    true = 2 * np.arange(120) + 0.005 * (np.arange(120) % 100)
    codes = [label(int(frame), 60, fraction=f".{round(1000 * (frame % 1))}") for frame in true]
    np.testing.assert_allclose(parsed(codes).frames, true, atol=1e-6)


def test_midnight_is_a_second_like_any_other() -> None:
    """A night's recording goes on."""
    codes = [label(24 * 3600 * 30 - 15 + number, 30) for number in range(15)]
    codes += [label(number, 30) for number in range(15)]
    np.testing.assert_array_equal(parsed(codes).frames, np.arange(30))


@pytest.mark.parametrize(
    ("codes", "message"),
    [
        (["noon"], "row 0: the timecode 'noon'"),
        (["00:00:00:00", "00:61:00:00"], "row 1: the timecode '00:61:00:00'"),
        (["00:00:01:00", "00:00:00:00"], "row 1: a jump in time to '00:00:00:00'"),
        (["\u0660\u0660:00:00:00"], "row 0: the timecode"),
    ],
)
def test_what_is_no_timecode_is_refused(codes: list[str], message: str) -> None:
    """The line is named, so that it can be looked at."""
    with pytest.raises(InputError, match=re.escape(message)):
        parsed(codes)


def test_a_rate_that_is_stated_must_fit_the_labels() -> None:
    """At 30 a second there is no label 45."""
    with pytest.raises(InputError, match=re.escape("row 1: the timecode '00:00:00:45' at 30 fps")):
        parse_timecodes(["00:00:00:00", "00:00:00:45"], fault, counted_hz=30)
