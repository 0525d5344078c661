"""True errors of a run's noisy roll-outs and of damage to them, measured once and kept as CSV.

| file | holds, in mm |
|---|---|
| `noise.csv` | every roll-out of a test utterance, by noise level |
| `corruptions/FAMILY.csv` | the roll-outs of least noise, damaged, by strength; 0 is undamaged |

Each file is there completely or not at all, so that an interrupted measurement goes on by file.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from agents.rollout.animation import roll_out_with
from agents.weights import load_policy
from esarm_env.core.cache import file_digest
from esarm_env.core.errors import InputError
from esarm_env.core.run_layout import DEMONSTRATIONS_FILE, POLICY_FILE
from esarm_env.task.opening import open_task
from reward.demonstrations import load_demonstrations
from reward.demonstrations.audit import errors_of
from reward.demonstrations.corruptions import FAMILIES, Donors, family_named
from reward.demonstrations.damage import damage_rows
from train.run.kept_settings import keep_settings
from train.run.loop import progress_track, write_rows
from train.stages.demonstrate import evenly
from train.tables.table2.noise import ERRORS

if TYPE_CHECKING:
    from esarm_env.core.types import DoubleArray
    from esarm_env.task.animation_task import AnimationTask
    from reward.demonstrations import RankedDemonstrations
    from train.run.run_folder import RunFolder

NOISE_FILE, CORRUPTIONS = "noise.csv", "corruptions"
STRENGTHS = (0.25, 0.5, 1.0)

# Errors by level, each by name, (N, R): utterances and roll-outs.
Levels = dict[float, dict[str, "DoubleArray"]]


@dataclass(frozen=True)
class NoiseMeasures:
    """What was measured of one run.

    Attributes:
        noise: By noise level, of all test utterances.
        corruptions: By family, then by strength, of some of them; nan where it cannot act. Families
            that can act on none are left out.
        damaged: Names of the utterances that were damaged, (N,).
    """

    noise: Levels
    corruptions: dict[str, Levels]
    damaged: tuple[str, ...]


def measure_noise(run: RunFolder, folder: Path, *, utterances: int) -> NoiseMeasures:
    """Return the errors of noise and damage, from `folder` as far as they are there.

    Args:
        run: With the stages up to `demonstrate`.
        folder: Where they are kept.
        utterances: So many test utterances are damaged, evenly spaced; 0 means all.

    Raises:
        InputError: If a stage is missing, or `folder` holds measurements of something else.
    """
    file = run.stage("demonstrate") / DEMONSTRATIONS_FILE
    settings: dict[str, Any] = {
        "demonstrations": file_digest(file),
        "utterances": utterances,
        "strengths": list(STRENGTHS),
    }
    keep_settings(
        folder,
        settings,
        what="measurements",
        remedy="choose another --out, or delete this folder",
    )
    wanted = [folder / NOISE_FILE, *(_corruption_file(folder, name) for name in FAMILIES)]
    if not all(each.is_file() for each in wanted):
        _measure(run, folder, load_demonstrations(file), utterances=utterances)
    corruptions = {name: _read(_corruption_file(folder, name)) for name in FAMILIES}
    names = next(names for names, _ in corruptions.values())
    return NoiseMeasures(
        _read(folder / NOISE_FILE)[1],
        {name: levels for name, (_, levels) in corruptions.items() if _acts(levels)},
        names,
    )


def _acts(levels: Levels) -> bool:
    """Return whether a family could act on anything; whatever was never captured is nan anyway."""
    undamaged, *damaged = (levels[level] for level in sorted(levels))
    known = [name for name in ERRORS if np.isfinite(undamaged[name]).any()]
    return any(np.isfinite(each[name]).any() for each in damaged for name in known)


def _measure(
    run: RunFolder, folder: Path, demonstrations: RankedDemonstrations, *, utterances: int
) -> None:
    """Write the files that are not there."""
    task = open_task(run.path)
    test = task.corpus.split("test")
    shown = demonstrations[np.isin(demonstrations.utterance, test) & demonstrations.roll_outs]
    if not (folder / NOISE_FILE).is_file():
        write_rows(_noise_rows(shown, task), folder / NOISE_FILE)
    damage = _Damage(run, task, shown[np.isin(shown.utterance, evenly(test, utterances))])
    with progress_track(f"Damage, seed {run.config.seed}", len(FAMILIES)) as bar:
        for name in FAMILIES:
            if not (file := _corruption_file(folder, name)).is_file():
                write_rows(damage.rows(name), file)
            bar.advance(bar.task_ids[0])


def _noise_rows(shown: RankedDemonstrations, task: AnimationTask) -> list[dict[str, Any]]:
    errors = errors_of(shown, task)
    # Levels are kept in single precision: six digits are the number that was asked for.
    return [
        {
            "level": f"{shown.epsilon[row]:g}",
            "utterance": task.corpus.records[int(shown.utterance[row])].id,
            **{name: float(errors[name][row]) for name in ERRORS},
        }
        for row in range(len(shown))
    ]


class _Damage:
    """Damages the roll-outs of least noise, one of each utterance."""

    def __init__(self, run: RunFolder, task: AnimationTask, shown: RankedDemonstrations) -> None:
        self._task, self._shown, self._seed = task, shown, run.config.seed
        clone = load_policy(run.stage("clone") / POLICY_FILE)
        self._roll_out, self._donors = roll_out_with(clone, task), Donors(task)
        least = np.flatnonzero(shown.epsilon == shown.levels[0])
        self._base = least[np.unique(shown.utterance[least], return_index=True)[1]]
        self._undamaged = errors_of(shown[self._base], task)

    def rows(self, name: str) -> list[dict[str, Any]]:
        """Return a row for every strength and utterance, nan where the family cannot act."""
        made = damage_rows(
            self._shown,
            self._base,
            self._donors,
            family=family_named(name),
            strengths=STRENGTHS,
            seed=self._seed,
            roll_out=self._roll_out,
            own_donors=False,
        )
        errors = errors_of(made, self._task) if len(made) else {}
        places = {
            (float(f"{strength:g}"), int(utterance)): place
            for place, (strength, utterance) in enumerate(
                zip(made.making.strength, made.utterance, strict=True)
            )
        }
        rows = []
        for strength in (0.0, *STRENGTHS):
            for number, utterance in enumerate(self._shown.utterance[self._base]):
                found = places.get((strength, int(utterance)))
                figures = {
                    error: float(self._undamaged[error][number])
                    if strength == 0
                    else float("nan")
                    if found is None
                    else float(errors[error][found])
                    for error in ERRORS
                }
                record = self._task.corpus.records[int(utterance)]
                rows.append({"level": f"{strength:g}", "utterance": record.id, **figures})
        return rows


def _corruption_file(folder: Path, name: str) -> Path:
    return folder / CORRUPTIONS / f"{name}.csv"


def _read(file: Path) -> tuple[tuple[str, ...], Levels]:
    """Return the utterances of a table, and its errors by level.

    Raises:
        InputError: If it is damaged.
    """
    found: dict[float, dict[str, list[list[float]]]] = {}
    try:
        with file.open(newline="", encoding="utf-8") as opened:
            for line in csv.DictReader(opened):
                by_utterance = found.setdefault(float(line["level"]), {})
                by_utterance.setdefault(line["utterance"], []).append(
                    [float(line[name]) for name in ERRORS]
                )
        names = tuple(next(iter(found.values())))
        levels = {level: _stacked(by_name, names) for level, by_name in found.items()}
    except (OSError, KeyError, TypeError, ValueError, StopIteration) as error:
        raise InputError(
            f"{file}: must be a table of errors by level, got {error!r:.100}; delete it to measure "
            "it again"
        ) from error
    return names, levels


def _stacked(by_name: dict[str, list[list[float]]], names: Sequence[str]) -> dict[str, DoubleArray]:
    values = np.array([by_name[name] for name in names], dtype=np.float64)  # (N, R, errors)
    return {error: values[..., number] for number, error in enumerate(ERRORS)}
