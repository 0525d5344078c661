"""Stages on worker processes: the files and figures of one process, and who is asked for them."""

import shutil

import pytest

from agents.collectors import ray_collector
from esarm_env.core.errors import MissingExtraError
from esarm_env.core.run_layout import (
    AUDIT_FILE,
    DEMONSTRATIONS_FILE,
    ENERGY_FILE,
    PER_UTTERANCE_FILE,
)
from esarm_env.core.workers import SerialPool, session
from train.cli import main
from train.parallel import stage_pool
from train.parallel.stage_pool import map_parts, using_pool, working_with
from train.run.run_folder import RunFolder
from train.stages.demonstrate import run_demonstrate
from train.stages.evaluate import run_evaluate
from train.stages.improve import _collector


@pytest.fixture
def two_workers(three_workers):
    """The tests' own pool, with two workers, in force for all stages."""
    three_workers.n_workers = 2
    with using_pool(three_workers):
        yield three_workers
    three_workers.n_workers = 3


@pytest.mark.parametrize(
    ("stage", "work", "files"),
    [
        ("demonstrate", run_demonstrate, (DEMONSTRATIONS_FILE, AUDIT_FILE, "card.md")),
        ("evaluate", run_evaluate, (PER_UTTERANCE_FILE, ENERGY_FILE)),
    ],
)
def test_a_stage_does_not_depend_on_workers(
    stage, work, files, finished_run, two_workers, tmp_path
):
    """To the last bit: a run that was begun on a cluster is finished on a laptop."""
    run = tmp_path / finished_run.name
    shutil.copytree(finished_run, run, ignore=shutil.ignore_patterns(stage))
    summary, before = work(RunFolder.open(run)), RunFolder.open(finished_run).summary(stage)
    assert set(before) - {"wall_s"} == set(summary) - {"wall_s"}
    kept = RunFolder.open(run).summary(stage)
    for name in before.keys() - {"wall_s"}:
        assert repr(kept[name]) == repr(before[name]), name
    for name in files:
        mine, theirs = (folder / stage / name for folder in (run, finished_run))
        assert mine.read_bytes() == theirs.read_bytes(), name


def add(part, *, more):
    """Return the sum of a part and what all parts share."""
    return part + more[0]


def test_what_is_shared_is_sent_again_where_it_is_another_object():
    """A second policy must not be measured with the first one's weights."""
    pool, done = SerialPool(), []
    with using_pool(pool):
        for more in ([1], [2]):
            found = map_parts(add, [1, 2], what="sums", on_done=lambda: done.append(0), more=more)
            assert found == [1 + more[0], 2 + more[0]]
    assert len(done) == 4
    assert map_parts(add, [1], what="sums", more=[5]) == [6], "in this process without a choice"


def test_one_pool_serves_all_stages_and_ends_with_the_command(monkeypatch):
    """Ray starts once a command, `improve` included, unless its own setting says how many."""
    opened, ended = [], []

    class Watched(SerialPool):
        def close(self):
            ended.append(self)

    def open_pool(n_workers):
        opened.append(Watched())
        return opened[-1]

    monkeypatch.setattr(stage_pool, "open_pool", open_pool)
    with working_with(2):
        collector = _collector(0)
        assert stage_pool.stage_pool() is opened[0] is collector._pool
        collector.close()
        assert not ended, "it is not the collector's to end"
        monkeypatch.setattr(ray_collector, "open_pool", lambda n: n)
        assert _collector(3)._pool == 3
    assert ended == opened and len(opened) == 1


def said_of(capsys, *command):
    """Return what a command that is refused says on standard error."""
    with pytest.raises(SystemExit) as stopped:
        main(list(command))
    assert stopped.value.code == 2
    return capsys.readouterr().err


@pytest.mark.parametrize("command", ["run", "corpus", "demonstrate", "evaluate"])
def test_a_number_of_workers_that_cannot_be_is_refused(command, tmp_path, capsys):
    """Before a folder is made or an hour has gone."""
    said = said_of(capsys, command, "--run", str(tmp_path / "run"), "--workers", "-1")
    assert "`workers` must be a whole number of at least 0" in said
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "options",
    [
        ["run", "--seeds", "2", "--parallel", "2"],
        ["evaluate", "--policy", "policy.safetensors"],
        ["corpus", "folder", "--compare", "other"],
    ],
)
def test_workers_that_nobody_would_use_are_refused(options, tmp_path, capsys):
    """Seeds side by side have processes of their own; one policy is measured in this one."""
    if options[0] == "run":
        pytest.importorskip("ray", reason="needs the extra `ray`")
    said = said_of(capsys, *options, "--run", str(tmp_path / "run"), "--workers", "2")
    assert "workers` must" in said and "got 2" in said
    assert not (tmp_path / "run").exists()


def test_workers_need_ray(monkeypatch, finished_run, capsys):
    """Who has none is told the line that installs it."""

    def no_ray():
        raise MissingExtraError("ray", extra="ray", purpose="work in several processes")

    monkeypatch.setattr(session, "load_ray", no_ray)
    said = said_of(capsys, "demonstrate", "--run", str(finished_run), "--workers", "2")
    assert "pip install 'esarm[ray]'" in said
