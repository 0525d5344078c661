"""CSV in every dialect: the same numbers must come out of all."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from esarm_env.core.errors import InputError
from esarm_env.formats.tables import read_records, read_table, separator_of, split_line

_POINT = "time,jaw,lips\n0,0.25,1\n0.5,0.5,0.125\n1,,0\n"
_COMMA = _POINT.replace(",", ";").replace(".", ",")


@pytest.mark.parametrize(
    "content",
    [
        _POINT.encode(),
        _POINT.encode("utf-8-sig"),
        _POINT.encode("utf-16"),
        _POINT.encode("utf-16-le"),
        _POINT.encode("utf-32"),
        _POINT.replace("\n", "\r\n").encode(),
        _POINT.replace("\n", "\r").encode(),
        _POINT.replace(",", "\t").encode(),
        _POINT.replace(",", "|").encode(),
        _POINT.replace(",", " , ").encode(),
        _COMMA.encode(),
        _COMMA.replace(";", "\t").encode("utf-16"),
        f"sep=;\n{_COMMA}".encode(),
        f"# from a tracker\n\n{_POINT}\n\n# end\n".encode(),
        _POINT.replace("\n", ",\n").encode(),
        _POINT.replace("\n", ",,\n").encode(),
        "\n".join(f"{line}," if i else line for i, line in enumerate(_POINT.splitlines())).encode(),
        b'"time","jaw","lips"\n"0","0.25","1"\n"0.5","0.5","0.125"\n"1","","0"\n',
        b'"time","jaw","lips"\n"0","0,25","1"\n"0,5","0,5","0,125"\n"1","","0"\n',
        b"time jaw lips\n0 0.25 1\n0.5 0.5 0.125\n1 nan 0\n",
        b"# time jaw lips\n0 0.25 1\n0.5 0.5 0.125\n1 nan 0\n",
        b"time,jaw,lips\n0,0.25,1\n0.5,0.5,0.125\n1,NA,0\n",
    ],
)
def test_every_dialect_gives_the_same_numbers(tmp_path: Path, content: bytes) -> None:
    """A table that a spreadsheet saved again is the same table."""
    (tmp_path / "x.csv").write_bytes(content)
    table = read_table(tmp_path / "x.csv")
    assert [name for name in table.header if name] == ["time", "jaw", "lips"]
    values, wrong = table.numbers([0, 1, 2])
    assert wrong == {}
    np.testing.assert_array_equal(values, [[0, 0.25, 1], [0.5, 0.5, 0.125], [1, np.nan, 0]])
    np.testing.assert_array_equal(table.column(0), [0, 0.5, 1])


def test_wrong_rows_are_told_and_keep_their_column_of_time(tmp_path: Path) -> None:
    """A row that is lost without its time moves every later one."""
    path = tmp_path / "x.csv"
    path.write_text("time,jaw\n0,0\n1,0,9\n2,x\n3,0\n\n4\n5,0\n6\n")
    table = read_table(path)
    values, wrong = table.numbers([1])
    assert wrong == {
        1: "3 columns instead of 2 in line 3",
        2: "a value that is not a number ('x') in line 4",
        4: "1 columns instead of 2 in line 7",
        6: "1 columns instead of 2 in line 9, the last one: it seems that the file was cut",
    }
    np.testing.assert_array_equal(np.isnan(values[:, 0]), [0, 1, 1, 0, 1, 0, 1])
    np.testing.assert_array_equal(table.column(0), np.arange(7))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'time,jaw\n0,0.5\n0,"0,5"\n', "one decimal sign in all cells, got '0.5' and '0,5'"),
        (b"a\0b,c\n1,2\n", "got zeros in it"),
        (b"\xff\xfea", "in UTF-16 with its mark, got 'utf-16"),
        (b"0.1,0.2\n0.1,0.2\n", "must have a header that names its columns, got numbers in line 1"),
        (b"a\n" * 900_002, "must have at most 900000 rows, got 900001; cut it first"),
        (b"a," * 2000 + b"b\n1\n", "must have at most 2000 columns, got 2001"),
    ],
)
def test_what_is_no_table_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    """One line with the rule, before rows by the million take the memory."""
    (tmp_path / "x.csv").write_bytes(content)
    with pytest.raises(InputError, match=re.escape(message)):
        read_table(tmp_path / "x.csv").numbers([0])


def test_rows_of_a_wide_table_that_hold_nothing_take_no_memory(tmp_path: Path) -> None:
    """Two bytes a row became four hundred in an array of 52 columns."""
    path = tmp_path / "x.csv"
    path.write_text(",".join("abc") + "\n" + "1\n" * 9)
    message = (
        f"{path}: must be a table of numbers, got 1 columns instead of 3 in line 2; and 8 more"
    )
    with pytest.raises(InputError, match=re.escape(message)):
        read_table(path).numbers([0, 1, 2])


@pytest.mark.parametrize(
    ("header", "row", "separator"),
    [
        ("a,b;c,d", "", ","),
        ('"a,b";"c,d"', "", ";"),
        ("a b c", "1 2 3", " "),
        ("a b c", "1", ","),
        ("a", "1", ","),
    ],
)
def test_the_separator_is_what_parts_the_header(header: str, row: str, separator: str) -> None:
    """Separators inside quotes part nothing."""
    assert separator_of(header, row) == separator


def test_a_quote_that_is_never_closed_stays_in_its_line() -> None:
    """It must not swallow the rest of the file."""
    assert split_line('1,"2,3', ",") == ["1", "2,3"]
    assert split_line('"1";"2,5"', ";") == ["1", "2,5"]


def test_records_keep_what_stands_in_quotes(tmp_path: Path) -> None:
    """A sentence has commas, and sometimes lines."""
    path = tmp_path / "x.csv"
    path.write_text('id,text,\na,"Oh, no!\nNever.",\n\nb\nc,1,2,3\n')
    header, rows, wrong = read_records(path)
    assert (header, wrong) == (["id", "text"], [])
    assert rows == [(3, ["a", "Oh, no!\nNever."]), (5, ["b", ""]), (6, ["c", "1", "2", "3"])]


def test_a_table_without_a_line_has_no_header(tmp_path: Path) -> None:
    """Callers say what it must have."""
    (tmp_path / "x.csv").write_text("\n\n")
    assert read_records(tmp_path / "x.csv") == ([], [], [])
    assert read_table(tmp_path / "x.csv").header == ()


def test_a_table_of_more_rows_than_takes_is_refused(tmp_path: Path) -> None:
    """Each row that names no take is listed; millions would fill memory and screen."""
    (tmp_path / "x.csv").write_text("id\n" + "a\n" * 300_000)
    with pytest.raises(InputError, match=re.escape("must have at most 300000 rows, got 300001")):
        read_records(tmp_path / "x.csv")
