"""FDD and jerk: whether a face moves as much, and as smoothly, as the recorded one."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

from esarm_env.core.errors import InputError
from esarm_env.face import MOUTH_CHANNELS, UPPER_CHANNELS, Head, index_of, load_head
from esarm_env.metrics import (
    face_dynamics_deviation,
    face_dynamics_deviation_of_meshes,
    jerk,
    region,
)


@pytest.fixture
def pair() -> tuple[np.ndarray, np.ndarray]:
    """Return two frames: the truth blinks and raises the brow, the prediction the brow by half."""
    predicted, target = np.zeros((2, 2, 52), np.float32)
    target[1, [index_of("eyeBlinkLeft"), index_of("browInnerUp")]] = 1.0
    predicted[1, index_of("browInnerUp")] = 0.5
    return predicted, target


def test_fdd_is_the_hand_computed_one(toy: Head, pair: tuple[np.ndarray, np.ndarray]) -> None:
    """Its sign and its squares are what re-implementations get wrong.

    Squared distances from rest over the two frames, in mm²: truth 0, 1 (eye) and 0, 4 (brow), of
    standard deviation 0.5 and 2; prediction 0, 0 and 0, 1, of 0 and 0.5. 1.25 - 0.25.
    """
    predicted, target = pair
    assert face_dynamics_deviation(predicted, target, head=toy).tolist() == [1.0]
    assert face_dynamics_deviation(target, predicted, head=toy).tolist() == [-1.0]
    assert face_dynamics_deviation(target, predicted, head=toy, absolute=True).tolist() == [1.0]


def test_fdd_of_meshes_is_the_hand_computed_one(
    toy: Head, pair: tuple[np.ndarray, np.ndarray]
) -> None:
    """The same faces as meshes in metres, with the template taken off."""
    meshes = [toy.apply(motion).astype(np.float64) * 1e-3 for motion in pair]
    known: dict[str, Any] = {"template": toy.vertices * 1e-3, "vertices": toy.upper}
    deviation = face_dynamics_deviation_of_meshes(*meshes, mesh_unit="m", **known)
    np.testing.assert_allclose(deviation, [1.0], rtol=1e-4)
    in_metres = face_dynamics_deviation_of_meshes(
        meshes[1], meshes[0], mesh_unit="m", unit="m", absolute=True, **known
    )
    np.testing.assert_allclose(in_metres, [1e-6], rtol=1e-4)


def _slow_fdd(predicted: np.ndarray, target: np.ndarray, head: Head) -> float:
    """Return FDD by its definition, on whole meshes."""
    activity = []
    for motion in (target, predicted):
        moved = np.einsum("tc,cvk->tvk", motion.astype(np.float64), head.deltas[:, head.upper])
        activity.append(np.square(moved).sum(axis=-1).std(axis=0).mean())
    return float(activity[0] - activity[1])


@pytest.mark.parametrize("block_floats", [4_000_000, 20_000])
def test_the_fast_fdd_equals_its_definition(
    monkeypatch: pytest.MonkeyPatch, block_floats: int
) -> None:
    """Frames come in blocks of many utterances, or utterances in many blocks; seams must not show.

    20 000 floats are 6 frames of the upper face.
    """
    monkeypatch.setattr(region, "_BLOCK_FLOATS", block_floats)
    head = load_head()
    predicted, target = np.random.default_rng(0).random((2, 4, 23, 52), dtype=np.float32)
    lengths = np.array([23, 1, 6, 13])
    deviation = face_dynamics_deviation(predicted, target, head=head, lengths=lengths)
    expected = [
        _slow_fdd(p[:n], t[:n], head) for p, t, n in zip(predicted, target, lengths, strict=True)
    ]
    np.testing.assert_allclose(deviation, expected, rtol=1e-4, atol=1e-4)


def test_jerk_is_the_hand_computed_one(toy: Head) -> None:
    """Frames against seconds: a factor of 27 000.

    The jaw drops in the last of four frames: its third difference is 1 jaw, 4 and 5 mm.
    """
    motion = np.zeros((4, 52), np.float32)
    motion[3, index_of("jawOpen")] = 1.0
    np.testing.assert_allclose(jerk(motion, head=toy), [4.5 * 30**3])


def test_steady_acceleration_has_no_jerk(toy: Head) -> None:
    """A second difference called jerk would see it."""
    motion = np.zeros((6, 52), np.float32)
    motion[:, index_of("jawOpen")] = np.arange(6) ** 2 / 32  # exact in float32
    assert jerk(motion, head=toy).tolist() == [0.0]


def test_jerk_counts_frames_within_the_length(toy: Head) -> None:
    """Motion held or dropped after the end would be the largest jerk of all."""
    motion = np.zeros((3, 6, 52), np.float32)
    motion[:, 3, index_of("jawOpen")] = 1.0
    motion[:, 4:] = np.inf
    error = jerk(motion, head=toy, lengths=[4, 3, 1])
    np.testing.assert_allclose(error, [4.5 * 30**3, np.nan, np.nan])


def test_an_utterance_of_three_frames_has_no_jerk(toy: Head) -> None:
    """0 would read as perfectly smooth."""
    assert np.isnan(jerk(np.zeros((2, 3, 52)), head=toy)).tolist() == [True, True]


def test_a_region_nobody_captured_has_no_dynamics() -> None:
    """0 would read as a face that moves just as recorded."""
    head = load_head()
    motion = np.random.default_rng(0).random((2, 5, 52), dtype=np.float32)
    mouth, upper = (np.isin(np.arange(52), c) for c in (MOUTH_CHANNELS, UPPER_CHANNELS))
    fdd = face_dynamics_deviation(motion * 0, motion, head=head, captured=mouth)
    assert np.isnan(fdd).tolist() == [True, True]
    assert np.isnan(jerk(motion, head=head, captured=upper)).tolist() == [True, True]


def test_channels_not_captured_do_not_move(toy: Head, pair: tuple[np.ndarray, np.ndarray]) -> None:
    """Without the blink the truth's deviations are 0 and 2, the prediction's 0 and 0.5."""
    captured = np.ones(52, np.bool_)
    captured[index_of("eyeBlinkLeft")] = False
    assert face_dynamics_deviation(*pair, head=toy, captured=captured).tolist() == [0.75]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"target": np.zeros((3, 52))}, "must have one shape, got (2, 52) and (3, 52)"),
        ({"region": "ears"}, "'upper', 'upper_without_lids'), got 'ears'"),
        ({"target": np.full((2, 52), np.nan)}, "`target` must be finite, got nan or infinity"),
        (
            {"predicted": np.zeros(52), "target": np.zeros(52)},
            "`predicted` must have shape (T, 52) or (B, T, 52) with T at least 1, got (52,)",
        ),
    ],
)
def test_motion_that_does_not_fit_is_refused(
    toy: Head, change: dict[str, Any], message: str
) -> None:
    """nan in the truth would make one utterance's nan the mean's."""
    arguments = {"predicted": np.zeros((2, 52)), "target": np.zeros((2, 52)), "head": toy}
    with pytest.raises(InputError, match=re.escape(message)):
        face_dynamics_deviation(**{**arguments, **change})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"template": np.zeros((3, 3))}, "`template` must have shape (4, 3), got (3, 3)"),
        ({"predicted": np.full((2, 4, 3), np.inf)}, "must be finite, got nan or infinity"),
        ({"unit": "inch"}, "`unit` must be one of ('mm', 'm', 'norm'), got 'inch'"),
    ],
)
def test_meshes_that_do_not_fit_are_refused(change: dict[str, Any], message: str) -> None:
    """A template of another subject's mesh would broadcast or crash far from its cause."""
    arguments: dict[str, Any] = {
        "predicted": np.zeros((2, 4, 3)),
        "target": np.zeros((2, 4, 3)),
        "template": np.zeros((4, 3)),
        "vertices": [1],
        "mesh_unit": "mm",
    }
    with pytest.raises(InputError, match=re.escape(message)):
        face_dynamics_deviation_of_meshes(**{**arguments, **change})
