"""What is learned from: who stands where, and with which label."""

import dataclasses
import re

import numpy as np
import pytest
import torch

from esarm_env.core.errors import InputError
from esarm_env.core.seeds import FirstSample
from reward.consensus import ExpectedErrors, collect_consensus
from reward.consensus.losses import draw_batch
from reward.demonstrations import collect as roll_out_all


def test_every_utterance_has_its_samples_truth_noise_and_damage(data, tiny_config):
    """A group that is missing is a thing the reward never learns."""
    n = len(data)
    assert data.samples.motion.shape[:2] == (n, tiny_config.samples)
    assert data.samples.present.all()
    assert data.recorded.motion.shape[1] == 2  # the recording, and through the tokenizer
    levels = data.others.noise[~data.others.noise.isnan()].reshape(n, 2)
    np.testing.assert_allclose(levels, np.tile(np.float32([0.25, 1.0]), (n, 1)))
    assert data.samples.noise.isnan().all(), "samples have no rank among the greedy roll-outs"
    damages = tiny_config.damages * len(tiny_config.strengths)
    assert (data.others.present.sum(dim=1) == 2 + damages).all()


def test_labels_are_expected_errors_against_the_same_samples(data, tiny_task, roll_out):
    """Rows of another utterance, or of another order, would be noise that looks like labels."""
    row = 3
    utterance = data.utterances[row : row + 1]
    drawn = roll_out_all(
        roll_out,
        tiny_task,
        utterance,
        epsilons=(0.0,),
        rollouts=4,
        seed=0,
        temperature=1.0,
        first_sample=FirstSample.CONSENSUS,
    )
    n_frames, chunks = int(tiny_task.n_frames[utterance[0]]), int(data.n_chunks[row])
    decoded = torch.from_numpy(np.stack(tiny_task.decode_chunks(drawn.trajectories)))
    errors = ExpectedErrors(tiny_task)
    expected = errors.of_samples(decoded, n_frames=n_frames)
    found = data.samples.errors[row, :, :chunks]
    torch.testing.assert_close(found, expected, atol=1e-3, rtol=1e-3)
    motion = torch.from_numpy(tiny_task.corpus[int(utterance[0])].motion)[None]
    filled = torch.nn.functional.pad(motion, (0, 0, 0, chunks * 4 - n_frames))
    truth = errors.of_motions(filled, decoded, n_frames=n_frames)[0]
    torch.testing.assert_close(data.recorded.errors[row, 0, :chunks], truth, atol=1e-3, rtol=1e-3)


def test_decoded_and_recorded_motion_end_alike(data, tiny_task):
    """Else the last frames would tell which is which, and the model would learn nothing more."""
    step = tiny_task.tokenizer.frames_per_chunk
    ends = tiny_task.n_frames[data.utterances]
    row = int(np.flatnonzero(ends % step)[0])
    for part in (data.samples, data.recorded, data.others):
        frames = part.motion[row, :, : data.n_chunks[row]].unflatten(-1, (step, 52)).flatten(1, 2)
        still = frames[:, ends[row] - 1 : ends[row]].expand_as(frames[:, ends[row] - 1 :])
        assert torch.equal(frames[:, ends[row] - 1 :], still)


def test_the_same_seed_collects_the_same(data, collect, make_demonstrations, tiny_task):
    """An interrupted stage draws its samples again."""
    levels = make_demonstrations(tiny_task.corpus.split("train"), (0.25, 1.0))
    again = collect(levels=levels)
    assert torch.equal(again.others.motion, data.others.motion)
    assert torch.equal(again.samples.errors, data.samples.errors)
    assert not torch.equal(collect(seed=1).samples.motion, data.samples.motion)


def test_one_sample_is_refused(collect, tiny_config):
    """The expected error needs somebody to compare with."""
    with pytest.raises(
        InputError, match=re.escape("`consensus.samples` must be at least 2, got 1")
    ):
        collect(dataclasses.replace(tiny_config, samples=1))


def test_families_that_cannot_act_are_left_out(tiny_task, roll_out, tiny_config, monkeypatch):
    """A corpus of one emotion has no wrong one to show; the run must not end there."""
    monkeypatch.setattr("reward.consensus.data.Donors.has", lambda self, kind, utterance: False)
    config = dataclasses.replace(tiny_config, families=("wrong-emotion", "policy-emotion"))
    train = tiny_task.corpus.split("train")[:2]
    made = collect_consensus(tiny_task, roll_out, train, levels=None, config=config, seed=0)
    assert made.others.motion.shape[:2] == (2, 0)
    batch = draw_batch(made, np.arange(2), config=config, rng=np.random.default_rng(0))
    assert batch.motion.shape[1] == 3 + 2


def test_a_batch_holds_samples_truth_and_others_that_exist(data, tiny_config, rng):
    """The loss tells them apart by their place."""
    utterances = np.array([5, 0, 2])
    batch = draw_batch(data, utterances, config=tiny_config, rng=rng)
    assert (batch.n_samples, batch.n_recorded) == (3, 2)
    assert batch.motion.shape[:2] == (3, 3 + 2 + 3)
    assert batch.present.all()
    width = batch.audio.shape[1]
    assert width == int(data.n_chunks[utterances].max())
    for row, utterance in enumerate(utterances):
        mine = data.recorded.motion[utterance, :, :width].float()
        truth = batch.motion[row, 3:5]
        assert {m.sum().item() for m in truth} == {m.sum().item() for m in mine}
        assert len({m.sum().item() for m in batch.motion[row, :3]}) == 3, "one sample came twice"


def test_hidden_speakers_are_hidden_in_the_condition_alone(data, tiny_config, rng):
    """A model that never misses the speaker cannot judge strangers."""
    config = dataclasses.replace(tiny_config, hidden_speakers=1.0)
    batch = draw_batch(data, np.array([0, 1]), config=config, rng=rng)
    assert not batch.condition[:, 12:].any()
    torch.testing.assert_close(batch.condition[:, :12], data.condition[:2, :12])
    assert data.condition[:2, 12:].any(), "the data themselves stay"
