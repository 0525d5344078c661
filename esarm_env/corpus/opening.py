"""One door to all corpora: a name for the synthetic ones, a folder for recordings."""

from __future__ import annotations

from pathlib import Path

from esarm_env.cache import cache_dir
from esarm_env.corpus.folder import FolderCorpus
from esarm_env.errors import InputError
from esarm_env.types import Corpus

CORPUS_NAMES = ("synthetic-mead", "synthetic-ravdess")


def open_corpus(
    name: str,
    *,
    size: int | None = None,
    seed: int = 0,
    layout: str = "auto",
    verify: bool = False,
) -> Corpus:
    """Open a corpus.

    Args:
        name: `synthetic-mead`, `synthetic-ravdess` (generated at the first use, then cached), or
            a folder in one of the layouts of `esarm_env.corpus.layouts`.
        size: Number of utterances of a synthetic corpus; None means all.
        seed: Of a synthetic corpus.
        layout: Of a folder: `mead`, `ravdess`, `3d-etf`, `beat`, `livelink`, `generic`, or `auto`.
        verify: Of a folder: read every take that was not read before, and leave out those whose
            content cannot be used.

    Raises:
        InputError: If there is no such corpus, or the folder holds no usable take.
        MissingExtraError: If an extra is missing: `synthetic` for a synthetic corpus, `video` for
            sound that only FFmpeg reads.
    """
    if name in CORPUS_NAMES:
        from esarm_env.corpus.synthetic import open_synthetic

        return open_synthetic(name, size=size, seed=seed, cache_dir=cache_dir())
    if not name or not Path(name).is_dir():
        raise InputError(
            f"`corpus` must be {', '.join(CORPUS_NAMES)} or a folder of recordings, got {name!r}"
        )
    return FolderCorpus(name, layout=layout, verify=verify)
