"""Figures of several seeds: errors per seed and utterance, differences, and what they tell."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from esarm_env.core.errors import InputError
from esarm_env.core.intervals import Interval, SeedResampler
from esarm_env.core.run_layout import ENERGY_FILE, PER_UTTERANCE_FILE
from esarm_env.task.episode_metrics import EVE, LVE
from train.rows import NOISY, OLD_LABELS, POLICY, REGRESSOR, Row, expected, sampled
from train.stages.measures import EVE_ENERGY, EVE_WITHOUT_LIDS, LVE_ENERGY

if TYPE_CHECKING:
    from esarm_env.core.types import DoubleArray
    from train.run.run_folder import RunFolder

ERRORS = (LVE, EVE, EVE_WITHOUT_LIDS)
ENERGIES = (LVE_ENERGY, EVE_ENERGY)
AT_BEST = "clone, sampled at its best temperature"  # which one it is may differ between seeds

# Figures by label of the row and by key, (S, N) each.
Tables = dict[str, dict[str, "DoubleArray"]]


@dataclass(frozen=True)
class Compared:
    """What a paired difference tells over seeds.

    Attributes:
        what: Label of the row.
        with_what: Label of what was taken off.
        key: The error.
        difference: Mean over seeds and utterances, with its interval.
        by_seed: Mean of each seed.
        improvement: Probability that a seed of the one has less error than a seed of the other.
    """

    what: str
    with_what: str
    key: str
    difference: Interval
    by_seed: list[float]
    improvement: Interval


def read_tables(runs: Sequence[RunFolder], name: str, keys: Sequence[str]) -> Tables:
    """Return the figures of every row that all runs have; none if a run lacks the file.

    Args:
        runs: Evaluated, of several seeds.
        name: `per_utterance.csv` or `energy_per_utterance.csv`.
        keys: Columns.

    Raises:
        InputError: If a file is damaged, or the runs were tested on different utterances.
    """
    files = [run.stage("evaluate") / name for run in runs]
    if not all(file.is_file() for file in files):  # evaluated by an older version
        return {}
    read = [read_figures(file, keys) for file in files]
    tested = [next(iter(rows.values()))[0] for rows in read]
    for run, utterances in zip(runs, tested, strict=True):
        if utterances != tested[0]:
            raise InputError(
                f"{run.path}: must be tested on the utterances of {runs[0].path}, got others; "
                "delete its folder `evaluate` and run it again"
            )
    for run, rows in zip(runs, read, strict=True):
        best = run.summary("evaluate").get("temperatures", {}).get("best", 1.0)
        label = sampled("clone", best).label
        if label in rows:
            rows[AT_BEST] = rows[label] if best == 1 else rows.pop(label)
    shared = [label for label in read[0] if all(label in rows for rows in read)]
    return {
        label: {key: np.stack([rows[label][1][key] for rows in read]) for key in keys}
        for label in shared
    }


def read_figures(
    file: Path, keys: Sequence[str]
) -> dict[str, tuple[list[str], dict[str, DoubleArray]]]:
    """Return utterances and figures of every row of a table, by its label.

    Raises:
        InputError: If the file is damaged.
    """
    rows: dict[str, tuple[list[str], dict[str, list[float]]]] = {}
    try:
        with file.open(newline="", encoding="utf-8") as opened:
            for line in csv.DictReader(opened):
                label = OLD_LABELS.get(line["row"], line["row"])
                names, figures = rows.setdefault(label, ([], {key: [] for key in keys}))
                names.append(line["utterance"])
                for key in keys:
                    figures[key].append(float(line[key]))
        if not rows or len({tuple(names) for names, _ in rows.values()} - {()}) == 0:
            raise ValueError("no rows")
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"{file}: must be a table of figures per utterance, got {error!r:.100}; delete the "
            "folder `evaluate` and run it again"
        ) from error
    return {
        label: (names, {key: np.array(values) for key, values in figures.items()})
        for label, (names, figures) in rows.items()
    }


def tables_of(runs: Sequence[RunFolder]) -> tuple[Tables, Tables]:
    """Return errors and energy scores of all rows."""
    return (
        read_tables(runs, PER_UTTERANCE_FILE, ERRORS),
        read_tables(runs, ENERGY_FILE, ENERGIES),
    )


def resampler_of(tables: Tables, runs: Sequence[RunFolder]) -> SeedResampler:
    """Return the hierarchical bootstrap of all figures of `tables`, so that they are paired."""
    one = next(iter(next(iter(tables.values())).values()))
    config = runs[0].config.evaluate
    return SeedResampler(
        len(runs), one.shape[1], resamples=config.resamples, confidence=config.confidence
    )


def pairs_of(labels: Sequence[str], *, energy: bool) -> list[tuple[str, str]]:
    """Return which row is compared with which.

    Every policy with the clone decoded the same way, with the clone by expected distance and with
    the regressor; in energy scores with the clone at temperature 1 and at its best.
    """
    pairs = []
    for label in labels:
        if label == AT_BEST:
            continue
        row = Row.from_label(label)
        if row.source != POLICY or row.policy == "clone" or row.decoding == NOISY:
            continue
        like = Row(POLICY, "clone", row.decoding).label
        baselines = (expected("clone").label, Row(REGRESSOR).label)
        others = (like, AT_BEST) if energy else (like, *baselines)
        pairs += [(label, other) for other in dict.fromkeys(others) if other in labels]
    return pairs


def compare(
    tables: Mapping[str, Mapping[str, DoubleArray]],
    pair: tuple[str, str],
    key: str,
    resampler: SeedResampler,
) -> Compared:
    """Return what the paired difference of two rows tells."""
    ours, theirs = (tables[label][key] for label in pair)
    return Compared(
        *pair,
        key,
        resampler.mean(ours - theirs),
        [float(mean) for mean in np.nanmean(ours - theirs, axis=1)],
        resampler.improvement(ours, theirs),
    )
