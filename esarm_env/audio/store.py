"""Feature store: cached audio features of a whole corpus, looked up by utterance index.

Computed once into a float16 memory map under the user's cache folder, keyed by the corpus' content
and the encoder's settings, so that a changed corpus can never meet stale features. A SHA-256 beside
the array tells whether it is still what was computed.
"""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from esarm_env.core.cache import drop_folder, file_digest, new_folder
from esarm_env.core.errors import one_line
from esarm_env.core.progress import track

if TYPE_CHECKING:
    from esarm_env.audio.features import AudioEncoder
    from esarm_env.core.types import Corpus, FloatArray


_ARRAY, _DIGEST = "features.npy", "features.sha256"


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

    Raises:
        InputError: If the cache cannot be written, or the disk is full.
    """
    return open_rows(
        f"{corpus.content_hash}/{encoder.key}",
        lambda index: encoder.encode(corpus[index].audio),
        n_frames=[record.n_frames for record in corpus.records],
        dim=encoder.dim,
        cache=cache,
        title="Audio features" if progress else "",
    )


def open_rows(
    key: str,
    compute: Callable[[int], FloatArray],
    *,
    n_frames: Sequence[int],
    dim: int,
    cache: Path,
    title: str,
) -> FeatureStore:
    """Open what is cached under `key`; the first call computes it, utterance by utterance.

    Args:
        key: Tells everything that the features depend on.
        compute: Returns the features (T, dim) of an utterance, of about its length.
        n_frames: Frames of each utterance.
        dim: Features per frame.
        cache: Folder that holds one sub-folder per key.
        title: Of the progress bar; empty draws none.

    Raises:
        InputError: If the cache cannot be written, or the disk is full.
    """
    counts = list(n_frames)
    folder = cache / "features" / hashlib.sha256(key.encode()).hexdigest()[:24]
    shape = (sum(counts), dim)
    if folder.is_dir():
        try:
            return FeatureStore(_load(folder, shape), counts)
        except (OSError, ValueError, EOFError) as error:
            warnings.warn(
                f"{folder}: must hold the features that were computed, got {one_line(error)}; "
                "they are computed anew",
                stacklevel=3,
            )
            drop_folder(folder)
    with new_folder(folder) as draft:
        _write(compute, draft / _ARRAY, counts, dim=dim, title=title)
        (draft / _DIGEST).write_text(f"{file_digest(draft / _ARRAY)}\n")
        # Opened before it has its name, since another process may replace it once more.
        values = _load(draft, shape)
    return FeatureStore(values, counts)


def _load(folder: Path, shape: tuple[int, int]) -> npt.NDArray[np.float16]:
    """Return the array of a folder, as a memory map.

    Raises:
        OSError: If a file is missing or cannot be read.
        ValueError: If the array is not what was written.
    """
    if file_digest(folder / _ARRAY) != (folder / _DIGEST).read_text().strip():
        raise ValueError("others")
    values: npt.NDArray[np.float16] = np.load(folder / _ARRAY, mmap_mode="r")
    if values.dtype != np.float16 or values.shape != shape:
        raise ValueError(f"an array of {values.dtype}, shape {values.shape}")
    return values


def _write(
    compute: Callable[[int], FloatArray], path: Path, counts: list[int], *, dim: int, title: str
) -> None:
    shape = (sum(counts), dim)
    values = np.lib.format.open_memmap(path, mode="w+", dtype=np.float16, shape=shape)
    begin = 0
    for index in track(range(len(counts)), title, show=bool(title)):
        features, count = compute(index), counts[index]
        # Motion may be a frame or two longer or shorter than its audio: its length decides.
        features = features[:count]
        features = np.pad(features, ((0, count - len(features)), (0, 0)), mode="edge")
        values[begin : begin + count] = features
        begin += count
    values.flush()
