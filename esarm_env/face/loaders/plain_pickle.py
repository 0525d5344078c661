"""Safe pickle reader: arrays out of a `.pkl` file, without executing anything it names.

FLAME comes as a Python 2 pickle of chumpy objects and scipy matrices. Here each class it may name
is a stand-in that only keeps what it is given, so neither package is needed and a file from
somebody else can do no harm; any other class is refused (the Python manual's "Restricting
Globals"). Steps, memo and arrays are bounded: a pickle of a kilobyte can ask for terabytes.
Vertex corpora keep sounds and frame numbers in dictionaries of dictionaries, by the same means.
"""

from __future__ import annotations

import io
import pickle
import pickletools
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from esarm_env.core.errors import InputError, one_line

AnyArray = npt.NDArray[Any]

# Of a file: FLAME's own has 4,000 steps and 7 million numbers.
_MOST_STEPS, _LARGEST_MEMO = 200_000, 1_000_000
# Of a vertex corpus: VOCASET numbers 123,341 frames, each in up to ten steps.
_MOST_STEPS_OF_TREE, _MOST_DEPTH = 4_000_000, 4
MOST_NUMBERS = 24_000_000
_LEAST_COST = 1024  # in numbers, of evaluating anything at all


class _Unchanging(type):
    """Metaclass that makes stand-in classes immutable, as a pickle may set their attributes."""

    def __setattr__(cls, name: str, value: Any) -> None:
        """Refuse: the next file would be read with the changed class."""
        raise pickle.UnpicklingError(f"a change of {cls.__name__}.{name}, which no array needs")

    @property
    def __setstate__(cls) -> Any:
        """Refuse the same by `BUILD`: a property here hides the method for instances."""

        def refuse(state: Any) -> None:
            changed = {**state[0], **state[1]} if isinstance(state, tuple) and state[0] else state
            changed = state[1] if isinstance(changed, tuple) and len(changed) == 2 else changed
            for name in changed if isinstance(changed, dict) else ("state",):
                setattr(cls, str(name), None)

        return refuse


class _TooMuchError(Exception):
    """A file asks for more than any file of a head needs."""


class _Budget:
    """How many numbers may still be made; shared arrays can be asked for again and again."""

    def __init__(self, most: int = MOST_NUMBERS, *, least_cost: int = _LEAST_COST) -> None:
        """Begin with all of them."""
        self._most = self._left = most
        self._least_cost = least_cost

    def take(self, n: int) -> None:
        """Count `n` numbers.

        Raises:
            _TooMuchError: If there are not as many left.
        """
        self._left -= max(int(n), self._least_cost)
        if self._left < 0:
            raise _TooMuchError(f"arrays of more than {self._most} numbers")


