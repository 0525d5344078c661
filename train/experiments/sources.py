"""Tables that a comparison reads: of the run, of its experiments, and of policy files."""

from __future__ import annotations

import contextlib
import csv
import math
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from esarm_env.core.cache import read_json
from esarm_env.core.errors import InputError, one_line
from esarm_env.core.plugins import did_you_mean
from esarm_env.core.run_layout import (
    MEASURED_FOLDER,
    METRICS_FILE,
    PER_UTTERANCE_FILE,
    SUMMARY_FILE,
    is_finished,
)
from esarm_env.rewards.registry import WITH_MODEL
from esarm_env.task.episode_metrics import EVE, LVE
from train.experiments.folders import check_shared, experiments_of
from train.experiments.policy_files import IN_FILE, measured_file
from train.rows import Row
from train.run.run_folder import RunFolder
from train.run_report.verdict import climbs
from train.seeds.figures import read_figures
from train.stages.measures import CLIMBED

if TYPE_CHECKING:
    from esarm_env.core.types import DoubleArray

SCORE = "score"
COLUMNS = (LVE, EVE, SCORE, CLIMBED)
Table = dict[str, "DoubleArray"]


@dataclass(frozen=True)
class Policy:
    """One policy of the comparison, and how it came to be.

    Attributes:
        name: In all tables: an algorithm, an experiment, EXPERIMENT/ALGORITHM, or a file's.
        source: `run`, `experiment` or `file`.
        algorithm: That trained it; empty where that is not known.
        reward: By which it was watched while it was trained; empty where that is not known.
        climbs: Whether it learned from that reward; distillation may not.
        iterations: Of training; None where that is not known.
        kl: Divergence from the clone in nats per token, at the last iteration.
        wall_s: Of its training; of all of a run's algorithms where it was not noted for each.
        curve: Rows of `metrics.csv`.
    """

    name: str
    source: str
    algorithm: str = ""
    reward: str = ""
    climbs: bool = True
    iterations: int | None = None
    kl: float = math.nan
    wall_s: float = math.nan
    curve: list[dict[str, float]] = field(default_factory=list)


@dataclass
class Source:
    """Figures of one table on disk, and which of its policies are called how."""

    tables: dict[Row, Table]
    utterances: list[str]
    reward: str
    policies: list[Policy] = field(default_factory=list)


def of_run(run: RunFolder) -> list[Source]:
    """Return the run's own table; the climbed reward is the learned score where that is climbed."""
    with _told(run.path):
        reward = str(run.summary("improve").get("reward", WITH_MODEL))
        source = _read(run.stage("evaluate") / PER_UTTERANCE_FILE, reward)
        names = run.config.improve.algorithms
        source.policies = [
            _policy(run, name, name, source="run", reward=reward, shared=len(names))
            for name in names
        ]
    return [source]


@contextlib.contextmanager
def _told(folder: Path) -> Iterator[None]:
    """Turn what damaged files of a stage do to their reader into one line that names the folder."""
    try:
        yield
    except InputError:
        raise
    except (AttributeError, LookupError, OSError, TypeError, ValueError) as error:
        raise InputError(
            f"{folder}: its summaries and tables must be as they were written, got {error!r:.120}; "
            "delete the stage's folder and run it again"
        ) from error


def of_experiments(run: RunFolder, names: Sequence[str] | None) -> list[Source]:
    """Return a table for each experiment; one that cannot be read costs no other one."""
    known = experiments_of(run)
    for name in names or ():
        if name not in known:
            hint = did_you_mean(name, known)
            there = ", ".join(known) or "none"
            raise InputError(
                f"`names` must be experiments of {run.path} ({there}), got {name!r}{hint}; "
                f"`esarm improve --from {run.path} --as {name}` makes one"
            )
    sources = []
    for name in dict.fromkeys(known if names is None else names):
        try:
            with _told(known[name]):
                sources.append(_of_experiment(run, RunFolder.open(known[name]), name))
        except InputError as error:
            if names:
                raise
            warnings.warn(f"experiment {name!r} is left out: {one_line(error)}", stacklevel=3)
    return sources


