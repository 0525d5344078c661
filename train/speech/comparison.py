"""Comparison of a policy before and after it learned from speech, as figures and as a page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from esarm_env.core.intervals import paired_change

if TYPE_CHECKING:
    from esarm_env.core.types import DoubleArray, FloatArray
    from train.speech.measures import Measured

MOST_WORSE = 0.02  # of an old figure, beyond which it is said that something was forgotten

# Figures per recording, by key, by decoding.
Figures = Mapping[str, Mapping[str, "FloatArray | DoubleArray"]]


@dataclass(frozen=True)
class Compared:
    """One figure before and after.

    Attributes:
        key: Its name.
        text: In words.
        decoding: How the policies were decoded.
        recordings: On how many it is known.
        before: Mean over them.
        after: Likewise.
        change: Mean difference with the ends of its bootstrap interval over recordings.
        worse: Relative change for the worse, below 0 for the better; nan where neither is.
    """

    key: str
    text: str
    decoding: str
    recordings: int
    before: float
    after: float
    change: tuple[float, float, float]
    worse: float

    @property
    def is_clear(self) -> bool:
        """Whether the whole interval lies on one side of 0."""
        return self.change[1] > 0 or self.change[2] < 0

    def row(self) -> dict[str, Any]:
        """Return it as plain values."""
        return {**vars(self), "change": list(self.change)}


def compare(
    before: Figures, after: Figures, kinds: Mapping[str, Measured], *, confidence: float
) -> list[Compared]:
    """Return the figures that are known of any recording, by decoding."""
    rows = []
    for decoding, figures in before.items():
        for key, kind in kinds.items():
            first = np.asarray(figures[key], dtype=np.float64)
            second = np.asarray(after[decoding][key], dtype=np.float64)
            known = np.isfinite(first) & np.isfinite(second)
            if not known.any():
                continue
            means = float(first[known].mean()), float(second[known].mean())
            change = paired_change(first, second, confidence=confidence)
            rows.append(
                Compared(
                    key,
                    kind.text,
                    decoding,
                    int(known.sum()),
                    *means,
                    (means[1] - means[0], change.low, change.high),
                    _worse(*means, better=kind.better),
                )
            )
    return rows


def forgotten(rows: list[Compared]) -> list[Compared]:
    """Return the old figures that are worse by more than `MOST_WORSE`, the worst first."""
    worse = [row for row in rows if row.worse > MOST_WORSE]
    return sorted(worse, key=lambda row: row.worse, reverse=True)


def verdict(rows: list[Compared]) -> str:
    """Return in a sentence whether something was forgotten of the run's own recordings."""
    judged = [row for row in rows if np.isfinite(row.worse)]
    if not judged:
        return "Of the run's own recordings no figure is known."
    limit = f"{MOST_WORSE:.0%}"
    worse = forgotten(rows)
    if not worse:
        most = max(judged, key=lambda row: row.worse)
        said = f"the most, {most.worse:+.1%}" if most.worse > 0 else "none at all"
        return (
            f"No figure of the run's own recordings is worse by more than {limit} ({said}: "
            f"{most.text}, {most.decoding})."
        )
    named = "; ".join(
        f"{row.text}, {row.decoding}, by {row.worse:.1%}"
        + ("" if row.is_clear else " (within the noise of so few recordings)")
        for row in worse
    )
    return f"Worse by more than {limit} on the run's own recordings: {named}."


def table(rows: list[Compared], *, decoding: str) -> Iterator[str]:
    """Yield the lines of a Markdown table of the figures of one decoding."""
    yield "| figure | recordings | before | after | change |"
    yield "|---|---|---|---|---|"
    for row in rows:
        if row.decoding == decoding:
            change = "{:+.3g} [{:+.3g}, {:+.3g}]".format(*row.change)
            if not np.isfinite(row.change[1]):
                change = f"{row.change[0]:+.3g}"
            yield (
                f"| {row.text} | {row.recordings} | {row.before:.3g} | {row.after:.3g} | {change} |"
            )


def page(summary: Mapping[str, Any], new: list[Compared], old: list[Compared]) -> str:
    """Return all in Markdown.

    Args:
        summary: What the stage has done.
        new: Figures of voices that were not learnt from.
        old: Figures of the run's own recordings.
    """
    speech = summary["speech"]
    train, test = speech["train"], speech["test"]
    lines = [
        "# A policy that learned from speech alone",
        "",
        f"From `{summary['policy']}`, by `{summary['reward']}`, on {train['recordings']} "
        f"recordings ({train['duration_s']:g} s) without motion; measured on "
        f"{test['recordings']} others ({test['duration_s']:g} s), of which "
        f"{speech['with_motion']} have motion. Intervals are over recordings.",
        "",
    ]
    for title, rows in (("Voices it had not heard", new), ("The run's own recordings", old)):
        for decoding in dict.fromkeys(row.decoding for row in rows):
            lines += [f"## {title}, {decoding}", "", *table(rows, decoding=decoding), ""]
    lines += [summary["verdict"], ""]
    if speech["left_out"]:
        lines += ["Left out:", "", *(f"- {fault}" for fault in speech["left_out"]), ""]
    return "\n".join(lines)


def _worse(before: float, after: float, *, better: int) -> float:
    if not better:
        return float("nan")
    if before == after:
        return 0.0
    return -better * (after - before) / abs(before) if before else float("nan")
