"""The trainer finds out what the policy expects, resumes exactly, and standardises."""

import dataclasses

import numpy as np
import pytest
import torch

from reward.consensus import ConsensusTrainer
from reward.consensus.losses import Batch, _noise_loss, _recorded_loss, member_loss
from reward.consensus.member import Judgement
from reward.consensus.training import scores_of


@pytest.fixture
def make_trainer(tiny_task, data, tiny_config):
    def make(config=tiny_config):
        return ConsensusTrainer(tiny_task, train=data, validation=data, config=config, seed=0)

    return make


def test_training_agrees_with_the_expected_errors(make_trainer):
    """Within an utterance's samples, where policies move; a sign error would give -1."""
    trainer = make_trainer()
    before = trainer.agreement(trainer._validation)
    rows = [trainer.advance() for _ in range(trainer.n_total)]
    assert rows[-1]["loss"] < 0.7 * rows[0]["loss"]
    after = trainer.agreement(trainer._validation)
    assert min(after.values()) > 0.5
    assert sum(after.values()) > sum(before.values())
    assert rows[-1]["validation_agreement_mouth"] == after["agreement_mouth"]


def test_ground_truth_and_damage_find_their_places(make_trainer):
    """The recording above the samples, random tokens far below."""
    trainer = make_trainer()
    while trainer.n_done < trainer.n_total:
        trainer.advance()
    model, data = trainer.finish(), trainer._train
    score = {
        name: scores_of(model, data, getattr(data, name)).mean(dim=0).sum(-1)  # (N, K)
        for name in ("samples", "recorded", "others")
    }
    random = score["others"][data.others.noise == 1.0]
    assert random.mean() < score["samples"].mean() - 1
    assert (score["recorded"][:, 0] > score["samples"].mean(dim=1)).float().mean() > 0.7


def test_the_samples_score_0_on_average_with_spread_1(make_trainer):
    """The zero of the score is what every table explains it by; the KL term knows its size."""
    trainer = make_trainer()
    trainer.advance()
    model = trainer.finish()
    scores = scores_of(model, trainer._train, trainer._train.samples).sum(-1).flatten(1)
    np.testing.assert_allclose(scores.mean(dim=1), 0, atol=1e-4)
    np.testing.assert_allclose(scores.std(dim=1), 1, atol=1e-3)


def test_an_interrupted_training_ends_with_the_same_weights(make_trainer, tiny_config):
    """Resuming with other random numbers would make results depend on interruptions."""
    config = dataclasses.replace(tiny_config, epochs=3, dropout=0.1)
    straight = make_trainer(config)
    for _ in range(3):
        straight.advance()
    first = make_trainer(config)
    first.advance()
    state = first.state_dict()
    second = make_trainer(config)
    second.load_state_dict(state)
    second.advance()
    second.advance()
    for name, value in straight.model.state_dict().items():
        assert torch.equal(value, second.model.state_dict()[name]), name


@pytest.fixture
def batch():
    """One utterance of one chunk: two samples, two recordings, two noise levels, one absent."""
    noise = torch.tensor([[np.nan, np.nan, np.nan, np.nan, 0.1, 0.5, 0.9]])
    present = torch.tensor([[True] * 6 + [False]])
    errors = torch.tensor([[1.0, 2, 3, 3, 4, 6, 0]])[:, :, None, None].expand(1, 7, 1, 2)
    nothing = torch.zeros(1, 1, 1)
    return Batch(
        nothing,
        nothing[0],
        torch.tensor([1]),
        nothing[None],
        errors,
        noise,
        present,
        n_samples=2,
        n_recorded=2,
    )


def test_the_noise_loss_ranks_present_roll_outs_alone(model, batch):
    """Eq. 1 on the one pair there is, of 0.1 and 0.5, by hand."""
    model.measured[1] = False  # the second stream is out
    judgement = Judgement(batch.errors, torch.zeros(1, 7))
    margin = 6 - 4
    by_hand = np.log1p(np.exp(-margin))
    assert _noise_loss(model, judgement, batch).item() == pytest.approx(by_hand, rel=1e-5)


def test_the_recorded_loss_weighs_what_is_there(batch):
    """Three times for each recording, half for each other one, by hand."""
    log_odds = torch.tensor([[-1.0, -2, 3, 1, 0, 0, 50]])

    def soft(x):
        return np.log1p(np.exp(x))

    total = soft(-1) + soft(-2) + 3 * (soft(-3) + soft(-1)) + 0.5 * 2 * soft(0)
    assert _recorded_loss(log_odds, batch).item() == pytest.approx(total / 6, rel=1e-5)


def test_a_perfect_judgement_leaves_only_the_classification(model, batch):
    """Errors that are right cost nothing, of samples and others alike."""
    sure = torch.tensor([[-50.0, -50, 50, 50, -50, -50, 0]])
    spread = torch.ones(2)
    right = member_loss(model, Judgement(batch.errors, sure), batch, chunk_spread=spread)
    shifted = batch.errors.clone()
    shifted[:, 0] += 1.0
    wrong = member_loss(model, Judgement(shifted, sure), batch, chunk_spread=spread)
    noise = 0.1 * np.log1p(np.exp(-2 * (6 - 4)))
    assert right.item() == pytest.approx(noise, rel=1e-4)
    # (1, 0) off: mean 1/2, so 1/4 within, and a tenth of 1/4 for the level.
    assert wrong.item() - right.item() == pytest.approx(0.25 + 0.1 * 0.25, rel=1e-4)
