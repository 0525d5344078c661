"""Principal components in millimetres: exact both ways, ordered, and the start of training."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest
import torch

from esarm_env.core.types import FloatArray
from esarm_env.face import load_head
from esarm_env.tokenizer import PriorConfig, VQMotionTokenizer
from esarm_env.tokenizer.components import principal_components
from esarm_env.tokenizer.shape import TokenizerShape
from esarm_env.tokenizer.training import TokenizerTrainer, squared_mm_metric


def make_motions(rng: np.random.Generator, *, n_channels: int = 5) -> list[FloatArray]:
    """Return centred motions of 1, 7, and 60 frames with channels of unlike size."""
    size = np.linspace(0.1, 2, n_channels)
    return [(rng.standard_normal((n, n_channels)) * size).astype(np.float32) for n in (1, 7, 60)]


def make_metric(rng: np.random.Generator, n_channels: int = 5) -> FloatArray:
    root = rng.standard_normal((n_channels, n_channels))
    return (root @ root.T + 0.1 * np.eye(n_channels)).astype(np.float32)


@pytest.mark.parametrize("step", [1, 3, 4])
def test_the_way_back_is_exact(rng: np.random.Generator, step: int) -> None:
    """A transposed axis would mix frames and channels and still train somehow."""
    encode, decode = principal_components(
        make_motions(rng), make_metric(rng), frames_per_chunk=step
    )
    np.testing.assert_allclose(decode @ encode, np.eye(5 * step), atol=2e-4)


def test_distance_among_components_is_the_cost_in_millimetres(rng: np.random.Generator) -> None:
    """It is why a quantiser spends its codes where the face moves."""
    metric = make_metric(rng)
    encode, _ = principal_components(make_motions(rng), metric, frames_per_chunk=4)
    error = rng.standard_normal((4, 5)).astype(np.float32)
    expected = np.einsum("tc,cd,td->", error, metric, error)
    assert np.square(encode @ error.reshape(-1)).sum() == pytest.approx(expected, rel=1e-3)


def test_the_first_components_hold_the_most(rng: np.random.Generator) -> None:
    """What has no room in a code vector must be what matters least."""
    motions, metric = make_motions(rng), make_metric(rng)
    encode, decode = principal_components(motions, metric, frames_per_chunk=2)
    chunks = motions[2].reshape(30, -1)
    spread = np.square(chunks @ encode.T).mean(axis=0)
    assert spread[0] > 3 * spread[-1]
    both = np.kron(np.eye(2), metric)

    def cost(kept: slice) -> float:
        error = chunks @ encode.T[:, kept] @ decode.T[kept] - chunks
        return float(np.einsum("nc,cd,nd->", error, both, error))

    costs = [cost(slice(0, n)) for n in range(11)]
    assert all(after <= before + 1e-3 for before, after in itertools.pairwise(costs))
    assert costs[10] < 1e-4 * costs[0]
    assert costs[3] < cost(slice(7, 10)), "the last three must be worth less than the first"


def test_before_training_a_wide_linear_path_loses_nothing(tiny_motions: list[FloatArray]) -> None:
    """Convolutions that do not begin with nothing would have to unlearn their noise first."""
    shape = TokenizerShape(frames_per_chunk=2, code_dim=62, hidden=8, linear_path=True)
    tokenizer = VQMotionTokenizer(shape).eval()
    tokenizer.fit(tiny_motions, squared_mm_metric(load_head()))
    motion = torch.from_numpy(tiny_motions[0][None, :20])
    centred = tokenizer._standardised(motion)
    for name, channels in (("mouth", slice(0, 31)), ("upper", slice(0, 21))):
        stream = tokenizer._stream(name)
        part = centred[..., channels] if name == "mouth" else centred[..., -21:]
        with torch.no_grad():
            torch.testing.assert_close(stream.decode(stream.encode(part)), part, atol=1e-3, rtol=0)


def test_a_linear_path_beats_the_convolutions_alone_early_on(
    tiny_motions: list[FloatArray],
) -> None:
    """It is what the floor within a demo's minute comes from."""
    config = PriorConfig(
        n_tokens=16,
        mouth_codebooks=2,
        upper_codebooks=2,
        hidden=16,
        code_dim=16,
        epochs=2,
        steps_per_epoch=10,
        batch_crops=16,
        crop_chunks=4,
    )
    metric = squared_mm_metric(load_head())
    errors = []
    for linear_path in (False, True):
        trainer = TokenizerTrainer(
            tiny_motions,
            load_head(),
            config=dataclasses.replace(config, linear_path=linear_path),
            seed=0,
        )
        for _ in range(config.epochs):
            trainer.advance()
        decode, encode = trainer.tokenizer.decode, trainer.tokenizer.encode
        apart = [decode(encode(motion))[: len(motion)] - motion for motion in tiny_motions]
        errors.append(np.mean([np.einsum("tc,cd,td->t", e, metric, e).mean() for e in apart]))
    assert errors[1] < 0.7 * errors[0]


def test_a_channel_that_never_moves_is_no_division_by_zero(rng: np.random.Generator) -> None:
    """Half of the recorded corpora measure the mouth alone."""
    motions = [rng.random((30, 52), dtype=np.float32) for _ in range(3)]
    for motion in motions:
        motion[:, :30] = 0.25
    tokenizer = VQMotionTokenizer(TokenizerShape(hidden=8, linear_path=True)).eval()
    tokenizer.fit(motions, squared_mm_metric(load_head()))
    assert tokenizer.channel_scale.min() == pytest.approx(0.01)
    for value in tokenizer.state_dict().values():
        assert value.isfinite().all()
    decoded = tokenizer.decode(tokenizer.encode(motions[0]))
    assert np.isfinite(decoded).all()
