"""Silence-based segmentation: long recordings split at pauses into pieces of sentence length."""

from __future__ import annotations

import numpy as np

from esarm_env.core.types import SAMPLE_RATE_HZ, FloatArray, IntArray

HOP_S = 0.01
HOP_SAMPLES = int(SAMPLE_RATE_HZ * HOP_S)
SMOOTHING_S = 0.1  # shorter than a pause between phrases, longer than a stop's closure


def loudness_db(audio: FloatArray) -> FloatArray:
    """Return the smoothed loudness every 10 ms, shape (n_hops,), in dB below full scale."""
    n_hops = max(1, -(-len(audio) // HOP_SAMPLES))
    padded = np.pad(audio, (0, n_hops * HOP_SAMPLES - len(audio)))
    power = np.square(padded.reshape(n_hops, HOP_SAMPLES), dtype=np.float64).mean(axis=1)
    width = int(SMOOTHING_S / HOP_S)
    smooth = np.convolve(power, np.full(width, 1 / width), mode="same")
    return (10 * np.log10(smooth[:n_hops] + 1e-10)).astype(np.float32)


def cut_at_pauses(audio: FloatArray, *, shortest_s: float, longest_s: float) -> IntArray:
    """Split `audio` at its quietest moments; return where each piece begins and ends.

    Pieces tile the whole recording. Each cut is the quietest 10 ms between `shortest_s` and
    `longest_s` after the previous one, so a piece is in that range wherever the recording allows.

    Args:
        audio: Shape (n_samples,), 16 kHz.
        shortest_s: Least length of a piece, at least 0.01.
        longest_s: Greatest length of a piece, at least twice `shortest_s`.

    Returns:
        Shape (n_pieces, 2), sample indices [begin, end).

    Raises:
        ValueError: If the two lengths break their rule.
    """
    if not HOP_S <= shortest_s <= longest_s / 2:
        raise ValueError(
            f"`longest_s` must be at least twice `shortest_s` (at least {HOP_S}), "
            f"got {longest_s} and {shortest_s}"
        )
    level = loudness_db(audio)
    shortest, longest = round(shortest_s / HOP_S), round(longest_s / HOP_S)
    cuts = [0]
    while len(level) - cuts[-1] > longest:
        first = cuts[-1] + shortest
        # The rest must stay long enough for a piece of its own.
        last = min(cuts[-1] + longest, len(level) - shortest)
        last = max(last, first + 1)  # rounding to hops may leave a single candidate
        cuts.append(first + int(np.argmin(level[first:last])))
    edges = np.array([*cuts, len(level)]) * HOP_SAMPLES
    edges[-1] = len(audio)
    return np.stack([edges[:-1], edges[1:]], axis=1).astype(np.int64)
