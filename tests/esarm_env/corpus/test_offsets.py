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
        ("take,offset\na,1\n", "got the header ['take', 'offset']"),
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
