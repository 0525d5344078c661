"""Criteria of the reward model, beside what was measured."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from esarm_env.core.intervals import Triple

MET, UNMET, UNANSWERED = "yes", "no", "not measured"
MEAN_MET, MEAN_UNMET = "by the mean alone", "not by the mean, perhaps by its interval"


@dataclass(frozen=True)
class Verdict:
    """One line of the table.

    Attributes:
        criterion: In words.
        measured: In words, with its interval.
        met: `yes` or `no` by the whole interval; where the bound lies between its ends, what the
            mean alone says; or `not measured`.
        reason: Why it is a criterion; empty where none is given.
    """

    criterion: str
    measured: str
    met: str
    reason: str = ""

    @property
    def asked(self) -> str:
        """The criterion, by its name of earlier versions."""
        _warn("asked", "criterion")
        return self.criterion

    @property
    def verdict(self) -> str:
        """Whether it is met, by its name of earlier versions."""
        _warn("verdict", "met")
        return self.met


def _warn(old: str, new: str) -> None:
    text = f"`Verdict.{old}` is now `Verdict.{new}`; it goes in the next version"
    warnings.warn(text, DeprecationWarning, stacklevel=3)


def judged(
    criterion: str,
    figure: Triple,
    *,
    least: float | None = None,
    most: float | None = None,
    percent: bool = False,
    reason: str = "",
) -> Verdict:
    """Return the verdict on one figure.

    Args:
        criterion: In words.
        figure: Mean, low and high.
        least: The bound, where more is better.
        most: The bound, where less is better.
        percent: Whether the figure is a share, to be printed in per cent.
        reason: Why it is a criterion.

    Raises:
        ValueError: Unless just one of `least` and `most` is given.
    """
    if (least is None) == (most is None):
        raise ValueError(f"one of `least` and `most` must be given, got {least} and {most}")
    if np.isnan(figure[0]):
        return Verdict(criterion, "n/a", UNANSWERED, reason)
    sign, bound = (1, least) if least is not None else (-1, most)
    assert bound is not None, "one of the two was given"
    low, high = sorted(sign * (end - bound) for end in figure[1:])
    by_mean = MEAN_MET if sign * (figure[0] - bound) >= 0 else MEAN_UNMET
    met = MET if low >= 0 else UNMET if high < 0 else by_mean
    return Verdict(criterion, shown(figure, percent=percent), met, reason)


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
