"""Records and pages of a sweep, from trials made by hand: no training, no Ray."""

from __future__ import annotations

import csv
import json
import math
import re
from pathlib import Path

import pytest
import yaml

from esarm_env.core.errors import InputError
from train.run.config import make_config, to_dict
from train.run.setting_ranges import Tunable
from train.tuning.figures import Objective, from_row, relative
from train.tuning.page import Sweep, plain_page, write_pages
from train.tuning.sweep import _check_not_all_failed
from train.tuning.trials import Trial, load_trials, ranked, save_trial

SPACE = {
    "improve.kl_coef": Tunable(0.03, 3, log=True),
    "improve.samples_per_utterance": Tunable(values=(2, 4, 8)),
}
CLONE = {"true_error": 1.0, "lve_mm": 2.0, "eve_mm": 1.0, "score": -1.0, "kl": 0.0}


def tried(number: int, state: str, error: float = math.nan, *, score: float = 0.5) -> Trial:
    figures = {"step": 6.0, "true_error": error, "lve_mm": 2 * error, "eve_mm": error}
    figures |= {"score": score, "kl": 0.04}
    known = {} if math.isnan(error) else figures
    settings = {"improve.kl_coef": 0.1 * number, "improve.samples_per_utterance": 4}
    reports = [known] if known else []
    failed = "RuntimeError: out of luck" if state == "failed" else ""
    return Trial(number, settings, state, reports, known, failed, seconds=3.0)


@pytest.fixture
def sweep(tmp_path: Path) -> Sweep:
    """Return a sweep of five trials; the pruned one was best when it was ended."""
    run, folder = tmp_path / "run", tmp_path / "run" / "tune" / "mine"
    folder.mkdir(parents=True)
    (run / "config.yaml").write_text(yaml.safe_dump(to_dict(make_config(preset="demo"))))
    trials = [
        tried(1, "finished", 0.98, score=3.0),
        tried(2, "failed"),
        tried(3, "finished", 0.95),
        tried(4, "pruned", 0.90),
        tried(5, "running", 0.99),
    ]
    objective = Objective.of("improve", "true-error")
    return Sweep(run, folder, "improve", SPACE, ("seed=3",), objective, CLONE, trials)


def test_records_come_back_as_they_were_written(sweep: Sweep) -> None:
    """Nothing else is gone on from."""
    for trial in sweep.trials:
        save_trial(sweep.folder, trial)
    assert load_trials(sweep.folder) == sweep.trials


@pytest.mark.parametrize(
    "content",
    ["{", '{"number": 1}', '{"number": 1, "settings": {}, "state": "lost"}', "[]"],
)
def test_a_damaged_record_is_named(sweep: Sweep, content: str) -> None:
    """And not taken for a trial that was never begun."""
    save_trial(sweep.folder, sweep.trials[0])
    file = sweep.folder / "trials" / "0001" / "trial.json"
    file.write_text(content)
    with pytest.raises(InputError, match=re.escape(str(file))):
        load_trials(sweep.folder)


def test_the_best_trial_is_one_that_finished(sweep: Sweep) -> None:
    """Errors of a pruned one are of another iteration: they rank behind."""
    assert [trial.number for trial in sweep.best_first] == [3, 1, 4, 5, 2]
    assert sweep.best is sweep.trials[2]
    assert sweep.beats_baseline
    by_score = ranked(sweep.trials, objective="score", higher=True)
    assert [trial.number for trial in by_score][:2] == [1, 3]


def test_the_page_shows_the_clone_and_the_true_errors_beside_every_score(sweep: Sweep) -> None:
    """The learned score alone would sell a hacked reward as the best settings."""
    page = write_pages(sweep).read_text()
    rows = [line for line in page.splitlines() if line.startswith("|")]
    head = rows[0]
    assert head.index("true error") < head.index("LVE") < head.index("score")
    assert rows[2].startswith("| clone (no RL) |")
    assert "| 1.000 | 2.000 | 1.000 | -1.000 | 0.000 |" in rows[2]
    assert rows[3].startswith("| 3 | 0.3 | 4 | 0.950 |")
    assert "**validation**" in page and "confirm it on the test utterances" in page
    assert "trial 2: RuntimeError: out of luck (`trials/0002/log.txt`)" in page
    assert "pruned at 6" in page and "to go on" in page
    for picture in ("history.png", "settings.png"):
        assert f"({picture})" in page
        assert (sweep.folder / picture).stat().st_size > 5_000


