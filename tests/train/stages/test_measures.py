"""All metrics in the report: the rows that frame a policy, and what stands in them."""

import json
import shutil

import numpy as np
import pytest

from agents.rollout.decoding import Decoding
from agents.weights import load_policy
from esarm_env.face import Head, load_head
from esarm_env.metrics import Variant, energy_score
from esarm_env.task.opening import open_task
from train.report import write_report
from train.rows import (
    RECORDINGS,
    Row,
    expected,
    greedy,
    rows_from_json,
    rows_to_json,
    sampled,
)
from train.run.config import EvaluateConfig
from train.run.run_folder import RunFolder
from train.stages import evaluate
from train.stages.evaluate import animate_test, measured_quantities
from train.stages.measures import EVE_WITHOUT_LIDS, extra_utterances


@pytest.fixture(scope="module")
def rows(finished_run):
    """The rows as the evaluation left them."""
    content = json.loads((finished_run / "evaluate" / "summary.json").read_text())["measures"]
    return rows_from_json(content)


def test_every_row_has_every_metric(rows):
    """A policy without its floor and ceiling beside it cannot be read."""
    assert {row.short_label for row in rows} == {
        "recordings",
        "through the tokenizer",
        "mean face",
        "regressor",
        "clone, greedy",
        "clone, expected distance",
        "ppo, greedy",
        "ppo, expected distance",
        "reinforce, greedy",
        "reinforce, expected distance",
    }
    for figures in rows.values():
        assert list(figures) == list(measured_quantities())


def test_recordings_agree_with_themselves(rows):
    """An error above 0 here would be an error of the metric in all rows."""
    truth = rows[Row(RECORDINGS)]
    for key, quantity in measured_quantities().items():
        mean = truth[key][0]
        if mean is not None and quantity.better == "lower":
            assert mean == pytest.approx(0, abs=1e-6), key
        if mean is not None and quantity.better == "higher" and "emotion" not in key:
            assert mean == pytest.approx(1, abs=1e-6), key
    assert truth["jerk_predicted"][0] > 0


def test_lip_error_is_the_main_table_s(finished_run, rows):
    """Two tables of one report that disagree would discredit both."""
    content = json.loads((finished_run / "evaluate" / "summary.json").read_text())["rows"]
    main = rows_from_json(content)
    key = Variant("lips").key
    for row in (greedy("clone"), expected("clone"), greedy("ppo"), expected("ppo")):
        assert rows[row][key] == pytest.approx(main[row]["lve"], rel=1e-4)


def test_one_emotion_has_no_accuracy(rows):
    """The recordings are all neutral: naming that would be 100 %."""
    assert rows[greedy("clone")]["emotion_accuracy"] == [None, None, None]


def test_errors_are_measured_on_the_head_that_is_asked_for(finished_run, monkeypatch):
    """Figures on FLAME that were measured on our own head would be compared with papers."""
    task = open_task(finished_run)
    assert evaluate.on_head(task, "esarm") is task
    own = load_head()
    twice = Head(2 * own.vertices, own.faces, 2 * own.deltas, dict(own.regions))
    monkeypatch.setattr(evaluate, "open_head", lambda path: {"twice.glb": twice}[path])
    test = task.corpus.split("test")
    recorded = task.recorded(test)
    small, large = task.errors(recorded), evaluate.on_head(task, "twice.glb").errors(recorded)
    np.testing.assert_allclose(large["lve"], 2 * small["lve"], rtol=1e-4)


def test_the_report_names_variant_and_unit_of_each(finished_run):
    """A number without its definition is the field's oldest complaint."""
    report = (finished_run / "report.md").read_text()
    section = report.split("## All metrics")[1].split("## ")[0]
    for quantity in measured_quantities().values():
        assert quantity.name in section
    assert "mm/s³" in section and "squared L2" in section and "n/a" in section


