"""The file a capture writes: a CSV with one row per video frame.

`time_s,quality,browDownLeft,...`: 53 columns, the shapes in alphabetical order without `tongueOut`,
which is not measured. `time_s` counts from the first sample of the video's own sound track (from
the first frame where there is none), so the first one is often 0 but may lie a little beside it,
below zero too. A frame without a face has quality 0 and empty cells. Quality: see `quality.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from esarm_env.cache import new_file
from esarm_env.corpus.capture.faces import MEASURED_NAMES
from esarm_env.errors import InputError
from esarm_env.types import BoolArray, FloatArray

HEADER: tuple[str, ...] = ("time_s", "quality", *MEASURED_NAMES)


@dataclass(frozen=True)
class CapturedTrack:
    """What was captured from one video.

    Attributes:
        time_s: Shape (T,), float64, strictly ascending.
        quality: Shape (T,), float32 in [0, 1]; 0 where there is no face.
        values: Shape (T, 51), float32 in [0, 1], order of `MEASURED_NAMES`; 0 where no face is.
        found: Shape (T,), whether there is a face.
    """

    time_s: np.ndarray
    quality: FloatArray
    values: FloatArray
    found: BoolArray


def write_track(path: Path, track: CapturedTrack) -> None:
    """Write `track` to `path` at once: no reader ever sees half of it.

    Raises:
        InputError: If the file cannot be written.
    """
    empty = "," * len(MEASURED_NAMES)
    cells = ",%.5f" * len(MEASURED_NAMES)
    rows = zip(track.time_s, track.quality, track.values, track.found, strict=True)
    lines = [",".join(HEADER)]
    for time_s, quality, values, found in rows:
        shapes = cells % tuple(values) if found else empty
        lines.append(f"{time_s:.6f},{quality:.5f}{shapes}")
    try:
        with new_file(path) as draft:
            draft.write_text("\n".join(lines) + "\n", encoding="utf-8", newline="")
    except OSError as error:
        reason = error.strerror or str(error)
        raise InputError(f"{path}: must be a file in a writable folder, got {reason}") from error
