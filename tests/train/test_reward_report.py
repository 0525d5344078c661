"""The report on a reward model: the command in miniature, and models whose figures are known."""

import dataclasses
import json
import re
import shutil
from types import SimpleNamespace

import numpy as np
import pytest

from esarm_env.task.animation_task import AnimationTask, pad_stack
from reward.demonstrations.corruptions import FAMILIES
from train.cli import main
from train.reward_report import scorers
from train.reward_report.animations import ReportSettings
from train.reward_report.answers import answers
from train.reward_report.figures import collect_findings, held_out_families
from train.reward_report.scorers import train_ceiling
from train.reward_report.verdicts import CRITERIA, verdicts
from train.reward_report.writer import write_reward_report
from train.run.run_folder import RunFolder

PICTURES = ("pairs", "top_band", "best_of_n", "reliability", "extrapolation", "probes")
SMALL = ReportSettings(
    utterances=2, validation_utterances=2, samples=4, strengths=(1.0,), resamples=50
)


class TrueErrors:
    """Scores by the true errors: a head for each, and two members, the second of no mind."""

    def __init__(self, task: AnimationTask) -> None:
        self._task = task

    def score_motion_streams(self, utterances, motions):
        errors = self._task.errors_of_motion(pad_stack(motions, edge=True), utterances)
        return {"mouth": -errors["lve"], "upper": -errors["eve"]}

    def score_motion(self, utterances, motions):
        return sum(self.score_motion_streams(utterances, motions).values())

    def score_members(self, trajectories):
        score = -sum(self._task.errors(trajectories).values())
        return np.stack([score, np.random.default_rng(0).random(len(score), dtype=np.float32)])


@pytest.fixture(scope="module")
def reported(finished_run, tmp_path_factory):
    """The command on the miniature run, its own reward standing in for ceiling and paper."""
    folder = tmp_path_factory.mktemp("report")
    weights = str(finished_run / "reward" / "reward.safetensors")
    options = ["--utterances", "2", "--samples", "4", "--ceiling", weights, "--paper", weights]
    files = ["--output", str(folder), "--json", str(folder / "copy.json")]
    main(["reward-report", str(finished_run), "--bars", *options, *files])
    return folder


@pytest.fixture(scope="module")
def oracle_findings(finished_run):
    """What the report finds of a model that knows the truth."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scorers, "open_learned", lambda task, run: TrueErrors(task))
        return collect_findings(RunFolder.open(finished_run), SMALL)


def test_the_command_leaves_report_pictures_and_figures(reported):
    """Answers come first; everything that the text points to is there."""
    text = (reported / "report.md").read_text()
    assert text.splitlines()[2] == "## In short"
    assert text.index("## 7. Ens") < text.index("| criterion | measured | met |")
    for heading in ("1. Pairs", "2. Order", "3. Best", "4. Cal", "5. Ext", "6. Hack", "7. Ens"):
        assert f"## {heading}" in text, heading
    pictures = re.findall(r"!\[[^]]*\]\((.*)\.png\)", text)
    assert sorted(pictures) == sorted(PICTURES)
    for name in pictures:
        assert (reported / f"{name}.png").read_bytes()[:4] == b"\x89PNG", name
    figures = json.loads((reported / "figures.json").read_text())
    assert figures == json.loads((reported / "copy.json").read_text())
    assert figures["facts"]["scorers"][:3] == ["reward", "ceiling", "paper's recipe"]
    criteria = text.split("## Criteria")[1]
    assert len(figures["verdicts"]) == len(re.findall(r"^\|.*\*\*.*\|$", criteria, re.MULTILINE))


def test_the_same_model_reaches_all_of_its_own_ceiling(reported):
    """A share of the ceiling that is not paired, or of the wrong head, would not be one."""
    figures = json.loads((reported / "figures.json").read_text())
    for part in ("band", "selection"):
        shares = figures[part]["all"]["of_ceiling"]["paper's recipe"]["total score"]
        assert [x for triple in shares.values() for x in triple if x is not None] == pytest.approx(
            [1.0] * (3 * sum(triple[0] is not None for triple in shares.values()))
        )
    rows = figures["pairs"]["noise"]
    # Both are the run's expected error alone; its own row has the naturalness head beside it.
    assert all(row["right"]["ceiling"] == row["right"]["paper's recipe"] for row in rows)


def test_a_model_that_knows_the_truth_gets_the_best_figures(oracle_findings):
    """Every sign in the report, at once: turned round anywhere, the oracle would look bad."""
    found = oracle_findings
    for error in ("lve", "eve"):
        assert found.band["all"].rho["reward"]["own head"][error][0] == pytest.approx(1)
        assert found.levels["all"].tau["reward"]["own head"][error][0] == pytest.approx(1)
        chosen = found.selection["all"]
        assert (
            chosen.errors["reward"]["own head"]
            == chosen.errors["the true error itself"]["own head"]
        )
        assert chosen.change["reward"]["own head"][error][0] < 0
        for probe in found.probes:
            if probe.outranks["reward"][0] > 0.5:
                assert probe.change["lve"][0] + probe.change["eve"][0] < 0, probe.label
    recording = [cell for cell in found.pairs.truth if cell.label.startswith("recording above")]
    assert len(recording) == 2 and all(cell.right["reward"][0] == 1 for cell in recording)
    assert found.trust.raw["clone samples, by LVE"].accuracy[0] == 1
    assert found.outlook.rho["lve"][0] > 0.8


def test_members_without_a_common_mind_show(oracle_findings):
    """An ensemble's disagreement is an alarm only if the report measures it."""
    agreement = oracle_findings.agreement
    assert agreement.members == 2
    assert abs(agreement.agreement["clone samples"][0]) < 0.9
    assert len(agreement.spread) == 1 + len(SMALL.levels)


