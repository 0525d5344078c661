"""Utterances that differ in emotion alone."""

from __future__ import annotations

from esarm_env.core.types import Record
from esarm_env.corpus.splits import parallel_groups


def record(speaker: str, emotion: str, intensity: int = 1) -> Record:
    return Record(f"{speaker}-{emotion}-{intensity}", speaker, emotion, intensity, None, 30)


def test_groups_share_speaker_and_sentence_and_differ_in_emotion() -> None:
    """Cross-reconstruction from a wrong partner teaches that words are emotion."""
    rows = [
        (record("ann", "happy"), "one"),
        (record("ann", "sad"), "two"),
        (record("bob", "happy"), "one"),
        (record("ann", "sad"), "one"),
        (record("ann", "happy", 2), "one"),
        (record("bob", "happy", 2), "one"),
        (record("bob", "angry"), None),
        (record("bob", "sad"), None),
    ]
    records, sentences = zip(*rows, strict=True)
    groups = parallel_groups(records, sentences)
    assert [group.tolist() for group in groups] == [[0, 3, 4]]
    assert groups[0].dtype == "int64"
