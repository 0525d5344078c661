"""Rewards with a gradient: their differentiable score is their score, and its slope is right."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch
from torch.nn import functional

from esarm_env.core.errors import InputError
from esarm_env.core.types import DifferentiableScores
from esarm_env.rewards import CombinedReward, RewardError, RewardTerm
from reward.consensus import ConsensusConfig, ConsensusModel
from reward.plugins.ensemble import EnsembleReward
from reward.plugins.learned import LearnedReward
from reward.plugins.motion_alone import open_jerk
from reward.plugins.oracle import ErrorReward
from reward.ranking.network import RewardTransformer
from reward.ranking.settings import RewardConfig


@pytest.fixture(scope="module")
def consensus(tiny_task):
    """An untrained consensus model of two members that take their spread off."""
    torch.manual_seed(0)
    step = tiny_task.tokenizer.frames_per_chunk
    config = ConsensusConfig(
        members=2, disagreement=0.5, n_layers=1, n_heads=2, width=16, imagined=3, rank=4, hidden=8
    )
    sizes = {"audio_dim": tiny_task.features.dim * step, "condition_dim": tiny_task.condition_dim}
    return ConsensusModel(config, frames=step, **sizes).eval().requires_grad_(False)


@pytest.fixture(scope="module")
def ranking(tiny_task):
    """An untrained model of the paper's recipe."""
    torch.manual_seed(1)
    step = tiny_task.tokenizer.frames_per_chunk
    config = RewardConfig(n_layers=1, n_heads=2, width=16)
    sizes = {"audio_dim": tiny_task.features.dim * step, "motion_dim": 52 * step}
    return RewardTransformer(config, **sizes).eval().requires_grad_(False)


@pytest.fixture(scope="module")
def written(tiny_task):
    """Three animations of different lengths that are not the recordings."""
    rows = tiny_task.recorded(np.array([4, 6, 10]))
    noise = np.random.default_rng(0).integers(tiny_task.n_tokens, size=rows.tokens.shape)
    rows.tokens[:] = np.where(rows.tokens >= 0, noise, -1)
    return rows


def choices_of(task, rows):
    tokens = torch.from_numpy(rows.tokens.clip(0))
    return functional.one_hot(tokens, task.n_tokens).float().requires_grad_()


def told(reward, rows, choices):
    return reward.differentiable_score(choices, rows.utterance, rows.lengths, rows.condition)


@pytest.mark.parametrize("kind", ["consensus", "ranking", "ensemble", "accuracy", "eve", "sum"])
def test_score_and_slope_are_those_of_the_score(tiny_task, consensus, ranking, written, kind):
    """Of another cut, padding or member a policy would climb what it is not paid."""
    learned = LearnedReward(tiny_task, consensus)
    errors = ErrorReward(tiny_task, ("lve", "eve"))
    reward = {
        "consensus": learned,
        "ranking": LearnedReward(tiny_task, ranking),
        "ensemble": EnsembleReward(tiny_task, [ranking, consensus]),
        "accuracy": errors,
        "eve": ErrorReward(tiny_task, ("eve",)),
        "sum": CombinedReward(
            tiny_task.corpus,
            [
                RewardTerm("learned", 2.0, learned),
                RewardTerm("errors", -0.5, errors),
                RewardTerm("jerk", 0.0, open_jerk(tiny_task, None)),
            ],
        ),
    }[kind]
    choices = choices_of(tiny_task, written)
    found = told(reward, written, choices)
    np.testing.assert_allclose(found.score.detach(), reward.score(written), rtol=1e-4, atol=1e-5)
    (slope,) = torch.autograd.grad(found.score.sum(), choices)
    way = torch.randn(choices.shape, generator=torch.Generator().manual_seed(0))
    step = 1e-3
    with torch.no_grad():
        up, down = (told(reward, written, choices + s * way).score.sum() for s in (step, -step))
    assert float((slope * way).sum()) == pytest.approx(float((up - down) / (2 * step)), rel=0.05)
    for row, length in enumerate(written.lengths):
        assert not slope[row, length:].any()


def test_the_spread_is_that_of_the_members(tiny_task, consensus, ranking, written):
    """A lower bound with the wrong spread guards against nothing."""
    choices = choices_of(tiny_task, written)
    learned = LearnedReward(tiny_task, consensus)
    members = learned.score_members(written)
    found = told(learned, written, choices)
    np.testing.assert_allclose(found.spread.detach(), members.std(axis=0, ddof=1), rtol=1e-3)
    both = EnsembleReward(tiny_task, [ranking, consensus])
    wanted = both.score_members(written).std(axis=0, ddof=1)
    np.testing.assert_allclose(told(both, written, choices).spread.detach(), wanted, rtol=1e-3)
    alone = told(LearnedReward(tiny_task, ranking), written, choices)
    assert not alone.spread.any()
    total = CombinedReward(tiny_task.corpus, [RewardTerm("learned", -2.0, learned)])
    np.testing.assert_allclose(
        told(total, written, choices).spread.detach(), 2 * found.spread.detach(), rtol=1e-6
    )


def test_terms_without_a_gradient_are_named(tiny_task, consensus, written):
    """Climbed without one, a term would count in the score and pull at nothing."""
    jerk, learned = open_jerk(tiny_task, None), LearnedReward(tiny_task, consensus)
    terms = [RewardTerm("learned", 1.0, learned), RewardTerm("jerk", -0.1, jerk)]
    reward = CombinedReward(tiny_task.corpus, terms)
    assert reward.without_gradient == ("jerk",)
    with pytest.raises(InputError, match=re.escape("got ['jerk'] without `differentiable_score`")):
        told(reward, written, choices_of(tiny_task, written))


def test_a_gradient_of_another_shape_is_refused(tiny_task, written):
    """(N, 1) and (N,) add up to (N, N) without a word."""

    class Wide:
        needs_ground_truth = False

        def score(self, trajectories):
            return np.zeros(len(trajectories), np.float32)

        def differentiable_score(self, choices, utterances, lengths, condition):
            return DifferentiableScores(choices.sum((1, 2))[:, None], choices.sum((1, 2)))

    reward = CombinedReward(tiny_task.corpus, [RewardTerm("wide", 1.0, Wide())])
    message = "the differentiable score of reward 'wide' must have shape (3,), got (3, 1)"
    with pytest.raises(RewardError, match=re.escape(message)):
        told(reward, written, choices_of(tiny_task, written))


def test_the_head_that_knows_recordings_can_be_watched(tiny_task, consensus, ranking, written):
    """Its log-odds, one row at a time as all at once; the paper's recipe has no such head."""
    reward = LearnedReward(tiny_task, consensus, batch_size=2)
    together = reward.score_recorded(written)
    alone = [float(reward.score_recorded(written[[row]])[0]) for row in range(3)]
    np.testing.assert_allclose(together, alone, rtol=1e-4)
    assert len(set(alone)) == 3 and reward.tells_recordings
    other = LearnedReward(tiny_task, ranking)
    assert not other.tells_recordings
    with pytest.raises(ValueError, match="cannot tell recordings from samples"):
        other.score_recorded(written)
