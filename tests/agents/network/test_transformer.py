"""The policy network: causal, indifferent to padding, and told where it stands by rotation."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from agents.network.transformer import MotionTransformer, PolicyConfig, rotate, rotations
from agents.protocols import SequenceTask

_SIZES = PolicyConfig(n_tokens=4, tokens_per_chunk=2, window_dim=8, condition_dim=5)

Inputs = tuple[Tensor, Tensor, Tensor]


@pytest.fixture
def inputs(model: MotionTransformer) -> Inputs:
    """Return windows, condition and tokens of 3 sequences of 5 chunks, 10 tokens."""
    generator = torch.Generator().manual_seed(1)
    windows = torch.randn(3, 5, model.config.window_dim, generator=generator)
    condition = torch.randn(3, model.config.condition_dim, generator=generator)
    tokens = torch.randint(model.config.n_tokens, (3, 10), generator=generator)
    return windows, condition, tokens


def _changed(model: MotionTransformer, before: Inputs, after: Inputs) -> list[bool]:
    """Return for each position whether its logits or value moved in every row."""
    with torch.no_grad():
        (logits, values), (new_logits, new_values) = model(*before), model(*after)
    moved = (logits - new_logits).abs().amax(-1) + (values - new_values).abs()
    still, large = (moved < 1e-6).all(0), (moved > 1e-4).all(0)
    assert (still | large).all(), "a position moved in some rows only, or hardly"
    return large.tolist()


@pytest.mark.parametrize("t", range(10))
def test_a_token_is_seen_only_after_it_is_written(
    model: MotionTransformer, inputs: Inputs, t: int
) -> None:
    """A network that sees its own target has a perfect loss and writes nonsense on its own."""
    windows, condition, tokens = inputs
    other = tokens.clone()
    other[:, t] = (other[:, t] + 1) % model.config.n_tokens
    changed = _changed(model, inputs, (windows, condition, other))
    assert changed == [position > t for position in range(10)]


@pytest.mark.parametrize("chunk", range(5))
def test_audio_is_heard_from_its_chunk_on(
    model: MotionTransformer, inputs: Inputs, chunk: int
) -> None:
    """Windows shifted by one chunk would pass every shape check and come out late in the face."""
    windows, condition, tokens = inputs
    other = windows.clone()
    other[:, chunk] += torch.linspace(-1, 1, windows.shape[-1])
    changed = _changed(model, inputs, (other, condition, tokens))
    assert changed == [position >= 2 * chunk for position in range(10)]


def test_the_condition_is_felt_everywhere(model: MotionTransformer, inputs: Inputs) -> None:
    """A condition that reaches no token leaves every face neutral."""
    windows, condition, tokens = inputs
    assert all(_changed(model, inputs, (windows, condition + 1, tokens)))


def test_the_style_is_linear_in_the_condition(model: MotionTransformer, inputs: Inputs) -> None:
    """Half an emotion must be half of its style, or intensities cannot be interpolated."""
    windows, condition, _ = inputs
    without = model.conditioning(windows, torch.zeros_like(condition))
    once = model.conditioning(windows, condition) - without
    twice = model.conditioning(windows, 2 * condition) - without
    torch.testing.assert_close(twice, 2 * once, atol=1e-5, rtol=1e-5)


def test_padding_changes_no_other_row_and_no_entry_before_it(model: MotionTransformer) -> None:
    """A short utterance would get other log-probabilities in every batch it stands in."""
    generator = torch.Generator().manual_seed(2)
    windows, condition = torch.randn(2, 5, 8, generator=generator), torch.randn(2, 5)
    tokens = torch.randint(4, (2, 10), generator=generator)
    windows[0, 2:], tokens[0, 4:] = 0, -1
    with torch.no_grad():
        logits, values = model(windows, condition, tokens)
        short = model(windows[:1, :2], condition[:1], tokens[:1, :4])
        long = model(windows[1:], condition[1:], tokens[1:])
    torch.testing.assert_close((logits[:1, :4], values[:1, :4]), short, atol=1e-5, rtol=0)
    torch.testing.assert_close((logits[1:], values[1:]), long, atol=1e-5, rtol=0)


def test_what_stands_in_the_padding_does_not_matter(model: MotionTransformer) -> None:
    """Leftovers behind the end must not leak into the utterance before it."""
    generator = torch.Generator().manual_seed(3)
    windows, condition = torch.randn(1, 5, 8, generator=generator), torch.zeros(1, 5)
    tokens = torch.full((1, 10), -1)
    rubbish = windows.clone(), condition, torch.randint(4, (1, 10), generator=generator)
    tokens[0, :4] = rubbish[2][0, :4]
    windows[:, 2:] = 0
    changed = _changed(model, (windows, condition, tokens), rubbish)
    assert not any(changed[:4])


def test_every_token_of_every_slot_and_the_start_has_its_own_input(
    model: MotionTransformer,
) -> None:
    """Codebooks that share rows would make a mouth code mean a brow code."""
    config = model.config
    n_rows = config.n_tokens * config.tokens_per_chunk + 1
    (table,) = [each for each in model.parameters() if each.shape == (n_rows, config.width)]
    tokens = torch.arange(config.n_tokens)[:, None].expand(-1, 4)
    windows = torch.zeros(config.n_tokens, 2, config.window_dim)
    logits, _ = model(windows, torch.zeros(config.n_tokens, config.condition_dim), tokens)
    logits.square().sum().backward()
    assert table.grad is not None
    assert (table.grad.abs().sum(-1) > 0).all()


def test_the_first_baseline_is_zero() -> None:
    """A random value head would start the advantages from noise."""
    _, values = MotionTransformer(_SIZES)(
        torch.randn(2, 3, 8), torch.randn(2, 5), torch.zeros(2, 6, dtype=torch.long)
    )
    assert (values == 0).all()


def test_the_value_loss_leaves_the_policy_alone(model: MotionTransformer, inputs: Inputs) -> None:
    """The first value errors are large; through a shared trunk they tear the clone apart."""
    _, values = model(*inputs)
    values.square().sum().backward()
    touched = {name for name, parameter in model.named_parameters() if parameter.grad is not None}
    assert touched and all(name.startswith("to_value") for name in touched)


def test_positions_beyond_training_are_finite_and_distinct(model: MotionTransformer) -> None:
    """A learned position table would end at the longest training utterance with an index error."""
    n_chunks = 150
    tokens = torch.zeros(1, 2 * n_chunks, dtype=torch.long)
    with torch.no_grad():
        logits, values = model(torch.ones(1, n_chunks, 8), torch.ones(1, 5), tokens)
    assert torch.isfinite(logits).all() and torch.isfinite(values).all()


def test_rotation_is_a_complex_product() -> None:
    """Halves paired otherwise still learn, but load no weights of anyone else's making."""
    x = torch.randn(1, 2, 7, 8)
    positions = torch.arange(7) + 30
    angle = positions[:, None].numpy() * 10_000.0 ** (-np.arange(4) / 4)
    turned = (x[..., :4].numpy() + 1j * x[..., 4:].numpy()) * np.exp(1j * angle)
    expected = np.concatenate([turned.real, turned.imag], axis=-1)
    np.testing.assert_allclose(rotate(x, rotations(positions, 8)), expected, atol=1e-5)


