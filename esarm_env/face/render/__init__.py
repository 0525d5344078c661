"""Pictures of a head, without a GPU: camera, depth buffer, paint, light.

`render` draws one picture, `Renderer` many of the same head. `camera` projects, `paint` says what
colour each region of a head has, `shade` how light falls on it, `raster` which triangle a pixel
shows, and `develop` makes the picture of it.
"""

from esarm_env.face.render.camera import FRONT, PROFILE, THREE_QUARTER, View
from esarm_env.face.render.renderer import Renderer, render
from esarm_env.face.render.shading import Palette

__all__ = ["FRONT", "PROFILE", "THREE_QUARTER", "Palette", "Renderer", "View", "render"]
