"""Credit by chunk: the same on average where there is one chunk, and closer to who earned it."""

import numpy as np
import pytest

from agents.reinforce.reinforce import SequenceReinforce
from esarm_env.envs.scalar import SpeechAnimationEnv
from esarm_env.rewards.combined import CombinedReward, RewardTerm
from train.speech.credit import ChunkedReinforce, credit_of


class LowTokens:
    """Earns 1 in each chunk whose first token is below 8; tells chunks of the mouth apart."""

    needs_ground_truth = False
    streams = ("mouth", "upper")
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

    def score_streams(self, trajectories):
        scores = self.score(trajectories)
        return {"mouth": scores, "upper": np.zeros_like(scores)}


def filled(kind, task, *terms):
    """Return the first roll-out of an algorithm with its advantages."""
    reward = CombinedReward(task.corpus, [RewardTerm(*term) for term in terms])
    env = SpeechAnimationEnv(task=task, reward=reward, metrics=False)
    algorithm = kind(
        "MotionPolicy",
        env,
        n_episodes=8,
        samples_per_utterance=4,
        stream_advantages=True,
        kl_coef=0.0,
        seed=0,
        policy_kwargs={"network": {"n_layers": 1, "n_heads": 2, "width": 16}},
    )
    return algorithm._filled(algorithm._write_episodes())


def test_credit_is_what_the_formula_says():
    """A chunk off, and lips would answer for the sound before."""
    chunks = np.array([[1, 0, 0, 2], [0, 1, 0, 0]], dtype=np.float32)
    expected = [
        [1 + 2 * 0.343, 2 * 0.49 + 1, 2 * 0.7, 2],
        [0.7, 1, 1, 0],
    ]
    np.testing.assert_allclose(credit_of(chunks), expected, atol=1e-6)
    one = chunks[:, :1]
    np.testing.assert_array_equal(credit_of(one), one)


def test_a_token_answers_for_its_own_chunk_and_the_next(tiny_task):
    """With one advantage for all, a token far behind the p would be paid for it."""
    chunked = filled(ChunkedReinforce, tiny_task, ("first", 2.0, LowTokens(tiny_task, True)))
    whole = filled(SequenceReinforce, tiny_task, ("first", 2.0, LowTokens(tiny_task, True)))
    np.testing.assert_array_equal(chunked.tokens, whole.tokens)
    mouth = np.array(tiny_task.token_streams) == "mouth"
    per_chunk = tiny_task.tokens_per_chunk
    first = np.flatnonzero(mouth)
    np.testing.assert_allclose(chunked.advantages[:, first], whole.advantages[:, first], atol=1e-5)
    assert np.abs(whole.advantages[:, 3 * per_chunk + first]).max() > 0.1
    assert not chunked.advantages[:, 2 * per_chunk :].any(), "what comes later earned nothing"
    assert not chunked.advantages[:, np.flatnonzero(~mouth)].any(), "nor did the upper face"


def test_terms_that_know_no_chunks_stay_as_they_are(tiny_task):
    """Synchrony is of the whole utterance: no chunk may be robbed of it."""
    from train.speech.rewards import speech_reward

    synchrony = speech_reward(tiny_task, None, {"synchrony": 1.0}).functions["synchrony"]
    terms = ("synchrony", 1.0, synchrony)
    watched = ("low", 0.0, LowTokens(tiny_task))
    chunked = filled(ChunkedReinforce, tiny_task, terms, watched)
    whole = filled(SequenceReinforce, tiny_task, terms, watched)
    np.testing.assert_array_equal(chunked.advantages, whole.advantages)
    assert np.abs(whole.advantages).max() > 0


def test_padding_has_no_advantage(tiny_task):
    """The root mean square that scales advantages is taken over tokens alone."""
    batch = filled(ChunkedReinforce, tiny_task, ("low", 1.0, LowTokens(tiny_task)))
    assert not batch.advantages[~batch.inside].any()
    assert np.abs(batch.advantages[batch.inside]).max() > 0
    assert pytest.approx(0, abs=1e-3) == sum(
        float(batch.advantages[batch.utterances == each, 0].sum())
        for each in np.unique(batch.utterances)
    )
