"""`esarm table2` and `esarm ablate`: what noise does to a clone, and what each part is worth."""

from __future__ import annotations

import json as json_module
from pathlib import Path
from typing import Literal

from esarm_env.core.errors import InputError
from train.commands.options import (
    check_folder_target,
    check_json_target,
    settle_corpora,
    use_threads,
    write_json,
)


def command_table2(
    *,
    runs: tuple[Path, ...],
    out: Path = Path("table2"),
    utterances: int = 100,
    corpus: tuple[str, ...] = (),
    json: Path | None = None,
    threads: int = 0,
) -> None:
    """Table II of the paper: what noise does to a clone.

    Three questions, each with intervals over seeds and utterances. How large are the errors of the
    clone as noise rises, and of the policies without noise, beside the paper's columns? What do
    other kinds of damage do? How often is a ranking made of noise or damage true? Writes table2.md,
    .csv, .json and .png. Interrupt it at any time; the same command goes on where it stopped.

    Args:
        runs: Folders of finished runs: several seeds of a corpus, several corpora, or both.
        out: Folder to write; the measurements of each run are kept below it.
        utterances: Number of test utterances whose roll-outs are damaged, evenly spaced; 0 means
            all.
        corpus: Where recordings of the runs are now, if they have moved; it is noted for all runs
            on them. [default: where they were]
        json: Also write the figures to this file.
        threads: CPU threads of torch; 0 leaves the choice to torch.
    """
    _prepare(out, json, threads, runs, corpus)
    from train.run.lock import locked
    from train.tables.table2.page import NAME, write_table2  # torch
    from train.tables.table2.report import collect_noise

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
    corpus: str | None = None,
    json: Path | None = None,
    threads: int = 0,
) -> None:
    """Ablation: change one part of a run at a time, and train again.

    A variant is the run with one change. Stages before the change are shared with the run, later
    ones are trained again in OUT/NAME/seed-K. Tables show LVE, EVE, energy scores, FDD and closure
    F1 on the test utterances, and paired differences from the unchanged run: ablation.md, .csv and
    .json. If a variant fails, it is shown as failed and the others go on; the same command
    continues what is not finished.

    Args:
        run: Folder of a run that is finished up to `improve`; several runs of one corpus count as
            its seeds.
        out: Folder to write.
        only: Names of the variants to train; a wrong name lists them. [default: all of the preset]
        preset: `all` trains every variant, `quick` only those that repeat no stage before
            `improve`.
        seeds: Number of training seeds, counted from the run's own (`--seeds 3`), or which ones
            (`--seeds 0 1 5`). Seeds that are not in RUN/seeds are trained first. [default: those of
            the runs]
        utterances: Number of test utterances to measure on, evenly spaced; 0 means all.
        corpus: Where the run's recordings are now, if they have moved; it is noted for all runs on
            them. [default: where they were]
        json: Also write the figures to this file.
        threads: CPU threads of torch; 0 leaves the choice to torch.
    """
    from train.run.lock import locked
    from train.tables.ablation.variants import chosen_variants

    variants = chosen_variants(only, preset)
    _prepare(out, json, threads, run, () if corpus is None else (corpus,))
    from train.tables.ablation.ablate import ablate
    from train.tables.ablation.page import NAME, write_ablation

    with locked(out):
        page = write_ablation(ablate(run, variants, out, seeds=seeds, utterances=utterances), out)
    print(page.read_text(encoding="utf-8"))
    print(f"report: {page}")
    write_json(json_module.loads((out / f"{NAME}.json").read_text()), json)


def _prepare(
    out: Path, json: Path | None, threads: int, runs: tuple[Path, ...], corpora: tuple[str, ...]
) -> None:
    """Check where results come from and go to, before a folder is made or hours are spent."""
    from train.run.run_folder import RunFolder

    if threads < 0:
        raise InputError(f"`threads` must be at least 0, got {threads}")
    check_json_target(json)
    check_folder_target(out, name="out")
    for path in runs:
        RunFolder.open(path)
    settle_corpora(runs, corpora)
    use_threads(threads)
