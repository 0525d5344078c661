"""The cache: where it lies, and that nothing half-written ever gets a final name."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from esarm_env.core.cache import (
    cache_dir,
    check_target,
    file_digest,
    new_file,
    new_folder,
    read_json,
    write_text,
)
from esarm_env.core.errors import InputError


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


def test_a_link_stays_and_what_it_points_to_is_written(tmp_path: Path) -> None:
    """Results are linked into a shared folder; a file in the link's place cuts it off."""
    (tmp_path / "real").mkdir()
    target, link = tmp_path / "real" / "out.json", tmp_path / "out.json"
    target.write_text("old")
    link.symlink_to(target)
    write_text(link, "new")
    assert link.is_symlink() and target.read_text() == "new"
    assert names_in(tmp_path / "real") == ["out.json"]
    target.unlink()
    write_text(link, "made")
    assert link.is_symlink() and target.read_text() == "made"


def test_a_folder_that_is_missing_is_told_by_its_name(tmp_path: Path) -> None:
    """A mistyped folder was 'No such file or directory', to be mended by its permissions."""
    target = tmp_path / "nodir" / "x.csv"
    message = f"got {target.parent}, which does not exist; make it first, or choose another place"
    with pytest.raises(InputError, match=re.escape(message)):
        check_target(target, make_folder=False)
    with pytest.raises(InputError, match=re.escape(message)):
        write_text(target, "text", make_folder=False)
    write_text(target, "text")


def test_links_in_a_circle_are_one_clear_line(tmp_path: Path) -> None:
    """`realpath` gives such a path back as if nothing were wrong with it."""
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    with pytest.raises(InputError, match=r"loop: must be a file in a writable folder, got "):
        write_text(loop, "text")
    assert loop.is_symlink()


