"""Deprecated place of `load_policy`, `save_policy` and their like, which are in `agents` now."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import agents.weights
from esarm_env.core.deprecation import moved, warn_renamed

if TYPE_CHECKING:
    from torch import Tensor

    from agents.network.transformer import MotionTransformer

_NAMES = ("POLICY_FILE", "animate_utterances", "load_policy", "roll_out_with")

__getattr__ = moved(__name__, {name: f"agents:{name}" for name in _NAMES})


def save_policy(model: MotionTransformer, weights: dict[str, Tensor], path: Path) -> None:
    """Write `weights` of `model` to `path`; the one in `agents` takes `path` second."""
    warn_renamed("train.policies.save_policy(model, weights, path)", "agents.save_policy")
    agents.weights.save_policy(model, path, weights=weights)
