"""Tokens that write the median of several animations, frame by frame and curve by curve.

Of tokens there is no median: their numbers are names. Both tasks that animations are written for
take it here, utterances of a corpus and pieces of a recording.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from esarm_env.tokenizer.vq import VQMotionTokenizer

if TYPE_CHECKING:
    from esarm_env.core.types import FloatArray, IntArray, MotionTokenizer


def median_tokens(tokenizer: MotionTokenizer, tokens: IntArray, lengths: IntArray) -> IntArray:
    """Return the tokens that write the median of several animations of each utterance.

    Args:
        tokenizer: Turns tokens into motion and back.
        tokens: Shape (N, n, L), n animations of each of N utterances, padded with -1.
        lengths: Shape (N,), tokens of each utterance.

    Returns:
        Shape (N, L), padded with -1.
    """
    found = np.full((len(tokens), tokens.shape[2]), -1, dtype=np.int64)
    for row, length in enumerate(lengths.tolist()):
        drawn = _decoded(tokenizer, tokens[row, :, :length])
        found[row, :length] = tokenizer.encode(np.median(drawn, axis=0).astype(np.float32))
    return found


def _decoded(tokenizer: MotionTokenizer, tokens: IntArray) -> FloatArray:
    """Return animations (n, T, 52) of equally long tokens (n, L)."""
    if isinstance(tokenizer, VQMotionTokenizer):
        return tokenizer.decode_batch(tokens, np.full(len(tokens), tokens.shape[1]))
    return np.stack([tokenizer.decode(row) for row in tokens])
