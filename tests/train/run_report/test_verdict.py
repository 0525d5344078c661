"""First section of a run's report: what it claims of figures, and what it must not claim."""

from __future__ import annotations

import dataclasses
import json
import re
import shutil
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from esarm_env.rewards.registry import resolve_reward
from esarm_env.task.opening import open_task
from reward.plugins.learned import open_learned
from train.report import write_report
from train.rows import RECORDINGS, TOKENIZER, Row, expected, rows_from_json, sampled
from train.run.config import PRESETS
from train.run.run_folder import RunFolder
from train.run_report.cells import change, told
from train.run_report.verdict import best_row, reward_name, verdict_section
from train.stages.measures import Scorers

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

OURS = re.compile(r"\basked\b|MISSED|on 2 cores|at least \d|our bar|criterion", re.IGNORECASE)
WIDEST = 115  # characters of a row, labels and headings broken between words


@pytest.fixture(autouse=True)
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pictures take seconds, and are tested where they belong."""
    monkeypatch.setattr("train.report.faces_section", lambda run: "## Faces")


@pytest.fixture
def changed(
    finished_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., str]:
    """Write the report of a copy whose summaries were changed; return its first section."""

    def write(
        scores: dict[Row, float] | None = None,
        difference: dict[str, list[float]] | None = None,
        best: tuple[str, str] = ("ppo", "expected-distance"),
    ) -> str:
        copy = tmp_path / "run"
        shutil.copytree(finished_run, copy)
        path = copy / "evaluate" / "summary.json"
        content = json.loads(path.read_text())
        for entry in content["rows"]:
            score = (scores or {}).get(next(iter(rows_from_json([entry]))))
            entry["figures"]["score"] = [0.0 if score is None else score] * 3
        for entry in content["against_clone"]:
            entry["figures"] |= difference or {}
        path.write_text(json.dumps(content))
        path = copy / "improve" / "summary.json"
        content = json.loads(path.read_text())
        content["best_on_validation"] |= {"policy": best[0], "decoding": best[1]}
        path.write_text(json.dumps(content))
        monkeypatch.setattr("train.report._draw", lambda run: None)
        text = write_report(RunFolder.open(copy)).read_text()
        return text.split("## In short")[1].split("\n## ")[0]

    return write


@pytest.mark.parametrize(
    ("figures", "word"),
    [
        ([-0.1, -0.2, -0.01], "better"),
        ([0.1, 0.01, 0.2], "worse"),
        ([-0.1, -0.2, 0.0], "no difference told apart"),
        ([0.1, 0.0, 0.2], "no difference told apart"),
        ([None, None, None], ""),
    ],
)
def test_better_is_said_of_intervals_on_one_side_of_zero(
    figures: list[float | None], word: str
) -> None:
    """A mean below zero alone is what everybody has half of the time."""
    assert change(figures) == word


def test_differences_are_told_with_figures_and_regions_never_captured_left_out() -> None:
    """A word without its figure is a claim; `nan mm` is none."""
    better, none = [-0.1, -0.2, -0.01], [0.01, -0.02, 0.04]
    assert told({"lve": better, "eve": none}) == (
        "LVE -0.10 mm [-0.20, -0.01] (better), EVE 0.01 mm [-0.02, 0.04] (no difference told apart)"
    )
    assert told({"lve": none, "eve": none}) == (
        "no difference told apart (LVE 0.01 mm [-0.02, 0.04], EVE 0.01 mm [-0.02, 0.04])"
    )
    assert told({"lve": better, "eve": [None] * 3}) == "LVE -0.10 mm [-0.20, -0.01] (better)"
    assert told({}) == ""


def test_the_best_policy_stands_first_with_what_it_is_compared_with(
    changed: Callable[..., str], finished_run: Path
) -> None:
    """A reader who stops after two sentences must have read the result."""
    section = changed(difference={"lve": [0.1, -0.2, 0.4], "eve": [-0.5, -0.6, -0.4]})
    first = section.strip().splitlines()[0]
    assert first.startswith("**Best policy on validation: `ppo`, decoded by expected distance.** ")
    assert (
        "Against the clone decoded the same way: LVE 0.10 mm [-0.20, 0.40] (no difference told "
        "apart), EVE -0.50 mm [-0.60, -0.40] (better)."
    ) in first
    assert "Against the regressor, which writes no tokens: " in first
    assert "| ppo, sampled | 0.10 [-0.20, 0.40] unclear | -0.50 [-0.60, -0.40] better |" in section
    assert "The reward `learned` was climbed by `ppo`, `reinforce`." in section
    assert "unclear: no difference told apart" in section
    assert section.index("| ppo, sampled |") < section.index("| ppo, greedy |")
    lve = json.loads((finished_run / "evaluate" / "summary.json").read_text())["rows"]
    mean = rows_from_json(lve)[expected("ppo")]["lve"][0]
    assert f"On the test utterances: LVE {mean:.2f} mm [" in first


def test_a_clone_that_stays_best_is_said_to(changed: Callable[..., str]) -> None:
    """Reinforcement learning that changed nothing for the user must not read like a success."""
    first = changed(best=("clone", "greedy")).strip().splitlines()[0]
    assert first.startswith(
        "**Best policy on validation: `clone`, greedy.** None of the policies trained from it does "
        "better there."
    )
    assert "Against the clone decoded the same way" not in first
    assert "Against the clone decoded by expected distance: " in first


@pytest.mark.parametrize("above", [expected("ppo"), sampled("reinforce"), Row("mean face"), None])
def test_a_score_above_that_of_recordings_is_a_warning(
    changed: Callable[..., str], above: Row | None
) -> None:
    """Whoever climbs such a reward on gets faces that are worse, and nobody tells."""
    scores = {Row(RECORDINGS): 2.0, Row(TOKENIZER): 1.0}
    section = changed(scores if above is None else scores | {above: 1.5})
    warnings = re.findall(r"\*\*Warning: .*\*\*", section)
    if above is None:
        assert warnings == []
    else:
        assert warnings == [
            f"**Warning: the learned score prefers {above.label} (1.50) to recordings through the "
            "tokenizer (1.00).**"
        ]
    assert "recordings 2.00 [2.00, 2.00]; recordings through the tokenizer 1.00" in section


def test_a_score_above_both_is_one_warning(changed: Callable[..., str]) -> None:
    """Two sentences that differ in three words are skimmed."""
    section = changed({Row(RECORDINGS): 1.0, Row(TOKENIZER): 1.2, Row("mean face"): 1.5})
    face = f"{Row('mean face').label} (1.50)"
    assert re.findall(r"\*\*Warning: .*\*\*", section) == [
        f"**Warning: the learned score prefers {face} to recordings (1.00), and {face} to "
        "recordings through the tokenizer (1.20).**"
    ]


def test_a_run_of_the_preset_quick_says_so(finished_run: Path) -> None:
    """Its figures must not be taken for those of the methods."""
    run, brief = RunFolder.open(finished_run), PRESETS["quick"]
    results = run.summary("evaluate")
    assert "preset `quick`" not in verdict_section(run, results)
    run.config = dataclasses.replace(run.config, encoder=brief.encoder, clone=brief.clone)
    said = verdict_section(run, results).splitlines()[2]
    assert said.startswith("**A run to try commands on** (preset `quick`): nothing was trained")


def test_rewards_are_named_as_settings_name_them() -> None:
    """A report that does not say what was climbed is of no use beside another."""
    assert reward_name("smile") == "`smile`"
    assert reward_name({"learned": 1.0, "smile": 0.5}) == "`learned + 0.5 * smile`"


@pytest.mark.parametrize("reward", ["accuracy", {"accuracy": 2.0}, "learned"])
def test_animations_are_scored_by_the_climbed_reward_too(finished_run: Path, reward: Any) -> None:
    """The learned score of a policy that climbed another reward tells nothing of its climb."""
    task = open_task(finished_run)
    learned, test = open_learned(task, finished_run), task.corpus.split("test")
    config = SimpleNamespace(improve=SimpleNamespace(reward=reward))
    run: Any = SimpleNamespace(config=config, path=finished_run)
    scorers, recorded = Scorers.of(run, task, learned), task.recorded(test)
    written = scorers.written([recorded])
    shown = scorers.shown([task.corpus[int(index)].motion for index in test])
    if reward == "learned":
        assert "climbed" not in written and "climbed" not in shown
        return
    expected_scores = resolve_reward(reward, task, finished_run).score(recorded)
    np.testing.assert_allclose(written["climbed"], expected_scores)
    assert np.isnan(shown["climbed"]).all(), "a reward scores tokens"
    np.testing.assert_array_equal(shown["lve"], 0)


def test_what_was_climbed_is_named_shown_and_drawn_under_its_name(
    finished_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A smile titled `learned score` is believed to be one."""
    copy, drawn = tmp_path / "run", {}
    shutil.copytree(finished_run, copy)
    config = copy / "config.yaml"
    config.write_text(config.read_text().replace("reward: learned", "reward: accuracy"))
    path = copy / "evaluate" / "summary.json"
    content = json.loads(path.read_text())
    for entry in content["rows"]:
        tokens = entry["source"] in ("policy", "tokenizer")
        entry["figures"]["climbed"] = [-0.25, -0.5, 0.0] if tokens else [None] * 3
    path.write_text(json.dumps(content))

    def note(curves: Any, path: Path, *, rewards: dict[str, str]) -> None:
        drawn.update(rewards)

    monkeypatch.setattr("train.plots.plot_improvement", note)
    monkeypatch.setattr("train.plots.plot_training", lambda curves, path: None)
    report = write_report(RunFolder.open(copy)).read_text()
    assert drawn == {name: "reward accuracy (climbed)" for name in ("ppo", "reinforce")}
    section = report.split("## Reward model")[1].split("\n## ")[0]
    assert "`improve` climbed the reward `accuracy`" in section
    line = next(line for line in section.splitlines() if line.startswith("| ppo, greedy |"))
    assert line.split(" | ")[3] == "-0.25 [-0.50, 0.00]"
    assert "| mean face" not in section and "| clone, epsilon" not in section
    assert "which is not the climbed `accuracy`" in report.split("## In short")[1].split("\n## ")[0]


