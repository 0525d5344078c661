"""Software renderer of heads in numpy: no GPU, no OpenGL.

- `renderer`: `render` draws one picture, `Renderer` many of the same head.
- `camera`: views and perspective projection.
- `shading`: colours of the head's regions, vertex normals, lights.
- `raster`: depth buffer, attribute interpolation, anti-aliasing.
"""

from esarm_env.face.render.camera import FRONT, PROFILE, THREE_QUARTER, View
from esarm_env.face.render.renderer import Renderer, render
from esarm_env.face.render.shading import Palette

__all__ = ["FRONT", "PROFILE", "THREE_QUARTER", "Palette", "Renderer", "View", "render"]
