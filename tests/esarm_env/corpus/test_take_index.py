"""What is remembered of a folder's takes, and when it counts no more."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from esarm_env.corpus import survey as index_module
from esarm_env.corpus.survey import Entry, TakeIndex, stamp_of
from esarm_env.corpus.takes import Take


def make_take(folder: Path, name: str = "a") -> Take:
    """Write two files of a few bytes and return them as a take."""
    folder.mkdir(exist_ok=True)
    audio, motion = folder / f"{name}.wav", folder / f"{name}.npy"
    audio.write_bytes(b"sound")
    motion.write_bytes(b"motion")
    return Take(name, audio, motion, speaker="anna")


@pytest.fixture
def folder(tmp_path: Path, own_cache: Path) -> Path:
    """Return a folder that an index is kept for, in a cache of its own."""
    return tmp_path / "corpus"


def index_file(cache: Path) -> Path:
    """Return the one index in the cache."""
    (path,) = (cache / "corpora").iterdir()
    return path


def filled(folder: Path, *takes: Take) -> TakeIndex:
    """Return a saved index that has measured `takes`."""
    index = TakeIndex(folder, layout="generic")
    index.update(takes)
    for take in takes:
        index.entries[take.id].duration_s = 3.0
    index.save()
    return index


def test_entries_come_back_as_saved(folder: Path) -> None:
    """A list where a tuple was, or a digest lost, would measure or hash everything again."""
    take = make_take(folder)
    index = filled(folder, take)
    entry = index.entries["a"]
    entry.stated_hz, entry.rate_hz, entry.offset_s = 30000 / 1001, 29.97, -0.1
    entry.pieces, entry.notes, entry.digest = [(0, 50), (50, 90)], ["trimmed"], "00ff"
    index.save()
    again = TakeIndex(folder, layout="generic")
    assert again.entries == {"a": entry}
    assert again.update([take]) == []
    assert again.entries == {"a": entry}


def test_new_takes_are_told_and_lost_ones_dropped(folder: Path) -> None:
    """Entries of files that are gone would be read."""
    a, b, c = (make_take(folder, name) for name in "abc")
    index = filled(folder, a, b)
    assert index.update([b, c]) == [c]
    assert set(index.entries) == {"b", "c"}
    assert index.entries["c"] == Entry(stamp_of(c))


@pytest.mark.parametrize("part", ["audio", "motion"])
def test_a_file_of_another_size_or_time_is_told(part: str, folder: Path) -> None:
    """Exporters rewrite files with equal sizes: only the time tells."""
    take = make_take(folder)
    path = getattr(take, part)
    index = filled(folder, take)
    status = path.stat()
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns + 1))
    assert index.update([take]) == [take]
    assert index.entries["a"].duration_s == 0
    index.entries["a"].duration_s = 3.0
    path.write_bytes(b"another length")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns + 1))
    assert index.update([take]) == [take]


def test_a_take_without_motion_has_another_stamp(folder: Path) -> None:
    """Motion that is captured later must be noticed."""
    take = make_take(folder)
    alone = Take("a", take.audio, None, speaker="anna")
    assert stamp_of(alone) != stamp_of(take)
    index = filled(folder, alone)
    assert index.update([take]) == [take]


def test_another_format_of_the_same_size_and_time_is_told(folder: Path) -> None:
    """Suffixes decide how a file is read."""
    take = make_take(folder)
    assert take.motion is not None
    before = stamp_of(take)
    renamed = take.motion.rename(take.motion.with_suffix(".csv"))
    assert stamp_of(Take("a", take.audio, renamed, speaker="anna")) != before


def test_entries_of_an_older_reader_count_no_more(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a change of the resampling, old digests would stand for new motion."""
    take = make_take(folder)
    filled(folder, take)
    monkeypatch.setattr(index_module, "READER_VERSION", index_module.READER_VERSION + 1)
    assert TakeIndex(folder, layout="generic").update([take]) == [take]


def test_an_entry_that_was_never_measured_is_told_again(folder: Path) -> None:
    """An interrupt leaves such entries; taken for known, their takes would have no frame."""
    a, b, c = (make_take(folder, name) for name in "abc")
    index = filled(folder, a)
    index.update([a, b, c])
    index.entries["b"].fault = "no sound"
    index.save()
    assert TakeIndex(folder, layout="generic").update([a, b, c]) == [c]


def test_a_folder_given_from_inside_has_the_same_index(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`.` is another folder for each shell, and the same for none."""
    filled(folder, make_take(folder))
    monkeypatch.chdir(folder)
    assert TakeIndex(Path("."), layout="generic").entries
    monkeypatch.chdir(folder.parent)
    assert TakeIndex(Path("."), layout="generic").entries == {}


def test_folders_and_layouts_have_indices_of_their_own(folder: Path) -> None:
    """Two corpora with a take `001` each would read each other's lengths."""
    take = make_take(folder)
    filled(folder, take)
    assert TakeIndex(folder.parent / "." / folder.name, layout="generic").entries
    assert TakeIndex(folder, layout="beat").entries == {}
    assert TakeIndex(folder.parent, layout="generic").entries == {}


def test_a_missing_index_is_empty(folder: Path) -> None:
    """The first opening of all."""
    assert TakeIndex(folder, layout="generic").entries == {}


SPOILED = [
    b"",
    b"{",
    b"null",
    b"[]",
    b"\xff\xfe\x00",
    b'{"a": 3}',
    b'{"a": null}',
    b'{"a": {}}',
    b'{"a": {"stamp": "", "unknown": 1}}',
    b'{"a": {"stamp": "", "duration_s": 3.0, "pieces": [[1]]}}',
    b'{"a": {"stamp": "", "duration_s": 3.0, "pieces": null}}',
]


@pytest.mark.parametrize("content", SPOILED)
def test_a_spoiled_index_is_made_anew(content: bytes, folder: Path, own_cache: Path) -> None:
    """A full disk or another version must cost a second look, not the corpus."""
    take = make_take(folder)
    filled(folder, take)
    index_file(own_cache).write_bytes(content)
    index = TakeIndex(folder, layout="generic")
    assert index.update([take]) == [take]
    index.save()
    _, _, rows = index_file(own_cache).read_text().partition("\n")  # behind their checksum
    assert set(json.loads(rows)) == {"a"}


def test_a_cache_that_cannot_be_written_is_done_without(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Home folders of clusters are often full or read-only."""
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("ESARM_CACHE", str(tmp_path / "file" / "cache"))
    take = make_take(folder)
    filled(folder, take)
    assert TakeIndex(folder, layout="generic").entries == {}


def test_an_interrupted_save_keeps_the_old_index(
    folder: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half an index would be no index, and leave its draft behind."""
    index = filled(folder, make_take(folder))
    before = index_file(own_cache).read_bytes()

    def interrupt(*args: object, **options: object) -> str:
        raise KeyboardInterrupt("by the test")

    monkeypatch.setattr(index_module.json, "dumps", interrupt)
    with pytest.raises(KeyboardInterrupt, match=r"^by the test$"):
        index.save()
    assert index_file(own_cache).read_bytes() == before


def test_a_file_that_may_be_read_now_is_looked_at_again(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`chmod` changes neither size nor time: the take stayed left out for ever."""
    take = make_take(folder)
    with monkeypatch.context() as patch:
        patch.setattr(index_module.os, "access", lambda path, mode: False)
        index = TakeIndex(folder, layout="generic")
        index.update([take])
        index.entries[take.id].fault = "cannot be read"
    assert index.update([take]) == [take]
    assert index.entries[take.id].fault is None
