"""Choices among tokens: one-hot ones are decoded like tokens, and motion has a slope in them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional

from esarm_env.task.animation_task import AnimationTask
from esarm_env.tokenizer.shape import TokenizerShape
from esarm_env.tokenizer.vq import VQMotionTokenizer


def _one_hot(tokens: np.ndarray, n_tokens: int) -> torch.Tensor:
    return functional.one_hot(torch.from_numpy(tokens.clip(0)), n_tokens).float()


def test_one_hot_choices_decode_like_tokens(tiny_task: AnimationTask) -> None:
    """Else a policy climbs the score of a face that nobody is shown."""
    rows = tiny_task.recorded(np.array([4, 6, 10]))
    decoded = tiny_task.decode_chunks(rows)
    choices = _one_hot(rows.tokens, tiny_task.n_tokens)
    found = tiny_task.tokenizer.decode_choices(choices, rows.lengths)
    assert len({len(motion) for motion in decoded}) == 3
    for motion, row in zip(decoded, found, strict=True):
        # Tokens are decoded end to end, choices row by row: sums are rounded in another order.
        np.testing.assert_allclose(row[: len(motion)].detach().numpy(), motion, atol=1e-6)


def test_a_grid_of_codes_is_mixed_too() -> None:
    """`fsq` has an offset behind its codes, which a sum over codebooks would count twice."""
    torch.manual_seed(0)
    shape = TokenizerShape(
        n_tokens=16, frames_per_chunk=4, mouth_codebooks=2, upper_codebooks=1, hidden=8,
        code_dim=4, quantiser="fsq",
    )  # fmt: skip
    tokenizer = VQMotionTokenizer(shape).eval()
    tokens = np.random.default_rng(0).integers(16, size=(2, 9))
    lengths = np.array([9, 9])
    with torch.no_grad():
        found = tokenizer.decode_choices(_one_hot(tokens, 16), lengths).numpy()
    np.testing.assert_allclose(found, tokenizer.decode_batch(tokens, lengths), atol=1e-6)


def test_the_slope_of_motion_is_that_of_finite_differences(tiny_task: AnimationTask) -> None:
    """A cut in the graph gives zeros, and a policy that never learns."""
    rows = tiny_task.recorded(np.array([4, 6]))
    choices = _one_hot(rows.tokens, tiny_task.n_tokens).requires_grad_()
    generator = torch.Generator().manual_seed(0)
    way = torch.randn(choices.shape, generator=generator)

    def total(given: torch.Tensor) -> torch.Tensor:
        motion = tiny_task.tokenizer.decode_choices(given, rows.lengths)[:, :, :52]
        return motion[0, :20].square().mean() + motion[1, :16].square().mean()

    (slope,) = torch.autograd.grad(total(choices), choices)
    with torch.no_grad():
        step = 1e-3
        found = (total(choices + step * way) - total(choices - step * way)) / (2 * step)
    assert float((slope * way).sum()) == pytest.approx(float(found), rel=0.02)
    ends = rows.lengths
    assert not slope[1, ends[1] :].any(), "padding moves nothing"
