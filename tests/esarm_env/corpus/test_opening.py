"""One door to all corpora: the name decides which one, and nothing else may open."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import esarm_env.corpus.synthetic
from esarm_env.core.errors import InputError
from esarm_env.corpus import CORPUS_NAMES, FolderCorpus, open_corpus
from esarm_env.corpus.layouts import find_layouts
from esarm_env.corpus.opening import GENERATED_CORPORA


@pytest.mark.parametrize("name", GENERATED_CORPORA)
def test_a_name_opens_the_synthetic_corpus_in_the_cache(
    name: str, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Size or seed dropped on the way would give every experiment the same corpus."""
    calls: list[tuple[str, dict[str, Any]]] = []
    monkeypatch.setattr(
        esarm_env.corpus.synthetic,
        "open_synthetic",
        lambda name, **rest: calls.append((name, rest)),
    )
    open_corpus(name, size=48, seed=3)
    assert calls == [(name, {"size": 48, "seed": 3, "cache_dir": cache})]


def test_the_shipped_corpus_needs_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither espeak-ng nor a cache stands between a user and the first utterance."""
    monkeypatch.setattr(esarm_env.corpus.synthetic, "open_synthetic", None)
    corpus = open_corpus("synthetic-mini", layout="auto", verify=True)
    assert (corpus.name, len(corpus)) == ("synthetic-mini", 192)
    assert "synthetic-mini" in CORPUS_NAMES


@pytest.mark.parametrize("given", [{"size": 48}, {"size": 192}, {"seed": 1}, {"size": 0}])
def test_the_shipped_corpus_has_neither_size_nor_seed(given: dict[str, int]) -> None:
    """Five seeds of one corpus would be reported as five experiments."""
    ((name, value),) = given.items()
    message = (
        f"`{name}` must be left out for the corpus 'synthetic-mini' (in a run: `--set "
        f"corpus.{name}=0`), got {value}; synthetic-mead and synthetic-ravdess have one"
    )
    with pytest.raises(InputError, match=re.escape(message)):
        open_corpus("synthetic-mini", **given)  # type: ignore[arg-type]


def test_a_folder_is_read_as_recordings(tmp_path: Path, write_take: Callable[..., None]) -> None:
    """The door must not ask for more than a folder."""
    write_take(tmp_path, "anna_1")
    corpus = open_corpus(str(tmp_path))
    assert isinstance(corpus, FolderCorpus)
    assert (corpus.name, corpus.layout, len(corpus)) == (str(tmp_path), "3d-etf", 1)


def test_layout_and_verify_reach_the_reader_of_folders(
    tmp_path: Path, write_take: Callable[..., None]
) -> None:
    """Dropped on the way, a wrong layout is guessed and NaN gets into training."""
    write_take(tmp_path, "anna_1", fps=60)
    write_take(tmp_path, "anna_2", fps=60, motion=np.full((180, 52), np.nan))
    corpus = open_corpus(str(tmp_path), layout="generic", verify=True)
    assert isinstance(corpus, FolderCorpus)
    assert corpus.layout == "generic"
    assert [fault.source for fault in corpus.faults] == ["anna_2"]


def test_an_unknown_layout_is_rejected(tmp_path: Path) -> None:
    """The message lists those there are."""
    message = "`layout` must be one of auto, mead, vocaset, "
    with pytest.raises(InputError, match=re.escape(message)):
        open_corpus(str(tmp_path), layout="hdtf")


@pytest.mark.parametrize("layout", ["auto", "mead"])
def test_a_folder_of_no_known_layout_shows_what_is_there_and_what_would_fit(
    layout: str, tmp_path: Path
) -> None:
    """Most such errors are a folder too high or too low."""
    (tmp_path / "wavs").mkdir()
    (tmp_path / "readme.txt").touch()
    with pytest.raises(InputError, match="must be laid out as below, found readme") as caught:
        open_corpus(str(tmp_path), layout=layout)
    lines = str(caught.value).splitlines()
    assert lines[0] == f"{tmp_path}: must be laid out as below, found readme.txt, wavs/"
    names = [line.strip().partition(":")[0] for line in lines[1:]]
    assert names == (list(find_layouts()) if layout == "auto" else ["mead"])
    assert all(len(line) > 30 for line in lines[1:])


@pytest.mark.parametrize("name", ["synthetic", "no/such/folder", ""])
def test_an_unknown_corpus_is_rejected(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A typo in a name must not look like an empty folder; an empty one not like this folder."""
    monkeypatch.chdir(tmp_path)
    message = (
        "`corpus` must be synthetic-mini, synthetic-mead, synthetic-ravdess "
        f"or a folder of recordings, got {name!r}"
    )
    with pytest.raises(InputError, match=re.escape(message)):
        open_corpus(name)


def test_a_file_is_no_corpus(tmp_path: Path) -> None:
    """`Path.exists` would let it through."""
    path = tmp_path / "speech.wav"
    path.touch()
    with pytest.raises(InputError, match=re.escape(f"got {str(path)!r}")):
        open_corpus(str(path))
