"""`esarm table1` and `esarm score`: methods by corpora, and other systems beside them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from train.commands.options import (
    check_folder_target,
    check_json_target,
    settle_corpus,
    use_threads,
    write_json,
)

if TYPE_CHECKING:
    from esarm_env.core.intervals import Interval
    from train.tables.predictions import Predictions
    from train.tables.table1.score import Score


def command_table1(
    *,
    out: Path,
    corpora: tuple[str, ...] = (),
    seeds: tuple[int, ...] = (),
    methods: tuple[str, ...] = (),
    preset: Literal["quick", "full"] = "full",
    size: int | None = None,
    threads: int = 0,
) -> None:
    """Table I of the paper: rivals, baselines and our methods.

    Each method is trained and measured (LVE, EVE) on each corpus and seed, with intervals over
    seeds and utterances. Interrupt it at any time; the same command goes on where it stopped.

    Args:
        out: Folder for the table. A finished run placed at OUT/CORPUS/runs/seed-K is used as it is.
        corpora: `synthetic-mead`, `synthetic-ravdess`, or folders of recordings. [default:
            synthetic-mead synthetic-ravdess; with `--preset quick` synthetic-mead]
        seeds: Seeds of training. [default: 0 1 2; with `--preset quick` 0]
        methods: Rows of the table, such as `faceformer mean-face "clone (expected distance)"`; an
            unknown name lists all. [default: all]
        preset: `full` trains every method to its end; `quick` takes a smaller corpus and short
            trainings, to see the table, not to believe it.
        size: Number of utterances of a synthetic corpus. [default: 2000; with `--preset quick` 320]
        threads: CPU threads of torch; 0 leaves the choice to torch.
    """
    from train.tables.table1.making import make_table
    from train.tables.table1.methods import METHODS
    from train.tables.table1.settings import PRESETS, TableSettings

    check_folder_target(out, name="out")
    use_threads(threads)
    settings = TableSettings(
        out=out,
        corpora=corpora or PRESETS[preset].corpora,
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
    """Score another system's predictions as in Table I.

    Give --corpus or --run; --table goes with --corpus alone. For comparison, the output also shows
    the mean face (any system should do better) and, if the run is evaluated, its regressor and
    clone.

    Args:
        folder: One file of motion for each test utterance, named by its id: `.npy`, `.npz`, `.csv`,
            `.json`, `.glb` or `.gltf`. Arrays have 52 columns, or 51 without tongueOut.
        corpus: `synthetic-mead`, `synthetic-ravdess`, or a folder of recordings. Beside --run, the
            place where the run's recordings are now, if they have moved; it is noted for all runs
            on them.
        run: A run folder whose corpus, splits and tokenizer are used.
        table: Folder of `esarm table1`. Its run of --corpus is used, and the scores are added to
            the table.
        name: Name of the system in tables; by default the name of the folder.
        seed: Which training of the system this is, if there are several of one name.
        fps: Frame rate of files that do not state one, by default 30.
        order: Order of the channels in `.npy` arrays, such as `unreal`; by default alphabetical.
        json: Also write the printed figures to this file.
    """
    from train.tables.predictions import check_predictions
    from train.tables.table1.score import add_to_table, benchmark_of, references, score_folder

    check_json_target(json)
    check_predictions(folder)  # before a corpus is made for minutes
    if run is not None and table is None:
        settle_corpus(run, corpus)
        corpus = None
    benchmark = benchmark_of(run=run, corpus=corpus, table=table, seed=seed)
    n_test = len(benchmark.test)
    print(f"{benchmark.source}: test split, {n_test} utterances")
    called = name or folder.resolve().name
    score = score_folder(folder, benchmark, name=called, seed=seed, fps=fps, order=order)
    beside, notes = references(score, benchmark)
    _print_left_out(score.found, notes)
    figures = _print_score(score, beside, n_test=n_test)
    if table is not None and corpus is not None:
        print(f"table: {add_to_table(score, benchmark, table, corpus)}")
    write_json({"source": benchmark.source, **figures}, json)


def _print_left_out(found: Predictions, notes: tuple[str, ...]) -> None:
    """Print what was mended, left out or is not there."""
    from train.tables.predictions import SUFFIXES, shortened

    for line in (*found.faults, *found.notes, *notes):
        print(line)
    known = ", ".join(SUFFIXES)
    for names, what in (
        (found.absent, "test utterances without a file"),
        (found.faulty, "test utterances whose file has a fault"),
        (found.others, "files of no test utterance"),
        (found.not_read, f"files not read, whose suffix is none of {known}"),
    ):
        if names:
            print(f"{what}: {len(names)} ({shortened(names)})")


def _print_score(
    score: Score, beside: dict[str, dict[str, Interval]], *, n_test: int
) -> dict[str, object]:
    """Print the figures, and those beside them; return what is to be kept of the score."""
    from esarm_env.metrics import table
    from esarm_env.metrics.table import Figure
    from train.run.run_folder import without_nan
    from train.tables.table1.measures import definitions

    found, intervals = score.found, score.intervals()
    known = {key: each for key, each in definitions(n_samples=2).items() if key in intervals}
    name = score.cell.method
    own = f"{name} (scored)" if name in beside else name  # else one would hide the other
    rows: dict[str, dict[str, Figure]] = {
        label: {key: (v.mean, v.low, v.high) for key, v in figures.items()}
        for label, figures in {own: intervals, **beside}.items()
    }
    print(table(rows, known, style="plain"))
    count = len(found.motions)
    of = "" if count == n_test else f" of {n_test}"
    print(f"{count}{of} test utterances; brackets are 95 % intervals over them")
    kept: dict[str, object] = without_nan(
        {
            "name": name,
            "utterances": count,
            "faults": list(found.faults),
            "missing": list(found.missing),
            "faulty": list(found.faulty),
            "others": list(found.others),
            "not_read": list(found.not_read),
            "notes": list(found.notes),
            "figures": {key: list(interval) for key, interval in intervals.items()},
            "references": {
                label: {key: list(interval) for key, interval in figures.items()}
                for label, figures in beside.items()
            },
        }
    )
    return kept
