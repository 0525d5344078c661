"""Credit by chunk: who shut the lips is paid for it, and not who was there."""

import numpy as np
import pytest

from agents.cloning import CloneConfig
from esarm_env.core.errors import InputError
from esarm_env.rewards.combined import CombinedReward, RewardTerm
from reward.plugins.motion_alone import ZeroReward
from tests.small_policy import untrained
from train.speech.rewards import OverChunks, speech_reward
from train.speech.settings import SpeechSettings
from train.speech.training import SpeechTrainer

SETTINGS = SpeechSettings(n_episodes=8, samples_per_utterance=4, kl_coef=0.0)


class LowTokens:
    """Earns 1 in each chunk whose first token is below 8; tells chunks of the mouth apart."""

    needs_ground_truth = False
    chunk_streams = ("mouth",)

    def __init__(self, task, only_first=False):
        self.per_chunk, self.only_first = task.tokens_per_chunk, only_first

    def score_chunks(self, trajectories):
        first = trajectories.tokens[:, :: self.per_chunk]
        earned = ((first >= 0) & (first < 8)).astype(np.float32)
        if self.only_first:
            earned[:, 1:] = 0
        return earned[:, :, None]

    def score(self, trajectories):
        return self.score_chunks(trajectories).sum(axis=(1, 2))


def filled(task, *terms):
    """Return the trainer's algorithm and its first roll-out with its advantages."""
    policy = untrained(task)
    reward = CombinedReward(task.corpus, [RewardTerm(*term) for term in terms])
    algorithm = SpeechTrainer(
        policy, task, np.arange(4), reward, settings=SETTINGS, cloning=CloneConfig(), seed=0
    ).algorithm
    return algorithm, algorithm._filled(algorithm._write_episodes())


def test_a_token_answers_for_its_own_chunk_and_the_next(tiny_task):
    """With one advantage for all, a token far behind the p would be paid for it."""
    algorithm, batch = filled(tiny_task, ("first", 2.0, LowTokens(tiny_task, only_first=True)))
    assert (algorithm.credit, algorithm.stream_advantages) == ("chunk", True)
    mouth = np.array(tiny_task.token_streams) == "mouth"
    per_chunk = tiny_task.tokens_per_chunk
    earned = 2 * (batch.tokens[:, 0] < 8)
    others = [
        earned[(batch.utterances == each) & (np.arange(8) != row)].mean()
        for row, each in enumerate(batch.utterances)
    ]
    first = batch.advantages[:, np.flatnonzero(mouth)]
    np.testing.assert_allclose(first, np.repeat((earned - others)[:, None], mouth.sum(), 1), 1e-5)
    assert np.abs(first).max() > 0.1
    assert batch.advantages[:, per_chunk : 2 * per_chunk].any(), (
        "its decoder joins the chunk before"
    )
    assert not batch.advantages[:, 2 * per_chunk :].any(), "what comes later earned nothing"
    assert not batch.advantages[:, np.flatnonzero(~mouth)].any(), "nor did the upper face"


class LengthsAndTokens(ZeroReward):
    """Scores whole animations, by their tokens; tells nothing apart."""

    def score(self, trajectories):
        return (trajectories.tokens.sum(axis=1) / 100).astype(np.float32)


def test_what_tells_no_chunks_apart_is_earned_by_all_of_them(tiny_task):
    """Paid with the last chunk, no token but the last few would show the emotion."""
    spread = OverChunks(LengthsAndTokens(), tiny_task)
    written = tiny_task.recorded(np.arange(4))
    chunks = spread.score_chunks(written)
    counts = written.lengths // tiny_task.tokens_per_chunk
    assert chunks.shape == (4, counts.max(), 2) and spread.chunk_streams == ("mouth", "upper")
    np.testing.assert_allclose(chunks.sum(axis=(1, 2)), spread.score(written), rtol=1e-5)
    for row, count in enumerate(counts):
        assert not chunks[row, count:].any()
        np.testing.assert_allclose(chunks[row, :count], chunks[row, 0, 0])
    _, batch = filled(tiny_task, ("all", 1.0, spread), ("low", 1.0, LowTokens(tiny_task)))
    assert (np.abs(batch.advantages[batch.inside]) > 0).mean() > 0.99
    assert not batch.advantages[~batch.inside].any()


def test_every_term_of_the_default_tells_chunks_apart(tiny_task):
    """A wrapper that hides what a term tells would give it back to everybody."""
    reward = speech_reward(
        tiny_task, None, {"synchrony": 1.0, "closure": 1.0, "liveliness": 1.0, "emotion": 1.0}
    )
    assert reward.chunk_streams == ("mouth", "upper")
    kinds = {name: type(function).__name__ for name, function in reward.functions.items()}
    assert kinds["emotion"] == "OverChunks" and list(kinds.values()).count("OverChunks") == 1
    whole, alone = OverChunks(ZeroReward(), tiny_task), ("zero", 1.0, ZeroReward())
    assert filled(tiny_task, ("zero", 1.0, whole))[0].stream_advantages
    with pytest.raises(InputError, match="`credit` must be 'terminal' where the reward cannot"):
        filled(tiny_task, alone)