def test_the_table_for_programs_has_every_trial(sweep: Sweep) -> None:
    """Best first, below the clone."""
    write_pages(sweep)
    with (sweep.folder / "trials.csv").open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    assert [row["trial"] for row in rows] == ["clone (no RL)", "3", "1", "4", "5", "2"]
    assert float(rows[1]["improve.kl_coef"]) == pytest.approx(0.3)
    assert rows[5]["error"] == "RuntimeError: out of luck" and rows[5]["true_error"] == ""


def test_the_best_settings_can_be_used_at_once(sweep: Sweep) -> None:
    """As a file of `esarm run --config`, and in a command."""
    write_pages(sweep)
    config = make_config(preset="demo", file=sweep.folder / "best.yaml")
    assert config.improve.kl_coef == pytest.approx(0.3)
    assert config.improve.algorithms == ("ppo",) and config.seed == 3
    text = plain_page(sweep)
    assert f"esarm run --run NEW --config {sweep.folder / 'best.yaml'} --seeds 3" in text
    assert f"esarm improve --from {sweep.run} --as mine-best --set seed=3 --set " in text


def test_a_sweep_that_found_nothing_better_says_so(sweep: Sweep) -> None:
    """The best of trials that are all worse than the clone is no advice."""
    sweep.baseline["true_error"] = 0.94
    assert not sweep.beats_baseline
    assert "No trial is better than clone (no RL) on validation utterances." in plain_page(sweep)


def test_a_sweep_whose_trials_all_fail_tells_the_first_error(sweep: Sweep) -> None:
    """One line: what went wrong, where its log is, and what to do."""
    sweep.trials[:] = [tried(1, "failed"), tried(2, "failed")]
    message = "all 2 trials of the sweep failed, the first one with: RuntimeError: out of luck"
    with pytest.raises(InputError, match=re.escape(message)) as caught:
        _check_not_all_failed(sweep)
    assert str(Path("trials") / "0001" / "log.txt") in str(caught.value)
    assert "No trial has finished yet" in plain_page(sweep)
    assert not (sweep.folder / "best.yaml").exists()


def test_figures_come_from_measured_rows_alone() -> None:
    """Most iterations measure no true error."""
    assert from_row({"step": 2, "score": 1.0}, CLONE) == {}
    row = {"step": 3, "validation_score": 2.0, "kl": 0.1}
    row |= {"validation_lve_mm": 1.0, "validation_eve_mm": 0.75}
    assert from_row(row, CLONE) == {
        "step": 3,
        "score": 2.0,
        "kl": 0.1,
        "lve_mm": 1.0,
        "eve_mm": 0.75,
        "true_error": (0.5 + 0.75) / 2,
    }


def test_an_error_that_was_never_captured_counts_nothing() -> None:
    """A corpus without the upper face is tuned by its lips."""
    baseline = {"lve_mm": 2.0, "eve_mm": math.nan}
    assert relative({"lve_mm": 1.0, "eve_mm": math.nan}, baseline) == 0.5
    assert math.isnan(relative({"lve_mm": math.nan}, baseline))


def test_a_record_holds_nothing_that_json_cannot(sweep: Sweep) -> None:
    """NaN is no JSON."""
    trial = tried(7, "finished", 1.0)
    trial.figures["kl"] = math.nan
    save_trial(sweep.folder, trial)
    text = (sweep.folder / "trials" / "0007" / "trial.json").read_text()
    assert json.loads(text, parse_constant=pytest.fail)["figures"]["kl"] is None
