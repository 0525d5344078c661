"""Arrays as one body of bytes with a header, which a browser reads without copying.

| bytes | hold |
|---|---|
| 0 to 3 | length of the header, little-endian |
| then | the header in JSON, padded with spaces so that what follows begins at a multiple of 4 |
| then | arrays row by row, little-endian, each begun at a multiple of 4 |
"""

from __future__ import annotations

import json
import struct
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt

    from esarm_env.core.types import FloatArray

MOTION_STEP = 1e-4  # of coefficients: on our head no vertex is off by more than 0.004 mm
_ALIGNED = 4


def stepped(values: npt.ArrayLike, dtype: str, step: float) -> npt.NDArray[np.integer]:
    """Return `values` in whole steps; numbers beyond the range of `dtype` become its ends."""
    steps = np.rint(np.asarray(values, dtype=np.float64) / step)
    bounds = np.iinfo(dtype)
    return np.clip(steps, bounds.min, bounds.max).astype(dtype)


def packed(told: Mapping[str, Any], **arrays: npt.NDArray[Any]) -> bytes:
    """Return arrays with what is told of them.

    Args:
        told: Goes into the header beside `arrays`, which says type, shape and place of each.
        **arrays: By the name that the page reads them by.
    """
    places, bodies, at = {}, [], 0
    for name, array in arrays.items():
        body = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<")).tobytes()
        places[name] = {"type": array.dtype.name, "shape": list(array.shape), "at": at}
        bodies.append(body + bytes(-len(body) % _ALIGNED))
        at += len(bodies[-1])
    header = json.dumps({**told, "arrays": places}, allow_nan=False).encode()
    header += b" " * (-(4 + len(header)) % _ALIGNED)
    return struct.pack("<I", len(header)) + header + b"".join(bodies)


def packed_motion(motion: FloatArray) -> bytes:
    """Return motion (T, 52) rounded to `MOTION_STEP`."""
    return packed({"step": MOTION_STEP}, motion=stepped(motion, "int16", MOTION_STEP))
