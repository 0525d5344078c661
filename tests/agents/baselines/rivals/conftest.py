"""A toy corpus for rivals: curves follow the audio, and the emotion lifts the last ones."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from agents.baselines.rivals import Couple, Rival, RivalBatch, RivalData, RivalSizes, rival_class
from agents.baselines.rivals.base import EMOTION, INTENSITY, PARTS, SPEAKER

MakeRival = Callable[..., Rival]
SLICES = {EMOTION: slice(0, 3), INTENSITY: slice(3, 5), SPEAKER: slice(5, 7)}
_FEATURES = 5


def curve_loss(curves: Tensor, target: Tensor, inside: Tensor) -> Tensor:
    """Return the mean absolute error, in place of one in mm."""
    return (curves - target)[inside].abs().mean()


def _utterance(number: int) -> tuple[np.ndarray, np.ndarray, int]:
    """Return features, curves and emotion; 2k and 2k + 1 say the same at two paces."""
    rng = np.random.default_rng(number // 2)
    said = np.repeat(rng.standard_normal((6, _FEATURES)), 2 + number % 2, axis=0)
    emotion = number % 3
    heard = np.concatenate([said[:, 1:], np.full((len(said), 1), emotion - 1.0)], axis=1)
    curves = np.full((len(said), 52), 0.3)
    curves[:, :20] += 0.15 * np.tanh(said[:, :1])
    curves[:, 20:] += 0.2 * (emotion - 1)
    return heard.astype(np.float32), curves.astype(np.float32), emotion


@pytest.fixture
def rival_data() -> RivalData:
    """Return 12 utterances of 12 or 18 frames, 10 of them to train, in parallel pairs."""
    features, curves, emotions = zip(*(_utterance(number) for number in range(12)), strict=True)
    conditions = np.zeros((12, 7), dtype=np.float32)
    conditions[np.arange(12), list(emotions)] = 1
    conditions[:, 3] = conditions[:10, 5] = 1  # validation speakers are unknown

    def couples(rng: np.random.Generator) -> list[Couple]:
        return [Couple(int(k), int(k) + 1, k % 4 == 0) for k in 2 * rng.permutation(5)]

    return RivalData(
        features=list(features),
        curves=list(curves),
        conditions=conditions,
        slices=SLICES,
        emotions=np.array(emotions),
        train=np.arange(10),
        validation=np.array([10, 11]),
        loss=curve_loss,
        couples=couples,
        align=lambda first, second: np.arange(len(curves[second])) * 2 // 3,
    )


@pytest.fixture
def rival_batch(rival_data: RivalData) -> RivalBatch:
    """Return the first four utterances, whole conditions, (0, 1) parallel."""
    batch = rival_data.batch([0, 1, 2, 3], PARTS)
    pairs = [Couple(0, 1, parallel=True), Couple(2, 3, parallel=False)]
    return batch._replace(parallel=rival_data.parallel(pairs, batch.features.shape[1]))


@pytest.fixture
def make_rival() -> MakeRival:
    """Return a function that builds a rival by name, its zero output layer drawn anew."""

    def make(name: str, *, condition_dim: int = 7) -> Rival:
        curves = np.arange(52)
        sizes = RivalSizes(
            feature_dim=_FEATURES,
            condition_dim=condition_dim,
            mean_pose=np.full(52, 0.3, dtype=np.float32),
            n_emotions=3,
            width=16,
            mouth=curves < 20,
            eyelids=np.isin(curves, [20, 21]),
        )
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            rival = rival_class(name)(sizes, curve_loss)
            for layer in (m for m in rival.modules() if isinstance(m, torch.nn.Linear)):
                if layer.weight.numel() and not layer.weight.any():
                    torch.nn.init.normal_(layer.weight, std=0.05)
        return rival.eval()

    return make
