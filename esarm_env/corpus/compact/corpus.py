"""Compact corpus: reader, writer, and delta-coded 8-bit curves.

The index is read at once, speech and curves when they are asked for. Curves are stored in 255
levels as each frame's difference from the frame before, which compresses to a quarter.
"""

from __future__ import annotations

import hashlib
import io
import json
import operator
import zipfile
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import soundfile

from esarm_env.core.errors import InputError
from esarm_env.core.types import (
    N_CHANNELS,
    BoolArray,
    Corpus,
    FloatArray,
    IntArray,
    Record,
    Utterance,
)
from esarm_env.corpus.compact.speech import decode_speech, encode_speech
from esarm_env.corpus.splits import SPLITS, check_split, parallel_groups
from esarm_env.formats.archives import LARGEST, read_members

LEVELS = 255  # rounding is at most 1 / 510: for the jaw, which moves the lips most, 0.06 mm

Steps = npt.NDArray[np.uint8]
FORMAT = 1
INDEX_FILE, SPEECH_FILE, MOTION_FILE = "corpus.json", "speech.opus", "motion.npz"
_AUDIO_SCALE = np.float32(32_768)
_DATA_FILES = (SPEECH_FILE, MOTION_FILE)
_LABELS = ("id", "speaker", "emotion", "intensity", "text", "n_frames")


def pack_motion(motions: Sequence[FloatArray]) -> Steps:
    """Quantise and delta-code `motions`, each (T_i, 52) in [0, 1], to shape (52, sum T_i).

    The first step of each starts from 0. Steps wrap round at 256, so that they fit into a byte.
    """
    levels = [np.round(motion * LEVELS).astype(np.uint8) for motion in motions]
    steps = [np.diff(rows, axis=0, prepend=np.zeros((1, N_CHANNELS), np.uint8)) for rows in levels]
    return np.ascontiguousarray(np.concatenate(steps).T)  # by channel, which compresses best


def unpack_motion(steps: Steps) -> FloatArray:
    """Decode one utterance's `steps` (52, T) to motion (T, 52)."""
    levels = np.cumsum(steps, axis=1, dtype=np.uint8)  # (52, T)
    return levels.T.astype(np.float32) / np.float32(LEVELS)


