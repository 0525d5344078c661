"""The batches that pass between the packages: what they refuse, and what they keep."""

from __future__ import annotations

import dataclasses
import re
from typing import Any

import numpy as np
import pytest

from esarm_env.core.types import (
    EMOTIONS,
    N_CHANNELS,
    SAMPLE_RATE_HZ,
    Record,
    RewardFunction,
    Trajectories,
    Utterance,
    n_frames_of,
)

RECORD = Record("anna-01", "anna", "happy", 2, "Hello.", 3)


def trajectories(**change: Any) -> Trajectories:
    """Return two rows of recognisable ramps, the first one shorter."""
    parts: dict[str, Any] = {
        "utterance": np.array([7, 9]),
        "tokens": np.array([[10, 11, -1, -1], [20, 21, 22, 23]]),
        "lengths": np.array([2, 4]),
        "condition": np.arange(6, dtype=np.float32).reshape(2, 3),
    }
    return Trajectories(**(parts | change))


@pytest.mark.parametrize(
    ("n_samples", "n_frames"),
    [
        (0, 0),
        (1, 1),
        (533, 1),  # a frame is 533.33 samples
        (534, 2),
        (SAMPLE_RATE_HZ, 30),
        (SAMPLE_RATE_HZ + 1, 31),
        (600 * SAMPLE_RATE_HZ, 18_000),
    ],
)
def test_frames_cover_every_sample(n_samples: int, n_frames: int) -> None:
    """One frame too few would leave the last sound without a face."""
    assert n_frames_of(n_samples) == n_frames


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"emotion": "bored"}, f"`emotion` must be one of {EMOTIONS}, got 'bored'"),
        ({"emotion": "Happy"}, f"`emotion` must be one of {EMOTIONS}, got 'Happy'"),
        ({"intensity": 0}, "`intensity` must be in 1..3, got 0"),
        ({"intensity": 4}, "`intensity` must be in 1..3, got 4"),
        ({"n_frames": 0}, "`n_frames` must be at least 1, got 0 in 'anna-01'"),
    ],
)
def test_bad_records_are_rejected(change: dict[str, Any], message: str) -> None:
    """A label outside the list would be a column of the condition that nobody trained."""
    with pytest.raises(ValueError, match=re.escape(message)):
        dataclasses.replace(RECORD, **change)


@pytest.mark.parametrize(
    "change",
    [
        *({"emotion": emotion} for emotion in EMOTIONS),
        *({"intensity": intensity} for intensity in (1, 3)),
        {"n_frames": 1},
        {"text": None},
    ],
)
def test_limits_of_records_are_allowed(change: dict[str, Any]) -> None:
    """A check that is too strict would refuse half of RAVDESS."""
    record = dataclasses.replace(RECORD, **change)
    assert {key: getattr(record, key) for key in change} == change


def utterance(**change: Any) -> Utterance:
    parts: dict[str, Any] = {
        "record": RECORD,
        "audio": np.zeros(1600, np.float32),
        "motion": np.zeros((3, N_CHANNELS), np.float32),
        "captured": np.ones(N_CHANNELS, np.bool_),
    }
    return Utterance(**(parts | change))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"audio": np.zeros(1600)},
            "`audio` must be float32 of shape (n_samples,), got float64 (1600,)",
        ),
        (
            {"audio": np.zeros((1600, 2), np.float32)},
            "`audio` must be float32 of shape (n_samples,), got float32 (1600, 2)",
        ),
        (
            {"motion": np.zeros((4, N_CHANNELS), np.float32)},
            "`motion` must be float32 of shape (3, 52), got float32 (4, 52)",
        ),
        (
            {"motion": np.zeros((3, 51), np.float32)},
            "`motion` must be float32 of shape (3, 52), got float32 (3, 51)",
        ),
        (
            {"motion": np.zeros((3, N_CHANNELS))},
            "`motion` must be float32 of shape (3, 52), got float64 (3, 52)",
        ),
        (
            {"captured": np.ones(51, np.bool_)},
            "`captured` must be bool of shape (52,), got bool (51,)",
        ),
        (
            {"captured": np.ones(N_CHANNELS)},
            "`captured` must be bool of shape (52,), got float64 (52,)",
        ),
    ],
)
def test_bad_utterances_are_rejected(change: dict[str, Any], message: str) -> None:
    """Stereo or float64 would surface hours later, inside a convolution."""
    with pytest.raises(ValueError, match=re.escape(message)):
        utterance(**change)


def test_an_utterance_of_one_frame_is_allowed() -> None:
    """The shortest motion there is must pass the check."""
    record = dataclasses.replace(RECORD, n_frames=1)
    one = utterance(record=record, motion=np.zeros((1, N_CHANNELS), np.float32))
    assert len(one.motion) == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"tokens": np.array([[10, 11, -1, -1]])},
            "`tokens` must have one row per utterance (2), got 1",
        ),
        ({"lengths": np.array([2])}, "`lengths` must have one row per utterance (2), got 1"),
        (
            {"condition": np.zeros((3, 3), np.float32)},
            "`condition` must have one row per utterance (2), got 3",
        ),
        (
            {"tokens": np.array([10, 11])},
            "`tokens` and `condition` must have two axes, got (2,) and (2, 3)",
        ),
        (
            {"condition": np.zeros(2, np.float32)},
            "`tokens` and `condition` must have two axes, got (2, 4) and (2,)",
        ),
    ],
)
def test_rows_that_disagree_are_rejected(change: dict[str, Any], message: str) -> None:
    """A batch off by one row would score every animation against another's audio."""
    with pytest.raises(ValueError, match=re.escape(message)):
        trajectories(**change)


