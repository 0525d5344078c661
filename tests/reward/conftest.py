"""Noisy demonstrations of the tiny task, and tasks whose faces a test decides."""

from dataclasses import replace

import numpy as np
import pytest

from esarm_env.core.types import Record, Trajectories, Utterance
from reward.demonstrations import RankedDemonstrations


@pytest.fixture(scope="session")
def make_demonstrations(tiny_task):
    """Return a function: utterances and levels to demonstrations."""

    def make(utterances, levels, seed=0):
        rng = np.random.default_rng(seed)
        parts = []
        for level in levels:
            recorded = tiny_task.recorded(utterances)
            noisy = (rng.random(recorded.tokens.shape) < level) & (recorded.tokens >= 0)
            random = rng.integers(tiny_task.n_tokens, size=recorded.tokens.shape)
            parts.append(
                Trajectories(
                    recorded.utterance,
                    np.where(noisy, random, recorded.tokens),
                    recorded.lengths,
                    recorded.condition,
                )
            )
        epsilon = np.repeat(levels, len(utterances)).astype(np.float32)
        return RankedDemonstrations(Trajectories.concatenate(parts), epsilon)

    return make


@pytest.fixture
def demonstrations(tiny_task, make_demonstrations):
    """Two levels of every utterance of the tiny task."""
    return make_demonstrations(np.arange(len(tiny_task.corpus)), (0.0, 1.0))


@pytest.fixture
def moving(tiny_task, monkeypatch):
    """Return a function: let every trajectory of the task decode to `motion` (T, 52)."""

    def decode(motion):
        def chunks(self, trajectories):
            return [motion.copy() for _ in range(len(trajectories))]

        monkeypatch.setattr(type(tiny_task), "decode_chunks", chunks)

    return decode


@pytest.fixture
def captured_only(make_corpus):
    """Return a function: a task of utterances with still faces that captured `channels` alone."""

    def make(task, channels, frames=(24, 3), splits=None):
        captured = np.zeros(52, dtype=np.bool_)
        captured[channels] = True
        utterances = [
            Utterance(
                Record(f"u{number}", "anna", "neutral", 1, None, n_frames),
                np.zeros(n_frames * 534, dtype=np.float32),
                np.zeros((n_frames, 52), dtype=np.float32),
                captured,
            )
            for number, n_frames in enumerate(frames)
        ]
        splits = splits or {"train": range(len(frames)), "validation": (), "test": ()}
        corpus = make_corpus(utterances, splits, name="partial")
        features = [np.zeros((n, task.features.dim), dtype=np.float32) for n in frames]
        return replace(task, corpus=corpus, features=features)

    return make


class NoisyRecordings:
    """A policy that writes the recording, worse the hotter and the further from its condition."""

    def __init__(self, task):
        self._task = task

    def __call__(self, utterances, *, condition, temperature, epsilon, seeds):
        recorded = self._task.recorded(utterances)
        tokens = recorded.tokens.copy()
        away = np.abs(condition - self._task.condition_of(utterances)).sum(axis=1)  # (N,)
        for row, seed in enumerate(seeds):
            rng = np.random.default_rng(seed.tolist())
            length = recorded.lengths[row]
            share = epsilon + temperature / 4 + away[row] / 4
            hit = rng.random(length) < share
            tokens[row, :length][hit] = rng.integers(self._task.n_tokens, size=hit.sum())
        return Trajectories(utterances, tokens, recorded.lengths, condition)


@pytest.fixture(scope="session")
def roll_out(tiny_task):
    """A policy of the tiny task that behaves as policies should."""
    return NoisyRecordings(tiny_task)
