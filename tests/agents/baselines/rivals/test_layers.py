"""Layers of the rivals: biases, cached attention, and padding that changes nothing."""

from __future__ import annotations

import torch

from agents.baselines.rivals.layers import (
    PERIOD,
    AudioStack,
    SelfAttention,
    biased_causal_mask,
    periodic_code,
)


def test_the_bias_falls_by_a_slope_for_each_whole_period_and_the_future_is_hidden() -> None:
    """FaceFormer's slopes at four heads are 1/4, 1/16, 1/64 and 1/256."""
    mask = biased_causal_mask(2 * PERIOD + 2)[0]
    for head, slope in enumerate((1 / 4, 1 / 16, 1 / 64, 1 / 256)):
        assert mask[head, PERIOD - 1, 0] == 0
        assert mask[head, PERIOD, 0] == -slope and mask[head, PERIOD, 1] == 0
        assert mask[head, 2 * PERIOD + 1, 1] == -2 * slope
    assert (mask[:, 3, 4:] < -1e8).all()


def test_the_code_of_a_place_comes_again_after_a_period() -> None:
    """A code that is not periodic ties a face to seconds since the start."""
    code = periodic_code(2 * PERIOD, 16)
    assert torch.equal(code[:PERIOD], code[PERIOD:])
    assert (code[:PERIOD].unsqueeze(0) - code[:PERIOD].unsqueeze(1)).norm(dim=-1)[0, 1:].min() > 0.1


def test_attention_goes_on_frame_by_frame_as_it_would_at_once() -> None:
    """A key that is kept in the wrong place would be heard at another time."""
    torch.manual_seed(0)
    layer, x, mask = SelfAttention(16), torch.randn(2, 7, 16), biased_causal_mask(7)
    past = list[torch.Tensor]()
    steps = [layer(x[:, t : t + 1], mask[:, :, t : t + 1, : t + 1], past) for t in range(7)]
    torch.testing.assert_close(torch.cat(steps, dim=1), layer(x, mask))


def test_padding_changes_no_token_and_each_frame_has_one() -> None:
    """Rows are padded to the longest of a batch: what is heard must not depend on its company."""
    torch.manual_seed(0)
    stack = AudioStack(5, 16, n_layers=2).eval()
    features = torch.randn(1, 9, 5)
    alone = stack(features, torch.ones(1, 9, dtype=torch.bool))
    padded = torch.cat([features, torch.randn(1, 5, 5)], dim=1)
    inside = torch.arange(14)[None] < 9
    assert alone.shape == (1, 9, 16)
    torch.testing.assert_close(stack(padded, inside)[:, :9], alone, rtol=1e-4, atol=1e-5)