def test_eyelids_are_left_out_beside_the_whole_upper_face(finished_run):
    """Blinks that nobody foresees would hide what becomes of the brows."""
    content = json.loads((finished_run / "evaluate" / "summary.json").read_text())
    for figures in rows_from_json(content["rows"]).values():
        assert list(figures) == ["lve", "eve", EVE_WITHOUT_LIDS, "score"]
    assert rows_from_json(content["measures"])[Row(RECORDINGS)]["eve_without_eyelids_max_l2_mm"]
    report = (finished_run / "report.md").read_text()
    header = "| animation | LVE (mm) ↓ | EVE (mm) ↓ | EVE without eyelids (mm) ↓ | learned score |"
    assert header in report
    assert "EVE without eyelids (mean over frames of max over non-lid eye and forehead" in report


def test_energy_scores_are_measured_of_every_sampled_policy(finished_run):
    """Lower errors of samples alone may be mere sharpening."""
    content = json.loads((finished_run / "evaluate" / "summary.json").read_text())
    rows = rows_from_json(content["energy"])
    assert list(rows) == [sampled("clone"), sampled("ppo"), sampled("reinforce")]
    run, task = RunFolder.open(finished_run), open_task(finished_run)
    config = run.config.evaluate
    assert (config.energy_samples, config.extra_utterances) == (8, 40)
    test = task.corpus.split("test")
    clone = load_policy(finished_run / "clone" / "policy.safetensors")
    drawn = [
        task.decode(animate_test(run, task, clone, Decoding(temperature=1.0), sample=number))
        for number in range(8)
    ]
    scores = energy_score(
        np.stack(drawn, axis=1),
        task.target_motion(test),
        head=task.head,
        captured=task.corpus.captured,
        lengths=task.n_frames[test],
    )
    assert rows[sampled("clone")]["lve_energy"][0] == pytest.approx(scores.mean(), rel=1e-5)
    section = (finished_run / "report.md").read_text().split("## Energy scores")[1].split("##")[0]
    assert "LVE energy score (mean error of 8 samples minus half their mean distance" in section
    assert f"| clone, sampled | {rows[sampled('clone')]['lve_energy'][0]:.2f} [" in section


def test_energy_scores_are_compared_with_the_clone_s_and_say_of_how_many(finished_run):
    """Two intervals beside each other hide a difference that is the same in each utterance."""
    content = json.loads((finished_run / "evaluate" / "summary.json").read_text())
    rows, against = (rows_from_json(content[k]) for k in ("energy", "energy_against_clone"))
    assert list(against) == [sampled("ppo"), sampled("reinforce")]
    for row, figures in against.items():
        for key in ("lve_energy", "eve_energy"):
            difference = rows[row][key][0] - rows[sampled("clone")][key][0]
            assert figures[key][0] == pytest.approx(difference, abs=1e-5)
            assert figures[key][1] <= figures[key][0] <= figures[key][2]
    n_test = content["utterances"]
    assert content["energy_utterances"] == min(40, n_test)
    section = (finished_run / "report.md").read_text().split("## Energy scores")[1].split("##")[0]
    assert f" Of {min(40, n_test)} of the {n_test} test utterances; differences are" in section
    mean, low, high = against[sampled("ppo")]["lve_energy"]
    assert f"| ppo, sampled, minus the clone's | {mean:.2f} [{low:.2f}, {high:.2f}] |" in section


def test_a_score_above_that_of_recordings_is_laid_to_whom_it_belongs(finished_run, tmp_path):
    """The regressor is no clone: a score that prefers it rewards no likeness to the clone."""
    copy = tmp_path / "run"
    shutil.copytree(finished_run, copy)
    path = copy / "evaluate" / "summary.json"
    content = json.loads(path.read_text())
    scores = {"ground truth through the tokenizer": -0.25, "regressor": 2.0, "clone, greedy": 0.5}
    for entry in content["rows"]:
        entry["figures"]["score"] = [scores.get(entry["label"], 0.0)] * 3
    path.write_text(json.dumps(content))
    section = write_report(RunFolder.open(copy)).read_text().split("## Reward model")[1]
    assert (
        "Recordings score -0.25, **below** the greedy clone's 0.50, so a high score does not mean "
        "being like a human face. The highest one here is 2.00: regressor." in section
    )


