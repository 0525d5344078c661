"""Values: damage that every shape check passes."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

from esarm_env.core.errors import InputError
from esarm_env.corpus.motion.track import MotionTrack
from esarm_env.corpus.motion.validation import TOLERANCE, check_values
from esarm_env.face import index_of

_ALL = np.ones(52, dtype=np.bool_)


def _track(*changes: tuple[Any, str, float]) -> MotionTrack:
    """Return 20 frames of random motion in [0, 1] with values changed at (frames, channel)."""
    values = np.random.default_rng(5).random((20, 52), dtype=np.float32)
    for frames, channel, value in changes:
        values[frames, index_of(channel)] = value
    return MotionTrack(values, _ALL)


def test_good_values_are_returned_without_a_note() -> None:
    """A note on every file is read by nobody."""
    track = _track((3, "jawOpen", 1.00005), (4, "jawOpen", -0.00005))
    notes, values = check_values(track, "x.npy")
    assert notes == []
    np.testing.assert_allclose(values, track.values, atol=1e-4)
    assert values.min() >= 0
    assert values.max() <= 1


def test_the_noise_of_a_tracker_is_clipped_and_noted() -> None:
    """Silent clipping hides a rig that is scaled wrongly."""
    track = _track(([2, 3, 4], "jawOpen", -0.05), (9, "cheekPuff", 1.05))
    notes, values = check_values(track, "x.npy")
    assert notes == [
        "x.npy: clipped to [0, 1] from -0.050 to 1.050 in cheekPuff (frame 9), jawOpen (frames 2-4)"
    ]
    assert values[2, index_of("jawOpen")] == 0.0
    assert values[9, index_of("cheekPuff")] == 1.0


@pytest.mark.parametrize("value", [-TOLERANCE, 1 + TOLERANCE])
def test_the_limits_themselves_are_allowed(value: float) -> None:
    """A rule that its own number breaks is no rule."""
    assert len(check_values(_track((0, "jawOpen", np.float32(value))), "x")[0]) == 1


@pytest.mark.parametrize(
    ("track", "message"),
    [
        (
            _track(([1, 2, 3, 9], "jawOpen", np.nan), (0, "mouthClose", np.inf)),
            "x: coefficients must be finite, got NaN or infinite ones in "
            "jawOpen (frames 1-3, 9), mouthClose (frame 0); export it again",
        ),
        (
            _track((slice(0, 20, 2), "jawOpen", np.nan)),
            "in jawOpen (frames 0, 2, 4, 6, ...); export",
        ),
        (
            MotionTrack(np.full((2, 52), np.nan, np.float32), _ALL),
            "cheekPuff (frames 0-1), 46 more channels; export",
        ),
        (
            _track((5, "jawOpen", 1.2)),
            "x: coefficients must be within 0.1 of [0, 1], got ",
        ),
        (_track((5, "jawOpen", -0.2)), "in jawOpen (frame 5); is this another rig?"),
        (_track((5, "jawOpen", 60.0)), "must be within 0.1 of [0, 1], got"),
        (
            MotionTrack(_track().values * 100, _ALL),
            "x: coefficients must be in [0, 1], got percent (up to 99.",
        ),
        (MotionTrack(_track().values * 1000, _ALL), "must be within 0.1 of [0, 1], got"),
        (MotionTrack(_track().values * 100 - 50, _ALL), "must be within 0.1 of [0, 1], got"),
    ],
)
def test_values_of_another_kind_are_refused(track: MotionTrack, message: str) -> None:
    """Clipped percent is a face that knows only rest and scream."""
    with pytest.raises(InputError, match=re.escape(message)):
        check_values(track, "x")


def test_percent_is_told_where_most_channels_rest() -> None:
    """A corpus of mouths moves 14 of 52 channels."""
    values = np.zeros((20, 52), np.float32)
    values[:, 23:37] = np.linspace(0, 80, 20)[:, None]
    with pytest.raises(InputError, match=re.escape("got percent (up to 80); divide by 100")):
        check_values(MotionTrack(values, _ALL), "x")
