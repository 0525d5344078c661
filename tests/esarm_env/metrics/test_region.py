"""Regions: fast displacements equal the plain ones, vertex by vertex and at their largest."""

from __future__ import annotations

import numpy as np
import pytest

from esarm_env.face.head import load_head
from esarm_env.metrics import region
from esarm_env.metrics.region import pieces_of, region_of


def _plain(planes: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the squared displacement of each vertex in each frame, (N, R), in float64."""
    moved = (weights.astype(np.float64) @ planes).reshape(len(weights), 3, -1)
    return np.square(moved).sum(axis=1)


@pytest.mark.parametrize("centred", [False, True])
@pytest.mark.parametrize("name", ["lips", "upper", "all"])
@pytest.mark.parametrize("block_floats", [500_000, 20_000])
def test_fast_displacements_equal_the_plain_ones(
    monkeypatch: pytest.MonkeyPatch, name: str, centred: bool, block_floats: int
) -> None:
    """A vertex in the piece of another one would lack a channel; a seam would lose frames."""
    monkeypatch.setattr(region, "_BLOCK_FLOATS", block_floats)
    rng = np.random.default_rng(0)
    known = region_of(load_head(), name, centred=centred)
    captured = rng.random(52) < 0.8
    channels = known.used(captured)
    weights = rng.uniform(-1, 1, (37, len(channels))).astype(np.float32)
    weights[5] = 0
    expected = _plain(known.planes[channels], weights)
    largest = known.largest_squares(weights, channels)
    assert np.abs(np.sqrt(largest) - np.sqrt(expected.max(axis=1))).max() < 2e-5
    squared = np.empty_like(expected)
    for block, values in known.squared_displacements(weights, channels):
        squared[block] = values
    assert np.abs(np.sort(squared, axis=1) - np.sort(expected, axis=1)).max() < 2e-3  # of 1e3 mm²


def test_a_region_falls_into_pieces_of_few_channels() -> None:
    """Two lids that no channel shares: half of the products would be with zero."""
    moves = np.zeros((6, 4), dtype=np.bool_)
    moves[:3, :2] = moves[3:, 2:] = True
    parts = pieces_of(moves)
    assert sorted(sorted(part.tolist()) for part in parts) == [[0, 1, 2], [3, 4, 5]]
    assert [part.tolist() for part in pieces_of(np.ones((6, 4), dtype=np.bool_))] == [[*range(6)]]


def test_the_pieces_of_the_shipped_upper_face_save_a_third() -> None:
    """Each vertex is in one piece; together they cost less than the whole."""
    moves = np.any(region_of(load_head(), "upper").planes.reshape(52, 3, -1) != 0, axis=1).T
    parts = pieces_of(moves)
    assert sorted(np.concatenate(parts).tolist()) == list(range(len(moves)))
    cost = sum(len(part) * moves[part].any(axis=0).sum() for part in parts)
    assert cost < 0.67 * len(moves) * moves.any(axis=0).sum()


def test_no_frame_has_no_displacement() -> None:
    """Differences of an utterance of one frame: nothing, not an error."""
    lips = region_of(load_head(), "lips")
    channels = lips.used(np.ones(52, dtype=np.bool_))
    nothing = np.zeros((0, len(channels)), dtype=np.float32)
    assert lips.largest_squares(nothing, channels).shape == (0,)
    assert list(lips.squared_displacements(nothing, channels)) == []
