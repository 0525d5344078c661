"""What a policy of the tiny task expects, collected once."""

import dataclasses

import numpy as np
import pytest
import torch

from reward.consensus import ConsensusConfig, ConsensusModel, collect_consensus

TINY = ConsensusConfig(
    members=2,
    samples=4,
    families=("frozen-span", "shuffled-audio", "upper:random-codes"),
    strengths=(0.5, 1.0),
    damages=2,
    n_layers=1,
    n_heads=2,
    width=16,
    imagined=3,
    rank=4,
    hidden=16,
    dropout=0.0,
    epochs=30,
    batch_utterances=4,
    samples_per_update=3,
    others_per_update=3,
    learning_rate=5e-3,
)


@pytest.fixture(scope="session")
def tiny_config():
    """Sizes that train in a second."""
    return TINY


@pytest.fixture(scope="session")
def collect(tiny_task, roll_out):
    """Return a function: collect what is expected of the tiny task's training utterances."""

    def make(config=TINY, *, seed=0, levels=None):
        train = tiny_task.corpus.split("train")
        return collect_consensus(
            tiny_task, roll_out, train, levels=levels, config=config, seed=seed
        )

    return make


@pytest.fixture(scope="session")
def data(collect, make_demonstrations, tiny_task):
    """Everything there is to learn from, with two noise levels."""
    train = tiny_task.corpus.split("train")
    return collect(levels=make_demonstrations(train, (0.25, 1.0)))


@pytest.fixture
def model(tiny_task):
    """An untrained model of two members, of the tiny task's sizes."""
    torch.manual_seed(0)
    step = tiny_task.tokenizer.frames_per_chunk
    config = dataclasses.replace(TINY, disagreement=0.5)
    sizes = {"audio_dim": tiny_task.features.dim * step, "condition_dim": tiny_task.condition_dim}
    made = ConsensusModel(config, frames=step, **sizes)
    generator = np.random.default_rng(0)
    for member in made.members:  # else the corrections, which start at 0, would go untested
        for stream in member.streams:
            noise = generator.standard_normal(stream.to_correction.weight.shape)
            stream.to_correction.weight.data.copy_(torch.from_numpy(noise))
    return made.eval()
