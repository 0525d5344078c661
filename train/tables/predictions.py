"""Predictions of any system: one file of motion for each utterance, written and read.

A file belongs to the utterance whose id is its name without the suffix, or its path within the
folder. What it holds is read as recordings are, by column name, and brought to 30 fps and to the
length of the recording; what does not fit is refused by name and costs its own utterance alone.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote

import numpy as np

from esarm_env.core.errors import InputError
from esarm_env.core.types import FRAME_RATE_HZ, N_CHANNELS
from esarm_env.corpus.motion import (
    MOTION_SUFFIXES,
    MotionTrack,
    at_frame_rate,
    check_values,
    fill_gaps,
    read_track,
)
from esarm_env.corpus.motion.track import RATE_TOLERANCE, check_rate, track_of_table
from esarm_env.face.names import ARKIT_NAMES, ORDERS
from esarm_env.formats.files import reading
from train.tables.gltf_curves import SUFFIXES as GLTF_SUFFIXES
from train.tables.gltf_curves import read_gltf_track

if TYPE_CHECKING:
    from esarm_env.core.types import Corpus, FloatArray, IntArray

SUFFIXES = (*MOTION_SUFFIXES, *GLTF_SUFFIXES)
# Frames at 30 fps by which a prediction may be shorter or longer than the recording: encoders pad
# and cut by a hop or two. Beyond that its frames are not those of the recording.
MOST_FRAMES_OFF = 2
MOST_NAMED = 8  # files or utterances in one message
# What `.npy` and `.npz` files of one column less are taken as; told once for all files.
NO_TONGUE = "51 channels: taken as all but tongueOut"
_SAFE = " +,=@()[]"  # in file names on every system; letters, digits and `_.-~` are safe anyway


@dataclass(frozen=True)
class Predictions:
    """What a folder of predictions holds.

    Attributes:
        motions: By index of the utterance, shape (T, 52) each, float32 in [0, 1], 30 fps,
            alphabetical ARKit order, as long as the recording.
        faults: A line for each file that cannot be used, with the reason, by file name.
        missing: Ids of the utterances that no usable file is there for.
        faulty: Those of them that there is a file for, with a fault.
        others: Files of no utterance that was asked for, as paths within the folder.
        not_read: Files whose suffix is none of `SUFFIXES`, as paths within the folder.
        notes: A line for each thing that was mended or left out.
    """

    motions: dict[int, FloatArray]
    faults: tuple[str, ...]
    missing: tuple[str, ...]
    faulty: tuple[str, ...]
    others: tuple[str, ...]
    not_read: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def absent(self) -> tuple[str, ...]:
        """Ids of the utterances that there is no file for."""
        return tuple(name for name in self.missing if name not in set(self.faulty))


def file_name(utterance_id: str) -> str:
    """Return the file name of an utterance, without a suffix; `unquote` leads back to the id."""
    name = quote(utterance_id, safe=_SAFE)
    return f"%2E{name[1:]}" if name.startswith(".") else name


def save_predictions(
    folder: Path,
    ids: Sequence[str],
    motions: Iterable[FloatArray],
    *,
    dtype: type[np.float16 | np.float32] = np.float32,
) -> None:
    """Write one `.npy` file for each utterance.

    Args:
        folder: Made if absent.
        ids: Of the utterances.
        motions: One for each id, shape (T, 52), 30 fps, alphabetical order, as long as the
            utterance (cut off the padding of a batch first).
        dtype: `float16` halves the files and moves no vertex by more than some micrometres.

    Raises:
        InputError: If a motion has another shape, or not as many are given as ids.
    """
    folder.mkdir(parents=True, exist_ok=True)
    listed = list(motions)
    if len(listed) != len(ids):
        raise InputError(f"`motions` must be one for each of {len(ids)} ids, got {len(listed)}")
    for name, motion in zip(ids, listed, strict=True):
        if motion.ndim != 2 or motion.shape[1] != N_CHANNELS:
            raise InputError(
                f"`motions` must have shape (T, {N_CHANNELS}), got {motion.shape} for {name}"
            )
        np.save(folder / f"{file_name(name)}.npy", motion.astype(dtype))


def load_predictions(
    folder: Path,
    corpus: Corpus,
    utterances: IntArray,
    *,
    fps: float | None = None,
    order: str | None = None,
) -> dict[int, FloatArray]:
    """Return motion (T, 52) at 30 fps by index of the utterance; a warning for each bad file.

    `read_predictions` tells faults and missing ones apart; arguments and errors are the same.
    """
    found = read_predictions(folder, corpus, utterances, fps=fps, order=order)
    for fault in found.faults:
        warnings.warn(fault, stacklevel=2)
    return found.motions


def check_predictions(folder: Path) -> None:
    """Check that a folder of predictions is there.

    Raises:
        InputError: If it is not.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: must be a folder of predictions, got none there")


