"""Deprecated place of `save_weights` and its like, which are in `esarm_env.core.weights` now."""

from __future__ import annotations

from esarm_env.core.deprecation import moved

_NAMES = ("save_weights", "load_module", "kind_of")

__getattr__ = moved(__name__, {name: f"esarm_env.core.weights:{name}" for name in _NAMES})
