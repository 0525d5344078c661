"""All metrics in the report: the rows that frame a policy, and what stands in them."""

import json

import numpy as np
import pytest

from esarm_env.face import Head, load_head
from esarm_env.metrics import Variant
from esarm_env.task.opening import open_task
from train.rows import RECORDINGS, Row, expected, greedy, rows_from_json
from train.stages import evaluate
from train.stages.evaluate import measured_quantities


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
