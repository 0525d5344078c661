"""Corpus layouts: rules by which files of a folder become takes with labels.

- `beat`: BEAT layout (Liu et al. 2022): `N_NAME_TYPE_FIRST_LAST.wav` and a `.json` of curves.
- `etf`: 3D-ETF layout (Peng et al. 2023): `audio/NAME.wav` beside `blendshape/NAME.npy`, 30 fps.
- `generic`: generic layout: `audio/` and `blendshape/`, in which the files of a take have one
  name.
- `layout`: what a corpus layout is: how to recognise a folder, and which take each of its files
  belongs to.
- `livelink`: live Link Face layout: the app's take folders, a CSV file of curves with a video or
  sound.
- `mead`: MEAD layout (Wang et al. 2020): emotions at three levels, seven cameras, one folder per
  identity.
- `metadata`: label tables: emotion names of other corpora, and `metadata.csv` in a corpus folder.
- `pairing`: pairing of files to takes: what belongs together, which of several files is used.
- `ravdess`: RAVDESS layout (Livingstone and Russo 2018): labels by file name, `MM-VV-EE-II-SS-RR-
  AA`.
- `registry`: registry of corpus layouts, and recognition of a folder's layout.
- `tree`: directory scan shared by all layouts: one walk by names, no file is read.
- `unread`: motion that no reader reads: in another format, packed, or in a place that cannot be
  opened.
"""

from esarm_env.corpus.layouts.layout import Layout
from esarm_env.corpus.layouts.pairing import Found
from esarm_env.corpus.layouts.registry import LAYOUTS, find_layouts, find_takes, register_layout

__all__ = ["LAYOUTS", "Found", "Layout", "find_layouts", "find_takes", "register_layout"]
