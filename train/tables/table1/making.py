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
    usual_config,
)
from train.tables.table1.cells import DONE, cell_folder, make_cell
from train.tables.table1.errors import read_earlier
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
    grid = [(corpus, seed) for corpus in settings.corpora for seed in settings.seeds]
    with locked(settings.out):
        earlier = {corpus: _earlier(settings.place(corpus)) for corpus in settings.corpora}
        runs = {}
        for corpus, seed in grid:  # all of them before the first hours of work
            config = usual_config(settings, corpus, seed)
            if any((method.name, seed) not in earlier[corpus] for method in methods):
                runs[corpus, seed] = open_shared_run(settings, corpus, seed)
                config = runs[corpus, seed].config
            keep_common_settings(settings.place(corpus), config, rivals)
        number = n_done = 0
        for corpus, seed in grid:
            run = runs.get((corpus, seed))
            benchmark = None if run is None else Benchmark(run, rivals=rivals)
            for method in methods:
                number += 1
                cell = earlier[corpus].get((method.name, seed))
                if cell is None:
                    assert benchmark is not None, "there is one where a cell is to be made"
                    cell = make_cell(benchmark, method, settings.place(corpus))
                n_done += cell.status == DONE
                told = f"{corpus}, seed {seed}: {_told(cell)}"
                print(f"{number}/{len(grid) * len(methods)} {told}", flush=True)
        page = write_page(settings.out)
    if not n_done:
        raise InputError(f"no cell could be made; {page} tells why of each")
    return page


def _earlier(place: Path) -> dict[tuple[str, int], Cell]:
    """Return the cells of earlier tables that need not be made, by method and seed."""
    return {
        (cell.method, cell.seed): cell
        for cell in read_earlier(place)
        if not cell_folder(place, cell.method, cell.seed).exists()
    }


def _told(cell: Cell) -> str:
    """Return a cell in one line."""
    if cell.status != DONE:
        return f"{cell.method} {cell.status} ({cell.reason})"
    import numpy as np

    lve, eve = (float(np.nanmean(cell.figures[key])) for key in ONE_EACH[:2])
    return f"{cell.method} LVE {lve:.2f} mm, EVE {eve:.2f} mm"
