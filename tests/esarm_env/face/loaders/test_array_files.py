"""Arrays of the user's: every contradiction is found before the mathematics."""

from __future__ import annotations

import os
import re
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from esarm_env.core.errors import InputError
from esarm_env.face.loaders.array_files import (
    as_faces,
    as_points,
    need,
    read_arrays,
    stored_names,
)
from esarm_env.face.loaders.targets import read_regions

_HERE = Path("x.npz")


def test_named_arrays_are_read_back(tmp_path: Path) -> None:
    """The plain case."""
    path = tmp_path / "a.npz"
    np.savez(path, one=np.arange(3), two=np.ones((2, 2)))
    assert stored_names(path) == ["one", "two"]
    np.testing.assert_array_equal(read_arrays(path)["one"], np.arange(3))


def test_damaged_files_are_refused(tmp_path: Path) -> None:
    """Zip files break in many ways; each must end in one line."""
    path = tmp_path / "a.npz"
    np.savez(path, one=np.arange(300))
    whole = path.read_bytes()
    for content in (b"", b"text", whole[:200], whole[:150] + b"x" * 20 + whole[170:]):
        path.write_bytes(content)
        with pytest.raises(InputError, match=re.escape(f"{path}: must be a .npz or .pkl file")):
            read_arrays(path)
    path.write_bytes(whole[:200])
    with pytest.raises(InputError, match=re.escape(f"{path}: must be a .npz file of arrays, got")):
        stored_names(path)


def test_a_single_array_is_no_file_of_arrays(tmp_path: Path) -> None:
    """`.npy` content under another name is not a zip file."""
    path = tmp_path / "a.npz"
    with path.open("wb") as file:
        np.save(file, np.ones(3))
    with pytest.raises(InputError, match="got another kind of file, or part of one"):
        read_arrays(path)


def test_pickled_objects_in_a_npz_are_not_run(tmp_path: Path) -> None:
    """numpy would unpickle them if it were allowed to."""
    path = tmp_path / "a.npz"
    np.savez(path, one=np.array([{}], dtype=object))
    with pytest.raises(InputError, match=r"must be a \.npz or \.pkl file of arrays"):
        read_arrays(path)


def test_missing_arrays_are_named() -> None:
    """And what is there, as the name may only be spelled otherwise."""
    message = "x.npz: must hold arrays of numbers a, b, got none called b (only a, c)"
    with pytest.raises(InputError, match=re.escape(message)):
        need({"a": np.ones(1), "c": np.ones(1)}, ("a", "b"), path=_HERE)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.ones((3, 2)), "x.npz: `v` must be numbers of shape ('any', 3), got float64 (3, 2)"),
        (np.ones(3), "x.npz: `v` must be numbers of shape ('any', 3), got float64 (3,)"),
        (np.array([["a"] * 3]), "x.npz: `v` must be numbers of shape ('any', 3), got <U1 (1, 3)"),
        (np.full((1, 3), np.inf), "x.npz: `v` must be finite, got nan or infinity"),
        (np.full((1, 3), np.nan), "x.npz: `v` must be finite, got nan or infinity"),
    ],
)
def test_points_that_do_not_fit_are_refused(array: np.ndarray, message: str) -> None:
    """A nan spreads over the whole head."""
    with pytest.raises(InputError, match=re.escape(message)):
        as_points(array, (None, 3), name="v", path=_HERE)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.ones((2, 3)), "x.npz: `f` must be integers of shape (F, 3), got float64 (2, 3)"),
        (np.ones((2, 4), int), "x.npz: `f` must be integers of shape (F, 3), got int64 (2, 4)"),
        (np.ones((0, 3), int), "x.npz: `f` must be integers of shape (F, 3), got int64 (0, 3)"),
        (np.array([[0, 1, 5]]), "x.npz: `f` must index the 5 vertices, got 0..5"),
        (np.array([[0, 1, -1]]), "x.npz: `f` must index the 5 vertices, got -1..1"),
    ],
)
def test_faces_that_do_not_fit_are_refused(array: np.ndarray, message: str) -> None:
    """-1 would silently take the last vertex."""
    with pytest.raises(InputError, match=re.escape(message)):
        as_faces(array, 5, name="f", path=_HERE)


