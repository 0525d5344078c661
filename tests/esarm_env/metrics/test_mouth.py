"""The mouth's opening in mm, on any head, and its correlation."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from esarm_env.core.errors import InputError
from esarm_env.face import UPPER_CHANNELS, Head, index_of, load_head
from esarm_env.metrics import lip_pairs, mouth_opening, opening_correlation


def test_the_pair_is_the_inner_rim(mouth: Head) -> None:
    """Outer vertices part just as far, but lips that press together do not move them."""
    upper, lower = lip_pairs(mouth)
    assert (upper.tolist(), lower.tolist()) == ([1], [2])


def test_the_shipped_head_pairs_lips_that_touch() -> None:
    """Whatever happens to its mesh, a pair must be two lips and close together."""
    head = load_head()
    upper, lower = lip_pairs(head)
    assert len(upper) == len(lower) == 3
    assert np.isin([*upper, *lower], head.regions["lips"]).all()
    apart = np.linalg.norm(head.vertices[upper] - head.vertices[lower], axis=1)
    assert apart.max() < 1.0, f"paired lips are {apart} mm apart at rest"
    drop = -head.deltas[index_of("jawOpen"), :, 1]
    assert drop[upper].max() < 0.2 * drop[lower].min(), "a pair lies within one lip"


def test_the_opening_is_the_hand_computed_one(mouth: Head) -> None:
    """Rest, jaw half open (15 - 1), that closed halfway (14 - 0.25 * 28), lips pressed (-2.8)."""
    motion = np.zeros((4, 52))
    motion[1:3, index_of("jawOpen")] = 0.5
    motion[2:, index_of("mouthClose")] = [0.25, 0.1]
    expected = [0, 14, 7, -2.8]
    opening = mouth_opening(motion, head=mouth)
    np.testing.assert_allclose(opening, expected, atol=1e-5)
    batch = mouth_opening(np.stack([motion, motion]), head=mouth)
    assert batch.shape == (2, 4)
    np.testing.assert_allclose(batch[1], expected, atol=1e-5)


def test_arkit_shuts_the_shipped_mouth_where_mouth_close_equals_jaw_open() -> None:
    """By ARKit's definition; a head that says otherwise makes every closure wrong."""
    motion = np.zeros((3, 52))
    motion[1:, index_of("jawOpen")] = 0.8
    motion[2, index_of("mouthClose")] = 0.8
    rest, wide, shut = mouth_opening(motion, head=load_head())
    assert rest == 0
    assert wide > 15
    assert abs(shut) < 1


def test_an_opening_nobody_captured_is_nan(mouth: Head) -> None:
    """0 would read as a mouth that is always shut; a smile moves the lips but tells nothing."""
    for channels in (UPPER_CHANNELS, [index_of("mouthSmileLeft")]):
        captured = np.isin(np.arange(52), channels)
        opening = mouth_opening(np.ones((3, 52)), head=mouth, captured=captured)
        assert np.isnan(opening).tolist() == [True] * 3


def test_channels_not_captured_do_not_open_the_mouth(mouth: Head) -> None:
    """A `mouthClose` that was never measured is 0, whatever the prediction holds."""
    motion = np.zeros((1, 52))
    motion[0, [index_of("jawOpen"), index_of("mouthClose")]] = 0.5
    captured = np.arange(52) == index_of("jawOpen")
    assert mouth_opening(motion, head=mouth, captured=captured).tolist() == [14.0]


def test_frames_that_are_not_finite_have_no_opening(mouth: Head) -> None:
    """Padding may hold anything: a warning would stop strict callers, inf would look measured."""
    motion = np.zeros((4, 52))
    motion[1] = np.inf
    motion[2, index_of("jawOpen")] = -np.inf
    motion[3, index_of("jawOpen")] = 1e300
    opening = mouth_opening(motion, head=mouth)
    np.testing.assert_array_equal(opening, [0, np.nan, np.nan, np.nan])


@pytest.mark.parametrize(
    ("lowered", "got"),
    [
        ([0, 0, 0, 0], "4 upper and 0 lower vertices near the middle"),
        ([-30, -30, -30, -30], "0 upper and 4 lower vertices near the middle"),
    ],
)
def test_a_head_whose_lips_do_not_part_is_refused(
    mouth: Head, lowered: list[float], got: str
) -> None:
    """Its opening would be 0 for ever, and every closure right."""
    deltas = mouth.deltas.copy()
    deltas[index_of("jawOpen"), :4, 1] = lowered
    with pytest.raises(InputError, match=re.escape(f"lips that `jawOpen` parts, got {got}")):
        mouth_opening(np.zeros((1, 52)), head=replace(mouth, deltas=deltas))


def test_a_head_without_lips_is_refused(mouth: Head) -> None:
    """A foreign head may name the region and leave it empty."""
    regions = {**mouth.regions, "lips": np.zeros(0, np.int64)}
    message = "`head` must have lip vertices, got none in `regions['lips']`"
    with pytest.raises(InputError, match=re.escape(message)):
        lip_pairs(replace(mouth, regions=regions))


def test_the_correlation_is_the_hand_computed_one() -> None:
    """-1, 0, 1 against -1, 1, 0: covariance 1/3, variances 2/3 each."""
    np.testing.assert_allclose(opening_correlation([1, 2, 3], [4, 6, 5]), [0.5])
    np.testing.assert_allclose(opening_correlation([1, 2, 3], [30, 20, 10]), [-1.0])


def test_the_correlation_equals_numpys_row_by_row() -> None:
    """Padding is masked in one go; one frame too many would go unseen."""
    first, second = np.random.default_rng(0).random((2, 5, 30)) * 20
    lengths = np.array([30, 2, 11, 29, 3])
    rows = zip(first, second, lengths, strict=True)
    expected = [np.corrcoef(a[:n], b[:n])[0, 1] for a, b, n in rows]
    for row, length in enumerate(lengths):
        first[row, length:] = np.nan
    np.testing.assert_allclose(opening_correlation(first, second, lengths=lengths), expected)


@pytest.mark.parametrize(
    "flat",
    [[0.1] * 5, [2.0, 2.0, 2.0005, 2.0, 2.0], [np.nan] * 5, [0.0, 1.0, 2.0, np.inf, -np.inf]],
)
def test_a_flat_opening_has_no_correlation(flat: list[float]) -> None:
    """Rounding alone would correlate by anything between -1 and 1, and infinity would warn."""
    curve = [1.0, 5.0, 2.0, 8.0, 3.0]
    assert np.isnan(opening_correlation([flat, curve], [curve, flat])).tolist() == [True, True]


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        ([1.0], [1.0, 2.0], "must have one shape, got (1,) and (2,)"),
        ([], [], "`predicted_mm` must have shape (T,) or (B, T) with T at least 1, got (0,)"),
        (np.zeros((1, 1, 2)), np.zeros((1, 1, 2)), "with T at least 1, got (1, 1, 2)"),
    ],
)
def test_curves_that_do_not_fit_are_refused(first: Any, second: Any, message: str) -> None:
    """Motion given in place of an opening has an axis too many."""
    with pytest.raises(InputError, match=re.escape(message)):
        opening_correlation(first, second)
