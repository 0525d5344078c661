"""Task of `esarm bench agents`: noise for audio, episodes of one length, a cheap score.

Sizes are those of the task that ships with the package; nothing is read from disk but the head.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from stable_baselines3.common.vec_env import VecEnv

from esarm_env.audio.store import FeatureStore
from esarm_env.core.types import (
    EMOTIONS,
    N_CHANNELS,
    SAMPLE_RATE_HZ,
    BoolArray,
    FloatArray,
    IntArray,
    Record,
    Trajectories,
    Utterance,
)
from esarm_env.corpus import check_split
from esarm_env.face.head import load_head
from esarm_env.task.animation_task import AnimationTask
from esarm_env.task.conditions import ConditionEncoder
from esarm_env.tokenizer.shape import TokenizerShape
from esarm_env.tokenizer.vq import VQMotionTokenizer

N_UTTERANCES = 64
FEATURE_DIM = 35  # times 4 frames times 3 chunks: audio windows of 420
N_SPEAKERS = 9  # with emotion and intensity: conditions of 21
N_TOKENS = 96


class NoiseCorpus:
    """Utterances without speech, all of one length; implements `Corpus`."""

    name = "noise"
    content_hash = "noise"

    def __init__(self, n_utterances: int, *, n_frames: int) -> None:
        """Name `n_utterances` of `n_frames` each."""
        self.captured: BoolArray = np.ones(N_CHANNELS, dtype=np.bool_)
        self.records = tuple(
            Record(
                f"noise-{number}",
                f"speaker-{number % N_SPEAKERS}",
                EMOTIONS[number % len(EMOTIONS)],
                1,
                None,
                n_frames,
            )
            for number in range(n_utterances)
        )

    def __len__(self) -> int:
        """Return the number of utterances."""
        return len(self.records)

    def __getitem__(self, index: int) -> Utterance:
        """Return silence and a face at rest."""
        record = self.records[index]
        audio = np.zeros(record.n_frames * SAMPLE_RATE_HZ // 30, dtype=np.float32)
        motion = np.zeros((record.n_frames, N_CHANNELS), dtype=np.float32)
        return Utterance(record, audio, motion, self.captured)

    def split(self, name: str) -> IntArray:
        """Return all utterances, whichever split is asked for."""
        check_split(name)
        return np.arange(len(self.records))


class LowTokens:
    """Pays the share of tokens in the lower half of the codebook; implements `RewardFunction`."""

    needs_ground_truth = False

    def score(self, trajectories: Trajectories) -> FloatArray:
        """Return shares, shape (N,)."""
        tokens = trajectories.tokens
        low = (tokens >= 0) & (tokens < N_TOKENS // 2)
        shares: FloatArray = (low.sum(axis=1) / trajectories.lengths).astype(np.float32)
        return shares


def make_task(length: int, *, n_utterances: int = N_UTTERANCES) -> AnimationTask:
    """Return a task whose episodes all have `length` tokens.

    Args:
        length: Tokens, a multiple of 4; a chunk has 4 tokens and 4 frames.
        n_utterances: How many utterances.

    Raises:
        ValueError: If `length` is not a positive multiple of 4.
    """
    # Nothing is decoded: the library that learns codes would only take time and memory.
    tokenizer = VQMotionTokenizer(TokenizerShape(n_tokens=N_TOKENS), stored=True)
    chunks, rest = divmod(length, tokenizer.tokens_per_chunk)
    if rest or chunks < 1:
        raise ValueError(
            f"`length` must be a positive multiple of {tokenizer.tokens_per_chunk}, got {length}"
        )
    n_frames = chunks * tokenizer.frames_per_chunk
    rng = np.random.default_rng(0)
    noise = rng.standard_normal((n_utterances * n_frames, FEATURE_DIM)).clip(-4, 4)
    return AnimationTask(
        NoiseCorpus(n_utterances, n_frames=n_frames),
        FeatureStore(noise.astype(np.float16), [n_frames] * n_utterances),
        tokenizer,
        load_head(),
        ConditionEncoder(tuple(f"speaker-{number}" for number in range(N_SPEAKERS))),
    )


def make_env(task: AnimationTask, n_envs: int, *, observation: str = "slim") -> VecEnv:
    """Return `n_envs` environments of `task` for Stable-Baselines3."""
    settings: dict[str, Any] = {"task": task, "reward": LowTokens(), "metrics": False}
    from esarm_env.sb3 import make_sb3_vec_env  # GPT-2 and roll-outs alone need none

    env: VecEnv = make_sb3_vec_env(n_envs, seed=0, observation=observation, **settings)
    return env
