"""Distances between animations of one utterance, by chunk and stream: how far samples spread.

What a reward for groups of samples is proper with: the mean error minus half the mean distance
between samples is the energy score (Gneiting and Raftery 2007), which nobody lowers by sampling
closer to the middle than people speak. The distance is that of the vertex errors LVE and EVE. A
module of its own so that a task, which every environment has, stays free of it.

Shape letters: N animations, T frames, C chunks, S streams.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from esarm_env.core.types import REGION_OF_STREAM, BoolArray, DoubleArray, FloatArray, IntArray
from esarm_env.metrics import vertex_error

if TYPE_CHECKING:
    from esarm_env.face.head import Head

_N_PAIRS = 256  # at once: bounds the memory of their differences


def distances_to_others(
    motion: FloatArray,
    utterances: IntArray,
    *,
    n_frames: IntArray,
    frames_per_chunk: int,
    streams: Sequence[str],
    head: Head,
    captured: BoolArray,
) -> FloatArray:
    """Return each animation's mean distance to the others of its utterance, (N, C, S), in mm.

    Per frame it is the largest distance of a vertex of the stream's region; a chunk has its frames'
    sum over the frames of the utterance, so that all chunks together are the LVE (mouth) or EVE
    (upper) of one animation against the other. An animation without others has 0, and so has a
    region of which too little is captured.

    Args:
        motion: Shape (N, T, 52).
        utterances: Shape (N,), of each animation; equal ones are compared.
        n_frames: Shape (N,), frames of each that count.
        frames_per_chunk: Of the tokenizer.
        streams: Whose regions are compared, S of them.
        head: Whose vertices are compared.
        captured: Shape (52,); channels that count.
    """
    n_chunks = -(-motion.shape[1] // frames_per_chunk)
    missing = n_chunks * frames_per_chunk - motion.shape[1]
    whole = np.pad(motion, ((0, 0), (0, missing), (0, 0)))
    chunks = whole.reshape(len(motion), n_chunks, frames_per_chunk, -1)
    begins = frames_per_chunk * np.arange(n_chunks)
    counts = (n_frames[:, None] - begins).clip(0, frames_per_chunk)  # (N, C)
    same = utterances[:, None] == utterances  # (N, N)
    pairs = np.argwhere(np.triu(same, k=1))
    total: DoubleArray = np.zeros((len(motion), n_chunks, len(streams)))
    for begin in range(0, len(pairs), _N_PAIRS):
        one, other = pairs[begin : begin + _N_PAIRS].T
        held = counts[one] > 0  # (P, C)
        lengths = counts[one][held]
        shares = lengths / np.broadcast_to(n_frames[one, None], held.shape)[held]
        apart = np.zeros((*held.shape, len(streams)))
        for place, stream in enumerate(streams):
            distances = vertex_error(
                chunks[one][held],
                chunks[other][held],
                head=head,
                region=REGION_OF_STREAM[stream],
                captured=captured,
                lengths=lengths,
            )
            apart[held, place] = np.nan_to_num(distances) * shares
        np.add.at(total, one, apart)
        np.add.at(total, other, apart)
    n_others = same.sum(axis=1) - 1
    mean: FloatArray = (total / np.maximum(n_others, 1)[:, None, None]).astype(np.float32)
    return mean
