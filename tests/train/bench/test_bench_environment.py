"""`esarm bench env` in miniature: what is stepped, the arithmetic, and the table; no clock."""

import json
import math

import numpy as np
import pytest

from esarm_env.envs.scalar import SpeechAnimationEnv
from reward.plugins.motion_alone import ZeroReward
from train.bench import environment
from train.bench.cases import NAMES, Case, open_case
from train.bench.environment import (
    groups_of,
    growth_of,
    measure_group,
    references_of,
    render,
    row_of,
)
from train.bench.worker import LocalCase, RemoteCase
from train.cli import main

IN_PROCESS = [name for name in NAMES if name != "async"]


@pytest.fixture
def template(tiny_task):
    """An environment whose task all cases step."""
    return SpeechAnimationEnv(task=tiny_task, reward=ZeroReward(), metrics=False)


class FakeWorker:
    """Steps 10 per window, the k-th in 1, 2, 4, ... s; writes down who was called when."""

    def __init__(self, case, calls):
        self.case, self.calls, self.n_windows = case, calls, 0

    def wait(self):
        self.calls.append(("wait", self.case.backend))

    def window(self):
        self.calls.append(("window", self.case.backend))
        self.n_windows += 1
        return {"steps": 10, "seconds": 2.0 ** (self.n_windows - 1), "episodes": 3}

    def finish(self):
        return {"above_mib": 1.0, "total_mib": 300.0}

    def kill(self):
        self.calls.append(("kill", self.case.backend))


def row(
    backend, num_envs, *, rate=100.0, above=1.0, total=300.0, scored=False, autoreset="SameStep"
):
    """Return a row as `row_of` makes it."""
    case = Case(backend, num_envs, scored, autoreset)
    windows = [{"steps": rate, "seconds": 1.0, "episodes": 2}]
    return row_of(case, windows, {"above_mib": above, "total_mib": total})


def ended(backend, template, actions, n_steps):
    """Return how many episodes end in `n_steps` of a case."""
    opened = open_case(Case(backend, actions.shape[1]), template, actions)
    episodes = opened.advance(n_steps)
    opened.close()
    return episodes


def test_every_interface_steps_the_same_episodes(template, rng):
    """A ratio of two different workloads would mean nothing."""
    actions = rng.integers(0, 16, (8, 3))
    counts = {backend: ended(backend, template, actions, 200) for backend in IN_PROCESS[2:]}
    assert counts["native"] == counts["deferred"] == counts["sync"] > 9
    # Resetting in the same step leaves out one step per episode.
    assert counts["sb3"] == counts["dummy"] >= counts["native"]
    alone = {backend: ended(backend, template, actions[:, :1], 200) for backend in IN_PROCESS}
    assert alone["scalar"] == alone["made"] == alone["dummy"] == alone["sb3"] > 3


@pytest.mark.parametrize("backend", IN_PROCESS)
def test_a_window_counts_the_steps_of_all_environments(backend, template):
    """Counting vector steps would make 256 environments look as slow as one."""
    num_envs = 1 if backend in ("scalar", "made") else 3
    local = LocalCase(Case(backend, num_envs), template, window_s=0)
    figures = local.window()
    assert figures["steps"] == num_envs and figures["seconds"] > 0
    memory = local.finish()
    assert 0 <= memory["above_mib"] <= memory["total_mib"]


def test_a_scored_window_is_as_long_as_an_episode(tiny_task):
    """Scores come at the ends: a shorter window would show none, or nothing else."""
    template = SpeechAnimationEnv(task=tiny_task, reward=ZeroReward(), metrics=True)
    local = LocalCase(Case("deferred", 2, scored=True), template, window_s=0)
    longest = int(tiny_task.lengths[template.utterances].max())
    figures = local.window()
    assert figures["steps"] == 2 * (longest + 1) and figures["episodes"] >= 2
    local.finish()


@pytest.fixture(scope="module")
def answered(finished_run, tmp_path_factory):
    """What a case told from its own process, and the folder with modules that it was started in."""
    folder, run_path = tmp_path_factory.mktemp("own"), finished_run.resolve()
    for name in ("json.py", "train.py"):
        (folder / name).write_text("open('executed', 'w').close(); raise SystemExit(1)")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        remote = RemoteCase(Case("async", 2), run_path=run_path, window_s=0)
        remote.wait()
        windows = [remote.window() for _ in range(2)]
        memory = remote.finish()
    remote.kill()  # of an ended one does no harm
    return windows, memory, folder


def test_a_case_in_its_own_process_answers(answered):
    """Half of the command happens over there, processes of its own included."""
    windows, memory, _ = answered
    assert [figures["steps"] for figures in windows] == [2, 2]
    assert 0 < memory["above_mib"] < memory["total_mib"]


