"""A corpus in a folder of recordings: `audio/NAME.wav` beside `blendshape/NAME.npy`.

This is the 3D-ETF layout (Peng et al. 2023): motion of shape (T, 52) at 30 fps in alphabetical
ARKit order. Takes longer than a sentence are cut at pauses. Channels that never move were never
captured, and are left out of every metric.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from esarm_env.audio.loading import read_audio
from esarm_env.audio.pauses import cut_at_pauses
from esarm_env.corpus.splits import check_split, split_in_blocks
from esarm_env.errors import InputError
from esarm_env.types import (
    FRAME_RATE_HZ,
    N_CHANNELS,
    SAMPLE_RATE_HZ,
    BoolArray,
    FloatArray,
    IntArray,
    Record,
    Utterance,
)

SHORTEST_S, LONGEST_S = 1.5, 6.0
LONGEST_TAKE_S = 4 * 3600.0
MAX_LENGTH_DIFFERENCE = 3  # frames by which motion and audio of one take may differ
STILL_RANGE = 1e-3  # a channel that moves less than this was not captured


@dataclass(frozen=True)
class _Piece:
    """Where an utterance lies in its take, in frames at 30 fps."""

    take: int
    begin: int
    end: int


class FolderCorpus:
    """Utterances cut from the takes of a folder; implements `Corpus`."""

    def __init__(self, folder: str | Path) -> None:
        """Open `folder`, which holds `audio/` and `blendshape/` with equal file stems.

        Raises:
            InputError: If the layout is another one, or no take is usable.
        """
        self.name = str(folder)
        self._folder = Path(folder)
        self._takes = find_takes(Path(folder))
        self._audio, self._motion = zip(
            *(_read_take(audio, motion) for audio, motion in self._takes), strict=True
        )
        self._pieces = [
            _Piece(take, begin, end)
            for take, audio in enumerate(self._audio)
            for begin, end in _cut_frames(audio, len(self._motion[take])).tolist()
        ]
        self.records = tuple(self._record(piece) for piece in self._pieces)
        self.captured: BoolArray = np.ptp(np.concatenate(self._motion), axis=0) > STILL_RANGE

    def __len__(self) -> int:
        """Return the number of utterances."""
        return len(self._pieces)

    def __getitem__(self, index: int) -> Utterance:
        """Return utterance `index`."""
        piece = self._pieces[index]
        ratio = SAMPLE_RATE_HZ / FRAME_RATE_HZ
        samples = slice(round(piece.begin * ratio), round(piece.end * ratio))
        return Utterance(
            self.records[index],
            self._audio[piece.take][samples],
            self._motion[piece.take][piece.begin : piece.end],
            self.captured,
        )

    @cached_property
    def content_hash(self) -> str:
        """Digest of every take's audio and motion."""
        digest = hashlib.sha256()
        for audio, motion in zip(self._audio, self._motion, strict=True):
            digest.update(audio.tobytes())
            digest.update(motion.tobytes())
        return digest.hexdigest()

    def split(self, name: str) -> IntArray:
        """Return the utterance indices of a split: whole stretches of each take, 80/10/10 %."""
        return split_in_blocks([piece.take for piece in self._pieces])[check_split(name)]

    def _record(self, piece: _Piece) -> Record:
        motion = self._takes[piece.take][1]
        # Trees such as 3D-ETF's have one stem in several parts: the path tells them apart.
        part = motion.parent.parent.relative_to(self._folder)
        return Record(
            id=f"{(part / motion.stem).as_posix()}-{piece.begin:05d}",
            speaker=motion.stem.split("_")[0],
            emotion="neutral",
            intensity=1,
            text=None,
            n_frames=piece.end - piece.begin,
        )


def find_takes(folder: Path) -> list[tuple[Path, Path]]:
    """Return the (audio, motion) files with equal stems below `folder`, sorted."""
    motions = sorted(folder.glob("**/blendshape/*.npy"))
    takes = []
    for motion in motions:
        audio = sorted((motion.parent.parent / "audio").glob(f"{motion.stem}.*"))
        takes += [(audio[0], motion)] if audio else []
    if not takes:
        found = sorted(entry.name for entry in folder.iterdir())[:8] if folder.is_dir() else []
        raise InputError(
            f"{folder}: must hold `audio/NAME.wav` and `blendshape/NAME.npy` with equal names, "
            f"found {found or 'no such folder'}"
        )
    return takes


def _read_take(audio_path: Path, motion_path: Path) -> tuple[FloatArray, FloatArray]:
    """Return audio and motion of one take, trimmed to equal duration."""
    audio = read_audio(audio_path, max_duration_s=LONGEST_TAKE_S)
    motion = _read_motion(motion_path)
    heard = round(len(audio) / SAMPLE_RATE_HZ * FRAME_RATE_HZ)
    if abs(heard - len(motion)) > MAX_LENGTH_DIFFERENCE:
        raise InputError(
            f"{motion_path}: must be within {MAX_LENGTH_DIFFERENCE} frames of its audio "
            f"({heard} frames at {FRAME_RATE_HZ} fps), got {len(motion)}"
        )
    n_frames = min(heard, len(motion))
    motion = np.clip(motion[:n_frames], 0, 1).astype(np.float32)
    return audio[: n_frames * SAMPLE_RATE_HZ // FRAME_RATE_HZ], motion


def _read_motion(path: Path) -> FloatArray:
    """Return motion of shape (T, 52), as stored."""
    try:
        motion = np.lib.format.open_memmap(path, mode="r")
    except (ValueError, EOFError, OSError) as error:
        raise InputError(f"{path}: must be a whole .npy array, got {error}") from error
    if motion.dtype.kind not in "fiu" or motion.ndim != 2 or motion.shape[1] != N_CHANNELS:
        got = f"{motion.dtype} {motion.shape}"
        raise InputError(f"{path}: must be numbers of shape (T, {N_CHANNELS}), got {got}")
    if not np.isfinite(motion).all():
        raise InputError(f"{path}: must be finite, got NaN or infinite; export it again")
    return np.asarray(motion, dtype=np.float32)


def _cut_frames(audio: FloatArray, n_frames: int) -> IntArray:
    pieces = cut_at_pauses(audio, shortest_s=SHORTEST_S, longest_s=LONGEST_S)
    frames = np.round(pieces / SAMPLE_RATE_HZ * FRAME_RATE_HZ).astype(np.int64)
    return frames.clip(0, n_frames)
