"""All metrics in the report: the rows that frame a policy, and what stands in them."""

import json
import re
import shutil

import numpy as np
import pytest

from agents.rollout.animation import animate_utterances
from agents.rollout.decoding import Decoding
from agents.weights import load_policy
from esarm_env.core.errors import InputError
from esarm_env.face import Head, load_head
from esarm_env.metrics import Variant, energy_score
from esarm_env.task.opening import open_task
from train.report import write_report
from train.rows import (
    RECORDINGS,
    REGRESSOR,
    Row,
    expected,
    greedy,
    rows_from_json,
    rows_to_json,
    sampled,
)
from train.run.config import make_config
from train.run.run_folder import RunFolder
from train.run.setting_ranges import check_settings
from train.run.settings.sections import EvaluateConfig
from train.run_report.metric_rows import measured_quantities
from train.stages import evaluate
from train.stages.evaluate import animate_test
from train.stages.measures import EVE_WITHOUT_LIDS, extra_utterances, try_temperatures


@pytest.fixture(scope="module")
def rows(finished_run):
    """The rows as the evaluation left them."""
    content = json.loads((finished_run / "evaluate" / "summary.json").read_text())["measures"]
    return rows_from_json(content)


@pytest.fixture(scope="module")
def best(finished_run):
    """The clone's row at its best temperature."""
    content = json.loads((finished_run / "evaluate" / "summary.json").read_text())
    return sampled("clone", content["temperatures"]["best"])


