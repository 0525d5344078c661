"""Losses of cloning by hand, and the mixing of recorded and own tokens."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch

from agents.cloning.trainer import cross_entropy, mix_tokens, own_tokens
from agents.network.transformer import MotionTransformer
from agents.protocols import SequenceTask


@pytest.mark.parametrize(
    ("smoothing", "expected"),
    [
        (0.0, [math.log(4 / 3), math.log(4)]),
        # Target of token 0: 0.9 on it, 0.1 spread over both; of token 1 the other way round.
        (
            0.2,
            [0.9 * math.log(4 / 3) + 0.1 * math.log(4), 0.1 * math.log(4 / 3) + 0.9 * math.log(4)],
        ),
    ],
)
def test_the_loss_is_the_one_written_on_paper(smoothing: float, expected: list[float]) -> None:
    """Chances of 3/4 and 1/4: smoothing that left the right token out would be another number."""
    logits = torch.tensor([[3.0, 1.0], [3.0, 1.0], [9.0, 1.0]]).log()[None]  # (1, 3, 2)
    loss = cross_entropy(logits, torch.tensor([[0, 1, -1]]), smoothing=smoothing)
    assert loss.item() == pytest.approx(np.mean(expected), abs=1e-6)


@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_the_share_of_the_others_is_the_share_asked_for(share: float) -> None:
    """100 000 tokens: five standard deviations of the mean are below 0.7 %."""
    torch.manual_seed(0)
    tokens, others = torch.zeros(500, 200, dtype=torch.long), torch.ones(500, 200).long()
    mixed, swapped = mix_tokens(tokens, others, share=share)
    assert swapped.float().mean().item() == pytest.approx(share, abs=0.007)
    assert torch.equal(mixed, swapped.long())


def test_padding_is_never_mixed() -> None:
    """A token in the padding would be a label's past that nobody recorded."""
    tokens = torch.tensor([[3, -1, -1], [2, 2, -1]])
    mixed, swapped = mix_tokens(tokens, torch.full((2, 3), 7), share=1.0)
    assert mixed.tolist() == [[7, -1, -1], [7, 7, -1]]
    assert torch.equal(swapped, tokens >= 0)


def test_own_tokens_are_drawn_from_the_logits_of_their_step(
    task: SequenceTask, make_model: Callable[..., MotionTransformer]
) -> None:
    """One step off, and the model would be shown tokens that it never said there."""
    model = make_model(task, dropout=0.5)
    row = np.array([8])
    tokens = torch.from_numpy(task.demonstrations(row))
    windows = torch.from_numpy(task.audio_windows(row))
    condition = torch.from_numpy(task.condition_of(row))
    with torch.no_grad():
        chances = model(windows, condition, tokens)[0].softmax(-1)[0]  # (L, K)
    many = [part.expand(4000, *part.shape[1:]) for part in (windows, condition, tokens)]
    model.train()
    own = own_tokens(model, *many)
    assert model.training, "the caller is in the middle of an epoch"
    counted = torch.stack([(own == token).float().mean(0) for token in range(4)], dim=-1)
    torch.testing.assert_close(counted, chances, atol=0.04, rtol=0)
