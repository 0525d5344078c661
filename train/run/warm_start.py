"""An algorithm warm-started from the clone, one iteration at a time, for `train.run.loop.drive`.

Random choices follow from the iteration's number, so that a resumed one ends in the same weights.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from stable_baselines3.common.logger import Logger

if TYPE_CHECKING:
    from agents.common.sequence_algorithm import SequenceAlgorithm
    from agents.monitoring.hacking import RewardHackingCallback
    from agents.network.transformer import MotionTransformer

_LOGGED = (
    *("rollout/score", "train/kl", "train/entropy", "train/policy_loss"),
    *("train/samples_loss", "train/recordings_loss", "train/answers_loss"),  # of distillation
    "hacking/alarm",  # where one is listened for: 1 at a measurement that raised it
)


class WarmStarted:
    """A sequence algorithm with the clone's weights, and what its state is."""

    def __init__(
        self,
        algorithm: SequenceAlgorithm,
        clone: MotionTransformer,
        *,
        callback: RewardHackingCallback | None = None,
    ) -> None:
        """Warm-start `algorithm` from `clone`; the divergence is measured from there.

        Args:
            algorithm: Fresh.
            clone: The network to start from.
            callback: Watches; None watches nothing.
        """
        self.algorithm, self.callback = algorithm, callback
        algorithm.warm_start(clone)
        algorithm.set_logger(Logger(folder=None, output_formats=[]))

    @property
    def n_done(self) -> int:
        """Iterations so far."""
        return self.algorithm.n_iterations

    def learn_once(self) -> dict[str, float]:
        """Run one iteration; return score, KL divergence (if `kl_coef > 0`), entropy and losses."""
        self.algorithm.learn(1, reset_num_timesteps=False, callback=self.callback)
        logged = self.algorithm.logger.name_to_value
        row = {name.split("/")[1]: float(logged[name]) for name in _LOGGED if name in logged}
        row["ratio_error"] = float(logged["train/first_ratio_error"])
        row["kl_coef"] = float(logged["train/kl_coef"])
        logged.clear()
        return row

    def state_dict(self) -> dict[str, Any]:
        """Return everything needed to go on after an interruption."""
        state = {
            "model": self.algorithm.model.state_dict(),
            "optimizer": self.algorithm.policy.optimizer.state_dict(),
            "n_iterations": self.algorithm.n_iterations,
            "num_timesteps": self.algorithm.num_timesteps,
            "kl_coef": self.algorithm.kl_coef,
            "further": self.algorithm.further_state(),
        }
        if self.algorithm.reference_averaging:
            state["reference"] = self.algorithm.reference.state_dict()
        return state if self.callback is None else state | {"callback": self.callback.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what `state_dict` returned."""
        self.algorithm.model.load_state_dict(state["model"])
        self.algorithm.policy.optimizer.load_state_dict(state["optimizer"])
        self.algorithm.n_iterations = state["n_iterations"]
        self.algorithm.num_timesteps = state["num_timesteps"]
        self.algorithm.kl_coef = state["kl_coef"]
        if self.algorithm.reference_averaging:
            self.algorithm.reference.load_state_dict(state["reference"])
        self.algorithm.load_further_state(state.get("further", {}))
        if self.callback is not None:
            self.callback.load_state_dict(state["callback"])
