"""Feature store: cached audio features of a whole corpus, looked up by utterance index.

Computed once into a float16 memory map under the user's cache folder, keyed by the corpus' content
and the encoder's settings, so that a changed corpus can never meet stale features. A SHA-256 beside
the array tells whether it is still what was computed.
"""

from __future__ import annotations

import collections
import hashlib
import itertools
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from esarm_env.audio.encoders.frames import finite
from esarm_env.core.cache import drop_folder, file_digest, new_folder
from esarm_env.core.errors import one_line
from esarm_env.core.processors import n_processors
from esarm_env.core.progress import track

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from concurrent.futures import Future

    from esarm_env.audio.encoders.frames import AudioEncoder
    from esarm_env.core.types import Corpus, FloatArray
    from esarm_env.core.workers.pool import Label, Pool

    # Yields utterances with their features (T, dim), in the order of the utterances it is given.
    Rows = Callable[[Iterable[int]], Iterator[tuple[int, npt.NDArray[np.floating]]]]

_ARRAY, _DIGEST = "features.npy", "features.sha256"
_ROWS_AT_ONCE = 65_536  # of a memory map, so that a check of it takes some MB
# Utterances that a worker is sent at a time, and such parts per worker until they are written down.
_PART, _PARTS_EACH = 8, 8


class FeatureStore:
    """Features of every utterance of a corpus, shape (T, dim) each, at 30 fps."""

    def __init__(self, values: npt.NDArray[np.float16], n_frames: list[int]) -> None:
        """Wrap `values` (total frames, dim) that hold `n_frames[i]` rows of utterance `i`.

        Raises:
            ValueError: If the rows do not add up.
            InputError: If a value is nan or infinite.
        """
        if sum(n_frames) != len(values):
            raise ValueError(f"`values` must have {sum(n_frames)} rows, got {len(values)}")
        for begin in range(0, len(values), _ROWS_AT_ONCE):
            finite(values[begin : begin + _ROWS_AT_ONCE], whose=f"rows {begin} and later")
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
    corpus: Corpus,
    encoder: AudioEncoder,
    *,
    cache: Path,
    progress: bool = True,
    pool: Pool | None = None,
) -> FeatureStore:
    """Open the cached features of `corpus`; the first call computes them.

    Args:
        corpus: Read once, utterance by utterance, if its features are not cached yet.
        encoder: Computes (T, dim) per utterance.
        cache: Folder that holds one sub-folder per corpus and encoder.
        progress: Whether to draw a progress bar while computing.
        pool: Workers that share the utterances out; the features are the same.

    Raises:
        InputError: If the cache cannot be written, the disk is full, or a feature is not finite.
    """

    def rows(indices: Iterable[int]) -> Iterator[tuple[int, npt.NDArray[np.floating]]]:
        if pool is not None and pool.n_workers:
            return _by_workers(pool, corpus, encoder, indices)
        n_threads = n_processors() if getattr(encoder, "threads", False) else 1
        return _computed(
            lambda index: encoder.encode(corpus[index].audio), indices, n_threads=n_threads
        )

    return _open_rows(
        f"{corpus.content_hash}/{encoder.key}",
        rows,
        corpus=corpus,
        dim=encoder.dim,
        cache=cache,
        title="Audio features" if progress else "",
    )


def open_rows(
    key: str,
    compute: Callable[[int], FloatArray],
    *,
    corpus: Corpus,
    dim: int,
    cache: Path,
    title: str,
) -> FeatureStore:
    """Open what is cached under `key`; the first call computes it, utterance by utterance.

    Args:
        key: Tells everything that the features depend on.
        compute: Returns the features (T, dim) of an utterance, of about its length.
        corpus: Gives the lengths, and the names for messages.
        dim: Features per frame.
        cache: Folder that holds one sub-folder per key.
        title: Of the progress bar; empty draws none.

    Raises:
        InputError: If the cache cannot be written, the disk is full, or a feature is not finite.
    """

    def rows(indices: Iterable[int]) -> Iterator[tuple[int, FloatArray]]:
        return _computed(compute, indices, n_threads=1)

    return _open_rows(key, rows, corpus=corpus, dim=dim, cache=cache, title=title)


