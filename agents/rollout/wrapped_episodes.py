"""Roll-out through wrappers: whole episodes, played where wrappers may change or note something."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from stable_baselines3.common.vec_env import VecEnv, VecEnvWrapper

from agents.faults import TrainingFault
from agents.protocols import SequenceTask, find_in_env
from agents.rollout.buffer import EpisodeBatch
from agents.rollout.episodes import Asked, check_scores, write_episodes
from agents.rollout.generation import generate
from agents.rollout.playing import (
    Speech,
    begin,
    check_observation,
    note_in_monitors,
    play,
    shown_to_wrappers,
    utterance_of,
)
from esarm_env.core.errors import InputError
from esarm_env.core.seeds import occurrence_numbers, sequence_seeds

if TYPE_CHECKING:
    from agents.network.acceleration import Acceleration
    from agents.network.transformer import MotionTransformer
    from agents.protocols import FloatArray, IntArray
    from agents.rollout.decoding import Decoding
    from agents.rollout.wrappers import Wrapping


@dataclass(frozen=True)
class RolloutPlan:
    """What a roll-out consists of.

    Attributes:
        utterances: Shape (N,), what to write, unless wrappers choose.
        samples_per_utterance: Neighbours that share an utterance.
        run_seed: Of the run.
        iteration: Number of the roll-out.
        decoding: How tokens are chosen.
        by_stream: Whether to ask for a score per stream.
        acceleration: What may be traded for speed.
        by_chunk: Whether to ask for scores per chunk instead, which tell of streams as well.
        by_term: Whether to ask for the terms of the score instead.
    """

    utterances: IntArray
    samples_per_utterance: int
    run_seed: int
    iteration: int
    decoding: Decoding
    by_stream: bool
    acceleration: Acceleration
    by_chunk: bool = False
    by_term: bool = False

    @property
    def asked(self) -> Asked:
        """How episodes are written, and which scores are asked for."""
        return Asked(self.decoding, self.by_stream, self.by_chunk, self.by_term, self.acceleration)

    def token_seeds(self, utterances: IntArray) -> IntArray:
        """Return the seeds of all sequences up to now, of `utterances` (n,)."""
        return sequence_seeds(
            run_seed=self.run_seed,
            iteration=self.iteration,
            utterances=utterances,
            samples=occurrence_numbers(utterances),
        )

    def reset_seed(self, number: int) -> int:
        """Return with what to reset for episode `number`: one seed for all of an utterance."""
        group = number // self.samples_per_utterance
        entropy = [self.run_seed, self.iteration, group, 2]
        return int(np.random.SeedSequence(entropy).generate_state(1)[0] >> 1)


def write_plan(model: MotionTransformer, env: VecEnv, plan: RolloutPlan) -> EpisodeBatch:
    """Write and score the episodes of `plan` in this process, past all wrappers."""
    return write_episodes(
        model,
        env,
        plan.utterances,
        seeds=plan.token_seeds(plan.utterances),
        decoding=plan.decoding,
        by_stream=plan.by_stream,
        by_chunk=plan.by_chunk,
        by_term=plan.by_term,
        acceleration=plan.acceleration,
    )


def write_through(
    model: MotionTransformer,
    env: VecEnv,
    plan: RolloutPlan,
    wrapping: Wrapping,
    *,
    write: Callable[[MotionTransformer, VecEnv, RolloutPlan], EpisodeBatch] = write_plan,
) -> EpisodeBatch:
    """Write and score the episodes of `plan`, and honour the wrappers that `wrapping` names.

    Args:
        model: The policy.
        env: As a sequence algorithm has it.
        plan: What to write.
        wrapping: Of `env`.
        write: Who writes and scores them, unless they must be played.

    Raises:
        InputError: If a wrapper turns out to do what cannot be honoured.
        TrainingFault: If a score is NaN or infinite, or scoring fails.
    """
    infos: list[dict[str, Any]] = [{} for _ in plan.utterances]
    if wrapping.inner:
        batch, infos = _played(model, env, plan, wrapping)
    else:
        batch = write(model, env, plan)
    if wrapping.outer:
        assert isinstance(env, VecEnvWrapper), "they have names"
        task: SequenceTask = find_in_env(env, "sequence_task")
        speeches = [
            Speech.of(task, int(utterance), condition)
            for utterance, condition in zip(batch.utterances, batch.condition, strict=True)
        ]
        batch = shown_to_wrappers(env, batch, speeches, infos, wrapping.names)
        check_scores(batch.scores, task, batch.utterances)
    note_in_monitors(wrapping, batch)
    return batch


def _played(
    model: MotionTransformer, env: VecEnv, plan: RolloutPlan, wrapping: Wrapping
) -> tuple[EpisodeBatch, list[dict[str, Any]]]:
    """Write episodes and play them; as many at a time as there are environments, if they choose."""
    task: SequenceTask = find_in_env(env, "sequence_task")
    size = env.num_envs if wrapping.chooses else len(plan.utterances)
    utterances: list[int] = []
    parts, infos = [], []
    for first in range(0, len(plan.utterances), size):
        numbers = range(first, min(first + size, len(plan.utterances)))
        if wrapping.chooses:
            starts = [_chosen(env, plan, number, wrapping) for number in numbers]
            utterances += [utterance for utterance, _ in starts]
            _check_groups(utterances, plan, wrapping)
            condition = np.stack([each for _, each in starts])
        else:
            utterances = plan.utterances.tolist()
            condition = task.condition_of(plan.utterances)
        seeds = plan.token_seeds(np.array(utterances))[first:]
        here = np.array(utterances[first:])
        rollout = generate(
            model,
            task,
            here,
            condition=condition,
            decoding=plan.decoding,
            seeds=seeds,
            acceleration=plan.acceleration,
        )
        empty = np.zeros_like(rollout.log_probs)
        part = EpisodeBatch(
            utterances=here,
            condition=condition,
            tokens=rollout.tokens,
            lengths=rollout.lengths,
            log_probs=rollout.log_probs,
            values=rollout.values,
            scores=np.zeros(len(here), dtype=np.float32),
            advantages=empty,
            returns=empty,
        )
        scores, told = _play_all(env, task, part, numbers, wrapping)
        parts.append(replace(part, scores=scores))
        infos += told
    return _joined(parts), infos


def _chosen(
    env: VecEnv, plan: RolloutPlan, number: int, wrapping: Wrapping
) -> tuple[int, FloatArray]:
    """Begin episode `number`, and return the utterance and the condition that wrappers chose."""
    obs = begin(env.unwrapped, number % env.num_envs, seed=plan.reset_seed(number))
    return utterance_of(obs, wrapping), np.asarray(obs["condition"], dtype=np.float32)


def _check_groups(utterances: list[int], plan: RolloutPlan, wrapping: Wrapping) -> None:
    size = plan.samples_per_utterance
    for first in range(0, len(utterances), size):
        group = utterances[first : first + size]
        if len(set(group)) > 1:
            raise InputError(
                f"`env` must begin the {size} samples of an utterance with that utterance, as one "
                f"seed asks, got the utterances {group} through {wrapping.names}; pass "
                "`samples_per_utterance=1` (`SequencePPO`, `SequenceReinforce`), or hand "
                "`seed` on in `reset`"
            )


def _play_all(
    env: VecEnv, task: SequenceTask, part: EpisodeBatch, numbers: range, wrapping: Wrapping
) -> tuple[FloatArray, list[dict[str, Any]]]:
    base, names = env.unwrapped, wrapping.names
    infos = []
    for row, number in enumerate(numbers):
        utterance, index = int(part.utterances[row]), number % env.num_envs
        speech = Speech.of(task, utterance, part.condition[row])
        try:
            if not wrapping.chooses:
                obs = begin(base, index, options={"utterance": utterance})
                check_observation(obs, speech.observe([]), names)
            tokens = part.tokens[row, : part.lengths[row]]
            infos.append(play(base, index, speech, tokens, names))
        except RuntimeError as error:  # such as the RewardError of ESARM-v0
            raise TrainingFault(f"scoring failed: {error}") from error
    scores = np.array([info.pop("score") for info in infos], dtype=np.float32)
    check_scores(scores, task, part.utterances)
    return scores, infos


def _joined(parts: list[EpisodeBatch]) -> EpisodeBatch:
    """Return all episodes of `parts` in one batch, padded to the longest."""
    width = max(part.tokens.shape[1] for part in parts)

    def padded(name: str, value: float) -> Any:
        arrays = [getattr(part, name) for part in parts]
        pads = [((0, 0), (0, width - array.shape[1])) for array in arrays]
        return np.concatenate(
            [np.pad(a, pad, constant_values=value) for a, pad in zip(arrays, pads, strict=True)]
        )

    def joined(name: str) -> Any:
        return np.concatenate([getattr(part, name) for part in parts])

    return EpisodeBatch(
        **{name: joined(name) for name in ("utterances", "condition", "lengths", "scores")},
        tokens=padded("tokens", -1),
        **{name: padded(name, 0) for name in ("log_probs", "values", "advantages", "returns")},
    )
