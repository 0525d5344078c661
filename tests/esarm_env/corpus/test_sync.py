"""The offset of motion against audio, estimated on takes whose offset is known."""

from __future__ import annotations

import numpy as np
import pytest

from esarm_env.core.types import N_CHANNELS, FloatArray
from esarm_env.corpus.offsets import LONGEST_OFFSET_S, estimate_offset, frame_loudness
from esarm_env.face.names import index_of
from tests.esarm_env.corpus.conftest import envelope

RATE_HZ = 16_000
ALL = np.ones(N_CHANNELS, dtype=np.bool_)
JAW, CLOSE = index_of("jawOpen"), index_of("mouthClose")


def spoken(duration_s: float, *, late_s: float, seed: int = 0) -> tuple[FloatArray, FloatArray]:
    """Return noise in syllables, and a jaw that follows them `late_s` seconds later."""
    rng = np.random.default_rng(seed)
    time_s = np.arange(round(duration_s * RATE_HZ)) / RATE_HZ
    audio = (0.2 * envelope(time_s, seed=seed) + 1e-3) * rng.standard_normal(len(time_s))
    frames_s = np.arange(round(duration_s * 30)) / 30
    motion = np.zeros((len(frames_s), N_CHANNELS), np.float32)
    motion[:, JAW] = 0.5 * envelope(frames_s - late_s, seed=seed)
    return audio.astype(np.float32).clip(-1, 1), motion


@pytest.mark.parametrize("late_s", [-0.4, -0.1, 0.0, 0.05, 0.2, 0.5])
def test_a_known_offset_is_found(late_s: float) -> None:
    """A sign the wrong way round would double every offset that is corrected."""
    for seed in range(3):
        found = estimate_offset(*spoken(5.0, late_s=late_s, seed=seed), ALL)
        assert found is not None and found.reliable, found
        assert found.offset_s == pytest.approx(late_s, abs=0.025)
        assert found.correlation > 0.7


def test_offsets_between_frames_are_found() -> None:
    """Whole frames alone would leave 17 ms, which one hears in a plosive."""
    found = [estimate_offset(*spoken(8.0, late_s=s / 300, seed=1), ALL) for s in range(10)]
    offsets = [estimate.offset_s for estimate in found if estimate]
    assert np.all(np.diff(offsets) > 0), offsets


def test_the_correlation_as_it_is_stands_beside_the_best() -> None:
    """A user must see what a correction would gain before asking for it."""
    found = estimate_offset(*spoken(5.0, late_s=0.3), ALL)
    assert found is not None
    assert found.correlation_now < 0.5 < found.correlation


def test_a_jaw_that_does_not_follow_the_voice_is_not_acted_on() -> None:
    """Moving a take by a chance peak would break one that was in sync."""
    wrong = 0
    for seed in range(20):
        audio, _ = spoken(4.0, late_s=0.0, seed=seed)
        _, motion = spoken(4.0, late_s=0.0, seed=seed + 100)
        found = estimate_offset(audio, motion, ALL)
        wrong += bool(found and found.reliable)
    assert wrong <= 6, f"{wrong} of 20 unrelated takes would be moved"


def test_an_offset_beyond_the_reach_is_not_reliable() -> None:
    """The edge of the search is no peak."""
    found = estimate_offset(*spoken(6.0, late_s=LONGEST_OFFSET_S + 0.5), ALL)
    assert found is None or not found.reliable or abs(found.offset_s) < LONGEST_OFFSET_S


def test_closing_lips_count_as_closing() -> None:
    """With ARKit a jaw may hang open behind lips that `mouthClose` shuts."""
    audio, motion = spoken(5.0, late_s=0.1)
    opening = motion[:, JAW].copy()
    motion[:, JAW], motion[:, CLOSE] = 0.5, 0.5 - opening
    found = estimate_offset(audio, motion, ALL)
    assert found is not None and found.offset_s == pytest.approx(0.1, abs=0.025)
    unknown = ALL.copy()
    unknown[CLOSE] = False
    assert estimate_offset(audio, motion, unknown) is None, "the jaw alone stands still"


@pytest.mark.parametrize("case", ["no jaw", "short", "still face", "even sound"])
def test_takes_that_cannot_tell_give_nothing(case: str) -> None:
    """An offset of 0 would read as "in sync"."""
    audio, motion = spoken(1.5 if case == "short" else 4.0, late_s=0.0)
    captured = ALL.copy()
    if case == "no jaw":
        captured[JAW] = False
    elif case == "still face":
        motion[:] = 0.3
    elif case == "even sound":
        audio = np.full_like(audio, 0.1)
    assert estimate_offset(audio, motion, captured) is None


def test_loudness_stands_at_the_frames() -> None:
    """Loudness read half a window late would move every estimate."""
    audio = np.zeros(2 * RATE_HZ, np.float32) + 1e-4
    audio[RATE_HZ:] = 0.1
    level = frame_loudness(audio, 60)
    assert level.shape == (60,)
    middle = (level[0] + level[-1]) / 2
    assert abs(int(np.argmax(level > middle)) - 30) <= 1
