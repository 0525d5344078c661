"""Pickles from the internet run code when they are opened; ours must not."""

from __future__ import annotations

import collections
import pickle
import re
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import sparse

from esarm_env.core.errors import InputError
from esarm_env.face.loaders.plain_pickle import read_pickled_arrays, read_pickled_tree


def _write(path: Path, content: Any, protocol: int = 2) -> Path:
    """Write a pickle."""
    path.write_bytes(pickle.dumps(content, protocol=protocol))
    return path


@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
@pytest.mark.parametrize(
    "array",
    [
        np.arange(6.0).reshape(2, 3),
        np.asfortranarray(np.arange(6, dtype=np.float32).reshape(2, 3)),
        np.arange(4, dtype=">u4"),
        np.array([True, False]),
        np.zeros((0, 3)),
    ],
)
def test_arrays_survive_every_protocol(tmp_path: Path, array: np.ndarray, protocol: int) -> None:
    """Byte order and memory order are where a reader of our own would go wrong."""
    arrays = read_pickled_arrays(_write(tmp_path / "a.pkl", {"a": array}, protocol))
    np.testing.assert_array_equal(arrays["a"], array)
    assert arrays["a"].dtype == array.dtype


@pytest.mark.parametrize("kind", [sparse.csc_matrix, sparse.csr_matrix, sparse.csc_array])
def test_sparse_matrices_become_dense(tmp_path: Path, kind: Any) -> None:
    """FLAME's joint regressor is one; rows and columns are easily exchanged."""
    dense = np.array([[0, 2.0, 0], [1, 0, 3]])
    arrays = read_pickled_arrays(_write(tmp_path / "a.pkl", {"a": kind(dense)}))
    np.testing.assert_array_equal(arrays["a"], dense)


def test_chumpy_arrays_are_read_without_chumpy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """FLAME's file is full of them, and chumpy does not install any more."""
    modules = {
        name: types.ModuleType(name) for name in ("chumpy", "chumpy.ch", "chumpy.reordering")
    }
    Ch = type("Ch", (), {"__module__": "chumpy.ch"})
    Select = type("Select", (), {"__module__": "chumpy.reordering"})
    modules["chumpy.ch"].Ch = Ch  # type: ignore[attr-defined]
    modules["chumpy.reordering"].Select = Select  # type: ignore[attr-defined]
    plain, chosen = Ch(), Select()
    plain.x, plain._dirty_vars = np.arange(6.0), set()  # type: ignore[attr-defined]
    chosen.__dict__.update(a=plain, idxs=np.array([5, 0, 1, 2]), preferred_shape=(2, 2))
    with monkeypatch.context() as context:
        for name, module in modules.items():
            context.setitem(sys.modules, name, module)
        path = _write(tmp_path / "a.pkl", {"plain": plain, "chosen": chosen, "style": "lbs"})
    arrays = read_pickled_arrays(path)
    np.testing.assert_array_equal(arrays["plain"], np.arange(6.0))
    np.testing.assert_array_equal(arrays["chosen"], [[5, 0], [1, 2]])
    assert set(arrays) == {"plain", "chosen"}


def test_the_bytes_of_python_2_are_read(tmp_path: Path) -> None:
    """There they are strings; read as UTF-8 they break at the first number above 127."""
    numbers = np.array([1.5, -2.0])
    raw = numbers.tobytes()
    path = tmp_path / "a.pkl"
    path.write_bytes(
        b"\x80\x02}U\x01acnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"
        b"(K\x01K\x02\x85cnumpy\ndtype\nU\x02f8K\x00K\x01\x87R"
        b"(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89U"
        + bytes([len(raw)])
        + raw
        + b"tbs."
    )
    np.testing.assert_array_equal(read_pickled_arrays(path)["a"], numbers)


