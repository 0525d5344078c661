"""Demonstrations: what comes in is checked, and nothing is lost or moved on the way."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from agents.cloning import Demonstrations
from agents.protocols import SequenceTask


def _made(**changed: Any) -> Demonstrations:
    """Return two sequences for the toy task, whose utterances 0 and 4 have 2 and 4 tokens."""
    parts: dict[str, Any] = {
        "utterances": np.array([0, 4]),
        "tokens": np.array([[1, 2, -1, -1], [0, 1, 2, 3]]),
        "lengths": np.array([2, 4]),
        "condition": np.zeros((2, 5), dtype=np.float32),
    }
    return Demonstrations(**parts | changed)


def test_recordings_are_the_tasks_own(task: SequenceTask) -> None:
    """Rows out of order would clone one utterance's motion to another's audio."""
    chosen = np.array([9, 0, 5])
    made = Demonstrations.recorded(task, chosen)
    np.testing.assert_array_equal(made.tokens, task.demonstrations(chosen))
    np.testing.assert_array_equal(made.lengths, task.lengths[chosen])
    np.testing.assert_array_equal(made.condition, task.condition_of(chosen))


def test_rows_are_trimmed_to_their_longest() -> None:
    """Padding beyond it is width that every update would pay for."""
    assert _made().rows(np.array([0])).tokens.tolist() == [[1, 2]]


def test_hand_made_sequences_are_accepted(task: SequenceTask) -> None:
    """Sequences of any origin, several of an utterance too, in any integer type."""
    _made().check_for(task)
    twice = _made(
        utterances=np.array([4, 4], dtype=np.int32),
        tokens=np.array([[3, 2, 1, 0], [0, 1, 2, 3]], dtype=np.int16),
        lengths=np.array([4, 4]),
        condition=np.zeros((2, 5)),
    )
    twice.check_for(task)
    assert twice.tokens.dtype == np.int64 and twice.condition.dtype == np.float32


@pytest.mark.parametrize(
    ("changed", "rule"),
    [
        ({"lengths": np.array([2])}, "`lengths` must have 1 axes and 2 rows"),
        ({"tokens": np.array([1, 2])}, "`tokens` must have 2 axes and 2 rows"),
        ({"tokens": np.zeros((2, 4))}, "`tokens` must hold integer values, got float64"),
        ({"condition": np.zeros((2, 5), int)}, "`condition` must hold floating values, got int64"),
        ({"lengths": np.array([3, 4])}, "got length 3 and tokens [1, 2, -1, -1] in row 0"),
        ({"lengths": np.array([1, 4])}, "got length 1 and tokens [1, 2, -1, -1] in row 0"),
        ({"lengths": np.array([2, 5])}, "got length 5 and tokens [0, 1, 2, 3] in row 1"),
        ({"lengths": np.array([0, 4])}, "got length 0 and tokens [1, 2, -1, -1] in row 0"),
    ],
)
def test_arrays_that_disagree_are_rejected(changed: dict[str, Any], rule: str) -> None:
    """Broadcasting or a cast would hide each of these until the loss looks odd."""
    with pytest.raises(ValueError, match=re.escape(rule)):
        _made(**changed)


@pytest.mark.parametrize(
    ("changed", "rule"),
    [
        ({"utterances": np.array([0, 12])}, "`utterances` must be in [0, 11], got [12]"),
        ({"utterances": np.array([-1, 4])}, "`utterances` must be in [0, 11], got [-1]"),
        (
            {"tokens": np.array([[1, 2, -1, -1], [0, 4, 2, 3]])},
            "`tokens` must be below 4, got 4 in row 1",
        ),
        (
            {"utterances": np.array([0, 0])},
            "`lengths` must be those of the task's audio, got 4 in row 1, whose utterance has 2",
        ),
        ({"condition": np.zeros((2, 6))}, "`condition` must be 5 wide, got 6"),
    ],
)
def test_what_the_task_does_not_have_is_rejected(
    task: SequenceTask, changed: dict[str, Any], rule: str
) -> None:
    """The token embedding of another slot, or another utterance's audio, would be taken."""
    with pytest.raises(ValueError, match=re.escape(rule)):
        _made(**changed).check_for(task)


def test_no_demonstrations_are_rejected(task: SequenceTask) -> None:
    """An empty split must be named, not fail as the maximum of nothing."""
    empty = np.array([], dtype=np.int64)
    with pytest.raises(ValueError, match="`utterances` must hold at least one utterance, got none"):
        Demonstrations.recorded(task, empty)
    with pytest.raises(ValueError, match="must hold at least one utterance, got none"):
        Demonstrations(empty, np.zeros((0, 4), int), empty, np.zeros((0, 5)))


def test_no_utterance_is_on_both_sides_of_a_split(task: SequenceTask) -> None:
    """Two takes of an utterance, one on each side, would measure memory and not learning."""
    twice = np.repeat(np.arange(12), 2)
    made = Demonstrations.recorded(task, twice)
    train, held = made.hold_out(rng=np.random.default_rng(0), share=0.25)
    assert len(held) == 6 and len(train) == 18
    assert not set(train.utterances) & set(held.utterances)
    assert set(train.utterances) | set(held.utterances) == set(range(12))


def test_at_least_one_utterance_is_on_each_side(task: SequenceTask) -> None:
    """Of two utterances, a tenth is none, and all but none is both."""
    made = Demonstrations.recorded(task, np.array([0, 4]))
    for share in (0.0, 0.1, 1.0):
        train, held = made.hold_out(rng=np.random.default_rng(0), share=share)
        assert len(train) == len(held) == 1
    with pytest.raises(ValueError, match=r"of at least 2 utterances .* got 1; pass `validation`"):
        replace(made, utterances=np.array([4, 4])).hold_out(rng=np.random.default_rng(0))
