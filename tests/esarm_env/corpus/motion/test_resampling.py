"""Frame rates: speech must keep its shape and its place in time, and nothing may fold into it."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from esarm_env.core.errors import InputError
from esarm_env.corpus.motion.resampling import (
    GRID_TOLERANCE_S,
    N_CROSSINGS,
    at_frame_rate,
    interpolate,
)
from esarm_env.corpus.motion.track import MotionTrack

_ALL = np.ones(52, dtype=np.bool_)
_RATES = (24.0, 25.0, 29.97, 30.005, 50.0, 59.94, 60.0, 100.0, 120.0)
_FAST = (50.0, 59.94, 60.0, 100.0, 120.0)


def _sampled(curve: Callable[[np.ndarray], np.ndarray], time_s: np.ndarray) -> MotionTrack:
    """Return a track that has the curve in its first channel."""
    values = np.zeros((len(time_s), 52), np.float32)
    values[:, 0] = curve(time_s)
    return MotionTrack(values, _ALL, time_s)


def _at(rate_hz: float, duration_s: float = 4.0) -> np.ndarray:
    return np.arange(round(duration_s * rate_hz) + 1) / rate_hz


def _sine(frequency_hz: float) -> Callable[[np.ndarray], np.ndarray]:
    return lambda time_s: 0.5 + 0.4 * np.sin(2 * np.pi * frequency_hz * time_s + 0.3)


def _blink(time_s: np.ndarray) -> np.ndarray:
    """Return lids that close in 80 ms, are shut at 1.000 s and open in 150 ms."""
    phase = (time_s - 1.0) / np.where(time_s < 1.0, 0.08, 0.15)
    return 0.1 + 0.8 * np.where(np.abs(phase) < 1, np.cos(phase * np.pi / 2) ** 2, 0.0)


def _gain(frequency_hz: float, rate_hz: float) -> float:
    """Return by what a sine is scaled, the edges left out."""
    result = at_frame_rate(_sampled(_sine(frequency_hz), _at(rate_hz)))[:, 0]
    return float(np.sqrt(2) * result[15:-15].std() / 0.4)


@pytest.mark.parametrize("rate_hz", _RATES)
@pytest.mark.parametrize("frequency_hz", [1.0, 5.0, 8.0])
def test_what_speech_consists_of_is_kept(rate_hz: float, frequency_hz: float) -> None:
    """Lips move at up to 8 Hz; a filter that takes a part of it mumbles."""
    assert _gain(frequency_hz, rate_hz) == pytest.approx(1.0, abs=0.03)
    result = at_frame_rate(_sampled(_sine(frequency_hz), _at(rate_hz)))[15:-15, 0]
    expected = _sine(frequency_hz)(np.arange(15, 15 + len(result)) / 30)
    np.testing.assert_allclose(result, expected, atol=0.02)


@pytest.mark.parametrize("rate_hz", _FAST)
@pytest.mark.parametrize("frequency_hz", [16.0, 20.0, 24.0])
def test_what_would_fold_is_gone(rate_hz: float, frequency_hz: float) -> None:
    """At 60 fps every other frame taken turns a tremble of 20 Hz into one of 10 Hz."""
    decibel = 20 * np.log10(_gain(frequency_hz, rate_hz))
    assert decibel < (-40 if frequency_hz < 20 else -60)


@pytest.mark.parametrize("rate_hz", _RATES)
def test_constants_stay_what_they_are(rate_hz: float) -> None:
    """A face at rest must rest, up to the first and the last frame."""
    track = _sampled(lambda time_s: np.full(len(time_s), 0.7), _at(rate_hz, 1.0))
    np.testing.assert_allclose(at_frame_rate(track)[:, 0], 0.7, atol=1e-6)


@pytest.mark.parametrize("rate_hz", _RATES)
def test_a_ramp_stays_the_same_ramp(rate_hz: float) -> None:
    """Half a frame of shift is 17 ms; at the edges it would be a kink."""
    time_s = _at(rate_hz, 2.0)
    result = at_frame_rate(_sampled(lambda time_s: time_s / 4 + 0.1, time_s))
    expected = np.arange(len(result)) / 30 / 4 + 0.1
    np.testing.assert_allclose(result[:, 0], expected, atol=0.25 * GRID_TOLERANCE_S)


@pytest.mark.parametrize("rate_hz", _RATES)
def test_a_blink_stays_where_it_was(rate_hz: float) -> None:
    """The sharpest thing a face does: it may neither move, nor shrink, nor ring."""
    result = at_frame_rate(_sampled(_blink, _at(rate_hz)))[:, 0]
    assert int(result.argmax()) == 30
    np.testing.assert_allclose(result, _blink(np.arange(len(result)) / 30), atol=0.04)


@pytest.mark.parametrize("rate_hz", [30.0, None])
def test_motion_at_30_fps_is_returned_as_it_is(rate_hz: float | None) -> None:
    """A corpus at 30 fps must not depend on this filter."""
    values = np.random.default_rng(0).random((50, 52), dtype=np.float32)
    time_s = None if rate_hz is None else np.arange(50) / 30
    result = at_frame_rate(MotionTrack(values, _ALL, time_s), rate_hz=30.0)
    np.testing.assert_array_equal(result, values)


def test_times_rounded_to_milliseconds_count_as_regular() -> None:
    """0.033, 0.067, 0.100 s is 30 fps, not jitter to be smoothed."""
    values = np.random.default_rng(0).random((900, 52), dtype=np.float32)
    rounded = np.round(np.arange(900) / 30, 3)
    np.testing.assert_array_equal(at_frame_rate(MotionTrack(values, _ALL, rounded)), values)


def test_a_long_take_does_not_drift() -> None:
    """29.97 taken for 30 fps is 0.6 s late after ten minutes."""
    time_s = np.arange(17983) * 1001 / 30000
    result = at_frame_rate(_sampled(_sine(1.5), time_s))[:, 0]
    assert len(result) == 18001
    np.testing.assert_allclose(
        result[-60:-15], _sine(1.5)(np.arange(17941, 17986) / 30), atol=0.002
    )


def test_irregular_times_are_followed() -> None:
    """A phone drops and delays frames; by frame number the take would run ahead of its sound."""
    rng = np.random.default_rng(1)
    time_s = _at(60.0) + rng.uniform(-0.004, 0.004, 241)
    time_s[0] = 0.0
    kept = np.delete(time_s, [50, 51, 52, 120, 121])
    result = at_frame_rate(_sampled(_sine(2.0), kept), n_frames=121)[:, 0]
    np.testing.assert_allclose(result[2:-2], _sine(2.0)(np.arange(2, 119) / 30), atol=0.03)


def test_a_late_first_frame_holds_until_then() -> None:
    """Motion that starts 0.2 s after its sound stays 0.2 s after it."""
    time_s = 0.2 + _at(60.0, 1.0)
    result = at_frame_rate(_sampled(lambda time_s: time_s / 2, time_s))[:, 0]
    assert len(result) == 37
    np.testing.assert_allclose(result[:6], 0.1, atol=1e-4)
    np.testing.assert_allclose(result[6:], np.arange(6, 37) / 60, atol=1e-4)


def test_an_early_first_frame_is_cut_at_the_start_of_the_sound() -> None:
    """A camera that starts before its microphone has frames before 0 s."""
    time_s = -0.25 + _at(60.0, 1.0)
    result = at_frame_rate(_sampled(lambda time_s: (time_s + 0.3) / 2, time_s))[:, 0]
    np.testing.assert_allclose(result, 0.15 + np.arange(23) / 60, atol=1e-4)


@pytest.mark.parametrize(("rate_hz", "n_frames"), [(60.0, 20), (60.0, 50), (30.0, 20), (30.0, 50)])
def test_the_wanted_length_is_returned(rate_hz: float, n_frames: int) -> None:
    """Sound and motion must have one length; past its end the face holds still."""
    track = _sampled(lambda time_s: 0.2 + time_s / 4, _at(rate_hz, 1.0))
    result = at_frame_rate(track, n_frames=n_frames)[:, 0]
    expected = 0.2 + np.minimum(np.arange(n_frames) / 30, 1.0) / 4
    np.testing.assert_allclose(result, expected, atol=1e-4)


@pytest.mark.parametrize("rate_hz", [25.0, 30.0, 60.0])
def test_one_frame_is_a_face_that_holds(rate_hz: float) -> None:
    """Nothing to interpolate, and nothing to fail on."""
    track = MotionTrack(np.full((1, 52), 0.3, np.float32), _ALL)
    result = at_frame_rate(track, rate_hz=rate_hz, n_frames=4)
    np.testing.assert_allclose(result, np.full((4, 52), 0.3), atol=1e-6)


def test_two_frames_are_enough() -> None:
    """Shorter than the filter many times over."""
    track = _sampled(lambda time_s: time_s, np.array([0.0, 0.1]))
    np.testing.assert_allclose(at_frame_rate(track)[:, 0], np.arange(4) / 30, atol=1e-3)


def test_overshoot_is_clipped() -> None:
    """A jump from 0 to 1 in one frame rings by a tenth."""
    result = at_frame_rate(_sampled(lambda time_s: (time_s > 1).astype(float), _at(25.0)))
    assert result.min() >= 0
    assert result.max() <= 1


@pytest.mark.parametrize("cutoff", [0.2125, 0.5])
def test_an_impulse_stays_symmetric(cutoff: float) -> None:
    """A filter that leans is a shift of its own."""
    values = np.zeros((81, 2), np.float32)
    values[40] = 1.0
    result = interpolate(values, np.arange(0, 80.1, 0.25), cutoff=cutoff)
    np.testing.assert_allclose(result, result[::-1], atol=1e-6)
    assert int(result[:, 0].argmax()) == 160


@pytest.mark.parametrize("cutoff", [0.11, 0.2125, 0.5])
def test_the_fast_filter_equals_a_plain_loop(cutoff: float) -> None:
    """Gathering by tap and by time are easily exchanged."""
    rng = np.random.default_rng(3)
    values = rng.random((60, 3), dtype=np.float32)
    positions = np.sort(rng.uniform(0, 59, 40))
    positions[[0, 20, -1]] = 0, 30, 59
    half_width = N_CROSSINGS / (2 * cutoff)

    def value_at(frame: int) -> np.ndarray:
        if frame < 0:
            return 2 * values[0] - value_at(-frame)
        if frame > 59:
            return 2 * values[59] - value_at(118 - frame)
        return values[frame].astype(np.float64)

    expected = []
    for position in positions:
        total, weight_sum = np.zeros(3), 0.0
        for frame in range(int(position - half_width) - 1, int(position + half_width) + 2):
            offset = frame - position
            if abs(offset) < half_width:
                window = 0.5 + 0.5 * np.cos(np.pi * offset / half_width)
                weight = window * np.sinc(2 * cutoff * offset)
                total, weight_sum = total + weight * value_at(frame), weight_sum + weight
        expected.append(total / weight_sum)
    np.testing.assert_allclose(interpolate(values, positions, cutoff=cutoff), expected, atol=1e-5)


_TRACK = MotionTrack(np.zeros((3, 52), np.float32), _ALL)


@pytest.mark.parametrize(
    ("track", "options", "message"),
    [
        (_TRACK, {}, "`rate_hz` must be given for a track without times, got None"),
        (_TRACK, {"rate_hz": 0.0}, "`rate_hz` must be above 0, got 0.0"),
        (_TRACK, {"rate_hz": float("nan")}, "`rate_hz` must be above 0, got nan"),
        (_TRACK, {"rate_hz": 30.0, "n_frames": 0}, "`n_frames` must be at least 1, got 0"),
        (
            MotionTrack(np.full((3, 52), np.nan, np.float32), _ALL),
            {"rate_hz": 30.0},
            "`track` must be finite, got NaN or infinity; fill its gaps first",
        ),
    ],
)
def test_what_cannot_be_resampled_is_refused(
    track: MotionTrack, options: dict[str, Any], message: str
) -> None:
    """NaN would spread over half a second on both sides."""
    with pytest.raises(InputError, match=re.escape(message)):
        at_frame_rate(track, **options)
