"""Decoding of tokens that come in pieces: the motion of the whole, in the memory of a piece.

A decoder sees so many chunks to each side and no further. So the motion of a chunk is final as soon
as its look-ahead is written, and needs of the past the look-back alone: there are no seams.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import numpy as np

from esarm_env.core.types import N_CHANNELS

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


class PieceDecoder:
    """Decoder of the tokens of one sequence while they are written."""

    def __init__(self, tokenizer: ChunkDecoder) -> None:
        """Begin a sequence."""
        self._tokenizer = tokenizer
        # Chunks decoded already, for the look-back, and those to decode.
        self._held = np.zeros(0, np.int64)
        self._n_done = 0  # of the chunks held

    def push(self, piece: IntArray) -> FloatArray:
        """Return the motion (T, 52) that is final after a piece of tokens (L,), whole chunks.

        Raises:
            ValueError: If the piece ends within a chunk.
        """
        per_chunk = self._tokenizer.tokens_per_chunk
        if len(piece) % per_chunk:
            raise ValueError(
                f"`pieces` must be whole chunks of {per_chunk} tokens, got {len(piece)} tokens"
            )
        self._held = np.concatenate([self._held, piece])
        return self._decode(len(self._held) // per_chunk - self._tokenizer.look_ahead_chunks)

    def finish(self) -> FloatArray:
        """Return the motion that is left; then the sequence has ended."""
        return self._decode(len(self._held) // self._tokenizer.tokens_per_chunk)

    def _decode(self, final: int) -> FloatArray:
        """Return the motion up to chunk `final` of those held, and let go of what is not needed."""
        if final <= self._n_done:
            return np.zeros((0, N_CHANNELS), np.float32)
        step = self._tokenizer.frames_per_chunk
        motion = self._tokenizer.decode(self._held)[self._n_done * step : final * step]
        first = max(0, final - self._tokenizer.look_back_chunks)
        self._held = self._held[first * self._tokenizer.tokens_per_chunk :]
        self._n_done = final - first
        return motion


def decode_pieces(tokenizer: ChunkDecoder, pieces: Iterable[IntArray]) -> Iterator[FloatArray]:
    """Decode `pieces` of tokens, each (L,) of whole chunks, to pieces of final motion (T, 52).

    Raises:
        ValueError: If a piece ends within a chunk.
    """
    decoder = PieceDecoder(tokenizer)
    for piece in pieces:
        motion = decoder.push(piece)
        if len(motion):
            yield motion
    rest = decoder.finish()
    if len(rest):
        yield rest
