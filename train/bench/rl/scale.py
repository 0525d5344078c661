"""Scale of returns: random tokens get 0, recordings through the tokenizer 1.

What else the same utterances get is told beside: a face that never moves, which a constant sequence
of tokens writes, and the clone that ships. Nobody needs to listen for the first.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from esarm_env.core.errors import InputError
from esarm_env.core.types import Trajectories

if TYPE_CHECKING:
    from esarm_env.core.types import FloatArray, IntArray

RANDOM_ROUNDS = 16


@dataclass(frozen=True)
class Scale:
    """Returns of an environment's utterances that a normalised return is told by.

    Attributes:
        split: Whose utterances.
        random: Mean return of uniformly random tokens.
        recorded: Mean return of recordings through the tokenizer.
        still: Mean return of the mean face of the training recordings, which never moves.
    """

    split: str
    random: float
    recorded: float
    still: float

    def share(self, score: float) -> float:
        """Return a mean return as its share of the way from random tokens to recordings."""
        return (score - self.random) / (self.recorded - self.random)


def scale_of(env: Any, split: str, *, seed: int = 0) -> Scale:
    """Measure the scale of an environment.

    Args:
        env: Of the split; offers `sequence_task`, `utterances` and `reward_function`.
        split: Its name.
        seed: Of the random tokens, 16 sequences an utterance.

    Raises:
        InputError: If recordings get no more than random tokens, so that nothing is to be learned.
    """
    base = env.unwrapped
    task, reward, utterances = base.sequence_task, base.reward_function, base.utterances

    def mean(trajectories: Trajectories) -> float:
        return float(np.mean(reward.score(trajectories), dtype=np.float64))

    random, recorded = mean(random_tokens(task, utterances, seed)), mean(task.recorded(utterances))
    if not recorded > random:
        raise InputError(
            f"`env` must pay recordings more than random tokens, got {recorded:.3g} and "
            f"{random:.3g}; choose another reward"
        )
    return Scale(split, random, recorded, mean(_still(task, utterances)))


def random_tokens(task: Any, utterances: IntArray, seed: int) -> Trajectories:
    """Return uniformly random tokens, several sequences an utterance."""
    rows = np.repeat(utterances, RANDOM_ROUNDS)
    lengths = task.lengths[rows]
    drawn = np.random.default_rng(seed).integers(
        task.n_tokens, size=(len(rows), int(lengths.max()))
    )
    inside = np.arange(drawn.shape[1]) < lengths[:, None]
    return Trajectories(rows, np.where(inside, drawn, -1), lengths, task.condition_of(rows))


def _still(task: Any, utterances: IntArray) -> Trajectories:
    """Return the mean face of the training recordings, held, for each utterance."""
    frames = [task.corpus[int(index)].motion for index in task.corpus.split("train")]
    mean: FloatArray = np.concatenate(frames).mean(axis=0, dtype=np.float64).astype(np.float32)
    lengths = task.lengths[utterances]
    width = int(lengths.max())
    n_frames = width // task.tokens_per_chunk * task.tokenizer.frames_per_chunk
    held = task.tokenizer.encode(np.repeat(mean[None], n_frames, axis=0))
    inside = np.arange(width) < lengths[:, None]
    tokens = np.where(inside, held[None, :width], -1)
    return Trajectories(utterances, tokens, lengths, task.condition_of(utterances))
