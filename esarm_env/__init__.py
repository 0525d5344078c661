"""Speech-driven facial animation as a Gymnasium environment: importing this registers `ESARM-v0`.

Importing stays cheap: torch and librosa are loaded when an environment is made.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

import gymnasium

from esarm_env.core.errors import InputError, MissingExtraError
from esarm_env.core.types import (
    EMOTIONS,
    Animator,
    Corpus,
    MotionTokenizer,
    Record,
    RewardFunction,
    Trajectories,
    Utterance,
)

if TYPE_CHECKING:
    from esarm_env.corpus.layouts.registry import register_layout
    from esarm_env.face.exporters import register_exporter
    from esarm_env.metrics.registry import register_metric
    from esarm_env.rewards.registry import register_reward

__version__ = "0.1.0"

__all__ = [
    "EMOTIONS",
    "Animator",
    "Corpus",
    "InputError",
    "MissingExtraError",
    "MotionTokenizer",
    "Record",
    "RewardFunction",
    "Trajectories",
    "Utterance",
    "register_exporter",
    "register_layout",
    "register_metric",
    "register_reward",
]

# Imported when they are asked for: what they register into costs more than this package.
_LATER = {
    "register_exporter": "esarm_env.face.exporters",
    "register_layout": "esarm_env.corpus.layouts.registry",
    "register_metric": "esarm_env.metrics.registry",
    "register_reward": "esarm_env.rewards.registry",
}


def __getattr__(name: str) -> Any:
    if name in _LATER:
        return getattr(import_module(_LATER[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


gymnasium.register(
    id="ESARM-v0",
    entry_point="esarm_env.envs.registration:make_env",
    vector_entry_point="esarm_env.envs.registration:make_vector_env",
)