def test_regions_are_sorted_and_flames_word_is_known(tmp_path: Path) -> None:
    """FLAME_masks.pkl says eye_region, in no order."""
    path = tmp_path / "masks.npz"
    np.savez(path, lips=[3, 1, 1], eye_region=[2], forehead=[0], nose=[4])
    regions = read_regions(path, 5)
    assert {name: region.tolist() for name, region in regions.items()} == {
        "lips": [1, 3],
        "eyes": [2],
        "forehead": [0],
        "nose": [4],
    }
    assert all(region.dtype == np.int64 for region in regions.values())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"lips": None}, "must hold arrays of numbers lips, eyes, forehead, got none called lips"),
        ({"lips": [0.5]}, "`lips` must be vertex indices of shape (n,), got float64 (1,)"),
        ({"lips": [[1]]}, "`lips` must be vertex indices of shape (n,), got int64 (1, 1)"),
        ({"eyes": np.empty(0, int)}, "`eyes` must be vertex indices of shape (n,), got int64 (0,)"),
        ({"lips": [5]}, "`lips` must index the 5 vertices, got 5..5"),
        ({"lips": [-1]}, "`lips` must index the 5 vertices, got -1..-1"),
    ],
)
def test_regions_that_do_not_fit_are_refused(
    tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    """Masks of another topology are the likely mistake."""
    path = tmp_path / "masks.npz"
    regions: dict[str, Any] = {"lips": [0], "eyes": [1], "forehead": [2], **change}
    np.savez(path, **{name: value for name, value in regions.items() if value is not None})
    with pytest.raises(InputError, match=re.escape(f"{path}: {message}")):
        read_regions(path, 5)


def _npz_of(path: Path, name: str, header: bytes, body: bytes = b"") -> Path:
    """Write a `.npz` file of one array by hand, its header unchecked."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        size = len(header).to_bytes(2, "little")
        file.writestr(f"{name}.npy", b"\x93NUMPY\x01\x00" + size + header + body)
    return path


@pytest.mark.parametrize(
    ("shape", "kind", "got"),
    [
        ("(1000000000000,)", "<f8", "an array of shape (1000000000000,), at most 24000000 numbers"),
        ("(1000000000000,)", "|S0", "an array of shape (1000000000000,), at most 24000000 numbers"),
        ("(20000000,)", "<f8", "an array of shape (20000000,) in "),
        ("(-3,)", "<f8", "an array of shape (-3,), at most"),
        ("(2,)", "|O", "an array of objects"),
        ("(2,)", "(1000000,)f8", "in "),
    ],
)
def test_sizes_are_checked_before_memory_is_taken(
    tmp_path: Path, shape: str, kind: str, got: str
) -> None:
    """numpy makes the array that a header asks for, and only then looks for its numbers."""
    header = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    path = _npz_of(tmp_path / "a.npz", "v_template", header, bytes(64))
    with pytest.raises(InputError, match=re.escape(f"{path}: must be a .npz or .pkl")) as caught:
        read_arrays(path)
    assert got in str(caught.value)


def test_a_header_of_gigabytes_is_refused_unread(tmp_path: Path) -> None:
    """The second version of the format may claim four, which packed spaces fill."""
    path = tmp_path / "a.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        size = (2**31).to_bytes(4, "little")
        file.writestr("v_template.npy", b"\x93NUMPY\x02\x00" + size + b" " * 100_000)
    with pytest.raises(InputError, match="got a header of 2147483648 bytes where a line can be"):
        read_arrays(path)


def test_zeros_of_gigabytes_in_a_short_file_are_refused(tmp_path: Path) -> None:
    """They are packed a thousand to one."""
    path = tmp_path / "a.npz"
    np.savez_compressed(path, **{name: np.zeros(13_000_000, np.int8) for name in "ab"})
    assert path.stat().st_size < 100_000
    with pytest.raises(InputError, match=re.escape("an array of shape (13000000,), at most")):
        read_arrays(path)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((0, 3)), "x.npz: `v` must not be empty, got shape (0, 3)"),
        (np.full((1, 3), 1e200), "x.npz: `v` must be within 1e+06 of 0, got 1e+200"),
    ],
)
def test_a_mesh_of_nothing_or_beyond_measure_is_refused(array: np.ndarray, message: str) -> None:
    """In single precision the one is infinite, and the other has no middle."""
    with pytest.raises(InputError, match=re.escape(message)):
        as_points(array, (None, 3), name="v", path=_HERE)


@pytest.mark.parametrize("name", ["a.npz", "a.pkl"])
def test_a_folder_or_a_pipe_is_no_file_of_arrays(tmp_path: Path, name: str) -> None:
    """A pipe would wait for ever."""
    os.mkfifo(tmp_path / name)
    with pytest.raises(InputError, match="got no such file"):
        read_arrays(tmp_path / name)
    (tmp_path / f"folder-{name}").mkdir()
    with pytest.raises(InputError, match="got a folder"):
        read_arrays(tmp_path / f"folder-{name}")
