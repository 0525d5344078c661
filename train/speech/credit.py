"""Credit by chunk for the terms that tell chunks apart: who shut the lips, and not who was there.

A p takes a tenth of a second. Given to every token of an utterance, what it earned is mostly noise.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, cast

import numpy as np

from agents.common.advantages import leave_one_out
from agents.protocols import find_in_env
from agents.reinforce.reinforce import SequenceReinforce
from esarm_env.core.types import WHOLE_FACE, ChunkedReward, Trajectories
from esarm_env.rewards.chunks import chunk_streams_of

if TYPE_CHECKING:
    from agents.rollout.buffer import EpisodeBatch
    from esarm_env.core.types import FloatArray, IntArray
    from esarm_env.rewards.combined import CombinedReward

DISCOUNT = 0.7  # a chunk: a token hardly decides what lips do half a second later
LOOK_BACK = 1  # chunks: decoding looks ahead, so a token also moves the chunk before its own


class ChunkedReinforce(SequenceReinforce):
    """REINFORCE that gives each token what its own and the next chunks earned, where that is told.

    A term of the reward with `chunk_streams` counts by `credit_of` and against the utterance's
    other samples at the same chunk; every other term counts as a whole, as in the base class.
    """

    def _filled(self, batch: EpisodeBatch) -> EpisodeBatch:
        """Return `batch` with advantages, of which terms that know chunks have been spread anew."""
        filled = super()._filled(batch)
        reward: CombinedReward = find_in_env(self.env, "reward_function")
        streams: tuple[str, ...] = find_in_env(self.env, "sequence_task").token_streams
        written = Trajectories(batch.utterances, batch.tokens, batch.lengths, batch.condition)
        advantages = filled.advantages.copy()
        slots = np.arange(advantages.shape[1])
        own = np.array(streams)[slots % len(streams)]  # stream of each token, (L,)
        for name, function in reward.functions.items():
            columns = chunk_streams_of(function)
            if not columns or not reward.weights[name]:
                continue
            chunks = cast("ChunkedReward", function).score_chunks(written)  # (N, C, S)
            chunks = reward.weights[name] * chunks
            for number, stream in enumerate(columns):
                change = _change(chunks[:, :, number], batch.utterances)  # (N, C)
                tokens = slots if stream == WHOLE_FACE else np.flatnonzero(own == stream)
                advantages[:, tokens] += change[:, tokens // len(streams)]
        return replace(filled, advantages=np.where(batch.inside, advantages, 0).astype(np.float32))


def credit_of(chunks: FloatArray) -> FloatArray:
    """Return what counts for the tokens of each chunk: what it, the one before, and the next earn.

    Args:
        chunks: Shape (N, C), earned in each chunk.

    Returns:
        Shape (N, C): `r[c - 1] + r[c] + 0.7 r[c + 1] + 0.49 r[c + 2] + ...`.
    """
    credit = chunks.astype(np.float64)
    for chunk in range(chunks.shape[1] - 2, -1, -1):
        credit[:, chunk] += DISCOUNT * credit[:, chunk + 1]
    for back in range(1, LOOK_BACK + 1):
        credit[:, back:] += chunks[:, : chunks.shape[1] - back]
    return credit.astype(np.float32)


def _change(chunks: FloatArray, utterances: IntArray) -> FloatArray:
    """Return how much more than the whole utterance's advantage each chunk's is, (N, C)."""
    whole = leave_one_out(chunks.sum(axis=1), utterances)
    credit = credit_of(chunks)
    rows = [leave_one_out(credit[:, chunk], utterances) for chunk in range(credit.shape[1])]
    return np.stack(rows, axis=1) - whole[:, None]
