"""Safe pickle reader: arrays out of a `.pkl` file, without executing anything it names.

FLAME comes as a Python 2 pickle of chumpy objects and scipy matrices. Here each class it may name
is a stand-in that only keeps what it is given, so neither package is needed and a file from
somebody else can do no harm; any other class is refused (the Python manual's "Restricting
Globals").
"""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from esarm_env.core.errors import InputError, one_line

AnyArray = npt.NDArray[Any]

_LARGEST_DENSE = 100_000_000


class _Unchanging(type):
    """Metaclass that makes stand-in classes immutable, as a pickle may set their attributes."""

    def __setattr__(cls, name: str, value: Any) -> None:
        """Refuse: the next file would be read with the changed class."""
        raise pickle.UnpicklingError(f"a change of {cls.__name__}.{name}, which no array needs")


class _Kept(metaclass=_Unchanging):
    """Base class of the stand-ins: stores the attributes a pickle sets."""

    def __init__(self, *args: Any) -> None:
        """Keep the arguments."""
        self.args = args


class _Dtype(_Kept):
    """Stands in for `numpy.dtype`."""

    order = "="

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.order = {"|": "="}.get(state[1], state[1])

    def real(self) -> np.dtype[Any]:
        """Return the numpy dtype, numeric only: objects in a raw buffer would be pointers."""
        found: np.dtype[Any] = np.dtype(self.args[0]).newbyteorder(self.order)
        if found.kind not in "biuf":
            raise TypeError(f"an array of {found}")
        return found


class _Array(_Kept):
    """Stands in for `numpy.ndarray`."""

    shape: tuple[int, ...] = ()
    raw: Any = b""
    fortran = False
    dtype: Any = None

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.shape, self.dtype, self.fortran, self.raw = state[-4:]

    def array(self) -> AnyArray:
        """Return the real array."""
        # Bytes of Python 2 arrive as text in latin-1.
        raw = self.raw.encode("latin1") if isinstance(self.raw, str) else self.raw
        order: Literal["C", "F"] = "F" if self.fortran else "C"
        flat: AnyArray = np.frombuffer(raw, self.dtype.real())
        return flat.reshape(self.shape, order=order)


class _Chumpy(_Kept):
    """Stands in for chumpy's `Ch` (an array `x`) and `Select` (elements `idxs` of `a`)."""

    x: Any
    a: Any
    idxs: Any
    preferred_shape: tuple[int, ...]

    def array(self) -> AnyArray:
        """Evaluate the expression to an array."""
        if "x" in self.__dict__:
            return _plain(self.x)
        chosen = _plain(self.a).ravel()[_plain(self.idxs)]
        return chosen.reshape(self.preferred_shape)


class _Columns(_Kept):
    """Stands in for scipy's compressed sparse column matrix."""

    _shape: tuple[int, int]
    indptr: Any
    indices: Any
    data: Any

    def array(self) -> AnyArray:
        """Return the dense matrix."""
        rows, columns = self._shape
        if rows * columns > _LARGEST_DENSE:
            raise ValueError(f"a matrix of shape {self._shape}")
        dense = np.zeros((rows, columns))
        outer = np.repeat(np.arange(len(_plain(self.indptr)) - 1), np.diff(_plain(self.indptr)))
        dense[self._places(_plain(self.indices), outer)] = _plain(self.data)
        return dense

    def _places(self, inner: AnyArray, outer: AnyArray) -> tuple[AnyArray, AnyArray]:
        """Return rows and columns."""
        return inner, outer


class _Rows(_Columns):
    """Stands in for scipy's compressed sparse row matrix."""

    def _places(self, inner: AnyArray, outer: AnyArray) -> tuple[AnyArray, AnyArray]:
        """Return rows and columns."""
        return outer, inner


def _plain(value: Any) -> AnyArray:
    """Return a stand-in's array."""
    if isinstance(value, (_Array, _Chumpy, _Columns)):
        return value.array()
    raise TypeError(f"a {type(value).__name__}")


def _reconstruct(*_: Any) -> _Array:
    """Stand in for numpy's function of that name: the state comes later."""
    return _Array()


def _from_buffer(raw: Any, dtype: Any, shape: tuple[int, ...], order: str) -> _Array:
    """Stand in for numpy's function of that name, which newer pickles use."""
    array = _Array()
    array.__setstate__((shape, dtype, order == "F", raw))
    return array


def _construct(cls: type, *_: Any) -> Any:
    """Stand in for `copyreg._reconstructor`."""
    return cls()


def _encode(text: str, encoding: str) -> bytes:
    """Stand in for `_codecs.encode`, which Python 3 uses for bytes in old protocols."""
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"the text encoding {encoding!r}")
    return text.encode("latin1")


def _no_bytes(*args: Any) -> bytes:
    """Stand in for `bytes`: only b"" is written as a call, and of a number it fills the memory."""
    if args:
        raise pickle.UnpicklingError(f"bytes of {len(args)} arguments")
    return b""


_FUNCTIONS: dict[tuple[str, str], Any] = {
    ("builtins", "object"): object,
    ("builtins", "set"): set,
    ("builtins", "bytes"): _no_bytes,
    ("copyreg", "_reconstructor"): _construct,
    ("_codecs", "encode"): _encode,
}
_PYTHON_2 = {"__builtin__": "builtins", "copy_reg": "copyreg"}
_NUMPY = {
    "ndarray": _Array,
    "dtype": _Dtype,
    "_reconstruct": _reconstruct,
    "_frombuffer": _from_buffer,
}
_SCIPY = {"csc_matrix": _Columns, "csc_array": _Columns, "csr_matrix": _Rows, "csr_array": _Rows}


class _Unpickler(pickle.Unpickler):
    """Unpickler that resolves the stand-ins and refuses every other class."""

    def find_class(self, module: str, name: str) -> Any:
        """Return the stand-in of a class; refuse unknown ones."""
        module = _PYTHON_2.get(module, module)
        package = module.partition(".")[0]
        if (module, name) in _FUNCTIONS:
            return _FUNCTIONS[module, name]
        if package == "chumpy":
            return _Chumpy
        if package == "numpy" and name in _NUMPY:
            return _NUMPY[name]
        if module.startswith("scipy.sparse") and name in _SCIPY:
            return _SCIPY[name]
        raise pickle.UnpicklingError(f"the class {module}.{name}, which no array needs")


def read_pickled_arrays(path: Path) -> dict[str, AnyArray]:
    """Return the arrays of numbers in a pickled dictionary.

    Args:
        path: The pickle, of Python 2 or 3; its dictionary may hold numpy arrays, scipy's sparse
            matrices and chumpy's arrays. Everything else in it is left out.

    Raises:
        InputError: If the file is no such pickle, or names a class that arrays do not need.
    """
    rule = f"{path}: must be a pickled dictionary of arrays"
    try:
        with path.open("rb") as file:
            content = _Unpickler(file, encoding="latin1").load()
    # A damaged pickle may raise any exception, depending on its last readable opcode.
    except Exception as error:
        raise InputError(f"{rule}, got {one_line(error)}") from error
    if not isinstance(content, dict):
        raise InputError(f"{rule}, got a {type(content).__name__.lstrip('_').lower()}")
    arrays = {}
    for key, value in content.items():
        try:
            arrays[str(key)] = _plain(value)
        # An array that cannot be rebuilt is left out; whoever needs it names it in an error.
        except Exception:
            continue
    return arrays
