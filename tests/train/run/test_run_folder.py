"""Stages are complete or absent, and interruptions go on where they stopped."""

import json
import re
from pathlib import Path

import pytest

from esarm_env.core.errors import InputError
from train.run.config import Config, make_config
from train.run.loop import drive
from train.run.run_folder import RunFolder, without_nan


@pytest.fixture
def run(tmp_path):
    return RunFolder.create(tmp_path / "run", Config())


def test_a_finished_stage_is_not_done_again(run):
    """Hours of training must survive a second `esarm run`."""
    assert run.perform("corpus", lambda folder: {"answer": 42})["answer"] == 42

    def again(folder):
        raise AssertionError("the stage was finished")

    assert run.perform("corpus", again)["answer"] == 42


def test_an_interrupted_stage_leaves_no_finished_folder_and_keeps_its_work(run):
    """A half-written stage that looks done would be read by the next one."""

    def interrupted(folder):
        (folder / "half.txt").write_text("work")
        raise KeyboardInterrupt("by the test")

    with pytest.raises(KeyboardInterrupt, match=r"^by the test$"):
        run.perform("corpus", interrupted)
    assert not run.is_finished("corpus")

    def resumed(folder):
        return {"found": (folder / "half.txt").read_text()}

    assert run.perform("corpus", resumed)["found"] == "work"


def test_a_stage_names_the_one_it_needs(run):
    """Running stages by hand in the wrong order is the likeliest mistake."""
    with pytest.raises(InputError, match=re.escape(f"run `esarm corpus --run {run.path}` first")):
        run.perform("prior", lambda folder: {})


def test_a_folder_keeps_its_configuration(run):
    """Mixing stages of two configurations gives results of neither."""
    other = make_config(preset="demo", overrides=["seed=7", "clone.epochs=1"])
    run.perform("corpus", lambda folder: {})
    with pytest.raises(InputError, match=re.escape("other values for clone.epochs, seed")):
        RunFolder.create(run.path, other)
    assert RunFolder.open(run.path).config == Config()


def test_a_folder_without_a_finished_stage_takes_a_new_configuration(run):
    """A first try with a mistyped corpus must not spoil the folder."""
    other = make_config(preset="demo", overrides=["seed=7"])
    assert RunFolder.create(run.path, other).config.seed == 7
    assert RunFolder.open(run.path).config == other


def test_a_folder_that_is_no_run_says_how_to_make_one(tmp_path):
    """The default folder is missing on a fresh machine."""
    with pytest.raises(InputError, match=re.escape("make one with `esarm run")):
        RunFolder.open(tmp_path)


def snapshot(path):
    """Return every file and folder below `path` with what writing would change."""
    return {
        file.relative_to(path).as_posix(): (
            file.stat().st_mtime_ns,
            file.stat().st_ino,
            file.read_bytes() if file.is_file() else None,
        )
        for file in [path, *sorted(path.rglob("*"))]
    }


def test_opening_a_run_writes_nothing(run):
    """A run on a read-only share could not be looked at, and versions would be of the reader."""
    before = snapshot(run.path)  # no stage is finished: a new configuration could be written
    assert RunFolder.open(run.path).config == Config()
    RunFolder(run.path, make_config(preset="small"))
    assert snapshot(run.path) == before
    missing = run.path.parent / "missing"
    RunFolder(missing, Config())
    assert not missing.exists()


def test_creating_a_run_keeps_what_is_finished(run):
    """The versions that a stage was trained with are noted once."""
    run.perform("corpus", lambda folder: {})
    before = snapshot(run.path)
    assert RunFolder.create(run.path, Config()).path == run.path
    assert snapshot(run.path) == before


def test_a_damaged_summary_is_one_clear_line(run):
    """A full disk leaves empty files."""
    run.perform("corpus", lambda folder: {})
    (run.path / "corpus" / "summary.json").write_text("{")
    with pytest.raises(InputError, match=re.escape("delete")):
        run.summary("corpus")


def test_figures_that_were_not_measured_become_null(run):
    """NaN is no JSON: other languages refuse the whole file."""
    summary = run.perform("corpus", lambda folder: {"a": float("nan"), "b": [1.0, float("nan")]})
    assert summary["a"] is None and summary["b"] == [1.0, None]
    json.loads((run.path / "corpus" / "summary.json").read_text())
    assert without_nan({"x": (float("nan"), "y")}) == {"x": [None, "y"]}


class Counter:
    """A trainer that counts, and can be interrupted."""

    def __init__(self, n_total, stop_at=None):
        self.n_done, self.n_total, self.stop_at = 0, n_total, stop_at

    def advance(self):
        if self.n_done == self.stop_at:
            raise KeyboardInterrupt("by the test")
        self.n_done += 1
        return {"value": float(self.n_done**2)}

    def state_dict(self):
        return {"n_done": self.n_done}

    def load_state_dict(self, state):
        self.n_done = state["n_done"]


def test_an_interrupted_loop_goes_on_and_keeps_its_rows(tmp_path):
    """The learning curve of a resumed run must not start in the middle."""
    with pytest.raises(KeyboardInterrupt, match=r"^by the test$"):
        drive(Counter(5, stop_at=3), tmp_path, title="t", shown="value")
    rows = drive(Counter(5), tmp_path, title="t", shown="value")
    assert [row["value"] for row in rows] == [1, 4, 9, 16, 25]
    assert [row["step"] for row in rows] == [1, 2, 3, 4, 5]
    assert not (tmp_path / "checkpoint.pt").exists()
    assert (tmp_path / "metrics.csv").read_text().splitlines()[0] == "step,value"


@pytest.mark.parametrize("content", [b"", b"garbage"])
def test_a_corrupt_checkpoint_says_what_to_do(content, tmp_path):
    """The remedy is to delete one file, not to understand a pickle error."""
    (tmp_path / "checkpoint.pt").write_bytes(content)
    with pytest.raises(InputError, match=re.escape("delete it to start the stage anew")):
        drive(Counter(2), tmp_path, title="t", shown="value")


def test_the_clone_that_ships_is_no_run():
    """Whoever has read `from_clone("shipped", env)` tries the name everywhere."""
    with pytest.raises(InputError, match=r"shipped: must be a run folder .* what ships is no run;"):
        RunFolder.open(Path("shipped"))
