"""One table of spellings for all readers."""

from __future__ import annotations

import pytest

from esarm_env.formats.spellings import (
    RATE_NAMES,
    TIME_NAMES,
    difference,
    keys_called,
    name_form,
    note_on_others,
    plain,
)


@pytest.mark.parametrize(
    ("name", "scale"),
    [
        ("time_s", 1.0),
        ("Time (s)", 1.0),
        ("TIMESTAMP", 1.0),
        ("t", 1.0),
        ("time [ms]", 1e-3),
        ("timestampMs", 1e-3),
        ("Timestamp-us", 1e-6),
        ("nanoseconds", 1e-9),
    ],
)
def test_times_are_known_in_every_spelling(name: str, scale: float) -> None:
    """A unit that is overlooked plays a take in a thousandth of its time."""
    assert TIME_NAMES[plain(name)] == scale


@pytest.mark.parametrize("name", ["fps", "FPS", "frame_rate", "frameRate", "exportFps", "rate_hz"])
def test_rates_are_known_in_every_spelling(name: str) -> None:
    """A rate that is overlooked is guessed."""
    assert plain(name) in RATE_NAMES


def test_keys_come_in_their_order_and_spelling() -> None:
    """They are looked up in the document as they stand there."""
    assert keys_called(["Time", "x", "timestamp_ms"], TIME_NAMES) == ["Time", "timestamp_ms"]
    assert plain("x" * 10_000) == "x" * 10_000, "is no key of ours, and not kept in memory"


def test_names_that_look_the_same_have_one_form() -> None:
    """Unicode has two spellings of every umlaut, and some systems know no case."""
    forms = {name_form(name) for name in ("A/J\u00fcrgen", "a/Ju\u0308rgen ", "\uff21/J\u00dcRGEN")}
    assert forms == {"a/j\u00fcrgen"}
    assert name_form("stra\u00dfe") == name_form("STRASSE")


@pytest.mark.parametrize(
    ("one", "other", "words"),
    [
        ("\u00fc", "u\u0308", "in their Unicode form"),
        ("A", "a", "in case"),
        ("a", "a ", "in case, spaces or Unicode form"),
    ],
)
def test_it_is_said_how_names_differ(one: str, other: str, words: str) -> None:
    """Printed, they look the same."""
    assert difference(one, other) == words


def test_bookkeeping_needs_no_note() -> None:
    """A note on every pandas index would hide the one on a column that mattered."""
    assert note_on_others(["frame", "", "Unnamed: 0"]) == ()
    assert note_on_others(["mood", "frame"]) == ("columns that are no shapes left out: mood",)
    many = note_on_others([f"x{i}" for i in range(10)])
    assert many[0].endswith("x7 and 2 more")
