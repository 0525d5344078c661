"""Cutting long takes: nothing lost, nothing twice, and no cut through a word."""

from __future__ import annotations

import re

import numpy as np
import pytest

from esarm_env.audio import cut_at_pauses
from esarm_env.audio.pauses import loudness_db
from esarm_env.core.types import SAMPLE_RATE_HZ

HOP_S = 0.01  # the grid that cuts stand on


def noise(duration_s: float, *, seed: int = 0) -> np.ndarray:
    n_samples = round(duration_s * SAMPLE_RATE_HZ)
    return np.random.default_rng(seed).normal(0, 0.1, n_samples).astype(np.float32)


@pytest.mark.parametrize("duration_s", [0.005, 0.3, 1.0, 1.004, 2.345, 3.0, 20.0])
@pytest.mark.parametrize(("shortest_s", "longest_s"), [(0.5, 1.0), (0.5, 3.0), (1.5, 6.0)])
def test_pieces_tile_the_recording_and_keep_their_range(
    duration_s: float, shortest_s: float, longest_s: float
) -> None:
    """A lost stretch is lost data; a piece out of range breaks batches by length."""
    audio = noise(duration_s)
    pieces = cut_at_pauses(audio, shortest_s=shortest_s, longest_s=longest_s)
    assert pieces.dtype == np.int64
    assert pieces[0, 0] == 0 and pieces[-1, 1] == len(audio), "both ends must be covered"
    np.testing.assert_array_equal(pieces[1:, 0], pieces[:-1, 1])
    lengths_s = np.diff(pieces, axis=1)[:, 0] / SAMPLE_RATE_HZ
    assert lengths_s.max() <= longest_s + 1e-9
    if duration_s > longest_s:
        # The last hop may be a part of 10 ms.
        assert lengths_s[:-1].min() >= shortest_s - 1e-9
        assert lengths_s[-1] >= shortest_s - HOP_S
    else:
        assert len(pieces) == 1, "a short recording must stay whole"


def test_a_range_that_binary_fractions_miss_is_kept() -> None:
    """The rule is in seconds; how 0.29 is stored must not bend it."""
    pieces = cut_at_pauses(noise(20), shortest_s=0.29, longest_s=0.58)
    assert np.diff(pieces[:-1]).min() >= round(0.29 * SAMPLE_RATE_HZ)


@pytest.mark.parametrize("duration_s", [0.04, 0.24, 5.0])
@pytest.mark.parametrize(("shortest_s", "longest_s"), [(0.015, 0.03), (0.115, 0.23)])
def test_a_range_between_the_hops_is_cut(
    duration_s: float, shortest_s: float, longest_s: float
) -> None:
    """Half hops, rounded, must leave a place to cut wherever the recording is too long."""
    pieces = cut_at_pauses(noise(duration_s), shortest_s=shortest_s, longest_s=longest_s)
    assert np.diff(pieces).max() <= (longest_s + HOP_S) * SAMPLE_RATE_HZ
    assert np.diff(pieces[:-1]).min(initial=SAMPLE_RATE_HZ) >= (shortest_s - HOP_S) * SAMPLE_RATE_HZ


@pytest.mark.parametrize("seed", range(3))
def test_cuts_fall_into_the_pauses(seed: int) -> None:
    """A cut through a word makes two faces that end and begin in the middle of a sound."""
    audio = noise(7.0, seed=seed)
    pauses = [(2.0, 2.2), (4.5, 4.7)]
    for begin, end in pauses:
        audio[int(begin * SAMPLE_RATE_HZ) : int(end * SAMPLE_RATE_HZ)] *= 0.001
    pieces = cut_at_pauses(audio, shortest_s=1.5, longest_s=3.0)
    cuts_s = pieces[1:, 0] / SAMPLE_RATE_HZ
    assert len(cuts_s) == 2
    for cut_s, (begin, end) in zip(cuts_s, pauses, strict=True):
        assert begin + 0.04 <= cut_s <= end - 0.04, f"cut at {cut_s} s is off the pause's middle"


def test_loudness_is_the_power_in_decibels() -> None:
    """A level in the wrong unit or place moves every cut."""
    audio = np.zeros(SAMPLE_RATE_HZ, np.float32)
    audio[8000:] = 0.1  # -20 dB from 0.5 s on
    level = loudness_db(audio)
    assert level.shape == (100,)
    np.testing.assert_allclose(level[:44], -100, atol=0.01)
    np.testing.assert_allclose(level[56:94], -20, atol=0.01)
    assert abs(int(np.argmax(level > -23.5)) - 50) <= 1, "half the power belongs at 0.5 s"


@pytest.mark.parametrize(
    ("shortest_s", "longest_s"),
    [(0.0, 1.0), (-1.0, 1.0), (0.009, 1.0), (0.6, 1.0), (float("nan"), 1.0)],
)
def test_ranges_without_room_to_choose_are_rejected(shortest_s: float, longest_s: float) -> None:
    """With less than twice the shortest, no cut may be left to make."""
    message = (
        "`longest_s` must be at least twice `shortest_s` (at least 0.01), "
        f"got {longest_s} and {shortest_s}"
    )
    with pytest.raises(ValueError, match=re.escape(message)):
        cut_at_pauses(noise(3), shortest_s=shortest_s, longest_s=longest_s)


@pytest.mark.parametrize(("shortest_s", "longest_s"), [(HOP_S, 2 * HOP_S), (0.5, 1.0)])
def test_the_narrowest_ranges_are_allowed(shortest_s: float, longest_s: float) -> None:
    """One hop, or exactly twice the shortest, still leaves a place to cut."""
    pieces = cut_at_pauses(noise(3), shortest_s=shortest_s, longest_s=longest_s)
    lengths_s = np.diff(pieces) / SAMPLE_RATE_HZ
    assert shortest_s - 1e-9 <= lengths_s.min() <= lengths_s.max() <= longest_s + 1e-9
