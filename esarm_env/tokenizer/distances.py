"""Code distances: how far apart two codes of a codebook look once decoded, in mm on the head.

What expected-distance decoding weighs (`agents.rollout.decoding`), and what a loss may soften its
targets with. Two codes are compared where they are used: in the middle of three recorded chunks,
because the decoder joins neighbours.

Shape letters: K codes of a codebook, V vertices, F frames of three chunks.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from esarm_env.core.types import MOUTH

if TYPE_CHECKING:
    from esarm_env.core.types import FloatArray, IntArray
    from esarm_env.face.head import Head
    from esarm_env.tokenizer.vq import VQMotionTokenizer

MISS_MM = 100.0
N_CONTEXTS = 12
N_VERTICES = 28  # of a region; all of them (some hundred) give the same order at ten times the cost
_CONTEXT_CHUNKS = 3


def code_distances(
    tokenizer: VQMotionTokenizer,
    head: Head,
    recorded: Sequence[IntArray],
    *,
    n_contexts: int = N_CONTEXTS,
    seed: int = 0,
) -> FloatArray:
    """Return the distances of all pairs of codes, by slot of a chunk.

    A slot's code is changed in the middle one of three recorded chunks. The distance of two codes
    is the greatest distance over the lips (slots of the mouth) or the upper face (those of the
    upper face) in each frame, summed over all frames that change, divided by the frames of a chunk,
    and averaged over the contexts. So it is what LVE or EVE rises by in that chunk, at most.

    Args:
        tokenizer: Decodes.
        head: Where distances are measured, at evenly spaced vertices of each region.
        recorded: Tokens of recordings, (L_i,) each, whole chunks; contexts are drawn from them.
        n_contexts: Three chunks each, at least 1.
        seed: Of drawing them.

    Returns:
        Shape (tokens_per_chunk, K, K), float32, mm, symmetric, with a diagonal of zeros.

    Raises:
        ValueError: If there is no recording or no context.
    """
    if n_contexts < 1:
        raise ValueError(f"`n_contexts` must be at least 1, got {n_contexts}")
    if not len(recorded):
        raise ValueError("`recorded` must hold at least one recording, got none")
    contexts = _contexts(recorded, tokenizer.tokens_per_chunk, n_contexts, seed)
    planes = {name: _planes(head, name) for name in set(tokenizer.token_streams)}
    n_codes, middle = tokenizer.n_tokens, tokenizer.tokens_per_chunk
    distances = torch.zeros(tokenizer.tokens_per_chunk, n_codes, n_codes)
    lengths = np.full(n_codes, contexts.shape[1])
    for slot, stream in enumerate(tokenizer.token_streams):
        for context in contexts:
            tokens = np.repeat(context[None], n_codes, axis=0)
            tokens[:, middle + slot] = np.arange(n_codes)
            motion = torch.from_numpy(tokenizer.decode_batch(tokens, lengths))  # (K, F, 52)
            distances[slot] += _summed_distances(motion, planes[stream])
    distances /= n_contexts * tokenizer.frames_per_chunk
    return distances.numpy()


def with_detail(distances: FloatArray, token_streams: Sequence[str]) -> FloatArray:
    """Return distances under which the finest codebook of a stream is written as is likeliest.

    The code of least expected distance is a middle of those that might come. Of a coarse codebook
    that is the better guess; of the finest, whose codes differ by little, it costs nearly nothing
    and smooths the motion (mouths that do not quite close, too little jerk). There, missing at all
    costs `MISS_MM` more, whatever comes instead, which makes the likeliest code the choice. A
    stream of one codebook has no finest one.

    Args:
        distances: Shape (tokens_per_chunk, K, K), in mm.
        token_streams: The stream of each slot, coarse codebooks first.
    """
    detailed = distances.copy()
    apart = 1 - np.eye(distances.shape[1], dtype=np.float32)
    for stream in set(token_streams):
        slots = [slot for slot, name in enumerate(token_streams) if name == stream]
        if len(slots) > 1:
            detailed[slots[-1]] += MISS_MM * apart
    return detailed


def _contexts(
    recorded: Sequence[IntArray], tokens_per_chunk: int, n_contexts: int, seed: int
) -> IntArray:
    """Return three successive chunks of each of `n_contexts` recordings, (n_contexts, L)."""
    rng = np.random.default_rng(seed)
    drawn = []
    for number in range(n_contexts):
        chunks = recorded[number % len(recorded)].reshape(-1, tokens_per_chunk)
        missing = max(0, _CONTEXT_CHUNKS - len(chunks))  # of very short recordings
        chunks = np.pad(chunks, ((0, missing), (0, 0)), mode="edge")
        begin = int(rng.integers(len(chunks) - _CONTEXT_CHUNKS + 1))
        drawn.append(chunks[begin : begin + _CONTEXT_CHUNKS].reshape(-1))
    return np.stack(drawn)


def _planes(head: Head, stream: str) -> Tensor:
    """Return the displacements of a stream's region by coefficient, (V, 52, 3), in mm."""
    vertices = head.regions["lips"] if stream == MOUTH else head.upper
    places = np.linspace(0, len(vertices) - 1, min(N_VERTICES, len(vertices))).round().astype(int)
    deltas = head.deltas[:, vertices[places]].astype(np.float32)  # (52, V, 3)
    return torch.from_numpy(deltas.transpose(1, 0, 2).copy())


def _summed_distances(motion: Tensor, planes: Tensor) -> Tensor:
    """Return the largest vertex distance of all pairs of motions, summed over frames, (K, K).

    Args:
        motion: Shape (K, F, 52).
        planes: Shape (V, 52, 3).
    """
    # Squares of small differences must not drown in those of what all motions share.
    motion = motion - motion.mean(dim=0)
    total = motion.new_zeros(len(motion), len(motion))
    apart = torch.empty_like(total)
    for frame in motion.unbind(dim=1):  # (K, 52); a frame at a time stays in the cache
        places = torch.matmul(frame, planes)  # (V, K, 3)
        squares = places.square().sum(dim=-1, keepdim=True)  # (V, K, 1)
        one = torch.ones_like(squares)
        # |a|^2 + |b|^2 - 2 a.b of all pairs, vertex by vertex: two (K, K) in memory, whatever V.
        left = torch.cat([places, squares, one], dim=-1)
        right = torch.cat([-2 * places, one, squares], dim=-1).transpose(1, 2).contiguous()
        worst = torch.mm(left[0], right[0])
        for vertex in range(1, len(left)):
            torch.mm(left[vertex], right[vertex], out=apart)
            torch.maximum(worst, apart, out=worst)
        total += worst.clamp_(min=0).sqrt_()
    total = (total + total.t()) / 2
    return total.fill_diagonal_(0)
