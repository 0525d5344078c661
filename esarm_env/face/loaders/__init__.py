"""Other heads as ours: FLAME, ICT-FaceKit, glTF.

- `opening`: `open_head` by name or path.
- `gltf` (`gltf_arrays`, `gltf_scene`), `ict`, `flame` (`flame_model`, `flame_map`): the kinds.
- `shape_names`, `targets`: targets named like ARKit's become our 52 fields, then a head.
- `alignment` (`landmarks`, `similarity`, `surfaces`): our own head laid on another, which gives it
  our regions, and FLAME our fields.
- `array_files`, `plain_pickle`, `regions`: files of the user's, read without running them.
- `messages`: other libraries' errors in messages of ours.
"""

from esarm_env.face.loaders.flame import FlameMap, load_flame
from esarm_env.face.loaders.gltf import load_gltf
from esarm_env.face.loaders.ict import load_ict_arrays, load_ict_folder
from esarm_env.face.loaders.opening import OWN_HEAD, open_head

__all__ = [
    "OWN_HEAD",
    "FlameMap",
    "load_flame",
    "load_gltf",
    "load_ict_arrays",
    "load_ict_folder",
    "open_head",
]
