"""`ESARM-Short-v0`: the first second of each sentence, a task that trains in minutes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from esarm_env.core.errors import InputError
from esarm_env.core.hub.folders import local_folder
from esarm_env.core.shipped import shipped_run
from esarm_env.core.types import FRAME_RATE_HZ
from esarm_env.corpus.cut import CutCorpus
from esarm_env.envs.chunk_payments import CHUNK
from esarm_env.envs.registration import make_env, make_vector_env
from esarm_env.task.opening import assemble_task, find_speech_encoder, open_audio_encoder, open_task

if TYPE_CHECKING:
    from pathlib import Path

    import gymnasium
    from gymnasium.vector import VectorEnv

    from esarm_env.rewards import RewardChoice
    from esarm_env.task.animation_task import AnimationTask

SHORT_ID = "ESARM-Short-v0"
LONGEST_S = 1.0
FLAT, ACCURACY = "flat", "accuracy"


def open_short_task(run: str | Path | None = None) -> AnimationTask:
    """Open the task of `ESARM-Short-v0`: that of a run, each utterance cut at one second.

    It is cut behind the last whole chunk (with the shipped tokenizer 28 frames, 0.93 s, 7 chunks of
    6 tokens). Features are those of the cut audio: nothing of what comes after is heard.

    Args:
        run: A run folder; None is the task that ships with the package.

    Raises:
        InputError: If the run lacks its corpus or its tokenizer.
    """
    folder = shipped_run() if run is None else local_folder(run)
    whole = open_task(folder)
    per_chunk = whole.tokenizer.frames_per_chunk
    most = max(int(LONGEST_S * FRAME_RATE_HZ) // per_chunk, 1) * per_chunk

    heard = find_speech_encoder(folder)
    return assemble_task(
        CutCorpus(whole.corpus, most),
        whole.tokenizer,
        encoder=open_audio_encoder(folder, heard),
        speech_encoder=heard,
    )


def make_short_env(
    run: str | Path | None = None,
    *,
    task: AnimationTask | None = None,
    observation: str = FLAT,
    reward: RewardChoice = ACCURACY,
    reward_timing: str = CHUNK,
    **kwargs: Any,
) -> gymnasium.Env[Any, Any]:
    """Make `ESARM-Short-v0`: `ESARM-v0` with other defaults, on utterances of up to 1 s.

    An episode is the first second of a sentence of the shipped corpus: 42 tokens of 256 codes, 112
    training, 32 validation and 48 test utterances. Observed is one flat vector.

    The reward is `accuracy`: minus the mean of the true errors LVE and EVE, in mm, paid chunk by
    chunk (its sum is the score of the animation). It is the truth, so that a curve that rises is a
    face that gets better. The learned reward would be easier to please and says less here: on
    validation utterances a face that never moves gets .54 of the way from random tokens to
    recordings through the tokenizer, and samples of the clone get more than the recordings do.
    `accuracy` gives them .29 and .65. `reward="learned"` still works, with the model of the run.

    Args:
        run: A run folder, of which corpus, tokenizer and learned reward are taken; None is what
            ships with the package.
        task: A task made by hand instead, of `open_short_task` or other utterances of up to 1 s.
        observation: `flat`, `slim` (for sequence algorithms, with `reward_timing="terminal"`) or
            `full_sequence`.
        reward: As of `SpeechAnimationEnv`; None is its default.
        reward_timing: `chunk` or `terminal`, as of `SpeechAnimationEnv`.
        kwargs: Others of `SpeechAnimationEnv`, without `corpus`.

    Raises:
        InputError: If an argument is not valid, or `task` has longer utterances.
    """
    fixed = _task_of(run, task, kwargs)
    return make_env(
        observation=observation, reward=reward, reward_timing=reward_timing, **fixed, **kwargs
    )


def make_short_vector_env(
    num_envs: int = 1,
    run: str | Path | None = None,
    *,
    task: AnimationTask | None = None,
    observation: str = FLAT,
    reward: RewardChoice = ACCURACY,
    reward_timing: str = CHUNK,
    **kwargs: Any,
) -> VectorEnv[Any, Any, Any]:
    """Make `ESARM-Short-v0` as a native vector environment.

    Args:
        num_envs: Episodes at once.
        run: As of `make_short_env`, and so are the next four.
        task: See above.
        observation: See above.
        reward: See above.
        reward_timing: See above.
        kwargs: Others of `SpeechAnimationVectorEnv`, without `corpus`; and `max_episode_steps`.

    Raises:
        InputError: If an argument is not valid, or `task` has longer utterances.
    """
    fixed = _task_of(run, task, kwargs)
    return make_vector_env(
        num_envs,
        observation=observation,
        reward=reward,
        reward_timing=reward_timing,
        **fixed,
        **kwargs,
    )


def _task_of(
    run: str | Path | None, task: AnimationTask | None, others: dict[str, Any]
) -> dict[str, Any]:
    """Return the arguments `run` and `task` of the environment behind.

    Raises:
        InputError: If `others` has a corpus, or `task` longer utterances.
    """
    if others.get("corpus") is not None:
        raise InputError(
            f"`corpus` must be left out with {SHORT_ID}, whose sentences are those of a run, got "
            f"{others['corpus']!r}; give `run`, or `ESARM-v0` with `max_duration_s`"
        )
    if task is None:
        folder = shipped_run() if run is None else local_folder(run)
        return {"run": folder, "task": open_short_task(folder)}
    longest = int(task.n_frames.max()) / FRAME_RATE_HZ
    if longest > LONGEST_S + 1e-6:
        raise InputError(
            f"`task` must have utterances of at most {LONGEST_S:g} s with {SHORT_ID}, got one of "
            f"{longest:.2f} s; make it with `open_short_task`"
        )
    return {"run": run, "task": task}


# `gymnasium.make` looks here for the render modes before it makes anything.
make_short_env.metadata = make_env.metadata  # type: ignore[attr-defined]
