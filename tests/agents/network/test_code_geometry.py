"""Code geometry: codes that look alike begin with alike weights, and nothing else changes."""

from __future__ import annotations

import pytest
import torch

from agents import MotionTransformer, PolicyConfig
from agents.network.geometry import code_coordinates, start_from_looks


def _points(n: int, dimensions: int, *, seed: int = 0) -> torch.Tensor:
    return torch.randn(n, dimensions, generator=torch.Generator().manual_seed(seed))


def _correlation(a: torch.Tensor, b: torch.Tensor) -> float:
    return float(torch.corrcoef(torch.stack([a.flatten(), b.flatten()]))[0, 1])


def _model(distances: torch.Tensor) -> MotionTransformer:
    """Return an untrained network with these distances at both of its slots."""
    torch.manual_seed(0)
    config = PolicyConfig(
        n_tokens=len(distances), tokens_per_chunk=2, window_dim=4, condition_dim=3, width=64
    )
    model = MotionTransformer(config)
    model.set_code_distances(torch.stack([distances, distances]))
    return model


def test_coordinates_have_the_distances_they_were_made_from() -> None:
    """Points in five dimensions come back, but for their place, turn and scale."""
    points = _points(40, 5)
    distances = torch.cdist(points, points)
    found = code_coordinates(distances, dimensions=8)
    assert found.shape == (40, 8)
    torch.testing.assert_close(found.mean(0), torch.zeros(8), atol=1e-5, rtol=0)
    assert float(found.square().sum(1).mean()) == pytest.approx(1, abs=1e-5)
    again = torch.cdist(found, found)
    scale = distances.sum() / again.sum()
    torch.testing.assert_close(again * scale, distances, atol=2e-3, rtol=0)
    assert float(found[:, 5:].abs().max()) < 1e-2, "there are five axes"


@pytest.mark.parametrize("n_codes", [1, 3])
def test_few_codes_have_fewer_axes(n_codes: int) -> None:
    """A tiny codebook must not ask for axes that it has not, nor divide by zero."""
    points = _points(n_codes, 4)
    found = code_coordinates(torch.cdist(points, points), dimensions=8)
    assert found.shape == (n_codes, 8)
    assert bool(torch.isfinite(found).all())
    assert not bool(found[:, n_codes:].any())


def test_a_cost_of_missing_at_all_is_no_distance() -> None:
    """It would push all codes to the corners of a simplex, where none is near another."""
    points = _points(40, 5)
    distances = torch.cdist(points, points)
    costly = distances + 100 * (1 - torch.eye(40))
    near, same = (torch.cdist(x, x) for x in map(code_coordinates, (costly, distances)))
    assert _correlation(near, same) > 0.99


def test_codes_that_look_alike_begin_alike() -> None:
    """Logits and embeddings of near codes are near: what is learned of one holds for the other."""
    distances = torch.cdist(_points(30, 3), _points(30, 3))
    distances.fill_diagonal_(0)
    model = _model(distances)
    far = distances[~torch.eye(30, dtype=torch.bool)]

    @torch.no_grad()
    def likeness() -> list[float]:
        weights = [*model.to_logits.transpose(1, 2), *model.to_token_input.weight[:60].chunk(2)]
        apart = [torch.cdist(rows, rows)[~torch.eye(30, dtype=torch.bool)] for rows in weights]
        return [_correlation(each, far) for each in apart]

    assert max(likeness()) < 0.3, "random weights know nothing of looks"
    start_from_looks(model)
    assert min(likeness()) > 0.8


def test_slots_without_distances_keep_their_random_weights() -> None:
    """A region that was never recorded has codes that all look alike: there is no geometry."""
    model = _model(torch.zeros(6, 6))
    before = model.to_logits.clone(), model.to_token_input.weight.clone()
    start_from_looks(model)
    torch.testing.assert_close(model.to_logits, before[0], atol=0, rtol=0)
    torch.testing.assert_close(model.to_token_input.weight, before[1], atol=0, rtol=0)


def test_the_row_for_nothing_written_yet_is_left_alone() -> None:
    """It stands for no code."""
    points = _points(6, 3)
    model = _model(torch.cdist(points, points))
    before = model.to_token_input.weight[-1].clone()
    start_from_looks(model)
    torch.testing.assert_close(model.to_token_input.weight[-1], before, atol=0, rtol=0)
