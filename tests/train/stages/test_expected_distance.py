"""Expected-distance decoding in a run: its rows, their differences, and runs that know none."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from agents.rollout.decoding import Decoding
from agents.weights import load_policy, save_policy
from esarm_env.task.opening import open_task
from train.cli import main
from train.report import write_report
from train.rows import expected, greedy, rows_from_json, sampled
from train.run.run_folder import RunFolder
from train.stages.evaluate import animate_test, compare_with_clone, without_chance
from train.stages.improve import run_improve


@pytest.fixture
def copied(finished_run: Path, tmp_path: Path) -> Path:
    """Return a copy of the finished run, to be changed."""
    shutil.copytree(finished_run, tmp_path / "run")
    return tmp_path / "run"


def _forget_distances(run: Path) -> None:
    """Let the clone of a run be as an older version wrote it."""
    file = run / "clone" / "policy.safetensors"
    model = load_policy(file)
    weights = {k: v for k, v in model.state_dict().items() if k != "code_distances"}
    save_policy(model, file, weights=weights)


def test_the_clone_of_a_run_knows_the_distances_of_its_tokenizer(finished_run: Path) -> None:
    """Distances of another tokenizer would be as good as random ones."""
    table = open_task(finished_run).code_distances
    for name in ("clone", "improve/ppo", "improve/reinforce"):
        np.testing.assert_array_equal(load_policy(finished_run / name).code_distances, table)


def test_rows_and_differences_are_those_of_that_decoding(finished_run: Path) -> None:
    """Computed once more from the policies: the label alone does not make a decoding."""
    results = json.loads((finished_run / "evaluate" / "summary.json").read_text())
    rows = rows_from_json(results["rows"])
    run, task = RunFolder.open(finished_run), open_task(finished_run)
    by_distance = Decoding(expected_distance=True)
    errors = {}
    for name, folder in (("clone", "clone"), ("ppo", "improve/ppo")):
        written = animate_test(run, task, load_policy(finished_run / folder), by_distance)
        errors[name] = task.errors(written)["lve"]
        assert rows[expected(name)]["lve"][0] == pytest.approx(errors[name].mean(), rel=1e-5)
    against = rows_from_json(results["against_clone"])
    assert list(against)[:3] == [greedy("ppo"), expected("ppo"), sampled("ppo")]
    difference = float((errors["ppo"] - errors["clone"]).mean())
    assert against[expected("ppo")]["lve"][0] == pytest.approx(difference, abs=1e-5)
    with (finished_run / "evaluate" / "per_utterance.csv").open(newline="") as file:
        assert "clone, expected distance" in {line["row"] for line in csv.DictReader(file)}


def test_the_report_says_what_the_decoding_is(finished_run: Path) -> None:
    """A row that nobody can explain is not read."""
    report = (finished_run / "report.md").read_text()
    assert "| clone, expected distance | " in report
    assert "| ppo, expected distance | " in report.split("## In short")[1].split("\n## ")[0]
    assert "by expected distance the one that looks least far, in mm," in report


def test_policies_without_distances_have_no_such_row(finished_run: Path, copied: Path) -> None:
    """Figures of an older clone stay as they were, and differences pair what there is."""
    _forget_distances(copied)
    run, task = RunFolder.open(copied), open_task(copied)
    models = {"clone": load_policy(copied / "clone"), "ppo": load_policy(copied / "improve/ppo")}
    assert set(without_chance(run, task, models)) == {
        greedy("clone"),
        greedy("ppo"),
        expected("ppo"),
    }
    figure = {"lve": np.array([1.0, 2.0])}
    rows = {
        row: figure
        for name in ("clone", "ppo", "reinforce")
        for row in (greedy(name), expected(name), sampled(name))
        if row != expected("clone")
    }
    against = compare_with_clone(rows, run)
    assert not any(row.decoding == "expected distance" for row in against)
    assert len(against) == 4


def test_a_report_of_an_older_run_is_written_as_it_was(copied: Path) -> None:
    """Summaries of before have no such rows."""
    path = copied / "evaluate" / "summary.json"
    results = json.loads(path.read_text())
    for part in ("rows", "against_clone", "measures"):
        results[part] = [r for r in results[part] if r.get("decoding") != "expected distance"]
    for part in ("against_regressor", "against_expected", "ratio_to_regressor"):
        del results[part]
    del results["measures_against_clone"]
    path.write_text(json.dumps(results))
    report = write_report(RunFolder.open(copied)).read_text()
    measured = report.split("## What was measured")[1]  # below the best policy and its decoding
    assert "expected distance" not in measured


def test_the_best_policy_is_chosen_by_one_decoding_which_is_said(
    finished_run: Path, copied: Path
) -> None:
    """A clone decoded greedily beside policies decoded by distance would lose by its decoding."""
    best = RunFolder.open(finished_run).summary("improve")["best_on_validation"]
    assert best["decoding"] == "expected-distance"
    task = open_task(finished_run)
    validation = task.corpus.split("validation")
    assert len(validation)
    _forget_distances(copied)
    for stage in ("improve", "evaluate"):
        shutil.rmtree(copied / stage)
    older = run_improve(RunFolder.open(copied))["best_on_validation"]
    assert older["decoding"] == "greedy"
    assert older["errors_mm"]["clone"] != best["errors_mm"]["clone"]


def test_a_policy_that_knows_none_says_so_on_the_command_line(
    copied: Path, speech_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line with the remedy; without being asked for, it is decoded greedily."""
    _forget_distances(copied)
    command = ["animate", speech_file, "-o", tmp_path / "o.csv", "--run", copied]
    command += ["--policy", "clone", "--json", tmp_path / "done.json"]
    with pytest.raises(SystemExit, match=r"^2$"):
        main([str(part) for part in (*command, "--decoding", "expected-distance")])
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert "the policy knows no distances of codes" in line and "clone again" in line
    main([str(part) for part in command])
    assert json.loads((tmp_path / "done.json").read_text())["decoding"] == "greedy"
