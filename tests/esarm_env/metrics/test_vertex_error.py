"""LVE and EVE: the true error that tells whether a proxy reward made the faces better."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from esarm_env.core.errors import InputError
from esarm_env.face import MOUTH_CHANNELS, UPPER_CHANNELS, Head, index_of, load_head
from esarm_env.metrics import (
    Variant,
    emotional_vertex_error,
    lip_vertex_error,
    pooled_mean,
    variant_label,
    vertex_error,
    vertex_errors,
)
from esarm_env.metrics.vertex_error import vertex_errors_of_rows

_VARIANTS = [
    {"reduce": reduce, "power": power, "centre": centre}
    for reduce in ("max", "mean")
    for power in (1, 2)
    for centre in ("none", "lips")
]


@pytest.fixture
def pair() -> tuple[np.ndarray, np.ndarray]:
    """Return two frames of prediction and truth, one shape away from each other."""
    predicted, target = np.zeros((2, 2, 52), np.float32)
    predicted[0, index_of("jawOpen")] = 1.0
    target[1, index_of("jawOpen")] = 0.5
    predicted[1, index_of("mouthSmileLeft")] = -1.0
    predicted[0, index_of("browInnerUp")] = 0.5
    predicted[:, index_of("eyeBlinkLeft")] = [0.8, 0.6]
    return predicted, target


def _slow(
    predicted: np.ndarray,
    target: np.ndarray,
    *,
    head: Head,
    vertices: np.ndarray,
    reduce: str,
    power: int,
    centre: str,
) -> float:
    """Return the metric by its definition: whole meshes, a loop over frames."""
    per_frame = []
    for ours, truth in zip(predicted.astype(np.float64), target.astype(np.float64), strict=True):
        a = np.einsum("c,cvk->vk", ours, head.deltas[:, vertices]) + head.vertices[vertices]
        b = np.einsum("c,cvk->vk", truth, head.deltas[:, vertices]) + head.vertices[vertices]
        if centre == "lips":
            a, b = a - a.mean(axis=0), b - b.mean(axis=0)
        distance = np.linalg.norm(a - b, axis=1) ** power
        per_frame.append(distance.max() if reduce == "max" else distance.mean())
    return float(np.mean(per_frame))


# Frame 0: jawOpen differs by 1, so vertex 0 is (0, -4, 0) off: 4 mm; vertex 1 (0, -3, -4): 5 mm.
# Frame 1: jawOpen by -0.5 and the smile by -1: vertex 0 is (-3, 2, 0) off: √13 mm; vertex 1 is
# (0, 1.5, 2) off: 2.5 mm. Their centroids are (0, -3.5, -2) and (-1.5, 1.75, 1); without them both
# vertices are (0, 0.5, 2) = √4.25 mm and (1.5, 0.25, 1) = √3.3125 mm off.
@pytest.mark.parametrize(
    ("variant", "expected"),
    [
        ({}, (5 + 13**0.5) / 2),
        ({"power": 2}, (25 + 13) / 2),
        ({"reduce": "mean"}, ((4 + 5) / 2 + (13**0.5 + 2.5) / 2) / 2),
        ({"reduce": "mean", "power": 2}, ((16 + 25) / 2 + (13 + 6.25) / 2) / 2),
        ({"centre": "lips"}, (4.25**0.5 + 3.3125**0.5) / 2),
        ({"unit": "m"}, (5 + 13**0.5) / 2 * 1e-3),
        ({"unit": "m", "power": 2}, (25 + 13) / 2 * 1e-6),
    ],
)
def test_lip_vertex_error_is_the_hand_computed_one(
    toy: Head, pair: tuple[np.ndarray, np.ndarray], variant: dict[str, Any], expected: float
) -> None:
    """Papers disagree by factors of a thousand; only a worked example pins the variant."""
    error = lip_vertex_error(*pair, head=toy, **variant)
    assert error.dtype == np.float64
    np.testing.assert_allclose(error, [expected], rtol=1e-6)


def test_emotional_vertex_error_is_the_hand_computed_one(
    toy: Head, pair: tuple[np.ndarray, np.ndarray]
) -> None:
    """Eye 0.8 and brow 0.5 * 2 = 1 mm in frame 0, eye 0.6 mm in frame 1: (1 + 0.6) / 2."""
    np.testing.assert_allclose(emotional_vertex_error(*pair, head=toy), [0.8], rtol=1e-6)


@pytest.mark.parametrize("variant", _VARIANTS)
@pytest.mark.parametrize("region", ["lips", "upper"])
def test_the_fast_metric_equals_its_definition(region: str, variant: dict[str, Any]) -> None:
    """The fast one never builds a mesh; a shortcut that does not commute would go unseen."""
    head = load_head()
    rng = np.random.default_rng(3)
    predicted, target = rng.random((2, 3, 4, 52), dtype=np.float32)
    vertices = head.upper if region == "upper" else head.regions[region]
    expected = [
        _slow(p, t, head=head, vertices=vertices, **variant)
        for p, t in zip(predicted, target, strict=True)
    ]
    error = vertex_error(predicted, target, head=head, region=region, **variant)
    np.testing.assert_allclose(error, expected, rtol=1e-4)


def test_many_variants_at_once_are_the_same_as_one_at_a_time() -> None:
    """They share distances, and one square root in place too early would spoil the others."""
    head = load_head()
    rng = np.random.default_rng(5)
    predicted, target = rng.random((2, 3, 7, 52), dtype=np.float32)
    variants = [
        Variant(region, unit=unit, **variant)
        for region in ("lips", "upper", "brows")
        for unit in ("mm", "m")
        for variant in _VARIANTS
    ]
    lengths, captured = np.array([7, 2, 5]), rng.random(52) < 0.8
    known: dict[str, Any] = {"head": head, "lengths": lengths, "captured": captured}
    together = vertex_errors(predicted, target, variants=variants, **known)
    assert list(together) == variants
    for variant in variants:
        alone = vertex_error(predicted, target, **known, **variant.options)
        np.testing.assert_array_equal(together[variant], alone, err_msg=variant.label)


def test_the_whole_head_is_a_region(toy: Head, pair: tuple[np.ndarray, np.ndarray]) -> None:
    """MVE is over all vertices, those without a region too (here one that never moves).

    Frame 0: 4, 5, 0.8, 1 and 0 mm; frame 1: √13, 2.5, 0.6, 0 and 0.
    """
    error = vertex_error(*pair, head=toy, region="all", reduce="mean")
    np.testing.assert_allclose(error, [(10.8 / 5 + (13**0.5 + 3.1) / 5) / 2], rtol=1e-6)


def test_infinity_past_the_length_is_not_even_a_warning(toy: Head) -> None:
    """Padding may hold anything; infinity minus infinity warns."""
    motion = np.zeros((1, 2, 52))
    motion[0, 1] = np.inf
    error = lip_vertex_error(motion, motion, head=toy, lengths=[1])
    assert error.tolist() == [0.0]


def test_pooled_frames_weigh_long_utterances_more() -> None:
    """CodeTalker averages over all frames, others over utterances: 3 frames of 2, 1 of 6."""
    assert pooled_mean([2.0, 6.0], [3, 1]) == 3.0


def test_pooling_refuses_lengths_of_other_utterances() -> None:
    """A scalar length would broadcast and quietly give the plain mean."""
    message = "`errors` and `lengths` must have one shape (B,), B above 0, got (2,) and (1,)"
    with pytest.raises(InputError, match=re.escape(message)):
        pooled_mean([1.0, 2.0], [3])


@pytest.mark.parametrize("lengths", [[0, 0], [-1, 3], [0, 4]])
def test_pooling_refuses_utterances_without_frames(lengths: list[int]) -> None:
    """A length below 1 would push the mean outside the errors, or divide by 0."""
    message = f"`lengths` must be at least 1, got {lengths}"
    with pytest.raises(InputError, match=re.escape(message)):
        pooled_mean([1.0, 2.0], lengths)


def test_no_utterance_gives_no_error(toy: Head) -> None:
    """An empty split is no crash in the middle of a report."""
    empty = np.zeros((0, 4, 52))
    assert lip_vertex_error(empty, empty, head=toy).shape == (0,)


def test_long_batches_are_the_same_in_pieces() -> None:
    """Frames are computed in chunks; a seam would shift the frames after it."""
    head = load_head()
    rng = np.random.default_rng(4)
    predicted, target = rng.random((2, 6, 500, 52), dtype=np.float32)
    together = emotional_vertex_error(predicted, target, head=head)
    alone = [
        emotional_vertex_error(p, t, head=head)[0] for p, t in zip(predicted, target, strict=True)
    ]
    np.testing.assert_allclose(together, alone, rtol=1e-5)


def test_frames_past_the_length_do_not_count(
    toy: Head, pair: tuple[np.ndarray, np.ndarray]
) -> None:
    """Padding averaged in makes short utterances look good; here it is nan to be noticed."""
    predicted, target = (np.stack([side, side]) for side in pair)
    predicted[0, 1] = np.nan
    error = lip_vertex_error(predicted, target, head=toy, lengths=np.array([1, 2]))
    np.testing.assert_allclose(error, [5.0, (5 + 13**0.5) / 2], rtol=1e-6)


def test_channels_not_captured_do_not_count(toy: Head, pair: tuple[np.ndarray, np.ndarray]) -> None:
    """A channel the corpus never measured is 0 there, not at rest."""
    captured = np.ones(52, dtype=np.bool_)
    captured[index_of("mouthSmileLeft")] = False
    # Frame 1 keeps half a jawOpen: 2 and 2.5 mm.
    error = lip_vertex_error(*pair, head=toy, captured=captured)
    np.testing.assert_allclose(error, [(5 + 2.5) / 2], rtol=1e-6)


@pytest.mark.parametrize(
    ("channels", "metric"),
    [(MOUTH_CHANNELS, emotional_vertex_error), (UPPER_CHANNELS, lip_vertex_error)],
)
def test_a_region_nobody_captured_gives_nan(channels: np.ndarray, metric: Any) -> None:
    """0 would read as a perfect upper face."""
    captured = np.isin(np.arange(52), channels)
    motion = np.random.default_rng(0).random((2, 3, 52), dtype=np.float32)
    error = metric(motion, motion * 0, head=load_head(), captured=captured)
    assert error.shape == (2,)
    assert np.isnan(error).all()


@pytest.mark.parametrize(("brow_mm", "measured"), [(1.9, True), (2.1, False)])
def test_a_fifth_of_a_regions_motion_must_be_captured(
    toy: Head, brow_mm: float, measured: bool
) -> None:
    """A smile's or a sneer's tail below the eye does not make mouth capture measure the upper face.

    The blink alone, 1 mm, is 1 / (1 + 1.9²) = 0.22 or 1 / (1 + 2.1²) = 0.18 of the upper face.
    """
    deltas = toy.deltas.copy()
    deltas[index_of("browInnerUp"), 3, 1] = brow_mm
    captured = np.arange(52) == index_of("eyeBlinkLeft")
    motion = np.zeros((1, 52))
    error = emotional_vertex_error(
        motion, motion, head=replace(toy, deltas=deltas), captured=captured
    )
    assert np.isnan(error).tolist() == [not measured]


def test_a_region_that_nothing_moves_gives_nan(toy: Head) -> None:
    """0 would read as a perfect fit."""
    motion = np.zeros((1, 52))
    still = replace(toy, deltas=np.zeros_like(toy.deltas))
    assert np.isnan(lip_vertex_error(motion, motion, head=still)).tolist() == [True]


def test_equal_motion_has_no_error() -> None:
    """The floor of the metric is exactly 0."""
    motion = np.random.default_rng(0).random((5, 52))
    assert lip_vertex_error(motion, motion, head=load_head()).tolist() == [0.0]


@pytest.mark.parametrize(
    ("arguments", "label"),
    [
        (("lips",), "LVE (mean over frames of max over lip vertices, L2, mm)"),
        (
            ("lips", "mean", 2, "lips", "m"),
            "LVE (mean over frames of mean over lip vertices, squared L2, centred, m²)",
        ),
        (("upper",), "EVE (mean over frames of max over eye and forehead vertices, L2, mm)"),
        (("brows",), "vertex error (mean over frames of max over brows vertices, L2, mm)"),
        (("all", "mean"), "MVE (mean over frames of mean over all vertices, L2, mm)"),
    ],
)
def test_the_label_tells_the_variant(arguments: tuple[Any, ...], label: str) -> None:
    """A table headed only LVE cannot be compared with any other."""
    assert variant_label(*arguments) == label


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"reduce": "sum"}, "`reduce` must be one of ('max', 'mean'), got 'sum'"),
        ({"power": 3}, "`power` must be one of (1, 2), got 3"),
        ({"centre": "nose"}, "`centre` must be one of ('none', 'lips'), got 'nose'"),
        ({"unit": "norm"}, "`unit` must be one of ('mm', 'm'), got 'norm'"),
        ({"unit": "cm"}, "`unit` must be one of ('mm', 'm'), got 'cm'"),
        (
            {"region": "ears"},
            "'forehead', 'upper', 'upper_without_lids'), got 'ears'",
        ),
        ({"target": np.zeros((3, 52))}, "must have one shape, got (2, 52) and (3, 52)"),
        (
            {"predicted": np.zeros((2, 51)), "target": np.zeros((2, 51))},
            "`predicted` must have shape (T, 52) or (B, T, 52) with T at least 1, got (2, 51)",
        ),
        ({"lengths": [1.0]}, "`lengths` must be integers of shape (1,), got float64 (1,)"),
        ({"lengths": [1, 2]}, "`lengths` must be integers of shape (1,), got int64 (2,)"),
        ({"lengths": [0]}, "`lengths` must be in 1..2, got [0]"),
        ({"lengths": [3]}, "`lengths` must be in 1..2, got [3]"),
        ({"captured": np.ones(52)}, "`captured` must be bool of shape (52,), got float64 (52,)"),
        ({"predicted": np.full((2, 52), np.nan)}, "must be finite, got nan or infinity"),
    ],
)
def test_an_argument_that_does_not_fit_is_refused(
    toy: Head, change: dict[str, Any], message: str
) -> None:
    """A metric that guesses is not a metric."""
    arguments: dict[str, Any] = {
        "predicted": np.zeros((2, 52)),
        "target": np.zeros((2, 52)),
        "head": toy,
        "region": "lips",
    }
    with pytest.raises(InputError, match=re.escape(message)):
        vertex_error(**{**arguments, **change})


def test_a_blink_counts_in_the_upper_face_and_not_without_the_lids(toy: Head) -> None:
    """Vertex 2 is the lid, vertex 3 the brow: half a blink is 0.5 mm, half a raise 1 mm."""
    still, blinked, raised = np.zeros((3, 4, 52), np.float32)
    blinked[:, index_of("eyeBlinkLeft")] = 0.5
    raised[:, index_of("browInnerUp")] = 0.5
    for motion, errors in ((blinked, (0.5, 0.0)), (raised, (1.0, 1.0))):
        for region, expected in zip(("upper", "upper_without_lids"), errors, strict=True):
            found = vertex_error(motion, still, head=toy, region=region)
            np.testing.assert_allclose(found, [expected])


def test_the_shipped_head_keeps_brows_and_forehead_without_its_lids() -> None:
    """Were whole eyes left out, squints would go with the blinks; were rims kept, blinks stay."""
    head = load_head()
    blink, brow, squint = np.zeros((3, 1, 52), np.float32)
    blink[:, [index_of("eyeBlinkLeft"), index_of("eyeBlinkRight")]] = 1.0
    brow[:, index_of("browInnerUp")] = 1.0
    squint[:, index_of("eyeSquintLeft")] = 1.0
    still = np.zeros_like(blink)

    def both(motion: np.ndarray) -> tuple[float, float]:
        figures = [
            vertex_error(motion, still, head=head, region=name)[0]
            for name in ("upper", "upper_without_lids")
        ]
        return float(figures[0]), float(figures[1])

    assert both(blink)[0] > 8.0 and both(blink)[1] < 0.5
    assert both(brow)[1] == pytest.approx(both(brow)[0])
    assert both(squint)[1] > 1.0


def test_the_error_without_lids_says_so() -> None:
    """Beside the EVE of papers, its half would pass for a better model."""
    variant = Variant("upper_without_lids")
    assert variant.key == "eve_without_eyelids_max_l2_mm"
    assert variant.label == (
        "EVE without eyelids (mean over frames of max over non-lid eye and forehead vertices, L2, "
        "mm)"
    )


def test_rows_that_are_not_padded_err_as_in_a_padded_batch(rng: np.random.Generator) -> None:
    """An environment's errors are taken without padding, and are to the bit those of tables."""
    counts = np.array([5, 1, 9])
    ours, truth = rng.random((2, 3, 9, 52)).astype(np.float32)
    variants = [Variant("lips"), Variant("upper"), Variant("lips", "mean", 2, "lips", "m")]
    expected = vertex_errors(ours, truth, head=load_head(), variants=variants, lengths=counts)
    rows = [[row[:n] for row, n in zip(each, counts, strict=True)] for each in (ours, truth)]
    found = vertex_errors_of_rows(*rows, head=load_head(), variants=variants)
    assert found.keys() == expected.keys()
    for variant in variants:
        np.testing.assert_array_equal(found[variant], expected[variant])
    with pytest.raises(InputError, match=re.escape("must have one shape, got (4, 52) and (5, 52)")):
        vertex_errors_of_rows([ours[0, :4]], rows[1][:1], head=load_head(), variants=variants)
    with pytest.raises(InputError, match=re.escape("at least 1, got 0 and 0")):
        vertex_errors_of_rows([], [], head=load_head(), variants=variants)