def read_predictions(
    folder: Path,
    corpus: Corpus,
    utterances: IntArray,
    *,
    fps: float | None = None,
    order: str | None = None,
) -> Predictions:
    """Read the predictions of `utterances`; a bad file costs its own utterance.

    Args:
        folder: Files of motion, also in folders below it.
        corpus: Whose utterances they are of.
        utterances: Indices, shape (N,).
        fps: Frame rate of files that do not state one; 30 by default.
        order: Key of `ORDERS`, the channels of `.npy` arrays; alphabetical by default.

    Raises:
        InputError: If the folder is none, `fps` or `order` cannot be, or no file is of any
            utterance of the corpus.
    """
    check_predictions(folder)
    if order is not None and order not in ORDERS:
        raise InputError(f"`--order` must be one of {', '.join(ORDERS)}, got {order!r}")
    if fps is not None:
        check_rate("`--fps`", fps)
    files, others, not_read = _files_by_id(folder, {record.id for record in corpus.records})
    motions: dict[int, FloatArray] = {}
    faults: list[tuple[str, str, str]] = []
    missing: list[str] = []
    notes: list[str] = []
    for index in utterances.tolist():
        record = corpus.records[index]
        candidates = files.get(record.id, [])
        try:
            if len(candidates) > 1:
                names = " and ".join(_within(folder, candidates))
                raise InputError(f"{record.id}: must have one file of motion, got {names}")
            if candidates:
                motions[index], told = read_prediction(
                    candidates[0], n_frames=record.n_frames, fps=fps, order=order
                )
                notes += told
        except InputError as error:
            faults.append((_within(folder, candidates)[0], record.id, str(error)))
        if index not in motions:
            missing.append(record.id)
    asked = {corpus.records[index].id for index in utterances.tolist()}
    others += [path for name, paths in files.items() if name not in asked for path in paths]
    faults.sort()
    return Predictions(
        motions,
        faults=tuple(line for _, _, line in faults),
        missing=tuple(missing),
        faulty=tuple(name for _, name, _ in faults),
        others=tuple(sorted(_within(folder, others))),
        not_read=tuple(sorted(_within(folder, not_read))),
        notes=_told_once(notes),
    )


def _within(folder: Path, paths: Iterable[Path]) -> list[str]:
    return [path.relative_to(folder).as_posix() for path in paths]


def _told_once(notes: list[str]) -> tuple[str, ...]:
    """Return the notes, those on the missing tongue as one in front that counts the files."""
    others = tuple(note for note in notes if not note.endswith(NO_TONGUE))
    count = len(notes) - len(others)
    if not count:
        return others
    files = "1 file" if count == 1 else f"{count} files"
    return (NO_TONGUE.replace("channels:", f"channels in {files}:"), *others)


def read_prediction(
    path: Path, *, n_frames: int, fps: float | None = None, order: str | None = None
) -> tuple[FloatArray, list[str]]:
    """Read one file; return its motion (n_frames, 52) at 30 fps, and what was mended.

    Raises:
        InputError: If the file cannot be read, its rate or channels are others than said, or it is
            more than `MOST_FRAMES_OFF` frames shorter or longer.
    """
    track = _track(path, order)
    stated = track.rate_hz
    if stated is not None and fps is not None and abs(stated / fps - 1) > RATE_TOLERANCE:
        raise InputError(
            f"{path}: must have the frame rate that is given, {fps:g} fps, got {stated:g} by its "
            "own times; leave `--fps` out, it is for files that state none"
        )
    rate = stated or fps or float(FRAME_RATE_HZ)
    _check_length(path, track, rate_hz=rate, n_frames=n_frames, assumed=not (stated or fps))
    whole = fill_gaps(track, path, rate_hz=rate)
    notes, values = check_values(whole, path)
    checked = MotionTrack(values, whole.captured, whole.time_s)
    told = [f"{path}: {note}" for note in track.notes] + notes
    if order is None and path.suffix.lower() in (".npy", ".npz") and _lacks_tongue(track):
        told.append(f"{path}: {NO_TONGUE}")
    return at_frame_rate(checked, rate_hz=rate, n_frames=n_frames), told


