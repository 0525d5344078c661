"""Several seeds at a time: who is at work when, what a failure costs, and what is said."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import train.seeds.training as training
from esarm_env.core.errors import InputError, MissingExtraError
from esarm_env.core.run_layout import STAGES
from train.cli import main
from train.parallel.stages import REPORT, Outcome, Surroundings, do_step, steps_of
from train.seeds.training import Plan, plan_of, told, train_seeds


@pytest.fixture
def eight(monkeypatch: pytest.MonkeyPatch) -> None:
    """Eight processors, and Ray."""
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setattr(training, "n_processors", lambda: 8)
    monkeypatch.setattr(training, "has_ray", lambda: True)
    monkeypatch.setattr(training, "load_ray", lambda purpose: None)


@pytest.mark.usefixtures("eight")
@pytest.mark.parametrize(
    ("n_seeds", "parallel", "threads", "at_a_time", "each"),
    [
        (3, None, 0, 3, 2),
        (3, 0, 0, 1, 2),
        (3, 1, 0, 1, 2),
        (3, 2, 0, 2, 2),
        (3, 9, 2, 3, 2),
        (20, None, 0, 8, 1),
        (3, None, 8, 1, 8),
    ],
)
def test_threads_do_not_depend_on_how_many_are_at_work(
    n_seeds: int, parallel: int | None, threads: int, at_a_time: int, each: int
) -> None:
    """Figures differ in their last digits with the threads, and must not with `--parallel`."""
    plan = plan_of(n_seeds, parallel=parallel, threads=threads) if (parallel or 0) < 9 else None
    if plan is None:
        with pytest.warns(UserWarning, match="9 seeds of 2 threads want more than the 8"):
            plan = plan_of(n_seeds, parallel=parallel, threads=threads)
    assert plan == Plan(at_a_time, each)


def test_without_ray_seeds_come_one_after_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """Unless somebody asked for more, who is told how to get it."""
    monkeypatch.setattr(training, "n_processors", lambda: 8)
    monkeypatch.setattr(training, "has_ray", lambda: False)
    assert plan_of(4, parallel=None, threads=0) == Plan(1, 2)
    assert "one after the other, each with 2 threads" in str(plan_of(4, parallel=None, threads=0))
    monkeypatch.setitem(__import__("sys").modules, "ray", None)
    with pytest.raises(MissingExtraError, match=re.escape("pip install 'esarm[ray]'")):
        plan_of(4, parallel=2, threads=0)
    with pytest.raises(InputError, match="`parallel` must be at least 0, got -1"):
        plan_of(4, parallel=-1, threads=0)


def test_parallel_is_refused_without_several_seeds(
    finished_run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """No setting is ignored in silence."""
    with pytest.raises(SystemExit, match=r"^2$"):
        main(["run", "--run", str(finished_run), "--parallel", "2"])
    message = "`parallel` must be left out without several `seeds`, got 2"
    assert message in capsys.readouterr().err


class FakeRay:
    """Ray whose tasks are done, in a made-up order, when somebody waits for them."""

    exceptions = SimpleNamespace(RayError=ConnectionError)

    def __init__(self, outcomes: dict[tuple[str, str], Any]) -> None:
        self.outcomes, self.most, self.cancelled = outcomes, 0, list[Any]()
        self.done: list[tuple[str, str]] = []

    def remote(self, **options: Any) -> Any:
        assert options == {"num_cpus": 1, "max_retries": 0}
        return lambda function: SimpleNamespace(remote=lambda path, step, *_, **__: (path, step))

    def wait(self, references: list[Any], **_: Any) -> tuple[list[Any], list[Any]]:
        self.most = max(self.most, len(references))
        return references[-1:], references[:-1]

    def get(self, reference: tuple[str, str]) -> Outcome:
        self.done.append(reference)
        found = self.outcomes.get((Path(reference[0]).name, reference[1]), Outcome(1.0))
        if isinstance(found, BaseException):
            raise found
        return found

    def cancel(self, reference: Any) -> None:
        self.cancelled.append(reference)


def seeds(*numbers: int) -> list[Any]:
    """Return runs of which the first three stages are finished."""
    return [
        SimpleNamespace(
            path=Path("/runs") / f"{number}",
            config=SimpleNamespace(seed=number),
            may_fetch=False,
            is_finished=lambda stage: stage in STAGES[:3],
        )
        for number in numbers
    ]


def train(ray: FakeRay, *numbers: int) -> tuple[dict[int, str], list[str]]:
    said: list[str] = []
    on_ray = training._OnRay(ray, Plan(2, 1), None, said.append)
    return on_ray.train(seeds(*numbers)), said


def test_so_many_seeds_are_at_work_and_each_does_every_step_once() -> None:
    """A fourth at a time would want processors that there are not."""
    ray = FakeRay({})
    failed, said = train(ray, 0, 1, 2)
    assert not failed and ray.most == 2
    steps = [*STAGES[3:], REPORT]
    for number in range(3):
        assert [step for path, step in ray.done if Path(path).name == f"{number}"] == steps
    assert "seed 1: clone done, 1 s" in said
    assert len(said) == 3 * len(steps)


def test_a_seed_that_fails_costs_no_other() -> None:
    """Of five seeds the third ends at night, and in the morning there are four."""
    outcomes = {
        ("1", "improve"): Outcome(2.0, "ValueError: nan"),
        ("2", "reward"): ConnectionError("worker died"),
    }
    failed, said = train(FakeRay(outcomes), 0, 1, 2)
    log = Path("/runs/1/log.txt")
    assert failed[1] == f"improve: ValueError: nan (log: {log})"
    assert "its process ended (worker died)" in failed[2]
    assert "seed 0: report done, 1 s" in said
    assert "seed 1: improve failed: ValueError: nan" in said
    message = told(failed, 3)
    assert message.startswith("2 of 3 seeds failed, 1 finished: seed ")
    assert message.endswith("the same command goes on")


def test_an_interruption_lets_stages_at_work_write_their_checkpoints() -> None:
    """What is not cancelled goes on after the command has ended."""
    ray = FakeRay({("0", "clone"): KeyboardInterrupt(), ("1", "clone"): KeyboardInterrupt()})
    with pytest.raises(KeyboardInterrupt):
        train(ray, 0, 1)
    assert len(ray.cancelled) == 1


def test_a_failing_seed_in_this_process_costs_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on Ray."""
    import train.stages

    def stage(run: Any) -> dict[str, Any]:
        if run.config.seed == 1:
            raise InputError("`x` must be y, got z")
        return {}

    monkeypatch.setattr(train.stages, "STAGE_FUNCTIONS", dict.fromkeys(STAGES, stage))
    monkeypatch.setattr("train.report.write_report", lambda run: tmp_path)
    said: list[str] = []
    failed = train_seeds(seeds(0, 1, 2), Plan(1, 1), say=said.append)
    assert failed == {1: "corpus: `x` must be y, got z"}
    assert said[-1] == "seed 2, 3 of 3"


def test_a_step_tells_its_error_and_does_not_raise(tmp_path: Path) -> None:
    """Whoever waits has other seeds at work."""
    outcome = do_step(str(tmp_path), "clone", Surroundings.here(threads=1))
    assert "must be a run folder (with config.yaml)" in outcome.error
    assert "Traceback" in (tmp_path / "log.txt").read_text()


def test_finished_stages_are_no_steps() -> None:
    """A run that is done has its report written again, as `esarm run` does."""
    assert steps_of(seeds(0)[0], STAGES) == [*STAGES[3:], REPORT]
    assert steps_of(seeds(0)[0], STAGES[:3]) == [REPORT]
