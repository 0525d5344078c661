"""`esarm table2` on a miniature run: what is measured, what is shared, and what is refused."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import pytest
import yaml

import train.plots
import train.tables.table2.measures as noise_measures
from train.cli import main

FAMILIES = ("time-shift", "mixed-chunks", "policy-emotion", "wrong-emotion")


@pytest.fixture(scope="module")
def runs(finished_run: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The miniature run, and a copy of it that is said to be another seed."""
    other = tmp_path_factory.mktemp("seeds") / "other"
    shutil.copytree(finished_run, other)
    config = yaml.safe_load((other / "config.yaml").read_text())
    config["clone"]["epochs"] += 1
    (other / "config.yaml").write_text(yaml.safe_dump({**config, "seed": 1}))
    return finished_run, other


@pytest.fixture(autouse=True)
def few_families(monkeypatch: pytest.MonkeyPatch) -> None:
    """Four of the sixteen: one of each kind."""
    chosen = {name: noise_measures.FAMILIES[name] for name in FAMILIES}
    monkeypatch.setattr(noise_measures, "FAMILIES", chosen)
    monkeypatch.setattr("train.tables.table2.report.FAMILIES", chosen)
    monkeypatch.setattr(train.plots, "save", lambda figure, target: target.write_bytes(b"png"))


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("out") / "table2"


def test_the_table_holds_noise_damage_and_labels(runs: tuple[Path, Path], out: Path) -> None:
    """Rows of the stage `evaluate` are taken, and what it does not measure is measured."""
    main(["table2", "--runs", *map(str, runs), "--out", str(out), "--utterances", "2"])
    found = json.loads((out / "table2.json").read_text())
    [(name, figures)] = found.items()
    assert name.startswith("recordings") and figures["paper"] is None
    assert figures["settings_apart"] == ["clone.epochs"]
    assert figures["runs"] == {"0": str(runs[0]), "1": str(runs[1])}
    rows = json.loads((runs[0] / "evaluate" / "summary.json").read_text())["rows"]
    evaluated = {row["label"]: row["figures"] for row in rows}
    noise = figures["noise"]["lve"]
    assert noise["levels"] == [0.02, 0.25, 0.5, 0.75, 1]
    for level, mean in zip(noise["levels"], noise["mean"], strict=True):
        assert mean[0] == pytest.approx(evaluated[f"clone, epsilon {level:g}"]["lve"][0], rel=1e-4)
    ratio = noise["mean"][-1][0] / noise["mean"][0][0]
    assert noise["ratio"][0] == pytest.approx(ratio, rel=1e-4)
    assert noise["paper"] is None
    assert {"ppo, greedy", "clone, greedy", "reinforce, sampled"} <= set(figures["policies"])
    pairs = [c for c in figures["labels"] if c["kind"] == "epsilon"]
    assert len(pairs) == 10 and all(0 <= c["shares"]["lve"][0] <= 1 for c in pairs)
    kinds = {c["family"] for c in figures["damage"]} | set(figures["families_unable"])
    assert kinds == set(FAMILIES)
    shifted = [c for c in figures["damage"] if c["family"] == "time-shift"]
    assert [c["strength"] for c in shifted] == [0.25, 0.5, 1]
    page = (out / "table2.md").read_text()
    assert "The runs differ in more than the seed: clone.epochs." in page
    assert "The paper has no column for this corpus." in page
    assert "| ε = 0.02, 0.25 |" in page and "| time-shift, 0.5 |" in page
    with (out / "table2.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert {line["table"] for line in lines} == {
        "noise", "policies", "labels", "damage", "damage difference",
    }  # fmt: skip


def test_what_is_measured_is_not_measured_again(
    runs: tuple[Path, Path],
    out: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A table over ten runs is made again each time that one is added."""
    monkeypatch.setattr(noise_measures, "open_task", None)
    command = ["table2", "--runs", *map(str, runs), "--out", str(out)]
    before = (out / "table2.md").read_text()
    main([*command, "--utterances", "2"])
    assert (out / "table2.md").read_text() == before
    with pytest.raises(SystemExit, match=r"^2$"):
        main([*command, "--utterances", "1"])
    assert "must hold measurements of one kind, got utterances 1 after 2" in capsys.readouterr().err
    part = next(out.glob("recordings*-seed-1")) / "corruptions" / "time-shift.csv"
    part.write_text("level,utterance\n0,a\n")
    with pytest.raises(SystemExit, match=r"^2$"):
        main([*command, "--utterances", "2"])
    assert "must be a table of errors by level" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("which", "message"),
    [
        ((0, 0), "`runs` of one corpus must have different seeds"),
        ((), "`runs` must be at least 1 finished run, got none"),
    ],
)
def test_runs_that_make_no_table_are_refused(
    which: tuple[int, ...],
    message: str,
    runs: tuple[Path, Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The same run twice would halve the interval for nothing."""
    chosen = [str(runs[number]) for number in which]
    with pytest.raises(SystemExit, match=r"^2$"):
        main(["table2", "--out", str(tmp_path / "o"), "--runs", *chosen])
    assert message in capsys.readouterr().err


def test_without_matplotlib_the_page_says_so(
    runs: tuple[Path, Path], out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A picture is optional, a table is not."""
    from train.pictures import missing_matplotlib

    def fail(*_: object) -> None:
        raise missing_matplotlib()

    monkeypatch.setattr(train.plots, "plot_noise", fail)
    main(["table2", "--runs", str(runs[0]), "--out", str(out), "--utterances", "2"])
    page = (out / "table2.md").read_text()
    assert "(No picture: " in page and "table2.png" not in page
    assert "One seed of training (0)" in page
