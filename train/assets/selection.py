"""Selection of the utterances of the shipped corpus."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import numpy as np

from esarm_env.core.errors import InputError
from esarm_env.task.opening import training_speakers

if TYPE_CHECKING:
    from esarm_env.core.types import Corpus, IntArray, Record


def choose_utterances(corpus: Corpus, wanted: Mapping[str, int]) -> IntArray:
    """Choose utterances of `corpus`, a number from each split, balanced and in whole groups.

    A group is all that one speaker says of one sentence within a split. Groups are taken one after
    the other, each time the one whose speaker was taken least often, then whose sentence was; then
    the largest; then the one whose emotions and intensities the split has least of; then the first.
    A split with speakers that training has and others that it has not gives half from each. The
    last group taken is cut where the number is reached.

    Args:
        corpus: The large corpus.
        wanted: Number of utterances by split.

    Returns:
        Indices into `corpus`, ascending.

    Raises:
        InputError: If a split holds fewer than wanted.
    """
    heard = set(training_speakers(corpus))
    chosen: list[int] = []
    for split, number in wanted.items():
        utterances = corpus.split(split).tolist()
        if number > len(utterances):
            raise InputError(
                f"`{split}` must hold at least {number} utterances to choose from, "
                f"got {len(utterances)}"
            )
        known = [index for index in utterances if corpus.records[index].speaker in heard]
        new = [index for index in utterances if corpus.records[index].speaker not in heard]
        n_new = number - min(len(known), max(number - len(new), (number + 1) // 2))
        ways: Counter[tuple[str, int]] = Counter()  # one count for both halves
        chosen += _take(corpus.records, known, number - n_new, ways)
        chosen += _take(corpus.records, new, n_new, ways)
    return np.array(sorted(chosen), dtype=np.int64)


def _take(
    records: tuple[Record, ...],
    utterances: Iterable[int],
    number: int,
    ways: Counter[tuple[str, int]],
) -> list[int]:
    """Take whole groups until there are `number` utterances; `ways` counts emotions as taken."""
    groups: dict[tuple[str, str], list[int]] = defaultdict(list)
    for index in utterances:
        record = records[index]
        groups[record.speaker, record.id if record.text is None else record.text].append(index)
    speakers: Counter[str] = Counter()
    sentences: Counter[str] = Counter()

    def cost(key: tuple[str, str]) -> tuple[int, int, int, float]:
        counts = [ways[_way(records[index])] for index in groups[key]]
        return speakers[key[0]], sentences[key[1]], -len(counts), sum(counts) / len(counts)

    taken: list[int] = []
    while len(taken) < number:
        best = min(groups, key=cost)  # the first of equals: groups stand in the corpus' order
        members = groups.pop(best)[: number - len(taken)]
        taken += members
        speakers[best[0]] += 1
        sentences[best[1]] += 1
        ways.update(_way(records[index]) for index in members)
    return taken


def _way(record: Record) -> tuple[str, int]:
    return record.emotion, record.intensity
