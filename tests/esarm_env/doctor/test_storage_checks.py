"""The checks of files: the shipped ones, the cache folder, drafts, arrays cut short."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from esarm_env.doctor import INSTALLATION_CHECKS, Result, Subject, run_checks


def look(name: str) -> Result:
    (check,) = (check for check in INSTALLATION_CHECKS if check.name == name)
    (result,) = run_checks([check], Subject())
    return result


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a healthy cache: features, a tokenizer, and an index that is no array."""
    folder = tmp_path / "cache"
    (folder / "features" / "ab12").mkdir(parents=True)
    np.save(folder / "features" / "ab12" / "features.npy", np.zeros((100, 35), np.float16))
    (folder / "tokenizers").mkdir()
    save_file({"codes": np.zeros((16, 8))}, folder / "tokenizers" / "cd34.safetensors")
    (folder / "index.json").write_text("[]")
    monkeypatch.setenv("ESARM_CACHE", str(folder))
    return folder


@pytest.fixture
def shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return an assets folder of one file, with its manifest."""
    content = b"one corpus"
    entry = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    folder = tmp_path / "assets"
    folder.mkdir()
    (folder / "corpus.npz").write_bytes(content)
    (folder / "assets.json").write_text(json.dumps({"format": 1, "files": {"corpus.npz": entry}}))
    monkeypatch.setattr("esarm_env.core.shipped.ASSETS", folder)
    return folder


def names_in(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_shipped_files_are_compared_with_their_manifest(shipped: Path) -> None:
    """A download that was cut short trains, and gives other figures."""
    assert look("shipped files").text == "1 files as they were shipped"
    (shipped / "corpus.npz").write_bytes(b"one horpus")
    result = look("shipped files")
    assert result.status == "FAIL"
    assert str(shipped / "corpus.npz") in result.text and "install the package again" in result.text


def test_a_shipped_file_that_is_gone_is_named(shipped: Path) -> None:
    """As is a missing manifest."""
    (shipped / "corpus.npz").unlink()
    assert "corpus.npz: must be the file that was shipped" in look("shipped files").text
    (shipped / "assets.json").unlink()
    assert "assets.json: must be the manifest" in look("shipped files").text


def test_a_healthy_cache_tells_its_size(own_cache: Path) -> None:
    """Who looks for lost gigabytes finds them by folder."""
    before = names_in(own_cache)
    result = look("cache folder")
    assert result.status == "ok"
    assert result.text.startswith(f"{own_cache}, 8 kB (features 7 kB, index.json 2 bytes, ")
    assert look("left-over drafts").text == "none"
    assert look("cached arrays").text == "2 whole"
    assert names_in(own_cache) == before, "looking must leave nothing"


def test_a_cache_that_is_not_there_yet_is_no_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It comes with the first environment; looking must not make it."""
    monkeypatch.setenv("ESARM_CACHE", str(tmp_path / "deep" / "cache"))
    assert "not made yet" in look("cache folder").text
    assert look("left-over drafts").status == look("cached arrays").status == "skipped"
    assert not list(tmp_path.iterdir())


def test_a_cache_that_cannot_be_written_is_found(
    own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every environment would compute its features anew, and then fail."""

    def refuse(**_: Any) -> Any:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(tempfile, "TemporaryFile", refuse)
    result = look("cache folder")
    assert result.text == f"{own_cache} must be a folder that can be written, got Permission denied"
    assert result.remedy is not None and "ESARM_CACHE" in result.remedy


def test_a_cache_below_a_file_is_found(own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A slip in ESARM_CACHE."""
    monkeypatch.setenv("ESARM_CACHE", str(own_cache / "index.json" / "cache"))
    assert look("cache folder").text.endswith(f"got the file {own_cache / 'index.json'}")


def test_drafts_are_told_and_left(own_cache: Path) -> None:
    """Old ones can go; a young one may belong to a process that is writing it."""
    old, young = own_cache / "features" / ".ef56-x1y2", own_cache / ".half.json-zz"
    old.mkdir()
    (old / "features.npy").write_bytes(b"x" * 3_000)
    young.write_bytes(b"y" * 50)
    yesterday = time.time() - 86_400
    os.utime(old, (yesterday, yesterday))
    result = look("left-over drafts")
    assert result.status == "ok", "they harm nobody"
    assert result.text == "1 of interrupted runs, 1 that may be in use, 3 kB"
    assert result.details == (
        f"can be deleted: {old} (3 kB)",
        f"can be deleted if no command is running: {young}",
    )
    assert old.exists() and young.exists()
    assert look("cached arrays").text == "2 whole", "drafts are not finished, so not damaged"


@pytest.mark.parametrize(
    ("length", "message"),
    [
        (-1, "7127 bytes instead of 7128"),
        (1, "7129 bytes instead of 7128"),
        (40, "its header cannot be read"),
        (0, "its header cannot be read"),
    ],
)
def test_features_cut_short_are_found(own_cache: Path, length: int, message: str) -> None:
    """A full disk leaves them; the memory map then fails, or holds zeros."""
    path = own_cache / "features" / "ab12" / "features.npy"
    content = path.read_bytes()
    kept = content[: length if abs(length) != 1 else len(content)]
    path.write_bytes({-1: content[:-1], 1: content + b"x"}.get(length, kept))
    result = look("cached arrays")
    assert result.status == "FAIL"
    assert result.text == (f"damaged files in {own_cache}: features/ab12/features.npy: {message}")
    assert result.remedy == f"delete {path.parent}; it is made anew when it is needed"
    assert path.exists()


def test_a_damaged_tokenizer_is_found(own_cache: Path) -> None:
    """Weights have headers of their own."""
    path = own_cache / "tokenizers" / "cd34.safetensors"
    path.write_bytes(path.read_bytes()[:-5])
    result = look("cached arrays")
    assert result.status == "FAIL"
    assert result.remedy == f"delete {path}; it is made anew when it is needed"


def test_many_damaged_files_are_counted(own_cache: Path) -> None:
    """A line of a hundred paths is not read."""
    for number in range(5):
        (own_cache / f"{number}.npy").write_bytes(b"")
    text = look("cached arrays").text
    assert text.count(".npy: ") == 3 and text.endswith("and 2 more")
