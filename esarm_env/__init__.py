"""Speech-driven facial animation as a Gymnasium environment: importing this registers `ESARM-v0`.

Importing stays cheap: torch and librosa are loaded when an environment is made, and so are the
names of `_HOMES` and the parts of the package (`esarm_env.wrappers`) when they are first used.
"""

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
    from esarm_env.corpus import open_corpus
    from esarm_env.corpus.layouts.registry import register_layout
    from esarm_env.envs.registration import EnvOptions
    from esarm_env.envs.sampling import Sampling
    from esarm_env.envs.scalar import SpeechAnimationEnv
    from esarm_env.envs.short import open_short_task
    from esarm_env.envs.vector import SpeechAnimationVectorEnv
    from esarm_env.evaluation import Evaluation, evaluate, make_evaluation_env
    from esarm_env.face.exporters import register_exporter
    from esarm_env.liveliness import add_liveliness
    from esarm_env.rewards.registry import register_reward
    from esarm_env.sb3 import make_sb3_vec_env
    from esarm_env.scores import reference_scores
    from esarm_env.task.emotion_curve import EmotionCurve
    from esarm_env.task.episode_metrics import register_metric
    from esarm_env.task.opening import open_task
    from esarm_env.task.recording import open_speech, open_speech_stream

__version__ = "0.1.0"

_HOMES = {
    "EmotionCurve": "task.emotion_curve",
    "EnvOptions": "envs.registration",
    "Evaluation": "evaluation",
    "Sampling": "envs.sampling",
    "SpeechAnimationEnv": "envs.scalar",
    "SpeechAnimationVectorEnv": "envs.vector",
    "add_liveliness": "liveliness",
    "evaluate": "evaluation",
    "make_evaluation_env": "evaluation",
    "make_sb3_vec_env": "sb3",
    "open_corpus": "corpus",
    "open_short_task": "envs.short",
    "open_speech": "task.recording",
    "open_speech_stream": "task.recording",
    "open_task": "task.opening",
    "reference_scores": "scores",
    "register_exporter": "face.exporters",
    "register_layout": "corpus.layouts.registry",
    "register_metric": "task.episode_metrics",
    "register_reward": "rewards.registry",
}

_PARTS = (
    *("audio", "core", "corpus", "encoder", "env", "envs", "errors", "evaluation", "face"),
    *("formats", "liveliness", "metrics", "rendering", "rewards", "sb3", "scores", "task"),
    *("tokenizer", "wrappers"),
)

__all__ = [
    "EMOTIONS",
    "Animator",
    "Corpus",
    "EmotionCurve",
    "EnvOptions",
    "Evaluation",
    "InputError",
    "MissingExtraError",
    "MotionTokenizer",
    "Record",
    "RewardFunction",
    "Sampling",
    "SpeechAnimationEnv",
    "SpeechAnimationVectorEnv",
    "Trajectories",
    "Utterance",
    "add_liveliness",
    "evaluate",
    "make_evaluation_env",
    "make_sb3_vec_env",
    "open_corpus",
    "open_short_task",
    "open_speech",
    "open_speech_stream",
    "open_task",
    "reference_scores",
    "register_exporter",
    "register_layout",
    "register_metric",
    "register_reward",
]

# Returns of the clone that ships, by expected distance: `esarm scores` has the tables.
gymnasium.register(
    id="ESARM-v0",
    reward_threshold=0.07,
    entry_point="esarm_env.envs.registration:make_env",
    vector_entry_point="esarm_env.envs.registration:make_vector_env",
)
gymnasium.register(
    id="ESARM-Short-v0",
    reward_threshold=-1.8,
    entry_point="esarm_env.envs.short:make_short_env",
    vector_entry_point="esarm_env.envs.short:make_short_vector_env",
)


def __getattr__(name: str) -> Any:
    if name in _PARTS:
        return import_module(f"esarm_env.{name}")
    if name not in _HOMES:
        raise AttributeError(f"module 'esarm_env' has no attribute {name!r}")
    found = getattr(import_module(f"esarm_env.{_HOMES[name]}"), name)
    globals()[name] = found  # asked for once
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
