"""`esarm table2` and `esarm ablate`: what noise does to a clone, and what each part is worth."""

from __future__ import annotations

import json as json_module
from pathlib import Path
from typing import Literal

from esarm_env.core.errors import InputError
from train.commands.options import check_folder_target, check_json_target, use_threads, write_json


def command_table2(
    *,
    runs: tuple[Path, ...],
    out: Path = Path("table2"),
    utterances: int = 100,
    json: Path | None = None,
    threads: int = 0,
) -> None:
    """Re-build the paper's Table II from finished runs, with intervals, and what it lacks.

    True errors of the clone under rising noise and of the policies without, over seeds and
    utterances, beside the paper's columns; other damage, family by family; and how often a label
    made of noise or damage is true. Writes table2.md, .csv, .json and .png. A minute or two per
    run; interrupt it at any time, the same command goes on where it stopped.

    Args:
        runs: Finished runs: several seeds of a corpus, several corpora.
        out: Folder to write, with what was measured of each run below it.
        utterances: Test utterances whose roll-outs are damaged, evenly spaced; 0 means all.
        json: Also write the figures to this file.
        threads: CPU threads of torch; 0 leaves the choice to torch.
    """
    from train.run.lock import locked
    from train.tables.table2.page import NAME, write_table2
    from train.tables.table2.report import collect_noise

    _prepare(out, json, threads, runs)
    with locked(out):
        page = write_table2(collect_noise(runs, out, utterances=utterances), out)
    print(page.read_text(encoding="utf-8"))
    print(f"report: {page}")
    write_json(json_module.loads((out / f"{NAME}.json").read_text()), json)


def command_ablate(
    *,
    run: tuple[Path, ...],
    out: Path = Path("ablation"),
    only: tuple[str, ...] = (),
    preset: Literal["all", "quick"] = "all",
    seeds: tuple[int, ...] = (),
    utterances: int = 0,
    json: Path | None = None,
    threads: int = 0,
) -> None:
    """Change one thing of a finished run at a time, and see what becomes of its figures.

    A variant shares every stage before its change with the run; only those behind it are worked
    again, in OUT/NAME/seed-K. LVE, EVE, energy scores, FDD and closure F1 on the test utterances,
    with paired differences from the unchanged run: ablation.md, .csv and .json. A variant that
    fails is shown as failed, and the rest goes on; the same command takes up what is not finished.

    Args:
        run: A run finished up to `improve`; several of one corpus count as its seeds.
        out: Folder to write.
        only: Variants by name. [default: all of the preset]
        preset: `quick` leaves out what anything before the stage `improve` is worked again for.
        seeds: How many seeds of training, counted from the run's own, or which. One that is not
            in RUN/seeds is trained first. [default: those of the runs]
        utterances: Test utterances measured on, evenly spaced; 0 means all.
        json: Also write the figures to this file.
        threads: CPU threads of torch; 0 leaves the choice to torch.
    """
    from train.run.lock import locked
    from train.tables.ablation.variants import chosen_variants

    variants = chosen_variants(only, preset)
    _prepare(out, json, threads, run)
    from train.tables.ablation.ablate import ablate
    from train.tables.ablation.page import NAME, write_ablation

    with locked(out):
        page = write_ablation(ablate(run, variants, out, seeds=seeds, utterances=utterances), out)
    print(page.read_text(encoding="utf-8"))
    print(f"report: {page}")
    write_json(json_module.loads((out / f"{NAME}.json").read_text()), json)


def _prepare(out: Path, json: Path | None, threads: int, runs: tuple[Path, ...]) -> None:
    """Check where results come from and go to, before a folder is made or hours are spent."""
    from train.run.run_folder import RunFolder

    if threads < 0:
        raise InputError(f"`threads` must be at least 0, got {threads}")
    check_json_target(json)
    check_folder_target(out, name="out")
    for path in runs:
        RunFolder.open(path)
    use_threads(threads)
