"""How people's folders are laid out: who finds the takes of MEAD, RAVDESS, 3D-ETF, BEAT, ..."""

from esarm_env.corpus.layouts.layout import Layout
from esarm_env.corpus.layouts.pairing import Found
from esarm_env.corpus.layouts.registry import LAYOUTS, find_layouts, find_takes, register_layout

__all__ = ["LAYOUTS", "Found", "Layout", "find_layouts", "find_takes", "register_layout"]
