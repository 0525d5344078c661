"""Likelihood under a policy: the number by hand, its files, and policies of other tasks."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
import torch

from agents.network.transformer import MotionTransformer, PolicyConfig
from agents.weights import save_policy
from esarm_env.core.errors import InputError
from esarm_env.core.types import Trajectories
from train.likelihood import LikelihoodReward, open_likelihood


def policy_of(task, **changed):
    """Return a tiny policy of `task` with far-off weights and a dropout that must be off."""
    torch.manual_seed(0)
    sizes = {
        "n_tokens": task.n_tokens,
        "tokens_per_chunk": task.tokens_per_chunk,
        "window_dim": task.window_dim,
        "condition_dim": task.condition_dim,
    }
    small = {"n_layers": 1, "n_heads": 2, "width": 16, "dropout": 0.5}
    model = MotionTransformer(PolicyConfig(**{**sizes, **small, **changed}))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.2 * torch.randn(parameter.shape))
    return model.train()


@pytest.fixture
def trajectories(tiny_task, rng):
    """Random tokens for all utterances, in an order that is not that of their lengths."""
    utterances = rng.permutation(12)
    recorded = tiny_task.recorded(utterances)
    random = rng.integers(tiny_task.n_tokens, size=recorded.tokens.shape)
    tokens = np.where(recorded.tokens >= 0, random, -1)
    return Trajectories(utterances, tokens, recorded.lengths, recorded.condition)


def test_the_score_is_the_mean_log_probability_of_the_tokens(tiny_task, trajectories):
    """Token by token with the KV cache, as the policy would have written them."""
    from agents.network.session import PolicySession

    model = policy_of(tiny_task).eval()
    expected = []
    for row in range(3):
        one = trajectories[row : row + 1]
        session = PolicySession(model, n_rows=1, max_length=int(one.lengths[0]))
        windows = torch.from_numpy(tiny_task.audio_windows(one.utterance))
        with torch.no_grad():
            chunks = model.conditioning(windows, torch.from_numpy(one.condition))
        previous, total = torch.tensor([-1]), 0.0
        for t in range(int(one.lengths[0])):
            logits, _ = session.step(chunks[:, t // tiny_task.tokens_per_chunk], previous)
            previous = torch.tensor([int(one.tokens[0, t])])
            total += float(logits.log_softmax(-1)[0, previous[0]])
        expected.append(total / one.lengths[0])
    scores = LikelihoodReward(tiny_task, policy_of(tiny_task)).score(trajectories)
    assert scores.dtype == np.float32
    assert scores.shape == (12,)
    np.testing.assert_allclose(scores[:3], expected, rtol=1e-4)


def test_a_policy_that_knows_nothing_gives_minus_the_logarithm(tiny_task, trajectories):
    """The unit is nats per token, whatever the length."""
    model = policy_of(tiny_task)
    with torch.no_grad():
        model.to_logits.zero_()
    scores = LikelihoodReward(tiny_task, model).score(trajectories)
    np.testing.assert_allclose(scores, -np.log(tiny_task.n_tokens), rtol=1e-5)


@pytest.mark.parametrize("batch_size", [1, 5, 64])
def test_scoring_a_batch_equals_scoring_one_by_one(tiny_task, trajectories, batch_size):
    """The longest of a batch decides its padding, and nothing else."""
    reward = LikelihoodReward(tiny_task, policy_of(tiny_task), batch_size=batch_size)
    alone = [reward.score(trajectories[row : row + 1])[0] for row in range(12)]
    np.testing.assert_allclose(reward.score(trajectories), alone, atol=1e-5)
    assert reward.needs_ground_truth is False


def test_the_condition_counts(tiny_task, trajectories):
    """An animation of another emotion is another animation."""
    reward = LikelihoodReward(tiny_task, policy_of(tiny_task))
    other = replace(trajectories, condition=np.roll(trajectories.condition, 1, axis=0))
    assert not np.allclose(reward.score(other), reward.score(trajectories))


def test_the_clone_of_a_run_and_a_file_of_weights_are_opened(tiny_task, trajectories, tmp_path):
    """The three ways to say which policy."""
    model = policy_of(tiny_task)
    path = tmp_path / "clone" / "policy.safetensors"
    save_policy(model, path)
    expected = LikelihoodReward(tiny_task, model).score(trajectories)
    for opened in (
        open_likelihood(tiny_task, tmp_path),
        open_likelihood(tiny_task, None, argument=str(tmp_path)),
        open_likelihood(tiny_task, tmp_path / "other", argument=str(path)),
    ):
        np.testing.assert_array_equal(opened.score(trajectories), expected)


def test_without_a_policy_there_is_no_likelihood(tiny_task, tmp_path):
    """The message names what to do."""
    message = (
        "`run` must be a run folder for the reward `likelihood`, got none; clone a policy with "
        "`esarm run`, or give one as `likelihood:PATH`"
    )
    with pytest.raises(InputError, match=re.escape(message)):
        open_likelihood(tiny_task, None)
    with pytest.raises(InputError, match="must hold the stage `clone`, got none"):
        open_likelihood(tiny_task, tmp_path)


@pytest.mark.parametrize("size", ["n_tokens", "tokens_per_chunk", "window_dim", "condition_dim"])
def test_a_policy_of_another_task_is_refused(tiny_task, size):
    """Some widths would fail within torch, others score nonsense."""
    right = getattr(tiny_task, size)
    message = "`model` must have the task's widths of audio and condition, tokens and tokens per"
    with pytest.raises(InputError, match=re.escape(message) + ".*; it was cloned from another"):
        LikelihoodReward(tiny_task, policy_of(tiny_task, **{size: right + 1}))


def test_each_chunk_and_stream_is_paid_for_its_own_tokens(tiny_task, trajectories):
    """All chunks add up to the score, and later tokens change nothing that was earned."""
    reward = LikelihoodReward(tiny_task, policy_of(tiny_task), batch_size=5)
    chunks = reward.score_chunks(trajectories)
    assert reward.chunk_streams == ("mouth", "upper")
    n_chunks = trajectories.lengths // tiny_task.tokens_per_chunk
    assert chunks.shape == (12, n_chunks.max(), 2)
    np.testing.assert_allclose(chunks.sum((1, 2)), reward.score(trajectories), rtol=1e-5)
    assert (chunks[np.arange(n_chunks.max()) >= n_chunks[:, None]] == 0).all()
    assert (chunks[:, 0] < 0).all()
    tokens = trajectories.tokens.copy()
    tokens[:, 14] = (tokens[:, 14] + 1) % tiny_task.n_tokens  # upper face of the fourth chunk
    after = reward.score_chunks(replace(trajectories, tokens=tokens))
    np.testing.assert_allclose(after[:, :3], chunks[:, :3], atol=1e-6)
    np.testing.assert_allclose(after[:, 3, 0], chunks[:, 3, 0], atol=1e-6)
    assert np.abs(after - chunks)[:, 3, 1].min() > 1e-4
    assert reward.score_chunks(trajectories[:0]).shape == (0, 0, 2)
