"""Episode rendering on the CPU: the head with the motion so far, a caption, and sound.

- `view`: `EpisodeView`, the snapshot of an episode to draw, and `Timing`, its delay and frame rate.
- `episode`: `EpisodeRenderer`, which environments call, and `Scene`, a head with a caption.
- `caption`: layout of utterance, condition, progress and scores around the head.
- `text`: glyph masks from Pillow's own font.
- `window`: the pygame window of `render_mode="human"`.
- `sound`: soundtracks of recorded videos, muxed by ffmpeg.
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