class _Harm:
    """Runs a command when unpickled."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> Any:
        return self.call


@pytest.mark.parametrize(
    ("function", "name"),
    [
        (eval, "builtins.eval"),
        (getattr, "builtins.getattr"),
        (np.load, "numpy.load"),
        (collections.OrderedDict, "collections.OrderedDict"),
        (sparse.load_npz, "scipy.sparse._matrix_io.load_npz"),
    ],
)
def test_no_class_or_function_but_arrays_is_reached(
    tmp_path: Path, function: Any, name: str
) -> None:
    """One name too many is a way to run anything."""
    path = _write(tmp_path / "a.pkl", {"a": _Harm(function, "1")})
    message = "must be a pickled dictionary of arrays, got the class " + name
    with pytest.raises(InputError, match=re.escape(message)):
        read_pickled_arrays(path)


def test_an_array_of_objects_is_left_out(tmp_path: Path) -> None:
    """Its raw bytes would be taken for pointers."""
    content = {"a": np.array([{}, None], dtype=object), "b": np.ones(2), "c": "text", "d": [1]}
    assert set(read_pickled_arrays(_write(tmp_path / "a.pkl", content))) == {"b"}


def test_a_file_leaves_nothing_behind(tmp_path: Path) -> None:
    """A refused file could change the stand-ins, and the next one lost its sparse matrices."""
    bad = tmp_path / "bad.pkl"
    bad.write_bytes(b"\x80\x02cscipy.sparse\ncsc_matrix\nN}U\x05arrayNs\x86b.")
    with pytest.raises(InputError, match=re.escape("a change of _Columns.array")):
        read_pickled_arrays(bad)
    good = _write(tmp_path / "good.pkl", {"a": sparse.csc_matrix(np.eye(3))})
    np.testing.assert_array_equal(read_pickled_arrays(good)["a"], np.eye(3))


def test_empty_bytes_are_read(tmp_path: Path) -> None:
    """Python 3 writes them as a call of `bytes`, as in the raw data of an empty array."""
    found = read_pickled_arrays(_write(tmp_path / "a.pkl", {"a": np.zeros(0), "b": b""}))
    assert found["a"].shape == (0,)


def test_a_huge_matrix_is_left_out(tmp_path: Path) -> None:
    """A few bytes of a sparse one would fill the memory."""
    content = {"a": sparse.csc_matrix((20_000, 20_000))}
    assert read_pickled_arrays(_write(tmp_path / "a.pkl", content)) == {}


@pytest.mark.parametrize(
    ("content", "got"),
    [
        (b"", "got Ran out of input"),
        (b"hello", "got "),
        (pickle.dumps({"a": np.ones(100)})[:-50], "got pickle data was truncated"),
        (pickle.dumps([1]), "got a list"),
        (b"\x80\x02c_codecs\nencode\nU\x01aU\x05rot13\x86R.", "got the text encoding 'rot13'"),
        (b"\x80\x02c__builtin__\nbytes\nJ\xff\xff\xff\x7f\x85R.", "got bytes of 1 arguments"),
        (
            b"\x80\x02cscipy.sparse\ncsc_matrix\nN}U\x05arrayNs\x86b.",
            "got a change of _Columns.array",
        ),
    ],
)
def test_a_file_that_is_no_such_pickle_is_refused(tmp_path: Path, content: bytes, got: str) -> None:
    """A damaged download must say so."""
    path = tmp_path / "a.pkl"
    path.write_bytes(content)
    message = f"{path}: must be a pickled dictionary of arrays, {got}"
    with pytest.raises(InputError, match=re.escape(message)):
        read_pickled_arrays(path)


def _nested(depth: int) -> bytes:
    """Return a pickle of a chumpy selection of a selection of ..., each asked for twice."""
    array = pickle.dumps(np.zeros(1, np.int64), protocol=2)[2:-1]
    text = b"\x80\x02" + array + b"q\x01"
    for level in range(depth):
        state = b"}(U\x01ah" + bytes([level + 1]) + b"U\x04idxsh" + bytes([level + 1])
        text += b"0cchumpy.reordering\nSelect\n)\x81" + state
        text += b"U\x0fpreferred_shapeK\x01\x85ubq" + bytes([level + 2])
    return text + b"0}U\x01ah" + bytes([depth + 1]) + b"s."


@pytest.mark.parametrize(
    ("content", "got"),
    [
        (b"\x80\x02}r\x00\x00\x00\x10.", "got a place 268435456 in its memory"),
        (b"}p99999999\n.", "got a place 99999999 in its memory"),
        (b"\x80\x04" + b"\x8f" * 250_000 + b".", "got more than 200000 steps"),
        (b"\x80\x04\x8e" + b"\xff" * 7 + b"\x7f.", "got "),
        (b"\x80\x04\x96" + b"\x00" * 5 + b"\x01\x00\x00.", "got "),
        (_nested(40), "got arrays of more than 24000000 numbers"),
    ],
)
def test_a_short_file_takes_no_more_memory_than_a_head_needs(
    tmp_path: Path, content: bytes, got: str
) -> None:
    """Nine bytes took 4 GB; a selection of a selection takes twice the time at each level."""
    path = tmp_path / "a.pkl"
    path.write_bytes(content)
    with pytest.raises(InputError, match=re.escape(f"{path}: must be a pickled dict")) as caught:
        read_pickled_arrays(path)
    assert got in str(caught.value)


def test_shared_parts_are_not_copied_for_each_that_shares_them(tmp_path: Path) -> None:
    """A list or a state of a megabyte, asked for in each of a thousand steps, fills the memory."""
    text = b"\x80\x02X\x40\x42\x0f\x00" + b"a" * 1_000_000 + b"q\x010"
    encode = b"c_codecs\nencode\nh\x01U\x06latin1\x86R"
    path = tmp_path / "a.pkl"
    path.write_bytes(text + b"](" + encode * 20_000 + b"e0}.")
    assert read_pickled_arrays(path) == {}
    state = b"\x80\x02}(" + b"".join(b"J" + i.to_bytes(4, "little") + b"N" for i in range(20_000))
    path.write_bytes(state + b"uq\x010](" + b"cchumpy.ch\nCh\n)\x81h\x01b" * 20_000 + b"e0}.")
    assert read_pickled_arrays(path) == {}


def test_pointers_of_a_sparse_matrix_must_fit_its_entries(tmp_path: Path) -> None:
    """Two pointers a trillion apart would be spelled out one by one."""
    matrix = sparse.csc_matrix(np.eye(3))
    matrix.indptr = np.array([0, 10**12, 2 * 10**12, 3 * 10**12])
    assert read_pickled_arrays(_write(tmp_path / "a.pkl", {"a": matrix})) == {}


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_dictionaries_in_dictionaries_are_read(tmp_path: Path, protocol: int) -> None:
    """Sounds and frame numbers of VOCASET lie so; numpy's numbers are numbers like others."""
    sound = {"audio": np.arange(-5, 5, dtype=np.int16), "sample_rate": np.int64(22_000)}
    content = {"anna": {"one": sound, "two": {0: 7, 1: 8}, "text": "hello", "none": None}}
    found = read_pickled_tree(_write(tmp_path / "a.pkl", content, protocol))
    assert found["anna"]["two"] == {0: 7, 1: 8}
    assert found["anna"]["one"]["sample_rate"] == 22_000
    assert "none" not in found["anna"]
    np.testing.assert_array_equal(found["anna"]["one"]["audio"], sound["audio"])


def test_a_tree_that_grows_out_of_a_small_file_is_refused(tmp_path: Path) -> None:
    """One dictionary that is shared a thousand times a thousand times would fill the memory."""
    shared = dict.fromkeys(range(300), dict.fromkeys(range(300), 1))
    path = _write(tmp_path / "a.pkl", {0: shared, 1: shared})
    with pytest.raises(InputError, match=re.escape(f"{path}: must be a pickled dictionary of dic")):
        read_pickled_tree(path)
    deep = {0: {0: {0: {0: {0: 1}}}}}
    with pytest.raises(InputError, match="more than 4 dictionaries in one another"):
        read_pickled_tree(_write(tmp_path / "b.pkl", deep))
