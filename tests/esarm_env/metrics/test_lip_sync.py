"""SLCC: louder clips have faster lips."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

from esarm_env.core.errors import InputError
from esarm_env.face import UPPER_CHANNELS, Head, index_of, load_head
from esarm_env.metrics import audio_rms, lip_speed, speech_lip_correlation


def test_loudness_is_the_root_mean_square() -> None:
    """A mean of absolute values ranks clips otherwise."""
    np.testing.assert_allclose(audio_rms([[0.3, -0.4], [1.0]]), [0.125**0.5, 1.0])


@pytest.mark.parametrize(
    ("clip", "message"),
    [
        (np.zeros((2, 3)), "must have shape (n_samples,) with at least one sample, got (2, 3)"),
        ([], "must have shape (n_samples,) with at least one sample, got (0,)"),
        ([0.0, np.nan], "must be finite, got nan or infinity"),
    ],
)
def test_audio_that_is_not_one_row_is_refused(clip: Any, message: str) -> None:
    """Stereo would count twice, silence of no length is nan."""
    with pytest.raises(InputError, match=re.escape(f"`audio[1]` {message}")):
        audio_rms([[0.1], clip])


def test_lip_speed_is_the_hand_computed_one(toy: Head) -> None:
    """The jaw drops once: 4 and 5 mm in the first step, mean 4.5; 0 in the second."""
    motion = np.zeros((3, 52), np.float32)
    motion[1:, index_of("jawOpen")] = 1.0
    np.testing.assert_allclose(lip_speed(motion, head=toy), [(4.5**2 / 2) ** 0.5 * 30])


def test_lip_speed_equals_its_definition() -> None:
    """The fast one never builds a mesh."""
    head = load_head()
    motion = np.random.default_rng(0).random((3, 6, 52), dtype=np.float32)
    lengths = np.array([6, 2, 1])
    expected = []
    for row, length in zip(motion, lengths, strict=True):
        lips = head.apply(row[:length])[:, head.regions["lips"]]
        speed = np.linalg.norm(np.diff(lips, axis=0), axis=-1).mean(axis=1) * 30
        expected.append(np.sqrt(np.mean(speed**2)) if length > 1 else np.nan)
    np.testing.assert_allclose(lip_speed(motion, head=head, lengths=lengths), expected, rtol=1e-4)


def test_lips_nobody_captured_have_no_speed() -> None:
    """0 would read as silence."""
    captured = np.isin(np.arange(52), UPPER_CHANNELS)
    speed = lip_speed(np.ones((2, 4, 52)), head=load_head(), captured=captured)
    assert np.isnan(speed).tolist() == [True, True]


def test_slcc_is_the_hand_computed_one() -> None:
    """Ana's two clips: scores -1, 1 and -1, 1. Ben's three: -√1.5, 0, √1.5 and the reverse.

    Products 1, 1, -1.5, 0, -1.5, mean -0.2. Unscored, Ben's loud microphone would decide.
    """
    loudness, speed = [1, 3, 100, 200, 300], [2, 6, 9, 8, 7]
    speakers = ["ana", "ana", "ben", "ben", "ben"]
    result = speech_lip_correlation(loudness, speed, speakers=speakers)
    assert result == pytest.approx(-0.2)


def test_slcc_is_pearsons_correlation_of_the_scores() -> None:
    """The mean product is a shortcut that holds only for scores of mean 0 and deviation 1."""
    rng = np.random.default_rng(0)
    loudness, speed = rng.random((2, 40))
    speakers = rng.choice(["a", "b", "c"], 40)
    first, second = loudness.copy(), speed.copy()
    for side in (first, second):
        for name in "abc":
            own = speakers == name
            side[own] = (side[own] - side[own].mean()) / side[own].std()
    expected = np.corrcoef(first, second)[0, 1]
    result = speech_lip_correlation(loudness, speed, speakers=speakers.tolist())
    assert result == pytest.approx(expected)


def test_speakers_and_clips_that_tell_nothing_are_left_out() -> None:
    """One clip has no deviation, nor have equal ones; a score of 0 / 0 would spread."""
    loudness = [1, 3, 5, 1, 2, 0.1 + 0.2, 0.3, 7]
    speed = [2, 6, np.nan, 4, 4, 1, 2, 5]
    speakers = ["ana", "ana", "ana", "ben", "ben", "cleo", "cleo", "dora"]
    assert speech_lip_correlation(loudness, speed, speakers=speakers) == pytest.approx(1.0)
    assert np.isnan(speech_lip_correlation([1.0], [2.0], speakers=["ana"]))
    assert np.isnan(speech_lip_correlation([], [], speakers=[]))


def test_columns_of_different_length_are_refused() -> None:
    """A table joined wrongly pairs clips with others' audio."""
    message = "`loudness`, `speed` and `speakers` must have one shape (B,), got (2,), (2,) and (1,)"
    with pytest.raises(InputError, match=re.escape(message)):
        speech_lip_correlation([1, 2], [1, 2], speakers=["ana"])
