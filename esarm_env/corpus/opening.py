"""`open_corpus`: any corpus, by name (ours) or by folder (recordings)."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from esarm_env.core.cache import cache_dir
from esarm_env.core.errors import InputError
from esarm_env.core.plugins import did_you_mean
from esarm_env.core.shipped import MINI_CORPUS, shipped_corpus

if TYPE_CHECKING:
    from esarm_env.core.types import Corpus

GENERATED_CORPORA = ("synthetic-mead", "synthetic-ravdess")
CORPUS_NAMES = (MINI_CORPUS, *GENERATED_CORPORA)


def check_corpus_name(name: str) -> None:
    """Check that `name` is a corpus of ours, or a folder.

    Raises:
        InputError: If it is neither.
    """
    if name not in CORPUS_NAMES and not (name and os.path.isdir(name)):
        raise InputError(
            f"`corpus` must be {', '.join(CORPUS_NAMES)} or a folder of recordings, got {name!r}"
            + did_you_mean(os.path.basename(name), CORPUS_NAMES)
        )


def open_corpus(
    name: str,
    *,
    size: int | None = None,
    seed: int = 0,
    layout: str = "auto",
    verify: bool = False,
    rate_hz: float | None = None,
    head: str | None = None,
) -> Corpus:
    """Open a corpus.

    Args:
        name: `synthetic-mini` (ships with the package: 192 utterances of `synthetic-mead`),
            `synthetic-mead`, `synthetic-ravdess` (generated at the first use, then cached), or
            a folder in one of the layouts of `esarm_env.corpus.layouts`.
        size: Number of utterances of a generated corpus; None means all.
        seed: Of a generated corpus.
        layout: Of a folder: `mead`, `vocaset`, `ravdess`, `3d-etf`, `beat`, `livelink`, `generic`,
            one of another package, or `auto`.
        verify: Of a folder: read every take that was not read before, and leave out those whose
            content cannot be used.
        rate_hz: Of a folder: frame rate of all motion, whatever its files say.
        head: Of a folder of vertices: the head that its coefficients are fitted on, by file.

    Raises:
        InputError: If there is no such corpus, the folder holds no usable take, `rate_hz` or `head`
            is given for one of ours, or `size` or `seed` for the corpus that ships.
        MissingExtraError: If an extra is missing: `synthetic` for a generated corpus, `video` for
            sound that only FFmpeg reads.
    """
    if rate_hz is not None and name in CORPUS_NAMES:
        raise InputError(
            f"`rate_hz` must be left out for the corpus {name!r}, got {rate_hz:g}; folders have one"
        )
    if head is not None and name in CORPUS_NAMES:
        raise InputError(
            f"`head` must be left out for the corpus {name!r}, got {head!r}; folders of vertices "
            "have one"
        )
    if name == MINI_CORPUS:
        return _open_mini(size, seed)
    if name in GENERATED_CORPORA:
        from esarm_env.corpus.synthetic import open_synthetic

        return open_synthetic(name, size=size, seed=seed, cache_dir=cache_dir())
    check_corpus_name(name)
    from esarm_env.corpus.folder import FolderCorpus

    return FolderCorpus(name, layout=layout, verify=verify, rate_hz=rate_hz, head=head)


def _open_mini(size: int | None, seed: int) -> Corpus:
    from esarm_env.corpus.compact import CompactCorpus

    for argument, value, absent in (("size", size, None), ("seed", seed, 0)):
        if value != absent:
            raise InputError(
                f"`{argument}` must be left out for the corpus {MINI_CORPUS!r} (in a run: `--set "
                f"corpus.{argument}=0`), got {value}; {' and '.join(GENERATED_CORPORA)} have one"
            )
    return CompactCorpus(shipped_corpus())
