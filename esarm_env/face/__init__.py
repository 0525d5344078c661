"""The face: ARKit blendshape names, heads (blendshape meshes) and Live Link Face files.

- `names`: the 52 ARKit shapes in our order, conversion by name, the tokenizer's two streams.
- `head`: `Head`, a mesh with 52 displacement fields; `load_head` builds the one shipped.
- `surface`, `skin`, `parts`, `geometry`: rest mesh of the shipped head, from formulas.
- `shapes`, `shape_table`: its blendshapes and the measurements they are scaled to.
- `loaders`: FLAME, ICT-FaceKit and glTF heads.
- `render`: software rasteriser, numpy alone.
- `livelink`: Live Link Face CSV, read and written; `recording_table`: its columns and rows.
- `exporters`: writers of motion files, with and without a head, chosen by suffix.
"""

import warnings
from typing import TYPE_CHECKING

from esarm_env.face.head import Head, load_head
from esarm_env.face.livelink import read_livelink_csv, write_livelink_csv
from esarm_env.face.loaders import FlameMap, load_flame, open_head
from esarm_env.face.names import (
    ARKIT_NAMES,
    MIRROR,
    MOUTH_CHANNELS,
    ORDERS,
    ROTATIONS,
    UPPER_CHANNELS,
    columns_of,
    convert,
    index_of,
    to_arkit_order,
)

__all__ = [
    "ARKIT_NAMES",
    "MIRROR",
    "MOUTH_CHANNELS",
    "ORDERS",
    "ROTATIONS",
    "UPPER_CHANNELS",
    "FlameMap",
    "Head",
    "columns_of",
    "convert",
    "index_of",
    "load_flame",
    "load_head",
    "open_head",
    "read_livelink_csv",
    "to_arkit_order",
    "write_livelink_csv",
]

if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        """Give the old names of public functions for one version, with a warning."""
        if name == "place":
            message = "`esarm_env.face.place` is deprecated; use `to_arkit_order`"
            warnings.warn(message, DeprecationWarning, stacklevel=2)
            return to_arkit_order
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
