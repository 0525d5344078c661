"""Deprecated place of `make_config` and `PRESETS`, which are in `train.run.config` now."""

from __future__ import annotations

from esarm_env.core.deprecation import moved

_NAMES = ("PRESETS", "Config", "from_dict", "make_config", "read_yaml", "to_dict")

__getattr__ = moved(__name__, {name: f"train.run.config:{name}" for name in _NAMES})