def test_an_older_run_that_notes_no_best_policy_says_so(
    finished_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is hours of work, and its report is written anew by every `esarm run`."""
    copy = tmp_path / "run"
    monkeypatch.setattr("train.report._draw", lambda run: None)
    shutil.copytree(finished_run, copy)
    path = copy / "improve" / "summary.json"
    content = json.loads(path.read_text())
    del content["best_on_validation"]
    path.write_text(json.dumps(content))
    assert best_row(RunFolder.open(copy)) is None
    text = write_report(RunFolder.open(copy)).read_text()
    assert "did not note the best policy on validation" in text.split("## In short")[1]


def widths(text: str) -> list[tuple[int, str]]:
    """Return how wide each table is in a browser, whose first column and headings are broken."""
    found = []
    for table in re.findall(r"(?:^\|.*\|$\n?)+", text, re.MULTILINE):
        heading, _, *rows = [line.strip("|").split("|") for line in table.strip().splitlines()]
        columns = list(zip(*rows, strict=True)) if rows else [()] * len(heading)
        wide = [max((len(cell.strip()) for cell in column), default=0) for column in columns]
        wide[0] = max((len(w) for cell in columns[0] for w in cell.split()), default=0)
        words = [max(map(len, cell.split()), default=0) for cell in heading]
        total = sum(max(pair) + 3 for pair in zip(wide, words, strict=True))
        found.append((total, "|".join(heading)))
    return found


def test_reports_have_narrow_tables_and_no_bars_of_ours(finished_run: Path) -> None:
    """260 columns cannot be read in a browser; `MISSED` reads like a broken installation."""
    text = (finished_run / "report.md").read_text()
    assert "```text" not in text and not OURS.search(text), OURS.search(text)
    assert len(widths(text)) > 12
    assert max(widths(text))[0] <= WIDEST, max(widths(text))
    assert "ground truth through the tokenizer" not in text
