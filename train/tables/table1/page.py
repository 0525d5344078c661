"""Page of Table I: `table1.md`, `table1.csv`, `table1.json` and a picture, made of what is kept."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from esarm_env.core.cache import write_text
from esarm_env.core.errors import InputError
from esarm_env.core.run_layout import SETTINGS_FILE
from esarm_env.task.episode_metrics import EVE, LVE
from train.tables.table1.errors import read_all_cells, read_settings, write_errors
from train.tables.table1.methods import ALL_CONDITIONS, HEADLINE, METHODS, RIVAL
from train.tables.table1.settings import CORPORA
from train.tables.table1.statistics import (
    MEAD,
    PAPER,
    RAVDESS,
    CorpusTable,
    MethodRow,
    best_paper_margin,
    corpus_table,
    paper_margin,
)

if TYPE_CHECKING:
    from esarm_env.core.intervals import Interval

PAGE, CSV_FILE, JSON_FILE, PICTURE = "table1.md", "table1.csv", "table1.json", "table1.png"
_PAPERS = {"synthetic-mead": MEAD, "synthetic-ravdess": RAVDESS, "mead": MEAD, "ravdess": RAVDESS}


def write_page(out: Path) -> Path:
    """Write the page over all cells that are kept in `out`; return its path.

    Raises:
        InputError: If there is no cell, or one is damaged.
    """
    from train.pictures import draw_or_explain

    tables = _read_tables(out)
    if not tables:
        raise InputError(f"{out}: must hold cells of a table, got none; `esarm table1` makes them")
    first = read_settings(out / tables[0].corpus)
    page = "\n".join(_page(tables, first)) + "\n"

    def draw() -> None:
        from train.tables.table1.picture import draw_bars

        draw_bars(tables, out / PICTURE)

    write_text(out / JSON_FILE, _as_json(tables))
    write_text(out / CSV_FILE, _as_csv(tables))
    write_text(out / PAGE, draw_or_explain(page, draw))
    return out / PAGE


def _read_tables(out: Path) -> list[CorpusTable]:
    """Return the tables of all corpora that have cells in `out`, ours first; keep their errors."""
    tables = []
    for place in sorted(out.glob(f"[!.]*/{SETTINGS_FILE}"), key=_place_of):
        corpus = place.parent.name
        known = read_settings(place.parent)
        cells = read_all_cells(place.parent)
        if not cells:
            continue
        write_errors(place.parent, cells)
        table = corpus_table(
            corpus,
            cells,
            order=METHODS,
            headline=HEADLINE,
            paper=_PAPERS.get(corpus) or _PAPERS.get(str(known.get("corpus.layout")), ""),
            resamples=known["evaluate.resamples"],
            confidence=known["evaluate.confidence"],
        )
        tables.append(table)
    return tables


def _place_of(file: Path) -> tuple[int, str]:
    name = file.parent.name
    return (CORPORA.index(name) if name in CORPORA else len(CORPORA), name)


def _page(tables: Sequence[CorpusTable], settings: dict[str, Any]) -> list[str]:
    from train.tables.table1.measures import definitions

    share = round(100 * settings["evaluate.confidence"])
    known = definitions(n_samples=settings["evaluate.energy_samples"])
    lines = [
        "# Table I: lip and emotional vertex error, methods by corpora",
        "",
        f"Test utterances (speakers and sentences that no training saw). Brackets are {share} % "
        "intervals by a hierarchical bootstrap over seeds of training and utterances; a method "
        "with one seed has none, and no star. IQM is the interquartile mean, P the probability "
        "that a seed of ours has less error than one of theirs (Agarwal et al. 2021), margin the "
        "share of their error that ours saves. A star marks a difference whose interval excludes "
        f"0. Ours is *{HEADLINE}*, chosen on validation utterances, never on test.",
        "",
        "Each rival stands in two rows: with the conditions that its paper gives it, and with all "
        f"that ours gets ({ALL_CONDITIONS}: emotion, intensity, speaker).",
        "",
        "**The paper's columns are printed figures of another data set, head and metric; they "
        "stand here to compare margins, not errors.**",
        "",
        "![Errors of all methods](table1.png)",
    ]
    for table in tables:
        lines += ["", f"## {table.corpus}", "", *_corpus(table)]
    lines += ["", "## What is measured", ""]
    lines += [f"- {quantity.heading}" for quantity in known.values()]
    lines += [
        "- real-time factor: seconds to animate a second of speech on this machine, from audio "
        "features on",
        "- parameters: of all networks that animate; training: wall time, for ours of all stages "
        "of the run so far",
    ]
    return lines


def _corpus(table: CorpusTable) -> list[str]:
    lines = [f"{table.test_utterances} test utterances.", ""]
    seeds = sorted({seed for row in table.rows for seed in row.seeds})
    if len(seeds) < 2:
        lines = [f"{table.test_utterances} test utterances. One seed: no spread, no star.", ""]
    if not table.headline:
        lines += [f"Our row, {HEADLINE}, is not done, so nothing is compared with it.", ""]
    lines += _errors(table)
    lines += ["", *_findings(table)]
    lines += ["", *_others(table)]
    if table.without:
        names = ", ".join(table.without)
        lines += ["", f"Left out, as this corpus cannot tell it: {names}."]
    notes = [f"- {row.name}: {'; '.join(row.notes)}" for row in table.rows if row.notes]
    short = [
        f"- {row.name}: {row.utterances} of {table.test_utterances} utterances"
        for row in table.rows
        if row.utterances < table.test_utterances
    ]
    if notes or short:
        lines += ["", "Notes:", "", *notes, *short]
    if table.lost:
        lines += ["", "Cells that are not done:", ""]
        lines += [f"- {c.method}, seed {c.seed}: {c.status}, {c.reason}" for c in table.lost]
    return lines


def _errors(table: CorpusTable) -> list[str]:
    titles = ["method", "seeds", "LVE (mm)", "EVE (mm)", "LVE, mean", "EVE, mean"]
    if table.headline:
        titles += ["ours minus theirs, LVE", "P", "margin", "ours minus theirs, EVE", "P", "margin"]
    if table.paper:
        titles += [f"paper's LVE ({table.paper})", "EVE", "paper's margin, LVE", "EVE"]
    rows = [_error_row(table, row) for row in table.rows]
    if table.paper:
        ours = PAPER[table.paper]["ours"]
        width = len(titles) - 4
        printed = [f"{ours[LVE]:.3f}", f"{ours[EVE]:.3f}", "", ""]
        rows.append(["*the paper's own row*", *[""] * (width - 1), *printed])
    return markdown(titles, rows)


def _error_row(table: CorpusTable, row: MethodRow) -> list[str]:
    name = f"**{row.name}**" if row.name == table.headline else row.name
    cells = [name, str(len(row.seeds))]
    cells += [shown(row.means[key]) for key in (LVE, EVE, "lve_mean", "eve_mean")]
    for key in (LVE, EVE) if table.headline else ():
        if key not in row.against:
            cells += ["", "", ""]
            continue
        found = row.against[key]
        star = " *" if found.apart else ""
        cells.append(f"{shown(found.difference, sign=True)}{star}")
        cells += [shown(found.improvement), percent(found.margin)]
    if table.paper:
        printed = PAPER[table.paper].get(row.name, {})
        cells += [f"{printed[key]:.3f}" if printed else "" for key in (LVE, EVE)]
        cells += [percent(paper_margin(table.paper, row.name, key), "") for key in (LVE, EVE)]
    return cells


def _findings(table: CorpusTable) -> list[str]:
    """Say how ours stands beside the best rival, in its own conditions and in all."""
    if not table.headline:
        return []
    lines = []
    for what, chosen in (
        ("in their own conditions", [r for r in table.rows if _is_rival(r, every=False)]),
        ("with all conditions", [r for r in table.rows if _is_rival(r, every=True)]),
    ):
        for key, name in ((LVE, "LVE"), (EVE, "EVE")):
            known = [r for r in chosen if math.isfinite(r.means[key].mean) and key in r.against]
            if not known:
                continue
            best = min(known, key=lambda row: row.means[key].mean)
            found = best.against[key]
            line = f"- {name}, rivals {what}: the best is {best.name}, margin of ours "
            line += percent(found.margin)
            line += ", intervals apart" if found.apart else ", not told apart"
            printed = best_paper_margin(table.paper, key)
            if math.isfinite(printed):
                line += f" (the paper's over its best rival: {percent(printed)})"
            lines.append(f"{line}.")
    return lines


def _is_rival(row: MethodRow, *, every: bool) -> bool:
    return row.kind == RIVAL and row.name.endswith(f"({ALL_CONDITIONS})") == every


def _others(table: CorpusTable) -> list[str]:
    columns = {
        "EVE without lids (mm)": "eve_without_lids",
        "LVE energy (mm)": "lve_energy",
        "EVE energy (mm)": "eve_energy",
        "FDD (mm²)": "fdd",
        "closure F1": "closure",
        "synchrony": "synchrony",
        "emotion accuracy": "emotion",
        "diversity (mm)": "diversity",
    }
    columns = {title: key for title, key in columns.items() if key not in table.without}
    titles = ["method", "LVE, IQM", "EVE, IQM", *columns]
    titles += ["real-time factor", "parameters", "training (s)"]
    rows = []
    for row in table.rows:
        cells = [row.name, *(shown(row.iqm[key]) for key in (LVE, EVE))]
        cells += [shown(row.means[key]) if key in row.means else "" for key in columns.values()]
        cells.append("" if row.real_time_factor is None else f"{row.real_time_factor:.3g}")
        cells.append("" if row.parameters is None else f"{row.parameters:,}")
        cells.append("" if row.trained_s is None else f"{row.trained_s:.0f}")
        rows.append(cells)
    return markdown(titles, rows)


def markdown(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Return a table as lines."""
    lines = ["| " + " | ".join(titles) + " |", "|" + "---|" * len(titles)]
    return [*lines, *("| " + " | ".join(cells) + " |" for cells in rows)]


