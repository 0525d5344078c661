"""What was asked of the reward model, beside what was measured."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from esarm_env.core.intervals import Triple

REACHED, MISSED, UNANSWERED = "reached", "missed", "not measured"
MEAN_REACHED, MEAN_MISSED = "reached by the mean alone", "missed by the mean, not its interval"


@dataclass(frozen=True)
class Verdict:
    """One line of the table.

    Attributes:
        asked: In words.
        measured: In words, with its interval.
        verdict: `reached` or `missed` by the whole interval; where the bar lies between its ends,
            what the mean alone says; or `not measured`.
    """

    asked: str
    measured: str
    verdict: str


def judged(
    asked: str,
    figure: Triple,
    *,
    least: float | None = None,
    most: float | None = None,
    percent: bool = False,
) -> Verdict:
    """Return the verdict on one figure.

    Args:
        asked: In words.
        figure: Mean, low and high.
        least: The bar, where more is better.
        most: The bar, where less is better.
        percent: Whether the figure is a share, to be printed in per cent.

    Raises:
        ValueError: Unless just one of `least` and `most` is given.
    """
    if (least is None) == (most is None):
        raise ValueError(f"one of `least` and `most` must be given, got {least} and {most}")
    if np.isnan(figure[0]):
        return Verdict(asked, "n/a", UNANSWERED)
    sign, bar = (1, least) if least is not None else (-1, most)
    assert bar is not None, "one of the two was given"
    low, high = sorted(sign * (end - bar) for end in figure[1:])
    by_mean = MEAN_REACHED if sign * (figure[0] - bar) >= 0 else MEAN_MISSED
    verdict = REACHED if low >= 0 else MISSED if high < 0 else by_mean
    return Verdict(asked, shown(figure, percent=percent), verdict)


def shown(figure: Triple, *, percent: bool = False, digits: int = 2) -> str:
    """Return for instance `0.63 [0.61, 0.66]`, or `97.1 % [96.4, 97.8]`."""
    if np.isnan(figure[0]):
        return "n/a"
    if percent:
        mean, low, high = (f"{100 * number:.1f}" for number in figure)
        return f"{mean} % [{low}, {high}]"
    # Adding zero takes the sign off what is rounded to nothing.
    mean, low, high = (f"{round(number, digits) + 0.0:.{digits}f}" for number in figure)
    return f"{mean} [{low}, {high}]"
