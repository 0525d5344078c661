"""Registry of the paper's rivals: classes by name, each imported when it is asked for."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from esarm_env.core.errors import InputError

if TYPE_CHECKING:
    from agents.baselines.rivals.base import Rival

_HERE = "agents.baselines.rivals"
RIVALS: dict[str, str] = {  # module and class, in the order of the paper's Table I
    "meshtalk": f"{_HERE}.meshtalk:MeshTalk",
    "faceformer": f"{_HERE}.faceformer:FaceFormer",
    "emotalk": f"{_HERE}.emotalk:EmoTalk",
    "codetalker": f"{_HERE}.codetalker:CodeTalker",
}


def rival_class(name: str) -> type[Rival]:
    """Return the class of a rival.

    Raises:
        InputError: If there is none of that name.
    """
    if name not in RIVALS:
        raise InputError(f"`name` must be one of {', '.join(RIVALS)}, got {name!r}")
    module, _, cls = RIVALS[name].partition(":")
    found: type[Rival] = getattr(importlib.import_module(module), cls)
    return found
