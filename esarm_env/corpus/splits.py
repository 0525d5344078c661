"""Corpus splits (train, validation, test), and groups of parallel utterances.

Splits are a corpus's official ones where it has them, else by speaker, by sentence or by stretches
of long takes. Parallel utterances share speaker and sentence and differ in emotion; training on
cross-reconstruction needs them.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from esarm_env.core.errors import InputError

if TYPE_CHECKING:
    from esarm_env.core.types import IntArray, Record

SPLITS = ("train", "validation", "test")
UNUSED = -1  # label of an utterance that is in no split

# Fewer leave no speaker to spare for each of validation and test.
MIN_SPEAKERS = 6
# RAVDESS has two, and holding one out would halve the training data.
MIN_SENTENCES = 10
MIN_KNOWN_SHARE = 0.9  # of the utterances whose sentence must be known to split by it
MAX_DROPPED_SHARE = 0.1  # of training that may be given up so that no sentence of test is in it
_TRAIN, _VALIDATION, _TEST = range(3)
_HELD_OUT_SHARE = 0.1
_PIECES_OF_A_LONG_TAKE = 3


def check_split(name: str) -> str:
    """Return `name` if it is a split, else raise an error that lists the splits."""
    if name not in SPLITS:
        raise InputError(f"`split` must be one of {', '.join(SPLITS)}, got {name!r}")
    return name


def choose_splits(
    *,
    takes: Sequence[int],
    speakers: Sequence[str],
    sentences: Sequence[str | None],
    official: Sequence[str | None],
) -> tuple[IntArray, str]:
    """Assign each utterance to a split; return the splits and the rule in words.

    1. The official splits, if that leaves something to train on. Takes without one train. A split
       of which the folder holds nothing is chosen from training by the rules below.
    2. With `MIN_SPEAKERS` or more, whole speakers are held out, about a tenth for each of
       validation and test. Speakers share sentences in most corpora, as in MEAD's official split;
       where at most a tenth of training says sentences of test, that tenth is given up.
    3. With `MIN_SENTENCES` or more known, whole sentences are held out in the same way.
    4. Otherwise whole takes of each speaker are held out, evenly among all, or, where most takes
       were cut into three pieces or more, the last stretch of each take.

    Held out are the names with the lowest SHA-256, so another recording of a known speaker moves
    nobody. From three utterances on, no split is empty.

    Args:
        takes: The take of each utterance, as a number; utterances in recorded order.
        speakers: Who speaks.
        sentences: What two utterances share if they say the same, or None.
        official: One of `SPLITS`, or None.

    Returns:
        Shape (N,), int64, places in `SPLITS` or `UNUSED`; and the rule in one line.

    Raises:
        ValueError: If the sequences differ in length.
    """
    n = len(takes)
    if not n == len(speakers) == len(sentences) == len(official):
        got = f"{n}, {len(speakers)}, {len(sentences)} and {len(official)}"
        raise ValueError(f"`takes` to `official` must have one length, got {got}")
    labels = np.array([SPLITS.index(name) if name else UNUSED for name in official], dtype=np.int64)
    if not (labels == _TRAIN).any():
        return _own_splits(takes, speakers, sentences)
    n_without = int((labels == UNUSED).sum())
    labels[labels == UNUSED] = _TRAIN
    rule = "official"
    if n_without:
        rule += f", {n_without} utterances without an official split in train"
    empty = [label for label in (_VALIDATION, _TEST) if not (labels == label).any()]
    if not empty:
        return labels, rule
    rows = np.flatnonzero(labels == _TRAIN).tolist()
    if len(rows) < len(SPLITS):  # too few to give any away
        return _own_splits(takes, speakers, sentences)
    own, own_rule = _own_splits(
        [takes[row] for row in rows],
        [speakers[row] for row in rows],
        [sentences[row] for row in rows],
    )
    for label in empty:
        labels[np.array(rows)[own == label]] = label
    names = " and ".join(SPLITS[label] for label in empty)
    return labels, f"{rule}; nothing official for {names}, so from train {own_rule}"


def _own_splits(
    takes: Sequence[int], speakers: Sequence[str], sentences: Sequence[str | None]
) -> tuple[IntArray, str]:
    """Return splits and rule of utterances without official splits."""
    if len(takes) < len(SPLITS):
        return np.full(len(takes), _TRAIN, dtype=np.int64), "all in train, there are too few"
    if len(set(speakers)) >= MIN_SPEAKERS:
        return _by_speaker(speakers, sentences)
    known = [sentence for sentence in sentences if sentence is not None]
    if len(set(known)) >= MIN_SENTENCES and len(known) >= MIN_KNOWN_SHARE * len(sentences):
        labels, counts = _by_name(sentences)
        return labels, f"by sentence ({counts})"
    return _by_stretch(takes, speakers)


def _by_speaker(speakers: Sequence[str], sentences: Sequence[str | None]) -> tuple[IntArray, str]:
    """Hold out speakers, and sentences as well where that costs little."""
    labels, counts = _by_name(speakers)
    rule = f"by speaker ({counts})"
    tested = {sentences[row] for row in np.flatnonzero(labels == _TEST).tolist()} - {None}
    shared = np.array([sentence in tested for sentence in sentences]) & (labels == _TRAIN)
    n_shared, n_train = int(shared.sum()), int((labels == _TRAIN).sum())
    if n_shared == 0:
        return labels, rule
    if len(set(sentences) - {None}) < MIN_SENTENCES or n_shared > MAX_DROPPED_SHARE * n_train:
        return labels, f"{rule}; test says sentences of train"
    labels[shared] = UNUSED
    return labels, f"{rule}; {n_shared} utterances in no split, they say sentences of test"


def _by_name(names: Sequence[str | None]) -> tuple[IntArray, str]:
    """Hold out a tenth of the names for test and as many for validation; None trains."""
    known = sorted(
        {name for name in names if name is not None},
        key=lambda name: (hashlib.sha256(name.encode()).digest(), name),
    )
    n_held_out = max(1, round(_HELD_OUT_SHARE * len(known)))
    label_of: dict[str | None, int] = dict.fromkeys(known[:n_held_out], _TEST)
    label_of |= dict.fromkeys(known[n_held_out : 2 * n_held_out], _VALIDATION)
    labels = np.array([label_of.get(name, _TRAIN) for name in names], dtype=np.int64)
    return labels, f"{n_held_out} of {len(known)} each in validation and test"


def _by_stretch(takes: Sequence[int], speakers: Sequence[str]) -> tuple[IntArray, str]:
    """Hold out some takes of each speaker, or the last stretch of each take."""
    n_pieces = Counter(takes)
    n_in_long = sum(n for n in n_pieces.values() if n >= _PIECES_OF_A_LONG_TAKE)
    options = [(_last_stretches(takes), "by stretches, the last of each take held out")]
    whole = (_spread_takes(takes, speakers), "by takes, some of each speaker held out")
    options.insert(0 if 2 * n_in_long < len(takes) else 1, whole)
    for labels, rule in options:
        if len(np.unique(labels)) == len(SPLITS):
            return labels, rule
    return _last_stretches([0] * len(takes)), "by stretches, the last of all held out"


def _spread_takes(takes: Sequence[int], speakers: Sequence[str]) -> IntArray:
    """Return the labels that hold out whole takes, evenly among those of each speaker.

    Takes are in the order of their names, in which the last tenth may be all of one emotion.
    """
    speaker_of = dict(zip(takes, speakers, strict=True))
    number_of = {speaker: number for number, speaker in enumerate(sorted(set(speakers)))}
    rank, size, held_out = _ranked([number_of[speaker] for speaker in speaker_of.values()])
    steps = 2 * np.stack([rank, rank + 1]) * held_out  # in halves of `size`
    is_test = np.diff(steps // (2 * size), axis=0)[0] == 1
    is_validation = np.diff((steps + size) // (2 * size), axis=0)[0] == 1
    labels = np.where(is_test, _TEST, np.where(is_validation, _VALIDATION, _TRAIN))
    label_of = dict(zip(speaker_of, labels.tolist(), strict=True))
    return np.array([label_of[take] for take in takes], dtype=np.int64)


def split_in_blocks(groups: Sequence[int]) -> dict[str, IntArray]:
    """Split 80/10/10 % in whole stretches per group.

    Neighbouring pieces of one take sound and look alike; drawing them one by one into different
    splits would leak. So each group (take) gives its last tenth to test, the tenth before to
    validation, and the rest to train; a group of three or more gives each at least one.

    Args:
        groups: The group of each utterance, in recorded order.
    """
    labels = _last_stretches(groups)
    return {name: np.flatnonzero(labels == number) for number, name in enumerate(SPLITS)}


def _last_stretches(groups: Sequence[int]) -> IntArray:
    """Return the labels that `split_in_blocks` describes."""
    rank, size, held_out = _ranked(groups)
    from_end = size - rank  # 1 for the last of a group
    return np.where(
        from_end <= held_out, _TEST, np.where(from_end <= 2 * held_out, _VALIDATION, _TRAIN)
    )


def _ranked(groups: Sequence[int]) -> tuple[IntArray, IntArray, IntArray]:
    """Return each member's rank in its group, the group's size, and its held-out count."""
    numbers = np.asarray(groups, dtype=np.int64)
    _, group, sizes = np.unique(numbers, return_inverse=True, return_counts=True)
    order = np.argsort(group, kind="stable")
    rank = np.empty(len(numbers), dtype=np.int64)
    rank[order] = np.arange(len(numbers)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    tenths = np.maximum(1, np.round(_HELD_OUT_SHARE * sizes)).astype(np.int64)
    return rank, sizes[group], np.where(sizes >= len(SPLITS), tenths, 0)[group]


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