def _open_rows(
    key: str, rows: Rows, *, corpus: Corpus, dim: int, cache: Path, title: str
) -> FeatureStore:
    """Open what is cached under `key`; the first call computes it by `rows`."""
    counts = [record.n_frames for record in corpus.records]
    folder = cache / "features" / hashlib.sha256(key.encode()).hexdigest()[:24]
    shape = (sum(counts), dim)
    if folder.is_dir():
        try:
            return FeatureStore(_load(folder, shape), counts)
        except (OSError, ValueError, EOFError) as error:
            warnings.warn(
                f"{folder}: must hold the features that were computed, got {one_line(error)}; "
                "they are computed anew",
                stacklevel=4,
            )
            drop_folder(folder)
    with new_folder(folder) as draft:
        # Sums of another number of threads are added up in another order: features would depend on
        # the machine's processors, and on whether workers compute them.
        with threadpool_limits(1, user_api="blas"):
            _write(rows, draft / _ARRAY, corpus, dim=dim, title=title)
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


def _write(rows: Rows, path: Path, corpus: Corpus, *, dim: int, title: str) -> None:
    counts, names = zip(*((record.n_frames, record.id) for record in corpus.records), strict=True)
    shape = (sum(counts), dim)
    values = np.lib.format.open_memmap(path, mode="w+", dtype=np.float16, shape=shape)
    begin = 0
    indices = track(range(len(counts)), title, show=bool(title))
    for index, computed in rows(indices):
        features, count = _in_half_precision(computed), counts[index]
        finite(features, whose=f"utterance {names[index]!r}")
        # Motion may be a frame or two longer or shorter than its audio: its length decides.
        features = features[:count]
        features = np.pad(features, ((0, count - len(features)), (0, 0)), mode="edge")
        values[begin : begin + count] = features
        begin += count
    values.flush()


def _computed(
    compute: Callable[[int], FloatArray], indices: Iterable[int], *, n_threads: int
) -> Iterator[tuple[int, FloatArray]]:
    """Yield utterances with their features, in order."""
    if n_threads == 1:
        for index in indices:
            yield index, compute(index)
        return
    with ThreadPoolExecutor(n_threads) as pool:
        waiting: collections.deque[tuple[int, Future[FloatArray]]] = collections.deque()
        for index in indices:
            waiting.append((index, pool.submit(compute, index)))
            if len(waiting) > 2 * n_threads:  # no more audio in memory than keeps them busy
                first, computed = waiting.popleft()
                yield first, computed.result()
        for last, computed in waiting:
            yield last, computed.result()


def _by_workers(
    pool: Pool, corpus: Corpus, encoder: AudioEncoder, indices: Iterable[int]
) -> Iterator[tuple[int, npt.NDArray[np.float16]]]:
    """Yield utterances with their features, in order; each worker has the encoder and the corpus.

    They come in half precision, as they are kept, and are written down now and then: those of a
    large corpus need not fit into memory.
    """
    pool.share("corpus", corpus)
    pool.share("encoder", encoder)
    waiting = iter(indices)
    at_once = pool.n_workers * _PARTS_EACH * _PART
    while chunk := list(itertools.islice(waiting, at_once)):
        parts = [chunk[begin : begin + _PART] for begin in range(0, len(chunk), _PART)]
        using = ("corpus", "encoder")
        for part, found in zip(
            parts, pool.map(_encoded, parts, using=using, label=_label(parts, corpus)), strict=True
        ):
            yield from zip(part, found, strict=True)


def _encoded(
    part: list[int], *, corpus: Corpus, encoder: AudioEncoder
) -> list[npt.NDArray[np.float16]]:
    """Return the features of the utterances of a part, in a worker."""
    return [_in_half_precision(encoder.encode(corpus[index].audio)) for index in part]


def _label(parts: list[list[int]], corpus: Corpus) -> Label:
    """Return what a message calls a part: by its first and last utterance."""
    ends = [(corpus.records[part[0]].id, corpus.records[part[-1]].id) for part in parts]
    return lambda number: "encoding utterances {!r} to {!r}".format(*ends[number])


def _in_half_precision(features: npt.NDArray[np.floating]) -> npt.NDArray[np.float16]:
    with np.errstate(over="ignore"):  # what is too large becomes infinite, and is refused
        return features.astype(np.float16)
