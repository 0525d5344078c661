"""`esarm table2`: the paper's Table II over runs, and what it lacks: other damage, label validity.

Runs of one corpus are its seeds. Noise and policies are read from their stage `evaluate`; damage
and single roll-outs are measured here (`train.tables.table2.measures`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from esarm_env.core.errors import InputError
from esarm_env.core.run_layout import PER_UTTERANCE_FILE
from esarm_env.task.episode_metrics import EVE, LVE
from reward.demonstrations.corruptions import FAMILIES
from train.rows import NOISY, POLICY, Row
from train.run.config import to_dict
from train.run.run_folder import RunFolder, differences
from train.seeds.figures import AT_BEST, Tables, read_tables
from train.stages.measures import EVE_WITHOUT_LIDS
from train.tables.table2.measures import Levels, NoiseMeasures, measure_noise
from train.tables.table2.noise import (
    ERRORS,
    LabelCell,
    Ladder,
    Spread,
    label_cells,
    ladder,
    paper_column,
)

if TYPE_CHECKING:
    from esarm_env.core.intervals import Interval

COLUMNS = (LVE, EVE, EVE_WITHOUT_LIDS)
EPSILON = "epsilon"


@dataclass(frozen=True)
class Damaged:
    """One family of damage at one strength.

    Attributes:
        family: Its name.
        strength: Above 0, at most 1.
        errors: Mean errors by name.
        more: Paired differences from the undamaged animations.
    """

    family: str
    strength: float
    errors: dict[str, Interval]
    more: dict[str, Interval]


@dataclass(frozen=True)
class CorpusNoise:
    """All that is told of one corpus.

    Attributes:
        name: Of the corpus.
        paper: The paper's column that it is read beside; empty for none.
        runs: Its seeds.
        apart: Settings beside `seed` in which they differ.
        n_utterances: Tested on.
        n_damaged: Of these, damaged.
        ladders: By error.
        policies: Errors of every other row with a policy, by its label.
        labels: How often the order of two levels is true.
        damaged: By family and strength.
        unable: Families that could act on nothing.
    """

    name: str
    paper: str
    runs: tuple[RunFolder, ...]
    apart: tuple[str, ...]
    n_utterances: int
    n_damaged: int
    ladders: dict[str, Ladder]
    policies: dict[str, dict[str, Interval]]
    labels: tuple[LabelCell, ...]
    damaged: tuple[Damaged, ...]
    unable: tuple[str, ...]


def collect_noise(paths: Sequence[Path], folder: Path, *, utterances: int) -> list[CorpusNoise]:
    """Return what noise and damage do on every corpus of some runs.

    Args:
        paths: Finished runs, several seeds and several corpora.
        folder: Keeps what is measured, a folder for each run.
        utterances: So many test utterances are damaged; 0 means all.

    Raises:
        InputError: If there is no run, one is not finished, or two of a corpus have one seed.
    """
    if not paths:
        raise InputError("`runs` must be at least 1 finished run, got none")
    if utterances < 0:
        raise InputError(f"`utterances` must be at least 0, got {utterances}")
    groups: dict[str, list[RunFolder]] = {}
    for path in paths:
        run = RunFolder.open(path)
        for stage in ("demonstrate", "evaluate"):
            run.stage(stage)
        groups.setdefault(str(run.summary("corpus").get("content_hash")), []).append(run)
    names = _names(groups)
    for runs in groups.values():
        _check(runs)
    return [
        _of_corpus(names[key], runs, folder, utterances=utterances) for key, runs in groups.items()
    ]


def _check(runs: Sequence[RunFolder]) -> None:
    """Refuse two runs of a corpus with one seed, and runs without a ladder of noise in common."""
    seeds = [run.config.seed for run in runs]
    if len(set(seeds)) < len(seeds):
        said = ", ".join(f"{run.path}: {run.config.seed}" for run in runs)
        raise InputError(
            f"`runs` of one corpus must have different seeds, since one that repeats is no further "
            f"evidence, got {said}"
        )
    shared = set.intersection(*(set(run.config.demonstrate.epsilons) for run in runs))
    if len(shared) < 2:
        raise InputError(
            "`runs` of one corpus must share at least 2 noise levels (`demonstrate.epsilons`), got "
            f"{sorted(shared)}"
        )


def _names(groups: dict[str, list[RunFolder]]) -> dict[str, str]:
    """Return a short name of each corpus, numbered where two would have one."""
    names: dict[str, str] = {}
    for key, runs in groups.items():
        plain = Path(runs[0].config.corpus.name).name or "corpus"
        taken = [
            name for name in names.values() if re.fullmatch(rf"{re.escape(plain)}(-\d+)?", name)
        ]
        names[key] = f"{plain}-{len(taken) + 1}" if taken else plain
    return names


def _of_corpus(
    name: str, runs: Sequence[RunFolder], folder: Path, *, utterances: int
) -> CorpusNoise:
    tables = read_tables(runs, PER_UTTERANCE_FILE, COLUMNS)
    measured = [
        measure_noise(run, folder / f"{name}-seed-{run.config.seed}", utterances=utterances)
        for run in runs
    ]
    spread = _spread(runs, next(iter(tables.values()))[LVE].shape[1])
    few = _spread(runs, len(measured[0].damaged))
    first = to_dict(runs[0].config)
    apart = {key for run in runs[1:] for key in differences(first, to_dict(run.config))}
    corruptions = _shared_corruptions(measured)
    unable = set(FAMILIES) - set(corruptions)
    labels = label_cells(EPSILON, _joined([each.noise for each in measured]), spread)
    for family, levels in corruptions.items():
        labels += label_cells(family, levels, few)
    return CorpusNoise(
        name=name,
        paper=paper_column(runs[0].config.corpus.name, runs[0].config.corpus.layout),
        runs=tuple(runs),
        apart=tuple(sorted(apart - {"seed"})),
        n_utterances=next(iter(tables.values()))[LVE].shape[1],
        n_damaged=len(measured[0].damaged),
        ladders=_ladders(tables, spread),
        policies=_policies(tables, spread),
        labels=tuple(labels),
        damaged=tuple(_damaged(corruptions, few)),
        unable=tuple(sorted(unable)),
    )


def _spread(runs: Sequence[RunFolder], n_utterances: int) -> Spread:
    config = runs[0].config.evaluate
    return Spread(len(runs), n_utterances, resamples=config.resamples, confidence=config.confidence)


def _joined(measured: Sequence[Levels]) -> Levels:
    """Return the errors of the levels that all runs have, (S, N, R) each."""
    shared = [level for level in measured[0] if all(level in levels for levels in measured)]
    return {
        level: {error: np.stack([levels[level][error] for levels in measured]) for error in ERRORS}
        for level in shared
    }


def _shared_corruptions(measured: Sequence[NoiseMeasures]) -> dict[str, Levels]:
    """Return the errors of the families that act in all runs, by strength."""
    return {
        family: _joined([each.corruptions[family] for each in measured])
        for family in measured[0].corruptions
        if all(family in each.corruptions for each in measured)
    }


def _ladders(tables: Tables, spread: Spread) -> dict[str, Ladder]:
    """Return what each error does over the noise levels."""
    levels: dict[float, str] = {}
    for label in tables:
        row = None if label == AT_BEST else Row.from_label(label)
        if row is not None and row.decoding == NOISY and row.epsilon is not None:
            levels[row.epsilon] = label
    return {
        error: ladder({level: tables[label][error] for level, label in levels.items()}, spread)
        for error in COLUMNS
    }


def _policies(tables: Tables, spread: Spread) -> dict[str, dict[str, Interval]]:
    """Return the errors of the policies that no noise was added to."""
    return {
        label: {error: spread.mean(figures[error]) for error in COLUMNS}
        for label, figures in tables.items()
        if label == AT_BEST or _is_quiet(Row.from_label(label))
    }


def _is_quiet(row: Row) -> bool:
    return row.source == POLICY and row.decoding != NOISY


def _damaged(corruptions: dict[str, Levels], spread: Spread) -> list[Damaged]:
    found = []
    for family, levels in corruptions.items():
        undamaged, *strengths = sorted(levels)
        means = {
            level: {error: values.mean(axis=-1) for error, values in errors.items()}
            for level, errors in levels.items()
        }
        for strength in strengths:
            worse, base = means[strength], means[undamaged]
            found.append(
                Damaged(
                    family,
                    strength,
                    {error: spread.mean(worse[error]) for error in ERRORS},
                    {error: spread.mean(worse[error] - base[error]) for error in ERRORS},
                )
            )
    return found
