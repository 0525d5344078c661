"""Sections of sampled animations: energy scores, temperatures, and the order of intensities.

A lower temperature lowers the mean error of samples without any training. The energy score, which
is proper, is lowered by it only where the clone's own spread is too wide; so it stands beside.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from esarm_env.metrics import INTENSITY_ORDER
from train.rows import rows_from_json, sampled
from train.run_report.cells import header, line
from train.stages.measures import INTENSITY, energy_quantities, sample_quantities

if TYPE_CHECKING:
    from train.rows import Row
    from train.run.run_folder import RunFolder


def energy_section(run: RunFolder, results: Mapping[str, Any]) -> list[str]:
    """Return the energy scores of sampled animations; nothing where an older version evaluated."""
    if "energy" not in results:
        return []
    scores = energy_quantities(run.config.evaluate)
    rows = rows_from_json(results["energy"])
    parts = sample_quantities(run.config.evaluate)
    shown = [key for key in parts if any(key in figures for figures in rows.values())]
    columns = scores | {key: parts[key] for key in shown}
    lines = [
        "## Energy scores of sampled animations",
        "",
        _intro(results),
        "",
        header("animation", (q.heading for q in columns.values())),
        *(line(row.label, figures, columns, digits=3) for row, figures in rows.items()),
    ]
    differences = [
        (row, "the clone's", figures)
        for row, figures in rows_from_json(results.get("energy_against_clone", [])).items()
    ]
    best = _best(results)
    if best is not None and best != sampled("clone"):
        differences += [
            (row, f"the clone's at its best temperature ({best.temperature:g})", figures)
            for row, figures in rows_from_json(results["energy_against_best"]).items()
        ]
    lines += [
        line(f"{row.label}, minus {what}", figures, columns, digits=3)
        for row, what, figures in differences
    ]
    return ["\n".join([*lines, *_temperatures(run, results, best)])]


def _intro(results: Mapping[str, Any]) -> str:
    """Say what energy scores tell, and of how many utterances; older versions did not note that."""
    said = "Samples nearer each other have a lower error and gain nothing here."
    if "energy_utterances" not in results:
        return said
    return (
        f"{said} Of {results['energy_utterances']} of the {results['utterances']} test utterances; "
        "differences are paired per utterance, and negative ones better."
    )


def _best(results: Mapping[str, Any]) -> Row | None:
    """Return the row of the clone at its best temperature; None where none was looked for."""
    found = results.get("temperatures", {})
    return sampled("clone", found["best"]) if found.get("rows") else None


def _temperatures(run: RunFolder, results: Mapping[str, Any], best: Row | None) -> list[str]:
    """Return what the clone's temperatures are worth on validation."""
    if best is None:
        return []
    found, columns = results["temperatures"], energy_quantities(run.config.evaluate)
    lines = [
        "",
        f"The best temperature of the clone is chosen on {found['utterances']} validation "
        "utterances, by the mean of both scores in units of those at temperature 1: "
        f"{1 if best.temperature is None else best.temperature:g}.",
        "",
        header("on validation", (q.heading for q in columns.values())),
    ]
    rows = rows_from_json(found["rows"])
    return lines + [line(row.label, figures, columns, digits=3) for row, figures in rows.items()]


def intensity_section(results: Mapping[str, Any]) -> list[str]:
    """Return how often a stronger emotion looks stronger; nothing where that was not measured."""
    if not results.get("intensity"):
        return []
    lines = ["## Intensity of emotions", "", header("animation", [INTENSITY_ORDER.heading])]
    lines += [
        line(row.label, figures, [INTENSITY])
        for row, figures in rows_from_json(results["intensity"]).items()
    ]
    return ["\n".join(lines)]
