"""Figures and paired differences of a run's policies, its experiments and other policy files."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from esarm_env.core.errors import InputError
from esarm_env.core.intervals import Interval, bootstrap_mean, paired_change
from esarm_env.core.plugins import did_you_mean
from esarm_env.core.run_layout import (
    MEASURED_FOLDER,
    is_finished,
)
from train.experiments.sources import COLUMNS, Policy, Source, of_experiments, of_file, of_run
from train.rows import DECODINGS, MEAN_FACE, POLICY, RECORDINGS, REGRESSOR, TOKENIZER, Row
from train.run.run_folder import without_nan
from train.stages.measures import CLIMBED

if TYPE_CHECKING:
    from esarm_env.core.types import DoubleArray
    from train.run.run_folder import RunFolder

_BASELINES = (RECORDINGS, TOKENIZER, REGRESSOR, MEAN_FACE)


@dataclass(frozen=True)
class Line:
    """One row of the comparison: a policy decoded in one way, or a baseline.

    Attributes:
        row: Whose animations; of a policy, `row.policy` is its name in the comparison.
        reward: What `climbed` is measured by.
        means: By column, with intervals over utterances.
        differences: By column, paired; empty of what is compared with.
    """

    row: Row
    reward: str
    means: dict[str, Interval]
    differences: dict[str, Interval]


@dataclass(frozen=True)
class Comparison:
    """All that `esarm compare` knows.

    Attributes:
        run: Its folder.
        utterances: Test utterances.
        confidence: Of the intervals.
        against: What differences are taken from.
        policies: Without the clone.
        lines: Baselines and the clone first.
    """

    run: Path
    utterances: int
    confidence: float
    against: str
    policies: list[Policy]
    lines: list[Line]

    def to_dict(self) -> dict[str, Any]:
        """Return all figures for JSON."""
        policies = [
            {k: v for k, v in vars(policy).items() if k != "curve"} for policy in self.policies
        ]
        lines = [
            {
                "label": line.row.label,
                **line.row.to_dict(),
                "climbed_reward": line.reward,
                "figures": {key: list(value) for key, value in line.means.items()},
                "differences": {key: list(value) for key, value in line.differences.items()},
            }
            for line in self.lines
        ]
        found: dict[str, Any] = without_nan(
            {
                "run": str(self.run),
                "utterances": self.utterances,
                "confidence": self.confidence,
                "against": self.against,
                "policies": policies,
                "rows": lines,
            }
        )
        return found


def compare_run(
    run: RunFolder,
    names: Sequence[str] | None = None,
    *,
    against: str = "clone",
    files: Sequence[Path] = (),
) -> Comparison:
    """Compare the policies of a run with those of its experiments and of files.

    Args:
        run: Evaluated; with experiments also one that is not yet.
        names: Experiments; None stands for all that are finished.
        against: A policy, decoded the same way, or the label of one row for all.
        files: Policy files of any origin; they are measured at the first call.

    Raises:
        InputError: If an experiment that is named is not there, not finished or not of this run, a
            file does not fit, or there is nothing to compare.
    """
    sources = of_run(run) if is_finished(run.path, "evaluate") else []
    sources += of_experiments(run, names)
    sources += [of_file(run, file) for file in files]
    if not sources:
        run.stage("evaluate")  # which says what to do
    first = sources[0]
    for other in sources[1:]:
        if other.utterances != first.utterances:
            raise InputError(
                f"{run.path}: experiments must be tested on the utterances of the run, got others; "
                f"delete the folders `{MEASURED_FOLDER}` and run `esarm improve --from` again"
            )
    policies = [policy for source in sources for policy in source.policies]
    return Comparison(
        run.path,
        len(first.utterances),
        run.config.evaluate.confidence,
        against,
        policies,
        list(_Lines(run, sources, against).all()),
    )


class _Lines:
    """Makes the rows of a comparison out of all tables."""

    def __init__(self, run: RunFolder, sources: list[Source], against: str) -> None:
        """Look up what differences are taken from.

        Raises:
            InputError: If nothing is called so.
        """
        self._config, self._sources, self._against = run.config.evaluate, sources, against
        labels = {row.label: row for source in sources for row in source.tables}
        labels |= {row.short_label: row for row in list(labels.values())}
        labels |= {row.source: row for row in list(labels.values()) if row.source != POLICY}
        names = {row.policy for row in labels.values() if row.policy}
        self._one = labels.get(against)
        if self._one is None and against not in names:
            known = [*sorted(names), REGRESSOR, TOKENIZER, "'clone, expected distance'"]
            hint = did_you_mean(against, [*names, *labels])
            raise InputError(f"`against` must be one of {', '.join(known)}, got {against!r}{hint}")

    def all(self) -> Sequence[Line]:
        """Return every row once: of the run first, then of the experiments."""
        done: dict[Row, Line] = {}
        for source in self._sources:
            for row in source.tables:
                if row not in done and self._shown(row):
                    done[row] = self._line(row, source)
        return list(done.values())

    def _shown(self, row: Row) -> bool:
        if row.source != POLICY:
            return row.source in _BASELINES
        return row.decoding in DECODINGS and row.temperature is None

    def _line(self, row: Row, source: Source) -> Line:
        table = source.tables[row]
        return Line(
            row,
            source.reward,
            {key: self._mean(table[key]) for key in COLUMNS},
            self._differences(row, source),
        )

    def _differences(self, row: Row, source: Source) -> dict[str, Interval]:
        like = self._one or Row(POLICY, self._against, row.decoding) if row.policy else self._one
        if like is None or like == row:
            return {}
        found = next((s for s in (source, *self._sources) if like in s.tables), None)
        if found is None:
            return {}
        keys = [key for key in COLUMNS if key != CLIMBED or found.reward == source.reward]
        ours, theirs = source.tables[row], found.tables[like]
        return {key: self._change(theirs[key], ours[key]) for key in keys}

    def _mean(self, values: DoubleArray) -> Interval:
        defined = values[np.isfinite(values)]
        if not len(defined):
            return Interval(math.nan, math.nan, math.nan)
        return bootstrap_mean(
            defined, resamples=self._config.resamples, confidence=self._config.confidence
        )

    def _change(self, before: DoubleArray, after: DoubleArray) -> Interval:
        return paired_change(
            before, after, confidence=self._config.confidence, resamples=self._config.resamples
        )
