"""Exporters: who writes facial motion to a file, chosen by the file's suffix or by name.

- `registry`: what an exporter is, those installed, and which of them writes a file.
- `writing`: `write_motion`, one call for every format.
- `clip`: sound of a clip, and checks of what is written.
- `livelink`: Live Link Face CSV.
- `npy`: bare array, as 3D-ETF has it.
- `gltf`: glTF with a head, morph targets and animation; `meshes`: the head as such files hold it.
- `video`: MP4 and WebM with sound; `frames`: the pictures, by several processes.
- `usd`: OpenUSD by UsdSkel, with a head.
- `json_layouts`: JSON as BEAT, LAM and Audio2Face have it.
"""

from esarm_env.face.exporters.clip import Sound
from esarm_env.face.exporters.livelink import LIVELINK
from esarm_env.face.exporters.registry import (
    EXPORTER_GROUP,
    EXPORTERS,
    Exporter,
    WriteMotion,
    exporter_for,
    exporter_to,
    exporters_to,
    register_exporter,
)
from esarm_env.face.exporters.writing import write_motion

__all__ = [
    "EXPORTERS",
    "EXPORTER_GROUP",
    "LIVELINK",
    "Exporter",
    "Sound",
    "WriteMotion",
    "exporter_for",
    "exporter_to",
    "exporters_to",
    "register_exporter",
    "write_motion",
]
