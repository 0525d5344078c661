"""Seeds of single sequences, and the ranges of sample numbers that keep their randomness apart.

A sequence's random numbers come from (seed of the run, iteration of the policy, utterance, number
of the sample), so that results depend neither on batches nor on how utterances are shared out.
"""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from esarm_env.core.types import IntArray


class FirstSample(IntEnum):
    """Number of the first roll-out of each purpose: those of one policy never share a number.

    Two roll-outs of one utterance, policy and number would make the same random choices, so that
    a "noisy" animation and a "sample" would differ less than two independent ones.
    """

    NOISE_LEVELS = 0  # roll-outs at rising noise, one number each
    CONSENSUS = 10_000  # samples that a consensus model learns from
    REPORT = 20_000  # samples in the reward report: of the clone, iteration 0
    HACKED = 20_000  # samples searched for reward hacking: of later iterations alone
    NATURALNESS = 30_000  # samples of a later round's policy that a naturalness model learns from
    JUDGED = 40_000  # samples that raters compare


def sequence_seeds(
    *, run_seed: int, iteration: int, utterances: IntArray, samples: IntArray | int
) -> IntArray:
    """Return one seed per sequence from what the sequence is and not its batch, shape (N, 4).

    Args:
        run_seed: Of the run.
        iteration: Of the policy: 0 the clone, then one more per round or roll-out of training.
        utterances: Shape (N,).
        samples: Number of each one's sample, shape (N,), or one for all; see `FirstSample`.
    """
    n = len(utterances)
    columns = [np.full(n, run_seed), np.full(n, iteration), utterances, np.broadcast_to(samples, n)]
    return np.stack(columns, axis=1).astype(np.int64)


def occurrence_numbers(values: IntArray) -> IntArray:
    """Return how often each of `values` (N,) has come before, so that repeats can differ."""
    order = np.argsort(values, kind="stable")
    ordered = values[order]
    numbers = np.empty(len(values), dtype=np.int64)
    numbers[order] = np.arange(len(values)) - np.searchsorted(ordered, ordered, side="left")
    return numbers
