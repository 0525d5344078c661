"""One door to all corpora: the name decides which one, and nothing else may open."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

import esarm_env.corpus.synthetic
from esarm_env.corpus import CORPUS_NAMES, open_corpus
from esarm_env.errors import InputError


@pytest.mark.parametrize("name", CORPUS_NAMES)
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


def test_a_folder_is_read_as_recordings(tmp_path: Path) -> None:
    """A folder must reach the reader of folders, which says what is missing in it."""
    with pytest.raises(InputError, match=re.escape(f"{tmp_path}: must hold `audio/NAME.wav`")):
        open_corpus(str(tmp_path))


@pytest.mark.parametrize("name", ["synthetic", "no/such/folder", ""])
def test_an_unknown_corpus_is_rejected(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A typo in a name must not look like an empty folder; an empty one not like this folder."""
    monkeypatch.chdir(tmp_path)
    message = (
        "`corpus` must be synthetic-mead, synthetic-ravdess or a folder of recordings, "
        f"got {name!r}"
    )
    with pytest.raises(InputError, match=re.escape(message)):
        open_corpus(name)


def test_a_file_is_no_corpus(tmp_path: Path) -> None:
    """`Path.exists` would let it through."""
    path = tmp_path / "speech.wav"
    path.touch()
    with pytest.raises(InputError, match=re.escape(f"got {str(path)!r}")):
        open_corpus(str(path))
