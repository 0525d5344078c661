"""Simulated raters: they judge by a hidden taste, and some of their answers are chance."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from esarm_env.face.names import ARKIT_NAMES
from reward.judging.session import Judging, JudgingSettings, Session

if TYPE_CHECKING:
    from esarm_env.core.types import FloatArray
    from reward.judging.pool import Pool, PooledAnimation

Taste = Callable[["FloatArray"], float]


def _mean_of(*names: str, sign: float = 1.0) -> Taste:
    channels = [ARKIT_NAMES.index(name) for name in names]

    def taste(motion: FloatArray) -> float:
        return sign * float(motion[:, channels].mean())

    return taste


# Mean coefficients of an animation (T, 52): what is liked more is higher.
TASTES: dict[str, Taste] = {
    "raised-brows": _mean_of("browInnerUp", "browOuterUpLeft", "browOuterUpRight"),
    "strong-brows": _mean_of(*(name for name in ARKIT_NAMES if name.startswith("brow"))),
    "less-open-mouth": _mean_of("jawOpen", sign=-1.0),
}


class SimulatedRaters:
    """Several raters of one taste, who take turns; they go on where they ended.

    Each answer is the other one with probability `noise`, whatever the pair.
    """

    def __init__(self, pool: Pool, taste: Taste, *, n_raters: int, noise: float, seed: int) -> None:
        """Let them sit down before a pool."""
        self._taste, self._noise, self._seed = taste, noise, seed
        self.judging = Judging(pool, settings=JudgingSettings(seed=seed))
        self._sessions = [
            self.judging.begin(f"simulated {number + 1}", go_on=True) for number in range(n_raters)
        ]
        self._liked: dict[str, float] = {}

    def answer(self, n: int) -> None:
        """Give answers until there are `n` of them, or all pairs are judged."""
        given = sum(session.n_answers for session in self._sessions)
        for number in range(given, n):
            session = self._sessions[number % len(self._sessions)]
            shown = session.next()
            if shown is None:
                return
            better = self._likes(shown.a) > self._likes(shown.b)
            session.answer("a" if better != self._errs(session) else "b", number=shown.number)

    def _likes(self, animation: PooledAnimation) -> float:
        if animation.sha256 not in self._liked:
            motion = self.judging.pool.motion(animation)
            self._liked[animation.sha256] = self._taste(motion)
        return self._liked[animation.sha256]

    def _errs(self, session: Session) -> bool:
        return is_wrong(self._seed, session.rater, session.n_answers, noise=self._noise)


def is_wrong(seed: int, rater: str, number: int, *, noise: float) -> bool:
    """Return whether an answer is the wrong way round: the same after an interruption."""
    digest = hashlib.sha256(f"{seed}/{rater}/{number}".encode()).digest()
    rng = np.random.default_rng(int.from_bytes(digest[:8], "little"))
    return bool(rng.random() < noise)