def test_what_cannot_be_measured_says_so(oracle_findings):
    """A criterion without a ceiling is neither met nor not."""
    lines = {line.criterion: line.met for line in verdicts(oracle_findings)}
    ceiling = [met for criterion, met in lines.items() if "the ceiling's" in criterion]
    assert ceiling and set(ceiling) == {"not measured"}
    assert [v for each, v in lines.items() if "several seeds" in each] == ["not measured"]


def test_every_criterion_has_a_reason(oracle_findings, reported):
    """A bound without one is a number that somebody once liked."""
    lines = verdicts(oracle_findings)
    assert all(line.reason for line in lines)
    assert {line.reason for line in lines} == {criterion.reason for criterion in CRITERIA.values()}
    text = (reported / "report.md").read_text()
    for criterion in CRITERIA.values():
        assert text.count(f": {criterion.reason}\n") == 1, criterion.reason


def test_the_answers_are_those_of_the_figures(oracle_findings):
    """Sentences are what is read: turned round anywhere, they would say the opposite."""
    order, choice, truth, *others = answers(oracle_findings)
    assert "LVE 1.00 [1.00, 1.00], better than chance" in order
    assert "EVE 1.00 [1.00, 1.00], better than chance" in order
    assert choice.startswith("**Does choosing by it help?** Taking the best scored of 4 samples")
    assert "LVE by -" in choice
    assert "the recording in 100.0 % [100.0, 100.0]" in truth
    assert "**Does it fall for spoilt animations?** None of " in others[0]
    assert not any("Warning" in line for line in others)


def test_a_reward_that_prefers_samples_to_recordings_is_warned_of(oracle_findings):
    """Such a reward pays for leaving the recordings; best first, and no more names than help."""
    points = oracle_findings.outlook.points
    turned = tuple(
        dataclasses.replace(point, score=tuple(-score for score in point.score)) for point in points
    )
    outlook = dataclasses.replace(oracle_findings.outlook, points=turned)
    warnings = answers(dataclasses.replace(oracle_findings, outlook=outlook))[-2:]
    assert warnings[0].startswith("**Warning: in the mean it prefers ")
    told = [float(score) for score in re.findall(r"\((-?[\d.]+)\)", warnings[0])]
    assert len(told) >= 3 and told == sorted(told, reverse=True)
    assert " more to the recording (" in warnings[0]
    assert " to the recording through the tokenizer (" in warnings[1]


