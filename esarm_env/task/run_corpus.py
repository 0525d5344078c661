"""The corpus that a run was trained on: what the run notes of it, and where it is now.

A run notes where a folder of recordings was, and the hash of its content. Recordings that have
moved are looked for beside the run, as they lay before, and where the user said that they are;
whatever is found must have that hash.
"""

from __future__ import annotations

import contextlib
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeGuard

import numpy as np

from esarm_env.core.cache import cache_dir, read_json, write_text
from esarm_env.core.errors import InputError
from esarm_env.core.run_layout import (
    CORPUS_FILE,
    SUMMARY_FILE,
    is_export,
    is_file,
    need_file,
)
from esarm_env.core.shipped import MANIFEST_FILE, read_manifest
from esarm_env.core.types import EMOTIONS, N_CHANNELS
from esarm_env.corpus import CORPUS_NAMES, check_split, open_corpus

if TYPE_CHECKING:
    from esarm_env.core.types import BoolArray, Corpus, IntArray, Record, Utterance

CORPUS_KEYS = ("corpus", "layout", "size", "seed", "encoder", "content_hash", "speakers")
EMOTIONS_KEY = "training_emotions"  # which runs of earlier versions lack
FROM_RUN_KEY = "from_run"  # likewise: the recordings' folder as seen from the run's
_CORPUS_TYPES: dict[str, tuple[type, ...]] = {
    "corpus": (str,),
    "layout": (str, type(None)),
    "size": (int, type(None)),
    "seed": (int,),
    "encoder": (str,),
    "content_hash": (str,),
}
_HASH = re.compile(r"[0-9a-f]{64}")
_SHOWN = 12  # digits of a hash in a message


class NoRecordings:
    """A corpus without utterances, that of an export; implements `Corpus`."""

    name = "no recordings"
    records: tuple[Record, ...] = ()
    content_hash = "0" * 64

    def __init__(self) -> None:
        """Leave nothing to be told of what was captured."""
        self.captured: BoolArray = np.ones(N_CHANNELS, dtype=np.bool_)

    def __len__(self) -> int:
        """Return 0."""
        return 0

    def __getitem__(self, index: int) -> Utterance:
        """Refuse: there is none."""
        raise IndexError(f"`index` must be of an utterance, got {index} where there is none")

    def split(self, name: str) -> IntArray:
        """Return no indices."""
        check_split(name)
        return np.zeros(0, dtype=np.int64)


def open_run_corpus(run_path: Path, corpus: str | None = None) -> Corpus:
    """Open the corpus that a run learns from: the one that its stage `corpus` noted, unchanged.

    Every stage opens it here, with the layout and the verification of the first, so that an
    utterance's index means the same recording in all of them.

    Args:
        run_path: The run folder.
        corpus: Where its recordings are now, if they have moved; of an export, any corpus.

    Raises:
        InputError: If the run lacks its stage `corpus`, the corpus cannot be found or opened, or
            its content is other than that stage found.
    """
    source = read_corpus_file(run_path)
    if corpus not in (None, source["corpus"]) and is_export(run_path):
        return open_corpus(str(corpus), verify=True)
    place = _place(run_path, source, corpus)
    found = open_corpus(
        place,
        size=source["size"],
        seed=source["seed"],
        layout=source["layout"],
        verify=True,
        rate_hz=source.get("rate_hz"),  # runs of earlier versions have none
        head=source.get("head"),
    )
    if found.content_hash != source["content_hash"]:
        raise InputError(
            f"{run_path}: its corpus {place} must be as it was in training (content "
            f"{source['content_hash'][:_SHOWN]}), got other content "
            f"({found.content_hash[:_SHOWN]}); {_remedy(run_path, place)}, or run the stages again "
            "in a new folder"
        )
    return found


def note_place(run_path: Path, corpus: str) -> None:
    """Note where the recordings of a run are now, for all runs on them on this machine.

    Args:
        run_path: The run folder.
        corpus: The folder.

    Raises:
        InputError: If they are others than the run was trained on, or the cache cannot be written.
    """
    found = open_run_corpus(run_path, corpus)
    note = _note_of(found.content_hash)
    if note is not None:
        write_text(note, os.path.realpath(corpus) + "\n")


def relative_place(corpus: str, run_path: Path) -> str | None:
    """Return a folder of recordings as seen from a run's; None of corpora by name."""
    if corpus in CORPUS_NAMES:
        return None
    with contextlib.suppress(ValueError):  # on another drive
        return Path(os.path.relpath(corpus, os.path.realpath(run_path))).as_posix()
    return None


