"""Causal attention: the fast form is the plain one, in its values and in its gradients."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from agents.network import transformer
from agents.network.transformer import causal_attention, rotate, rotations


def _plain(qkv: Tensor, rotation: tuple[Tensor, Tensor]) -> Tensor:
    """Return what torch's own attention gives, shape (B, L, A * D)."""
    q, k, v = qkv.permute(2, 0, 3, 1, 4)
    mixed = functional.scaled_dot_product_attention(
        rotate(q, rotation), rotate(k, rotation), v, is_causal=True
    )
    return mixed.transpose(1, 2).flatten(2)


def _random(*shape: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64)


# One token, less than a block, exactly one, one more, and several with a rest.
@pytest.mark.parametrize("length", [1, 5, 64, 65, 150])
def test_values_and_gradients_are_those_of_plain_attention(length: int) -> None:
    """A gradient by hand that is off by a factor still learns: slower, and nobody sees why."""
    qkv = _random(2, length, 3, 3, 8).requires_grad_()
    rotation = tuple(part.double() for part in rotations(torch.arange(length), 8))
    upstream = _random(2, length, 24, seed=1)
    results = []
    for attend in (causal_attention, _plain):
        mixed = attend(qkv, rotation)  # type: ignore[arg-type]
        (gradient,) = torch.autograd.grad(mixed, qkv, upstream)
        results.append((mixed.detach(), gradient))
    torch.testing.assert_close(results[0], results[1], atol=1e-12, rtol=0)


def test_gradients_agree_with_finite_differences(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two forms may share a mistake; differences of the function itself cannot."""
    monkeypatch.setattr(transformer, "BLOCK", 2)
    qkv = _random(1, 5, 3, 2, 4).requires_grad_()
    rotation = tuple(part.double() for part in rotations(torch.arange(5), 4))
    assert torch.autograd.gradcheck(lambda x: causal_attention(x, rotation), qkv)  # type: ignore[arg-type]


def test_no_token_hears_of_those_behind_it() -> None:
    """Blocks of queries are masked by hand; one column too many would leak the next token."""
    rotation = rotations(torch.arange(70), 8)
    qkv = _random(1, 70, 3, 1, 8).float()
    changed = qkv.clone()
    changed[:, 66:] += 1
    before, after = (causal_attention(each, rotation)[0] for each in (qkv, changed))
    assert torch.equal(before[:66], after[:66])
    assert not torch.isclose(before[66:], after[66:]).all(dim=1).any()


def test_dropout_is_random_and_keeps_the_mean() -> None:
    """Cloning drops attention weights; the fast form, which does not, must stand aside."""
    torch.manual_seed(0)
    qkv, rotation = _random(1, 6, 3, 2, 4).float(), rotations(torch.arange(6), 4)
    dropped = [causal_attention(qkv, rotation, dropout=0.5) for _ in range(2000)]
    assert not torch.equal(dropped[0], dropped[1])
    mean = torch.stack(dropped).mean(0)
    torch.testing.assert_close(mean, causal_attention(qkv, rotation), atol=0.1, rtol=0)


def test_half_precision_stays_half_precision() -> None:
    """Rotary positions are computed in single precision and must not promote what is mixed."""
    qkv = _random(1, 6, 3, 2, 4).bfloat16()
    mixed = causal_attention(qkv, rotations(torch.arange(6), 4))
    assert mixed.dtype == torch.bfloat16
    exact = causal_attention(qkv.float(), rotations(torch.arange(6), 4))
    torch.testing.assert_close(mixed.float(), exact, atol=0.03, rtol=0)