class CompactCorpus:
    """Reader of a compact corpus, read lazily; implements `Corpus`.

    Decoded speech stays in memory, 32 kB a second, because metrics and trainers come back to the
    same utterances. Pickles as its folder, so that it can be handed to other processes.

    Attributes:
        folder: Where the files are.
        provenance: How the corpus came about.
    """

    def __init__(self, folder: Path) -> None:
        """Read the index of `folder`.

        Raises:
            InputError: If it is missing, damaged, or of another version of the format.
        """
        self.folder = folder
        try:
            content = (folder / INDEX_FILE).read_bytes()
            index: dict[str, Any] = json.loads(content)
            if index["format"] != FORMAT:
                raise ValueError(f"format {index['format']}")
            rows: list[dict[str, Any]] = index["utterances"]
            self._name: str = index["name"]
            self.provenance: dict[str, Any] = index["provenance"]
            self._digests: dict[str, str] = {key: index["sha256"][key] for key in _DATA_FILES}
            self._records = tuple(Record(**{key: row[key] for key in _LABELS}) for row in rows)
            self._split_names = np.array([row["split"] for row in rows])
            self._n_samples = [operator.index(row["n_samples"]) for row in rows]
            sizes = [operator.index(row["n_bytes"]) for row in rows]
            self._bytes = np.cumsum([0, *sizes], dtype=np.int64)
            lengths = [operator.index(record.n_frames) for record in self._records]
            self._frames = np.cumsum([0, *lengths], dtype=np.int64)
        except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
            raise _damaged(folder / INDEX_FILE, error) from error
        # The index holds the digests of the other files, so its own covers them all.
        self._content_hash = hashlib.sha256(content).hexdigest()
        self._decoded: dict[int, npt.NDArray[np.int16]] = {}

    @property
    def name(self) -> str:
        """Name the corpus was opened by."""
        return self._name

    @property
    def records(self) -> tuple[Record, ...]:
        """One record per utterance, in the order of the indices."""
        return self._records

    @property
    def captured(self) -> BoolArray:
        """Shape (52,): the channels this corpus measured."""
        return self._motion[1].copy()

    @property
    def content_hash(self) -> str:
        """SHA-256 of the index as stored, which holds those of speech and motion."""
        return self._content_hash

    def __len__(self) -> int:
        """Return the number of utterances."""
        return len(self._records)

    def __getitem__(self, index: int) -> Utterance:
        """Read utterance `index`."""
        if not -len(self) <= index < len(self):
            raise IndexError(f"`index` must be in 0..{len(self) - 1}, got {index}")
        index = int(index) % len(self)
        steps, captured = self._motion
        return Utterance(
            record=self._records[index],
            audio=self._samples(index).astype(np.float32) / _AUDIO_SCALE,
            motion=unpack_motion(steps[:, self._frames[index] : self._frames[index + 1]]),
            captured=captured.copy(),
        )

    def split(self, name: str) -> IntArray:
        """Return the utterance indices of `train`, `validation` or `test`, ascending."""
        return np.flatnonzero(self._split_names == check_split(name)).astype(np.int64)

    def parallel_groups(self) -> list[IntArray]:
        """Return the utterances that share speaker and sentence, two emotions or more each.

        Indices ascend in a group; a group never crosses splits.
        """
        return parallel_groups(self._records, [record.text for record in self._records])

    def __reduce__(self) -> tuple[type[CompactCorpus], tuple[Path]]:
        """Pickle as the folder."""
        return CompactCorpus, (self.folder,)

    @cached_property
    def _speech(self) -> bytes:
        return self._checked(SPEECH_FILE)

    @cached_property
    def _motion(self) -> tuple[Steps, BoolArray]:
        """Steps (52, all frames) and captured channels (52,)."""
        content = self._checked(MOTION_FILE)
        try:
            with zipfile.ZipFile(io.BytesIO(content)) as archive:
                arrays = read_members(archive, most=LARGEST)
            return arrays["steps"], arrays["captured"]
        except (ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            raise _damaged(self.folder / MOTION_FILE, error) from error

    def _checked(self, file: str) -> bytes:
        """Read a data file and verify it against the hash in the index."""
        path = self.folder / file
        try:
            content = path.read_bytes()
        except OSError as error:
            raise _damaged(path, error) from error
        found = hashlib.sha256(content).hexdigest()
        if found != self._digests[file]:
            raise _damaged(path, f"{len(content)} bytes of other content")
        return content

    def _samples(self, index: int) -> npt.NDArray[np.int16]:
        """Return the decoded samples (n_samples,) of an utterance, shared with the cache."""
        if index not in self._decoded:
            begin, end = self._bytes[index], self._bytes[index + 1]
            try:
                samples = decode_speech(self._speech[begin:end])
            except soundfile.SoundFileError as error:
                raise InputError(
                    f"{self.folder / SPEECH_FILE}: must be read by a libsndfile with Opus (1.0.29 "
                    f"or newer), got {error} from {soundfile.__libsndfile_version__}"
                ) from error
            if len(samples) != self._n_samples[index]:
                raise InputError(
                    f"libsndfile {soundfile.__libsndfile_version__} must return "
                    f"{self._n_samples[index]} samples of {self._records[index].id!r}, "
                    f"got {len(samples)}; install a newer `soundfile`"
                )
            self._decoded[index] = samples
        return self._decoded[index]


def _damaged(path: Path, reason: object) -> InputError:
    return InputError(
        f"{path}: must be a whole file of a compact corpus, got {reason}; install the package again"
    )


def write_compact(
    corpus: Corpus,
    utterances: IntArray,
    folder: Path,
    *,
    name: str,
    provenance: Mapping[str, Any],
) -> None:
    """Write `utterances` of `corpus` as a compact corpus, byte for byte reproducible.

    Args:
        corpus: Where they are from; their splits are kept.
        utterances: Indices, in the order of the new ones.
        folder: Made here; must not hold a corpus yet.
        name: Of the new corpus.
        provenance: Plain values that say how the corpus came about.
    """
    split_of = {int(index): split for split in SPLITS for index in corpus.split(split)}
    folder.mkdir(parents=True, exist_ok=True)
    rows, streams, motions = [], [], []
    for number, index in enumerate(utterances.tolist()):
        utterance = corpus[index]
        streams.append(encode_speech(utterance.audio, serial=number + 1))
        motions.append(utterance.motion)
        sizes = {"n_samples": len(utterance.audio), "n_bytes": len(streams[-1])}
        rows.append(vars(utterance.record) | sizes | {"split": split_of[index]})
    (folder / SPEECH_FILE).write_bytes(b"".join(streams))
    with (folder / MOTION_FILE).open("wb") as file:
        np.savez_compressed(file, steps=pack_motion(motions), captured=corpus.captured)
    digests = {
        file: hashlib.sha256((folder / file).read_bytes()).hexdigest()
        for file in (SPEECH_FILE, MOTION_FILE)
    }
    index = {
        "format": FORMAT,
        "name": name,
        "provenance": dict(provenance),
        "sha256": digests,
        "utterances": rows,
    }
    (folder / INDEX_FILE).write_text(json.dumps(index, indent=1) + "\n", newline="\n")
