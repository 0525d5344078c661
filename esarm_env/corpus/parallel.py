"""Parallel utterances: one speaker, one sentence, several emotions (for cross-reconstruction)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from esarm_env.types import IntArray, Record


def parallel_groups(records: Sequence[Record], sentences: Sequence[str | None]) -> list[IntArray]:
    """Return the utterances that share speaker and sentence, two emotions or more each.

    Args:
        records: One per utterance.
        sentences: What each says; None where that is unknown, which is parallel to nothing.

    Returns:
        Groups of indices, ascending in each, in the order of their first members.
    """
    groups: dict[tuple[str, str], list[int]] = defaultdict(list)
    for index, (record, sentence) in enumerate(zip(records, sentences, strict=True)):
        if sentence is not None:
            groups[record.speaker, sentence].append(index)
    return [
        np.array(members, dtype=np.int64)
        for members in groups.values()
        if len({records[index].emotion for index in members}) > 1
    ]
