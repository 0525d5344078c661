"""glTF accessor reader: strides, sparse values and normalised integers to arrays.

glTF 2.0 specification, section 3.6.2. pygltflib reads the document and its buffers but leaves the
accessors to its user.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from esarm_env.face.loaders.plain_pickle import AnyArray

_DTYPES = {5120: "<i1", 5121: "<u1", 5122: "<i2", 5123: "<u2", 5125: "<u4", 5126: "<f4"}
_WIDTHS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4, "MAT4": 16}


class GltfArrays:
    """Accessor reader of one glTF document.

    Its methods raise `ValueError` where the document contradicts itself.
    """

    def __init__(self, document: Any) -> None:
        """Take a `pygltflib.GLTF2`; buffers are read when first needed."""
        self._document = document
        self._buffers: dict[int, bytes] = {}

    def floats(self, index: int | None, width: int) -> npt.NDArray[np.float64]:
        """Return an accessor as (count, width) floats, normalised integers in [-1, 1].

        Normalised as in equations of section 3.6.2.2: the largest integer is 1, and -1 twice.
        """
        values, accessor = self._read(index)
        if values.shape[1] != width:
            raise ValueError(f"{values.shape[1]} columns where {width} are needed")
        numbers = values.astype(np.float64)
        if accessor.normalized and values.dtype.kind in "iu":
            numbers = np.maximum(numbers / np.iinfo(values.dtype).max, -1.0)
        if not np.isfinite(numbers).all():
            raise ValueError("numbers that are nan or infinite")
        return numbers

    def integers(self, index: int | None, width: int) -> npt.NDArray[np.int64]:
        """Return an accessor as (count, width) integers."""
        values, _ = self._read(index)
        if values.shape[1] != width or values.dtype.kind not in "iu":
            raise ValueError(f"{values.dtype} {values.shape} where integers are needed")
        return values.astype(np.int64)

    def _read(self, index: int | None) -> tuple[AnyArray, Any]:
        """Return an accessor's raw values (count, width) and the accessor."""
        accessor = _item(self._document.accessors, index, "accessor")
        width = _WIDTHS.get(accessor.type)
        if width is None:
            raise ValueError(f"an accessor of type {accessor.type}")
        values = self._dense(accessor, accessor.count, accessor.componentType, width)
        sparse = accessor.sparse
        if sparse is not None:
            places = self._dense(sparse.indices, sparse.count, sparse.indices.componentType, 1)
            new = self._dense(sparse.values, sparse.count, accessor.componentType, width)
            if sparse.count and places.max() >= accessor.count:
                raise ValueError(f"a sparse value at {places.max()} of {accessor.count}")
            values[places[:, 0].astype(np.int64)] = new
        return values, accessor

    def _dense(self, place: Any, count: int, component: int, width: int) -> AnyArray:
        """Return `count` rows of `width` numbers, zeros where there is no buffer view."""
        if component not in _DTYPES:
            raise ValueError(f"a component type {component}")
        dtype = np.dtype(_DTYPES[component])
        if place.bufferView is None:
            return np.zeros((count, width), dtype)
        view = _item(self._document.bufferViews, place.bufferView, "buffer view")
        if "EXT_meshopt_compression" in (view.extensions or {}):
            raise ValueError("meshopt-compressed buffers; save the file uncompressed")
        start, row = place.byteOffset or 0, dtype.itemsize * width
        stride = view.byteStride or row
        first = (view.byteOffset or 0) + start
        end = start + (count - 1) * stride + row
        buffer = self._buffer(view.buffer)
        if count < 1 or end > view.byteLength or (view.byteOffset or 0) + end > len(buffer):
            raise ValueError(f"{count} rows beyond the end of their buffer")
        raw = np.frombuffer(buffer, np.uint8, count=end - start, offset=first)
        rows = np.lib.stride_tricks.as_strided(raw, (count, row), (stride, 1), writeable=False)
        return np.ascontiguousarray(rows).view(dtype)

    def _buffer(self, index: int) -> bytes:
        """Return a buffer's bytes: of the file itself, of a data URI or of a file beside it."""
        if index not in self._buffers:
            buffer = _item(self._document.buffers, index, "buffer")
            with warnings.catch_warnings():
                # The library warns where a file is missing; the error below says more.
                warnings.simplefilter("ignore")
                data = self._document.get_data_from_buffer_uri(buffer.uri)
            if data is None:
                raise ValueError(f"a buffer without data ({buffer.uri})")
            self._buffers[index] = data
        return self._buffers[index]


def _item(items: list[Any], index: int | None, kind: str) -> Any:
    """Return an item of a list of the document, with a check of its index."""
    if index is None or not 0 <= index < len(items):
        raise ValueError(f"no {kind} {index}")
    return items[index]
