"""Making of a table: all cells, corpus by corpus and seed by seed, then the page."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from esarm_env.core.errors import InputError
from train.tables.table1.benchmark import (
    Benchmark,
    check_corpora,
    keep_common_settings,
    open_shared_run,
)
from train.tables.table1.cells import DONE, make_cell
from train.tables.table1.measures import ONE_EACH
from train.tables.table1.methods import method_named
from train.tables.table1.page import write_page
from train.tables.table1.settings import PRESETS, TableSettings

if TYPE_CHECKING:
    from train.tables.table1.cells import Cell


def make_table(settings: TableSettings) -> Path:
    """Make every cell that is not kept, and write the page; return its path.

    Interrupt it at any time: the next call goes on with the cell that was at work.

    Raises:
        InputError: If a method or a corpus is unknown, a folder holds a run or cells of other
            settings, or no cell at all could be made.
    """
    from train.run.lock import locked

    check_corpora(settings)
    methods = list(dict.fromkeys(method_named(name) for name in settings.methods))
    rivals = PRESETS[settings.preset].rivals
    with locked(settings.out):
        # All of them before the first hours of work.
        runs = {
            (corpus, seed): open_shared_run(settings, corpus, seed)
            for corpus in settings.corpora
            for seed in settings.seeds
        }
        for (corpus, _), run in runs.items():
            keep_common_settings(settings.place(corpus), run, rivals)
        total = len(runs) * len(methods)
        number = n_done = 0
        for (corpus, seed), run in runs.items():
            benchmark = Benchmark(run, rivals=rivals)
            for method in methods:
                number += 1
                cell = make_cell(benchmark, method, settings.place(corpus))
                n_done += cell.status == DONE
                print(f"{number}/{total} {corpus}, seed {seed}: {_told(cell)}", flush=True)
        page = write_page(settings.out)
    if not n_done:
        raise InputError(f"no cell could be made; {page} tells why of each")
    return page


def _told(cell: Cell) -> str:
    """Return a cell in one line."""
    if cell.status != DONE:
        return f"{cell.method} {cell.status} ({cell.reason})"
    import numpy as np

    lve, eve = (float(np.nanmean(cell.figures[key])) for key in ONE_EACH[:2])
    return f"{cell.method} LVE {lve:.2f} mm, EVE {eve:.2f} mm"
