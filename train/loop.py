"""Deprecated place of `drive` and its like, which are in `train.run.loop` now."""

from __future__ import annotations

from esarm_env.core.deprecation import moved

_NAMES = ("drive", "write_rows", "progress_track", "_resume")

__getattr__ = moved(__name__, {name: f"train.run.loop:{name}" for name in _NAMES})
