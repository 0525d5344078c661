"""Speech-driven facial animation as a Gymnasium environment: importing this registers `ESARM-v0`.

Importing stays cheap: torch and librosa are loaded when an environment is made.
"""

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
]

gymnasium.register(
    id="ESARM-v0",
    entry_point="esarm_env.envs.registration:make_env",
    vector_entry_point="esarm_env.envs.registration:make_vector_env",
)
