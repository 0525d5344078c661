"""The ceiling is taught the true error and nothing else."""

import dataclasses

import numpy as np
import torch

from esarm_env.core.seeds import FirstSample
from reward.consensus import ConsensusTrainer, with_true_errors
from reward.demonstrations import collect


def test_labels_are_the_true_errors(data, tiny_task, roll_out, monkeypatch):
    """A ceiling on other errors would bound nothing."""
    monkeypatch.setattr("reward.consensus.errors.MOST_VERTICES", 10_000)
    true = with_true_errors(tiny_task, data)
    assert true.recorded.errors[:, 0].abs().max() == 0, "the recording is the truth"
    drawn = collect(roll_out, tiny_task, data.utterances, epsilons=(0.0,), seed=0,
                    temperature=1.0, first_sample=FirstSample.CONSENSUS).trajectories  # fmt: skip
    expected = tiny_task.errors(drawn)
    whole = np.flatnonzero(tiny_task.n_frames[data.utterances] % 4 == 0)
    means = true.samples.errors.sum(dim=2) / data.n_chunks[:, None, None]  # (N, K, 2)
    for stream, name in enumerate(("lve", "eve")):
        np.testing.assert_allclose(means[whole, 0, stream], expected[name][whole], rtol=0.02)


def test_data_without_damage_have_a_ceiling_too(collect, tiny_task, tiny_config):
    """Those that agreement is watched on are such."""
    plain = collect(dataclasses.replace(tiny_config, damages=0))
    true = with_true_errors(tiny_task, plain)
    assert true.others.motion.shape[1] == 0
    assert not torch.equal(true.samples.errors, plain.samples.errors)


def test_the_same_trainer_learns_it(data, tiny_task, tiny_config):
    """Ceiling and reward differ in their labels alone."""
    true = with_true_errors(tiny_task, data)
    assert torch.equal(true.samples.motion, data.samples.motion)
    trainer = ConsensusTrainer(tiny_task, train=true, validation=true, config=tiny_config, seed=0)
    while trainer.n_done < trainer.n_total:
        row = trainer.advance()
    assert row["validation_agreement_mouth"] > 0.5
