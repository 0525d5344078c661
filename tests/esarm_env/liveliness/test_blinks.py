"""Blinks: found, learned and drawn as people do it."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

from esarm_env.core.errors import InputError
from esarm_env.face import ARKIT_NAMES, index_of
from esarm_env.liveliness import BlinkHabit, add_liveliness, find_blinks, without_blinks
from esarm_env.liveliness.blinks import draw_blinks, lids_of

BOTH = [index_of("eyeBlinkLeft"), index_of("eyeBlinkRight")]
MINUTE = 60 * 30


def with_lids(lids: np.ndarray) -> np.ndarray:
    """Return motion that moves the lids alone."""
    motion = np.zeros((len(lids), 52), np.float32)
    motion[:, BOTH] = lids[:, None]
    return motion


def test_blinks_are_found_where_they_are() -> None:
    """From rest, and from eyes that are narrowed already; two in a row are two."""
    lids = np.full(200, 0.1)
    for begin in (20, 30, 100):
        lids[begin : begin + 5] = [0.5, 0.9, 1.0, 0.9, 0.5]
    lids[120:] = 0.35
    lids[150:153] = 0.9
    found = find_blinks(with_lids(lids))
    np.testing.assert_array_equal(found, [[20, 25], [30, 35], [100, 105], [150, 153]])


def test_narrowed_and_closed_eyes_do_not_blink() -> None:
    """A smile narrows the eyes for seconds; counted as a blink, it would silence the layer."""
    lids = np.zeros(200)
    lids[50:120] = 0.6
    assert find_blinks(with_lids(lids)).shape == (0, 2)
    one_eye = np.zeros((60, 52), np.float32)
    one_eye[20:25, BOTH[0]] = 0.55  # half a wink
    assert not len(find_blinks(one_eye))


def test_a_blink_cut_by_either_end_is_found() -> None:
    """Utterances begin and end anywhere."""
    lids = np.zeros(90)
    lids[:3], lids[-2:] = 0.9, 0.9
    np.testing.assert_array_equal(find_blinks(with_lids(lids)), [[0, 3], [88, 90]])


def test_intervals_are_log_normal_of_the_stated_rate_and_spread() -> None:
    """An hour: 17 a minute, none within 0.6 s of another."""
    habit = BlinkHabit()
    moments = draw_blinks(3600, habit, np.random.default_rng(0))
    assert len(moments) / 60 == pytest.approx(17, abs=1.0)
    gaps = np.diff(moments)
    assert gaps.min() > habit.shortest_gap_s
    logs = np.log(gaps - habit.shortest_gap_s)
    assert logs.std() == pytest.approx(habit.gap_spread, abs=0.03)
    assert abs(np.mean((logs - logs.mean()) ** 3)) < 0.1 * logs.std() ** 3 * 3
    assert moments[0] >= 0 and moments[-1] < 3600


def test_a_recording_begins_anywhere_between_two_blinks() -> None:
    """Begun with a whole gap, short clips would hardly blink: 2 s hold 17 / 30 on average."""
    rng = np.random.default_rng(0)
    counts = [len(draw_blinks(2.0, BlinkHabit(), rng)) for _ in range(4000)]
    assert np.mean(counts) == pytest.approx(17 / 30, abs=0.04)


def test_lids_close_faster_than_they_open_and_within_natural_lengths() -> None:
    """0.1 to 0.4 s from rest to rest (VanderWerf et al. 2003)."""
    rng, habit = np.random.default_rng(0), BlinkHabit()
    lids = lids_of(30 * MINUTE, np.arange(1, 1700, 2.0), habit, rng)
    lengths = []
    for start in range(30, 1700 * 30, 60):
        blink = lids[start : start + 20]
        lengths.append(np.count_nonzero(blink) / 30)
        assert (
            0.85 * 0.9 <= blink.max() <= 1.0
        )  # at 30 frames a second the deepest may fall between
        assert blink.argmax() < np.count_nonzero(blink) / 2
    assert 0.1 <= np.min(lengths) and np.max(lengths) <= 0.4


def test_a_habit_is_recovered_from_what_it_made() -> None:
    """Rate, spread, length and depth, each off the default."""
    habit = BlinkHabit(
        per_minute=12, gap_spread=0.4, closing_s=0.1, closed_s=0.06, opening_s=0.2, depth=(0.7, 0.8)
    )
    still = np.zeros((60 * MINUTE, 52), np.float32)
    found = BlinkHabit.fit([add_liveliness(still, seed=3, habit=habit)])
    assert found.per_minute == pytest.approx(12, rel=0.06)
    assert found.gap_spread == pytest.approx(0.4, abs=0.03)
    assert found.closing_s == pytest.approx(0.1, rel=0.1)
    assert found.opening_s == pytest.approx(0.2, rel=0.1)
    assert found.depth == pytest.approx((0.7, 0.8), abs=0.03)


def test_short_recordings_do_not_tell_how_far_blinks_are_apart() -> None:
    """Within 3 s only short intervals are seen whole."""
    still = np.zeros((60 * MINUTE, 52), np.float32)
    motion = add_liveliness(still, habit=BlinkHabit(gap_spread=0.9))
    pieces = [motion[a : a + 90] for a in range(0, len(motion), 90)]
    found = BlinkHabit.fit(pieces)
    assert found.gap_spread == BlinkHabit().gap_spread
    assert found.per_minute == pytest.approx(17, rel=0.1)  # heavy tails are cut at 20 s


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"per_minute": 0.0}, "`per_minute` must be above 0 and finite, got 0.0"),
        ({"per_minute": np.nan}, "`per_minute` must be above 0 and finite, got nan"),
        ({"per_minute": 90.0}, "leave room for gaps of `shortest_gap_s`, got 90.0 and 0.6"),
        ({"opening_s": -1.0}, "`opening_s` must be above 0 and finite, got -1.0"),
        ({"gap_spread": -0.1}, "`gap_spread` must be at least 0 and finite, got -0.1"),
        ({"length_spread": np.inf}, "`length_spread` must be at least 0 and finite, got inf"),
        ({"depth": (0.9, 0.5)}, "two ascending numbers in (0, 1], got (0.9, 0.5)"),
        ({"depth": (0.0, 0.5)}, "two ascending numbers in (0, 1], got (0.0, 0.5)"),
    ],
)
def test_a_habit_that_no_lids_have_is_refused(change: dict[str, Any], message: str) -> None:
    """A rate above what gaps allow would draw for ever, or backwards."""
    with pytest.raises(InputError, match=re.escape(message)):
        BlinkHabit(**change)


def test_recordings_without_blinks_teach_none() -> None:
    """Most trackers of mouths capture no lids; a rate of 0 would be a stare."""
    with pytest.raises(InputError, match=re.escape("`motions` must hold blinks to learn from")):
        BlinkHabit.fit([np.zeros((900, 52))])
    with pytest.raises(InputError, match=re.escape("`motions` must hold blinks to learn from")):
        BlinkHabit.fit([])


@pytest.mark.parametrize("begin", [0, 1, 40, 82, 89])
@pytest.mark.parametrize("depth", [0.1, 0.5, 1.0])
def test_blinks_are_taken_away_wherever_they_stand(begin: int, depth: float) -> None:
    """Whole ones, half ones, and such as an end of the recording cuts; the rest stays."""
    rng = np.random.default_rng(0)
    motion = rng.random((90, 52), dtype=np.float32)
    motion[:, BOTH] = 0.0
    before = motion.copy()
    motion[begin : begin + 8, BOTH] = depth
    taken = without_blinks(motion)
    assert taken[:, BOTH].max() == 0
    kept = [i for i, name in enumerate(ARKIT_NAMES) if not name.startswith(("eyeW", "eyeS"))]
    np.testing.assert_array_equal(taken[:, kept], before[:, kept])
    assert not len(find_blinks(taken))
    np.testing.assert_array_equal(motion[begin : begin + 8, BOTH].min(), np.float32(depth))


def test_narrowed_and_shut_eyes_stay_as_they_are() -> None:
    """Anger narrows them for whole sentences, and a sleeper shuts them: neither is a blink."""
    motion = np.zeros((150, 52), np.float32)
    motion[:, BOTH] = 0.25
    motion[60:79, BOTH] = 0.9  # one frame longer than the longest blink
    np.testing.assert_array_equal(without_blinks(motion), motion)
    blinking = motion.copy()
    blinking[20:26, BOTH] = 1.0
    np.testing.assert_array_equal(without_blinks(blinking), motion)
    short = np.full((4, 52), 0.3, np.float32)
    np.testing.assert_array_equal(without_blinks(short), short)
    np.testing.assert_array_equal(without_blinks(short[:1]), short[:1])


def test_wide_eyes_come_back_from_under_a_blink() -> None:
    """They would dip in surprise, with lids that no longer move."""
    motion = np.zeros((90, 52), np.float32)
    wide = [index_of("eyeWideLeft"), index_of("eyeSquintRight")]
    motion[:, wide] = 0.5
    before = motion.copy()
    closing = np.array([0.3, 0.8, 1.0, 0.8, 0.4, 0.1], np.float32)
    motion[30:36, BOTH] = closing[:, None]
    motion[30:36, wide] *= (1 - 0.8 * closing)[:, None]
    motion[60:64, wide] = 0.1  # by itself, far from a blink
    before[60:64, wide] = 0.1
    np.testing.assert_array_equal(without_blinks(motion), before)