def _lacks_tongue(track: MotionTrack) -> bool:
    """Return whether `tongueOut`, and no other channel, is not in the file."""
    return [ARKIT_NAMES[i] for i in np.flatnonzero(~track.captured)] == ["tongueOut"]


def _track(path: Path, order: str | None) -> MotionTrack:
    """Return the track of a file, with the channels of a `.npy` array in a given order."""
    if order is None:
        is_gltf = path.suffix.lower() in GLTF_SUFFIXES
        return read_gltf_track(path) if is_gltf else read_track(path)
    if path.suffix.lower() != ".npy":
        raise InputError(
            f"{path}: must be a `.npy` array where `--order` is given, got a file that names "
            "its channels itself; leave `--order` out"
        )
    with reading(path, "a whole .npy array"):
        table = np.load(path, allow_pickle=False)
    names = ORDERS[order]
    if table.dtype.kind not in "fiu" or table.ndim != 2 or table.shape[1] != len(names):
        raise InputError(
            f"{path}: must have {len(names)} columns of numbers in the order {order!r}, got "
            f"{table.dtype} of shape {table.shape}"
        )
    return track_of_table(path, names, table)


def _check_length(
    path: Path, track: MotionTrack, *, rate_hz: float, n_frames: int, assumed: bool
) -> None:
    """Refuse a track that begins later or lasts longer or shorter than the recording."""
    count, start_s = float(len(track.values)), 0.0
    if track.time_s is not None:
        start_s = float(track.time_s[0])
        count = float(track.time_s[-1] - start_s) * rate_hz + 1
    if abs(start_s) * FRAME_RATE_HZ > MOST_FRAMES_OFF:
        raise InputError(
            f"{path}: must begin with the recording, at 0 s, got a first frame at {start_s:.3f} s"
        )
    found = count * FRAME_RATE_HZ / rate_hz
    if abs(found - n_frames) <= MOST_FRAMES_OFF:
        return
    hint = "export it at the recording's length"
    if assumed:
        hint = f"it states no rate and was taken at {FRAME_RATE_HZ} fps; `--fps` gives another"
    own = "" if rate_hz == FRAME_RATE_HZ else f" ({len(track.values)} at {rate_hz:g} fps)"
    raise InputError(
        f"{path}: must have {n_frames} frames at {FRAME_RATE_HZ} fps like the recording, got "
        f"{found:.0f}{own}; {hint}"
    )


def _files_by_id(
    folder: Path, ids: set[str]
) -> tuple[dict[str, list[Path]], list[Path], list[Path]]:
    """Return the files of each utterance of the corpus, those of none, and those not read."""
    found: dict[str, list[Path]] = {}
    others: list[Path] = []
    not_read: list[Path] = []
    for place, folders, names in os.walk(folder, followlinks=True):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(name for name in names if not name.startswith(".")):
            path = Path(place) / name
            within = path.relative_to(folder).with_suffix("").as_posix()
            whose = next((each for each in (unquote(path.stem), within) if each in ids), None)
            if path.suffix.lower() not in SUFFIXES:
                not_read.append(path)
            elif whose is None:
                others.append(path)
            else:
                found.setdefault(whose, []).append(path)
    if not found:
        raise InputError(
            f"{folder}: must hold files named by the ids of utterances (as "
            f"{file_name(min(ids))}{SUFFIXES[0]}), got {_what_else(folder, others, not_read)}"
        )
    return found, others, not_read


def _what_else(folder: Path, others: list[Path], not_read: list[Path]) -> str:
    """Return what a folder without one file of an utterance holds."""
    for paths, what in ((others, "of other names"), (not_read, "of suffixes that are not read")):
        if paths:
            return f"{len(paths)} files {what} ({shortened(_within(folder, paths))})"
    return "no file of motion"


def shortened(names: Sequence[str], *, most: int = MOST_NAMED) -> str:
    """Return the first few names, for a message, and how many more there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
