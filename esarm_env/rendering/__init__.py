"""Pictures of episodes: the head with the motion so far and a caption, on one processor core.

- `timing`: which frame of motion is seen after which step, and how late the sound has to be.
- `text`, `caption`, `scene`: one picture.
- `view`: what an environment tells; `episode`: what it calls; `window`: the same on the screen.
- `sound`: the soundtrack of recorded videos.
"""

from esarm_env.rendering.caption import Caption
from esarm_env.rendering.episode import RENDER_MODES, EpisodeRenderer, Scene
from esarm_env.rendering.view import EpisodeView, Timing
from esarm_env.rendering.window import Window

__all__ = [
    "RENDER_MODES",
    "Caption",
    "EpisodeRenderer",
    "EpisodeView",
    "Scene",
    "Timing",
    "Window",
]
