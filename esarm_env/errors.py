"""Deprecated place of `InputError` and `MissingExtraError`, which `esarm_env` itself offers now."""

from __future__ import annotations

from esarm_env.core.deprecation import moved

_NAMES = ("InputError", "MissingExtraError")

__getattr__ = moved(__name__, {name: f"esarm_env:{name}" for name in _NAMES})
