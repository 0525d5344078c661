"""`esarm overoptimise` on a miniature run."""

import csv
import json
import shutil

import numpy as np
import pytest

from esarm_env.core.run_layout import CHECKPOINT_FILE
from train.cli import main
from train.overoptimise.climb import ClimbTrainer

OPTIONS = (
    "--iterations", "2", "--measure-every", "1", "--utterances", "0", "--samples", "2",
    "--best-of", "3",
)  # fmt: skip


@pytest.fixture(scope="module")
def measured(finished_run, tmp_path_factory):
    """A copy of the run with two strengths and two seeds measured."""
    run = tmp_path_factory.mktemp("over") / "run"
    shutil.copytree(finished_run, run)
    main(["overoptimise", str(run), "--kl-coefs", "0,0.3", "--seeds", "0,1", *OPTIONS])
    return run


def results(run):
    """Return what the command wrote as JSON."""
    return json.loads((run / "overoptimise" / "overoptimise.json").read_text())


def test_the_command_leaves_table_figures_page_and_picture(measured, capsys):
    """Each is what somebody else goes on from."""
    figures = results(measured)
    assert set(figures["ppo"]) == {"0", "0.3"}
    for strength in figures["ppo"].values():
        first, *_, last = strength["points"]
        assert first["step"] == 0
        assert first["nats_per_utterance"] == pytest.approx(0, abs=1e-4)
        assert first["lve_change_mm"] == 0
        assert last["step"] == 2
        assert last["nats_per_utterance"] > 0
        assert set(strength["alarms"]) == {"0", "1"}
    assert [point["step"] for point in figures["best_of_n"]["points"]] == [1, 2, 3]
    folder = measured / "overoptimise"
    page = (folder / "overoptimise.md").read_text()
    for said in ("## Verdict per strength", "- KL 0.3, seed 1: ", "best of 3", "LVE (mean"):
        assert said in page
    assert (folder / "overoptimise.png").read_bytes().startswith(b"\x89PNG")
    with (folder / "overoptimise.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    # Two strengths of three points, as a mean and per seed; three points of best-of-n.
    assert len(rows) == 2 * 3 * 3 + 3
    assert {row["seed"] for row in rows if row["method"] == "ppo"} == {"all", "0", "1"}


def test_measured_curves_are_kept_and_others_are_added(measured, monkeypatch, tmp_path):
    """The same command must not train again what is finished."""
    before = results(measured)
    trained = []
    advance = ClimbTrainer.advance
    monkeypatch.setattr(ClimbTrainer, "advance", lambda self: trained.append(self) or advance(self))
    run = tmp_path / "run"
    shutil.copytree(measured, run)
    file = tmp_path / "figures.json"
    main(["overoptimise", str(run), "--kl-coefs", "0,0.1", *OPTIONS, "--json", str(file)])
    assert len(trained) == 2  # iterations of KL 0.1, seed 0, alone
    figures = json.loads(file.read_text())
    assert set(figures["ppo"]) == {"0", "0.1"}
    assert figures["best_of_n"] == before["best_of_n"]


def test_an_interrupted_curve_ends_in_the_same_numbers(measured, monkeypatch, tmp_path):
    """Resuming must neither repeat an iteration nor forget a measurement or the alarms' window."""
    run = tmp_path / "run"
    shutil.copytree(measured, run)
    place = run / "overoptimise" / "kl-0.3-seed-0"
    with np.load(place / "curve.npz") as file:
        expected = {name: file[name] for name in file.files}
    shutil.rmtree(place)
    advance = ClimbTrainer.advance

    def interrupted(self):
        if self.n_done == 1:
            raise KeyboardInterrupt
        return advance(self)

    monkeypatch.setattr(ClimbTrainer, "advance", interrupted)
    command = ["overoptimise", str(run), "--kl-coefs", "0.3", *OPTIONS]
    with pytest.raises(SystemExit, match=r"^130$") as stopped:
        main(command)
    assert stopped.value.code == 130
    assert (place / CHECKPOINT_FILE).is_file()
    monkeypatch.setattr(ClimbTrainer, "advance", advance)
    main(command)
    with np.load(place / "curve.npz") as file:
        for name in expected:
            np.testing.assert_array_equal(file[name], expected[name], err_msg=name)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--kl-coefs", "0,much"], "`kl_coefs` must be numbers between commas, got '0,much'"),
        (["--seeds", "0.5"], "`seeds` must be whole numbers between commas, got '0.5'"),
        (["--samples", "3"], "must hold curves of one kind, got samples 3 after 2"),
        (["--reward", "no-such"], "no-such"),
        (["--kl-coefs", "-1"], "`kl_coefs` must be at least 0, got [-1.0]"),
    ],
)
def test_bad_options_are_one_line(measured, options, message, capsys):
    """What is typed wrong must say so before anything is measured."""
    given = [part for part in OPTIONS]
    with pytest.raises(SystemExit, match=r"^2$") as stopped:
        main(["overoptimise", str(measured), *given, *options])
    assert stopped.value.code == 2
    assert message in capsys.readouterr().err


def test_a_folder_that_is_no_run_is_refused(tmp_path, capsys):
    """It must not be made into one."""
    with pytest.raises(SystemExit, match=r"^2$"):
        main(["overoptimise", str(tmp_path / "nothing")])
    assert "must be a run folder" in capsys.readouterr().err
    assert not (tmp_path / "nothing").exists()


def test_damaged_settings_are_said(measured, tmp_path, capsys):
    """Curves of unknown settings must not be mixed with new ones."""
    run = tmp_path / "run"
    shutil.copytree(measured, run)
    (run / "overoptimise" / "settings.json").write_text("[")
    with pytest.raises(SystemExit, match=r"^2$"):
        main(["overoptimise", str(run), *OPTIONS])
    assert "settings.json: must be settings, got" in capsys.readouterr().err