def test_every_row_has_every_metric(rows, best):
    """A policy without its floor and ceiling beside it cannot be read."""
    assert {row.short_label for row in rows} == {
        best.label,
        "clone, sampled",
        "ppo, sampled",
        "reinforce, sampled",
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
    section = report.split("## All metrics")[1].split("\n## ")[0]
    section += report.split("## Is the emotion seen?")[1].split("\n## ")[0]
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
    assert list(rows)[:3] == [sampled("clone"), sampled("ppo"), sampled("reinforce")]
    run, task = RunFolder.open(finished_run), open_task(finished_run)
    config = run.config.evaluate
    assert (config.energy_samples, config.extra_utterances) == (3, 40)
    test = task.corpus.split("test")
    clone = load_policy(finished_run / "clone" / "policy.safetensors")
    drawn = [
        task.decode(animate_test(run, task, clone, Decoding(temperature=1.0), sample=number))
        for number in range(3)
    ]
    scores = energy_score(
        np.stack(drawn, axis=1),
        task.target_motion(test),
        head=task.head,
        captured=task.corpus.captured,
        lengths=task.n_frames[test],
    )
    assert rows[sampled("clone")]["lve_energy"][0] == pytest.approx(scores.mean(), rel=1e-5)
    section = (
        (finished_run / "report.md").read_text().split("## Energy scores")[1].split("\n## ")[0]
    )
    assert "LVE energy score (mean error of 3 samples minus half their mean distance" in section
    assert f"| clone, sampled | {rows[sampled('clone')]['lve_energy'][0]:.3f} [" in section
    for figures in rows.values():
        for key in ("lve", "eve"):
            error, spread = figures[f"{key}_of_samples"][0], figures[f"{key}_spread"][0]
            assert figures[f"{key}_energy"][0] == pytest.approx(error - spread / 2, abs=1e-5)
        assert figures["diversity"][0] > 0
    assert "LVE spread (mean distance of 3 samples from each other, " in section


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
    section = (
        (finished_run / "report.md").read_text().split("## Energy scores")[1].split("\n## ")[0]
    )
    assert f" Of {min(40, n_test)} of the {n_test} test utterances; differences are" in section
    mean, low, high = against[sampled("ppo")]["lve_energy"]
    assert f"| ppo, sampled, minus the clone's | {mean:.3f} [{low:.3f}, {high:.3f}] |" in section


def test_the_best_temperature_is_chosen_on_validation_and_measured_on_test(finished_run, best):
    """Chosen on the test utterances it would flatter the clone; left out, the policies."""
    content = json.loads((finished_run / "evaluate" / "summary.json").read_text())
    found, task = content["temperatures"], open_task(finished_run)
    tried = rows_from_json(found["rows"])
    assert list(tried) == [sampled("clone", t) for t in (0.5, 0.7, 0.85, 1.0)]
    clone = load_policy(finished_run / "clone" / "policy.safetensors")
    validation = task.corpus.split("validation")
    assert found["utterances"] == len(validation)
    drawn = [
        animate_utterances(
            clone, task, validation, decoding=Decoding(temperature=0.5), seed=0, sample=number
        )
        for number in range(3)
    ]
    known = {"head": task.head, "captured": task.corpus.captured}
    known["lengths"] = task.n_frames[validation]
    motions, truth = np.stack([task.decode(each) for each in drawn], 1), task.target_motion
    scores = energy_score(motions, truth(validation), **known)
    assert tried[sampled("clone", 0.5)]["lve_energy"][0] == pytest.approx(scores.mean(), rel=1e-5)
    at_1 = tried[sampled("clone")]
    relative = {
        row: np.mean([figures[key][0] / at_1[key][0] for key in ("lve_energy", "eve_energy")])
        for row, figures in tried.items()
    }
    assert min(relative, key=relative.get) == best
    assert best in rows_from_json(content["energy"])
    assert best in rows_from_json(content["rows"])
    against = rows_from_json(content["energy_against_best"])
    rows = rows_from_json(content["energy"])
    difference = rows[sampled("ppo")]["eve_energy"][0] - rows[best]["eve_energy"][0]
    assert against[sampled("ppo")]["eve_energy"][0] == pytest.approx(difference, abs=1e-5)


def test_no_temperature_is_tried_where_none_is_set_or_nothing_to_choose_by(finished_run):
    """A choice among one, or by no utterance, must not cost the evaluation."""
    task = open_task(finished_run)
    clone = load_policy(finished_run / "clone" / "policy.safetensors")
    none = try_temperatures(task, clone, EvaluateConfig(temperatures=()), seed=0)
    assert (none.best, none.utterances, none.rows) == (1.0, 0, {})
    task.corpus.split = lambda name: np.arange(0)
    assert try_temperatures(task, clone, EvaluateConfig(), seed=0).best == 1.0


@pytest.mark.parametrize("wrong", ["[0]", "[1]", "[.7, .7]", "[.inf]", "[-1.]"])
def test_temperatures_that_cannot_be_are_refused_before_the_first_stage(wrong):
    """Found by the last stage, after minutes, or taken for another row of the same name."""
    config = make_config(preset="demo", overrides=[f"evaluate.temperatures={wrong}"])
    with pytest.raises(InputError, match=re.escape("`evaluate.temperatures` must be above 0 and")):
        check_settings(config)


def test_policies_are_compared_with_the_least_error_without_training(finished_run):
    """Against the clone's greedy faces alone, a decoding's gain looks like that of a training."""
    content = json.loads((finished_run / "evaluate" / "summary.json").read_text())
    rows, against = (rows_from_json(content[key]) for key in ("rows", "against_expected"))
    for row in (greedy("ppo"), expected("ppo"), sampled("ppo"), greedy("clone")):
        difference = rows[row]["lve"][0] - rows[expected("clone")]["lve"][0]
        assert against[row]["lve"][0] == pytest.approx(difference, abs=1e-5)
    assert expected("clone") not in against
    ratios = rows_from_json(content["ratio_to_regressor"])
    for row in (greedy("ppo"), expected("clone"), sampled("reinforce")):
        ratio = rows[row]["eve"][0] / rows[Row(REGRESSOR)]["eve"][0]
        assert ratios[row]["eve"][0] == pytest.approx(ratio, rel=1e-5)
        assert "score" not in ratios[row]
    report = (finished_run / "report.md").read_text()
    section = report.split("## Policies against the clone decoded by expected distance")[1]
    assert "| ppo, greedy | " in section.split("##")[0]
    assert "| ratio | LVE ratio ↓ | EVE ratio ↓ | EVE without eyelids ratio ↓ |" in report


def test_what_is_lost_beside_the_errors_is_shown_with_differences(finished_run, rows):
    """A face that shuts its lips no more may have the lower error."""
    content = json.loads((finished_run / "evaluate" / "summary.json").read_text())
    against = rows_from_json(content["measures_against_clone"])
    assert sampled("ppo") in against and expected("reinforce") in against
    change = rows[greedy("ppo")]["jerk_predicted"][0] - rows[greedy("clone")]["jerk_predicted"][0]
    assert against[greedy("ppo")]["jerk_predicted"][0] == pytest.approx(change, rel=1e-3, abs=0.5)
    section = (finished_run / "report.md").read_text().split("## Beside the errors")[1]
    assert "| difference | closure-event F1 ↑ | mouth-opening correlation ↑ |" in section
    assert section.split("\n## ")[0].count("| ppo, sampled |") == 2


def test_a_score_above_that_of_recordings_is_laid_to_whom_it_belongs(finished_run, tmp_path):
    """The regressor is no clone: a score that prefers it rewards no likeness to the clone."""
    copy = tmp_path / "run"
    shutil.copytree(finished_run, copy)
    path = copy / "evaluate" / "summary.json"
    content = json.loads(path.read_text())
    scores = {"recordings through the tokenizer": -0.25, "regressor": 2.0, "clone, greedy": 0.5}
    for entry in content["rows"]:
        entry["figures"]["score"] = [scores.get(entry["label"], 0.0)] * 3
    path.write_text(json.dumps(content))
    section = write_report(RunFolder.open(copy)).read_text().split("## Reward model")[1]
    assert (
        "Recordings through the tokenizer score -0.25, **below** the greedy clone's 0.50, so a "
        "high score does not mean being like a human face. The highest one here is 2.00: regressor."
    ) in section
    assert "- Recordings score 0.00, **below** the greedy clone's 0.50" in section


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
    del content["energy_against_best"], content["temperatures"], content["against_expected"]
    del content["measures_against_clone"], content["ratio_to_regressor"]
    for entry in content["energy"]:
        entry["figures"] = {k: v for k, v in entry["figures"].items() if k.endswith("_energy")}
    path.write_text(json.dumps(content))
    report = write_report(RunFolder.open(copy)).read_text()
    section = report.split("## Energy scores")[1].split("\n## ")[0]
    assert "minus the clone's" not in section and "test utterances" not in section
    assert "LVE spread" not in section and "best temperature" not in section
    assert "## Beside the errors" not in report and "| ratio |" not in report
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
