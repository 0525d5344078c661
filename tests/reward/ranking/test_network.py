"""The reward model: what it may see, and that batching does not change it."""

import re
from dataclasses import replace

import numpy as np
import pytest
import torch

from esarm_env.core.errors import InputError
from reward.plugins.learned import LearnedReward, open_learned
from reward.ranking.network import RewardTransformer, load_reward
from reward.ranking.settings import RewardConfig

SMALL = RewardConfig(n_layers=1, n_heads=2, width=16, epochs=2, batch_utterances=4)


@pytest.fixture
def model():
    torch.manual_seed(0)
    return RewardTransformer(SMALL, audio_dim=6, motion_dim=5).eval()


@pytest.fixture
def batch():
    torch.manual_seed(1)
    return torch.randn(3, 7, 6), torch.randn(3, 7, 5), torch.tensor([7, 4, 1])


def test_padding_never_changes_a_score(model, batch):
    """Scores would depend on which utterances happen to share a batch."""
    audio, motion, n_chunks = batch
    together = model(audio, motion, n_chunks)
    for row, n in enumerate(n_chunks):
        alone = model(audio[row : row + 1, :n], motion[row : row + 1, :n], n[None])
        torch.testing.assert_close(together[row : row + 1], alone, atol=1e-5, rtol=0)


def test_the_score_is_a_mean_over_causal_chunk_scores(model, batch):
    """If a chunk saw later ones, the score of a beginning would change with its end."""
    audio, motion, _ = batch

    def sums(n):
        return model(audio, motion, torch.full((3,), n)) * n

    changed = motion.clone()
    changed[:, 5:] += 3
    first = sums(5)
    torch.testing.assert_close(model(audio, changed, torch.full((3,), 5)) * 5, first)
    assert not torch.allclose(model(audio, changed, torch.full((3,), 7)) * 7, sums(7))


def test_the_last_chunk_alone_can_be_the_score(batch):
    """It has seen all; the one before it, or one in the padding, would score something else."""
    torch.manual_seed(0)
    config = replace(SMALL, pooling="last")
    last = RewardTransformer(config, audio_dim=6, motion_dim=5).eval()
    torch.manual_seed(0)
    mean = RewardTransformer(SMALL, audio_dim=6, motion_dim=5).eval()
    audio, motion, n_chunks = batch

    def sums(n):
        return mean(audio, motion, torch.full((3,), n)) * n

    expected = [
        (sums(n) - sums(n - 1))[row] if n > 1 else sums(1)[row]
        for row, n in enumerate(n_chunks.tolist())
    ]
    torch.testing.assert_close(last(audio, motion, n_chunks), torch.stack(expected))


def test_another_pooling_is_refused():
    """A typing mistake must not train the default for an hour."""
    rule = "`reward.pooling` must be one of mean, last, got 'max'"
    with pytest.raises(InputError, match=re.escape(rule)):
        RewardTransformer(replace(SMALL, pooling="max"), audio_dim=6, motion_dim=5)


def test_a_score_does_not_grow_with_length(model):
    """A policy cannot choose the length, but comparisons between utterances would be skewed."""
    audio, motion = torch.zeros(1, 40, 6), torch.zeros(1, 40, 5)
    short, long = (model(audio, motion, torch.tensor([n])).item() for n in (10, 40))
    assert abs(long) < 2 * abs(short) + 1.0


def test_audio_and_motion_both_matter(model, batch):
    """A model that ignores the audio cannot know whether the lips fit it."""
    audio, motion, n_chunks = batch
    scores = model(audio, motion, n_chunks)
    assert not torch.allclose(model(audio.flip(0), motion, n_chunks), scores)
    assert not torch.allclose(model(audio, motion.flip(0), n_chunks), scores)


def test_one_reference_leaves_the_scale_finite(model, batch):
    """A corpus of three takes trains on one utterance; its score was nan, and PPO stopped."""
    audio, motion, n_chunks = (part[:1] for part in batch)
    model.standardise(model(audio, motion, n_chunks))
    assert model(audio, motion, n_chunks).item() == pytest.approx(0, abs=1e-5)
    assert torch.isfinite(model(*batch)).all()


def test_standardised_scores_have_mean_0_and_spread_1(model, batch):
    """The size of the reward decides how strong the KL term is beside it."""
    audio, motion, n_chunks = batch
    model.standardise(model(audio, motion, n_chunks))
    scores = model(audio, motion, n_chunks)
    assert scores.mean().item() == pytest.approx(0, abs=1e-5)
    assert scores.std().item() == pytest.approx(1, abs=1e-3)


def test_saving_and_loading_gives_equal_scores(model, batch, tmp_path):
    """The standardisation is part of the model; losing it would rescale every reward."""
    model.standardise(model(*batch))
    model.save(tmp_path / "reward.safetensors")
    torch.testing.assert_close(load_reward(tmp_path / "reward.safetensors")(*batch), model(*batch))


def test_a_damaged_or_foreign_file_is_refused(model, tmp_path):
    """Half a file must end in one clear line, not in a stack trace."""
    path = tmp_path / "reward.safetensors"
    model.save(path)
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(InputError, match=re.escape("must be a whole reward model")):
        load_reward(path)
    with pytest.raises(InputError, match=re.escape("must be a whole reward model")):
        load_reward(tmp_path / "missing.safetensors")


def test_scoring_a_batch_equals_scoring_one_by_one(tiny_task, demonstrations):
    """The environment scores single episodes and trainers whole batches: one reward, not two."""
    step = tiny_task.tokenizer.frames_per_chunk
    torch.manual_seed(0)
    network = RewardTransformer(
        SMALL, audio_dim=tiny_task.features.dim * step, motion_dim=52 * step
    ).eval()
    reward = LearnedReward(tiny_task, network, batch_size=5)
    together = reward.score(demonstrations.trajectories)
    alone = [
        reward.score(demonstrations.trajectories[row : row + 1])[0]
        for row in range(len(demonstrations))
    ]
    np.testing.assert_allclose(together, alone, atol=1e-5)


def test_the_learned_reward_needs_a_run(tiny_task):
    """Without a run there is nothing learned, and the message says what to do instead."""
    with pytest.raises(InputError, match=re.escape("choose the reward `accuracy`")):
        open_learned(tiny_task, None)


def test_a_file_of_an_older_version_loads_without_a_word(tmp_path):
    """Its settings have their old names; the shipped reward model is such a file, too."""
    from dataclasses import asdict

    from esarm_env.core.weights import save_weights

    model = RewardTransformer(RewardConfig(batch_utterances=5), audio_dim=4, motion_dim=6)
    config = asdict(model.config)
    config["batch_size"] = config.pop("batch_utterances")
    sizes = {"audio_dim": 4, "motion_dim": 6}
    path = tmp_path / "old.safetensors"
    save_weights(path, model.state_dict(), kind="reward model", config=config, **sizes)
    assert load_reward(path).config == model.config
