"""Losses of distillation, by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from agents.distillation.losses import (
    divergence,
    entropy,
    expected_distances,
    fit,
    nearest_tokens,
    risk,
    soft_targets,
)
from agents.rollout.decoding import least_expected_distance

# Codes on a line at 0, 1 and 3 mm; chances 1/2, 1/4, 1/4.
LINE = torch.tensor([[[0.0, 1.0, 3.0], [1.0, 0.0, 2.0], [3.0, 2.0, 0.0]]])
LOGITS = torch.tensor([[[0.5, 0.25, 0.25]]]).log()


def test_expected_distances_are_means_over_the_teachers_chances() -> None:
    """0 * 1/2 + 1 * 1/4 + 3 * 1/4 = 1, and so on: the table must be read by the right side."""
    np.testing.assert_allclose(expected_distances(LOGITS, LINE)[0, 0], [1.0, 1.0, 2.0], rtol=1e-6)


def test_expected_distances_know_the_slot_of_each_token() -> None:
    """A table of another slot gives targets that look right and are another face's."""
    generator = torch.Generator().manual_seed(0)
    table = torch.rand(3, 5, 5, generator=generator)
    table = table + table.transpose(1, 2)
    logits = torch.randn(2, 6, 5, generator=generator)
    chosen = expected_distances(logits, table).argmin(-1)
    for t in range(6):
        assert torch.equal(chosen[:, t], least_expected_distance(logits[:, t], table[t % 3]))


def test_soft_targets_fall_to_1_over_e_at_the_scale() -> None:
    """Distances 1, 1 and 2 at a scale of 1 mm: the last is wanted e times less."""
    shares = soft_targets(LOGITS, LINE, scale_mm=1.0)[0, 0]
    assert math.isclose(float(shares.sum()), 1.0, rel_tol=1e-6)
    np.testing.assert_allclose(shares / shares[0], [1.0, 1.0, math.exp(-1)], rtol=1e-5)


def test_the_fit_is_cross_entropy_and_soft_targets_of_one_token_are_that_token() -> None:
    """At temperature 1, minus the log of the target's chance: ln 4."""
    token = torch.tensor([[2]])
    loss = fit(LOGITS, token, temperature=1.0)
    np.testing.assert_allclose(loss, [[math.log(4)]], rtol=1e-6)
    one_hot = torch.nn.functional.one_hot(token, 3).float()
    np.testing.assert_allclose(fit(LOGITS, one_hot, temperature=1.0), loss, rtol=1e-6)


def test_at_a_low_temperature_a_likeliest_target_has_nothing_to_gain() -> None:
    """So that the rest of the spread stays: 1/2 against 1/4 is 32 against 1 at a fifth."""
    logits = LOGITS.clone().requires_grad_()
    fit(logits, torch.tensor([[0]]), temperature=0.1).sum().backward()
    assert logits.grad is not None
    cold = float(logits.grad.abs().max())
    assert cold == abs(float(logits.grad[0, 0, 0]))
    np.testing.assert_allclose(cold, 1 - 1 / (1 + 2 * 0.5**10), rtol=1e-4)
    # A target that is not the likeliest gets the full step, whatever the temperature.
    logits.grad = None
    fit(logits, torch.tensor([[2]]), temperature=0.1).sum().backward()
    np.testing.assert_allclose(float(logits.grad[0, 0, 2]), -1, atol=2e-3)


def test_risk_is_what_the_policys_tokens_cost_beyond_the_nearest_one() -> None:
    """Three codes at 0, 1 and 3 mm; the teacher is sure of the first, the policy of none."""
    place = torch.tensor([0.0, 1.0, 3.0])
    distances = (place[:, None] - place).abs()[None]
    teacher = torch.tensor([[[50.0, 0.0, 0.0]]])
    even = torch.zeros(1, 1, 3)
    assert risk(even, teacher, distances, temperature=0.2).item() == pytest.approx(4 / 3)
    assert risk(teacher, teacher, distances, temperature=0.2).item() == pytest.approx(0)
    unsure = torch.tensor([[[1.0, 0.0, -50.0]]])  # .73 of the first: 0.27 mm off, the second .73
    sure_of_second = torch.tensor([[[0.0, 50.0, 0.0]]])
    lost = risk(sure_of_second, unsure, distances, temperature=1.0).item()
    assert lost == pytest.approx(math.tanh(0.5), abs=1e-6)


def test_a_slot_that_is_decoded_by_likelihood_costs_half_a_millimetre() -> None:
    """Its codes are 100 mm apart so that the likeliest is written; taken so they drown all."""
    apart = 100 * (1 - torch.eye(3))[None]
    teacher = torch.tensor([[[50.0, 0.0, 0.0]]])
    second = torch.tensor([[[0.0, 50.0, 0.0]]])
    assert risk(second, teacher, apart, temperature=1.0).item() == pytest.approx(0.5)


def test_nearest_tokens_are_what_the_teacher_would_have_written() -> None:
    """The same choice as in decoding, also after what the policy wrote; padding teaches nothing."""
    rng = torch.Generator().manual_seed(0)
    logits, half = torch.randn(2, 4, 5, generator=rng), torch.rand(2, 5, 5, generator=rng)
    distances = half + half.transpose(1, 2)
    tokens = torch.tensor([[0, 1, 2, 3], [4, 0, -1, -1]])
    found = nearest_tokens(logits, distances, tokens)
    assert found[1, 2:].tolist() == [-1, -1]
    for row, place in ((0, 0), (0, 3), (1, 1)):
        slot = distances[place % 2]
        assert found[row, place] == least_expected_distance(logits[row, place][None], slot)


def test_divergence_and_entropy_of_a_coin() -> None:
    """KL((1/2, 1/2) || (1/4, 3/4)) = ln 2 - (ln 3) / 2, and not the other way round."""
    coin, other = torch.tensor([[[0.5, 0.5]]]).log(), torch.tensor([[[0.25, 0.75]]]).log()
    expected = math.log(2) - math.log(3) / 2
    np.testing.assert_allclose(divergence(coin, other), [[expected]], rtol=1e-5)
    np.testing.assert_allclose(entropy(coin), [[math.log(2)]], rtol=1e-6)
