"""Corpus layouts: rules by which files of a folder become takes with labels.

- `registry`: the layouts by name, and recognition of a folder's layout.
- `mead`, `ravdess`, `etf` (3D-ETF), `beat`, `livelink`: published corpora and the app's folders.
- `generic`: any folder with `audio/` and `blendshape/`.
- `tree`: one walk over a folder; `pairing`: files to takes; `metadata`: labels from `metadata.csv`.
"""

from esarm_env.corpus.layouts.layout import Layout
from esarm_env.corpus.layouts.pairing import Found
from esarm_env.corpus.layouts.registry import LAYOUTS, find_layouts, find_takes, register_layout

__all__ = ["LAYOUTS", "Found", "Layout", "find_layouts", "find_takes", "register_layout"]
