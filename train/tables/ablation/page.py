"""Page of `esarm ablate`: `ablation.md`, `.csv` and `.json`."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from esarm_env.core.cache import write_text
from esarm_env.core.intervals import UNKNOWN, Interval
from esarm_env.metrics import variant_label
from esarm_env.task.episode_metrics import EVE, LVE
from train.rows import DECODINGS, EXPECTED, GREEDY, SAMPLED, TOKENIZER
from train.run.loop import write_rows
from train.run.run_folder import without_nan
from train.run_report.cells import cell, header
from train.stages.measures import EVE_ENERGY, EVE_WITHOUT_LIDS, LVE_ENERGY
from train.tables.ablation.measures import CLOSURE, ENERGIES, FDD, FIGURES
from train.tables.ablation.variants import THE_RUN, UNCHANGED, Variant
from train.tables.table2.noise import Spread

if TYPE_CHECKING:
    from esarm_env.core.types import DoubleArray
    from train.tables.ablation.ablate import Ablation

NAME = "ablation"
_TITLES = {
    LVE: "LVE (mm) ↓",
    EVE: "EVE (mm) ↓",
    EVE_WITHOUT_LIDS: "EVE without eyelids (mm) ↓",
    LVE_ENERGY: "LVE energy (mm) ↓",
    EVE_ENERGY: "EVE energy (mm) ↓",
    FDD: "FDD (mm²) ↓",
    CLOSURE: "closure F1 ↑",
}


@dataclass(frozen=True)
class Worth:
    """One figure of a variant.

    Attributes:
        decoding: Of its animations.
        key: Of `FIGURES` or `ENERGIES`.
        value: Its mean, over the seeds that there are.
        difference: Paired difference from the unchanged run, decoded as `against`.
        against: Decoding of the unchanged run's animations.
    """

    decoding: str
    key: str
    value: Interval
    difference: Interval
    against: str


def reference_of(variant: Variant, decoding: str) -> str:
    """Return which decoding of the unchanged run one of a variant's is held against.

    The same, but for a variant that is a decoding: it is held against what the run is decoded by.
    """
    return EXPECTED if variant.decoding == GREEDY == decoding else decoding


def worth_of(made: Ablation, variant: Variant) -> list[Worth]:
    """Return all figures of a variant; none where it has no cell."""
    cells = made.cells.get(variant.name, {})
    if not cells:
        return []
    base = made.cells[UNCHANGED]
    seeds = [seed for seed in cells if seed in base]
    found = []
    decodings = [d for d in (*DECODINGS, TOKENIZER) if all(d in cells[s].figures for s in seeds)]
    for decoding in decodings:
        against = reference_of(variant, decoding)
        for key in FIGURES:
            ours = [cells[seed].figures[decoding][key] for seed in seeds]
            theirs = [base[seed].figures.get(against, {}).get(key) for seed in seeds]
            found.append(_worth(made, decoding, key, ours, theirs, against))
    if all(cells[seed].energy for seed in seeds):
        for key in ENERGIES:
            ours = [cells[seed].energy[key] for seed in seeds]
            theirs = [base[seed].energy.get(key) for seed in seeds]
            found.append(_worth(made, SAMPLED, key, ours, theirs, SAMPLED))
    return found


def _worth(
    made: Ablation,
    decoding: str,
    key: str,
    ours: Sequence[DoubleArray],
    theirs: Sequence[DoubleArray | None],
    against: str,
) -> Worth:
    config = next(iter(made.bases.values())).config.evaluate
    values = np.stack(ours)
    spread = Spread(*values.shape, resamples=config.resamples, confidence=config.confidence)
    known = [each for each in theirs if each is not None]
    paired = len(known) == len(ours)
    difference = spread.mean(values - np.stack(known)) if paired else UNKNOWN
    return Worth(decoding, key, spread.mean(values), difference, against)


def write_ablation(made: Ablation, folder: Path) -> Path:
    """Write page, table and figures into `folder`; return the path of the page."""
    worth = {v.name: worth_of(made, v) for v in (THE_RUN, *made.variants)}
    figures = _figures(made, worth)
    write_text(folder / f"{NAME}.json", json.dumps(figures, indent=1, allow_nan=False) + "\n")
    write_rows(list(_rows(made, worth)), folder / f"{NAME}.csv")
    write_text(folder / f"{NAME}.md", "\n".join(_page(made, worth)) + "\n")
    return folder / f"{NAME}.md"


def _figures(made: Ablation, worth: dict[str, list[Worth]]) -> dict[str, Any]:
    variants = {
        variant.name: {
            "about": variant.about,
            "settings": list(variant.settings),
            "missing": variant.missing or None,
            "failures": {str(s): t for s, t in made.failures.get(variant.name, {}).items()},
            "seeds": list(made.cells.get(variant.name, {})),
            "trained": list(_trained(made, variant)),
            "hours": _hours(made, variant),
            "figures": [vars(each) for each in worth[variant.name]],
        }
        for variant in (THE_RUN, *made.variants)
    }
    plain: dict[str, Any] = without_nan(
        {
            "runs": {str(seed): str(run.path) for seed, run in made.bases.items()},
            "settings_apart": list(made.apart),
            "utterances": made.utterances,
            "variants": variants,
        }
    )
    return plain


def _rows(made: Ablation, worth: dict[str, list[Worth]]) -> Iterator[dict[str, Any]]:
    for variant in (THE_RUN, *made.variants):
        about = {"variant": variant.name, "seeds": len(made.cells.get(variant.name, {}))}
        if not worth[variant.name]:
            yield {**about, "note": _note(made, variant)}  # the first row has all columns else
        for each in worth[variant.name]:
            numbers = {
                f"{what}{end}": "" if math.isnan(number) else number
                for what, found in (("", each.value), ("difference_", each.difference))
                for end, number in zip(("mean", "low", "high"), found, strict=True)
            }
            yield {**about, "decoding": each.decoding, "figure": each.key, **numbers, "note": ""}


def _trained(made: Ablation, variant: Variant) -> tuple[str, ...]:
    cells = made.cells.get(variant.name, {})
    return next((cell.trained for cell in cells.values()), ())


def _hours(made: Ablation, variant: Variant) -> float | None:
    cells = made.cells.get(variant.name, {}).values()
    return round(sum(cell.hours for cell in cells), 4) if cells else None


def _note(made: Ablation, variant: Variant) -> str:
    if variant.missing:
        return f"not available: {variant.missing}"
    failures = made.failures.get(variant.name, {})
    said = "; ".join(f"seed {seed}: {why}" for seed, why in failures.items())
    return f"failed: {said}" if said else ""


def _page(made: Ablation, worth: dict[str, list[Worth]]) -> Iterator[str]:
    yield "# Ablation"
    yield ""
    yield _about(made)
    yield ""
    yield f"- {variant_label('lips')}"
    yield f"- {variant_label('upper')}"
    yield "- FDD: absolute, of each utterance; closure F1: of runs of shut lips"
    yield ""
    everyone = (THE_RUN, *made.variants)
    yield from _means([v for v in everyone if v.policy != TOKENIZER], made, worth)
    yield ""
    yield "## Differences from the unchanged run"
    yield ""
    yield from _differences([v for v in made.variants if v.policy != TOKENIZER], worth)
    if any(variant.policy == TOKENIZER for variant in made.variants):
        yield ""
        yield "## Floor of the prior"
        yield ""
        yield "The recordings through the tokenizer: no policy writes better than this."
        yield ""
        yield from _floors(made, worth)
    notes = [(v.name, note) for v in everyone if (note := _note(made, v))]
    if notes:
        yield ""
        yield "## Not there"
        yield ""
        yield from (f"- {name}: {note}" for name, note in notes)


def _about(made: Ablation) -> str:
    config = next(iter(made.bases.values())).config
    share = round(100 * config.evaluate.confidence)
    seeds = ", ".join(map(str, made.bases))
    over = "seeds and utterances" if len(made.bases) > 1 else "utterances: they cover no other seed"
    cells = [cell for by_seed in made.cells.values() for cell in by_seed.values()]
    threads = ", ".join(sorted({str(cell.threads) for cell in cells}))
    n = len(next(iter(cells[0].figures.values()))[LVE])
    apart = ""
    if made.apart:
        apart = f" The unchanged runs differ in more than the seed: {', '.join(made.apart)}."
    return (
        f"Variants of the run {' and '.join(f'`{run.path}`' for run in made.bases.values())} on "
        f"{n} test utterances of `{Path(config.corpus.name).name}`, seeds {seeds}. Each shares all "
        f"stages before its change with the unchanged run. Brackets are {share} % intervals over "
        f"{over}; differences are paired by seed and utterance. Hours are of all stages worked and "
        f"of measuring, over all seeds, with {threads} CPU threads; the unchanged run's are of its "
        f"stages, all its algorithms included.{apart}"
    )


def _means(
    variants: Sequence[Variant], made: Ablation, worth: dict[str, list[Worth]]
) -> Iterator[str]:
    """Yield the table of all figures, without intervals, which stand with the differences."""
    errors = [(decoding, key) for key in (LVE, EVE) for decoding in DECODINGS]
    titles = [f"{_TITLES[key].split(' (')[0]}, {decoding}" for decoding, key in errors]
    titles += [_TITLES[key] for key in (*ENERGIES, FDD, CLOSURE)]
    yield header("variant", ["what is changed", *titles, "stages worked", "seeds", "hours"])
    for variant in variants:
        found = {(each.decoding, each.key): each.value.mean for each in worth[variant.name]}
        keys = [
            *errors,
            *((SAMPLED, key) for key in ENERGIES),
            *((_headline(variant, found), key) for key in (FDD, CLOSURE)),
        ]
        cells = [_number(found.get(key)) for key in keys]
        hours = _hours(made, variant)
        cells += [
            _stages(made, variant),
            str(len(made.cells.get(variant.name, {}))),
            "n/a" if hours is None else f"{hours:.3f}",
        ]
        yield f"| {variant.name} | {variant.about} | {' | '.join(cells)} |"


def _headline(variant: Variant, found: Any) -> str:
    """Return the decoding by which a variant is told, greedy where it knows no distances."""
    return variant.decoding if (variant.decoding, LVE) in found else GREEDY


def _stages(made: Ablation, variant: Variant) -> str:
    if variant.missing or not made.cells.get(variant.name):
        return "n/a"
    trained = _trained(made, variant)
    if variant is THE_RUN:
        return "its own"
    return f"{trained[0]} to {trained[-1]}" if len(trained) > 1 else (*trained, "none")[0]


def _number(mean: float | None) -> str:
    return "n/a" if mean is None or math.isnan(mean) else f"{mean:.3f}"


def _differences(variants: Sequence[Variant], worth: dict[str, list[Worth]]) -> Iterator[str]:
    columns = (LVE, EVE, EVE_WITHOUT_LIDS, LVE_ENERGY, EVE_ENERGY, FDD, CLOSURE)
    yield header("variant", ["decoded, against", *(_TITLES[key] for key in columns)])
    for variant in variants:
        found = {(each.decoding, each.key): each for each in worth[variant.name]}
        if not found:
            continue
        shown = _headline(variant, found)
        picked = [found.get((SAMPLED if key in ENERGIES else shown, key)) for key in columns]
        cells = [_shown(UNKNOWN if each is None else each.difference) for each in picked]
        against = reference_of(variant, shown)
        how = shown if shown == against else f"{shown}, {against}"
        yield f"| {variant.name} | {how} | {' | '.join(cells)} |"


def _floors(made: Ablation, worth: dict[str, list[Worth]]) -> Iterator[str]:
    columns = (LVE, EVE, EVE_WITHOUT_LIDS, FDD, CLOSURE)
    yield header("variant", [*(_TITLES[key] for key in columns), "LVE difference", "hours"])
    for variant in (THE_RUN, *(v for v in made.variants if v.policy == TOKENIZER)):
        found = {each.key: each for each in worth[variant.name] if each.decoding == TOKENIZER}
        if not found:
            continue
        hours = "n/a" if variant is THE_RUN else f"{_hours(made, variant) or 0:.3f}"
        cells = [_shown(found[key].value) for key in columns]
        cells += [_shown(found[LVE].difference), hours]
        yield f"| {variant.name} | {' | '.join(cells)} |"


def _shown(found: Interval) -> str:
    return cell([None if math.isnan(number) else number for number in found], digits=3)
