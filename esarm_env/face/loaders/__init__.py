"""Loaders of other heads (FLAME, ICT-FaceKit, glTF) as our `Head`.

- `opening`: `open_head` by name or path.
- `flame`: FLAME with a map fitted from ARKit coefficients to its expression and jaw.
- `ict`: ICT-FaceKit; `gltf`: any file with ARKit morph targets (`gltf_document` reads its text and
  buffers, `gltf_nodes` its transforms, `gltf_arrays` its accessors).
- `targets`: morph targets matched by name to our 52 fields, regions, and checks of the result.
- `alignment`: registration of our head to another mesh, to carry regions and fields over.
- `surfaces`: normals, areas, skin and landmarks of a mesh, which registration needs.
- `array_files`, `plain_pickle`: `.npz` and `.pkl` files read without running code in them.
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
