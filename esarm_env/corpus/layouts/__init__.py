"""How people's folders are laid out: who finds the takes of MEAD, RAVDESS, 3D-ETF, BEAT, ..."""

from esarm_env.corpus.layouts.pairing import Found
from esarm_env.corpus.layouts.registry import LAYOUTS, Layout, find_takes

__all__ = ["LAYOUTS", "Found", "Layout", "find_takes"]
