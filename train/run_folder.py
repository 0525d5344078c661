"""Deprecated place of `RunFolder`, which is in `train.run.run_folder` now."""

from __future__ import annotations

from esarm_env.core.deprecation import moved

_NAMES = ("RunFolder", "without_nan")

__getattr__ = moved(__name__, {name: f"train.run.run_folder:{name}" for name in _NAMES})
