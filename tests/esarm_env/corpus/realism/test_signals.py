"""Loudness, speech, turning points: small cases whose answers are known."""

import numpy as np
import pytest

from esarm_env.corpus.realism.signals import (
    loudness_db,
    smooth,
    speech_frames,
    turning_points,
)
from esarm_env.metrics.closure import runs


def tone(loud: np.ndarray) -> np.ndarray:
    """Return a 200 Hz tone whose level at each frame is `loud` (linear)."""
    gain = np.interp(np.arange(len(loud) * 16_000 // 30) * 30 / 16_000, np.arange(len(loud)), loud)
    return (gain * np.sin(2 * np.pi * 200 * np.arange(len(gain)) / 16_000)).astype(np.float32)


def test_loudness_is_in_decibels_with_a_floor() -> None:
    """Digital silence at -100 dB would rule every correlation with loudness."""
    level = loudness_db(tone(np.repeat([0.5, 0.05, 0.0], 30)), 90)
    assert level.shape == (90,), "one value per frame"
    assert level[10:20] == pytest.approx(20 * np.log10(0.5 / np.sqrt(2)), abs=0.2), "loud part"
    assert level[10:20].mean() - level[40:50].mean() == pytest.approx(20, abs=0.3), "quiet part"
    assert level[10:20].mean() - level[75:85].mean() == pytest.approx(50, abs=1), "floor"


def test_loudness_copes_with_more_frames_than_audio() -> None:
    """The last frame may lie past the last sample."""
    assert np.isfinite(loudness_db(np.ones(100, np.float32), 3)).all(), "finite beyond the end"


def test_short_pauses_count_as_speech() -> None:
    """A stop's closure is part of speech; the silence of half a take is not."""
    loud = np.concatenate([np.ones(30), np.zeros(6), np.ones(30), np.zeros(40)])
    speech = speech_frames(loudness_db(tone(loud), len(loud)))
    assert speech[:66].all(), "a pause of 0.2 s is part of the speech"
    assert not speech[80:].any(), "a long silence is not"


def test_smoothing_keeps_constants() -> None:
    """A level that sags at the ends would close the mouth of every clip in correlation."""
    assert smooth(np.full(20, 3.0)) == pytest.approx(np.full(20, 3.0)), "constant stays"


def test_turning_points_alternate_and_ignore_wobble() -> None:
    """Jitter counted as movement would make any corpus look lively."""
    curve = np.array([0.0, 0.5, 1.0, 0.98, 1.01, 0.4, 0.2, 0.22, 0.7, 0.9, 0.88])
    places, is_minimum = turning_points(curve, least=0.1)
    assert places.tolist() == [0, 4, 6], "start, maximum, minimum; the last rise has not turned"
    assert is_minimum.tolist() == [True, False, True], "which are minima"


@pytest.mark.parametrize("curve", [[0.3], [0.3, 0.3, 0.3], [0.0, 0.05, 0.0]])
def test_still_curves_do_not_turn(curve: list[float]) -> None:
    places, is_minimum = turning_points(np.array(curve), least=0.1)
    assert len(places) == len(is_minimum) == 0, "nothing turns"


def test_runs_are_found_at_both_ends() -> None:
    """A blink that begins before the clip is one, too."""
    found = runs(np.array([True, False, True, True, False, True]))
    assert found.tolist() == [[0, 1], [2, 4], [5, 6]], "runs"
    assert runs(np.zeros(4, dtype=np.bool_)).shape == (0, 2), "no run"
