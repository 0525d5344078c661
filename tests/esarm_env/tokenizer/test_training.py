"""Training the motion prior: it learns, it repeats itself, and an interrupt changes nothing."""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Sequence

import numpy as np
import pytest
import torch

from esarm_env.core.types import N_CHANNELS, FloatArray
from esarm_env.face import load_head
from esarm_env.tokenizer import PriorConfig, VQMotionTokenizer, train_tokenizer
from esarm_env.tokenizer.training import TokenizerTrainer, squared_mm_metric

CONFIG = PriorConfig(
    n_tokens=8, hidden=16, code_dim=4, epochs=4, steps_per_epoch=4, batch_crops=8, crop_chunks=4
)


def weights_of(tokenizer: VQMotionTokenizer) -> dict[str, np.ndarray]:
    return {name: value.numpy() for name, value in tokenizer.state_dict().items()}


def assert_equal_weights(first: VQMotionTokenizer, second: VQMotionTokenizer) -> None:
    ours, theirs = weights_of(first), weights_of(second)
    assert ours.keys() == theirs.keys()
    for name, value in ours.items():
        np.testing.assert_array_equal(value, theirs[name], err_msg=name)


def squared_mm(metric: FloatArray, error: FloatArray) -> float:
    """Return the mean over frames of the error that training makes small, in mm^2."""
    return float(np.einsum("tc,cd,td->t", error, metric, error).mean())


def test_the_metric_is_the_squared_error_of_the_vertices(rng: np.random.Generator) -> None:
    """The quadratic form against moving the mesh, vertex by vertex."""
    head, metric = load_head(), squared_mm_metric(load_head())
    assert metric.shape == (N_CHANNELS, N_CHANNELS)
    assert metric.dtype == np.float32
    np.testing.assert_allclose(metric, metric.T, rtol=1e-6)
    first, second = rng.random((2, 5, N_CHANNELS), dtype=np.float32)
    apart = (head.apply(first) - head.apply(second)).astype(np.float64)  # (5, V, 3)
    squared = np.square(apart).sum(axis=2)
    expected = squared[:, head.regions["lips"]].mean(axis=1)
    expected += squared[:, head.upper].mean(axis=1)
    for channel in range(N_CHANNELS):
        reach = np.sqrt(np.square(head.deltas[channel]).sum(axis=1).max())
        expected += (reach * (first - second)[:, channel]) ** 2 / N_CHANNELS
    error = first - second
    ours = np.einsum("tc,cd,td->t", error, metric, error)
    np.testing.assert_allclose(ours, expected, rtol=1e-4)


def test_no_channel_is_free() -> None:
    """A tongue that moves neither lips nor brows would otherwise be left to chance."""
    metric = squared_mm_metric(load_head())
    assert np.diag(metric).min() > 0
    assert np.linalg.eigvalsh(metric).min() > -1e-4


def test_training_reduces_the_loss(tiny_motions: list[FloatArray]) -> None:
    """A sign or a detached gradient would leave a tokenizer that still runs."""
    config = dataclasses.replace(CONFIG, steps_per_epoch=25, linear_path=False)
    trainer = TokenizerTrainer(tiny_motions, load_head(), config=config, seed=0)
    lines = [trainer.advance() for _ in range(trainer.n_total)]
    assert trainer.n_done == trainer.n_total == 4
    assert set(lines[0]) == {"loss", "commitment"}
    assert lines[-1]["loss"] < 0.7 * lines[0]["loss"]
    assert not trainer.tokenizer.training, "between epochs the tokenizer must be ready to use"


def test_the_round_trip_beats_a_face_that_stands_still(
    tiny_tokenizer: VQMotionTokenizer, tiny_motions: list[FloatArray]
) -> None:
    """The mean pose is what a tokenizer with a single code comes to."""
    mean = np.concatenate(tiny_motions).mean(axis=0)
    np.testing.assert_allclose(tiny_tokenizer.mean_pose, mean, atol=1e-6)
    metric = squared_mm_metric(load_head())
    ours = still = 0.0
    for motion in tiny_motions:
        decoded = tiny_tokenizer.decode(tiny_tokenizer.encode(motion))
        ours += squared_mm(metric, decoded[: len(motion)] - motion)
        still += squared_mm(metric, mean - motion)
    assert ours < 0.35 * still


