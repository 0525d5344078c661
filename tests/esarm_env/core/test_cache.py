"""The cache: where it lies, and that nothing half-written ever gets a final name."""

from __future__ import annotations

from pathlib import Path

import pytest

from esarm_env.core.cache import cache_dir, new_file, new_folder


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"ESARM_CACHE": "/a/b", "XDG_CACHE_HOME": "/c"}, Path("/a/b")),
        ({"ESARM_CACHE": "", "XDG_CACHE_HOME": "/c"}, Path("/c/esarm")),
        ({"XDG_CACHE_HOME": "/c"}, Path("/c/esarm")),
        ({"XDG_CACHE_HOME": "", "HOME": "/home/u"}, Path("/home/u/.cache/esarm")),
        ({"HOME": "/home/u"}, Path("/home/u/.cache/esarm")),
    ],
)
def test_the_folder_follows_the_environment(
    variables: dict[str, str], expected: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cluster's home folder is small; the override must win, and an empty one must not."""
    for name in ("ESARM_CACHE", "XDG_CACHE_HOME", "HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert cache_dir() == expected


def test_a_finished_folder_gets_its_name(tmp_path: Path) -> None:
    """Parents are made; a shared cache must be readable for others; no draft stays."""
    target = tmp_path / "deep" / "corpus"
    with new_folder(target) as draft:
        (draft / "a.txt").write_text("whole")
        assert not target.exists(), "the name must not exist before the work is done"
    assert (target / "a.txt").read_text() == "whole"
    assert target.stat().st_mode & 0o777 == 0o755, "others cannot read the folder"
    assert names_in(target.parent) == ["corpus"], "the draft stayed behind"


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_an_interrupted_folder_leaves_nothing(tmp_path: Path, error: type[BaseException]) -> None:
    """Half a corpus under the final name would be served from then on."""
    with pytest.raises(error, match=r"^by the test$"), new_folder(tmp_path / "corpus") as draft:
        (draft / "a.txt").write_text("half")
        raise error("by the test")
    assert names_in(tmp_path) == []


def test_the_first_finished_folder_wins(tmp_path: Path) -> None:
    """Two processes fill the cache at once; neither may fail or mix its files in."""
    target = tmp_path / "corpus"
    with new_folder(target) as slow:
        (slow / "slow.txt").write_text("second")
        with new_folder(target) as fast:
            (fast / "fast.txt").write_text("first")
    assert names_in(target) == ["fast.txt"]
    assert names_in(tmp_path) == ["corpus"], "the loser's draft stayed behind"


def test_a_file_in_the_folders_place_is_an_error(tmp_path: Path) -> None:
    """To go on would mean that nothing is ever cached, silently."""
    target = tmp_path / "corpus"
    target.write_text("in the way")
    with pytest.raises(OSError, match="corpus"), new_folder(target):
        pass
    assert names_in(tmp_path) == ["corpus"], "the draft stayed behind"


def test_a_finished_file_replaces_the_old_one(tmp_path: Path) -> None:
    """A reader sees the old weights or the new ones, never a mixture."""
    target = tmp_path / "deep" / "weights.bin"
    for text in ("old", "new"):
        with new_file(target) as draft:
            draft.write_text(text)
    assert target.read_text() == "new"
    assert target.stat().st_mode & 0o777 == 0o644, "others cannot read the file"
    assert names_in(target.parent) == ["weights.bin"], "the draft stayed behind"


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_an_interrupted_file_keeps_the_old_one(tmp_path: Path, error: type[BaseException]) -> None:
    """Ctrl-C while saving must not cost the last good checkpoint."""
    target = tmp_path / "weights.bin"
    target.write_text("old")
    with pytest.raises(error, match=r"^by the test$"), new_file(target) as draft:
        draft.write_text("half")
        raise error("by the test")
    assert target.read_text() == "old"
    assert names_in(tmp_path) == ["weights.bin"], "the draft stayed behind"
