"""Files of strangers: bounded, and one line for whatever is wrong."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from esarm_env.core.errors import InputError
from esarm_env.formats.files import check_regular, check_wrong, read_bytes, reading


@pytest.mark.parametrize(
    ("make", "got"),
    [
        (lambda path: path.mkdir(), "a folder"),
        (os.mkfifo, "a FIFO"),
        (lambda path: path.symlink_to("/dev/zero"), "a device"),
        (lambda path: path.symlink_to(path.name), "Too many levels of symbolic links"),
        (lambda path: path.symlink_to("nowhere"), "No such file or directory"),
    ],
)
def test_what_is_no_file_is_refused_unread(
    make: Callable[[Path], object], got: str, tmp_path: Path
) -> None:
    """A FIFO is waited at for ever, and a device never ends."""
    make(tmp_path / "x")
    message = f"{tmp_path / 'x'}: must be a readable file, got {got}"
    for use in (check_regular, read_bytes):
        with pytest.raises(InputError, match=re.escape(message)):
            use(tmp_path / "x")


@pytest.mark.parametrize("name", ["x" * 300, "a\0b"])
def test_a_name_that_no_file_can_have_is_one_line(name: str, tmp_path: Path) -> None:
    """It comes from a table, and ended in a traceback."""
    with pytest.raises(InputError, match="must be a readable file, got "):
        check_regular(tmp_path / name)


def test_a_file_that_is_too_large_is_refused_unread(tmp_path: Path) -> None:
    """Its size is known before it takes any memory."""
    (tmp_path / "x").write_bytes(b"12345")
    assert read_bytes(tmp_path / "x", largest=5) == b"12345"
    with pytest.raises(InputError, match=re.escape("must have at most 4 bytes, got 5; cut it")):
        read_bytes(tmp_path / "x", largest=4)


@pytest.mark.parametrize("error", [MemoryError(), RecursionError("deep"), TypeError("x\ny")])
def test_every_error_of_a_reader_becomes_one_line(error: Exception) -> None:
    """Parsers have no closed list of errors."""
    message = f"x.npy: must be whole, got {str(error).replace(chr(10), ' ') or 'MemoryError'}; copy"
    with (
        pytest.raises(InputError, match=re.escape(message)) as caught,
        reading(Path("x.npy"), "whole"),
    ):
        raise error
    assert "\n" not in str(caught.value)


def test_a_long_reason_is_cut() -> None:
    """A library that prints the file's content would fill the screen."""
    with pytest.raises(InputError) as caught, reading(Path("x"), "whole"):
        raise ValueError("y" * 10_000)
    assert len(str(caught.value)) < 300


def test_one_row_in_ten_may_be_wrong() -> None:
    """One line of an hour must not cost the hour; of rows that are half wrong nothing is sure."""
    assert check_wrong("x", [], n_frames=0) == ()
    assert check_wrong("x", ["bad in line 3"], n_frames=3) == (
        "1 frame that cannot be read taken for lost: bad in line 3",
    )
    assert check_wrong("x", ["a", "b"], n_frames=20) == (
        "2 frames that cannot be read taken for lost: a; and 1 more",
    )
    for wrong, n_frames in ((["a"], 2), (["a", "b"], 19), (["a"], 1)):
        with pytest.raises(InputError, match=r"^x: a"):
            check_wrong("x", wrong, n_frames=n_frames)
