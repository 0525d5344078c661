"""Rewards by chunk: all chunks add up to the score, and each is paid for its own frames."""

import re
from dataclasses import replace

import numpy as np
import pytest
import torch

from esarm_env.core.errors import InputError
from esarm_env.core.types import Trajectories
from esarm_env.face import ARKIT_NAMES, MOUTH_CHANNELS
from esarm_env.rewards import CombinedReward, RewardTerm
from esarm_env.rewards.chunks import chunk_streams_of
from reward.plugins.closure import ClosureReward
from reward.plugins.ensemble import EnsembleReward
from reward.plugins.learned import LearnedReward
from reward.plugins.motion_alone import JerkReward, LivelinessReward, ZeroReward
from reward.plugins.oracle import ClosureTruthReward, open_accuracy, open_eve, open_lve
from reward.plugins.synchrony import SynchronyReward
from reward.ranking.network import RewardTransformer
from reward.ranking.settings import RewardConfig

BOTH = ("mouth", "upper")
RULES = {
    "accuracy": (lambda task: open_accuracy(task, None), BOTH),
    "lve": (lambda task: open_lve(task, None), BOTH),
    "eve": (lambda task: open_eve(task, None), BOTH),
    "jerk": (JerkReward, BOTH),
    "liveliness": (LivelinessReward, BOTH),
    "closure": (ClosureReward, ("mouth",)),
    "synchrony": (SynchronyReward, ("mouth",)),
}


def changed_from(trajectories, chunk, per_chunk):
    """Return the trajectories with other tokens from `chunk` on."""
    tokens = trajectories.tokens.copy()
    behind = tokens[:, chunk * per_chunk :]
    behind[behind >= 0] = (behind[behind >= 0] + 5) % 16
    return replace(trajectories, tokens=tokens)


@pytest.mark.parametrize("name", RULES)
def test_chunks_of_a_rule_add_up_to_its_score(name, tiny_task, demonstrations):
    """Whoever is paid by chunk must be paid the same reward."""
    make, columns = RULES[name]
    reward, trajectories = make(tiny_task), demonstrations.trajectories
    assert reward.chunk_streams == columns
    chunks = reward.score_chunks(trajectories)
    n_chunks = trajectories.lengths // tiny_task.tokens_per_chunk
    assert chunks.shape == (len(trajectories), n_chunks.max(), len(columns))
    assert chunks.dtype == np.float32
    np.testing.assert_allclose(chunks.sum((1, 2)), reward.score(trajectories), atol=2e-5)
    past = np.arange(n_chunks.max()) >= n_chunks[:, None]
    assert past.any(), "the test needs several lengths"
    assert (chunks[past] == 0).all()
    assert np.abs(chunks).max(axis=(0, 1)).min() > 0 or name in ("lve", "eve")
    assert reward.score_chunks(trajectories[:0]).shape == (0, 0, len(columns))


@pytest.mark.parametrize("name", RULES)
def test_a_batch_by_chunk_equals_one_by_one(name, tiny_task, demonstrations):
    """The longest of a batch decides its padding, and nothing else."""
    reward = RULES[name][0](tiny_task)
    some = demonstrations.trajectories[6:10]
    together = reward.score_chunks(some)
    for row in range(len(some)):
        alone = reward.score_chunks(some[row : row + 1])[0]
        np.testing.assert_allclose(together[row, : len(alone)], alone, atol=1e-5)


@pytest.mark.parametrize("name", ["accuracy", "jerk", "closure"])
def test_what_comes_later_does_not_change_what_was_earned(name, tiny_task, demonstrations):
    """Pay may see as far ahead as the decoder does, here two chunks, and not further."""
    reward, trajectories = RULES[name][0](tiny_task), demonstrations.trajectories[:4]
    later = changed_from(trajectories, 4, tiny_task.tokens_per_chunk)
    before, after = reward.score_chunks(trajectories), reward.score_chunks(later)
    np.testing.assert_allclose(before[:, :2], after[:, :2], atol=1e-6)
    assert np.abs(before - after)[:, 2:].max() > 1e-3


def test_an_error_is_paid_where_it_is(tiny_task, moving):
    """By hand: the jaw is wrong in one frame, at the end of the second of five chunks."""
    motion = tiny_task.target_motion(np.array([6]))[0]  # 20 frames
    motion[7, ARKIT_NAMES.index("jawOpen")] += 0.5
    moving(motion)
    deltas = tiny_task.head.deltas[ARKIT_NAMES.index("jawOpen")]
    worst = np.linalg.norm(deltas[tiny_task.head.regions["lips"]], axis=1).max()
    chunks = open_lve(tiny_task, None).score_chunks(tiny_task.recorded(np.array([6])))
    expected = np.zeros((1, 5, 2))
    expected[0, 1, 0] = -0.5 * worst / 20
    np.testing.assert_allclose(chunks, expected, atol=1e-6)


