"""Corruptions of tokens, and roll-outs under another temperature, emotion or intensity."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import numpy as np

from esarm_env.task.conditions import EMOTION_SLICE, INTENSITY_SLICE
from reward.demonstrations.corruptions.family import Setting

if TYPE_CHECKING:
    from esarm_env.core.types import FloatArray, IntArray
    from esarm_env.tokenizer.vq import VQMotionTokenizer
    from reward.demonstrations.corruptions.context import Context

N_NEIGHBOURS = 4


def neighbour_codes(
    tokens: IntArray, strength: float, rng: np.random.Generator, context: Context
) -> IntArray:
    """Replace a growing share of tokens by one of the nearest codes of the same codebook."""
    table = nearest_codes(context.task.tokenizer)  # (slots, K, N_NEIGHBOURS)
    hit = rng.random(len(tokens)) < strength
    which = rng.integers(table.shape[2], size=len(tokens))
    slots = np.arange(len(tokens)) % len(table)
    return np.where(hit, table[slots, tokens, which], tokens)


@functools.lru_cache(maxsize=2)
def nearest_codes(tokenizer: VQMotionTokenizer) -> IntArray:
    """Return the codes nearest to each code, itself left out, nearest first.

    Returns:
        Shape (tokens_per_chunk, n_tokens, n), with n the smaller of 4 and the other codes.
    """
    books = tokenizer.codebooks().astype(np.float64)  # (S, K, D)
    square = np.square(books).sum(-1)
    distance = square[:, :, None] + square[:, None, :] - 2 * books @ books.transpose(0, 2, 1)
    diagonal = np.arange(books.shape[1])
    distance[:, diagonal, diagonal] = np.inf
    n = min(N_NEIGHBOURS, books.shape[1] - 1)
    return np.argsort(distance, axis=2, kind="stable")[:, :, :n]


def random_codes(
    tokens: IntArray, strength: float, rng: np.random.Generator, context: Context
) -> IntArray:
    """Replace a growing share of tokens by uniform ones: the noise of D-REX after the fact."""
    hit = rng.random(len(tokens)) < strength
    return np.where(hit, rng.integers(context.task.n_tokens, size=len(tokens)), tokens)


def mixed_chunks(
    tokens: IntArray, strength: float, rng: np.random.Generator, context: Context
) -> IntArray:
    """Replace a growing share of chunks by those of the partner, an animation to the same audio.

    Every chunk that is mixed in at one strength is so at all greater ones.
    """
    partner = context.partner
    assert partner is not None, "checked by the family"
    if len(partner) != len(tokens):
        raise ValueError(
            f"`context.partner` must have {len(tokens)} tokens like the animation, "
            f"got {len(partner)}"
        )
    per_chunk = context.task.tokens_per_chunk
    n_chunks = len(tokens) // per_chunk
    order = rng.permutation(n_chunks)
    taken = order < round(strength * n_chunks)
    return np.where(np.repeat(taken, per_chunk), partner, tokens)


HOTTEST = 2.0
COLDEST = 1e-3  # below, sampling is greedy to any purpose, and policies refuse it


def temperature(strength: float, rng: np.random.Generator, context: Context) -> Setting:
    """Sample at a temperature of up to 2."""
    return Setting(context.own_condition(), max(COLDEST, HOTTEST * strength))


def policy_emotion(strength: float, rng: np.random.Generator, context: Context) -> Setting:
    """Ask for an emotion between the right and a wrong one: the condition is interpolated."""
    donor = context.donors.draw("emotion", context.utterance, rng)
    return Setting(_towards(donor, EMOTION_SLICE, strength, context))


def policy_intensity(strength: float, rng: np.random.Generator, context: Context) -> Setting:
    """Ask for an intensity between the right and a wrong one."""
    donor = context.donors.draw("intensity", context.utterance, rng)
    return Setting(_towards(donor, INTENSITY_SLICE, strength, context))


def _towards(donor: int, columns: slice, strength: float, context: Context) -> FloatArray:
    own = context.own_condition().copy()
    wrong = context.task.condition_of(np.array([donor]))[0]
    own[columns] += np.float32(strength) * (wrong[columns] - own[columns])
    return own
