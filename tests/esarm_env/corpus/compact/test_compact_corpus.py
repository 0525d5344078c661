"""A compact corpus against the one it was cut from."""

from __future__ import annotations

import hashlib
import json
import pickle
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from esarm_env.core.errors import InputError
from esarm_env.core.types import Corpus
from esarm_env.corpus.compact import CompactCorpus, write_compact
from esarm_env.corpus.compact import corpus as reading

CHOSEN = np.array([0, 1, 4, 5, 8, 11])
FILES = ("corpus.json", "speech.opus", "motion.npz")


@pytest.fixture(scope="module")
def folder(tiny_corpus: Corpus, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return six of the twelve utterances of `tiny_corpus` as a compact corpus."""
    folder = tmp_path_factory.mktemp("compact") / "mini"
    write_compact(tiny_corpus, CHOSEN, folder, name="mini", provenance={"corpus": "tiny"})
    return folder


@pytest.fixture
def copy(folder: Path, tmp_path: Path) -> Path:
    """Return a folder of its own, to be damaged."""
    return Path(shutil.copytree(folder, tmp_path / "copy"))


def test_it_holds_what_was_chosen(folder: Path, tiny_corpus: Corpus) -> None:
    """An offset that is one off gives every utterance its neighbour's voice."""
    corpus = CompactCorpus(folder)
    assert (corpus.name, len(corpus)) == ("mini", 6)
    assert corpus.provenance == {"corpus": "tiny"}
    np.testing.assert_array_equal(corpus.captured, tiny_corpus.captured)
    for index, parent in enumerate(CHOSEN.tolist()):
        ours, theirs = corpus[index], tiny_corpus[parent]
        assert ours.record == theirs.record == corpus.records[index]
        assert len(ours.audio) == len(theirs.audio)
        assert np.corrcoef(ours.audio, theirs.audio)[0, 1] > 0.95
        np.testing.assert_allclose(ours.motion, theirs.motion, atol=0.5 / 255 + 1e-6)


def test_splits_and_groups_are_those_of_the_parent(folder: Path) -> None:
    """A test utterance in training would flatter every table."""
    corpus = CompactCorpus(folder)
    assert corpus.split("train").tolist() == [0, 1, 2, 3]
    assert corpus.split("validation").tolist() == [4]
    assert corpus.split("test").tolist() == [5]
    assert [group.tolist() for group in corpus.parallel_groups()] == [[0, 1], [2, 3]]
    with pytest.raises(InputError, match="`split` must be one of train, validation, test"):
        corpus.split("dev")


def test_equal_input_gives_equal_bytes(folder: Path, tiny_corpus: Corpus, tmp_path: Path) -> None:
    """The committed files must not change when nothing did."""
    write_compact(tiny_corpus, CHOSEN, tmp_path, name="mini", provenance={"corpus": "tiny"})
    for file in FILES:
        assert (tmp_path / file).read_bytes() == (folder / file).read_bytes(), file


def test_the_hash_is_that_of_the_stored_bytes(folder: Path, copy: Path) -> None:
    """Hashing decoded sound would give another corpus on another processor."""
    corpus = CompactCorpus(folder)
    assert corpus.content_hash == hashlib.sha256((folder / FILES[0]).read_bytes()).hexdigest()
    index = json.loads((copy / FILES[0]).read_text())
    for file in FILES[1:]:
        stored = hashlib.sha256((folder / file).read_bytes()).hexdigest()
        assert index["sha256"][file] == stored, "or the hash would not cover it"
    index["utterances"][0]["emotion"] = "sad"
    (copy / FILES[0]).write_text(json.dumps(index))
    assert CompactCorpus(copy).content_hash != corpus.content_hash


def test_opening_reads_the_index_alone(copy: Path) -> None:
    """`make` must not pay for speech that the feature cache stands in for."""
    for file in FILES[1:]:
        (copy / file).unlink()
    corpus = CompactCorpus(copy)
    assert len(corpus.records) == 6
    message = f"{copy / 'motion.npz'}: must be a whole file of a compact corpus, got "
    with pytest.raises(InputError, match=re.escape(message)):
        corpus[0]


def test_nothing_is_shared_between_readings(folder: Path) -> None:
    """Who scales his audio in place must not scale everyone's."""
    corpus = CompactCorpus(folder)
    first = corpus[2]
    first.audio[:] = 0
    first.motion[:] = 0
    first.captured[:] = False
    again = corpus[2]
    assert again.audio.any()
    assert again.motion.any()
    assert again.captured.all()
    assert corpus.captured.all()


def test_speech_is_decoded_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Metrics come back to an utterance at the end of every episode."""
    corpus = CompactCorpus(folder)
    before = corpus[1].audio
    monkeypatch.delattr(reading, "decode_speech")
    np.testing.assert_array_equal(corpus[1].audio, before)
    with pytest.raises(NameError, match="decode_speech"):
        corpus[2]


def test_it_pickles_as_its_folder(folder: Path) -> None:
    """Worker processes get it with the environment; its sound must not go along."""
    corpus = CompactCorpus(folder)
    utterance = corpus[3]
    content = pickle.dumps(corpus)
    assert len(content) < 1000
    np.testing.assert_array_equal(pickle.loads(content)[3].audio, utterance.audio)


def test_negative_indices_count_from_the_end_and_others_end(folder: Path) -> None:
    """`for utterance in corpus` stops at the IndexError."""
    corpus = CompactCorpus(folder)
    assert corpus[-1].record == corpus.records[5]
    assert len(list(corpus)) == 6  # type: ignore[call-overload]  # by __getitem__ alone
    for index in (6, -7):
        with pytest.raises(IndexError, match=re.escape(f"`index` must be in 0..5, got {index}")):
            corpus[index]


def without(key: str) -> Any:
    return lambda index: {name: value for name, value in index.items() if name != key}


@pytest.mark.parametrize(
    ("change", "shown"),
    [
        (lambda index: index | {"format": 2}, "format 2"),
        (without("sha256"), "'sha256'"),
        (without("utterances"), "'utterances'"),
        (lambda index: index | {"sha256": {}}, "'speech.opus'"),
        (lambda index: index | {"utterances": [{"id": "a"}]}, "'speaker'"),
        (lambda index: [index], "list indices"),
    ],
)
def test_a_damaged_index_is_rejected(copy: Path, change: Any, shown: str) -> None:
    """The message names the file and the remedy, not a key of a dict in a traceback."""
    path = copy / "corpus.json"
    path.write_text(json.dumps(change(json.loads(path.read_text()))))
    with pytest.raises(InputError, match=re.escape(shown)) as caught:
        CompactCorpus(copy)
    assert str(caught.value).startswith(f"{path}: must be a whole file of a compact corpus, got ")
    assert str(caught.value).endswith("; install the package again")


@pytest.mark.parametrize("content", [b"", b"{", b"\xff"])
def test_an_index_that_is_no_json_is_rejected(copy: Path, content: bytes) -> None:
    """After an interrupted copy."""
    (copy / "corpus.json").write_bytes(content)
    with pytest.raises(InputError, match="must be a whole file of a compact corpus"):
        CompactCorpus(copy)
    with pytest.raises(InputError, match="No such file"):
        CompactCorpus(copy / "absent")


@pytest.mark.parametrize("file", FILES[1:])
def test_damaged_data_is_rejected(copy: Path, file: str) -> None:
    """One wrong byte of Opus is still sound, and a wrong step moves a face for good."""
    content = bytearray((copy / file).read_bytes())
    content[len(content) // 2] ^= 1
    (copy / file).write_bytes(content)
    message = (
        f"{copy / file}: must be a whole file of a compact corpus, "
        f"got {len(content)} bytes of other content; install the package again"
    )
    with pytest.raises(InputError, match=re.escape(message)):
        CompactCorpus(copy)[0]


def test_a_decoder_that_returns_other_lengths_is_reported(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An old libsndfile that keeps Opus' lead-in would shift every voice."""
    monkeypatch.setattr(reading, "decode_speech", lambda stream: np.zeros(5, np.int16))
    with pytest.raises(InputError, match=re.escape("samples of 'anna-00', got 5; install")):
        CompactCorpus(folder)[0]


def test_a_libsndfile_without_opus_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`soundfile` built from source takes the system's library, which may be old."""

    def refuse(stream: bytes) -> None:
        raise soundfile.SoundFileError("unknown format")

    monkeypatch.setattr(reading, "decode_speech", refuse)
    message = "must be read by a libsndfile with Opus (1.0.29 or newer), got unknown format from "
    with pytest.raises(InputError, match=re.escape(message)):
        CompactCorpus(folder)[0]
