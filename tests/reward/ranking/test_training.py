"""The trainer recovers a ranking that is really there, and resumes exactly."""

import re

import numpy as np
import pytest
import torch

from reward.ranking.settings import RewardConfig
from reward.ranking.training import RewardTrainer

CONFIG = RewardConfig(
    n_layers=1, n_heads=2, width=32, epochs=80, batch_utterances=4, learning_rate=2e-3, dropout=0.0
)


@pytest.fixture
def make_trainer(tiny_task, make_demonstrations):
    def make(config=CONFIG):
        train, validation = (tiny_task.corpus.split(name) for name in ("train", "validation"))
        levels = (0.0, 0.5, 1.0)
        return RewardTrainer(
            tiny_task,
            train=make_demonstrations(train, levels),
            validation=make_demonstrations(validation, levels, seed=1),
            config=config,
            seed=0,
        )

    return make


def test_training_recovers_the_order_of_noise(make_trainer, make_demonstrations, tiny_task):
    """The whole pipeline rests on this; a sign error anywhere would give 0 instead of 1."""
    trainer = make_trainer()
    losses = [trainer.advance()["loss"] for _ in range(trainer.n_total)]
    assert losses[-1] < 0.5 * losses[0]
    other = make_demonstrations(tiny_task.corpus.split("train"), (0.0, 1.0), seed=5)
    assert trainer.accuracy(other).mean() >= 0.9


def test_the_least_noisy_demonstrations_score_0_on_average(make_trainer, tiny_task):
    """The zero of the score is what every table explains it by."""
    trainer = make_trainer()
    trainer.advance()
    trainer.finish()
    best = trainer._train[trainer._train.epsilon == 0]
    from reward.plugins.learned import LearnedReward

    scores = LearnedReward(tiny_task, trainer.model).score(best.trajectories)
    assert scores.mean() == pytest.approx(0, abs=1e-4)
    assert scores.std(ddof=1) == pytest.approx(1, abs=1e-2)


def test_an_interrupted_training_ends_with_the_same_weights(make_trainer):
    """Resuming with other random numbers would make results depend on interruptions."""
    straight = make_trainer()
    for _ in range(3):
        straight.advance()
    first = make_trainer()
    first.advance()
    state = first.state_dict()
    second = make_trainer()
    second.load_state_dict(state)
    second.advance()
    second.advance()
    for name, value in straight.model.state_dict().items():
        assert torch.equal(value, second.model.state_dict()[name]), name


def test_crops_keep_one_stretch_for_all_levels_of_an_utterance(make_trainer):
    """Cropping levels differently would let the model compare different moments."""
    trainer = make_trainer()
    from reward.chunks import ChunkBatch

    ramp = torch.arange(10.0)[None, :, None].expand(6, 10, 1)
    batch = trainer._crop(ChunkBatch(ramp, ramp, torch.full((6,), 10)), n_levels=3)
    for group in (slice(0, 3), slice(3, 6)):
        assert len(set(batch.n_chunks[group].tolist())) == 1
        assert len(set(batch.audio[group, 0, 0].tolist())) == 1
    assert torch.equal(batch.audio, batch.motion)
    assert int(batch.n_chunks.min()) >= 5
    inside = np.arange(batch.audio.shape[1]) < batch.n_chunks.numpy()[:, None]
    steps = np.diff(batch.audio[..., 0].numpy(), axis=1)[inside[:, 1:]]
    assert (steps == 1).all(), "a crop must be contiguous"


def test_a_single_noise_level_is_refused(tiny_task, make_demonstrations):
    """Nothing could be learned from equal ranks."""
    train = tiny_task.corpus.split("train")
    one = make_demonstrations(train, (0.5,))
    with pytest.raises(ValueError, match=re.escape("at least two noise levels, got [0.5]")):
        RewardTrainer(tiny_task, train=one, validation=one, config=CONFIG, seed=0)
