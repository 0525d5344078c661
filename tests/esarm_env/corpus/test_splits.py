"""Splits: what may never be in training is not, no split is empty, and the rule is said."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence

import numpy as np
import pytest

from esarm_env.core.errors import InputError
from esarm_env.corpus import SPLITS, check_split
from esarm_env.corpus.splits import (
    MIN_SENTENCES,
    MIN_SPEAKERS,
    UNUSED,
    choose_splits,
    split_in_blocks,
)


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


def plain_blocks(groups: list[int]) -> dict[str, list[int]]:
    """Split in blocks one group at a time, as the rule is written."""
    parts: dict[str, list[int]] = {name: [] for name in SPLITS}
    for group in set(groups):
        members = [index for index, other in enumerate(groups) if other == group]
        held_out = max(1, round(0.1 * len(members))) if len(members) >= 3 else 0
        n_train = len(members) - 2 * held_out
        parts["train"] += members[:n_train]
        parts["validation"] += members[n_train : n_train + held_out]
        parts["test"] += members[n_train + held_out :]
    return {name: sorted(part) for name, part in parts.items()}


@pytest.mark.parametrize("seed", range(5))
def test_blocks_equal_the_plain_version(seed: int) -> None:
    """All groups are cut at once; an index off by one would let neighbours leak."""
    groups = np.random.default_rng(seed).integers(0, 12, size=200).tolist()
    groups += [99] * 25  # a tenth of it lies between two whole numbers
    fast = {name: part.tolist() for name, part in split_in_blocks(groups).items()}
    assert fast == plain_blocks(groups)


Row = tuple[int, str, str | None, str | None]


def split_rows(rows: Sequence[Row]) -> tuple[list[str], str]:
    """Return the split of each (take, speaker, sentence, official) by name, and the rule."""
    takes, speakers, sentences, official = zip(*rows, strict=True) if rows else ([], [], [], [])
    labels, rule = choose_splits(
        takes=takes, speakers=speakers, sentences=sentences, official=official
    )
    assert labels.dtype == np.int64
    return [SPLITS[label] if label != UNUSED else "unused" for label in labels], rule


def grid(n_speakers: int, n_sentences: int, *, repeats: int = 1) -> list[Row]:
    """Return every speaker saying every sentence, a take each; no sentence where it is 0."""
    places = itertools.product(range(n_speakers), range(max(n_sentences, 1)), range(repeats))
    return [
        (take, f"speaker {who}", f"sentence {what}" if n_sentences else None, None)
        for take, (who, what, _) in enumerate(places)
    ]


def held(rows: Sequence[Row], splits: list[str], column: int, split: str) -> set[object]:
    """Return what `column` holds in the rows of a split."""
    return {row[column] for row, name in zip(rows, splits, strict=True) if name == split}


@pytest.mark.parametrize(("n_speakers", "n_held_out"), [(MIN_SPEAKERS, 1), (24, 2), (40, 4)])
def test_whole_speakers_are_held_out(n_speakers: int, n_held_out: int) -> None:
    """A speaker heard in training makes the test easier than any new voice is."""
    rows = grid(n_speakers, 2, repeats=3)
    splits, rule = split_rows(rows)
    speakers = [held(rows, splits, 1, name) for name in SPLITS]
    assert [len(names) for names in speakers] == [
        n_speakers - 2 * n_held_out,
        n_held_out,
        n_held_out,
    ]
    assert len(set.union(*speakers)) == n_speakers
    assert rule == (
        f"by speaker ({n_held_out} of {n_speakers} each in validation and test); "
        "test says sentences of train"
    )


def test_another_recording_moves_nobody() -> None:
    """A corpus that grows must not put into training what a model was tested on."""
    rows = grid(12, 4)
    more = [*grid(12, 5), (99, "speaker 3", None, None)]
    before, after = (
        dict(zip([r[1] for r in x], split_rows(x)[0], strict=True)) for x in (rows, more)
    )
    assert before == after
    shuffled = [rows[i] for i in np.random.default_rng(0).permutation(len(rows))]
    again, _ = split_rows(shuffled)
    assert dict(zip([row[1] for row in shuffled], again, strict=True)) == before


def test_few_shared_sentences_are_given_up_for_an_unseen_test() -> None:
    """Speakers with scripts of their own share a greeting: then test can be all new."""
    own: list[Row] = [
        (take, f"speaker {take % 10}", f"sentence {take}", None) for take in range(400)
    ]
    greetings: list[Row] = [(400 + who, f"speaker {who}", "hello", None) for who in range(10)]
    splits, rule = split_rows(own + greetings)
    said = [held(own + greetings, splits, 2, name) for name in SPLITS]
    assert "hello" in said[2]
    assert not said[0] & said[2]
    assert splits.count("unused") == 8
    assert rule.endswith("; 8 utterances in no split, they say sentences of test")


def test_sentences_that_all_say_are_kept() -> None:
    """As in MEAD: giving up what test says would leave nothing to train on."""
    splits, rule = split_rows(grid(12, 2 * MIN_SENTENCES))
    assert "unused" not in splits
    assert rule.endswith("; test says sentences of train")


def test_speakers_without_common_sentences_need_no_word_of_it() -> None:
    """The rule is printed in reports; it must not claim a leak."""
    rows: list[Row] = [(t, f"speaker {t % 10}", f"sentence {t}", None) for t in range(100)]
    assert split_rows(rows)[1] == "by speaker (1 of 10 each in validation and test)"
    assert (
        split_rows(grid(10, 0, repeats=9))[1] == "by speaker (1 of 10 each in validation and test)"
    )


def test_few_sentences_are_never_given_up() -> None:
    """With RAVDESS's two, giving one up would halve the training data."""
    rows: list[Row] = [(t, f"speaker {t % 10}", None, None) for t in range(100)]
    rows += [(100 + who, f"speaker {who}", "hello", None) for who in range(10)]
    splits, rule = split_rows(rows)
    assert "unused" not in splits
    assert rule.endswith("; test says sentences of train")