def _of_experiment(run: RunFolder, experiment: RunFolder, name: str) -> Source:
    check_shared(run, experiment)
    if not is_finished(experiment.path, MEASURED_FOLDER):
        raise InputError(
            f"{experiment.path}: must be a finished experiment, got one that was interrupted; "
            f"`esarm improve --from {run.path} --as {name}` goes on with it"
        )
    folder = experiment.path / MEASURED_FOLDER
    summary = read_json(folder / SUMMARY_FILE, "a summary", remedy=f"delete {folder}")
    source = _read(folder / PER_UTTERANCE_FILE, str(summary.get("reward", "")))
    algorithms = experiment.config.improve.algorithms
    alone = len(algorithms) == 1
    called = {each: name if alone else f"{name}/{each}" for each in algorithms}
    source.tables = _renamed(source.tables, called)
    source.policies = [
        _policy(
            experiment,
            each,
            called[each],
            source="experiment",
            reward=source.reward,
            shared=len(algorithms),
        )
        for each in algorithms
    ]
    return source


def of_file(run: RunFolder, file: Path) -> Source:
    """Return the table of a policy file, measured at the first call.

    Raises:
        InputError: If it is none, or does not fit the run.
    """
    place, name = measured_file(run, file)
    folder = place / MEASURED_FOLDER
    summary = read_json(folder / SUMMARY_FILE, "a summary", remedy=f"delete {folder}")
    source = _read(folder / PER_UTTERANCE_FILE, str(summary.get("reward", "")))
    source.tables = _renamed(source.tables, {IN_FILE: name})
    source.policies = [Policy(name, "file")]
    return source


def _policy(
    run: RunFolder, algorithm: str, name: str, *, source: str, reward: str, shared: int
) -> Policy:
    """Return what is known of the training of one algorithm of a run or an experiment."""
    summary = run.summary("improve")
    last = summary.get(algorithm, {}).get("last", {})
    noted = summary.get(algorithm, {}).get("wall_s")
    wall_s = noted if noted is not None else summary["wall_s"] if shared == 1 else math.nan
    return Policy(
        name,
        source,
        algorithm,
        reward,
        climbs(run, algorithm),
        last.get("step"),
        float(last.get("kl", math.nan)),
        float(wall_s),
        _curve(run.stage("improve") / algorithm / METRICS_FILE),
    )


def _curve(file: Path) -> list[dict[str, float]]:
    """Return the rows of a `metrics.csv`; empty cells are left out.

    Raises:
        InputError: If it is damaged.
    """
    try:
        with file.open(newline="", encoding="utf-8") as opened:
            return [
                {key: float(value) for key, value in row.items() if value != ""}
                for row in csv.DictReader(opened)
            ]
    except (OSError, TypeError, ValueError, csv.Error) as error:
        raise InputError(
            f"{file}: must be a table of numbers, got {one_line(error)}; delete the stage's folder "
            "and run it again"
        ) from error


def _read(file: Path, reward: str) -> Source:
    """Return the rows of a table of figures per utterance."""
    with_climbed = _has_column(file, CLIMBED)
    keys = [key for key in COLUMNS if key != CLIMBED or with_climbed]
    read = read_figures(file, keys)
    tables, utterances = {}, next(iter(read.values()))[0]
    for label, (_, figures) in read.items():
        if not with_climbed:
            unknown = np.full(len(figures[SCORE]), np.nan)
            figures[CLIMBED] = figures[SCORE] if _is_learned(reward) else unknown
        tables[Row.from_label(label)] = figures
    return Source(tables, utterances, reward)


def _is_learned(reward: str) -> bool:
    return reward == WITH_MODEL


def _has_column(file: Path, name: str) -> bool:
    try:
        with file.open(newline="", encoding="utf-8") as opened:
            return name in next(csv.reader(opened), [])
    except (OSError, ValueError, csv.Error):
        return False  # said by who reads the whole of it


def _renamed(tables: dict[Row, Table], called: dict[str, str]) -> dict[Row, Table]:
    """Return the tables with the policies' names of the comparison."""
    return {
        Row(row.source, called.get(row.policy, row.policy), row.decoding, row.epsilon,
            row.temperature): table
        for row, table in tables.items()
    }  # fmt: skip
