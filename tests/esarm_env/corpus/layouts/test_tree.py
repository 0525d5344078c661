"""The one walk that all layouts share: what counts, and that it costs one look per folder."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from esarm_env.core.errors import InputError
from esarm_env.corpus.layouts import find_takes
from esarm_env.corpus.layouts.tree import scan_tree

Plant = Callable[..., Path]


def test_files_come_sorted_with_lower_case_kinds(plant: Plant) -> None:
    """A recorder that writes `.WAV` must not give an empty corpus; order must not be the disk's."""
    tree = scan_tree(plant("b/two.WAV", "b/one.npy", "a/three.Mp4", "zero.csv", "read.me", "plain"))
    assert [file.path for file in tree.files] == [
        "zero.csv",
        "a/three.Mp4",
        "b/one.npy",
        "b/two.WAV",
    ]
    assert [file.kind for file in tree.files] == [".csv", ".mp4", ".npy", ".wav"]
    assert tree.entries == ("a/", "b/", "plain", "read.me", "zero.csv")
    assert tree.name == "corpus"


def test_what_systems_leave_behind_does_not_count(plant: Plant) -> None:
    """macOS leaves `._NAME.wav` beside each file: every take would come twice, once unreadable."""
    tree = scan_tree(plant("audio/._a.wav", "audio/Thumbs.db", ".git/b.wav", "audio/.DS_Store"))
    assert tree.files == ()
    assert tree.entries == ("audio/",)


def test_tables_about_the_corpus_are_no_motion(plant: Plant) -> None:
    """`offsets.csv` would be listed as motion without audio, and only the top folder has tables."""
    tree = scan_tree(plant("metadata.csv", "Offsets.csv", "deep/metadata.csv"))
    assert [file.path for file in tree.files] == ["deep/metadata.csv"]


def test_links_are_followed_once(plant: Plant, tmp_path: Path) -> None:
    """People link data in from another disk; a link into the tree would double it or never end."""
    root = plant("audio/a.wav")
    outside = tmp_path / "disk"
    outside.mkdir()
    (outside / "b.wav").touch()
    for name, target in (
        ("linked", outside),
        ("linked again", outside),
        ("loop", root),
        ("up", tmp_path),
        ("inner", root / "audio"),
    ):
        (root / name).symlink_to(target, target_is_directory=True)
    files = scan_tree(root).files
    assert [file.stem for file in files] == ["a", "b"]


def test_a_folder_that_cannot_be_read_is_listed(
    plant: Plant, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half a corpus on a disk with wrong rights must not pass for the whole."""
    root = plant("open/a.wav", "locked/b.wav")
    scandir = os.scandir

    def refuse(path: Any) -> Any:
        if str(path).endswith("locked"):
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    tree = scan_tree(root)
    assert [file.stem for file in tree.files] == ["a"]
    (fault,) = tree.faults
    assert (fault.source, fault.reason) == ("locked", "cannot be read (Permission denied)")


def test_each_folder_is_read_once_and_no_file_is_asked_for(
    plant: Plant, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A glob per take, or a status per file, makes 60,000 files on a network disk take minutes."""
    root = plant(*(f"audio/s{i % 20}/{i}.wav" for i in range(2000)))
    calls = {"scandir": 0, "stat": 0}

    def counted(name: str) -> Callable[..., Any]:
        original = getattr(os, name)

        def call(*arguments: Any, **keywords: Any) -> Any:
            calls[name] += 1
            return original(*arguments, **keywords)

        return call

    for name in calls:
        monkeypatch.setattr(os, name, counted(name))
    assert len(scan_tree(root).files) == 2000
    assert calls["scandir"] == 22, "the root, `audio` and 20 speakers"
    assert calls["stat"] < 10, "status only for the root"


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse such names")
def test_a_name_that_is_not_utf8_is_left_out_and_listed(plant: Plant) -> None:
    """Old archives hold such names; printing one ended an audit of thousands in a traceback."""
    corpus = plant("audio/good.wav")
    (corpus / "audio" / os.fsdecode(b"caf\xe9.wav")).touch()
    tree = scan_tree(corpus)
    assert [file.path for file in tree.files] == ["audio/good.wav"]
    assert [(fault.source, fault.reason) for fault in tree.faults] == [
        ("audio/caf\\xe9.wav", "has a name that is not UTF-8; rename it")
    ]


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse such names")
def test_a_corpus_whose_path_is_not_utf8_is_refused(tmp_path: Path) -> None:
    """Its name stands in every report and in the run's settings, none of which can hold it."""
    corpus = tmp_path / os.fsdecode(b"caf\xe9")
    corpus.mkdir()
    with pytest.raises(InputError, match=re.escape("`folder` must have a path in UTF-8, got")):
        find_takes(corpus)
