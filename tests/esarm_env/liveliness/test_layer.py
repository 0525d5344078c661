"""The layer of life: what it adds, where it adds nothing, and what it never touches."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

import esarm_env
from esarm_env.core.errors import InputError
from esarm_env.face import ARKIT_NAMES, MOUTH_CHANNELS, index_of, load_head
from esarm_env.liveliness import add_liveliness, find_blinks
from esarm_env.liveliness.layer import OWN_BLINK_REACH_S

BOTH = [index_of("eyeBlinkLeft"), index_of("eyeBlinkRight")]
LOOKS = [index for index, name in enumerate(ARKIT_NAMES) if name.startswith("eyeLook")]
MINUTE = 60 * 30


@pytest.fixture
def spoken() -> np.ndarray:
    """Return two minutes of a mouth that talks under still eyes, with a raised brow."""
    rng = np.random.default_rng(0)
    motion = np.zeros((2 * MINUTE, 52), np.float32)
    motion[:, MOUTH_CHANNELS] = rng.random((2 * MINUTE, len(MOUTH_CHANNELS)), dtype=np.float32)
    motion[:, index_of("browInnerUp")] = 0.4
    motion[:, index_of("eyeWideLeft")] = 0.5
    return motion


def test_the_library_offers_it_by_name() -> None:
    """Who animates from Python needs no map of the package."""
    assert esarm_env.add_liveliness is add_liveliness


def test_a_face_that_never_blinked_blinks_at_a_natural_rate(spoken: np.ndarray) -> None:
    """A greedy policy never blinks; over many recordings 15 to 20 a minute."""
    assert not len(find_blinks(spoken))
    counts = [len(find_blinks(add_liveliness(spoken, seed=seed))) for seed in range(20)]
    assert 15 <= np.mean(counts) / 2 <= 20


def test_the_lips_stay_where_they_were(spoken: np.ndarray) -> None:
    """Neither a channel of the mouth nor a lip vertex of the head moves."""
    alive, head = add_liveliness(spoken, seed=1), load_head()
    np.testing.assert_array_equal(alive[:, MOUTH_CHANNELS], spoken[:, MOUTH_CHANNELS])
    lips = head.deltas[:, head.regions["lips"]]
    moved = np.einsum("tc,cvk->tvk", (alive - spoken)[:300], lips)
    assert np.linalg.norm(moved, axis=2).max() < 0.02
    assert alive.dtype == np.float32 and alive.min() >= 0 and alive.max() <= 1


def test_one_seed_gives_one_motion_and_leaves_the_input_alone(spoken: np.ndarray) -> None:
    """A shot must be rendered again as it was."""
    before = spoken.copy()
    first = add_liveliness(spoken, seed=4)
    np.testing.assert_array_equal(first, add_liveliness(spoken, seed=4))
    np.testing.assert_array_equal(spoken, before)
    assert np.any(first[:, BOTH] != add_liveliness(spoken, seed=5)[:, BOTH])
    gaze_alone = add_liveliness(spoken, seed=4, blinks=False, rest=False)
    np.testing.assert_array_equal(gaze_alone[:, LOOKS], first[:, LOOKS])


def test_no_blink_is_added_near_one_of_the_motion_s_own(spoken: np.ndarray) -> None:
    """On top of its own it would flutter; far from them it stares on."""
    for begin in range(15, MINUTE, 120):  # every 4 s, in the first of two minutes
        spoken[begin : begin + 6, BOTH] = 0.95
    own = find_blinks(spoken)
    for seed in range(10):
        alive = add_liveliness(spoken, seed=seed)
        reach = int(own[-1, 1] + OWN_BLINK_REACH_S * 30)
        np.testing.assert_array_equal(alive[:reach, BOTH], spoken[:reach, BOTH])
        assert len(find_blinks(alive)) > len(own) + 5


@pytest.mark.parametrize("n_frames", [91, 105, 200])
def test_whoever_talks_for_more_than_three_seconds_blinks(n_frames: int) -> None:
    """Of clips of 3 s one in three would stare by chance."""
    still = np.zeros((n_frames, 52), np.float32)
    for seed in range(200):
        assert add_liveliness(still, seed=seed)[:, BOTH].max() > 0.5, seed


def test_a_single_frame_is_a_motion() -> None:
    """Streams and previews hand over less than a second."""
    for n_frames in (1, 2, 7):
        alive = add_liveliness(np.zeros((n_frames, 52)), seed=0)
        assert alive.shape == (n_frames, 52)


def test_both_eyes_look_at_one_place(spoken: np.ndarray) -> None:
    """To the speaker's left the left eye turns outwards and the right one inwards."""
    alive = add_liveliness(spoken, seed=2)
    for left, right in (
        ("eyeLookOutLeft", "eyeLookInRight"),
        ("eyeLookInLeft", "eyeLookOutRight"),
        ("eyeLookUpLeft", "eyeLookUpRight"),
        ("eyeLookDownLeft", "eyeLookDownRight"),
    ):
        np.testing.assert_allclose(alive[:, index_of(left)], alive[:, index_of(right)], atol=1e-7)
    # Never both ways at once.
    both = np.minimum(alive[:, index_of("eyeLookInLeft")], alive[:, index_of("eyeLookOutLeft")])
    assert both.max() == 0


