"""The naturalness model: what it sees, what each chunk and stream answers for, and its scale."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch

from esarm_env.core.errors import InputError
from esarm_env.core.types import STREAMS, WHOLE_FACE
from esarm_env.core.weights import read_weights, save_weights
from esarm_env.face.names import MOUTH_CHANNELS
from reward.chunks import make_chunks
from reward.naturalness.network import _paid, load_naturalness
from reward.plugins.learned import LearnedReward


@pytest.fixture
def batch(tiny_task, demonstrations):
    """Recordings and random tokens of utterances of several lengths."""
    written = demonstrations.trajectories
    return make_chunks(
        tiny_task,
        written.utterance,
        tiny_task.decode_chunks(written),
        condition=written.condition,
        cut=True,
    )


def test_chunks_and_streams_add_up_to_the_score(model, batch):
    """Credit by chunk is the same reward: the sum is exact, and padding earns nothing."""
    with torch.inference_mode():
        chunks, scores = model.score_member_chunks(batch)[0], model.score_members(batch)[0]
    assert chunks.shape == (*batch.audio.shape[:2], 2)
    torch.testing.assert_close(chunks.sum(dim=1), scores)
    past = torch.arange(chunks.shape[1]) >= batch.n_chunks[:, None]
    assert past.any()
    assert not chunks[past].any()
    assert model.chunk_streams == model.stream_names == STREAMS
    assert WHOLE_FACE not in model.chunk_streams


def test_a_score_is_what_the_mean_of_the_log_odds_is_paid(model, batch):
    """The shares of chunks are linear in their log-odds; what is shared must not be."""
    with torch.inference_mode():
        log_odds = model.log_odds(batch.audio, batch.condition, batch.motion, batch.n_chunks)
        scores = model.score_members(batch)[0]
    mean = log_odds.sum(dim=1) / batch.n_chunks[:, None]
    way = (model.recorded_mean - model.written_mean).clamp(min=0.1)
    paid, _ = _paid((mean - model.written_mean) / way, graded=model.config.graded)
    torch.testing.assert_close(scores, paid / 2)


def test_a_policy_scores_0_in_the_mean_and_recordings_1():
    """Both ends are fixed, all ups are paid, and far below only the graded share is."""
    along = torch.tensor([-3.0, -2.0, 0.0, 0.5, 1.0, 2.0], requires_grad=True)
    paid, slope = _paid(along, graded=0.1)
    (measured,) = torch.autograd.grad(paid.sum(), along)
    paid, slope = paid.detach(), slope.detach()
    torch.testing.assert_close(paid[[2, 4]], torch.tensor([0.0, 1.0]))
    assert (paid.diff() > 0).all()
    assert float(paid[1] - paid[0]) == pytest.approx(0.1, abs=1e-4)
    torch.testing.assert_close(slope, measured)
    assert float(slope[5]) < 1e-3, "nothing is more than recorded"


def test_each_stream_sees_its_own_channels_alone(model, batch):
    """Brows must not pay for lips."""
    changed = batch.motion.clone().unflatten(-1, (-1, 52))
    changed[..., list(MOUTH_CHANNELS)] += 0.5
    with torch.inference_mode():
        before, after = (
            model.log_odds(batch.audio, batch.condition, motion, batch.n_chunks)
            for motion in (batch.motion, changed.flatten(-2))
        )
    torch.testing.assert_close(before[..., 1], after[..., 1])
    inside = torch.arange(before.shape[1]) < batch.n_chunks[:, None]
    assert (before[..., 0] - after[..., 0]).abs()[inside].min() > 0


def test_about_a_second_is_seen_and_no_more(untrained):
    """Speed, jerk and blinks show over frames; what lies further off is another chunk's."""
    torch.manual_seed(1)
    audio, motion = torch.randn(1, 16, untrained.audio_dim), torch.rand(1, 16, untrained.motion_dim)
    condition, n_chunks = torch.zeros(1, untrained.condition_dim), torch.tensor([16])
    changed = motion.clone()
    changed[0, 8] += 1
    with torch.inference_mode():
        before, after = (
            untrained.log_odds(audio, condition, shown, n_chunks) for shown in (motion, changed)
        )
    seen = torch.nonzero((before != after).any(-1)[0])[:, 0].tolist()
    assert seen == list(range(4, 13)), "half a second on either side, with the next chunk's speed"


def test_a_stream_that_was_not_captured_scores_nothing(make_trainer, batch):
    """Else brows that nobody recorded would decide how natural a face is; lips reach 1 alone."""
    trainer = make_trainer(measured=(True, False))
    model = trainer.finish()
    with torch.inference_mode():
        scores = model.score_members(batch)[0]
    assert not scores[:, 1].any()
    assert scores[:, 0].std() > 0


def test_scoring_a_batch_equals_scoring_one_by_one(model, tiny_task, demonstrations):
    """Padding of shorter utterances must not be seen by convolutions over chunks."""
    reward = LearnedReward(tiny_task, model, batch_size=7)
    written = demonstrations.trajectories
    alone = [reward.score(written[row : row + 1])[0] for row in range(len(written))]
    np.testing.assert_allclose(reward.score(written), alone, atol=1e-5)


def test_saving_and_loading_gives_equal_scores(model, batch, tmp_path):
    """Scale, sizes and weight are part of the model."""
    model.save(tmp_path / "naturalness.safetensors")
    again = load_naturalness(tmp_path / "naturalness.safetensors")
    with torch.inference_mode():
        torch.testing.assert_close(again.score_members(batch), model.score_members(batch))
    assert again.config == model.config


@pytest.mark.parametrize(
    ("place", "value"), [("width", 10**9), ("width", 24), ("frames", 10**9), ("audio_dim", 4)]
)
def test_a_file_that_contradicts_itself_is_refused(model, tmp_path, place, value):
    """Weights may come from strangers: one line, and nothing huge is built."""
    path = tmp_path / "naturalness.safetensors"
    model.save(path)
    sizes, tensors = read_weights(path)
    owner = sizes["config"] if place in sizes["config"] else sizes
    owner[place] = value
    save_weights(path, tensors, **sizes)
    with pytest.raises(InputError, match=re.escape(f"{path}: must be a whole naturalness model")):
        load_naturalness(path)


def test_what_looks_more_than_recorded_is_not_paid_for_that() -> None:
    """A still face lies far beyond all recordings, and scored five times what they do."""
    along = torch.tensor([0.0, 0.5, 1.0, 1.5, 8.0])
    paid, slope = _paid(along, graded=0.1)
    assert paid[0] == pytest.approx(0, abs=1e-6)
    assert paid[1] < 0.15, "doubts between a policy's samples weigh little"
    assert paid[2] == pytest.approx(1, abs=1e-6)
    assert float(paid.max()) < 1.1
    assert float(slope[4]) < 1e-6
