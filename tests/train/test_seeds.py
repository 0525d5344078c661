"""`esarm run --seeds`: which seeds, where they are, and what is said over all of them."""

from __future__ import annotations

import csv
import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

import train.report
from esarm_env.core.errors import InputError
from train.cli import main
from train.rows import expected, greedy, sampled
from train.run.run_folder import RunFolder
from train.seeds.figures import AT_BEST, pairs_of
from train.seeds.folders import check_seeds, open_seeds, seeds_of
from train.seeds.report import write_seeds_report

SHIFT = -0.25  # by which the second seed's policies have less error


@pytest.mark.parametrize(
    ("given", "first", "wanted"),
    [
        ((), 4, (4,)),
        ((1,), 4, (4,)),
        ((3,), 4, (4, 5, 6)),
        ((0, 1, 5), 0, (0, 1, 5)),
        ((5, 1, 0), 1, (1, 5, 0)),
    ],
)
def test_a_number_counts_seeds_and_several_are_them(
    given: tuple[int, ...], first: int, wanted: tuple[int, ...]
) -> None:
    """The run is one of them, so that a finished one needs no second training."""
    assert seeds_of(given, first=first) == wanted


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ((0, 1, 0), "`seeds` must be different numbers of at least 0, since a seed that repeats"),
        ((0, -1), "`seeds` must be different numbers of at least 0"),
        ((0,), "`seeds` must be at least 1, got 0"),
        (
            (1, 2),
            "`seeds` must hold the run's own, 0, got [1, 2]; begin the run with `--set seed=1`",
        ),
    ],
)
def test_seeds_that_are_no_evidence_are_refused(given: tuple[int, ...], message: str) -> None:
    """One training counted twice halves the interval for nothing."""
    with pytest.raises(InputError, match=re.escape(message)):
        seeds_of(given, first=0)


def test_a_repeated_seed_on_the_command_line_makes_no_folder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line, exit code 2, and nothing left behind."""
    run = tmp_path / "run"
    with pytest.raises(SystemExit, match=r"^2$"):
        main(["run", "--run", str(run), "--seeds", "0", "1", "1"])
    assert "a seed that repeats is no further evidence, got [0, 1, 1]" in capsys.readouterr().err
    assert not run.exists()


@pytest.fixture
def two_seeds(finished_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A finished run, and below it one of seed 1 whose policies have less error."""
    monkeypatch.setattr(train.report, "_draw", lambda run: None)  # pictures take seconds
    run = tmp_path / "run"
    shutil.copytree(finished_run, run)
    other = run / "seeds" / "1"
    shutil.copytree(finished_run, other)
    config = yaml.safe_load((other / "config.yaml").read_text())
    (other / "config.yaml").write_text(yaml.safe_dump({**config, "seed": 1}))
    path = other / "evaluate" / "per_utterance.csv"
    with path.open(newline="") as file:
        lines = list(csv.DictReader(file))
    for line in lines:
        if line["row"].startswith("ppo"):
            line["lve"] = str(float(line["lve"]) + SHIFT)
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(lines[0]))
        writer.writeheader()
        writer.writerows(lines)
    return run


