"""Splits of corpora without official ones: whole stretches, so that neighbours never leak."""

from __future__ import annotations

import re

import numpy as np
import pytest

from esarm_env.corpus import SPLITS, check_split
from esarm_env.corpus.splits import split_in_blocks
from esarm_env.errors import InputError


@pytest.mark.parametrize("name", SPLITS)
def test_the_three_splits_are_allowed(name: str) -> None:
    """Trainers pass the name on, so it must come back."""
    assert check_split(name) == name


@pytest.mark.parametrize("name", ["", "dev", "Train", "all"])
def test_other_splits_are_rejected(name: str) -> None:
    """A typo that meant "everything" would put test utterances into training."""
    message = f"`split` must be one of train, validation, test, got {name!r}"
    with pytest.raises(InputError, match=re.escape(message)):
        check_split(name)


def test_ten_pieces_split_eight_one_one() -> None:
    """The hand-computed case: the last tenth is test, the tenth before validation."""
    splits = split_in_blocks([0] * 10)
    assert {name: part.tolist() for name, part in splits.items()} == {
        "train": list(range(8)),
        "validation": [8],
        "test": [9],
    }


def test_every_take_gives_its_own_end() -> None:
    """Takes differ in speaker and sentence; one that is all test would be another task."""
    splits = split_in_blocks([4] * 20 + [1] * 10)
    assert splits["validation"].tolist() == [16, 17, 28]
    assert splits["test"].tolist() == [18, 19, 29]


@pytest.mark.parametrize("groups", [[], [3], [0, 0], [0] * 7, [2, 0, 2, 1, 0, 2] * 9])
def test_splits_cover_everything_once(groups: list[int]) -> None:
    """An utterance in two splits leaks; one in none is lost; each split keeps the order."""
    splits = split_in_blocks(groups)
    assert tuple(splits) == SPLITS
    together = np.concatenate([splits[name] for name in SPLITS])
    assert sorted(together.tolist()) == list(range(len(groups)))
    for part in splits.values():
        assert (np.diff(part) > 0).all(), "indices must ascend"


@pytest.mark.parametrize(
    ("n_pieces", "sizes"), [(1, [1, 0, 0]), (2, [2, 0, 0]), (3, [1, 1, 1]), (4, [2, 1, 1])]
)
def test_three_pieces_are_enough_for_three_splits(n_pieces: int, sizes: list[int]) -> None:
    """A small folder must still have something to validate on; a single piece trains."""
    splits = split_in_blocks([5] * n_pieces)
    assert [len(splits[name]) for name in SPLITS] == sizes


def test_short_takes_are_for_training() -> None:
    """With one piece a take there would be nothing to learn from otherwise."""
    assert split_in_blocks([5, 6, 7])["train"].tolist() == [0, 1, 2]