def test_jerk_is_paid_when_it_is_seen(tiny_task, moving):
    """A step at frame 8 shows in the third differences that end at frames 8, 9 and 10."""
    motion = np.zeros((20, 52), dtype=np.float32)
    motion[8:, ARKIT_NAMES.index("jawOpen")] = 0.4
    moving(motion)
    chunks = JerkReward(tiny_task).score_chunks(tiny_task.recorded(np.array([6])))[0, :, 0]
    assert chunks[2] > 0
    assert np.delete(chunks, 2).tolist() == [0] * 4


def test_liveliness_pays_movement_up_to_what_is_paid(tiny_task, moving):
    """Beyond, a chunk that moves more would take pay from others without raising the score."""
    reward = LivelinessReward(tiny_task)
    one = tiny_task.recorded(np.array([6]))
    motion = np.zeros((20, 52), dtype=np.float32)
    motion[9, MOUTH_CHANNELS] = 0.01
    moving(motion)
    slow = reward.score_chunks(one)[0]
    assert slow[2, 0] == pytest.approx(slow[:, 0].sum())
    assert 0 < slow[2, 0] < 0.5
    moving(motion * 200)
    fast = reward.score_chunks(one)[0]
    np.testing.assert_allclose(fast[:, 0], 0.5 * np.array([3, 4, 4, 4, 4]) / 19, rtol=1e-5)


def test_short_animations_are_paid_too(tiny_task, captured_only, moving):
    """Without a difference in time there is no sum to share, but there is a score."""
    task = captured_only(tiny_task, range(52), frames=(1, 3, 24))
    motion = np.random.default_rng(0).uniform(size=(24, 52)).astype(np.float32)
    still = LivelinessReward(tiny_task)
    still._task = task
    for frames, rows in ((4, [0, 1]), (24, [2])):
        moving(motion[:frames])
        some = tiny_task.recorded(np.array(rows))
        some = Trajectories(
            some.utterance, some.tokens[:, :frames], np.full(len(rows), frames), some.condition
        )
        for reward in (JerkReward(task), still, open_accuracy(task, None)):
            total = reward.score_chunks(some).sum((1, 2))
            np.testing.assert_allclose(total, reward.score(some), rtol=1e-4, atol=1e-6)


def test_a_region_that_was_never_captured_earns_nothing(tiny_task, captured_only, moving):
    """Its errors are nan."""
    task = captured_only(tiny_task, MOUTH_CHANNELS, frames=(24,))
    moving(np.random.default_rng(0).uniform(size=(24, 52)).astype(np.float32))
    some = tiny_task.recorded(np.array([0]))[:1]
    some = Trajectories(some.utterance, some.tokens[:, :24], np.array([24]), some.condition)
    for reward in (JerkReward(task), open_accuracy(task, None)):
        chunks = reward.score_chunks(some)
        assert (chunks[..., 1] == 0).all()
        np.testing.assert_allclose(chunks.sum((1, 2)), reward.score(some), rtol=1e-4)


def test_rewards_of_whole_animations_alone_do_not_tell(tiny_task):
    """A share of an F1 would be made up; a sum pays these with the last chunk."""
    assert chunk_streams_of(ClosureTruthReward(tiny_task)) == ()
    assert chunk_streams_of(ZeroReward()) == ()


def test_a_sum_of_rules_is_paid_by_chunk(tiny_task, demonstrations):
    """What the environment pays is a sum, checked against its score."""
    terms = [
        RewardTerm("accuracy", 1, open_accuracy(tiny_task, None)),
        RewardTerm("jerk", -0.1, JerkReward(tiny_task)),
        RewardTerm("f1", 2, ClosureTruthReward(tiny_task)),
    ]
    reward, trajectories = CombinedReward(tiny_task.corpus, terms), demonstrations.trajectories
    chunks = reward.score_chunks(trajectories)
    assert reward.chunk_streams == ("mouth", "upper", "whole")
    np.testing.assert_allclose(chunks.sum((1, 2)), reward.score(trajectories), rtol=1e-4)


SMALL = RewardConfig(n_layers=2, n_heads=2, width=16)


@pytest.fixture
def ranking(tiny_task):
    """Return a function: a ranking model of the tiny task's chunks."""

    def make(seed=0, **settings):
        torch.manual_seed(seed)
        step = tiny_task.tokenizer.frames_per_chunk
        sizes = {"audio_dim": tiny_task.features.dim * step, "motion_dim": 52 * step}
        model = RewardTransformer(replace(SMALL, **settings), **sizes).eval()
        model.standardise(torch.tensor([0.3, 0.5, 0.9]))
        return model.requires_grad_(False)

    return make


CREDITS = [
    (pooling, credit) for pooling in ("mean", "last") for credit in ("prefixes", "attention")
]


