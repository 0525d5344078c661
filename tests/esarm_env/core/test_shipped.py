"""The files that ship: whole, small, free of pickle, and what the manifest says of them."""

from __future__ import annotations

import json
import re
import shutil
from collections import Counter
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch

from esarm_env.core import shipped
from esarm_env.core.errors import InputError
from esarm_env.core.shipped import ASSETS, check_files, read_manifest, shipped_corpus, shipped_run
from esarm_env.core.types import Corpus
from esarm_env.corpus import SPLITS, open_corpus
from esarm_env.task.opening import open_task, read_corpus_file, training_speakers
from esarm_env.tokenizer import load_tokenizer

LARGEST = 8_000_000  # bytes, of all files together
EMOTIONS = {"angry", "contempt", "disgusted", "fear", "happy", "sad", "surprised"}


@pytest.fixture(scope="module")
def mini() -> Corpus:
    """Return the corpus that ships."""
    return open_corpus("synthetic-mini")


@pytest.fixture
def copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a copy that stands in the place of the shipped files, to be damaged."""
    folder = Path(shutil.copytree(ASSETS, tmp_path / "assets"))
    monkeypatch.setattr(shipped, "ASSETS", folder)
    return folder


def stored() -> dict[str, Path]:
    files = (path for path in ASSETS.rglob("*") if path.is_file())
    return {path.relative_to(ASSETS).as_posix(): path for path in files}


def test_the_manifest_names_every_file() -> None:
    """A file it forgets is never checked; a stray one is shipped to everyone."""
    listed = read_manifest(ASSETS)["files"]
    assert set(stored()) == {*listed, "assets.json"}
    assert check_files(ASSETS) == len(listed) == 10
    assert shipped_run() == ASSETS
    assert shipped_corpus() == ASSETS / "synthetic-mini"


def test_the_files_are_small_and_hold_no_pickle() -> None:
    """A pickle runs code when it is opened."""
    assert sum(path.stat().st_size for path in stored().values()) < LARGEST
    kinds = {path.suffix for path in stored().values()}
    assert kinds == {".json", ".yaml", ".safetensors", ".opus", ".npz", ".md"}
    with np.load(ASSETS / "synthetic-mini" / "motion.npz", allow_pickle=False) as file:
        assert set(file.files) == {"steps", "captured"}
        assert all(file[name].dtype != object for name in file.files)


def test_the_corpus_is_what_the_manifest_says(mini: Corpus) -> None:
    """Figures belong to the corpus they were measured on."""
    manifest = read_manifest(ASSETS)
    note = read_corpus_file(ASSETS)
    assert manifest["corpus"]["content_hash"] == note["content_hash"] == mini.content_hash
    assert manifest["corpus"]["synthetic"] is True
    assert manifest["made_from"]["corpus"] == "synthetic-mead"
    assert manifest["corpus"]["utterances"] == {s: len(mini.split(s)) for s in SPLITS}
    assert set(manifest["figures"]["corpora"]) == {"synthetic-mead", "synthetic-mini"}


def test_the_corpus_is_large_and_even_enough(mini: Corpus) -> None:
    """192 utterances, twelve speakers, each emotion at each intensity: enough to learn from."""
    assert {split: len(mini.split(split)) for split in SPLITS} == {
        "train": 112,
        "validation": 32,
        "test": 48,
    }
    assert len({record.id for record in mini.records}) == 192
    assert len({record.speaker for record in mini.records}) == 12
    ways = {("neutral", 1), *product(EMOTIONS, (1, 2, 3))}
    for split in SPLITS:
        counts = Counter(
            (mini.records[index].emotion, mini.records[index].intensity)
            for index in mini.split(split).tolist()
        )
        assert set(counts) == ways, split
        shares = [counts[way] for way in ways if way[0] != "neutral"]
        assert max(shares) - min(shares) <= 1, f"{split}: {counts}"


def test_sentences_and_half_of_the_test_speakers_are_held_out(mini: Corpus) -> None:
    """Test must hold what training never heard, or generalisation is not measured."""
    parts = {s: [mini.records[index] for index in mini.split(s).tolist()] for s in SPLITS}
    said = {split: {record.text for record in records} for split, records in parts.items()}
    assert not said["train"] & said["test"]
    assert not said["train"] & said["validation"]
    known = set(training_speakers(mini))
    assert known == {f"S{number:02d}" for number in range(1, 10)} == set(shipped_speakers())
    assert {record.speaker for record in parts["validation"]} <= known
    assert sum(record.speaker in known for record in parts["test"]) == 24


def shipped_speakers() -> list[str]:
    speakers: list[str] = read_corpus_file(ASSETS)["speakers"]
    return speakers


def test_utterances_stand_in_whole_parallel_groups(mini: Corpus) -> None:
    """Cross-reconstruction needs a sentence in several emotions by one speaker."""
    groups = mini.parallel_groups()  # type: ignore[attr-defined]  # not every corpus has them
    assert len(groups) == 24
    assert {len(group) for group in groups} == {8}
    for group in groups:
        assert len({mini.records[index].emotion for index in group.tolist()}) == 8


def test_an_utterance_is_speech_with_a_moving_face(mini: Corpus) -> None:
    """Silence or a still face would pass every check of shapes."""
    for index in (0, 100, 191):
        utterance = mini[index]
        assert 0.05 < np.abs(utterance.audio).max() <= 1
        assert utterance.captured.all()
        assert utterance.motion.std(axis=0).max() > 0.05
        duration_s = len(utterance.audio) / 16_000
        assert abs(duration_s - len(utterance.motion) / 30) < 0.1


def test_weights_are_in_single_precision_once_loaded() -> None:
    """Half precision is for the disk: on a processor it is slow, and training in it fails."""
    tokenizer = load_tokenizer(ASSETS / "prior" / "tokenizer.safetensors")
    kinds = {value.dtype for value in tokenizer.state_dict().values() if value.is_floating_point()}
    assert kinds == {torch.float32}


@pytest.mark.parametrize(
    "name",
    [
        "prior/tokenizer.safetensors",
        "reward/reward.safetensors",
        "clone/policy.safetensors",
        "synthetic-mini/speech.opus",
        "synthetic-mini/corpus.json",
        "config.yaml",
    ],
)
def test_a_damaged_or_missing_file_is_named(copy: Path, name: str) -> None:
    """One wrong byte in weights gives slightly worse figures and no error at all."""
    path = copy / name
    size = path.stat().st_size
    content = bytearray(path.read_bytes())
    content[size // 2] ^= 1
    remedy = "install the package again (in a checkout: `make assets`)"
    for damage, got in ((content, f"{size} bytes of other content"), (b"", "0 bytes of other")):
        path.write_bytes(damage)
        message = f"{path}: must be the file that was shipped ({size} bytes), got {got}"
        with pytest.raises(InputError, match=re.escape(message)) as caught:
            open_task()
        assert str(caught.value).endswith(remedy)
        shipped._checked.cache_clear()
    path.unlink()
    message = f"{path}: must be the file that was shipped ({size} bytes), got none; {remedy}"
    with pytest.raises(InputError, match=re.escape(message)):
        open_corpus("synthetic-mini")


def test_files_are_checked_once_per_process(copy: Path) -> None:
    """Sixteen environments must not hash five megabytes sixteen times."""
    assert shipped_run() == copy
    (copy / "config.yaml").unlink()
    assert shipped_run() == copy


@pytest.mark.parametrize(
    "content", [b"", b"{}", b"[1]", b"\xff", json.dumps({"format": 2, "files": {"a": 1}}).encode()]
)
def test_a_damaged_manifest_is_rejected(copy: Path, content: bytes) -> None:
    """Without it nothing can be checked."""
    path = copy / "assets.json"
    path.write_bytes(content)
    message = f"{path}: must be the manifest of the shipped files, got "
    with pytest.raises(InputError, match=re.escape(message)):
        shipped_run()
    path.unlink()
    with pytest.raises(InputError, match="install the package again"):
        shipped_run()
