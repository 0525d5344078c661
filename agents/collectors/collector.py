"""Collector: writes and scores the episodes of an iteration, wherever the work is done."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

from esarm_env.core.errors import InputError

if TYPE_CHECKING:
    from stable_baselines3.common.vec_env import VecEnv

    from agents.network.transformer import MotionTransformer
    from agents.rollout.buffer import EpisodeBatch
    from agents.rollout.wrapped_episodes import RolloutPlan
    from agents.rollout.wrappers import Wrapping


@runtime_checkable
class Collector(Protocol):
    """Who writes the episodes of a roll-out; every collector gives the same ones.

    A sequence's random numbers come from the seed of the run, the iteration, the utterance and the
    number of the sample, and the episodes that are stepped together from their lengths.
    """

    def collect(
        self, model: MotionTransformer, env: VecEnv, plan: RolloutPlan, wrapping: Wrapping
    ) -> EpisodeBatch:
        """Write and score the episodes of `plan`, and honour the wrappers of `wrapping`.

        Raises:
            InputError: If a wrapper cannot be honoured.
            TrainingFault: If a score is NaN or infinite, or scoring fails.
        """

    def write(self, model: MotionTransformer, env: VecEnv, plan: RolloutPlan) -> EpisodeBatch:
        """Write and score the episodes of `plan`, past all wrappers; raises as `collect`."""

    def close(self) -> None:
        """End what the collector started; the next roll-out starts it again."""


class LocalCollector:
    """Collector that works in this process."""

    def collect(
        self, model: MotionTransformer, env: VecEnv, plan: RolloutPlan, wrapping: Wrapping
    ) -> EpisodeBatch:
        """Write and score the episodes of `plan`, and honour all wrappers."""
        from agents.rollout.wrapped_episodes import write_through

        return write_through(model, env, plan, wrapping)

    def write(self, model: MotionTransformer, env: VecEnv, plan: RolloutPlan) -> EpisodeBatch:
        """Write and score the episodes of `plan`, past all wrappers."""
        from agents.rollout.wrapped_episodes import write_plan

        return write_plan(model, env, plan)

    def close(self) -> None:
        """Do nothing: nothing was started."""


LOCAL = LocalCollector()


def check_collector(collector: Collector | None) -> Collector:
    """Return a collector, the local one in place of None.

    Raises:
        InputError: If it is something else.
    """
    if collector is None:
        return LOCAL
    if not isinstance(collector, Collector):
        raise InputError(
            "`collector` must be None or have `collect`, `write` and `close`, such as "
            f"`RayCollector(2)`, got {collector!r}"
        )
    return collector
