"""The file of offsets in a corpus folder."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from esarm_env.core.errors import InputError
from esarm_env.corpus.offsets import OFFSETS_FILE, read_offsets, write_offsets


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
    with pytest.raises(InputError, match=re.escape("must be writable to keep offsets")):
        write_offsets(file, {"a": 0.1})
