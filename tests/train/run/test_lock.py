"""One process per run folder: who is refused, who is not, and what a dead process leaves."""

import errno
import os
import re
import signal
import subprocess
import sys
import threading

import pytest

import train.run.lock as lock
from esarm_env.core.errors import InputError
from train.run.config import Config
from train.run.lock import locked
from train.run.run_folder import RunFolder

# Holds the lock of the folder that it is given until its input ends.
HOLDER = """
import sys
from pathlib import Path
from train.run.lock import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path):
    """Another process that holds the lock of `tmp_path / "run"`."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path / "run")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.communicate()


def test_a_second_process_is_refused_and_told_of_the_first(holder, tmp_path):
    """Two that train in one folder rename each other's files away, and end in a traceback."""
    run = tmp_path / "run"
    rule = f"{run}: must be written by one process at a time, got process {holder.pid} on "
    with pytest.raises(InputError, match=re.escape(rule)) as caught, locked(run):
        pass
    assert re.search(r" since \d{4}-\d\d-\d\dT\S+ at work in it; wait for", str(caught.value))
    with pytest.raises(InputError, match=re.escape(rule)):
        RunFolder(run, Config()).perform("corpus", lambda folder: {})
    with pytest.raises(InputError, match=re.escape(rule)):
        RunFolder.create(run, Config())
    assert sorted(path.name for path in run.iterdir()) == [".lock"]


def test_the_lock_of_a_killed_process_does_not_block(holder, tmp_path):
    """After `kill -9` or a power cut nobody is there to delete a file."""
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    assert f"process {holder.pid} on" in (tmp_path / "run" / ".lock").read_text()
    with locked(tmp_path / "run"):
        assert f"process {os.getpid()} on" in (tmp_path / "run" / ".lock").read_text()


def test_who_reads_a_run_takes_no_lock(holder, finished_run, tmp_path):
    """A report can be looked at and a face animated while the next stage trains."""
    run = tmp_path / "run"
    (run / "config.yaml").write_text((finished_run / "config.yaml").read_text())
    assert RunFolder.open(run).config == RunFolder.open(finished_run).config


def test_a_process_may_take_its_own_lock_again(tmp_path):
    """A command holds it from end to end, and every stage in it takes it too."""
    with locked(tmp_path):
        with locked(tmp_path):
            pass
        assert lock._held, "the inner one must not give it back"
    assert not lock._held


def test_another_thread_is_refused(tmp_path):
    """Two threads would write the same files as two processes."""
    said = []

    def other():
        try:
            with locked(tmp_path):
                pass
        except InputError as error:
            said.append(str(error))

    with locked(tmp_path):
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
    assert len(said) == 1 and "got another thread of this process at work in it" in said[0]


def test_a_folder_without_locks_is_said_once(tmp_path, monkeypatch):
    """Some network file systems have none; a run there must go on."""

    def refuse(*_):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(lock.fcntl, "flock", refuse)
    monkeypatch.setattr(lock, "_warned", set())
    with pytest.warns(UserWarning, match="two processes at once are not noticed here") as caught:
        for _ in range(2):
            with locked(tmp_path):
                pass
    assert len(caught) == 1


def test_a_full_disk_does_not_lock_a_run_out(tmp_path, monkeypatch):
    """The text of the lock is a service; the lock itself takes no room."""

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "pwrite", full)
    with locked(tmp_path):
        assert (tmp_path / ".lock").read_text() == ""


def test_a_folder_that_cannot_be_is_one_clear_line(tmp_path):
    """The default folder may stand below a file, or on a read-only share."""
    (tmp_path / "file").write_text("")
    rule = f"`run` must be a folder that can be written, got {tmp_path / 'file' / 'run'} (Not a dir"
    with pytest.raises(InputError, match=re.escape(rule)), locked(tmp_path / "file" / "run"):
        pass


def test_drafts_of_a_killed_process_go(tmp_path):
    """They take room on the disk that was full, and are in every copy of the run."""
    (tmp_path / "improve").mkdir()
    for draft in (tmp_path / ".config.yaml-1a.draft", tmp_path / "improve" / ".policy-2b.draft"):
        draft.write_text("half")
    (tmp_path / "config.yaml").write_text("whole")
    with locked(tmp_path):
        pass
    names = sorted(path.name for path in tmp_path.rglob("*"))
    assert names == [".lock", "config.yaml", "improve"]


def test_a_link_in_the_place_of_the_lock_is_not_followed(tmp_path):
    """A run of somebody else's could lead to any file of ours."""
    (tmp_path / "precious").write_text("mine")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / ".lock").symlink_to(tmp_path / "precious")
    with pytest.raises(InputError, match="must be a folder that can be written"):
        with locked(tmp_path / "run"):
            pass
    assert (tmp_path / "precious").read_text() == "mine"
