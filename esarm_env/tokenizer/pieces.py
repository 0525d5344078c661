"""Decoding of tokens that come in pieces: the motion of the whole, in the memory of a piece.

A decoder sees so many chunks to each side and no further. So the motion of a chunk is final as soon
as its look-ahead is written, and needs of the past the look-back alone: there are no seams.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from esarm_env.core.types import FloatArray, IntArray


class ChunkDecoder(Protocol):
    """Tokenizer that knows how far its decoder sees."""

    @property
    def tokens_per_chunk(self) -> int:
        """Tokens that describe one chunk."""

    @property
    def frames_per_chunk(self) -> int:
        """Frames of motion per chunk."""

    @property
    def look_ahead_chunks(self) -> int:
        """Chunks whose tokens must follow before a chunk's motion is final."""

    @property
    def look_back_chunks(self) -> int:
        """Chunks before one that its motion depends on."""

    def decode(self, tokens: IntArray) -> FloatArray:
        """Decode tokens (L,) of whole chunks to motion (T, 52)."""


def decode_pieces(tokenizer: ChunkDecoder, pieces: Iterable[IntArray]) -> Iterator[FloatArray]:
    """Decode `pieces` of tokens, each (L,) of whole chunks, to pieces of final motion (T, 52).

    Raises:
        ValueError: If a piece ends within a chunk.
    """
    per_chunk = tokenizer.tokens_per_chunk
    held = np.zeros(0, np.int64)  # chunks decoded already, for the look-back, and those to decode
    n_done = 0  # of the chunks held
    for piece in pieces:
        if len(piece) % per_chunk:
            raise ValueError(
                f"`pieces` must be whole chunks of {per_chunk} tokens, got {len(piece)} tokens"
            )
        held = np.concatenate([held, piece])
        final = len(held) // per_chunk - tokenizer.look_ahead_chunks
        if final > n_done:
            yield _motion_of(tokenizer, held, n_done, final)
            first = max(0, final - tokenizer.look_back_chunks)
            held, n_done = held[first * per_chunk :], final - first
    if len(held) > n_done * per_chunk:
        yield _motion_of(tokenizer, held, n_done, len(held) // per_chunk)


def _motion_of(tokenizer: ChunkDecoder, tokens: IntArray, first: int, last: int) -> FloatArray:
    """Return the motion of chunks `first` to before `last` of `tokens`."""
    step = tokenizer.frames_per_chunk
    return tokenizer.decode(tokens)[first * step : last * step]
