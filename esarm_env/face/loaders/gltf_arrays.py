"""glTF accessor reader: strides, sparse values and normalised integers to arrays.

glTF 2.0 specification, section 3.6.2. Offsets, strides and counts come from strangers: each is
checked against the buffer before an array is made, as numpy would read whatever lies elsewhere.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from esarm_env.face.loaders.gltf_document import GltfDocument, Object, object_in, whole

if TYPE_CHECKING:
    from esarm_env.face.loaders.plain_pickle import AnyArray

_DTYPES = {5120: "<i1", 5121: "<u1", 5122: "<i2", 5123: "<u2", 5125: "<u4", 5126: "<f4"}
_WIDTHS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4, "MAT4": 16}
# Corners of two million triangles; without a buffer view a count costs the file nothing.
_MOST_ROWS, _MOST_EMPTY_ROWS = 6_000_000, 200_000


class GltfArrays:
    """Accessor reader of one glTF document.

    Its methods raise `ValueError` where the document contradicts itself.
    """

    def __init__(self, document: GltfDocument) -> None:
        """Take a document; buffers are read when first needed."""
        self._document = document

    def count(self, index: object) -> int:
        """Return the number of rows that an accessor says it has."""
        return whole(self._document.item("accessors", index, kind="accessor"), "count")

    def floats(self, index: object, width: int) -> npt.NDArray[np.float64]:
        """Return an accessor as (count, width) floats, normalised integers in [-1, 1].

        Normalised as in equations of section 3.6.2.2: the largest integer is 1, and -1 twice.
        """
        values, accessor = self._read(index, width)
        numbers = values.astype(np.float64)
        if accessor.get("normalized") and values.dtype.kind in "iu":
            numbers = np.maximum(numbers / np.iinfo(values.dtype).max, -1.0)
        if not np.isfinite(numbers).all():
            raise ValueError("numbers that are nan or infinite")
        return numbers

    def integers(self, index: object, width: int) -> npt.NDArray[np.int64]:
        """Return an accessor as (count, width) integers, none below 0."""
        values, _ = self._read(index, width)
        if values.dtype.kind not in "iu":
            raise ValueError(f"{values.dtype} {values.shape} where integers are needed")
        if values.min() < 0:
            raise ValueError(f"the index {values.min()}")
        return values.astype(np.int64)

    def _read(self, index: object, width: int) -> tuple[AnyArray, Object]:
        """Return an accessor's raw values (count, width) and the accessor."""
        accessor = self._document.item("accessors", index, kind="accessor")
        kind = accessor.get("type")
        found = _WIDTHS.get(kind) if isinstance(kind, str) else None
        if found is None:
            raise ValueError(f"an accessor of type {kind}")
        if found != width:
            raise ValueError(f"{found} columns where {width} are needed")
        count = whole(accessor, "count")
        if not 1 <= count <= _MOST_ROWS:
            raise ValueError(f"{count} rows where 1 to {_MOST_ROWS} can be")
        values = self._dense(accessor, count, _component(accessor), width)
        if accessor.get("sparse") is not None:
            # A copy, as what lies in a buffer cannot be written.
            values = self._with_sparse(values.copy(), object_in(accessor, "sparse"), accessor)
        return values, accessor

    def _with_sparse(self, values: AnyArray, sparse: Object, accessor: Object) -> AnyArray:
        """Return values (count, width) with the sparse rows put in."""
        count, width = values.shape
        n_rows = whole(sparse, "count")
        if not 1 <= n_rows <= count:
            raise ValueError(f"{n_rows} sparse values of {count}")
        indices, new = object_in(sparse, "indices"), object_in(sparse, "values")
        for part in (indices, new):
            whole(part, "bufferView")  # zeros are for accessors alone
        places = self._dense(indices, n_rows, _component(indices), 1)[:, 0]
        if places.dtype.kind != "u":
            raise ValueError(f"sparse places as {places.dtype}")
        if places.max() >= count:
            raise ValueError(f"a sparse value at {places.max()} of {count}")
        values[places] = self._dense(new, n_rows, _component(accessor), width)
        return values

    def _dense(
        self, place: Object, count: int, dtype: np.dtype[np.generic], width: int
    ) -> AnyArray:
        """Return `count` rows of `width` numbers, zeros where there is no buffer view."""
        if place.get("bufferView") is None:
            if count > _MOST_EMPTY_ROWS:
                raise ValueError(
                    f"{count} rows without a buffer, at most {_MOST_EMPTY_ROWS} can be"
                )
            return np.zeros((count, width), dtype)
        view = self._document.item("bufferViews", place["bufferView"], kind="buffer view")
        if "EXT_meshopt_compression" in object_in(view, "extensions"):
            raise ValueError("meshopt-compressed buffers; save the file uncompressed")
        start, row = whole(place, "byteOffset", 0), dtype.itemsize * width
        stride = whole(view, "byteStride", 0) or row
        if stride < row:
            raise ValueError(f"rows of {row} bytes that overlap, {stride} bytes apart")
        first, length = whole(view, "byteOffset", 0), whole(view, "byteLength")
        end = start + (count - 1) * stride + row
        buffer = self._document.buffer(view.get("buffer"))
        if end > length or first + length > len(buffer):
            raise ValueError(f"{count} rows beyond the end of their buffer")
        raw = np.frombuffer(buffer, np.uint8, count=end - start, offset=first + start)
        rows = np.lib.stride_tricks.as_strided(raw, (count, row), (stride, 1), writeable=False)
        return np.ascontiguousarray(rows).view(dtype)


def _component(place: Object) -> np.dtype[np.generic]:
    """Return the numbers' type of an accessor or of sparse indices."""
    component = whole(place, "componentType")
    if component not in _DTYPES:
        raise ValueError(f"a component type {component}")
    return np.dtype(_DTYPES[component])