def test_only_developers_see_our_criteria(oracle_findings, tmp_path):
    """`(not met)` of a bar that nobody told the reader of looks like a broken installation."""
    text = write_reward_report(oracle_findings, tmp_path).read_text()
    assert "riteri" not in text and "at least" not in text.split("## 1. Pairs")[0]
    tables = re.findall(r"^\| .* \|$", text, re.MULTILINE)
    assert max(line.count("|") for line in tables) <= 5


def test_a_report_can_be_made_again(finished_run, oracle_findings, monkeypatch):
    """Equal runs give equal figures, but for the clock."""
    monkeypatch.setattr(scorers, "open_learned", lambda task, run: TrueErrors(task))
    again = collect_findings(RunFolder.open(finished_run), SMALL)
    assert again.pairs.noise == oracle_findings.pairs.noise
    assert again.selection == oracle_findings.selection


@pytest.mark.parametrize(
    ("recipe", "families", "some_held_out", "some_trained"),
    [
        ("paper", ("time-shift",), "time-shift", None),
        ("consensus", ("mouth:random-codes", "time-shift"), "repetition", "random-codes"),
    ],
)
def test_held_out_are_the_families_not_trained_on(recipe, families, some_held_out, some_trained):
    """A family seen on the mouth alone is not held out; the plain recipe has seen none."""
    config = SimpleNamespace(recipe=recipe, consensus=SimpleNamespace(families=families))
    held_out = held_out_families(SimpleNamespace(config=config))
    assert some_held_out in held_out and some_trained not in held_out
    assert (held_out == tuple(FAMILIES)) == (recipe == "paper")


def refused(arguments, capsys):
    """Run a command that must fail with exit code 2; return its one line."""
    with pytest.raises(SystemExit, match=r"^2$") as stop:
        main(["reward-report", *(str(argument) for argument in arguments)])
    assert stop.value.code == 2
    lines = capsys.readouterr().err.strip().splitlines()
    return lines[-1]


def test_no_run_and_no_reward_are_refused(finished_run, tmp_path, capsys):
    """The message must name the command to run first."""
    assert "must be a run folder" in refused([tmp_path], capsys)
    for stage in ("corpus", "prior", "encoder", "clone"):
        shutil.copytree(finished_run / stage, tmp_path / stage)
    shutil.copy(finished_run / "config.yaml", tmp_path)
    message = refused([tmp_path], capsys)
    assert "must hold the stage `reward`" in message and f"esarm reward --run {tmp_path}" in message


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--samples", "1"], "`samples` must be at least 2, got 1"),
        (["--utterances", "-1"], "`utterances` must be at least 0, got -1"),
        (["--threads", "-1"], "`threads` must be at least 0, got -1"),
        (["--ceiling", "nowhere.safetensors"], "nowhere.safetensors"),
    ],
)
def test_settings_out_of_range_are_refused(options, message, finished_run, capsys):
    """Before minutes of roll-outs, not after."""
    assert message in refused([finished_run, *options], capsys)


def test_a_score_that_is_not_finite_is_refused(finished_run, monkeypatch, capsys):
    """A reward that breaks on one utterance must not be averaged away."""

    class Broken(TrueErrors):
        def score_motion_streams(self, utterances, motions):
            lost = np.full(len(motions), np.nan, dtype=np.float32)
            return {"mouth": lost, "upper": lost}

    monkeypatch.setattr(scorers, "open_learned", lambda task, run: Broken(task))
    message = refused([finished_run, "--utterances", "2"], capsys)
    assert "scores of `reward` must be finite, got nan for the utterance '" in message


def test_the_ceiling_is_trained_once_and_found_again(finished_run, tmp_path):
    """Beside the reward's weights is where the report looks for it."""
    run = tmp_path / "run"
    shutil.copytree(finished_run, run)
    weights = train_ceiling(RunFolder.open(run))
    assert weights == run / "reward" / "ceiling.safetensors"
    assert not list(run.glob(".*.partial"))
    before = weights.read_bytes()
    assert train_ceiling(RunFolder.open(run)).read_bytes() == before
    found = collect_findings(RunFolder.open(run), SMALL)
    assert found.facts["scorers"][:2] == ["reward", "ceiling"]
    assert set(found.band["all"].of_ceiling["reward"]) == {"total score", "own head"}
