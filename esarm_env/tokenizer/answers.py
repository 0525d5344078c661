"""Answers of a recording to tokens that were written otherwise: the code that is best from there.

What a policy writes leaves the recording sooner or later, and what the recording had as its next
token is then no longer the right one: a fine codebook mends what coarse ones missed, and they
missed something else. An expert who is asked at the policy's own states (DAgger, Ross et al. 2011)
says which code brings the chunk nearest to the recording now.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from esarm_env.core.types import FloatArray, IntArray
    from esarm_env.tokenizer.vq import VQMotionTokenizer


@torch.inference_mode()
def answers(tokenizer: VQMotionTokenizer, motion: FloatArray, tokens: IntArray) -> IntArray:
    """Return the recording's answer to each token of an animation, given those before it.

    In each stream of each chunk: the code nearest to what the coarser codes that were written
    leave of the recording's chunk vector. Asked about the recording's own tokens, it repeats them,
    except where the tokenizer searched further for a better sum.

    Args:
        tokenizer: A trained one.
        motion: Shape (T, 52), the recording.
        tokens: Shape (L,), whole chunks, at most as many as cover the recording.

    Returns:
        Shape (L,), int64.

    Raises:
        ValueError: If `tokens` are not whole chunks, or more than the recording has.
    """
    per_chunk = tokenizer.tokens_per_chunk
    most = tokenizer.n_chunks(len(motion)) * per_chunk
    if len(tokens) % per_chunk or len(tokens) > most:
        raise ValueError(
            f"`tokens` must be whole chunks of {per_chunk}, at most {most}, got {len(tokens)}"
        )
    books = torch.from_numpy(tokenizer.codebooks())  # (slots, K, code_dim)
    written = torch.from_numpy(tokens.reshape(-1, per_chunk))  # (C, slots)
    found = torch.empty_like(written)
    left = {name: latent[: len(written)] for name, latent in tokenizer.latents(motion).items()}
    for slot, (stream, book) in enumerate(zip(tokenizer.token_streams, books, strict=True)):
        found[:, slot] = torch.cdist(left[stream], book).argmin(dim=1)
        left[stream] = left[stream] - book[written[:, slot]]  # (C, code_dim)
    return found.reshape(-1).numpy()
