"""Adversary of the encoder: it finds what is there, and pushes the streams the other way."""

from __future__ import annotations

import io

import torch

from esarm_env.encoder.adversary import Adversary
from esarm_env.encoder.network import Streams


def planted(n: int = 32) -> tuple[Streams, torch.Tensor]:
    """Return levelled content whose pace tells the emotion, and labels, (n, 9)."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(n) % 2
    time = torch.arange(24.0) * (1 + labels[:, None])
    phase = torch.rand(n, 1, generator=generator)
    content = torch.sin(time + 6 * phase)[..., None].repeat(1, 1, 3)
    inside = torch.ones(n, 24, dtype=torch.bool)
    streams = Streams(content, torch.zeros(n, 24, 2), inside)
    return streams, torch.nn.functional.one_hot(labels, 9).float()


def test_it_finds_an_emotion_in_the_pace_alone() -> None:
    """Mean and spread tell nothing in levelled content; how fast it moves still does."""
    torch.manual_seed(0)
    adversary = Adversary(3)
    streams, labels = planted()
    for _ in range(150):
        adversary.learn(streams, labels)
    assert adversary(streams, labels).item() < 0.3


def test_its_gradient_is_turned_round_and_its_own_weights_stay() -> None:
    """Content that follows the gradient gets harder to read; only `learn` moves the adversary."""
    torch.manual_seed(0)
    adversary = Adversary(3)
    streams, labels = planted()
    for _ in range(40):
        adversary.learn(streams, labels)
    before = {name: value.clone() for name, value in adversary.state_dict().items()}
    content = streams.content.clone().requires_grad_()
    loss = adversary(streams._replace(content=content), labels)
    torch.autograd.backward(loss)
    assert content.grad is not None
    moved = (content - 0.5 * content.grad / content.grad.norm() * content.norm()).detach()
    assert adversary(streams._replace(content=moved), labels) > loss
    for name, value in adversary.state_dict().items():
        assert torch.equal(value, before[name])


def test_it_goes_on_after_an_interruption() -> None:
    """With its optimiser: the next step is the same to the last bit."""
    streams, labels = planted()
    torch.manual_seed(0)
    whole = Adversary(3)
    whole.learn(streams, labels)
    buffer = io.BytesIO()
    torch.save([whole.state_dict(), whole.optimizer.state_dict()], buffer)
    buffer.seek(0)
    again = Adversary(3)
    weights, optimizer = torch.load(buffer, weights_only=True)
    again.load_state_dict(weights)
    again.optimizer.load_state_dict(optimizer)
    whole.learn(streams, labels)
    again.learn(streams, labels)
    for name, value in whole.state_dict().items():
        assert torch.equal(again.state_dict()[name], value)
