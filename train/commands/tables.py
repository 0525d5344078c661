"""`esarm table1` and `esarm score`: methods by corpora, and other systems beside them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from train.commands.options import check_folder_target, check_json_target, use_threads, write_json

if TYPE_CHECKING:
    from train.tables.table1.score import Score


def command_table1(
    *,
    out: Path,
    corpora: tuple[str, ...] = ("synthetic-mead", "synthetic-ravdess"),
    seeds: tuple[int, ...] = (),
    methods: tuple[str, ...] = (),
    preset: Literal["quick", "full"] = "full",
    size: int | None = None,
    threads: int = 0,
) -> None:
    """LVE and EVE of the paper's rivals, the baselines and ours, with intervals (Table I).

    Every method, corpus and seed is a cell that is trained, measured and kept by itself. Interrupt
    it at any time; the same command goes on where it stopped.

    Args:
        out: Folder of the table. A finished run put at OUT/CORPUS/runs/seed-K is used as it is.
        corpora: `synthetic-mead`, `synthetic-ravdess`, or folders of recordings.
        seeds: Of training. [default: 0 1 2; with `--preset quick` 0]
        methods: Rows of the table, as they are called in it, such as
            `faceformer "clone (expected distance)"`; an unknown one lists all. [default: all]
        preset: `full` takes about half an hour a corpus and seed on two cores; `quick` is smaller,
            and trains nothing to its end.
        size: Utterances of a synthetic corpus. [default: 2000; with `--preset quick` 400]
        threads: CPU threads of torch; 0 leaves the choice to torch.
    """
    from train.tables.table1.making import make_table
    from train.tables.table1.methods import METHODS
    from train.tables.table1.settings import PRESETS, TableSettings

    check_folder_target(out, name="out")
    use_threads(threads)
    settings = TableSettings(
        out=out,
        corpora=corpora,
        seeds=seeds or PRESETS[preset].seeds,
        methods=methods or tuple(METHODS),
        preset=preset,
        size=size,
    )
    print(f"table: {make_table(settings)}")


def command_score(
    folder: Path,
    /,
    *,
    corpus: str | None = None,
    run: Path | None = None,
    table: Path | None = None,
    name: str | None = None,
    seed: int = 0,
    fps: float | None = None,
    order: str | None = None,
    json: Path | None = None,
) -> None:
    """Score the predictions of any system by the code of Table I, and add them to it.

    Args:
        folder: One file of motion for each test utterance, named by its id: `.npy`, `.npz`, `.csv`,
            `.json` or `.glb`.
        corpus: `synthetic-mead`, `synthetic-ravdess`, or a folder of recordings.
        run: A run folder instead, whose corpus, splits and tokenizer count.
        table: Folder of `esarm table1`; its run of `corpus` counts, and the scores are added to it.
        name: Of the system. [default: that of the folder]
        seed: Number of the system's training, where there are several of one name.
        fps: Frame rate of files that do not state one. [default: 30]
        order: Channels of `.npy` arrays, such as `unreal`. [default: alphabetical]
        json: Also write the printed figures to this file.
    """
    from train.tables.table1.score import add_to_table, benchmark_of, score_folder

    check_json_target(json)
    benchmark = benchmark_of(run=run, corpus=corpus, table=table, seed=seed)
    called = name or folder.resolve().name
    score = score_folder(folder, benchmark, name=called, seed=seed, fps=fps, order=order)
    figures = _print_score(score)
    if table is not None and corpus is not None:
        print(f"table: {add_to_table(score, benchmark, table, corpus)}")
    write_json(figures, json)


def _print_score(score: Score) -> dict[str, object]:
    """Print what was left out, then the figures; return these."""
    from esarm_env.metrics import table
    from esarm_env.metrics.table import Figure
    from train.run.run_folder import without_nan
    from train.tables.table1.measures import definitions

    found, intervals = score.found, score.intervals()
    for line in (*found.faults, *found.notes):
        print(line)
    if found.missing:
        shown = ", ".join(found.missing[:8]) + (", ..." if len(found.missing) > 8 else "")
        print(f"without a prediction that can be used: {len(found.missing)} ({shown})")
    if found.others:
        print(f"{found.others} files are of no test utterance")
    known = {key: each for key, each in definitions(n_samples=2).items() if key in intervals}
    row: dict[str, Figure] = {key: (v.mean, v.low, v.high) for key, v in intervals.items()}
    print(table({score.cell.method: row}, known, style="plain"))
    print(f"{len(found.motions)} test utterances; brackets are 95 % intervals over them")
    figures: dict[str, object] = without_nan(
        {
            "name": score.cell.method,
            "utterances": len(found.motions),
            "faults": list(found.faults),
            "missing": list(found.missing),
            "figures": {key: list(interval) for key, interval in intervals.items()},
        }
    )
    return figures