@pytest.mark.parametrize("trained", [True, False, None])
def test_training_curves_have_a_panel_of_the_encoder(finished_run, tmp_path, monkeypatch, trained):
    """Its early stopping is nowhere else to be seen; runs without an encoder have a report, too."""
    copy, drawn = tmp_path / "run", {}
    shutil.copytree(finished_run, copy)
    if trained is False:
        (copy / "encoder" / "metrics.csv").unlink()
        (copy / "encoder" / "summary.json").write_text('{"epochs": 0, "wall_s": 0.5}')
    elif trained is None:  # cloned before there were encoders
        shutil.rmtree(copy / "encoder")
    monkeypatch.setattr("train.plots.plot_training", lambda curves, path: drawn.update(curves))
    report = write_report(RunFolder.open(copy)).read_text()
    assert ("| encoder | " in report) is (trained is not None)
    panels = ["motion prior", "speech encoder", "behaviour cloning", "reward model"]
    assert list(drawn) == [panel for panel in panels if trained or panel != "speech encoder"]
    if trained:
        rows, columns = drawn["speech encoder"]
        assert columns == ("train_loss", "validation_loss")
        assert all(set(columns) <= set(row) for row in rows) and len(rows) == 1


def test_a_run_evaluated_before_has_a_report_without_them(finished_run, tmp_path):
    """An update must not take the report of last week's run away."""
    copy = tmp_path / "run"
    shutil.copytree(finished_run, copy)
    path = copy / "evaluate" / "summary.json"
    content = json.loads(path.read_text())
    del content["energy_utterances"], content["energy_against_clone"]
    path.write_text(json.dumps(content))
    report = write_report(RunFolder.open(copy)).read_text()
    section = report.split("## Energy scores")[1].split("##")[0]
    assert "minus the clone's" not in section and "test utterances" not in section
    del content["energy"]
    for entry in content["rows"]:
        del entry["figures"][EVE_WITHOUT_LIDS]
    path.write_text(json.dumps(content))
    report = write_report(RunFolder.open(copy)).read_text()
    assert "## Energy scores" not in report
    line = next(line for line in report.splitlines() if line.startswith("| clone, greedy |"))
    assert line.split(" | ")[3] == "n/a"


def test_energy_scores_are_taken_on_some_utterances_or_all(finished_run):
    """0 stands for all, as everywhere; drawn, because corpora cycle through emotions."""
    task = open_task(finished_run)
    test = task.corpus.split("test")
    assert len(test) > 1
    for number, wanted in ((0, len(test)), (1, 1), (len(test) + 5, len(test))):
        chosen = extra_utterances(task, EvaluateConfig(extra_utterances=number))
        assert len(chosen) == wanted
        assert np.isin(chosen, test).all()


def test_the_report_shows_the_order_of_intensities_where_it_was_judged(finished_run, tmp_path):
    """The miniature recordings are neutral; with emotions, a share per animation."""
    copy = tmp_path / "run"
    shutil.copytree(finished_run, copy)
    assert "## Intensity of emotions" not in (copy / "report.md").read_text()
    path = copy / "evaluate" / "summary.json"
    content = json.loads(path.read_text())
    assert content["intensity"] == []
    figures = {greedy("clone"): {"intensity_order": [0.95, 0.9, 1.0]}}
    content["intensity"] = rows_to_json(figures)
    path.write_text(json.dumps(content))
    section = write_report(RunFolder.open(copy)).read_text().split("## Intensity of emotions")[1]
    assert "| clone, greedy | 0.95 [0.90, 1.00] |" in section
    assert "share of triples (one speaker and emotion, intensities 1, 2, 3)" in section