@pytest.mark.parametrize(("pooling", "credit"), CREDITS)
def test_chunks_of_a_ranking_model_add_up_to_its_score(
    pooling, credit, tiny_task, demonstrations, ranking
):
    """Both ways of taking the paper's reward apart, and both poolings."""
    trajectories = demonstrations.trajectories
    model = ranking(pooling=pooling, chunk_credit=credit)
    reward = LearnedReward(tiny_task, model, batch_size=5)
    chunks = reward.score_chunks(trajectories)
    assert reward.chunk_streams == ("whole",)
    assert chunks.shape == (len(trajectories), 12, 1)
    np.testing.assert_allclose(chunks.sum((1, 2)), reward.score(trajectories), atol=1e-5)
    n_chunks = trajectories.lengths // tiny_task.tokens_per_chunk
    assert (chunks[np.arange(12) >= n_chunks[:, None]] == 0).all()


@pytest.mark.parametrize("pooling", ["mean", "last"])
def test_a_chunk_earns_what_it_changes_in_the_score_so_far(pooling, tiny_task, ranking):
    """One forward pass of all equals one for every beginning, since the model is causal."""
    torch.manual_seed(1)
    model = ranking(pooling=pooling)
    audio, motion = torch.randn(2, 6, model.audio_dim), torch.rand(2, 6, model.motion_dim)
    chunks = model.score_chunks(audio, motion, torch.tensor([6, 4]))
    before = torch.zeros(2)
    for n in range(1, 7):
        score = model(audio[:, :n], motion[:, :n], torch.full((2,), n))
        expected = (score - before) * (n <= torch.tensor([6, 4]))
        torch.testing.assert_close(chunks[:, n - 1], expected, atol=1e-5, rtol=0)
        before = score


def test_attention_shares_are_those_of_the_last_layer(tiny_task, ranking):
    """By hand from the layer's own projections; the shares of an animation add up to 1."""
    torch.manual_seed(1)
    model = ranking(pooling="last", chunk_credit="attention")
    audio, motion = torch.randn(2, 5, model.audio_dim), torch.rand(2, 5, model.motion_dim)
    n_chunks = torch.tensor([5, 3])
    shares = model.attention_shares(audio, motion, n_chunks)
    torch.testing.assert_close(shares.sum(1), torch.ones(2))
    assert (shares[1, 3:] == 0).all()
    x, mask = model._interleaved(audio, motion)
    first, last = model.transformer.layers
    seen = last.norm1(first(x, src_mask=mask))
    query, key, _ = (seen @ last.self_attn.in_proj_weight.T + last.self_attn.in_proj_bias).chunk(
        3, dim=-1
    )
    paid = torch.zeros(5)
    for head in (slice(0, 8), slice(8, 16)):
        paid += (query[0, 9, head] @ key[0, :, head].T / 8**0.5).softmax(0)[1::2] / 2
    torch.testing.assert_close(shares[0], paid / paid.sum())
    score = model(audio, motion, n_chunks)
    torch.testing.assert_close(model.score_chunks(audio, motion, n_chunks), score[:, None] * shares)


def test_mean_attention_counts_the_chunks_that_are_there(ranking):
    """Padding behind a short animation pays attention, too."""
    torch.manual_seed(1)
    model = ranking(chunk_credit="attention")
    audio, motion = torch.randn(2, 5, model.audio_dim), torch.rand(2, 5, model.motion_dim)
    n_chunks = torch.tensor([5, 3])
    together = model.attention_shares(audio, motion, n_chunks)
    alone = model.attention_shares(audio[1:, :3], motion[1:, :3], torch.tensor([3]))
    torch.testing.assert_close(together[1:, :3], alone)
    torch.testing.assert_close(together.sum(1), torch.ones(2))


def test_another_credit_is_refused():
    """A typing mistake must not become the default."""
    rule = "`reward.chunk_credit` must be one of prefixes, attention, got 'blame'"
    with pytest.raises(InputError, match=re.escape(rule)):
        RewardTransformer(replace(SMALL, chunk_credit="blame"), audio_dim=6, motion_dim=5)


def test_an_ensemble_is_the_mean_of_its_models_by_chunk(tiny_task, demonstrations, ranking):
    """As its score is."""
    models, trajectories = [ranking(0), ranking(1)], demonstrations.trajectories
    reward = EnsembleReward(tiny_task, models, batch_size=5)
    alone = [LearnedReward(tiny_task, model).score_chunks(trajectories) for model in models]
    chunks = reward.score_chunks(trajectories)
    np.testing.assert_allclose(chunks, np.mean(alone, axis=0), atol=1e-5)
    np.testing.assert_allclose(chunks.sum((1, 2)), reward.score(trajectories), atol=1e-5)
    models[1].chunk_streams = ()
    assert EnsembleReward(tiny_task, models).chunk_streams == ()
    assert LearnedReward(tiny_task, models[1]).chunk_streams == ()
