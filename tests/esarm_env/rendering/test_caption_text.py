"""Lines of text: which letters there are, and that nothing leaves its room."""

from __future__ import annotations

import numpy as np
import pytest

from esarm_env.rendering import text

_LONG = "He said that nobody would ever be able to cross the river before the bridge was mended."


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("Who took my cup?", "Who took my cup?"),
        ("Schöne Grüße, señor", "Schone Grusse, senor"),
        ("e\u0301te\u0301", "ete"),  # accents as characters of their own
        ("well \u2014 “so”…", "well - “so”…"),
        ("one\ntwo\t three ", "one two three"),
        ("take 5 \u2192 6", "take 5 ? 6"),
        ("??", "??"),
        ("Добрый день", ""),
        ("你好", ""),
        ("", ""),
    ],
)
def test_text_is_written_in_letters_that_the_font_has(given: str, shown: str) -> None:
    """A font draws an empty box for what it lacks, and a row of boxes tells nobody anything."""
    assert text.legible(given) == shown


def test_a_text_without_end_is_cut_before_it_is_measured() -> None:
    """A transcript of an hour in one record would stop every picture for seconds."""
    assert len(text.legible("word " * 100_000)) <= 400


@pytest.mark.parametrize("middle", [False, True])
@pytest.mark.parametrize("width", [20, 55, 120, 300])
def test_a_shortened_line_fits_and_wastes_no_room(width: int, middle: bool) -> None:
    """A line that is too long runs over its neighbour; one cut too early hides what is known."""
    short = text.shortened(_LONG, size=16, width=width, middle=middle)
    assert text.width_of(short, 16) <= width
    assert text.width_of(short, 16) > width - 3 * text.width_of("m", 16)
    begin, end = short.split(text.ELLIPSIS)
    assert _LONG.startswith(begin), "the start stays"
    assert _LONG.endswith(end), "so does the end"
    assert bool(end) == (middle and width > 20)


def test_a_line_that_fits_stays_as_it_is() -> None:
    """An ellipsis says that something is missing."""
    width = text.width_of("boat", 16)
    assert text.shortened("boat", size=16, width=width) == "boat"
    assert text.shortened("boat", size=16, width=width - 1) == "bo" + text.ELLIPSIS
    assert text.shortened("boat", size=16, width=0) == text.ELLIPSIS


def test_text_breaks_between_words_and_its_last_line_is_shortened() -> None:
    """Two lines of three hundred pixels do not hold this sentence: words must not be split."""
    lines = text.wrapped(_LONG, size=16, width=300, n_lines=2)
    assert len(lines) == 2
    assert all(text.width_of(line, 16) <= 300 for line in lines)
    assert _LONG.startswith(lines[0] + " ")
    assert _LONG.startswith(lines[0] + " " + lines[1].removesuffix(text.ELLIPSIS))
    assert lines[1].endswith(text.ELLIPSIS)


def test_short_text_takes_one_line_and_no_text_takes_none() -> None:
    """An empty line would push the text up."""
    assert text.wrapped("The boat.", size=16, width=300, n_lines=2) == ["The boat."]
    assert text.wrapped("", size=16, width=300, n_lines=2) == []


def test_a_word_wider_than_the_line_is_shortened() -> None:
    """Nothing can be broken there, and it must not run out of the picture."""
    lines = text.wrapped("a" * 90 + " boat", size=16, width=100, n_lines=2)
    assert [text.width_of(line, 16) <= 100 for line in lines] == [True, True]
    assert lines[1] == "boat"


@pytest.mark.parametrize(("x", "y"), [(-20, 5), (90, 5), (5, 45), (300, 5), (5, 300)])
def test_a_line_is_cut_off_at_the_borders(x: int, y: int) -> None:
    """A negative index would write on the other side of the picture."""
    picture = np.full((50, 100, 3), 200, dtype=np.uint8)
    text.draw(picture, "Hello", x=x, y=y, size=16, colour=(0, 0, 0))
    inked = np.argwhere((picture != 200).any(axis=2))
    height, width = text.line_height(16), text.width_of("Hello", 16)
    for row, column in inked:
        assert y <= row < y + height, (row, column)
        assert x <= column < x + width, (row, column)
    assert bool(len(inked)) == (x < 100 and y < 50)


@pytest.mark.parametrize(("align", "first"), [("left", 50), ("centre", 30), ("right", 10)])
def test_lines_stand_where_they_are_aligned(align: str, first: int) -> None:
    """The caption's right half hangs on its right border."""
    picture = np.zeros((30, 120, 3), dtype=np.uint8)
    width = text.width_of("HHH", 16)
    x = {"left": 50, "centre": 30 + width // 2, "right": 10 + width}[align]
    text.draw(picture, "HHH", x=x, y=2, size=16, colour=(255, 255, 255), align=align)  # type: ignore[arg-type]
    columns = np.flatnonzero(picture.any(axis=(0, 2)))
    assert columns[0] == pytest.approx(first, abs=2), "the side bearing of H"


def test_ink_covers_by_shares() -> None:
    """Half a pixel of ink must be halfway between paper and ink, whichever is brighter."""
    picture = np.full((1, 3, 3), 100, dtype=np.uint8)
    text.blend(picture, np.array([[0.0, 0.5, 1.0]], dtype=np.float32), (200, 0, 100))
    assert picture[0].tolist() == [[100, 100, 100], [150, 50, 100], [200, 0, 100]]


def test_masks_are_kept_and_cannot_be_changed() -> None:
    """Every picture of an episode shares them: one write would stain all that follow."""
    assert text.mask("kept", 16) is text.mask("kept", 16)
    with pytest.raises(ValueError, match="read-only"):
        text.mask("kept", 16)[0, 0] = 1.0