@pytest.mark.parametrize(
    "change",
    [
        {"lengths": np.array([3, 4])},  # a hole within the sequence
        {"lengths": np.array([1, 4])},  # a token after the end
        {"tokens": np.array([[10, 11, 12, -1], [20, 21, 22, 23]])},
        {"tokens": np.array([[-1, 11, -1, -1], [20, 21, 22, 23]])},
        {"tokens": np.array([[10, 11, -2, -1], [20, 21, 22, 23]])},
        {"tokens": np.array([[10, 11, -1, -100], [20, 21, 22, 23]])},  # torch's own padding
    ],
)
def test_padding_that_disagrees_with_lengths_is_rejected(change: dict[str, Any]) -> None:
    """The reward would average padding in, and punish short utterances for being short."""
    message = "`tokens` must be non-negative up to `lengths` and -1 after"
    with pytest.raises(ValueError, match=re.escape(message)):
        trajectories(**change)


def test_a_length_beyond_the_tokens_is_rejected() -> None:
    """Decoding would read tokens that nobody wrote."""
    message = "`lengths` must be 1 to 4 (the width of `tokens`), got 2 to 5"
    with pytest.raises(ValueError, match=re.escape(message)):
        trajectories(lengths=np.array([2, 5]))


@pytest.mark.parametrize("length", [0, -1])
def test_a_length_of_nothing_is_rejected(length: int) -> None:
    """An animation without a token has no motion to score."""
    tokens = np.array([[-1, -1, -1, -1], [20, 21, 22, 23]])
    message = f"`lengths` must be 1 to 4 (the width of `tokens`), got {length} to 4"
    with pytest.raises(ValueError, match=re.escape(message)):
        trajectories(tokens=tokens, lengths=np.array([length, 4]))


def test_a_length_of_one_is_allowed() -> None:
    """The shortest sequence there is must pass the check."""
    tokens = np.array([[0, -1, -1, -1], [20, 21, 22, 23]])
    assert trajectories(tokens=tokens, lengths=np.array([1, 4])).lengths[0] == 1


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        (slice(1, None), [9]),
        (np.array([1, 0, 1]), [9, 7, 9]),
        (np.array([True, False]), [7]),
        (slice(0, 0), []),
    ],
)
def test_indexing_takes_whole_rows(rows: Any, expected: list[int]) -> None:
    """Tokens of one animation beside the condition of another would still have the right shape."""
    whole = trajectories()
    part = whole[rows]
    assert part.utterance.tolist() == expected
    assert len(part) == len(expected)
    order = [{7: 0, 9: 1}[index] for index in expected]
    np.testing.assert_array_equal(part.tokens, whole.tokens[order])
    np.testing.assert_array_equal(part.lengths, whole.lengths[order])
    np.testing.assert_array_equal(part.condition, whole.condition[order])


@pytest.mark.parametrize("rows", [0, -1, np.int64(1)])
def test_indexing_by_a_number_is_rejected(rows: Any) -> None:
    """It would drop the axis that everything counts on."""
    message = f"`rows` must select an axis (slice, array, mask), got {rows!r}"
    with pytest.raises(TypeError, match=re.escape(message)):
        trajectories()[rows]


def test_concatenation_pads_to_the_longest() -> None:
    """Padding with 0, a real token, would lengthen every shorter animation."""
    longer = Trajectories(
        np.array([5]),
        np.array([[30, 31, 32, 33, 34, 35]]),
        np.array([6]),
        np.full((1, 3), 9, np.float32),
    )
    joined = Trajectories.concatenate([trajectories(), longer])
    assert joined.utterance.tolist() == [7, 9, 5]
    assert joined.lengths.tolist() == [2, 4, 6]
    assert joined.tokens.tolist() == [
        [10, 11, -1, -1, -1, -1],
        [20, 21, 22, 23, -1, -1],
        [30, 31, 32, 33, 34, 35],
    ]
    assert joined.condition[:, 0].tolist() == [0, 3, 9]
    assert joined.tokens.dtype == np.int64, "padding must not change the type"


def test_concatenating_parts_gives_the_whole_back() -> None:
    """Scores computed in pieces must belong to the rows they were computed for."""
    whole = trajectories()
    joined = Trajectories.concatenate([whole[:1], whole[1:]])
    for field in dataclasses.fields(Trajectories):
        np.testing.assert_array_equal(getattr(joined, field.name), getattr(whole, field.name))


def test_concatenating_nothing_is_rejected() -> None:
    """The width of nothing is unknown."""
    message = "`parts` must hold at least one batch, got none"
    with pytest.raises(ValueError, match=re.escape(message)):
        Trajectories.concatenate([])


def test_a_reward_is_known_by_its_two_members() -> None:
    """Another package's reward needs no base class of ours."""

    class Complete:
        needs_ground_truth = False

        def score(self, trajectories: Trajectories) -> np.ndarray:
            return np.zeros(len(trajectories), np.float32)

    class Half:
        needs_ground_truth = False

    assert isinstance(Complete(), RewardFunction)
    assert not isinstance(Half(), RewardFunction), "an object without `score` is no reward"