def shown(interval: Interval, *, sign: bool = False) -> str:
    """Return a mean with its interval, alone where it has none, or n/a."""
    if not math.isfinite(interval.mean):
        return "n/a"
    form = "+.3f" if sign else ".3f"
    if not math.isfinite(interval.low):
        return f"{interval.mean:{form}}"
    return f"{interval.mean:{form}} [{interval.low:{form}}, {interval.high:{form}}]"


def percent(share: float, unknown: str = "n/a") -> str:
    """Return a share in percent."""
    return f"{100 * share:.1f} %" if math.isfinite(share) else unknown


def _as_json(tables: Sequence[CorpusTable]) -> str:
    from train.run.run_folder import without_nan

    listed = []
    for table in tables:
        plain = {"corpus": table.corpus, "paper": table.paper, "headline": table.headline}
        lost = [
            {"method": c.method, "seed": c.seed, "status": c.status, "reason": c.reason}
            for c in table.lost
        ]
        rows = [
            dataclasses.asdict(row)
            | {
                "paper": PAPER.get(table.paper, {}).get(row.name),
                "paper_margin": {
                    key: paper_margin(table.paper, row.name, key) for key in (LVE, EVE)
                },
            }
            for row in table.rows
        ]
        listed.append(
            {
                **plain,
                "test_utterances": table.test_utterances,
                "left_out": list(table.without),
                "rows": rows,
                "not_done": lost,
            }
        )
    return json.dumps(without_nan(listed), indent=1, allow_nan=False) + "\n"


def _as_csv(tables: Sequence[CorpusTable]) -> str:
    """Return one line for each corpus, method and figure."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["corpus", "method", "kind", "seeds", "figure", "mean", "low", "high"])
    for table in tables:
        for row in table.rows:
            known = {**row.means, **{f"{key}_iqm": value for key, value in row.iqm.items()}}
            for key, found in row.against.items():
                known[f"{key}_ours_minus_theirs"] = found.difference
                known[f"{key}_probability_of_improvement"] = found.improvement
            head = [table.corpus, row.name, row.kind, len(row.seeds)]
            for figure, interval in known.items():
                numbers = ["" if math.isnan(number) else f"{number:.6g}" for number in interval]
                writer.writerow([*head, figure, *numbers])
    return text.getvalue()
