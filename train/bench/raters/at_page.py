"""Simulated raters in front of the page Judge: what they answer has gone through its addresses.

Apart from `simulated`, since it needs the extra `studio`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from esarm_env.core.errors import MissingExtraError
from reward.judging.session import Judging, JudgingSettings
from train.bench.raters.simulated import Taste, is_wrong

if TYPE_CHECKING:
    from pathlib import Path

    from esarm_env.core.types import FloatArray
    from reward.judging.pool import Pool
    from train.studio.judging.simulated import Taste as Verdict


class RatersAtPage:
    """The raters of `simulated.SimulatedRaters`, who give the same answers through the page.

    Attributes:
        judging: The log of their answers.
    """

    def __init__(
        self, run: Path, pool: Pool, taste: Taste, *, n_raters: int, noise: float, seed: int
    ) -> None:
        """Let them judge a pool of a run."""
        self._run, self._pool, self._taste = run, pool, taste
        self._n_raters, self._noise, self._seed = n_raters, noise, seed
        self.judging = Judging(pool)

    def answer(self, n: int) -> None:
        """Give answers in turn until there are `n` of them, or all pairs are judged.

        Raises:
            MissingExtraError: If the extra `studio` is not installed.
        """
        try:
            import train.studio.server  # noqa: F401
            from train.studio.judging.simulated import SimulatedRater, served
            from train.studio.studio import Studio
        except ModuleNotFoundError as error:
            package = (error.name or "").partition(".")[0]
            if package not in ("starlette", "uvicorn"):
                raise
            raise MissingExtraError(package, extra="studio", purpose="the page Judge") from error
        given = len(self.judging.log.judgements)
        if given >= n:
            return
        studio = Studio(self._run, preferences=self._pool.preferences)
        studio.study.judging.settings = JudgingSettings(seed=self._seed)
        with served(studio) as address:
            names = [f"simulated {number + 1}" for number in range(self._n_raters)]
            raters = [SimulatedRater(address, name, self._verdict(name)) for name in names]
            # They sit down in turn: a pair that is chosen early knows less of the others' answers.
            for number in range(given, n):
                rater = raters[number % len(raters)]
                rater.sit(n)
                if not rater.answer():
                    return
                rater.leave()

    def _verdict(self, rater: str) -> Verdict:
        def verdict(a: FloatArray, b: FloatArray, number: int) -> str:
            wrong = is_wrong(self._seed, rater, number, noise=self._noise)
            return "a" if (self._taste(a) > self._taste(b)) != wrong else "b"

        return verdict
