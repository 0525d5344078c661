"""The file of offsets in a corpus folder."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from esarm_env.core.errors import InputError
from esarm_env.corpus.offsets import OFFSETS_FILE, open_offsets, read_offsets, write_offsets


def test_offsets_come_back_as_written(tmp_path: Path) -> None:
    """An id with a comma or an umlaut must survive CSV."""
    offsets = {"a/b": 0.1234, "with, comma": -0.5, "ä": 0.0}
    path = write_offsets(tmp_path, offsets)
    assert path == tmp_path / OFFSETS_FILE
    assert read_offsets(tmp_path) == offsets


def test_a_folder_without_the_file_has_no_offsets(tmp_path: Path) -> None:
    """Most folders have none."""
    assert read_offsets(tmp_path) == {}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "got the header of an empty file"),
        ("who,offset\na,1\n", "got the header ['who', 'offset']"),
        ("id,delay\na,1\n", "got the header ['id', 'delay']"),
        ("id,offset_s\na,soon\n", "could not convert string to float: 'soon'"),
        ("id,offset_s\na\n", "got not enough values"),
        ("id,offset_s\na,nan\n", "must be seconds, at most 10 early or late, got others for ['a']"),
        (
            "id,offset_s\na,-120\n",
            "must be seconds, at most 10 early or late, got others for ['a']",
        ),
    ],
)
def test_a_file_that_is_no_table_of_offsets_is_refused(
    text: str, message: str, tmp_path: Path
) -> None:
    """Ignoring it would read a corrected corpus uncorrected."""
    (tmp_path / OFFSETS_FILE).write_text(text)
    with pytest.raises(InputError, match=re.escape(message)):
        read_offsets(tmp_path)


def test_a_folder_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    """Data folders are often mounted read-only."""
    file = tmp_path / "file"
    file.write_text("")
    with pytest.raises(InputError, match=re.escape("must be a file in a writable folder")):
        write_offsets(file, {"a": 0.1})


@pytest.mark.parametrize(
    ("text", "offsets"),
    [
        ("\ufeffid,offset_s\na,0.1\n", {"a": 0.1}),
        ("sep=;\nID;Offset (s)\na;0,1\nb;-0,25\n", {"a": 0.1, "b": -0.25}),
        ("offset_ms\tnote\tid\n100\tx\ta\n", {"a": 0.1}),
        ('file,offset_s\n"a, b",0.1\n', {"a, b": 0.1}),
        ("id,offset_s\na,0.1\na,0.1\n\n", {"a": 0.1}),
        ("take,offset\na,0.1\n", {"a": 0.1}),
        ("File Name,offset\na.wav,0.1\n", {"a.wav": 0.1}),
        ("id,offset_s,offset_ms\na,0.1,100\nb,,200\n", {"a": 0.1, "b": 0.2}),
        ("id,offset,offset\na,0.1,0.1\n", {"a": 0.1}),
    ],
)
def test_a_table_of_offsets_is_read_as_other_tables_are(
    text: str, offsets: dict[str, float], tmp_path: Path
) -> None:
    """A spreadsheet that opens the file writes it in the dialect of its country."""
    (tmp_path / OFFSETS_FILE).write_text(text, encoding="utf-8")
    assert read_offsets(tmp_path) == offsets


def test_the_name_of_the_table_may_have_capitals(tmp_path: Path) -> None:
    """The scan leaves `Offsets.CSV` out as a table; nobody read it as one."""
    (tmp_path / "Offsets.CSV").write_text("id,offset_s\na,0.1\n")
    assert read_offsets(tmp_path) == {"a": 0.1}


def test_a_row_that_cannot_be_used_makes_its_take_doubtful_and_no_other(tmp_path: Path) -> None:
    """One typo stopped the corpus; ignored, it would leave its take out of sync."""
    text = "id,offset_s\na,0.1\nb,soon\nc,0.1\nc,0.2\nd,\n,0.3\n" + "x" * 200_000 + ",1\n"
    (tmp_path / OFFSETS_FILE).write_text(text)
    table = open_offsets(tmp_path)
    assert table.offsets == {"a": 0.1}
    assert table.doubtful == {
        "b": "could not convert string to float: 'soon' in offsets.csv, line 3",
        "c": "an id twice, 'c' in offsets.csv, line 5",
        "d": "not enough values, an id and an offset ('d', '') in offsets.csv, line 6",
    }
    assert [fault.source for fault in table.faults] == ["offsets.csv, line 8", "offsets.csv"]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "must name its columns, got the header of an empty file"),
        (b"id,offset_s\na\0,1\n", "must be CSV text in UTF-8, got zeros in it"),
        (b"id,offset_s\n\x81\x8d,1\n", "must be CSV text in UTF-8, or in UTF-16 with its mark"),
        (b"who,offset_s\na,1\n", "must be CSV with the columns id,offset_s, got the header"),
        (b"id;offset_s\na;0,1\nb;0.1\n", "numbers must have one decimal sign in all cells"),
    ],
)
def test_a_table_that_cannot_be_used_costs_itself(
    content: bytes, reason: str, tmp_path: Path
) -> None:
    """It closed a corpus of thousands; to be added to, it must still be whole."""
    (tmp_path / OFFSETS_FILE).write_bytes(content)
    table = open_offsets(tmp_path)
    assert (table.offsets, table.doubtful) == ({}, {})
    (fault,) = table.faults
    assert fault.source == OFFSETS_FILE
    assert fault.reason.startswith(reason)
    assert fault.reason.endswith("; nothing of it is used")
    with pytest.raises(InputError, match=re.escape(f"{tmp_path / OFFSETS_FILE}: {reason}")):
        read_offsets(tmp_path)


def test_the_letters_of_a_spreadsheet_are_read_and_noted(tmp_path: Path) -> None:
    """Ids of takes have the letters of their country."""
    (tmp_path / OFFSETS_FILE).write_bytes("id,offset_s\nJ\u00fcrgen,0.1\n".encode("cp1252"))
    table = open_offsets(tmp_path)
    assert (table.offsets, table.faults) == ({"J\u00fcrgen": 0.1}, ())
    assert [note.source for note in table.notes] == [OFFSETS_FILE]
    assert "was read as Windows-1252, such as 'J\u00fcrgen' in line 2" in table.notes[0].reason


def test_columns_of_one_meaning_must_agree(tmp_path: Path) -> None:
    """One of two offsets, or of two ids, would win without a word."""
    text = "id,offset_s,offset_ms,id\na,0.1,200,a\nb,0.1,100,c\nd,0.1,,d\n"
    (tmp_path / OFFSETS_FILE).write_text(text)
    table = open_offsets(tmp_path)
    assert table.offsets == {"d": 0.1}
    assert table.doubtful == {
        "a": "several offsets, 0.1, 200 in offsets.csv, line 2",
        "b": "two names in one row, 'b' and 'c' in offsets.csv, line 3",
        "c": "two names in one row, 'b' and 'c' in offsets.csv",
    }


@pytest.mark.parametrize("name", ["Offsets.CSV", "OFFSETS.csv"])
def test_a_second_table_of_offsets_is_listed(name: str, tmp_path: Path) -> None:
    """Which of them counts must be told."""
    (tmp_path / OFFSETS_FILE).write_text("id,offset_s\na,0.1\n")
    (tmp_path / name).write_text("id,offset_s\na,0.2\n")
    if len(list(tmp_path.iterdir())) < 2:
        pytest.skip("the disk knows no capitals")
    table = open_offsets(tmp_path)
    assert table.offsets == {"a": 0.1}
    assert [(f.source, f.reason) for f in table.others] == [
        (name, "is not read, since offsets.csv is")
    ]
    assert read_offsets(tmp_path) == {"a": 0.1}