def test_eyes_rest_and_jump() -> None:
    """Fixations and saccades: nearly all frames still, a jump over in two or three frames."""
    still = np.zeros((30 * MINUTE, 52), np.float32)
    alive = add_liveliness(still, seed=0, blinks=False, rest=False)
    yaw = alive[:, index_of("eyeLookOutLeft")] - alive[:, index_of("eyeLookInLeft")]
    steps = np.abs(np.diff(yaw))
    assert np.mean(steps < 1e-6) > 0.75
    moving = np.concatenate([[False], steps > 1e-6, [False]]).astype(np.int8)
    starts, ends = np.flatnonzero(np.diff(moving) > 0), np.flatnonzero(np.diff(moving) < 0)
    assert np.percentile(ends - starts, 99) <= 6 and np.median(ends - starts) <= 3
    assert 30 / 60 < len(starts) / (30 * 60) < 3  # saccades a second
    assert 0.03 < yaw.std() < 0.1 and np.abs(yaw).max() <= 0.35


def test_eyes_that_move_by_themselves_are_left_alone(spoken: np.ndarray) -> None:
    """Two gazes at once are none; lowered eyes that rest are no movement."""
    down = [index_of("eyeLookDownLeft"), index_of("eyeLookDownRight")]
    spoken[:, down] = 0.2
    spoken[:MINUTE:40, down] = 0.4
    alive = add_liveliness(spoken, seed=0, blinks=False)
    np.testing.assert_array_equal(alive[:MINUTE, LOOKS], spoken[:MINUTE, LOOKS])
    later = alive[MINUTE + 200 :]
    assert later[:, LOOKS].std(axis=0).max() > 0.01
    assert later[:, down].mean() == pytest.approx(0.2, abs=0.03)


def test_no_half_second_of_silence_is_frozen() -> None:
    """A still face between two sentences looks like a fault."""
    alive = add_liveliness(np.full((2 * MINUTE, 52), 0.1, np.float32), seed=0)
    brow = alive[:, index_of("browInnerUp")]
    windows = np.lib.stride_tricks.sliding_window_view(brow, 15)
    assert windows.std(axis=1).min() > 1e-4
    assert np.abs(np.diff(brow)).max() < 0.02  # a drift, no tremor
    assert brow.std() == pytest.approx(0.02, rel=0.3)


def test_a_long_recording_has_no_seam(spoken: np.ndarray) -> None:
    """No step is larger than a saccade or a lid, at the tenth minute as at the first."""
    long = np.tile(spoken, (5, 1))
    alive = add_liveliness(long, seed=0)
    steps = np.abs(np.diff(alive - long, axis=0))
    assert steps[:, [index_of("browDownLeft"), index_of("browOuterUpLeft")]].max() < 0.02
    assert steps[:, LOOKS].max() < 0.6 and steps[:, BOTH].max() < 0.9
    counts = [len(find_blinks(alive[a : a + MINUTE])) for a in range(0, len(alive), MINUTE)]
    assert len(counts) == 10 and min(counts) >= 8


def test_closing_lids_override_wide_eyes(spoken: np.ndarray) -> None:
    """Surprised eyes would stay open through the blink."""
    alive = add_liveliness(spoken, seed=0)
    shut = alive[:, BOTH[0]] > 0.9
    assert shut.any()
    assert alive[shut, index_of("eyeWideLeft")].max() < 0.5 * 0.3
    assert alive[alive[:, BOTH[0]] == 0, index_of("eyeWideLeft")].min() == 0.5


def test_own_blinks_may_be_taken_away_first(spoken: np.ndarray) -> None:
    """A stray blink at the start of a decoding kept all others 6 s away from it."""
    still = add_liveliness(spoken, seed=2)
    stray = spoken.copy()
    stray[3:9, BOTH] = 0.6
    stray[3:9, index_of("eyeWideLeft")] = 0.2
    replaced = add_liveliness(stray, seed=2, own_blinks=False)
    np.testing.assert_allclose(replaced, still, atol=1e-6)
    assert len(find_blinks(add_liveliness(stray, seed=2))) != len(find_blinks(still))
    gone = add_liveliness(stray, own_blinks=False, blinks=False, gaze=False, rest=False)
    np.testing.assert_array_equal(gone, spoken)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"motion": np.zeros((3, 51))},
            "`motion` must have shape (T, 52) with T at least 1",
        ),
        ({"motion": np.zeros((0, 52))}, "with T at least 1, got (0, 52)"),
        ({"motion": np.zeros((2, 3, 52))}, "with T at least 1, got (2, 3, 52)"),
        ({"motion": np.full((3, 52), np.nan)}, "`motion` must be finite, got nan or infinity"),
        ({"seed": -1}, "`seed` must be at least 0, got -1"),
    ],
)
def test_what_cannot_be_animated_is_refused(change: dict[str, Any], message: str) -> None:
    """In one line, before anything is drawn."""
    arguments: dict[str, Any] = {"motion": np.zeros((3, 52)), **change}
    with pytest.raises(InputError, match=re.escape(message)):
        add_liveliness(arguments.pop("motion"), **arguments)
