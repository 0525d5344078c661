"""`write_motion`: a clip to a file of any format that is installed, in one call."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from esarm_env.core.cache import new_file
from esarm_env.core.errors import InputError
from esarm_env.core.types import FRAME_RATE_HZ, FloatArray
from esarm_env.face.exporters.clip import Sound, check_motion
from esarm_env.face.exporters.registry import Exporter, exporter_for
from esarm_env.face.head import Head, load_head

if TYPE_CHECKING:
    Speech = Sound | tuple[npt.ArrayLike, int]


def write_motion(
    path: str | os.PathLike[str],
    motion: npt.ArrayLike,
    *,
    head: Head | str | os.PathLike[str] | None = None,
    speech: Speech | None = None,
    format: str | None = None,
    rate_hz: int = FRAME_RATE_HZ,
    name: str | None = None,
) -> None:
    """Write motion to a file, by the exporter of its suffix; whole or not at all.

    Formats hold different things: curves alone (`.csv`, `.npy`, `.json`), also a head (`.glb`,
    `.usda`), or a head and the sound (`.mp4`). What a format has no place for is not asked of it,
    so that one call serves all.

    Args:
        path: The file; replaced at once if it exists.
        motion: Shape (T, 52), 30 fps, alphabetical order; clipped to [0, 1].
        head: Shown where the format shows one; a name or path as of `open_head`; by default the
            head that ships with the package.
        speech: Heard where the format has sound: samples (n_samples,) in [-1, 1] and their rate.
        format: Name of the exporter, needed for suffixes that several share, such as `.json`.
        rate_hz: Frames per second of the file, 30 or 60.
        name: Of the clip; by default the file's without its suffix.

    Raises:
        InputError: If an argument breaks its rule, no exporter fits, or the file cannot be written.
        MissingExtraError: If a package is absent that the format needs.
    """
    target = Path(path)
    exporter = exporter_for(target, format=format)
    exporter.ready(rate_hz=rate_hz)
    checked = check_motion(motion, rate_hz=rate_hz)
    shown = head if isinstance(head, Head) or "head" not in exporter.takes else opened(head)
    heard = speech if speech is None or isinstance(speech, Sound) else _sound(*speech)
    write_with(
        exporter,
        target,
        checked,
        rate_hz=rate_hz,
        head=shown if isinstance(shown, Head) else None,
        speech=heard,
        name=target.stem if name is None else name,
    )


def write_with(
    exporter: Exporter,
    target: Path,
    motion: FloatArray,
    *,
    rate_hz: int,
    head: Head | None,
    speech: Sound | None,
    name: str,
) -> None:
    """Write motion by a given exporter; whatever it does, the file appears whole or not at all.

    Devices and FIFOs stay what they are.

    Args:
        exporter: Of the format.
        target: The file.
        motion: Shape (T, 52), 30 fps, checked.
        rate_hz: Frames per second of the file.
        head: None takes the one that ships with the package, where the format shows one.
        speech: None where there is none.
        name: Of the clip.

    Raises:
        InputError: If the exporter refuses, or the file cannot be written.
    """
    if head is None and "head" in exporter.takes:
        head = load_head()
    with new_file(target, keep_suffix=True, make_folder=False) as draft:
        exporter.write_clip(draft, motion, rate_hz=rate_hz, head=head, speech=speech, name=name)


def opened(head: str | os.PathLike[str] | None) -> Head:
    """Return a head by name or path, the shipped one for None."""
    from esarm_env.face.loaders.opening import open_head  # readers of all formats of heads

    return load_head() if head is None else open_head(head)


def _sound(samples: npt.ArrayLike, rate_hz: int) -> Sound:
    """Return samples as the sound of a clip."""
    try:
        values = np.asarray(samples, dtype=np.float32)
    except (TypeError, ValueError) as error:
        raise InputError(f"`speech` must be samples and their rate, got {error}") from error
    return Sound(values, rate_hz)
