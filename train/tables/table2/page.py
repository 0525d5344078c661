"""Page of `esarm table2`: `table2.md`, `.csv`, `.json` and `.png`."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from esarm_env.core.cache import write_text
from esarm_env.metrics import variant_label
from train.pictures import draw_or_explain
from train.run.loop import write_rows
from train.run.run_folder import without_nan
from train.run_report.cells import ARROWS, cell, header
from train.tables.table2.noise import BOTH, ERRORS, LEAST_RATIO, PAPER, PAPER_IMPROVED, Ladder
from train.tables.table2.report import COLUMNS, EPSILON

if TYPE_CHECKING:
    from esarm_env.core.intervals import Interval
    from train.tables.table2.report import CorpusNoise

NAME = "table2"


def write_table2(found: Sequence[CorpusNoise], folder: Path) -> Path:
    """Write page, table, figures and picture into `folder`; return the path of the page."""
    figures = table2_figures(found)
    write_text(folder / f"{NAME}.json", json.dumps(figures, indent=1, allow_nan=False) + "\n")
    rows = [row for each in found for row in _rows(each)]
    write_rows(rows, folder / f"{NAME}.csv")

    def draw() -> None:
        from train.plots import plot_noise

        ladders = {each.name: each.ladders for each in found}
        plot_noise(
            ladders, {n: PAPER.get(p, {}) for n, p in _papers(found)}, folder / f"{NAME}.png"
        )

    page = draw_or_explain("\n".join(_page(found)) + "\n", draw)
    write_text(folder / f"{NAME}.md", page)
    return folder / f"{NAME}.md"


def _papers(found: Sequence[CorpusNoise]) -> list[tuple[str, str]]:
    return [(each.name, each.paper) for each in found]


def table2_figures(found: Sequence[CorpusNoise]) -> dict[str, Any]:
    """Return all figures as plain values, by corpus."""
    made: dict[str, Any] = {}
    for each in found:
        ladders = {
            error: {
                "levels": list(one.levels),
                "mean": [list(mean) for mean in one.means],
                "step": [list(step) for step in one.steps],
                "ratio": list(one.ratio),
                "monotone": one.monotone,
                "surely_monotone": one.surely_monotone,
                "ratio_reached": one.wide,
                "paper": PAPER.get(each.paper, {}).get(error),
            }
            for error, one in each.ladders.items()
        }
        made[each.name] = {
            "paper": each.paper or None,
            "runs": {str(run.config.seed): str(run.path) for run in each.runs},
            "settings_apart": list(each.apart),
            "utterances": each.n_utterances,
            "damaged_utterances": each.n_damaged,
            "noise": ladders,
            "policies": each.policies,
            "labels": [dataclasses.asdict(label) for label in each.labels],
            "damage": [dataclasses.asdict(one) for one in each.damaged],
            "families_unable": list(each.unable),
            "least_ratio": LEAST_RATIO,
        }
    plain: dict[str, Any] = without_nan(made)
    return plain


def _rows(each: CorpusNoise) -> Iterator[dict[str, Any]]:
    """Yield a row for every figure: corpus, table, row, error, mean, low, high, the paper's."""
    for table, name, error, found, paper in (*_of_noise(each), *_of_damage(each)):
        mean, low, high = ("" if math.isnan(number) else number for number in found)
        figures = {"mean": mean, "low": low, "high": high, "paper": "" if paper is None else paper}
        yield {"corpus": each.name, "table": table, "row": name, "error": error, **figures}


# Table, row, error, what was found, and the paper's figure.
_Found = tuple[str, str, str, "Interval", "float | None"]


def _of_noise(each: CorpusNoise) -> Iterator[_Found]:
    for error, one in each.ladders.items():
        for level, mean in zip(one.levels, one.means, strict=True):
            yield "noise", f"epsilon {level:g}", error, mean, _paper(each, error, level)
        yield "noise", "ratio", error, one.ratio, _paper_ratio(each, error)
    for label, errors in each.policies.items():
        for error, found in errors.items():
            yield "policies", label, error, found, _improved(each, label, error)


def _of_damage(each: CorpusNoise) -> Iterator[_Found]:
    for label in each.labels:
        for error, share in label.shares.items():
            name = f"{label.kind} {label.better:g}, {label.worse:g}"
            yield "labels", name, error, share, None
    for one in each.damaged:
        for kind, errors in (("damage", one.errors), ("damage difference", one.more)):
            for error, found in errors.items():
                yield kind, f"{one.family} {one.strength:g}", error, found, None


def _paper(each: CorpusNoise, error: str, level: float) -> float | None:
    return PAPER.get(each.paper, {}).get(error, {}).get(level)


def _paper_ratio(each: CorpusNoise, error: str) -> float | None:
    column = PAPER.get(each.paper, {}).get(error)
    return None if column is None else column[max(column)] / column[min(column)]


def _improved(each: CorpusNoise, label: str, error: str) -> float | None:
    """Return the paper's error of its improved policy, to stand beside improved ones of ours."""
    if label.startswith("clone,"):
        return None
    return PAPER_IMPROVED.get(each.paper, {}).get(error)


