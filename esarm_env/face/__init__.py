"""The face: names of the 52 shapes, a head they move, and export.

- `names`: one order of our own, conversion by name, the two streams of the motion tokenizer.
- `head`: a mesh with 52 displacement fields; `load_head` builds the one shipped (`surface`, `skin`,
  `parts` are its geometry, `shape_table` and `shapes` its motion).
- `loaders`: other people's heads (FLAME, ICT-FaceKit, glTF); `render`: pictures of any.
- `exporters`: who writes motion to a file, by its suffix; `livelink`: Live Link Face recordings.
"""

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
    place,
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
    "place",
    "read_livelink_csv",
    "write_livelink_csv",
]
