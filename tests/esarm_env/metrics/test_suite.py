"""All figures of a pair at once: the same as one by one."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

import esarm_env.metrics
from esarm_env.core.errors import InputError
from esarm_env.face import MOUTH_CHANNELS, UPPER_CHANNELS, Head, index_of, load_head
from esarm_env.metrics import (
    PRESETS,
    STANDARD_VARIANTS,
    Variant,
    bilabial_closures,
    closure_events,
    emotional_vertex_error,
    face_dynamics_deviation,
    jerk,
    lip_speed,
    lip_vertex_error,
    measure,
    mouth_opening,
    opening_correlation,
    quantities,
    table,
    vertex_error,
)

_BILABIALS = [[[0.1, 0.2]], [], [[0.0, 0.1], [0.15, 0.3]]]


def test_the_suite_is_the_hand_computed_one(mouth: Head) -> None:
    """One worked example through all of it: the jaw half open in the middle of three frames.

    The truth stays shut. Of the six lip vertices two move by 1 mm and two by 15: LVE 15 / 3, mean
    32 / 6 / 3, centred on their mean of -32/6 the furthest is at 15 - 32/6. Steps of 32/6 mm twice;
    three frames have no jerk. Shut before and after, the prediction has two closures of the one.
    """
    predicted, target = np.zeros((2, 3, 52))
    predicted[1, index_of("jawOpen")] = 0.5
    figures = measure(predicted, target, head=mouth, bilabials=[[[0.0, 0.1]]])
    expected = {
        "lve_max_l2_mm": 5.0,
        "lve_max_squared_l2_m2": 75e-6,
        "lve_max_l2_centred_mm": (15 - 32 / 6) / 3,
        "lve_mean_l2_mm": 32 / 18,
        "eve_max_l2_mm": 0.0,
        "eve_max_squared_l2_m2": 0.0,
        "eve_mean_l2_mm": 0.0,
        "eve_without_eyelids_max_l2_mm": 0.0,
        "fdd": 0.0,
        "fdd_absolute": 0.0,
        "jerk_predicted": np.nan,
        "jerk_target": np.nan,
        "lip_speed_predicted": 32 / 6 * 30,
        "lip_speed_target": 0.0,
        "opening_correlation": np.nan,
        "closure_event_f1": 2 / 3,
        "bilabial_closure_f1": 1.0,
    }
    assert set(figures) == set(expected)
    for key, value in expected.items():
        np.testing.assert_allclose(figures[key], [value], rtol=1e-6, err_msg=key)


def test_the_suite_is_the_same_as_one_metric_at_a_time() -> None:
    """Passes are shared, masks must not be."""
    head = load_head()
    rng = np.random.default_rng(0)
    predicted, target = rng.random((2, 3, 9, 52), dtype=np.float32)
    lengths, captured = np.array([9, 4, 7]), rng.random(52) < 0.9
    captured[[index_of("jawOpen"), index_of("mouthClose")]] = True
    known: dict[str, Any] = {"head": head, "captured": captured, "lengths": lengths}
    figures = measure(predicted, target, bilabials=_BILABIALS, **known)
    curves = [mouth_opening(m, head=head, captured=captured) for m in (predicted, target)]
    expected = {
        **{v.key: vertex_error(predicted, target, **known, **v.options) for v in STANDARD_VARIANTS},
        "fdd": face_dynamics_deviation(predicted, target, **known),
        "fdd_absolute": face_dynamics_deviation(predicted, target, absolute=True, **known),
        "jerk_predicted": jerk(predicted, **known),
        "jerk_target": jerk(target, **known),
        "lip_speed_predicted": lip_speed(predicted, **known),
        "lip_speed_target": lip_speed(target, **known),
        "opening_correlation": opening_correlation(*curves, lengths=lengths),
        "closure_event_f1": closure_events(*curves, lengths=lengths).f1,
        "bilabial_closure_f1": bilabial_closures(*curves, intervals=_BILABIALS, lengths=lengths).f1,
    }
    assert list(figures) == list(expected) == list(quantities(bilabials=True))
    for key, values in expected.items():
        assert figures[key].shape == (3,), key
        np.testing.assert_array_equal(figures[key], values, err_msg=key)


def test_the_standard_variants_are_those_of_all_presets() -> None:
    """A new preset must not be left out of the suite."""
    for name, preset in PRESETS.items():
        for variant in preset.variants:
            assert variant in STANDARD_VARIANTS or variant.region == "all", name
    assert len({variant.key for variant in STANDARD_VARIANTS}) == len(STANDARD_VARIANTS)


def test_variants_can_be_chosen() -> None:
    """Whoever reports one preset should not wait for all."""
    motion = np.random.default_rng(0).random((4, 52))
    variants = [Variant("brows", "mean")]
    figures = measure(motion, motion, head=load_head(), variants=iter(variants))
    assert next(iter(figures)) == "brows_vertex_error_mean_l2_mm"
    assert not any(key.startswith(("lve", "eve")) for key in figures)
    assert list(figures) == list(quantities(variants))


@pytest.mark.parametrize("channels", [MOUTH_CHANNELS, UPPER_CHANNELS])
def test_what_nobody_captured_is_nan_and_the_rest_is_not(channels: np.ndarray) -> None:
    """A corpus of mouths alone must still be measurable, and its upper faces not perfect."""
    captured = np.isin(np.arange(52), channels)
    predicted, target = np.random.default_rng(0).random((2, 2, 6, 52))
    figures = measure(
        predicted, target, head=load_head(), captured=captured, bilabials=_BILABIALS[:2]
    )
    known = {key for key, values in figures.items() if not np.isnan(values).all()}
    upper = {key for key in figures if key.startswith(("eve", "fdd"))}
    assert known | {"bilabial_closure_f1", "closure_event_f1"} == (
        set(figures) - upper
        if channels is MOUTH_CHANNELS
        else upper | {"bilabial_closure_f1", "closure_event_f1"}
    )


def test_a_single_utterance_without_captured_lips_has_a_row() -> None:
    """Shape (1,) for each key, whatever was captured."""
    captured = np.isin(np.arange(52), UPPER_CHANNELS)
    motion = np.zeros((6, 52))
    figures = measure(motion, motion, head=load_head(), captured=captured)
    assert {values.shape for values in figures.values()} == {(1,)}


def test_long_and_padded_batches_are_the_same_as_utterances_alone() -> None:
    """Blocks end anywhere; a seam would shift what follows it."""
    head = load_head()
    rng = np.random.default_rng(1)
    predicted, target = rng.random((2, 5, 400, 52), dtype=np.float32)
    lengths = np.array([400, 90, 371, 8, 250])
    together = measure(predicted, target, head=head, lengths=lengths)
    for row, n in enumerate(lengths):
        alone = measure(predicted[row, :n], target[row, :n], head=head)
        for key, values in alone.items():
            np.testing.assert_allclose(
                together[key][row], values[0], rtol=1e-4, atol=1e-4, err_msg=key
            )


def test_figures_go_straight_into_a_table() -> None:
    """Every key has a heading with variant and unit."""
    motion = np.random.default_rng(0).random((1, 8, 52))
    figures = measure(motion, motion * 0.9, head=load_head())
    text = table({"ours": {k: float(v[0]) for k, v in figures.items()}}, quantities())
    heading = text.splitlines()[0]
    assert "LVE (mean over frames of max over lip vertices, squared L2, m²) ↓" in heading
    assert heading.count("(") == len(figures)


def test_the_closures_threshold_stands_in_the_heading() -> None:
    """F1 at 2 mm and at 5 mm are different metrics."""
    assert "below 2 mm" in quantities()["closure_event_f1"].label
    assert "below 2 mm" in quantities(bilabials=True)["bilabial_closure_f1"].label


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"target": np.zeros((3, 52))}, "must have one shape, got (2, 52) and (3, 52)"),
        ({"variants": [Variant("lips", unit="norm")]}, "`unit` must be one of ('mm', 'm')"),
        ({"bilabials": []}, "`intervals` must hold one array per utterance (1), got 0"),
        ({"predicted": np.full((2, 52), np.inf)}, "must be finite, got nan or infinity"),
    ],
)
def test_input_that_does_not_fit_is_refused(change: dict[str, Any], message: str) -> None:
    """The suite must be no looser than its parts."""
    arguments: dict[str, Any] = {"predicted": np.zeros((2, 52)), "target": np.zeros((2, 52))}
    with pytest.raises(InputError, match=re.escape(message)):
        measure(**{**arguments, **change}, head=load_head())


def test_lve_and_eve_of_the_suite_are_the_reported_ones() -> None:
    """Reports and suite must not drift apart."""
    head = load_head()
    predicted, target = np.random.default_rng(0).random((2, 5, 52))
    figures = measure(predicted, target, head=head)
    lve, eve = (f(predicted, target, head=head) for f in (lip_vertex_error, emotional_vertex_error))
    assert figures["lve_max_l2_mm"].tolist() == lve.tolist()
    assert figures["eve_max_l2_mm"].tolist() == eve.tolist()


def test_importing_the_metrics_is_cheap() -> None:
    """They are numpy alone; the environment imports them."""
    heavy = {"torch", "scipy", "librosa", "sklearn", "matplotlib"}
    code = f"import sys, esarm_env.metrics; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]", f"importing the metrics loaded {done.stdout}"


def test_public_names_exist_once() -> None:
    """A name in `__all__` that is gone breaks `from esarm_env.metrics import *` alone."""
    names = esarm_env.metrics.__all__
    assert sorted(names) == sorted(set(names))
    assert all(hasattr(esarm_env.metrics, name) for name in names)