def _page(found: Sequence[CorpusNoise]) -> Iterator[str]:
    yield "# Table II: noise, damage and the labels they give"
    yield ""
    yield (
        "Roll-outs of the clone in which a share ε of the tokens is random, on the test "
        "utterances, and policies without noise. The paper names neither unit nor reduction of "
        "its columns, so that their shape is to be compared, not their height."
    )
    yield ""
    yield f"- {variant_label('lips')}"
    yield f"- {variant_label('upper')}"
    yield f"- {variant_label('upper_without_lids')}"
    yield ""
    yield f"![Errors over noise]({NAME}.png)"
    for each in found:
        yield ""
        yield from _corpus_lines(each)


def _corpus_lines(each: CorpusNoise) -> Iterator[str]:
    yield f"## {each.name}"
    yield ""
    yield _about(each)
    yield ""
    yield from _noise_table(each)
    yield ""
    for error, one in each.ladders.items():
        yield f"- {_verdict(ARROWS[error].split(' (')[0], one, _paper_ratio(each, error))}"
    yield ""
    yield "### Other damage"
    yield ""
    yield (
        f"To the roll-outs of least noise of {each.n_damaged} test utterances; in mm, with the "
        "paired difference from the same animations undamaged."
    )
    yield ""
    yield from _damage_table(each)
    if each.unable:
        yield ""
        yield f"Nothing here that these can act on: {', '.join(each.unable)}."
    yield ""
    yield "### How often a label is right"
    yield ""
    yield (
        "Share of pairs of animations of one utterance in which the one with more noise, or more "
        "of the same damage, has the greater error; a tie counts one half, and a half is what a "
        f"coin says. Pairs of two strengths above 0 stand in `{NAME}.csv`."
    )
    yield ""
    yield from _label_table(each)


def _about(each: CorpusNoise) -> str:
    share = round(100 * each.runs[0].config.evaluate.confidence)
    seeds = [str(run.config.seed) for run in each.runs]
    if len(seeds) == 1:
        what = (
            f"One seed of training ({seeds[0]}): brackets are {share} % bootstrap intervals over "
            "utterances and do not cover other seeds."
        )
    else:
        what = (
            f"Seeds {', '.join(seeds)}; brackets are {share} % intervals by a hierarchical "
            "bootstrap over seeds and utterances."
        )
    apart = (
        f" The runs differ in more than the seed: {', '.join(each.apart)}." if each.apart else ""
    )
    beside = "" if each.paper else " The paper has no column for this corpus."
    return f"{each.n_utterances} test utterances. {what}{apart}{beside}"


def _noise_table(each: CorpusNoise) -> Iterator[str]:
    papers = [error for error in COLUMNS if error in PAPER.get(each.paper, {})]
    titles: list[str] = []
    for error in COLUMNS:
        titles.append(ARROWS[error])
        if error in papers:
            titles.append(f"{error.upper()}, paper ({each.paper})")
    yield header("animation", titles)
    levels = each.ladders[COLUMNS[0]].levels
    for place, level in enumerate(levels):
        means = {error: each.ladders[error].means[place] for error in COLUMNS}
        beside = {error: _paper(each, error, level) for error in papers}
        yield _line(f"clone, ε = {level:g}", means, beside)
    for label, errors in each.policies.items():
        beside = {error: _improved(each, label, error) for error in papers}
        yield _line(label, errors, beside)


def _line(label: str, errors: Mapping[str, Interval], paper: Mapping[str, float | None]) -> str:
    cells = [label]
    for error in COLUMNS:
        cells.append(_shown(errors[error]))
        if error in paper:
            cells.append("" if (value := paper[error]) is None else f"{value:g}")
    return f"| {' | '.join(cells)} |"


def _shown(found: Interval, *, digits: int = 2) -> str:
    return cell([None if math.isnan(number) else number for number in found], digits=digits)


def _verdict(name: str, one: Ladder, paper: float | None) -> str:
    if one.monotone is None or one.wide is None:
        return f"{name}: not captured in this corpus."
    apart = (
        "every step's interval above 0"
        if one.surely_monotone
        else "not every step's interval above 0"
    )
    rises = f"rises at every step ({apart})" if one.monotone else "does **not** rise at every step"
    low, high = one.levels[0], one.levels[-1]
    beside = "" if paper is None else f" (the paper's: {paper:.2f})"
    return f"{name} {rises}; ε = {high:g} is {one.ratio} times ε = {low:g}{beside}."


def _damage_table(each: CorpusNoise) -> Iterator[str]:
    titles = [ARROWS[error] for error in ERRORS] + [
        f"{error.upper()}, more (mm)" for error in ERRORS
    ]
    yield header("damage, strength", titles)
    for one in each.damaged:
        cells = [_shown(one.errors[error]) for error in ERRORS]
        cells += [_shown(one.more[error], digits=3) for error in ERRORS]
        yield f"| {one.family}, {one.strength:g} | {' | '.join(cells)} |"


def _label_table(each: CorpusNoise) -> Iterator[str]:
    titles = [*(f"{error.upper()} agrees (%)" for error in ERRORS), "both agree (%)"]
    yield header("better, worse", titles)
    for label in each.labels:
        if label.kind != EPSILON and label.better > 0:
            continue
        kind = "ε =" if label.kind == EPSILON else label.kind
        shares = [[100 * number for number in label.shares[key]] for key in (*ERRORS, BOTH)]
        cells = [cell([None if math.isnan(n) else n for n in share], digits=1) for share in shares]
        yield f"| {kind} {label.better:g}, {label.worse:g} | {' | '.join(cells)} |"
