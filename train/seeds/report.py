"""Report over seeds, `seeds.md` and `seeds.json`: intervals that cover other trainings, too."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from esarm_env.core.cache import write_text
from esarm_env.core.run_layout import SEEDS_FILE, SEEDS_PAGE
from esarm_env.metrics import variant_label
from esarm_env.task.episode_metrics import EVE, LVE
from train.rows import NOISY, Row
from train.run.run_folder import without_nan
from train.run_report.cells import ARROWS, cell, header
from train.seeds.figures import (
    AT_BEST,
    ENERGIES,
    ERRORS,
    Compared,
    Tables,
    compare,
    pairs_of,
    resampler_of,
    tables_of,
)
from train.seeds.folders import check_seeds
from train.stages.measures import EVE_ENERGY, LVE_ENERGY

if TYPE_CHECKING:
    from train.run.run_folder import RunFolder

_NAMES = {**ARROWS, LVE_ENERGY: "LVE energy score (mm) ↓", EVE_ENERGY: "EVE energy score (mm) ↓"}


def write_seeds_report(runs: Sequence[RunFolder]) -> Path:
    """Write the report over several seeds into the first run's folder; return its path.

    Raises:
        InputError: If they are not several seeds of one configuration, tested on the same
            utterances, or one of them is not evaluated.
    """
    check_seeds(runs)
    errors, energies = tables_of(runs)
    figures = {
        "seeds": [run.config.seed for run in runs],
        "runs": [str(run.path) for run in runs],
        "rows": _rows(errors, ERRORS, runs),
        "energy": _rows(energies, ENERGIES, runs),
        "differences": _compared(errors, ERRORS, runs, energy=False),
        "energy_differences": _compared(energies, ENERGIES, runs, energy=True),
    }
    path = runs[0].path
    text = json.dumps(without_nan(figures), indent=1, allow_nan=False)
    write_text(path / SEEDS_FILE, text + "\n")
    write_text(path / SEEDS_PAGE, _page(runs, without_nan(figures)))
    return path / SEEDS_PAGE


def _rows(tables: Tables, keys: Sequence[str], runs: Sequence[RunFolder]) -> list[dict[str, Any]]:
    """Return mean and interquartile mean of every row but noisy roll-outs."""
    if not tables:
        return []
    resampler = resampler_of(tables, runs)
    return [
        {
            "label": label,
            "mean": {key: list(resampler.mean(tables[label][key])) for key in keys},
            "iqm": {key: list(resampler.interquartile_mean(tables[label][key])) for key in keys},
        }
        for label in tables
        if label == AT_BEST or Row.from_label(label).decoding != NOISY
    ]


def _compared(
    tables: Tables, keys: Sequence[str], runs: Sequence[RunFolder], *, energy: bool
) -> list[dict[str, Any]]:
    if not tables:
        return []
    resampler = resampler_of(tables, runs)
    found: list[Compared] = [
        compare(tables, pair, key, resampler)
        for pair in pairs_of(list(tables), energy=energy)
        for key in keys
    ]
    return [dataclasses.asdict(each) for each in found]


def _page(runs: Sequence[RunFolder], figures: dict[str, Any]) -> str:
    seeds = ", ".join(map(str, figures["seeds"]))
    share = round(100 * runs[0].config.evaluate.confidence)
    lines = [
        f"# ESARM run `{runs[0].path.name}`, seeds {seeds}",
        "",
        f"Brackets are {share} % intervals by a hierarchical bootstrap: seeds of training are "
        "drawn, and utterances for all of them together. With few seeds they are coarse. IQM is "
        "the interquartile mean over seeds and utterances; the probability of improvement is that "
        "of a seed of the first against a seed of the second, mean over utterances (Agarwal et al. "
        "2021).",
        "",
        f"- {variant_label('lips')}",
        f"- {variant_label('upper')}",
        "",
        "## Results",
        "",
        *_table(figures["rows"], (LVE, EVE)),
        "",
        "## Differences",
        "",
        *_differences(figures["differences"]),
    ]
    if figures["energy"]:
        lines += ["", "## Energy scores of sampled animations", ""]
        lines += _table(figures["energy"], ENERGIES)
        lines += ["", *_differences(figures["energy_differences"])]
    lines += ["", "## Runs", ""]
    lines += [f"- seed {run.config.seed}: `{run.path}`" for run in runs]
    return "\n".join(lines) + "\n"


def _table(rows: list[dict[str, Any]], keys: Sequence[str]) -> list[str]:
    titles = [f"{_NAMES[key]}{kind}" for key in keys for kind in ("", ", IQM")]
    lines = [header("animation", titles)]
    for row in rows:
        cells = [cell(row[kind][key], digits=3) for key in keys for kind in ("mean", "iqm")]
        lines.append(f"| {row['label']} | " + " | ".join(cells) + " |")
    return lines


def _differences(compared: list[dict[str, Any]]) -> list[str]:
    lines = [header("difference", ["of", "mean", "each seed", "probability of improvement"])]
    for each in compared:
        seeds = ", ".join("n/a" if mean is None else f"{mean:+.3f}" for mean in each["by_seed"])
        lines.append(
            f"| {each['what']}, minus {each['with_what']} | {_NAMES[each['key']]} "
            f"| {cell(each['difference'], digits=3)} | {seeds} | {cell(each['improvement'])} |"
        )
    return lines
