"""Collector of several processes: Ray's workers write and score parts of a roll-out.

Task, reward and network reach the workers once, weights once an iteration, and episodes come back
packed. The longest parts begin first, so that no worker is left with one at the end.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

from agents.collectors.parts import ROWS_ON_CPU, joined_parts, rows_of_parts
from agents.collectors.problem import Problem, Writer, check_sendable, reward_of
from agents.faults import names_of
from agents.network.acceleration import PLAIN
from agents.protocols import SequenceTask, find_in_env
from agents.rollout.buffer import EpisodeBuffer
from agents.rollout.episodes import EpisodePart, write_part
from agents.rollout.wrapped_episodes import write_plan, write_through
from esarm_env.core.errors import InputError
from esarm_env.core.workers.pool import check_workers, open_pool

if TYPE_CHECKING:
    from stable_baselines3.common.vec_env import VecEnv

    from agents.network.transformer import MotionTransformer
    from agents.protocols import FloatArray
    from agents.rollout.buffer import EpisodeBatch
    from agents.rollout.wrapped_episodes import RolloutPlan
    from agents.rollout.wrappers import Wrapping
    from esarm_env.core.workers.pool import Label, Pool

_USED = ("problem", "writer", "weights")


class RayCollector:
    """Roll-outs in worker processes of one torch thread each.

    Episodes are bit for bit those of any other number of workers, 0 among them, on machines of one
    kind. Workers keep a copy of the reward: one that is changed in place, or that remembers what it
    has scored, needs `refresh` or `n_workers=0`; setting `env.reward_function` is noticed.

    Attributes:
        n_workers: Processes; 0 works in this one.
    """

    def __init__(self, n_workers: int, *, pool: Pool | None = None) -> None:
        """Know how many workers to start; the first roll-out starts them.

        Args:
            n_workers: At least 0. Ray is started on this machine, or is the cluster that
                `RAY_ADDRESS` names.
            pool: Workers that are there, `n_workers` of them, which their owner ends.

        Raises:
            InputError: If it is below 0.
            MissingExtraError: If it is above 0, and Ray is not installed.
        """
        check_workers(n_workers, name="n_workers")
        self.n_workers = n_workers
        self._owns, self._pool = pool is None, pool or open_pool(n_workers)
        self._problem: Problem | None = None
        self._reward: Any = None
        self._shape: Any = None

    def collect(
        self, model: MotionTransformer, env: VecEnv, plan: RolloutPlan, wrapping: Wrapping
    ) -> EpisodeBatch:
        """Write and score the episodes of `plan`, and honour the wrappers that see them whole.

        Raises:
            InputError: If a wrapper would have to be played step by step, or `acceleration` is for
                a GPU.
            TrainingFault: If a score is NaN or infinite, or scoring fails.
        """
        if self.n_workers:
            check_sendable(wrapping)
        return write_through(model, env, plan, wrapping, write=self.write)

    def write(self, model: MotionTransformer, env: VecEnv, plan: RolloutPlan) -> EpisodeBatch:
        """Write and score the episodes of `plan`, past all wrappers."""
        if not self.n_workers:
            return write_plan(model, env, plan)
        if plan.acceleration != PLAIN:
            raise InputError(
                "`acceleration` must be plain with workers, which write on processors, got "
                f"{plan.acceleration}"
            )
        self._share(model, env)
        task: SequenceTask = find_in_env(env, "sequence_task")
        rows = rows_of_parts(task.lengths[plan.utterances], ROWS_ON_CPU)
        seeds, asked = plan.token_seeds(plan.utterances), plan.asked
        rows.reverse()
        parts = [EpisodePart(plan.utterances[each], seeds[each], asked) for each in rows]
        packed = self._pool.map(write_packed, parts, using=_USED, label=_label(parts, task))
        return joined_parts([each.episodes() for each in packed], rows)

    def refresh(self) -> None:
        """Send task and reward anew before the next roll-out: something in them has changed."""
        self._problem = None

    def close(self) -> None:
        """End the workers, if they are the collector's own; the next roll-out starts them again."""
        if self._owns:
            self._pool.close()

    def _share(self, model: MotionTransformer, env: VecEnv) -> None:
        if self._problem is None or not self._problem.is_still(env, self._reward):
            self._problem, self._reward = Problem.of(env), reward_of(env)
            self._pool.share("problem", self._problem)
        shape = type(model), model.config
        if self._shape != shape:
            self._shape = shape
            self._pool.share("writer", Writer(copy.deepcopy(model).cpu()))
        state = model.state_dict()
        self._pool.share("weights", {name: each.cpu().numpy() for name, each in state.items()})


def write_packed(
    part: EpisodePart, *, problem: Problem, writer: Writer, weights: dict[str, FloatArray]
) -> EpisodeBuffer:
    """Write and score the episodes of a part in a worker."""
    return EpisodeBuffer.pack(write_part(part, model=writer.with_weights(weights), env=problem))


def _label(parts: list[EpisodePart], task: SequenceTask) -> Label:
    """Return what a message calls a part: by the utterances that it writes."""
    return lambda number: f"writing {names_of(task, parts[number].utterances)}"
