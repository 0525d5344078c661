"""A stage's end is all or nothing, and what is gone on from belongs to this run alone."""

import errno
import json
import os
import re
import shutil
from pathlib import Path

import pytest
import torch

from esarm_env.core.errors import InputError
from train.run.config import Config, make_config
from train.run.loop import MAGIC, drive
from train.run.run_folder import RunFolder


class Killed(BaseException):
    """Stands for `kill -9`: nothing of ours catches it."""


@pytest.fixture
def run(tmp_path):
    return RunFolder.create(tmp_path / "run", Config())


def full(*_, **__):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def killed(*_, **__):
    raise Killed


@pytest.mark.parametrize("step", ["fsync", "rename", "replace"])
@pytest.mark.parametrize("fault", [full, killed])
def test_a_stage_ends_whole_after_a_fault_at_any_step(run, monkeypatch, step, fault):
    """A disk that filled at the end of a stage left a run that never went on."""
    worked = []

    def work(folder):
        worked.append(1)
        monkeypatch.setattr(
            *{"rename": (Path, "rename"), "replace": (Path, "replace")}.get(step, (os, "fsync")),
            fault,
        )
        return {"answer": 42}

    with pytest.raises((InputError, Killed)):
        run.perform("corpus", work)
    monkeypatch.undo()
    assert not run.is_finished("corpus")
    summary = RunFolder.open(run.path).perform("corpus", lambda folder: {"answer": 42})
    assert summary["answer"] == 42 and worked == [1]
    names = sorted(path.name for path in (run.path / "corpus").iterdir())
    assert names == ["origin.json", "summary.json"]
    assert not (run.path / ".corpus.partial").exists()


def test_a_stage_that_lacks_only_its_rename_does_not_work_again(run, monkeypatch):
    """Hours of training would be repeated for one missing step."""
    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", killed)
        with pytest.raises(Killed):
            run.perform("corpus", lambda folder: {"answer": 42})

    def again(folder):
        raise AssertionError("the stage had worked")

    assert run.perform("corpus", again)["answer"] == 42


@pytest.mark.parametrize("text", ["", "x", "nan", "-5", "1e999"])
def test_a_damaged_clock_costs_the_time_alone(run, text):
    """An empty `wall_s.txt` ended every further try in a traceback."""
    partial = run.path / ".corpus.partial"

    def interrupted(folder):
        raise KeyboardInterrupt("by the test")

    with pytest.raises(KeyboardInterrupt):
        run.perform("corpus", interrupted)
    (partial / "wall_s.txt").write_text(text)
    assert 0 <= run.perform("corpus", lambda folder: {})["wall_s"] < 60


def test_a_full_disk_in_a_stage_is_one_clear_line(run):
    """Also where a library writes by itself."""

    def work(folder):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(folder / "events"))

    rule = "events: must be written whole, got 'No space left on device'; make room"
    with pytest.raises(InputError, match=re.escape(rule)):
        run.perform("corpus", work)


def test_an_error_that_is_not_the_disks_stays(run):
    """A missing file of ours is a fault to be seen, not a matter of room."""
    with pytest.raises(FileNotFoundError, match="missing"):
        run.perform("corpus", lambda folder: (folder / "missing").read_text())


def leave_half(run, stage="corpus"):
    """Interrupt a stage that has written `half.txt`."""

    def interrupted(folder):
        (folder / "half.txt").write_text("work")
        raise KeyboardInterrupt("by the test")

    with pytest.raises(KeyboardInterrupt):
        run.perform(stage, interrupted)


def what_is_found(run, stage="corpus"):
    """Finish the stage; return what it found of an earlier try."""
    return run.perform(stage, lambda folder: {"found": (folder / "half.txt").is_file()})["found"]


def test_what_other_settings_left_is_not_gone_on_from(run):
    """A checkpoint of another learning rate fits, and nobody would notice."""
    leave_half(run)
    other = RunFolder.create(run.path, make_config(preset="demo", overrides=["seed=7"]))
    with pytest.warns(UserWarning, match="since other settings stand in the run now"):
        assert not what_is_found(other)


def test_settings_of_later_stages_may_change(run):
    """They change nothing in what this one has done."""
    leave_half(run)
    other = make_config(preset="demo", overrides=["evaluate.samples=2", "consensus.epochs=3"])
    assert what_is_found(RunFolder.create(run.path, other))


def test_what_was_made_from_other_files_is_not_gone_on_from(run):
    """A tokenizer trained anew has other tokens; the half-trained clone knows the old ones."""

    def corpus(folder):
        (folder / "corpus.json").write_text("{}")
        return {}

    run.perform("corpus", corpus)
    leave_half(run, "prior")
    (run.path / "corpus" / "corpus.json").write_text('{"seed": 1}')
    with pytest.warns(UserWarning, match="since other files stand in the run now"):
        assert not what_is_found(run, "prior")


@pytest.mark.parametrize("text", ["", "[]", None])
def test_what_tells_no_origin_is_not_gone_on_from(run, text):
    """Whose work it is, nobody can tell."""
    leave_half(run)
    origin = run.path / ".corpus.partial" / "origin.json"
    origin.unlink() if text is None else origin.write_text(text)
    with pytest.warns(UserWarning, match="is not gone on from"):
        assert not what_is_found(run)


