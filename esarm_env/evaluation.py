"""How good a policy is: return, LVE and EVE over a fixed list of utterances, many at once.

The same list before and after training makes the comparison a paired one: what makes an utterance
hard for everybody drops out of the difference.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch
from gymnasium.vector import AutoresetMode, VectorEnv

from esarm_env.core.errors import InputError
from esarm_env.envs.registration import ESARM_ID, vector_entry_of
from esarm_env.envs.vector import SpeechAnimationVectorEnv
from esarm_env.task.episode_metrics import ERROR_UNITS

if TYPE_CHECKING:
    from esarm_env.core.types import BoolArray, DoubleArray, IntArray

RETURN = "return"  # name of the summed reward


class Act(Protocol):
    """A policy, called as Stable-Baselines3 calls `predict`; `model.predict` is one.

    Others take a line: `lambda obs, state, start: (policy(obs), None)`.
    """

    def __call__(
        self, obs: Any, state: Any, episode_start: Any, /
    ) -> tuple[np.ndarray[Any, Any], Any]:
        """Choose the next tokens.

        Args:
            obs: Observations of all N environments, as the vector environment gives them.
            state: What the last call returned second; None at first.
            episode_start: Bool (N,), True where an episode begins: there `state` counts no more.

        Returns:
            Actions (N,), and the state for the next call.
        """


@dataclass(frozen=True)
class Evaluation:
    """How one policy did, utterance by utterance.

    Attributes:
        utterance: Shape (N,), index of each utterance in the corpus.
        scores: By name, shape (N,) each: `return`, the summed reward; `lve`, `eve` (mm) and other
            metrics, if the environment measures them; `rewards/TERM`, if the reward has more terms
            than one.
        units: Unit by name of the metrics.
        reward: Formula of the reward that `return` sums; empty where it is not known.
    """

    utterance: IntArray
    scores: Mapping[str, DoubleArray]
    units: Mapping[str, str] = field(default_factory=lambda: ERROR_UNITS)
    reward: str = ""

    def __str__(self) -> str:
        """Return the means in a line; `repr` and the attributes hold every utterance."""
        told = []
        for name, mean in self.means().items():
            unit = self.units.get(name)
            told.append(f"{name} {mean:.3f}" + (f" {unit}" if unit else ""))
        return f"mean of {len(self.utterance)} utterances: {', '.join(told)}"

    def means(self) -> dict[str, float]:
        """Return the mean of every score over the utterances."""
        return {name: float(values.mean()) for name, values in self.scores.items()}

    def compare(self, after: Evaluation) -> str:
        """Return a table of the means here, of those in `after`, and of the paired change.

        The change stands with its standard error over the utterances: it tells how far other
        utterances might differ, and nothing about other training seeds. Returns by two rewards have
        no difference: n/a stands there.

        Raises:
            InputError: If `after` is of other utterances or has other scores.
        """
        if not np.array_equal(self.utterance, after.utterance):
            got = f"{after.utterance.tolist()} after {self.utterance.tolist()}"
            raise InputError(f"`after` must be of the same utterances in the same order, got {got}")
        if set(self.scores) != set(after.scores):
            got = f"{', '.join(after.scores)} after {', '.join(self.scores)}"
            remedy = "evaluate both in one environment of `make_evaluation_env`"
            raise InputError(f"`after` must have the same scores, got {got}; {remedy}")
        n = len(self.utterance)
        head = f"mean of {n} utterances"
        lines = [f"{head:<24}{'before':>9}{'after':>9}{'change':>9}  (standard error)"]
        for name, values in self.scores.items():
            if name == RETURN and self.reward != after.reward and self.reward and after.reward:
                means = f"{values.mean():>9.3f}{after.scores[name].mean():>9.3f}{'n/a':>9}"
                lines.append(f"{name:<24}{means}  ({self.reward} before, {after.reward} after)")
                continue
            change = after.scores[name] - values
            error = change.std(ddof=1) / np.sqrt(n) if n > 1 else np.nan
            unit = self.units.get(name)
            label = f"{name}, {unit}" if unit else name
            means = f"{values.mean():>9.3f}{after.scores[name].mean():>9.3f}{change.mean():>+9.3f}"
            lines.append(f"{label:<24}{means}  ({error:.3f})")
        return "\n".join(lines)


class _Turns:
    """Which of the utterances each environment is at."""

    def __init__(self, lengths: IntArray, *, num_envs: int) -> None:
        # The longest first, so that at the end few environments wait long for the last one.
        order = np.argsort(-lengths, kind="stable").tolist()
        self._idle_with = order[0]
        self._queue = deque(order)
        self._place: IntArray = np.full(num_envs, -1)  # -1 where nothing is left to do

    @property
    def working(self) -> bool:
        """Whether an utterance is still to be finished."""
        return bool((self._place >= 0).any())

    def take(self, rows: BoolArray) -> IntArray:
        """Give the next utterances to `rows`, bool (num_envs,); return which one each env plays.

        An environment for which none is left idles with the longest, which cannot end (and cost a
        scoring) before the others have ended.
        """
        for row in np.flatnonzero(rows):
            self._place[row] = self._queue.popleft() if self._queue else -1
        return np.where(self._place < 0, self._idle_with, self._place)

    def of(self, ended: BoolArray) -> tuple[IntArray, IntArray]:
        """Return rows that finished an utterance, and which, both shape (n,)."""
        rows = np.flatnonzero(ended & (self._place >= 0))
        return rows, self._place[rows]


def make_evaluation_env(
    num_envs: int = 16, *, env_id: str = ESARM_ID, split: str = "validation", **env_kwargs: Any
) -> VectorEnv[Any, Any, Any]:
    """Make an environment for `evaluate`.

    Args:
        num_envs: Episodes at once.
        env_id: A registered environment of ours, such as `ESARM-Short-v0`.
        split: Whose utterances: not those of training.
        env_kwargs: As of `gymnasium.make_vec("ESARM-v0", ...)`, for instance `observation`.

    Raises:
        InputError: If an argument is not valid.
    """
    mode = AutoresetMode.DISABLED
    return vector_entry_of(env_id)(num_envs, split=split, autoreset_mode=mode, **env_kwargs)


def evaluate(
    act: Act,
    env: VectorEnv[Any, Any, Any],
    *,
    utterances: Sequence[int] | IntArray | None = None,
    seed: int = 0,
) -> Evaluation:
    """Animate each utterance once and return how good that was.

    Args:
        act: The policy, for instance `model.predict`.
        env: Of `make_evaluation_env`, or any vector environment of `ESARM-v0` with the autoreset
            mode `Disabled`, wrapped or not. Where an episode ends, the next utterance begins.
        utterances: Indices, at least one; by default all of the environment's split.
        seed: Of the environments, and of torch's global generators, from which policies draw their
            tokens; these are put back afterwards, so that evaluating changes no training.

    Returns:
        Scores in the order of `utterances`.

    Raises:
        InputError: If `env` or `utterances` is unfit.
    """
    base = _check_env(env)
    chosen = _check_utterances(base, utterances)
    turns = _Turns(base.sequence_task.lengths[chosen], num_envs=env.num_envs)
    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        torch.manual_seed(seed)
        scores = _run(act, env, chosen, turns=turns, seed=seed)
    reward = str(getattr(base.reward_function, "name", ""))
    return Evaluation(chosen, scores, dict(base.metric_units), reward)


def _run(
    act: Act, env: VectorEnv[Any, Any, Any], chosen: IntArray, *, turns: _Turns, seed: int
) -> dict[str, DoubleArray]:
    """Animate the utterances `chosen`, (N,), and return their scores, (N,) each."""
    scores: dict[str, DoubleArray] = {}
    metrics = tuple(env.unwrapped.metric_units)  # type: ignore[attr-defined]  # as checked
    returns, state = np.zeros(env.num_envs), None
    start = np.ones(env.num_envs, dtype=np.bool_)
    obs, _ = env.reset(seed=seed, options={"utterance": chosen[turns.take(start)]})
    while turns.working:
        actions, state = act(obs, state, start)
        obs, reward, terminated, truncated, infos = env.step(actions)
        returns += reward
        start = terminated | truncated
        if start.any():
            rows, places = turns.of(start)
            for name, values in _scores_of(infos, returns, metrics).items():
                scores.setdefault(name, np.zeros(len(chosen)))[places] = values[rows]
            returns[start] = 0
            wanted = chosen[turns.take(start)]
            obs, _ = env.reset(options={"utterance": wanted, "reset_mask": start})
    return scores


def _scores_of(
    infos: Mapping[str, Any], returns: DoubleArray, metrics: tuple[str, ...]
) -> dict[str, DoubleArray]:
    """Return what `infos` tells of environments, `metrics` among it, (num_envs,) each."""
    if "rewards" not in infos:
        raise InputError("`env` must score episodes as they end, got one that defers rewards")
    rewards = infos["rewards"]
    terms = {name: values for name, values in rewards.items() if f"_{name}" in rewards}
    scores = {RETURN: returns}
    scores |= {name: infos[name] for name in metrics if name in infos}
    if len(terms) > 1:
        scores |= {f"rewards/{name}": values for name, values in terms.items()}
    return scores


def _check_env(env: VectorEnv[Any, Any, Any]) -> SpeechAnimationVectorEnv:
    base = env.unwrapped
    if not isinstance(base, SpeechAnimationVectorEnv):
        raise InputError(
            f"`env` must be a vector environment of ESARM-v0, got {base!r}; "
            "`make_evaluation_env` makes one"
        )
    if base.autoreset_mode is not AutoresetMode.DISABLED:
        raise InputError(
            f"`env` must have the autoreset mode Disabled, got {base.autoreset_mode.value}; "
            "`make_evaluation_env` makes such"
        )
    return base


def _check_utterances(
    base: SpeechAnimationVectorEnv, utterances: Sequence[int] | IntArray | None
) -> IntArray:
    """Return indices of utterances, shape (N,), a copy."""
    chosen = np.array(base.utterances if utterances is None else utterances)
    if chosen.ndim != 1 or len(chosen) == 0 or not np.issubdtype(chosen.dtype, np.integer):
        got = f"{chosen.dtype} {chosen.shape}"
        raise InputError(f"`utterances` must be integers of shape (N,), N at least 1, got {got}")
    last = len(base.sequence_task.lengths) - 1
    if chosen.min() < 0 or chosen.max() > last:
        raise InputError(f"`utterances` must be in 0..{last}, got {chosen.tolist()}")
    return chosen
