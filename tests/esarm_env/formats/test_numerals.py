"""Numbers as spreadsheets of all countries write them."""

from __future__ import annotations

import math
import re

import pytest

from esarm_env.core.errors import InputError
from esarm_env.formats.numerals import decimal_sign, number


@pytest.mark.parametrize(
    ("cell", "sign", "value"),
    [
        ("0.5", ".", 0.5),
        (" -1e-5 ", ".", -1e-5),
        ("1,234.5", ".", 1234.5),
        ("1'234.5", ".", 1234.5),
        ("1\u202f234", ".", 1234.0),
        ("0,5", ",", 0.5),
        ("1,5E-05", ",", 1.5e-5),
        ("1.234,5", ",", 1234.5),
        ("1.234", ",", 1234.0),
        ("\u22122,5", ",", -2.5),
        ("inf", ",", math.inf),
        ("7", ",", 7.0),
    ],
)
def test_a_number_is_read_by_the_sign_of_its_table(cell: str, sign: str, value: float) -> None:
    """`1.234` is one number in Berlin and another in Boston."""
    assert number(cell, sign=sign) == pytest.approx(value)


@pytest.mark.parametrize("cell", ["", "  ", "NaN", "NA", "#N/A", "null", "-"])
@pytest.mark.parametrize("sign", [".", ","])
def test_words_for_nothing_are_nan(cell: str, sign: str) -> None:
    """Statistics programs write them into empty cells."""
    assert math.isnan(number(cell, sign=sign))


@pytest.mark.parametrize(
    ("cell", "sign"),
    [
        ("x", "."),
        ("1,2", "."),
        ("12,34.5", "."),
        ("0,123", "."),
        ("0.5", ","),
        ("1.23", ","),
        ("1_000", ","),
        ("1_000", "."),
        ("1,2,3", ","),
        (",", ","),
        ("00:00:01", "."),
    ],
)
def test_what_may_be_another_number_is_none(cell: str, sign: str) -> None:
    """0.5 read as 5 would open a jaw ten times too far; the row that holds it must be told."""
    with pytest.raises(ValueError, match=r"not a number|could not convert"):
        number(cell, sign=sign)


@pytest.mark.parametrize(
    ("cells", "sign"),
    [
        (["jaw", "0.5", "1,234"], "."),
        (["0,5", "1.234", "10:00:00:01.500"], ","),
        (["1.234.567"], ","),
        (["1,234,567"], "."),
        (["1.234,5"], ","),
        (["1,234.5"], "."),
        (["7", ""], "?"),
        (["1.234"], "?"),
    ],
)
def test_the_clear_numbers_tell_the_sign(cells: list[str], sign: str) -> None:
    """Three digits behind a sign may be thousands; everything else must be a fraction."""
    assert decimal_sign(cells, unclear="?") == sign


def test_two_signs_in_one_table_are_refused() -> None:
    """One half of the table would be read a thousand times too large."""
    message = "numbers must have one decimal sign in all cells, got '0.5' and '0,5'"
    with pytest.raises(InputError, match=re.escape(message)):
        decimal_sign(["0,5", "0.5"], unclear=".")
