"""Losses of cloning by hand, and the mixing of recorded and own tokens."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch

from agents.cloning.losses import cross_entropy, look_alike_targets, soft_cross_entropy
from agents.cloning.trainer import mix_tokens, own_tokens
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


def test_look_alikes_share_the_target_by_their_distance() -> None:
    """A code a hair away gets nearly as much as the recorded one, a far one next to nothing."""
    distances = torch.tensor([[[0.0, 0.1, 5.0], [0.1, 0.0, 5.0], [5.0, 5.0, 0.0]]])
    targets = look_alike_targets(distances, scale_mm=0.5)
    torch.testing.assert_close(targets.sum(-1), torch.ones(1, 3))
    near = float(torch.exp(torch.tensor(-0.2)))
    assert targets[0, 0, 1] / targets[0, 0, 0] == pytest.approx(near, rel=1e-5)
    assert targets[0, 0, 2] < 1e-4
    sharp = look_alike_targets(distances, scale_mm=1e-3)
    torch.testing.assert_close(sharp, torch.eye(3)[None])


def test_sharp_targets_are_plain_cross_entropy(rng: np.random.Generator) -> None:
    """By slot, and without the padding."""
    logits = torch.from_numpy(rng.normal(size=(2, 4, 3)).astype(np.float32))
    tokens = torch.tensor([[0, 2, 1, 1], [2, 0, -1, -1]])
    targets = torch.eye(3).expand(2, 3, 3)
    torch.testing.assert_close(
        soft_cross_entropy(logits, tokens, targets), cross_entropy(logits, tokens, smoothing=0.0)
    )
    mixed = targets.clone()
    mixed[1, 2] = torch.tensor([0.5, 0.0, 0.5])  # of token 2 in the second slot alone
    chances = -logits.log_softmax(-1)
    change = 0.5 * (chances[0, 1, 0] - chances[0, 1, 2]) / 6
    torch.testing.assert_close(
        soft_cross_entropy(logits, tokens, mixed),
        cross_entropy(logits, tokens, smoothing=0.0) + change,
    )
