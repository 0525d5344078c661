"""Vertex errors of foreign meshes: any topology, the unit always stated."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

from esarm_env.core.errors import InputError
from esarm_env.face import load_head
from esarm_env.metrics import PRESETS, preset, vertex_error, vertex_error_of_meshes

_LIPS = np.array([0, 2])


@pytest.fixture
def pair() -> tuple[np.ndarray, np.ndarray]:
    """Return two frames of four vertices in metres, the truth at 0.

    Lip vertex 0 is off by (3, 4, 0) and (0, 0, 1) mm, lip vertex 2 by (1, 0, 0) and (0, 0, 3) mm;
    the other two are a metre away and must not count.
    """
    predicted = np.ones((2, 4, 3))
    predicted[:, 0] = [[3e-3, 4e-3, 0], [0, 0, 1e-3]]
    predicted[:, 2] = [[1e-3, 0, 0], [0, 0, 3e-3]]
    return predicted, np.zeros((2, 4, 3))


# Centroids of the lips: (2, 2, 0) and (0, 0, 2) mm; without them (1, 2, 0) and (-1, -2, 0), √5 mm
# each, then (0, 0, -1) and (0, 0, 1), 1 mm each.
@pytest.mark.parametrize(
    ("variant", "expected"),
    [
        ({}, (5 + 3) / 2),
        ({"power": 2}, (25 + 9) / 2),
        ({"reduce": "mean"}, (3 + 2) / 2),
        ({"reduce": "mean", "power": 2}, (13 + 5) / 2),
        ({"centre": "lips"}, (5**0.5 + 1) / 2),
        ({"unit": "m", "power": 2}, 17e-6),
        ({"mesh_unit": "cm"}, 0.04),
        ({"mesh_unit": "norm", "unit": "norm"}, 4e-3),
    ],
)
def test_the_error_of_meshes_is_the_hand_computed_one(
    pair: tuple[np.ndarray, np.ndarray], variant: dict[str, Any], expected: float
) -> None:
    """A unit off by 1000 is the field's commonest misprint."""
    arguments: dict[str, Any] = {"vertices": _LIPS, "mesh_unit": "m", **variant}
    np.testing.assert_allclose(vertex_error_of_meshes(*pair, **arguments), [expected])


@pytest.mark.parametrize("centre", ["none", "lips"])
@pytest.mark.parametrize("power", [1, 2])
@pytest.mark.parametrize("reduce", ["max", "mean"])
def test_meshes_and_coefficients_agree(reduce: str, power: int, centre: str) -> None:
    """The same faces given either way must have the same error, padding or not."""
    head = load_head()
    predicted, target = np.random.default_rng(0).random((2, 2, 3, 52), dtype=np.float32)
    lengths = np.array([3, 1])
    variant: dict[str, Any] = {"reduce": reduce, "power": power, "centre": centre}
    expected = vertex_error(predicted, target, head=head, region="lips", lengths=lengths, **variant)
    meshes = head.apply(predicted), head.apply(target)
    meshes[0][1, 2:] = np.nan
    error = vertex_error_of_meshes(
        *meshes, vertices=head.regions["lips"], mesh_unit="mm", lengths=lengths, **variant
    )
    np.testing.assert_allclose(error, expected, rtol=1e-4)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"reduce": "sum"}, "`reduce` must be one of ('max', 'mean'), got 'sum'"),
        ({"unit": "inch"}, "`unit` must be one of ('mm', 'm', 'norm'), got 'inch'"),
        ({"mesh_unit": "ft"}, "`mesh_unit` must be one of ('mm', 'cm', 'm', 'norm'), got 'ft'"),
        (
            {"mesh_unit": "norm"},
            "`unit` must be 'norm' exactly where `mesh_unit` is, got 'mm' and 'norm'",
        ),
        (
            {"predicted": np.zeros((2, 12)), "target": np.zeros((2, 12))},
            "`predicted` must have shape (T, V, 3) or (B, T, V, 3) with T at least 1, "
            "got (2, 12); reshape flat vertices first",
        ),
        ({"target": np.zeros((3, 4, 3))}, "one shape, got (1, 2, 4, 3) and (1, 3, 4, 3)"),
        (
            {"vertices": [0.0]},
            "`vertices` must be integers of shape (R,) with R at least 1, got float64 (1,)",
        ),
        ({"vertices": [4]}, "`vertices` must index the 4 vertices, got 4..4"),
        (
            {"predicted": np.zeros((1, 2, 0, 3)), "target": np.zeros((1, 2, 0, 3))},
            "`vertices` must index the 0 vertices, got 0..2",
        ),
        ({"vertices": [-1, 2]}, "`vertices` must index the 4 vertices, got -1..2"),
        ({"lengths": [3]}, "`lengths` must be in 1..2, got [3]"),
        ({"predicted": np.full((2, 4, 3), np.nan)}, "must be finite, got nan or infinity"),
    ],
)
def test_meshes_that_do_not_fit_are_refused(change: dict[str, Any], message: str) -> None:
    """A flat array read as vertices, or -1 as an index, would still give a number."""
    arguments: dict[str, Any] = {
        "predicted": np.zeros((2, 4, 3)),
        "target": np.zeros((2, 4, 3)),
        "vertices": _LIPS,
        "mesh_unit": "mm",
    }
    with pytest.raises(InputError, match=re.escape(message)):
        vertex_error_of_meshes(**{**arguments, **change})


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_presets_apply_to_meshes(name: str, pair: tuple[np.ndarray, np.ndarray]) -> None:
    """FLAME and BIWI come as vertices: a preset that needs taking apart will be typed wrongly."""
    variant = preset(name).lve
    assert variant.options == {"region": "lips", **variant.mesh_options}
    found = vertex_error_of_meshes(*pair, vertices=_LIPS, mesh_unit="m", **variant.mesh_options)
    millimetres = vertex_error_of_meshes(
        *pair, vertices=_LIPS, mesh_unit="m", **{**variant.mesh_options, "unit": "mm"}
    )
    scale = 1e-3**variant.power if variant.unit == "m" else 1.0
    np.testing.assert_allclose(found, millimetres * scale)
