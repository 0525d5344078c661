"""Lost frames: a short gap is a line, a long one is a cut, and neither goes unmarked."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

from esarm_env.core.errors import InputError
from esarm_env.corpus.motion.track import MotionTrack
from esarm_env.corpus.motion.validation import LONGEST_GAP_S, fill_gaps

_ALL = np.ones(52, dtype=np.bool_)


def _ramp(
    n_frames: int, lost: list[int], *, rate_hz: float | None = 30.0, **more: Any
) -> MotionTrack:
    """Return a track that rises by 0.01 a frame, with frames lost."""
    values = np.repeat(np.arange(n_frames, dtype=np.float32)[:, None] / 100, 52, axis=1)
    values[lost] = np.nan
    time_s = None if rate_hz is None else np.arange(n_frames) / rate_hz
    return MotionTrack(values, _ALL, time_s, **more)


def test_short_gaps_are_filled_by_a_line_and_marked() -> None:
    """A later step that weighs by quality must see what nobody measured."""
    filled = fill_gaps(_ramp(30, [4, 5, 20]), "x")
    np.testing.assert_allclose(filled.values, _ramp(30, []).values, atol=1e-6)
    assert filled.quality is not None
    assert np.flatnonzero(filled.quality == 0).tolist() == [4, 5, 20]
    assert not filled.lost.any()


def test_a_gap_is_filled_by_time_and_not_by_frames() -> None:
    """With dropped frames beside it, the middle one is not in the middle."""
    values = np.zeros((3, 52), np.float32)
    values[1], values[2] = np.nan, 1.0
    track = MotionTrack(values, _ALL, np.array([0.0, 0.05, 0.2]))
    np.testing.assert_allclose(fill_gaps(track, "x").values[1], 0.25, atol=1e-6)


def test_ends_hold_the_nearest_frame() -> None:
    """A line drawn on past the last frame leaves the face anywhere."""
    filled = fill_gaps(_ramp(10, [0, 1, 9]), "x")
    np.testing.assert_allclose(filled.values[[0, 1, 9], 0], [0.02, 0.02, 0.08], atol=1e-6)


def test_known_quality_is_kept_beside_the_marks() -> None:
    """Only filled frames may become 0."""
    quality = np.array([0.5, 0.0, 0.7], np.float32)
    filled = fill_gaps(_ramp(3, [1], quality=quality), "x")
    np.testing.assert_allclose(filled.quality, quality)


def test_a_whole_track_is_returned_as_it_is() -> None:
    """Without times or with them."""
    for rate_hz in (None, 30.0):
        track = _ramp(5, [], rate_hz=rate_hz)
        assert fill_gaps(track, "x") is track


def test_numbers_missing_in_some_channels_are_not_a_lost_face() -> None:
    """They are damage, which the check of values names; a line would hide it."""
    track = _ramp(5, [])
    track.values[2, 7] = np.nan
    assert fill_gaps(track, "x") is track


def test_channels_that_the_file_lacks_stay_zero() -> None:
    """They were never NaN."""
    captured = _ALL.copy()
    captured[50:] = False
    values = np.ones((3, 52), np.float32)
    values[:, 50:] = 0
    values[1, :50] = np.nan
    filled = fill_gaps(MotionTrack(values, captured, np.arange(3) / 30), "x")
    assert filled.values[1].tolist() == [1.0] * 50 + [0.0] * 2


def test_the_longest_gap_is_still_allowed() -> None:
    """From 0 to 0.25 s at 20 fps are five steps."""
    lost = [1, 2, 3, 4]
    track = _ramp(10, lost, rate_hz=20.0)
    assert LONGEST_GAP_S == 0.25
    assert not fill_gaps(track, "x").lost.any()


@pytest.mark.parametrize(
    ("track", "options", "message"),
    [
        (_ramp(60, [*range(10, 20)]), {}, "every 0.25 s, got none from 0.30 to 0.67 s; cut"),
        (_ramp(30, [0, 1, 2]), {"longest_s": 0.09}, "every 0.09 s, got none from 0.00 to 0.10 s"),
        (_ramp(30, [28, 29]), {"longest_s": 0.05}, "every 0.05 s, got none from 0.90 to 0.97 s"),
        (
            _ramp(60, [*range(5, 15), *range(30, 40)]),
            {},
            "none from 0.13 to 0.50 s, 0.97 to 1.33 s; cut",
        ),
        (_ramp(70, [n for n in range(70) if n % 10]), {}, "1.33 to 1.67 s and 2 more; cut"),
        (_ramp(3, [0, 1, 2]), {}, "x: must show a face, got none in 3 frames"),
        (
            _ramp(3, [1], rate_hz=None),
            {},
            "x: states no frame rate, which filling lost frames needs; add times",
        ),
        (
            MotionTrack(np.zeros((2, 52), np.float32), _ALL, np.array([0.0, 0.5])),
            {},
            "got none from 0.00 to 0.50 s",
        ),
    ],
)
def test_a_long_gap_is_named(track: MotionTrack, options: dict[str, Any], message: str) -> None:
    """Half a word of straight lines teaches a mouth to slide; frames not written count as well."""
    with pytest.raises(InputError, match=re.escape(message)):
        fill_gaps(track, "x", **options)


def test_a_track_without_times_is_filled_at_a_given_rate() -> None:
    """`.npy` has no place for its rate."""
    filled = fill_gaps(_ramp(10, [3], rate_hz=None), "x", rate_hz=30.0)
    np.testing.assert_allclose(filled.values[3], 0.03, atol=1e-6)
    assert filled.time_s is None