class _Kept(metaclass=_Unchanging):
    """Base class of the stand-ins: stores the attributes a pickle sets."""

    fields: tuple[str, ...] = ()

    def __init__(self, *args: Any) -> None:
        """Keep the arguments."""
        self.args = args

    def __setstate__(self, state: Any) -> None:
        """Keep those attributes alone that are known: many objects may share a large state."""
        if isinstance(state, tuple) and len(state) == 2:
            state = state[0]
        if isinstance(state, Mapping):
            self.__dict__.update({name: state[name] for name in self.fields if name in state})


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

    def array(self, budget: _Budget) -> AnyArray:
        """Return the real array."""
        # Bytes of Python 2 arrive as text in latin-1.
        raw = self.raw.text if isinstance(self.raw, _Encoded) else self.raw
        raw = raw.encode("latin1") if isinstance(raw, str) else raw
        order: Literal["C", "F"] = "F" if self.fortran else "C"
        budget.take(len(raw) // self.dtype.real().itemsize)
        flat: AnyArray = np.frombuffer(raw, self.dtype.real())
        return flat.reshape(self.shape, order=order)


class _Scalar(_Kept):
    """Stands in for a number of numpy's, which is pickled as a call of its dtype and bytes."""

    def array(self, budget: _Budget) -> AnyArray:
        """Return it as an array without axes."""
        dtype, raw = self.args
        whole = _Array()
        whole.__setstate__(((), dtype, False, raw))
        return whole.array(budget)


class _Chumpy(_Kept):
    """Stands in for chumpy's `Ch` (an array `x`) and `Select` (elements `idxs` of `a`)."""

    x: Any
    a: Any
    idxs: Any
    preferred_shape: tuple[int, ...]
    fields = ("x", "a", "idxs", "preferred_shape")

    def array(self, budget: _Budget) -> AnyArray:
        """Evaluate the expression to an array."""
        if "x" in self.__dict__:
            return _plain(self.x, budget)
        idxs = _plain(self.idxs, budget)
        budget.take(idxs.size)
        chosen = _plain(self.a, budget).ravel()[idxs]
        return chosen.reshape(self.preferred_shape)


class _Columns(_Kept):
    """Stands in for scipy's compressed sparse column matrix."""

    _shape: tuple[int, int]
    indptr: Any
    indices: Any
    data: Any
    fields = ("_shape", "indptr", "indices", "data")

    def array(self, budget: _Budget) -> AnyArray:
        """Return the dense matrix."""
        rows, columns = (int(length) for length in self._shape)
        if rows * columns > MOST_NUMBERS:
            raise ValueError(f"a matrix of shape {self._shape}")
        budget.take(rows * columns)
        pointers, inner = _plain(self.indptr, budget), _plain(self.indices, budget)
        steps: AnyArray = np.diff(pointers.astype(np.int64))
        if (steps < 0).any() or steps.sum() != len(inner):
            raise ValueError(f"{len(inner)} entries of a matrix that says it has {steps.sum()}")
        outer = np.repeat(np.arange(len(steps)), steps)
        dense = np.zeros((rows, columns))
        dense[self._places(inner, outer)] = _plain(self.data, budget)
        return dense

    def _places(self, inner: AnyArray, outer: AnyArray) -> tuple[AnyArray, AnyArray]:
        """Return rows and columns."""
        return inner, outer


class _Rows(_Columns):
    """Stands in for scipy's compressed sparse row matrix."""

    def _places(self, inner: AnyArray, outer: AnyArray) -> tuple[AnyArray, AnyArray]:
        """Return rows and columns."""
        return outer, inner


def _plain(value: Any, budget: _Budget) -> AnyArray:
    """Return a stand-in's array."""
    if isinstance(value, (_Array, _Scalar, _Chumpy, _Columns)):
        return value.array(budget)
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


class _Encoded(_Kept):
    """Stands in for `_codecs.encode`, which Python 3 uses for bytes in old protocols.

    The text is encoded where an array is made of it: a short file may ask for a long one often.
    """

    def __init__(self, text: str, encoding: str) -> None:
        """Keep the text; only latin1 holds bytes."""
        if encoding != "latin1":
            raise pickle.UnpicklingError(f"the text encoding {encoding!r}")
        self.text = text


def _no_bytes(*args: Any) -> bytes:
    """Stand in for `bytes`: only b"" is written as a call, and of a number it fills the memory."""
    if args:
        raise pickle.UnpicklingError(f"bytes of {len(args)} arguments")
    return b""


def _no_set(*_: Any) -> set[Any]:
    """Stand in for `set`, which no array needs and which would copy a shared list."""
    return set()


_FUNCTIONS: dict[tuple[str, str], Any] = {
    ("builtins", "object"): object,
    ("builtins", "set"): _no_set,
    ("builtins", "bytes"): _no_bytes,
    ("copyreg", "_reconstructor"): _construct,
    ("_codecs", "encode"): _Encoded,
}
_PYTHON_2 = {"__builtin__": "builtins", "copy_reg": "copyreg"}
_NUMPY = {
    "ndarray": _Array,
    "dtype": _Dtype,
    "_reconstruct": _reconstruct,
    "_frombuffer": _from_buffer,
    "scalar": _Scalar,
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
    content = _load(path, rule, most_steps=_MOST_STEPS)
    arrays, budget = {}, _Budget()
    for key, value in content.items():
        try:
            arrays[str(key)] = _plain(value, budget)
        except _TooMuchError as error:
            raise InputError(f"{rule}, got {one_line(error)}") from error
        # An array that cannot be rebuilt is left out; whoever needs it names it in an error.
        except Exception:
            continue
    return arrays


def read_pickled_tree(path: Path) -> dict[Any, Any]:
    """Return a pickled dictionary of dictionaries, whose leaves are numbers, text and arrays.

    Args:
        path: The pickle, of Python 2 or 3. Arrays have no more numbers in all than the file has
            bytes. Leaves of other kinds are left out.

    Returns:
        The dictionaries; numbers of numpy's are Python's, bytes of Python 2 are text in latin-1.

    Raises:
        InputError: If the file is no such pickle, names a class that arrays do not need, or goes
            deeper than four dictionaries.
    """
    rule = f"{path}: must be a pickled dictionary of dictionaries, numbers and arrays"
    content = _load(path, rule, most_steps=_MOST_STEPS_OF_TREE)
    try:
        return _branch(content, _Budget(path.stat().st_size, least_cost=1), _MOST_DEPTH)
    except _TooMuchError as error:
        raise InputError(f"{rule}, got {one_line(error)}") from error


def _branch(content: Mapping[Any, Any], budget: _Budget, depth: int) -> dict[Any, Any]:
    """Return a dictionary with plain leaves; one that is shared costs each time it is met."""
    if not depth:
        raise _TooMuchError(f"more than {_MOST_DEPTH} dictionaries in one another")
    plain: dict[Any, Any] = {}
    for key, value in content.items():
        budget.take(1)
        if isinstance(value, dict):
            plain[key] = _branch(value, budget, depth - 1)
        elif isinstance(value, (int, float, str)):
            plain[key] = value
        else:
            try:
                array = _plain(value, budget)
            except _TooMuchError:
                raise
            # As below: whoever needs what cannot be rebuilt says so.
            except Exception:
                continue
            plain[key] = array if array.ndim else array.item()
    return plain


def _load(path: Path, rule: str, *, most_steps: int) -> dict[Any, Any]:
    """Return the dictionary that a file holds, with stand-ins for all arrays."""
    try:
        if not path.is_file():
            raise ValueError("a folder" if path.is_dir() else "no such file")
        content = _Unpickler(
            io.BytesIO(_within_bounds(path.read_bytes(), most_steps)), encoding="latin1"
        ).load()
    # A damaged pickle may raise any exception, depending on its last readable opcode.
    except Exception as error:
        raise InputError(f"{rule}, got {one_line(error)}") from error
    if not isinstance(content, dict):
        raise InputError(f"{rule}, got a {type(content).__name__.lstrip('_').lower()}")
    return content


def _within_bounds(data: bytes, most_steps: int) -> bytes:
    """Return a pickle as far as its steps can be told, and raise an error if there are too many.

    Where they cannot, the unpickler finds the end of the file and says so.
    """
    place = steps = 0
    try:
        for opcode, argument, position in pickletools.genops(data):
            place, steps = int(position or 0), steps + 1
            if steps > most_steps:
                raise _TooMuchError(f"more than {most_steps} steps")
            if "PUT" in opcode.name and int(argument or 0) > _LARGEST_MEMO:
                raise _TooMuchError(f"a place {argument} in its memory")
    except _TooMuchError:
        raise
    except Exception as error:
        if "unknown" in str(error):
            raise
        # The last step that was told, whole: the next one is not.
        return data[: _end_of(data, place)] if steps else b""
    return data


def _end_of(data: bytes, place: int) -> int:
    """Return where the step at `place` ends."""
    stream = io.BytesIO(data)
    stream.seek(place + 1)
    code = data[place : place + 1].decode("latin1")
    opcode = next(each for each in pickletools.opcodes if each.code == code)
    if opcode.arg is not None:
        opcode.arg.reader(stream)
    return stream.tell()