def test_the_report_is_over_both_seeds(two_seeds: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Finished seeds are not trained again; figures are means over seeds and utterances."""
    main(["run", "--run", str(two_seeds), "--seeds", "2"])
    assert f"report over seeds: {two_seeds / 'seeds.md'}" in capsys.readouterr().out
    figures = json.loads((two_seeds / "seeds.json").read_text())
    assert figures["seeds"] == [0, 1]
    first = {
        entry["label"]: entry["figures"]
        for entry in json.loads((two_seeds / "evaluate" / "summary.json").read_text())["rows"]
    }
    rows = {row["label"]: row for row in figures["rows"]}
    label = greedy("ppo").label
    assert rows[label]["mean"]["lve"][0] == pytest.approx(first[label]["lve"][0] + SHIFT / 2)
    assert rows["regressor"]["mean"]["eve"][0] == pytest.approx(first["regressor"]["eve"][0])
    assert not any("epsilon" in each for each in rows) and AT_BEST in rows
    difference = next(
        each
        for each in figures["differences"]
        if (each["what"], each["key"]) == (label, "lve") and each["with_what"] == "clone, greedy"
    )
    one = first[label]["lve"][0] - first["clone, greedy"]["lve"][0]
    assert difference["by_seed"] == pytest.approx([one, one + SHIFT], abs=1e-5)
    mean, low, high = difference["difference"]
    assert mean == pytest.approx(one + SHIFT / 2, abs=1e-5) and low < mean < high
    assert 0 <= difference["improvement"][1] <= difference["improvement"][0] <= 1
    page = (two_seeds / "seeds.md").read_text()
    assert "# ESARM run `run`, seeds 0, 1" in page
    assert page.splitlines()[4].startswith("**Best policy on validation: ")
    errors = page.split("## Differences")[1].split("\n## ")[0]
    assert [line for line in errors.splitlines() if line.startswith("**")] == [
        "**LVE (mm) ↓**",
        "**EVE (mm) ↓**",
        "**EVE without eyelids (mm) ↓**",
    ]
    for other in ("clone, greedy", "clone, expected distance", "regressor"):
        assert errors.count(f"| ppo, greedy, minus {other} |") == 3, other
    assert page.split("## Energy scores")[1].count(f"| ppo, sampled, minus {AT_BEST} |") == 2
    assert (two_seeds / "seeds" / "1" / "report.md").is_file()


def test_runs_that_are_not_seeds_of_one_another_are_refused(two_seeds: Path) -> None:
    """Another learning rate is no other seed, and a copy no further one."""
    run = RunFolder.open(two_seeds)
    runs = open_seeds(run, (0, 1))
    check_seeds(runs)
    with pytest.raises(InputError, match=re.escape("needs at least 2 runs, got 1")):
        check_seeds(runs[:1])
    with pytest.raises(InputError, match=re.escape("`seed` must be another in every run")):
        check_seeds([run, run])
    path = two_seeds / "seeds" / "1" / "config.yaml"
    config = yaml.safe_load(path.read_text())
    config["clone"]["epochs"] += 1
    path.write_text(yaml.safe_dump(config))
    with pytest.raises(InputError, match=r"must have the settings of .* but for `seed`"):
        check_seeds([run, RunFolder.open(two_seeds / "seeds" / "1")])
    with pytest.raises(InputError, match=re.escape("got other values for clone.epochs")):
        open_seeds(run, (0, 1))


@pytest.mark.parametrize("damage", ["other", "cut", "old"])
def test_tables_of_other_utterances_or_versions_are_not_mixed(two_seeds: Path, damage: str) -> None:
    """Paired with the wrong utterance, every difference would be noise."""
    runs = open_seeds(RunFolder.open(two_seeds), (0, 1))
    folder = two_seeds / "seeds" / "1" / "evaluate"
    path = folder / "per_utterance.csv"
    if damage == "other":
        path.write_text(path.read_text().replace("ann_1", "eve_1").replace("bob_1", "eve_1"))
        with pytest.raises(InputError, match="must be tested on the utterances of"):
            write_seeds_report(runs)
    elif damage == "cut":
        path.write_text("row,utterance\nclone,\n")
        with pytest.raises(InputError, match=r"per_utterance.csv: must be a table of figures"):
            write_seeds_report(runs)
    else:  # evaluated before energy scores were kept by utterance
        (folder / "energy_per_utterance.csv").unlink()
        assert "Energy scores" not in write_seeds_report(runs).read_text()


def test_rounds_beside_seeds_are_refused(two_seeds: Path) -> None:
    """Silence would leave the rounds of the further seeds out."""
    with pytest.raises(SystemExit, match=r"^2$"):
        main(["run", "--run", str(two_seeds), "--seeds", "2", "--rounds", "2"])


def test_policies_are_compared_as_in_one_run() -> None:
    """A row that is compared with nothing says nothing; the clone is what is compared with."""
    labels: list[Any] = [row.label for row in (greedy("clone"), expected("clone"))]
    labels += [sampled("clone").label, AT_BEST, greedy("bond").label, sampled("bond").label]
    labels += ["recordings", "clone, epsilon 0.5"]
    assert pairs_of(labels, energy=False) == [
        ("bond, greedy", "clone, greedy"),
        ("bond, greedy", "clone, expected distance"),
        ("bond, sampled", "clone, sampled"),
        ("bond, sampled", "clone, expected distance"),
    ]
    assert pairs_of(labels, energy=True)[2:] == [
        ("bond, sampled", "clone, sampled"),
        ("bond, sampled", AT_BEST),
    ]
    assert np.isfinite(SHIFT)