def test_the_codes_are_used(
    tiny_tokenizer: VQMotionTokenizer, tiny_motions: list[FloatArray]
) -> None:
    """A collapsed codebook makes actions that do nothing."""
    tokens = np.concatenate([tiny_tokenizer.encode(motion) for motion in tiny_motions])
    used = [len(np.unique(slot)) for slot in tokens.reshape(-1, 4).T]
    assert min(used) >= 6, f"codes used per codebook, of 16: {used}"


def test_the_same_seed_trains_the_same_tokenizer(tiny_motions: list[FloatArray]) -> None:
    """Every table is made of seeds; one that does nothing makes its intervals a fiction."""
    first, second, other = (
        train_tokenizer(tiny_motions, load_head(), config=CONFIG, seed=seed) for seed in (3, 3, 4)
    )
    assert_equal_weights(first, second)
    ours, theirs = weights_of(first), weights_of(other)
    differs = [not np.array_equal(ours[name], theirs[name]) for name in ours]
    assert sum(differs) > len(differs) / 2, "another seed must give other weights"


@pytest.fixture(scope="module")
def undisturbed(
    tiny_motions: list[FloatArray],
) -> tuple[VQMotionTokenizer, list[dict[str, float]]]:
    """Return a tokenizer that was trained in one go, and what each epoch reported."""
    whole = TokenizerTrainer(tiny_motions, load_head(), config=CONFIG, seed=1)
    lines = [whole.advance() for _ in range(CONFIG.epochs)]
    return whole.tokenizer, lines


@pytest.mark.parametrize("n_before", [0, 1, 3])
def test_an_interrupted_training_ends_the_same(
    tiny_motions: list[FloatArray],
    undisturbed: tuple[VQMotionTokenizer, list[dict[str, float]]],
    n_before: int,
) -> None:
    """Bit for bit: the optimiser, both generators and the learning rate's place go along."""
    whole, lines = undisturbed
    first = TokenizerTrainer(tiny_motions, load_head(), config=CONFIG, seed=1)
    for _ in range(n_before):
        first.advance()
    file = io.BytesIO()
    torch.save(first.state_dict(), file)
    torch.manual_seed(99)  # another process begins elsewhere
    again = TokenizerTrainer(tiny_motions, load_head(), config=CONFIG, seed=2)
    again.load_state_dict(torch.load(io.BytesIO(file.getvalue()), weights_only=False))
    assert again.n_done == n_before
    rest = [again.advance() for _ in range(CONFIG.epochs - n_before)]
    assert rest == lines[n_before:]
    assert_equal_weights(again.tokenizer, whole)


@pytest.mark.parametrize("lengths", [[3], [16], [17, 2, 40]])
def test_crops_stay_within_one_utterance(lengths: Sequence[int]) -> None:
    """A crop across two utterances teaches a jump; a short one holds its last frame."""
    motions = [
        np.tile(0.1 + number + np.arange(n)[:, None] / 1000, (1, N_CHANNELS)).astype(np.float32)
        for number, n in enumerate(lengths)
    ]
    trainer = TokenizerTrainer(motions, load_head(), config=CONFIG, seed=0)
    for _ in range(10):
        crops = trainer._crops().numpy()[..., 0]  # (B, 16)
        assert crops.shape == (8, 16)
        assert np.ptp(np.floor(crops), axis=1).max() == 0, "two utterances in one crop"
        steps = np.diff(crops, axis=1)
        held = np.abs(steps) < 1e-6
        np.testing.assert_allclose(steps[~held], 1e-3, atol=1e-5)
        assert (np.diff(held.astype(int), axis=1) >= 0).all(), "only the end may be held"
