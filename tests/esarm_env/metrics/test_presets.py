"""Named variants: what each published system computes."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

from esarm_env.core.errors import InputError
from esarm_env.face import Head, index_of
from esarm_env.metrics import PRESETS, Variant, preset, vertex_error


@pytest.fixture
def jaw_pair() -> tuple[np.ndarray, np.ndarray]:
    """Return one frame whose jaw is open in the prediction alone."""
    predicted, target = np.zeros((2, 1, 52), np.float32)
    predicted[0, index_of("jawOpen")] = 1.0
    return predicted, target


# Lip vertex 0 is (0, -4, 0) mm off, 1 is (0, -3, -4): 4 and 5 mm, 16 and 25 mm². Their centroid is
# (0, -3.5, -2); without it they are (0, -0.5, 2) and (0, 0.5, -2): √4.25 mm.
@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("esarm", 5.0),
        ("faceformer", 5.0),
        ("unitalker", 5.0),
        ("codetalker", 25e-6),
        ("facediffuser", 25e-6),
        ("probtalk3d", 25e-6),
        ("emotalk", 25e-6),
        ("meshtalk", 4.25**0.5),
        ("deeptalk", 4.5),
    ],
)
def test_the_lve_of_a_preset_is_the_hand_computed_one(
    toy: Head, jaw_pair: tuple[np.ndarray, np.ndarray], name: str, expected: float
) -> None:
    """One name, four numbers: a preset that computes another's is worse than none."""
    error = vertex_error(*jaw_pair, head=toy, **preset(name).lve.options)
    np.testing.assert_allclose(error, [expected], rtol=1e-6)


def test_every_preset_has_a_test_and_a_source() -> None:
    """A preset without a source is an opinion."""
    assert set(PRESETS) == {
        "esarm", "faceformer", "unitalker", "codetalker", "facediffuser", "probtalk3d", "emotalk",
        "meshtalk", "deeptalk",
    }  # fmt: skip
    for name, found in PRESETS.items():
        assert found.source and found.note, name
        assert found.variants[0] is found.lve, name
        assert found.lve.region == "lips", name
        assert found.eve is None or found.eve.region == "upper", name


def test_presets_list_all_their_variants() -> None:
    """A suite built from the presets would leave out what is not listed."""
    mve = Variant("all", reduce="mean", unit="m")
    assert preset("probtalk3d").variants == (preset("codetalker").lve, mve)
    assert preset("esarm").variants == (Variant("lips"), Variant("upper"))


def test_an_unknown_preset_is_refused_with_the_closest_name() -> None:
    """A typo must not fall back to a default variant."""
    message = "'unitalker'), got 'facformer'; did you mean 'faceformer'?"
    with pytest.raises(InputError, match=re.escape(message)):
        preset("facformer")
    with pytest.raises(InputError, match=re.escape("'unitalker'), got 'x'") + "$"):
        preset("x")


@pytest.mark.parametrize(
    ("variant", "key"),
    [
        (Variant("lips"), "lve_max_l2_mm"),
        (Variant("upper", "mean", 2, "none", "m"), "eve_mean_squared_l2_m2"),
        (Variant("lips", centre="lips"), "lve_max_l2_centred_mm"),
        (Variant("brows", unit="norm"), "brows_vertex_error_max_l2_norm"),
        (Variant("all", "mean"), "mve_mean_l2_mm"),
    ],
)
def test_the_key_tells_the_variant(variant: Variant, key: str) -> None:
    """Two variants under one key overwrite each other in a dictionary of results."""
    assert variant.key == key


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ({"reduce": "sum"}, "`reduce` must be one of ('max', 'mean'), got 'sum'"),
        ({"power": 3}, "`power` must be one of (1, 2), got 3"),
        ({"centre": "nose"}, "`centre` must be one of ('none', 'lips'), got 'nose'"),
        ({"unit": "cm"}, "`unit` must be one of ('mm', 'm', 'norm'), got 'cm'"),
    ],
)
def test_an_unknown_choice_is_refused(choice: dict[str, Any], message: str) -> None:
    """A variant is checked where it is made, not where it is first used."""
    with pytest.raises(InputError, match=re.escape(message)):
        Variant("lips", **choice)
