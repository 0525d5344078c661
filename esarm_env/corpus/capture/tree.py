"""Batch capture: a folder of videos to a tree of CSV files; existing files are skipped."""

from __future__ import annotations

import contextlib
import fnmatch
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from esarm_env.core.errors import InputError
from esarm_env.core.processors import n_processors
from esarm_env.core.progress import open_progress
from esarm_env.corpus.capture.landmarker import check_model
from esarm_env.corpus.capture.pool import Answer, Job, run_jobs
from esarm_env.corpus.capture.video import CaptureSummary
from esarm_env.formats.sound_suffixes import VIDEO_SUFFIXES

DEFAULT_FOLDER = "blendshape"
WORKER = (sys.executable, "-m", "esarm_env.corpus.capture.worker")


@dataclass
class CaptureReport:
    """Report on the capture of a folder of videos.

    Attributes:
        captured: Summaries by target, of the videos captured now.
        n_skipped: Videos whose CSV was there already.
        faults: One line for each video that was left out; it names the file.
    """

    captured: dict[Path, CaptureSummary] = field(default_factory=dict)
    n_skipped: int = 0
    faults: list[str] = field(default_factory=list)

    @property
    def n_frames(self) -> int:
        """Frames captured now."""
        return sum(summary.n_frames for summary in self.captured.values())

    @property
    def mean_quality(self) -> float:
        """Mean over all frames captured now, in [0, 1]; nan if there are none."""
        total = sum(each.mean_quality * each.n_frames for each in self.captured.values())
        return total / self.n_frames if self.n_frames else float("nan")

    @property
    def lost_share(self) -> float:
        """Share of the frames captured now that show no face; nan if there are none."""
        lost = sum(summary.n_lost for summary in self.captured.values())
        return lost / self.n_frames if self.n_frames else float("nan")


def capture_tree(
    source: str | Path,
    output: str | Path | None = None,
    *,
    model: str | Path,
    match: str = "*",
    overwrite: bool = False,
    n_workers: int | None = None,
    progress: bool = True,
    worker: Sequence[str] = WORKER,
) -> CaptureReport:
    """Capture every video below `source` into a CSV of the same relative path (see `video`).

    Interrupt it at any time and call it again: a CSV that is there, and not older than its video,
    is kept. A video that cannot be captured is listed in the report and costs no other.

    Args:
        source: A folder, or one video.
        output: Folder of the CSV files, `source/blendshape` by default; for one video the CSV,
            beside the video by default.
        model: MediaPipe's `face_landmarker.task`.
        match: Only videos whose path below `source`, with `/`, fits this pattern; `*` crosses
            folders, as in `*/video/front/*` for the frontal camera of MEAD.
        overwrite: Whether to capture again what is there.
        n_workers: Processes; None takes one per processor this process may use.
        progress: Whether to draw a bar (on standard error).
        worker: Command of a worker process; the model is appended.

    Raises:
        InputError: If there is no such video, the model cannot be used, no worker can start, or
            `source` is one video and cannot be captured.
        MissingExtraError: If MediaPipe or PyAV is absent.
    """
    source, model = Path(source), Path(model)
    check_model(model)
    if n_workers is not None and n_workers < 1:
        raise InputError(f"`n_workers` must be at least 1, got {n_workers}")
    report = CaptureReport()
    targets = _plan(source, None if output is None else Path(output), match, report)
    jobs = _jobs(targets, report, overwrite=overwrite)
    command = [*worker, str(model.resolve())]
    with (
        open_progress(show=progress) as bar,
        contextlib.closing(run_jobs(command, jobs, n_workers=n_workers or n_processors())) as done,
    ):
        task = bar.add_task("Capturing faces", total=len(targets), completed=report.n_skipped)
        for job, answer in done:
            _note(report, job, answer)
            bar.advance(task)
    report.faults.sort()
    if source.is_file() and report.faults:
        raise InputError(report.faults[0])
    return report


def find_videos(folder: Path, match: str = "*") -> list[Path]:
    """Return the videos below `folder` by path, without hidden files and folders.

    Raises:
        InputError: If there is none.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: no such video or folder")
    videos = []
    for place, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            path = Path(place, name)
            fits = fnmatch.fnmatchcase(path.relative_to(folder).as_posix(), match)
            if fits and path.suffix.lower() in VIDEO_SUFFIXES and not name.startswith("."):
                videos.append(path)
    if not videos:
        endings = ", ".join(sorted(VIDEO_SUFFIXES))
        raise InputError(f"{folder}: must hold videos ({endings}) that fit {match!r}, got none")
    return sorted(videos)


def _plan(source: Path, output: Path | None, match: str, report: CaptureReport) -> dict[Path, Path]:
    """Map each target CSV to its video; a second video of one name is a fault."""
    if source.is_file():
        return {output or source.with_suffix(".csv"): source}
    folder = output or source / DEFAULT_FOLDER
    targets: dict[Path, Path] = {}
    for video in find_videos(source, match):
        target = folder / video.relative_to(source).with_suffix(".csv")
        if target in targets:
            report.faults.append(
                f"{video}: must differ from {targets[target].name} in more than the ending, "
                "or both write one CSV; rename it"
            )
        else:
            targets[target] = video
    return targets


def _jobs(targets: dict[Path, Path], report: CaptureReport, *, overwrite: bool) -> list[Job]:
    """Return the remaining jobs, and count the finished ones."""
    jobs = []
    for target, video in targets.items():
        if not overwrite and target.is_file():
            if target.stat().st_mtime >= video.stat().st_mtime:
                report.n_skipped += 1
                continue
        jobs.append({"video": str(video.resolve()), "target": str(target.resolve())})
    return jobs


def _note(report: CaptureReport, job: Job, answer: Answer) -> None:
    if "fault" in answer:
        report.faults.append(answer["fault"])
    else:
        report.captured[Path(job["target"])] = CaptureSummary(**answer)