def test_few_speakers_are_split_by_sentence() -> None:
    """The same sentence by another speaker moves the mouth alike."""
    rows = grid(MIN_SPEAKERS - 1, 30)
    splits, rule = split_rows(rows)
    sentences = [held(rows, splits, 2, name) for name in SPLITS]
    assert [len(names) for names in sentences] == [24, 3, 3]
    assert len(set.union(*sentences)) == 30
    assert rule == "by sentence (3 of 30 each in validation and test)"


@pytest.mark.parametrize(("n_unknown", "by_sentence"), [(1, True), (2, False)])
def test_sentences_must_be_known_of_nearly_all(n_unknown: int, by_sentence: bool) -> None:
    """A table of texts for ten takes of a thousand is no basis for a split."""
    rows = grid(1, MIN_SENTENCES)
    rows += [(100 + i, "speaker 0", None, None) for i in range(n_unknown)]
    splits, rule = split_rows(rows)
    assert rule.startswith("by sentence") == by_sentence
    if by_sentence:
        assert splits[-1] == "train", "what may say anything may not be held out"


def test_too_few_sentences_are_no_basis() -> None:
    """One sentence of nine is more than a tenth, and says little."""
    _, rule = split_rows(grid(2, MIN_SENTENCES - 1))
    assert rule == "by takes, some of each speaker held out"


def test_long_takes_give_their_last_stretches() -> None:
    """Two long recordings are all that many people have."""
    rows: list[Row] = [(take, f"speaker {take}", None, None) for take in (0, 1) for _ in range(20)]
    splits, rule = split_rows(rows)
    assert splits == (["train"] * 16 + ["validation"] * 2 + ["test"] * 2) * 2
    assert rule == "by stretches, the last of each take held out"


def test_short_takes_stay_whole_and_every_speaker_is_tested() -> None:
    """Pieces of one take sound alike; held out by speaker's name, one voice would be all test."""
    rows: list[Row] = [
        (take, "anna" if take < 20 else "ben", None, None) for take in range(40) for _ in range(2)
    ]
    splits, rule = split_rows(rows)
    for take in range(40):
        assert len(set(splits[2 * take : 2 * take + 2])) == 1
    for name in SPLITS:
        assert held(rows, splits, 1, name) == {"anna", "ben"}
    assert rule == "by takes, some of each speaker held out"