def test_a_run_records_its_threads_and_says_if_they_change(run, monkeypatch):
    """Sums of floats in another order differ in the last digit, and so do all weights after."""
    leave_half(run)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 3)
    with pytest.warns(UserWarning, match="was begun with 1 threads and goes on with 3"):
        assert what_is_found(run)
    assert run.summary("corpus")["threads"] == 3
    assert json.loads((run.path / "corpus" / "origin.json").read_text())["threads"] == 1


class Counter:
    """A trainer that counts, is interrupted at 3, and insists on its own state."""

    def __init__(self, *, stop_at=None):
        self.n_done, self.n_total, self.stop_at = 0, 5, stop_at

    def advance(self):
        if self.n_done == self.stop_at:
            raise KeyboardInterrupt("by the test")
        self.n_done += 1
        return {"value": float(self.n_done)}

    def state_dict(self):
        return {"n_done": self.n_done}

    def load_state_dict(self, state):
        self.n_done = state["n_done"]


@pytest.fixture
def interrupted(tmp_path):
    """A folder with a checkpoint after three units."""
    with pytest.raises(KeyboardInterrupt):
        drive(Counter(stop_at=3), tmp_path, title="t", shown="value")
    return tmp_path


def altered(content):
    """Change one bit in the middle."""
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


@pytest.mark.parametrize(
    ("change", "got"),
    [
        (lambda content: b"", "a file of something else, or of an older version"),
        (lambda content: b"PK" + content, "a file of something else, or of an older version"),
        (lambda content: content[: len(content) // 2], "one that is cut or altered"),
        (lambda content: content[: len(MAGIC) + 5], "one that is cut or altered"),
        (altered, "one that is cut or altered"),
    ],
)
def test_a_checkpoint_that_changed_is_refused(interrupted, change, got):
    """torch checks no sum: a weight with another bit was trained on without a word."""
    path = interrupted / "checkpoint.pt"
    path.write_bytes(change(path.read_bytes()))
    rule = f"{path}: must be a whole checkpoint of this training, got {got}; delete it to start"
    with pytest.raises(InputError, match=re.escape(rule)):
        drive(Counter(), interrupted, title="t", shown="value")


def test_a_checkpoint_of_another_training_is_refused(interrupted):
    """PPO's would fit REINFORCE, and that of another run this one."""
    rule = "got one of other settings, data or algorithm"
    with pytest.raises(InputError, match=re.escape(rule)):
        drive(Counter(), interrupted, title="another", shown="value")
    (interrupted / "origin.json").write_text("{}")
    with pytest.raises(InputError, match=re.escape(rule)):
        drive(Counter(), interrupted, title="t", shown="value")


def test_rows_can_be_read_while_training_goes_on(tmp_path, monkeypatch):
    """Who watches a training of hours would see nothing until it has ended."""
    file, seen = tmp_path / "metrics.csv", []

    class Watched(Counter):
        def advance(self):
            seen.append(file.read_text().splitlines() if file.is_file() else None)
            return super().advance()

    monkeypatch.setattr("train.run.loop.ROWS_EVERY_S", -1.0)
    drive(Watched(), tmp_path, title="t", shown="value")
    assert seen[0] is None
    assert seen[1:3] == [["step,value", "1,1.0"], ["step,value", "1,1.0", "2,2.0"]]
    assert len(file.read_text().splitlines()) == 6


@pytest.mark.parametrize("state", [[1, 2], {}, {"n": 1}, None])
def test_a_checkpoint_of_something_else_is_one_clear_line(interrupted, monkeypatch, state):
    """A trainer's `load_state_dict` may end in any exception over another's state."""
    path = interrupted / "checkpoint.pt"
    path.unlink()
    monkeypatch.setattr(Counter, "state_dict", lambda self: state)
    with pytest.raises(KeyboardInterrupt):
        drive(Counter(stop_at=3), interrupted, title="t", shown="value")
    with pytest.raises(InputError, match=re.escape("must be a whole checkpoint of this training")):
        drive(Counter(), interrupted, title="t", shown="value")


def test_a_full_disk_keeps_the_last_checkpoint(interrupted, monkeypatch):
    """The line must tell what to do, and what was saved before must still be gone on from."""
    with monkeypatch.context() as patch:
        patch.setattr("train.run.loop.CHECKPOINT_EVERY_S", -1.0)
        patch.setattr(os, "fsync", full)
        with pytest.raises(InputError, match=re.escape("make room and run the same command")):
            drive(Counter(), interrupted, title="t", shown="value")
    rows = drive(Counter(), interrupted, title="t", shown="value")
    assert [row["value"] for row in rows] == [1, 2, 3, 4, 5]


def test_a_checkpoint_stays_until_what_it_led_to_is_safe(interrupted):
    """A disk that fills while the weights are written would cost the whole training."""
    drive(Counter(), interrupted, title="t", shown="value", keep_checkpoint=True)
    assert (interrupted / "checkpoint.pt").is_file()
    shutil.copytree(interrupted, interrupted / "copy")
    drive(Counter(), interrupted, title="t", shown="value")
    assert not (interrupted / "checkpoint.pt").exists()
