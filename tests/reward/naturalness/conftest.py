"""Recordings of the tiny task beside uniformly random tokens, and a model that tells them apart."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from reward.naturalness import (
    NaturalnessConfig,
    NaturalnessModel,
    NaturalnessTrainer,
    collect_naturalness,
)

TINY = NaturalnessConfig(width=12, dropout=0.0, epochs=6, batch_utterances=3, learning_rate=1e-2)


@pytest.fixture(scope="session")
def naturalness_data(tiny_task, make_demonstrations):
    """Return a function: the data of some utterances, half of them written at random greedily."""

    def make(utterances, seed=0):
        some = make_demonstrations(utterances[::2], (1.0,), seed=seed)
        drawn = [
            make_demonstrations(utterances, (1.0,), seed=seed + number).trajectories
            for number in (1, 2)
        ]
        written = {"greedy": [some.trajectories], "sampled": drawn}
        return collect_naturalness(tiny_task, utterances, written)

    return make


@pytest.fixture(scope="session")
def make_trainer(tiny_task, naturalness_data):
    """Return a function: a fresh trainer on the training utterances, stopped by the others."""

    def make(config=TINY, *, measured=(True, True)):
        others = np.setdiff1d(np.arange(len(tiny_task.corpus)), tiny_task.corpus.split("train"))
        return NaturalnessTrainer(
            tiny_task,
            train=naturalness_data(tiny_task.corpus.split("train")),
            validation=naturalness_data(others, seed=5),
            config=config,
            measured=torch.tensor(measured),
            seed=0,
        )

    return make


@pytest.fixture(scope="session")
def trained(make_trainer):
    """A trainer at its end, with the rows of its epochs."""
    trainer = make_trainer()
    rows = [trainer.advance() for _ in range(trainer.n_total)]
    return trainer, rows


@pytest.fixture(scope="session")
def model(trained):
    """The trained model."""
    return trained[0].finish()


@pytest.fixture
def untrained(tiny_task):
    """A model of the tiny task's sizes."""
    torch.manual_seed(0)
    step = tiny_task.tokenizer.frames_per_chunk
    return NaturalnessModel(
        TINY,
        audio_dim=tiny_task.features.dim * step,
        condition_dim=tiny_task.condition_dim,
        frames=step,
    ).eval()
