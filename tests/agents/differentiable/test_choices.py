"""Straight-through choices: hard forward, and backward with the bias that each estimator states."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from agents.differentiable.choices import (
    ESTIMATORS,
    choose_straight_through,
    gumbel_given_tokens,
)

K = 5
Score = Callable[[Tensor], Tensor]


@pytest.fixture
def logits() -> Tensor:
    """Return logits of one token among five, (1, 1, 5)."""
    generator = torch.Generator().manual_seed(0)
    return torch.randn(1, 1, K, generator=generator, dtype=torch.float64).requires_grad_()


@pytest.fixture
def linear() -> Score:
    """Return a score that is linear in a row."""
    weights = torch.randn(K, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    return lambda row: row @ weights


@pytest.fixture
def square() -> Score:
    """Return a score that is a square of a row."""
    way = torch.randn(3, K, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    return lambda row: (way @ row - 1).square().sum()


def exact(logits: Tensor, score: Score) -> Tensor:
    """Return the gradient of the expected score, every token weighed by its probability."""
    p = logits[0, 0].softmax(-1)
    expected = sum(p[k] * score(torch.eye(K, dtype=p.dtype)[k]) for k in range(K))
    assert isinstance(expected, Tensor)
    (gradient,) = torch.autograd.grad(expected, logits)
    return gradient[0, 0]


def estimated(
    logits: Tensor, score: Score, *, estimator: str, draws: int = 1, relaxation: float = 1.0
) -> Tensor:
    """Return the expectation of the estimator over tokens, and its mean over `draws` of noise."""
    p = logits[0, 0].softmax(-1).detach()
    many, total = logits.expand(draws, 1, K), torch.zeros(K, dtype=p.dtype)
    for k in range(K):
        choices = choose_straight_through(
            many, torch.full((draws, 1), k), estimator=estimator, relaxation=relaxation, seed=k
        )
        expected = torch.stack([score(row) for row in choices[:, 0]]).mean()
        (gradient,) = torch.autograd.grad(expected, logits)
        total += p[k] * gradient[0, 0]
    return total


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_forward_every_estimator_is_the_token(estimator: str) -> None:
    """A soft row decodes to a face between two, which no token can say."""
    generator = torch.Generator().manual_seed(0)
    logits = (3 * torch.randn(2, 4, K, generator=generator)).requires_grad_()
    tokens = torch.tensor([[0, 3, 4, 1], [2, 2, -1, -1]])
    choices = choose_straight_through(logits, tokens, estimator=estimator)
    assert torch.equal(choices.argmax(-1)[tokens >= 0], tokens[tokens >= 0])
    torch.testing.assert_close(choices.sum(-1), (tokens >= 0).float())
    way = torch.randn(2, 4, K, generator=generator)
    (gradient,) = torch.autograd.grad((choices * way).sum(), logits)
    assert gradient[tokens >= 0].abs().min() > 0
    assert not gradient[tokens < 0].any()
    torch.testing.assert_close(gradient.sum(-1), torch.zeros(2, 4), atol=1e-6, rtol=0)


def test_straight_through_is_exact_where_the_score_is_linear(
    logits: Tensor, linear: Score, square: Score
) -> None:
    """Its stated bias: none for a line, some for a square."""
    found = estimated(logits, linear, estimator="straight-through")
    torch.testing.assert_close(found, exact(logits, linear))
    off = estimated(logits, square, estimator="straight-through") - exact(logits, square)
    assert off.norm() > 0.1 * exact(logits, square).norm()


def test_reinmax_is_exact_up_to_squares(logits: Tensor, linear: Score, square: Score) -> None:
    """Of second order, as its authors prove; a cube is beyond it."""
    for score in (linear, square):
        torch.testing.assert_close(
            estimated(logits, score, estimator="reinmax"), exact(logits, score)
        )

    def cube(row: Tensor) -> Tensor:
        return linear(row) ** 3

    off = estimated(logits, cube, estimator="reinmax") - exact(logits, cube)
    assert off.norm() > 0.01 * exact(logits, cube).norm()


def test_gumbel_is_the_gradient_of_the_relaxed_score(logits: Tensor, linear: Score) -> None:
    """Noise given the token, tokens by their probability: together plain Gumbel noise.

    Against soft rows under noise drawn freely, and finite differences of their expected score.
    """
    how: dict[str, Any] = {"estimator": "gumbel", "draws": 1500}
    found = estimated(logits, linear, relaxation=0.7, **how)
    uniform = torch.rand(100_000, K, generator=torch.Generator().manual_seed(3))
    noise = -(-uniform.double().log()).log()

    def relaxed(given: Tensor) -> Tensor:
        return linear(((given + noise) / 0.7).softmax(-1)).mean()

    steps = 1e-3 * torch.eye(K, dtype=torch.float64)
    given = logits[0, 0].detach()
    slopes = [(relaxed(given + step) - relaxed(given - step)) / 2e-3 for step in steps]
    torch.testing.assert_close(found, torch.stack(slopes), atol=0.02, rtol=0)
    # Towards 0 the bias goes.
    bias = [
        (estimated(logits, linear, relaxation=tau, **how) - exact(logits, linear)).norm()
        for tau in (2.0, 0.4)
    ]
    assert bias[1] < 0.3 * bias[0]


def test_noise_belongs_to_its_token() -> None:
    """The token is the largest; the largest is Gumbel distributed, whatever the token."""
    generator = torch.Generator().manual_seed(0)
    log_p = torch.randn(4000, 1, K, generator=generator).log_softmax(-1)
    tokens = torch.randint(K, (4000, 1), generator=generator)
    noise = gumbel_given_tokens(log_p, tokens, seed=5)
    perturbed = log_p + noise
    assert torch.equal(perturbed.argmax(-1), tokens)
    largest = perturbed.amax(-1)
    assert float(largest.mean()) == pytest.approx(0.5772, abs=0.06)
    assert float(largest.std()) == pytest.approx(1.2825, abs=0.06)
    assert torch.equal(noise, gumbel_given_tokens(log_p, tokens, seed=5))
    assert not torch.equal(noise, gumbel_given_tokens(log_p, tokens, seed=6))


def test_impossible_tokens_give_finite_slopes() -> None:
    """A distilled policy is sure; its other tokens have a probability of 0 in float32."""
    logits = torch.tensor([[[0.0, 300.0, -300.0]]]).requires_grad_()
    for estimator in ESTIMATORS:
        for token in (0, 1):
            choices = choose_straight_through(logits, torch.tensor([[token]]), estimator=estimator)
            (gradient,) = torch.autograd.grad(choices[0, 0, 2] - choices[0, 0, 1], logits)
            assert torch.isfinite(gradient).all() and torch.isfinite(choices).all()


def test_an_unknown_estimator_is_refused(logits: Tensor) -> None:
    """The three differ by their bias alone, which nobody sees in a log."""
    message = "`estimator` must be one of gumbel, straight-through, reinmax, got 'soft'"
    with pytest.raises(ValueError, match=re.escape(message)):
        choose_straight_through(logits, torch.tensor([[0]]), estimator="soft")