def _place(run_path: Path, source: dict[str, Any], corpus: str | None) -> str:
    """Return what to open: the corpus' name, or the folder where its recordings are."""
    noted = str(source["corpus"])
    if noted in CORPUS_NAMES:
        if corpus not in (None, noted):
            raise InputError(
                f"`corpus` must be left out beside `run`, which was trained on {noted}, got "
                f"{corpus!r}"
            )
        return noted
    if corpus is not None:
        if not os.path.isdir(corpus):
            raise InputError(
                f"`corpus` must be the folder where the recordings of {run_path} are now, got "
                f"{corpus!r}"
            )
        return corpus
    if is_export(run_path):
        raise InputError(
            f"{run_path}: is an export, which holds no recordings; give a folder of speech or "
            "recordings as `corpus`"
        )
    beside = source.get(FROM_RUN_KEY)
    places = [_noted_place(str(source["content_hash"])), noted]
    places += [os.path.normpath(run_path / beside)] if isinstance(beside, str) else []
    for place in places:
        if place and os.path.isdir(place):
            return place
    raise InputError(
        f"{run_path}: its recordings must be at {noted}, got no folder there; "
        f"{_remedy(run_path, noted)}"
    )


def _remedy(run_path: Path, place: str) -> str:
    if place in CORPUS_NAMES:
        return "it may be of another version"
    return (
        f"if they have moved, say where to: `esarm corpus FOLDER --run {run_path}`, or in Python "
        "`corpus=FOLDER` beside `run`"
    )


def _note_of(content_hash: str) -> Path | None:
    """Return the file that tells where recordings are; None if that is no hash of ours."""
    return cache_dir() / "places" / content_hash if _HASH.fullmatch(content_hash) else None


def _noted_place(content_hash: str) -> str | None:
    with contextlib.suppress(InputError, OSError, ValueError):  # no cache, no note
        note = _note_of(content_hash)
        return None if note is None else note.read_text(encoding="utf-8").strip()
    return None


def training_speakers(corpus: Corpus) -> tuple[str, ...]:
    """Return the speakers of the training split, sorted."""
    return tuple(sorted({corpus.records[int(i)].speaker for i in corpus.split("train")}))


def training_emotions(corpus: Corpus) -> tuple[str, ...]:
    """Return the emotions of the training split, in the order of `EMOTIONS`."""
    return _in_order({corpus.records[int(i)].emotion for i in corpus.split("train")})


def emotions_of_run(run_path: Path) -> tuple[str, ...]:
    """Return the emotions that a run was trained on; all of them where that is not known.

    Earlier versions noted those of all splits, in the summary of the stage `corpus` or in the
    manifest of what ships.

    Raises:
        InputError: If the run lacks the file, or it is damaged.
    """
    found = read_corpus_file(run_path).get(EMOTIONS_KEY)
    summary = run_path / Path(CORPUS_FILE).parent / SUMMARY_FILE
    if found is None and is_file(summary):
        found = read_json(summary, "a stage's summary").get("emotions")
    elif found is None and is_file(run_path / MANIFEST_FILE):
        found = read_manifest(run_path)["corpus"].get("emotions")
    return (_in_order(set(found)) if _is_list_of_names(found) else ()) or EMOTIONS


def _in_order(emotions: set[str]) -> tuple[str, ...]:
    return tuple(emotion for emotion in EMOTIONS if emotion in emotions)


def _is_list_of_names(value: Any) -> TypeGuard[list[str]]:
    return isinstance(value, list) and all(isinstance(name, str) for name in value)


def read_corpus_file(run_path: Path) -> dict[str, Any]:
    """Return what the stage `corpus` noted; it has at least the keys `CORPUS_KEYS`.

    Raises:
        InputError: If the run lacks the file, or it is damaged.
    """
    path = need_file(run_path, CORPUS_FILE)
    source = read_json(path, "JSON", remedy="delete the stage's folder")
    missing = [key for key in CORPUS_KEYS if key not in source]
    if missing:
        raise InputError(
            f"{path}: must have {', '.join(CORPUS_KEYS)}, got none for {', '.join(missing)}; "
            "delete the stage's folder"
        )
    wrong = [key for key, kinds in _CORPUS_TYPES.items() if not _is_of(source[key], kinds)]
    names = [key for key in ("speakers", EMOTIONS_KEY) if key in source]
    wrong += [key for key in names if not _is_list_of_names(source[key])]
    if wrong:
        said = ", ".join(f"{key} {source[key]!r:.60}" for key in wrong)
        raise InputError(
            f"{path}: must be as the stage `corpus` wrote it, got {said}; delete the stage's folder"
        )
    return source


def _is_of(value: object, kinds: tuple[type, ...]) -> bool:
    """Return whether `value` is of one of the types; True is no number here."""
    return isinstance(value, kinds) and not isinstance(value, bool)
