"""Deprecated place of `SpeechAnimationEnv`, which `esarm_env` itself offers now."""

from __future__ import annotations

from esarm_env.core.deprecation import moved

__getattr__ = moved(__name__, {"SpeechAnimationEnv": "esarm_env:SpeechAnimationEnv"})
