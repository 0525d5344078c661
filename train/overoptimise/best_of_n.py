"""Best-of-n curve: of n samples of the clone the one with the highest score."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from agents.rollout.best_of_n import scored_draw
from reward.report import best_of_n
from train.overoptimise.curve import ERRORS, Curve, OveroptimiseConfig

if TYPE_CHECKING:
    from agents.network.transformer import MotionTransformer
    from esarm_env.core.types import DoubleArray, FloatArray, IntArray, RewardFunction
    from esarm_env.task.animation_task import AnimationTask


def best_of_n_divergence(n: int) -> float:
    """Return the divergence of best-of-n from what it draws from, in nats: log n - (n - 1) / n.

    Exact where no two scores are equal, else an upper bound (Beirami et al. 2024,
    arXiv:2401.01879); used for this purpose by Gao et al. 2022, arXiv:2210.10760.

    Raises:
        ValueError: If `n` is below 1.
    """
    if n < 1:
        raise ValueError(f"`n` must be at least 1, got {n}")
    return math.log(n) - (n - 1) / n


def expected_best_of_n(proxy: FloatArray, values: FloatArray, n: int) -> DoubleArray:
    """Return what the best of `n` is worth, estimated from M draws without bias.

    The mean over all subsets of n draws (Nakano et al. 2021, arXiv:2112.09332, app. I): the draw
    with r others below it is the best of C(r, n - 1) of the C(M, n) subsets. Equal scores stand in
    the order of drawing, which knows nothing of their values.

    Args:
        proxy: Shape (N, M), what the best is chosen by.
        values: Shape (N, M), what is asked of the chosen.
        n: At least 1, at most M.

    Returns:
        Shape (N,).

    Raises:
        ValueError: If the shapes differ or `n` is out of range.
    """
    if proxy.shape != values.shape or proxy.ndim != 2:
        shapes = f"{proxy.shape} and {values.shape}"
        raise ValueError(f"`proxy` and `values` must have one shape (N, M), got {shapes}")
    n_draws = proxy.shape[1]
    if not 1 <= n <= n_draws:
        raise ValueError(f"`n` must be in 1..{n_draws}, got {n}")
    return best_of_n(proxy, values, n=n)


class BestOfNTrainer:
    """Draws the clone's animations, one of each utterance a call of `advance`."""

    def __init__(
        self,
        clone: MotionTransformer,
        task: AnimationTask,
        reward: RewardFunction,
        *,
        utterances: IntArray,
        config: OveroptimiseConfig,
        seed: int,
    ) -> None:
        """Prepare to draw.

        Args:
            clone: Draws.
            task: Gives speech and true errors.
            reward: The proxy.
            utterances: Shape (N,).
            config: How many.
            seed: Of the draws.
        """
        self._clone, self._task, self._reward = clone, task, reward
        self._utterances, self._config, self._seed = utterances, config, seed
        self._draws: dict[str, list[FloatArray]] = {name: [] for name in ("proxy", *ERRORS)}

    @property
    def n_done(self) -> int:
        """Draws so far of each utterance."""
        return len(self._draws["proxy"])

    @property
    def n_total(self) -> int:
        """Draws of each utterance: twice the greatest n, so that its estimate rests on many."""
        return 2 * self._config.best_of

    def advance(self) -> dict[str, float]:
        """Draw one animation of each utterance; return the means of their figures."""
        written, proxy = scored_draw(
            self._clone,
            self._task,
            self._utterances,
            score=self._reward.score,
            seed=self._seed,
            sample=self.n_done,
        )
        figures = {"proxy": proxy, **self._task.errors(written)}
        for name, draws in self._draws.items():
            draws.append(figures[name])
        return {name: float(np.mean(draws[-1])) for name, draws in self._draws.items()}

    def curve(self) -> Curve:
        """Return what the best of each n is worth."""
        counts = self._config.best_of_counts
        draws = {name: np.stack(rows, axis=1) for name, rows in self._draws.items()}  # (N, M)
        worth = {
            name: np.stack([expected_best_of_n(draws["proxy"], values, n) for n in counts])
            for name, values in draws.items()
        }
        shape = (len(counts), len(self._utterances))
        nats = np.array([best_of_n_divergence(n) for n in counts])
        return Curve(
            steps=np.array(counts),
            lengths=self._task.lengths[self._utterances],
            divergence=np.broadcast_to(nats[:, None], shape).copy(),
            proxy=worth.pop("proxy"),
            errors=worth,
        )

    def state_dict(self) -> dict[str, Any]:
        """Return the draws."""
        return {
            name: [torch.from_numpy(np.asarray(row)) for row in draws]
            for name, draws in self._draws.items()
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what `state_dict` returned."""
        self._draws = {name: [row.numpy() for row in state[name]] for name in self._draws}
