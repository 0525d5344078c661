"""Episodes played through wrappers: what their `step` and `reset` make of a written sequence.

Shape letters: N episodes, L tokens.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from stable_baselines3.common.vec_env import VecEnv, VecEnvWrapper
from stable_baselines3.common.vec_env.base_vec_env import VecEnvIndices, VecEnvStepReturn

from agents.protocols import SequenceTask, find_in_env
from esarm_env.core.errors import InputError

if TYPE_CHECKING:
    from agents.protocols import FloatArray, IntArray
    from agents.rollout.buffer import EpisodeBatch
    from agents.rollout.wrappers import Wrapping

Obs = dict[str, np.ndarray]


@dataclass(frozen=True)
class Speech:
    """An utterance as its observations show it.

    Attributes:
        utterance: Its index.
        windows: Shape (C, W), audio windows.
        condition: Shape (D,).
        per_chunk: Tokens per chunk.
    """

    utterance: int
    windows: FloatArray
    condition: FloatArray
    per_chunk: int

    @classmethod
    def of(cls, task: SequenceTask, utterance: int, condition: FloatArray) -> Speech:
        """Take the audio of `utterance` from its task."""
        windows = task.audio_windows(np.array([utterance]))[0]
        return cls(utterance, windows, condition, task.tokens_per_chunk)

    def observe(self, tokens: Sequence[int] | IntArray) -> Obs:
        """Return the slim observation after `tokens`, at least what algorithms read of it."""
        step, none = len(tokens), [-1] * self.per_chunk
        return {
            "audio": self.windows[min(step // self.per_chunk, len(self.windows) - 1)].copy(),
            "condition": self.condition.copy(),
            "last_tokens": np.array([*none, *tokens][-self.per_chunk :], dtype=np.int64),
            "step": np.array([step], dtype=np.int64),
            "utterance": np.array([self.utterance], dtype=np.int64),
        }


def check_observation(got: Any, expected: Obs, names: str) -> None:
    """Check that wrappers show what the update will read from the task.

    Raises:
        InputError: If a key differs, in values or, of integers, in type.
    """
    for key, wanted in expected.items():
        if key == "utterance" and key not in got:
            continue
        seen = np.asarray(got[key]) if key in got else None
        whole = seen is not None and (wanted.dtype.kind == "f" or seen.dtype.kind in "iu")
        if not whole or not np.array_equal(seen, wanted):  # type: ignore[arg-type]  # not None
            raise InputError(
                f"`env` must show `{key}` as the task has it, got another one through {names}; a "
                "sequence algorithm learns from the task's audio, condition and tokens: leave out "
                "wrappers that change observations or actions, or train with a stock algorithm"
            )


def begin(
    base: VecEnv, index: int, *, seed: int | None = None, options: dict[str, Any] | None = None
) -> Obs:
    """Start an episode in environment `index` through its wrappers, and return what it shows."""
    given = {"seed": seed} if options is None else {"options": options}
    ((obs, _),) = base.env_method("reset", indices=[index], **given)
    return dict(obs)


def play(base: VecEnv, index: int, speech: Speech, tokens: IntArray, names: str) -> dict[str, Any]:
    """Play an episode that has begun, and return its last `info` with its reward as `score`.

    Raises:
        InputError: If wrappers pay before the last token, end the episode at another one, or show
            something else than the task.
    """
    for t, token in enumerate(tokens, start=1):
        ((obs, reward, terminated, truncated, info),) = base.env_method(
            "step", token, indices=[index]
        )
        check_step(float(reward), terminated or truncated, at=t, of=len(tokens), names=names)
        check_observation(obs, speech.observe(tokens[:t]), names)
        if terminated or truncated:
            break
    return {**info, "score": float(reward)}


def check_step(reward: float, ended: bool, *, at: int, of: int, names: str) -> None:
    """Check that an episode of `of` tokens pays and ends at its last token, and nowhere else.

    Raises:
        InputError: If it does not.
    """
    if at < of and reward != 0:
        raise InputError(
            f"`env` must pay 0 before the last token, got {reward:g} at step {at} of {of} through "
            f"{names}; a sequence algorithm learns from one score an episode: let 0 stay 0, or "
            "train with a stock algorithm"
        )
    if ended != (at == of):
        raise InputError(
            f"`env` must end an episode with its audio and not cut it off, got another end at step "
            f"{at} of {of} through {names}; `max_duration_s` leaves long utterances out"
        )


def check_first_observation(env: VecEnv, wrapping: Wrapping) -> None:
    """Reset one environment, and check that its wrappers show what the task has.

    Raises:
        InputError: If they do not.
    """
    if wrapping.inner:
        task: SequenceTask = find_in_env(env, "sequence_task")
        utterance = int(find_in_env(env, "utterances")[0])
        obs = begin(env.unwrapped, 0, options={"utterance": utterance})
        speech = Speech.of(task, utterance_of(obs, wrapping), obs["condition"])
        check_observation(obs, speech.observe([]), wrapping.names)


def utterance_of(obs: Obs, wrapping: Wrapping) -> int:
    """Return the utterance that an observation is of.

    Raises:
        InputError: If wrappers leave it out.
    """
    if "utterance" not in obs:
        raise InputError(
            f"`env` must show `utterance`, got {sorted(obs)} through {wrapping.names}; leave out "
            "what filters observations"
        )
    return int(np.ravel(obs["utterance"])[0])


class EpisodeReplay(VecEnv):
    """Shows finished episodes to `VecEnvWrapper`s as if they were being played.

    Environment `i` plays the episodes `i`, `i + n_envs`, ...; one that is through stands still.
    Attributes and methods are those of the environments themselves.
    """

    def __init__(
        self, base: VecEnv, batch: EpisodeBatch, speeches: list[Speech], infos: list[dict[str, Any]]
    ) -> None:
        """Replay `batch`, of which `speeches` and last `infos` are known for each episode."""
        self._base, self._batch, self._speeches, self._infos = base, batch, speeches, infos
        self.n_steps = max(
            int(batch.lengths[index :: base.num_envs].sum()) for index in range(base.num_envs)
        )
        self.expected: IntArray = np.zeros(base.num_envs, dtype=np.int64)  # the next tokens
        super().__init__(base.num_envs, base.observation_space, base.action_space)

    def reset(self) -> Any:
        """Begin the first episodes."""
        self._plays = [self._steps(index) for index in range(self.num_envs)]
        self.reset_infos = [{} for _ in range(self.num_envs)]
        firsts = [self._speeches[index].observe([]) for index in range(self.num_envs)]
        self._last = list(firsts)
        return self._stack(firsts)

    def _steps(self, index: int) -> Iterator[tuple[Obs, float, bool, dict[str, Any]]]:
        numbers = range(index, len(self._batch), self.num_envs)
        for number in numbers:
            speech, length = self._speeches[number], int(self._batch.lengths[number])
            tokens = self._batch.tokens[number, :length]
            for t in range(1, length):
                yield speech.observe(tokens[:t]), 0.0, False, {"TimeLimit.truncated": False}
            last, following = speech.observe(tokens), number + self.num_envs
            there = following in numbers
            info = {**self._infos[number], "TimeLimit.truncated": False}
            info["terminal_observation"] = last
            shown = self._speeches[following].observe([]) if there else last
            yield shown, float(self._batch.scores[number]), True, info

    def _stack(self, rows: list[Obs]) -> Obs:
        keys = self.observation_space.spaces  # type: ignore[attr-defined]  # as was checked
        return {key: np.stack([row[key] for row in rows]) for key in keys if key in rows[0]}

    def step_async(self, actions: np.ndarray) -> None:
        """Check that wrappers hand the actions on: the tokens are written.

        Raises:
            InputError: If one of them has changed the actions.
        """
        if not np.array_equal(actions, self.expected):
            raise InputError(
                "`env` must hand actions on as they are, got a `VecEnvWrapper` that changes them; "
                "sequence algorithms write whole utterances"
            )

    def set_options(self, options: Any = None) -> None:
        """Refuse options: the utterances are chosen.

        Raises:
            InputError: If there are any.
        """
        if options:
            raise InputError(
                "`env` must leave the options of `reset` alone, got a `VecEnvWrapper` that sets "
                f"{options}; set them in a wrapper around each environment"
            )

    def step_wait(self) -> VecEnvStepReturn:
        """Show the next step of every episode."""
        rewards, dones = np.zeros(self.num_envs, np.float32), np.zeros(self.num_envs, np.bool_)
        infos: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
        for index, steps in enumerate(self._plays):
            step = next(steps, None)
            if step is not None:
                self._last[index], rewards[index], dones[index], infos[index] = step
        return self._stack(self._last), rewards, dones, infos

    def close(self) -> None:
        """Leave the environments open."""

    def get_attr(self, attr_name: str, indices: VecEnvIndices = None) -> list[Any]:
        """As of the environments."""
        return self._base.get_attr(attr_name, indices)

    def set_attr(self, attr_name: str, value: Any, indices: VecEnvIndices = None) -> None:
        """As of the environments."""
        self._base.set_attr(attr_name, value, indices)

    def env_method(
        self, method_name: str, *method_args: Any, indices: VecEnvIndices = None, **kwargs: Any
    ) -> list[Any]:
        """As of the environments."""
        return self._base.env_method(method_name, *method_args, indices=indices, **kwargs)

    def env_is_wrapped(self, wrapper_class: Any, indices: VecEnvIndices = None) -> list[bool]:
        """As of the environments."""
        return self._base.env_is_wrapped(wrapper_class, indices)


def shown_to_wrappers(
    env: VecEnvWrapper,
    batch: EpisodeBatch,
    speeches: list[Speech],
    infos: list[dict[str, Any]],
    names: str,
) -> EpisodeBatch:
    """Return `batch` with the scores that the `VecEnvWrapper`s of `env` make of its own.

    Raises:
        InputError: If they pay before the last token, move ends or change observations.
    """
    innermost = env
    while isinstance(innermost.venv, VecEnvWrapper):
        innermost = innermost.venv
    base = innermost.venv
    replay = EpisodeReplay(base, batch, speeches, infos)
    scores, returns = np.zeros_like(batch.scores), np.zeros_like(batch.scores)
    number = np.arange(env.num_envs)  # of the episode that each environment plays
    at = np.zeros(env.num_envs, dtype=np.int64)
    innermost.venv = replay
    try:
        obs: Any = env.reset()
        for _ in range(replay.n_steps):
            busy = np.flatnonzero(number < len(batch))
            for index in busy:
                expected = speeches[number[index]].observe(batch.tokens[number[index], : at[index]])
                row = {key: value[index] for key, value in obs.items()}
                check_observation(row, expected, names)
            replay.expected = _actions(batch, number, at)
            obs, rewards, dones, told = env.step(replay.expected)
            at[busy] += 1
            for index in busy:
                length, reward = int(batch.lengths[number[index]]), float(rewards[index])
                check_step(reward, bool(dones[index]), at=at[index], of=length, names=names)
                if dones[index]:
                    scores[number[index]] = reward
                    returns[number[index]] = told[index].get("episode", {"r": reward})["r"]
                    number[index] += env.num_envs
                    at[index] = 0
    finally:
        innermost.venv = base
    return replace(batch, scores=scores, monitored=returns)


def _actions(batch: EpisodeBatch, number: IntArray, at: IntArray) -> IntArray:
    actions = np.zeros(len(number), dtype=np.int64)
    busy = number < len(batch)
    actions[busy] = batch.tokens[number[busy], at[busy]]
    return actions


def note_in_monitors(wrapping: Wrapping, batch: EpisodeBatch) -> None:
    """Let plain monitors note the episodes of `batch` as if these had been played."""
    n_envs = len(wrapping.monitors)
    for number in range(len(batch) if n_envs else 0):
        for monitor in wrapping.monitors[number % n_envs]:
            score, length = float(batch.scores[number]), int(batch.lengths[number])
            seconds = time.time() - monitor.t_start
            monitor.episode_returns.append(score)
            monitor.episode_lengths.append(length)
            monitor.episode_times.append(seconds)
            monitor.total_steps += length
            if monitor.results_writer:
                row = {"r": round(score, 6), "l": length, "t": round(seconds, 6)}
                monitor.results_writer.write_row(row)