@pytest.mark.parametrize("n_takes", [3, 4, 7, 10, 14, 15, 25, 26, 60, 99, 100])
def test_takes_are_held_out_evenly(n_takes: int) -> None:
    """Takes come by name, and names begin with the emotion: the last tenth would be one emotion."""
    rows: list[Row] = [(take, "anna", None, None) for take in range(n_takes)]
    splits, _ = split_rows(rows)
    n_held_out = max(1, round(0.1 * n_takes))
    for name in ("validation", "test"):
        places = [place for place, split in enumerate(splits) if split == name]
        assert len(places) == n_held_out
        gaps = np.diff(places)
        assert not len(gaps) or gaps.max() - gaps.min() <= 1
    assert splits[-1] == "test"


def test_one_long_take_among_short_ones_does_not_decide() -> None:
    """Its last piece alone would be the whole test."""
    rows: list[Row] = [(0, "anna", None, None)] * 5
    rows += [(take, "anna", None, None) for take in range(1, 40)]
    splits, _ = split_rows(rows)
    assert splits.count("test") == 4
    assert splits[:5] == ["train"] * 5


@pytest.mark.parametrize("n", range(8))
@pytest.mark.parametrize("n_takes", [1, 2, 8])
@pytest.mark.parametrize("n_speakers", [1, 3, 8])
def test_no_split_is_empty_from_three_utterances_on(n: int, n_takes: int, n_speakers: int) -> None:
    """Trainers stop at an empty validation split; so a small folder could not be used."""
    rows: list[Row] = [
        (take, f"speaker {take % n_speakers}", None, None)
        for take in sorted(i % n_takes for i in range(n))
    ]
    splits, rule = split_rows(rows)
    if n >= 3:
        assert set(splits) == set(SPLITS)
    else:
        assert set(splits) <= {"train"}
        assert rule == "all in train, there are too few"


def test_official_splits_win() -> None:
    """Results compare with others' only on the same split."""
    rows: list[Row] = [
        (take, f"speaker {take}", f"sentence {take}", SPLITS[take % 3]) for take in range(60)
    ]
    splits, rule = split_rows(rows)
    assert splits == [row[3] for row in rows]
    assert rule == "official"


def test_takes_without_an_official_split_train() -> None:
    """MEAD has identities that the published split does not name."""
    rows: list[Row] = [(i, f"speaker {i}", None, (*SPLITS, None)[i % 4]) for i in range(40)]
    splits, rule = split_rows(rows)
    assert splits == [row[3] or "train" for row in rows]
    assert rule == "official, 10 utterances without an official split in train"


def test_a_split_that_was_not_downloaded_is_taken_from_train() -> None:
    """Few people have all of MEAD; whoever has training identities only must still validate."""
    trained: list[Row] = [(i, f"speaker {i % 8}", None, "train") for i in range(40)]
    tested: list[Row] = [(40 + i, "speaker 9", None, "test") for i in range(5)]
    splits, rule = split_rows(trained + tested)
    assert splits[40:] == ["test"] * 5
    assert "test" not in splits[:40], "official training utterances are no official test"
    assert len(held(trained + tested, splits, 1, "validation")) == 1
    assert rule == (
        "official; nothing official for validation, so from train "
        "by speaker (1 of 8 each in validation and test)"
    )
    splits, rule = split_rows(trained)
    assert set(splits) == set(SPLITS)
    assert "nothing official for validation and test" in rule


def test_held_out_identities_alone_are_split_anew() -> None:
    """With nothing to train on the official split is of no use."""
    rows: list[Row] = [(i, f"speaker {i % 8}", None, "test") for i in range(40)]
    splits, rule = split_rows(rows)
    assert set(splits) == set(SPLITS)
    assert rule.startswith("by speaker")


def test_too_little_training_is_not_shared_out() -> None:
    """One official training utterance cannot be validation as well."""
    splits, _ = split_rows([(i, "anna", None, "test" if i else "train") for i in range(5)])
    assert set(splits) == set(SPLITS)


def test_columns_of_different_length_are_refused() -> None:
    """Shifted against each other they would split by somebody else's name."""
    message = "`takes` to `official` must have one length, got 2, 2, 1 and 2"
    with pytest.raises(ValueError, match=re.escape(message)):
        choose_splits(takes=[0, 1], speakers=["a", "b"], sentences=[None], official=[None, None])
