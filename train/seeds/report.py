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
from train.rows import NOISY, Row
from train.run.run_folder import without_nan
from train.run_report.cells import ARROWS, cell, header, told
from train.run_report.verdict import best_row
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
    parts = [
        f"# ESARM run `{runs[0].path.name}`, seeds {seeds}",
        "## In short",
        *_verdict(runs, figures["differences"]),
        _explained(runs),
        f"- {variant_label('lips')}\n- {variant_label('upper')}",
        "## Results",
        "Errors in mm, less is better.",
        *_tables(figures["rows"], ERRORS),
        "## Differences",
        "Of the first minus the second, in mm, paired per seed and utterance; negative is better.",
        *_differences(figures["differences"], ERRORS),
    ]
    if figures["energy"]:
        parts += [
            "## Energy scores of sampled animations",
            "In mm, less is better; samples that merely vary less gain nothing here.",
            *_tables(figures["energy"], ENERGIES),
            "### Differences in energy scores",
            *_differences(figures["energy_differences"], ENERGIES),
        ]
    lines = [f"- seed {run.config.seed}: `{run.path}`" for run in runs]
    return "\n\n".join([*parts, "## Runs", "\n".join(lines)]) + "\n"


def _explained(runs: Sequence[RunFolder]) -> str:
    """Return what intervals, means and probabilities are."""
    share = round(100 * runs[0].config.evaluate.confidence)
    return (
        f"Brackets are {share} % intervals by a hierarchical bootstrap: seeds of training are "
        "drawn, and utterances for all of them together. With few seeds they are coarse. IQM is "
        "the interquartile mean over seeds and utterances; the probability of improvement is that "
        "of a seed of the first against a seed of the second, mean over utterances (Agarwal et al. "
        "2021)."
    )


def _verdict(runs: Sequence[RunFolder], compared: list[dict[str, Any]]) -> list[str]:
    """Say which policy is best on validation in most seeds, and what it is beside the others."""
    found = [row.label for row in map(best_row, runs) if row is not None]
    if not found:
        return ["The version that trained these runs did not note the best policies on validation."]
    best = max(dict.fromkeys(found), key=found.count)
    said = [
        f"**Best policy on validation: {best}, in {found.count(best)} of {len(runs)} seeds.** "
        "On the test utterances, over all seeds:"
    ]
    others = dict.fromkeys(each["with_what"] for each in compared if each["what"] == best)
    for other in others:
        figures = {
            each["key"]: each["difference"]
            for each in compared
            if (each["what"], each["with_what"]) == (best, other)
        }
        said.append(f"- against {other}: {told(figures)}")
    if not others:
        said.append(f"- nothing is compared with {best}, from which the others were trained")
    return ["\n".join([said[0], "", *said[1:]])]


def _tables(rows: list[dict[str, Any]], keys: Sequence[str]) -> list[str]:
    """Return a table for each error: mean and interquartile mean of every animation."""
    tables = []
    for key in keys:
        lines = [f"**{_NAMES[key]}**", "", header("animation", ("mean", "IQM"))]
        for row in rows:
            cells = [cell(row[kind][key], digits=3) for kind in ("mean", "iqm")]
            lines.append(f"| {row['label']} | " + " | ".join(cells) + " |")
        tables.append("\n".join(lines))
    return tables


def _differences(compared: list[dict[str, Any]], keys: Sequence[str]) -> list[str]:
    """Return a table for each error: every comparison, with the mean of each seed."""
    titles = ["mean", "each seed", "probability of improvement"]
    tables = []
    for key in keys:
        lines = [f"**{_NAMES[key]}**", "", header("difference", titles)]
        for each in (each for each in compared if each["key"] == key):
            seeds = ", ".join("n/a" if mean is None else f"{mean:+.3f}" for mean in each["by_seed"])
            lines.append(
                f"| {each['what']}, minus {each['with_what']} "
                f"| {cell(each['difference'], digits=3)} | {seeds} | {cell(each['improvement'])} |"
            )
        tables.append("\n".join(lines))
    return tables