def test_a_fifo_stays_and_gets_the_text(tmp_path: Path) -> None:
    """`mkfifo` is how one program hands figures to the next; a plain file would starve it."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    heard: list[str] = []
    reader = threading.Thread(target=lambda: heard.append(fifo.read_text()))
    reader.start()
    write_text(fifo, "figures")
    reader.join()
    assert heard == ["figures"]
    assert stat.S_ISFIFO(fifo.lstat().st_mode)
    assert names_in(tmp_path) == ["fifo"]


def test_a_device_stays_a_device() -> None:
    """As root, `--json /dev/null` replaced the device of the whole machine."""
    before = os.stat("/dev/null")
    write_text(Path("/dev/null"), "text")
    after = os.stat("/dev/null")
    assert stat.S_ISCHR(after.st_mode) and after.st_ino == before.st_ino


def test_a_full_device_is_one_clear_line() -> None:
    """`/dev/full` answers as a full disk does."""
    message = "/dev/full: must be written whole, got 'No space left on device'; make room"
    with pytest.raises(InputError, match=re.escape(message)):
        write_text(Path("/dev/full"), "text")


@pytest.mark.parametrize("name", ["/dev/stdout", "out.txt"])
def test_standard_output_is_written_through(tmp_path: Path, name: str) -> None:
    """Replaced or cut, a file that a shell opened would lose what was printed into it."""
    source = (
        "from pathlib import Path; from esarm_env.core.cache import write_text\n"
        f"print('before'); write_text(Path({name!r}), 'text\\n'); print('after')\n"
    )
    with (tmp_path / "out.txt").open("w") as output:
        subprocess.run([sys.executable, "-c", source], stdout=output, cwd=tmp_path, check=True)
    assert (tmp_path / "out.txt").read_text() == "before\ntext\nafter\n"


def test_a_folder_in_the_files_place_is_one_clear_line(tmp_path: Path) -> None:
    """The rename alone would say so, after hours."""
    (tmp_path / "out").mkdir()
    with pytest.raises(
        InputError, match=r"out: must be a file in a writable folder, got 'Is a dir"
    ):
        write_text(tmp_path / "out", "text")


def test_permissions_of_an_old_file_are_kept(tmp_path: Path) -> None:
    """Private figures must not become readable for all by being written again."""
    target = tmp_path / "private.json"
    target.write_text("old")
    target.chmod(0o600)
    write_text(target, "new")
    assert target.stat().st_mode & 0o777 == 0o600


def test_a_file_that_may_not_be_written_is_not_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A rename would do so, since only the folder is asked for it."""
    target = tmp_path / "precious.json"
    target.write_text("precious")
    monkeypatch.setattr(os, "access", lambda *_: False)  # tests run as root, who may do anything
    with pytest.raises(InputError, match=re.escape("got 'Permission denied'; choose another")):
        write_text(target, "new")
    assert target.read_text() == "precious"


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
@pytest.mark.parametrize("step", ["write", "fsync"])
def test_a_full_disk_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, step: str
) -> None:
    """Whether it shows while writing or only when the file must be on the disk."""
    target = tmp_path / "weights.bin"
    target.write_text("old")

    def full(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    if step == "fsync":
        monkeypatch.setattr(os, "fsync", full)
    rule = f"{target}: must be written whole, got '{os.strerror(code)}'; make room and run the same"
    with pytest.raises(InputError, match=re.escape(rule)), new_file(target) as draft:
        draft.write_text("new")
        if step == "write":
            full()
    assert target.read_text() == "old"
    assert names_in(tmp_path) == ["weights.bin"], "the draft stayed behind"


def test_a_full_disk_leaves_no_folder(tmp_path: Path) -> None:
    """Half a cache would be served from then on."""
    with pytest.raises(InputError, match="make room"), new_folder(tmp_path / "corpus") as draft:
        (draft / "a.txt").write_text("half")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert names_in(tmp_path) == []


def test_an_error_about_another_file_stays(tmp_path: Path) -> None:
    """It would blame the output for an input that is missing."""
    missing = tmp_path / "missing"
    with pytest.raises(FileNotFoundError, match="missing"), new_file(tmp_path / "out"):
        missing.read_text()


def test_no_home_is_one_clear_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """A container's user may be in no list of users."""

    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    for name in ("ESARM_CACHE", "XDG_CACHE_HOME", "HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(Path, "home", homeless)
    with pytest.raises(InputError, match=re.escape("got none; set ESARM_CACHE to a folder")):
        cache_dir()


@pytest.mark.parametrize(
    ("content", "got"),
    [
        (b"", "Expecting value"),
        (b'{"a": 1', "Expecting"),
        (b"\xff", "codec can't decode"),
        (b"[1]", "no JSON object but [1]"),
        (b'{"a": NaN}', "the number NaN"),
        (b"[" * 100_000, "recursion"),
    ],
)
def test_json_that_is_damaged_is_one_clear_line(tmp_path: Path, content: bytes, got: str) -> None:
    """What a cut, a disk or an editor leaves must name the file and the way out."""
    path = tmp_path / "summary.json"
    path.write_bytes(content)
    with pytest.raises(InputError, match=re.escape(got)) as caught:
        read_json(path, "a summary")
    assert str(caught.value).startswith(f"{path}: must be a summary, got ")
    assert str(caught.value).endswith(f"delete {tmp_path} and run the same command again")


def test_json_that_is_a_folder_is_one_clear_line(tmp_path: Path) -> None:
    """An `IsADirectoryError` names no remedy."""
    with pytest.raises(InputError, match=r"must be a summary that can be read, got Is a directory"):
        read_json(tmp_path, "a summary")


def test_a_digest_follows_the_content(tmp_path: Path) -> None:
    """It is kept while the file is the same, and must not be when it is not."""
    path = tmp_path / "a"
    path.write_bytes(b"one")
    first = file_digest(path)
    assert first == file_digest(path) == hashlib.sha256(b"one").hexdigest()
    path.write_bytes(b"two")
    assert file_digest(path) == hashlib.sha256(b"two").hexdigest()