def test_attention_depends_on_distance_only() -> None:
    """Absolute positions that leak in would tie a viseme to the second it was trained at."""
    q, k = torch.randn(2, 1, 1, 1, 8)

    def product(at: int) -> Tensor:
        ours, theirs = rotations(torch.tensor([at + 3]), 8), rotations(torch.tensor([at]), 8)
        return (rotate(q, ours) * rotate(k, theirs)).sum()

    torch.testing.assert_close(product(0), product(90), atol=1e-4, rtol=0)
    assert abs(product(0) - (q * k).sum()) > 1e-3


def test_dropout_is_active_in_training_mode_only(
    task: SequenceTask, make_model: Callable[..., MotionTransformer], inputs: Inputs
) -> None:
    """Dropout that never acts does not regularise; dropout that always acts breaks the ratio."""
    model = make_model(task, dropout=0.5)
    with torch.no_grad():
        calm, again = model(*inputs)[0], model(*inputs)[0]
        model.train()
        first, second = model(*inputs)[0], model(*inputs)[0]
    assert torch.equal(calm, again)
    assert not torch.equal(first, second)


@pytest.mark.parametrize(
    ("width", "n_heads", "rule"),
    [
        (12, 4, "`width` must be a multiple of 8 (2 * n_heads), got 12"),
        (20, 4, "`width` must be a multiple of 8 (2 * n_heads), got 20"),
        (3, 1, "`width` must be a multiple of 2 (2 * n_heads), got 3"),
    ],
)
def test_a_width_that_heads_cannot_share_is_rejected(width: int, n_heads: int, rule: str) -> None:
    """A head of odd width has no pairs to rotate; the error would come from deep inside."""
    with pytest.raises(ValueError, match=re.escape(rule)):
        replace(_SIZES, width=width, n_heads=n_heads)


@pytest.mark.parametrize(("width", "n_heads"), [(8, 4), (2, 1), (16, 4)])
def test_the_narrowest_even_heads_are_allowed(width: int, n_heads: int) -> None:
    """The rule must not refuse the smallest network that works."""
    model = MotionTransformer(replace(_SIZES, width=width, n_heads=n_heads))
    assert model.head_dim == width // n_heads
    logits, values = model(torch.zeros(1, 2, 8), torch.zeros(1, 5), torch.zeros(1, 4).long())
    assert logits.shape == (1, 4, 4) and values.shape == (1, 4)
