"""Sections of sampled animations: energy scores, temperatures, and the order of intensities.

A lower temperature lowers the mean error of samples without any training. The energy score, which
is proper, is lowered by it only where the clone's own spread is too wide; so it stands beside.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from esarm_env.metrics import INTENSITY_ORDER
from esarm_env.metrics.variant import DIRECTIONS
from train.rows import rows_from_json, sampled
from train.run_report.cells import header, line
from train.stages.measures import (
    EVE_ENERGY,
    INTENSITY,
    LVE_ENERGY,
    energy_quantities,
    sample_quantities,
)

if TYPE_CHECKING:
    from esarm_env.metrics import Quantity
    from train.rows import Row
    from train.run.run_folder import RunFolder


# A table each: what the samples are worth, and what that is made of.
_TABLES = {
    "Scores": (LVE_ENERGY, EVE_ENERGY),
    "Errors of the same samples": ("lve_of_samples", "eve_of_samples"),
    "Spread of the same samples": ("lve_spread", "eve_spread", "diversity"),
}


def energy_section(run: RunFolder, results: Mapping[str, Any]) -> list[str]:
    """Return the energy scores of sampled animations; nothing where an older version evaluated."""
    if "energy" not in results:
        return []
    quantities = energy_quantities(run.config.evaluate) | sample_quantities(run.config.evaluate)
    rows = _labelled(results)
    parts = ["## Energy scores of sampled animations", _intro(results)]
    for what, keys in _TABLES.items():
        shown = [key for key in keys if any(key in figures for _, figures in rows)]
        if not shown:
            continue
        titles = [f"{quantities[key].name} ({quantities[key].unit}) {_arrow(quantities[key])}"
                  for key in shown]  # fmt: skip
        table = [header("animation", map(str.rstrip, titles))]
        table += [line(label, figures, shown, digits=3) for label, figures in rows]
        defined = [f"- {quantities[key].heading}" for key in shown]
        parts += [f"### {what}", "\n".join(defined), "\n".join(table)]
    return ["\n\n".join([*parts, *_temperatures(run, results)])]


def _arrow(quantity: Quantity) -> str:
    return DIRECTIONS[quantity.better]


def _labelled(results: Mapping[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """Return figures of the rows, then their differences from the clone's, by label."""
    rows = [(row.label, figures) for row, figures in rows_from_json(results["energy"]).items()]
    rows += [
        (f"{row.label}, minus the clone's", figures)
        for row, figures in rows_from_json(results.get("energy_against_clone", [])).items()
    ]
    best = _best(results)
    if best is not None and best != sampled("clone"):
        at = f"the clone's at its best temperature ({best.temperature:g})"
        rows += [
            (f"{row.label}, minus {at}", figures)
            for row, figures in rows_from_json(results["energy_against_best"]).items()
        ]
    return rows


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


def _temperatures(run: RunFolder, results: Mapping[str, Any]) -> list[str]:
    """Return what the clone's temperatures are worth on validation."""
    best = _best(results)
    if best is None:
        return []
    found, columns = results["temperatures"], energy_quantities(run.config.evaluate)
    titles = [f"{each.name} ({each.unit}) {_arrow(each)}" for each in columns.values()]
    lines = [header("on validation", titles)]
    rows = rows_from_json(found["rows"])
    lines += [line(row.label, figures, columns, digits=3) for row, figures in rows.items()]
    said = (
        f"The best temperature of the clone is chosen on {found['utterances']} validation "
        "utterances, by the mean of both scores in units of those at temperature 1: "
        f"{1 if best.temperature is None else best.temperature:g}."
    )
    return ["### Temperatures of the clone", said, "\n".join(lines)]


def intensity_section(results: Mapping[str, Any]) -> list[str]:
    """Return how often a stronger emotion looks stronger; nothing where that was not measured."""
    if not results.get("intensity"):
        return []
    lines = [
        "## Intensity of emotions",
        "",
        f"I{INTENSITY_ORDER.heading[1:]}. A policy animates each utterance at all three "
        "intensities; recordings that differ in nothing else are rare, so theirs may differ in "
        f"the sentence. Guessing is right in 1 of 6, {1 / 6:.2f}.",
        "",
        header("animation", [f"{INTENSITY_ORDER.name} ↑"]),
    ]
    lines += [
        line(row.label, figures, [INTENSITY])
        for row, figures in rows_from_json(results["intensity"]).items()
    ]
    return ["\n".join(lines)]
