"""Emotion, intensity and speaker as a vector: a column out of place animates another feeling."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

from esarm_env.core.errors import InputError
from esarm_env.core.types import EMOTIONS, UNKNOWN_SPEAKER, Corpus
from esarm_env.task.conditions import (
    EMOTION_SLICE,
    INTENSITY_SLICE,
    SPEAKER_START,
    ConditionEncoder,
)

VALID = "neutral, angry, calm, contempt, disgusted, fear, happy, sad, surprised"


@pytest.fixture
def encoder() -> ConditionEncoder:
    return ConditionEncoder(("anna", "ben"))


def test_the_columns_are_the_hand_written_ones(encoder: ConditionEncoder) -> None:
    """Trained weights mean these columns in this order, for good."""
    condition = encoder.encode("happy", 2, "ben")
    emotions, intensities, speakers = [0, 0, 0, 0, 0, 0, 1, 0, 0], [0, 1, 0], [0, 1]
    expected = [*emotions, *intensities, *speakers]
    assert condition.tolist() == expected
    assert condition.dtype == np.float32
    assert encoder.dim == len(expected) == 14
    assert (EMOTION_SLICE, INTENSITY_SLICE, SPEAKER_START) == (slice(0, 9), slice(9, 12), 12)


@pytest.mark.parametrize("emotion", EMOTIONS)
@pytest.mark.parametrize("intensity", [1, 2, 3])
def test_every_label_has_a_column_of_its_own(
    encoder: ConditionEncoder, emotion: str, intensity: int
) -> None:
    """Two labels on one column could never be told apart."""
    condition = encoder.encode(emotion, intensity, "anna")
    assert np.flatnonzero(condition).tolist() == [EMOTIONS.index(emotion), 8 + intensity, 12]


@pytest.mark.parametrize("speaker", [None, "dora", "", "Anna"])
def test_a_stranger_is_the_average_speaker(encoder: ConditionEncoder, speaker: str | None) -> None:
    """Index -1 would silently make every stranger the last training speaker."""
    assert encoder.speaker_index(speaker) == UNKNOWN_SPEAKER == -1
    assert encoder.encode("sad", 1, speaker)[SPEAKER_START:].tolist() == [0, 0]


def test_no_training_speaker_is_allowed() -> None:
    """A corpus of one unnamed voice still has emotions."""
    encoder = ConditionEncoder(())
    assert encoder.encode("sad", 1, "anna").shape == (encoder.dim,) == (12,)


@pytest.mark.parametrize(
    ("emotion", "intensity", "message"),
    [
        ("bored", 1, f"`emotion` must be one of {VALID}, got 'bored'"),
        ("Happy", 1, f"`emotion` must be one of {VALID}, got 'Happy'"),
        ("happy", 0, "`intensity` must be 1 to 3, got 0"),
        ("happy", 4, "`intensity` must be 1 to 3, got 4"),
        ("happy", 1.5, "`intensity` must be 1 to 3, got 1.5"),
        ("happy", "2", "`intensity` must be 1 to 3, got '2'"),
        ("happy", None, "`intensity` must be 1 to 3, got None"),
    ],
)
def test_unknown_labels_are_rejected(
    encoder: ConditionEncoder, emotion: str, intensity: Any, message: str
) -> None:
    """Intensity 0 would set the last emotion's column, and 1.5 be rounded without a word."""
    with pytest.raises(InputError, match=re.escape(message)):
        encoder.encode(emotion, intensity, "anna")


def test_numpys_integers_are_intensities(encoder: ConditionEncoder) -> None:
    """Loops over `np.arange` hand these over."""
    expected = encoder.encode("sad", 3, "anna")
    np.testing.assert_array_equal(encoder.encode("sad", np.int64(3), "anna"), expected)


def test_records_are_encoded_row_by_row(encoder: ConditionEncoder, tiny_corpus: Corpus) -> None:
    """A batch must be what one call after the other gives."""
    rows = encoder.encode_records(tiny_corpus.records)
    assert rows.shape == (12, 14)
    for row, record in zip(rows, tiny_corpus.records, strict=True):
        expected = encoder.encode(record.emotion, record.intensity, record.speaker)
        np.testing.assert_array_equal(row, expected)
    assert not rows[10:, SPEAKER_START:].any(), "dora is no training speaker"


def test_no_records_give_no_rows(encoder: ConditionEncoder) -> None:
    """`np.stack` of nothing is an error; an empty validation split is not."""
    empty = encoder.encode_records([])
    assert empty.shape == (0, 14)
    assert empty.dtype == np.float32