def test_a_worker_that_dies_is_named(tmp_path, capfd):
    """Its traceback alone would not say which case failed."""
    remote = RemoteCase(Case("native", 4), run_path=tmp_path, window_s=0)
    with pytest.raises(RuntimeError, match=r"the worker of Case\(backend='native', num_envs=4"):
        remote.wait()
    remote.kill()
    assert "InputError" in capfd.readouterr().err


def test_a_worker_imports_nothing_from_the_current_folder(answered):
    """`python -m` looks there first: a user's own json.py would run instead of the library's."""
    assert not (answered[2] / "executed").exists()


def test_no_case_takes_thousands_of_processes():
    """4,096 processes would stop the machine."""
    groups = groups_of((1, 16, 256, 4096))
    assert [len(group) for group in groups] == [7, 5, 4, 4, 2, 3]
    cases = [case for group in groups for case in group]
    assert {case.num_envs for case in cases if case.backend == "async"} == {1, 16}
    assert {case.num_envs for case in cases if case.backend in ("scalar", "made")} == {1}
    assert [case.backend for case in cases if case.scored] == ["sync", "native", "deferred"]


def test_cases_take_turns():
    """A slow minute of a shared machine must fall on both sides of a ratio."""
    calls = []
    group = [Case("sync", 4), Case("native", 4)]
    rows = measure_group(group, lambda case: FakeWorker(case, calls), n_windows=3)
    turns = [("window", "sync"), ("window", "native")] * 3
    assert calls[:2] == [("wait", "sync"), ("wait", "native")]
    assert calls[2:8] == turns
    assert sorted(calls[8:]) == [("kill", "native"), ("kill", "sync")]
    for figures in rows:
        assert (figures["slowest"], figures["steps_per_s"], figures["fastest"]) == (2.5, 5, 10)
        assert (figures["steps"], figures["episodes"], figures["above_mib"]) == (30, 9, 1.0)


def test_workers_are_ended_when_one_fails():
    """Processes left behind would slow down whatever comes next."""
    calls = []

    class Failing(FakeWorker):
        def window(self):
            raise RuntimeError("gone")

    with pytest.raises(RuntimeError, match="gone"):
        measure_group([Case("sync", 4)], lambda case: Failing(case, calls), n_windows=1)
    assert calls == [("wait", "sync"), ("kill", "sync")]


def test_growth_is_per_environment():
    """Linear means equal from size to size; what a process takes anyway must not count."""
    rows = [row("native", n, above=5 + n / 256) for n in (16, 256, 4096)]
    rows += [
        row("sync", 1, above=2.0),
        row("sync", 16, above=2.0),
        row("native", 256, above=900.0, scored=True),
    ]
    growth = growth_of(rows)
    assert growth["native"] == pytest.approx({"16 to 256": 4.0, "256 to 4096": 4.0})
    assert growth["sync"] == growth["dummy"] == {}


@pytest.mark.parametrize(("fast", "slow", "holds"), [(4000, 100, True), (3999, 100, False)])
def test_the_ratio_is_held_against_its_reference(fast, slow, holds):
    """40 times is the promise; a row with a terminal reward must not stand in for it."""
    rows = [row("native", 256, rate=fast), row("sync", 256, rate=slow)]
    rows += [row("native", 256, rate=1.0, scored=True), row("scalar", 1, rate=60_000)]
    rows += [row("native", 256, rate=1.0, autoreset="NextStep")]
    ratio, rate, scalar, scored = references_of(rows)
    assert ratio["measured"] == fast / slow and ratio["holds"] is holds
    assert rate["measured"] == fast and not rate["holds"]
    assert scalar["holds"] and not scalar["at_most"]
    assert "as it comes" in scored["name"] and not scored["holds"]
    assert (scored["measured"], scored["reference"]) == (1.0, 100_000)


def test_each_autoreset_mode_has_its_ratio():
    """Without phases that drift apart, episodes end together, and that is cheaper."""
    rows = [row("native", 256, rate=500), row("sync", 256, rate=10)]
    rows += [row("native", 256, rate=50, autoreset="NextStep")]
    rows += [row("sync", 256, rate=5, autoreset="NextStep")]
    same, following = references_of(rows)[:2]
    assert (same["measured"], following["measured"]) == (50, 10)
    assert "SameStep" in same["name"] and "NextStep" in following["name"]


def test_the_ratio_is_taken_turn_by_turn():
    """Medians of each side may come from different turns of a machine that others use, too."""
    native, sync = row("native", 256), row("sync", 256)
    native |= {"windows": [100.0, 900.0, 1000.0], "steps_per_s": 900.0}
    sync |= {"windows": [2.0, 30.0, 10.0], "steps_per_s": 10.0}
    assert references_of([native, sync])[0]["measured"] == 50.0


