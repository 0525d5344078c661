"""Splits for corpora that come without official ones."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from esarm_env.errors import InputError
from esarm_env.types import IntArray

SPLITS = ("train", "validation", "test")


def check_split(name: str) -> str:
    """Return `name` if it is a split, else raise an error that lists the splits."""
    if name not in SPLITS:
        raise InputError(f"`split` must be one of {', '.join(SPLITS)}, got {name!r}")
    return name


def split_in_blocks(groups: Sequence[int]) -> dict[str, IntArray]:
    """Split 80/10/10 % in whole stretches per group.

    Neighbouring pieces of one take sound and look alike; drawing them one by one into different
    splits would leak. So each group (take) gives its last tenth to test, the tenth before to
    validation, and the rest to train; a group of three or more gives each at least one.

    Args:
        groups: The group of each utterance, in recorded order.
    """
    labels = np.empty(len(groups), dtype=np.int64)
    for group in sorted(set(groups)):
        members = np.flatnonzero(np.asarray(groups) == group)
        held_out = max(1, round(0.1 * len(members))) if len(members) >= 3 else 0
        n_train = len(members) - 2 * held_out
        labels[members] = np.repeat(np.arange(3), [n_train, held_out, held_out])
    return {name: np.flatnonzero(labels == number) for number, name in enumerate(SPLITS)}
