"""Silence-based segmentation: long recordings split at pauses into pieces of sentence length.

`cut_at_pauses` looks for the best place in seconds to come; `RunningCuts` decides on the spot.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from esarm_env.core.types import SAMPLE_RATE_HZ, FloatArray, IntArray

HOP_S = 0.01
HOP_SAMPLES = int(SAMPLE_RATE_HZ * HOP_S)
SMOOTHING_S = 0.1  # shorter than a pause between phrases, longer than a stop's closure
PAUSE_DB = 30.0  # below the loudest moment, where a running cut is a pause beyond doubt
FORGOTTEN_DB = 0.25  # by which that moment counts less with every step


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


@dataclass
class RunningCuts:
    """Cuts at pauses of speech that is still going on: whether to cut now, and nothing else.

    The longer a piece is, the less of a pause it takes: `PAUSE_DB` below the loudest moment of
    late at first, and none at all in the end.

    Attributes:
        shortest: Steps of a piece at least.
        longest: Steps of a piece at most.
    """

    shortest: int
    longest: int
    _n_steps: int = 0
    _loudest_db: float = -np.inf

    def cut_after(self, samples: FloatArray) -> bool:
        """Return whether to cut behind the next step, which holds `samples` (n_samples,)."""
        power = float(np.square(samples, dtype=np.float64).mean())
        level_db = float(10 * np.log10(power + 1e-10))
        self._loudest_db = max(level_db, self._loudest_db - FORGOTTEN_DB)
        self._n_steps += 1
        if self._n_steps < self.shortest:
            return False
        spent = (self._n_steps - self.shortest) / max(1, self.longest - self.shortest)
        cut = level_db <= self._loudest_db - PAUSE_DB * (1 - spent)
        if cut:
            self._n_steps = 0
        return cut