@pytest.mark.parametrize(("total", "holds"), [(1024.0, True), (1024.1, False)])
def test_memory_is_a_limit_from_above(total, holds):
    """At most 1 GiB, the whole process."""
    (memory,) = references_of([row("native", 4096, total=total)])
    assert memory["at_most"] and memory["reference"] == 1024 and memory["holds"] is holds


def test_the_whole_benchmark_in_miniature(template, monkeypatch, tmp_path, capsys):
    """Figures must survive JSON, and the table must hold every case."""
    monkeypatch.setattr(Case, "template", lambda case, run: template)
    monkeypatch.setattr(environment, "MOST_PROCESSES", 0)  # none in a test's own process

    class Local(LocalCase):
        wait = kill = lambda self: None

    figures = environment.bench_environment(
        sizes=(1, 2, 3), n_windows=2, start=lambda case: Local(case, template, window_s=0)
    )
    assert figures == json.loads(json.dumps(figures))
    assert [case["backend"] for case in figures["cases"]][-4:] == ["sync", "dummy", "native", "sb3"]
    assert figures["task"] == {"corpus": "tiny", "utterances": 8, "steps": [20, 32, 48]}
    assert figures["machine"]["cpus"] >= 1 and "gymnasium" in figures["machine"]["versions"]
    assert all(case["steps_per_s"] > 0 for case in figures["cases"])
    assert not math.isnan(figures["kib_per_env"]["native"]["2 to 3"])

    monkeypatch.setattr(environment, "bench_environment", lambda run: figures)
    main(["bench", "env", "--json", str(tmp_path / "env.json")])
    assert json.loads((tmp_path / "env.json").read_text()) == figures
    printed = capsys.readouterr().out
    assert render(figures) in printed
    assert "3 environments: 4 cases" in printed


def test_the_environment_as_it_comes_is_the_first_row():
    """The fast rows score nothing, which nobody trains with."""
    cases = [row("native", 16), row("native", 256), row("sync", 256, scored=True)]
    cases += [row("deferred", 256, scored=True), row("native", 256, rate=7.0, scored=True)]
    machine = {"cpus": 2, "system": "", "versions": {}, "load_before": [], "load_after": []}
    task = {"corpus": "tiny", "utterances": 8, "steps": [20, 32, 48]}
    figures = {"cases": cases, "not_run": [], "machine": machine, "task": task}
    lines = render(figures | {"kib_per_env": {}, "references": []}).splitlines()
    title = lines.index("As it comes: with the learned reward, LVE and EVE")
    assert title < lines.index("Without terminal reward and metrics")
    assert lines[title + 2].split()[:4] == ["SpeechAnimationVectorEnv", "SameStep", "256", "7"]


def test_columns_stand_below_each_other():
    """Seven digits beside three must be read at a glance."""
    figures = {
        "cases": [row("sync", 256), row("native", 256, rate=1_234_567.0)],
        "not_run": [
            {
                "name": NAMES["async"],
                "num_envs": 256,
                "scored": False,
                "reason": "many",
                "autoreset": "SameStep",
            }
        ],
        "machine": {
            "cpus": 2,
            "system": "Linux",
            "versions": {"numpy": "2"},
            "load_before": [0.5, 0.25, 0.125],
            "load_after": [1, 1, 1],
        },
        "task": {"corpus": "tiny", "utterances": 8, "steps": [20, 32, 48]},
        "kib_per_env": {"native": {"16 to 256": 4.04}, "sync": {}},
        "references": references_of([row("native", 256, rate=1_234_567.0), row("sync", 256)]),
    }
    lines = render(figures).splitlines()
    header, sync, native, skipped = lines[5:9]
    assert header.split()[:6] == "environment autoreset envs steps/s slowest fastest".split()
    assert len(header) == len(sync) == len(native)
    column = header.index("steps/s") + len("steps/s")
    assert sync[:column].endswith(" 100") and native[:column].endswith(" 1,234,567")
    assert skipped == "AsyncVectorEnv            SameStep    256  not run: many"
    assert "load 0.5 0.2 0.1 before, 1.0 1.0 1.0 after" in lines[0]
    assert "  native: 4.0 from 16 to 256" in lines
    assert "With the learned reward" not in "\n".join(lines)
    assert lines[-2:] == [
        "native / SyncVectorEnv at 256, SameStep, times: 12,346",
        "native at 256, steps/s: 1,234,567",
    ]
    figures["references"][1]["holds"] = False
    assert render(figures, bars=True).splitlines()[-2:] == [
        f"{lines[-2]} (our bar: at least 40)",
        f"{lines[-1]} (our bar: at least 1,000,000, beyond it)",
    ]
    assert np.all([len(line) <= 160 for line in lines])
