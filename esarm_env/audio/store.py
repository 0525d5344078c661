"""Feature store: cached audio features of a whole corpus, looked up by utterance index.

Computed once into a float16 memory map under the user's cache folder, keyed by the corpus' content
and the encoder's settings, so that a changed corpus can never meet stale features.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from esarm_env.core.cache import new_folder
from esarm_env.core.progress import track

if TYPE_CHECKING:
    from esarm_env.audio.features import AudioEncoder
    from esarm_env.core.types import Corpus, FloatArray


class FeatureStore:
    """Features of every utterance of a corpus, shape (T, dim) each, at 30 fps."""

    def __init__(self, values: npt.NDArray[np.float16], n_frames: list[int]) -> None:
        """Wrap `values` (total frames, dim) that hold `n_frames[i]` rows of utterance `i`."""
        if sum(n_frames) != len(values):
            raise ValueError(f"`values` must have {sum(n_frames)} rows, got {len(values)}")
        self._values = values
        self._offsets = np.concatenate([[0], np.cumsum(n_frames)])

    @property
    def dim(self) -> int:
        """Number of features per frame."""
        return int(self._values.shape[1])

    def __len__(self) -> int:
        """Return the number of utterances."""
        return len(self._offsets) - 1

    def __getitem__(self, index: int) -> FloatArray:
        """Return the features of utterance `index`, shape (T, dim), float32, a fresh copy."""
        if not 0 <= index < len(self):
            raise IndexError(f"`index` must be in 0..{len(self) - 1}, got {index}")
        begin, end = self._offsets[index], self._offsets[index + 1]
        return self._values[begin:end].astype(np.float32)


def open_features(
    corpus: Corpus, encoder: AudioEncoder, *, cache: Path, progress: bool = True
) -> FeatureStore:
    """Open the cached features of `corpus`; the first call computes them.

    Args:
        corpus: Read once, utterance by utterance, if its features are not cached yet.
        encoder: Computes (T, dim) per utterance.
        cache: Folder that holds one sub-folder per corpus and encoder.
        progress: Whether to draw a progress bar while computing.
    """
    key = hashlib.sha256(f"{corpus.content_hash}/{encoder.key}".encode()).hexdigest()[:24]
    folder = cache / "features" / key
    n_frames = [record.n_frames for record in corpus.records]
    if not folder.is_dir():
        with new_folder(folder) as draft:
            _compute(corpus, encoder, draft / "features.npy", progress=progress)
    return FeatureStore(np.load(folder / "features.npy", mmap_mode="r"), n_frames)


def _compute(corpus: Corpus, encoder: AudioEncoder, path: Path, *, progress: bool) -> None:
    total = sum(record.n_frames for record in corpus.records)
    shape = (total, encoder.dim)
    values = np.lib.format.open_memmap(path, mode="w+", dtype=np.float16, shape=shape)
    begin = 0
    for index in track(range(len(corpus)), "Audio features", show=progress):
        features = encoder.encode(corpus[index].audio)
        n_frames = corpus.records[index].n_frames
        # Motion may be a frame or two longer or shorter than its audio: its length decides.
        features = features[:n_frames]
        features = np.pad(features, ((0, n_frames - len(features)), (0, 0)), mode="edge")
        values[begin : begin + n_frames] = features
        begin += n_frames
    values.flush()
