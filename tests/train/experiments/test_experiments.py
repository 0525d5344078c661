"""`esarm improve --from` and `esarm compare` on a miniature run: what is shared, kept and said."""

import csv
import json
import re
import shutil

import numpy as np
import pytest

from esarm_env.core.errors import InputError
from train.cli import main
from train.experiments.comparison import compare_run
from train.experiments.folders import begin_experiment
from train.rows import TOKENIZER, Row
from train.run.run_folder import RunFolder
from train.seeds.figures import read_figures

SUM = "{zero: 1, jerk: -0.1}"
OPTIONS = ("--reward", SUM, "--algorithm", "reinforce", "--set", "improve.iterations=1")


@pytest.fixture(scope="module")
def tried(finished_run, tmp_path_factory):
    """A copy of the miniature run with one finished experiment, `calm`."""
    run = tmp_path_factory.mktemp("tried") / "run"
    shutil.copytree(finished_run, run)
    main(["improve", "--from", str(run), "--as", "calm", *OPTIONS])
    return run


@pytest.fixture
def copied(tried, tmp_path):
    """A function that returns a copy of that run, without what is named."""

    def copy(*without):
        shutil.copytree(tried, tmp_path / "run")
        for name in without:
            shutil.rmtree(tmp_path / "run" / name)
        return tmp_path / "run"

    return copy


def test_an_experiment_climbs_another_reward_on_the_same_clone(tried):
    """Stages of ten minutes would be repeated, or two rewards compared on two clones."""
    folder = tried / "experiments" / "calm"
    experiment = RunFolder.open(folder)
    assert experiment.config.improve.reward == {"zero": 1.0, "jerk": -0.1}
    assert experiment.config.improve.algorithms == ("reinforce",)
    assert experiment.config.clone == RunFolder.open(tried).config.clone
    shared = "clone/policy.safetensors"
    assert (folder / shared).samefile(tried / shared), "weights must take no room twice"
    summary = experiment.summary("improve")
    assert summary["reward"] == "zero - 0.1 * jerk"
    assert summary["reinforce"]["wall_s"] >= 0
    assert not (folder / "improve" / "reinforce" / "wall_s.txt").exists()


def test_an_experiment_is_measured_as_the_run_is(tried):
    """Other seeds or samples would show a difference that no training made."""
    keys = ["lve", "eve", "score"]
    before = read_figures(tried / "evaluate" / "per_utterance.csv", keys)
    after = read_figures(tried / "experiments/calm/measured/per_utterance.csv", [*keys, "climbed"])
    for label in ("clone, greedy", "clone, sampled", "regressor", "mean face of the condition"):
        for key in keys:
            np.testing.assert_array_equal(after[label][1][key], before[label][1][key], label)
    assert (after["reinforce, greedy"][1]["climbed"] < 0).all(), "jerk is above 0, and costs"
    assert np.isnan(after["regressor"][1]["climbed"]).all(), "it writes no tokens"


def test_compare_tells_what_was_climbed_and_what_changed(tried, tmp_path, capsys):
    """A table that does not name the reward is read as if all had climbed the learned one."""
    figures = tmp_path / "figures.json"
    main(["compare", str(tried), "--json", str(figures)])
    said = capsys.readouterr().out
    assert re.search(r"^calm +reinforce +zero - 0.1 \* jerk +1 ", said, re.MULTILINE)
    assert re.search(r"^ppo +ppo +learned +2 ", said, re.MULTILINE)
    assert "minus clone" in said and max(map(len, said.splitlines())) <= 140
    found = json.loads(figures.read_text())
    rows = {row["label"]: row for row in found["rows"]}
    clone, calm = rows["clone, sampled"]["figures"], rows["calm, sampled"]
    change = calm["figures"]["lve"][0] - clone["lve"][0]
    assert calm["differences"]["lve"][0] == pytest.approx(change, abs=1e-6)
    assert calm["climbed_reward"] == "zero - 0.1 * jerk" and "climbed" in calm["differences"]
    page = (tried / "experiments" / "compare.md").read_text()
    assert "| calm, sampled |" in page and "![Validation figures" in page
    assert (tried / "experiments" / "compare.png").stat().st_size > 10_000
    with (tried / "experiments" / "compare.csv").open() as file:
        table = [row for row in csv.DictReader(file) if row["label"] == "calm, greedy"]
    assert {row["figure"] for row in table} == {"lve", "eve", "score", "climbed"}
    assert {row["climbed_reward"] for row in table} == {"zero - 0.1 * jerk"}


def test_differences_are_from_what_was_asked(tried):
    """Against the regressor, every row has one and the same yardstick."""
    run = RunFolder.open(tried)
    against = {line.row.label: line for line in compare_run(run, against="regressor").lines}
    means = {label: line.means["lve"].mean for label, line in against.items()}
    for label in ("clone, greedy", "calm, sampled", Row(TOKENIZER).label):
        change = against[label].differences["lve"].mean
        assert change == pytest.approx(means[label] - means["regressor"], abs=1e-6)
    assert against["regressor"].differences == {}
    one = {line.row.label: line for line in compare_run(run, ["calm"], against="calm").lines}
    assert "climbed" not in one["ppo, greedy"].differences, "its reward is another one"
    with pytest.raises(InputError, match=re.escape("got 'regresor'; did you mean 'regressor'?")):
        compare_run(run, against="regresor")


def test_the_same_command_goes_on_and_another_one_is_refused(copied, capsys):
    """Settings that nobody used would stand beside figures of others."""
    run = copied("experiments/calm/measured")
    policy = run / "experiments/calm/improve/reinforce/policy.safetensors"
    before = policy.stat().st_mtime_ns
    with pytest.warns(UserWarning, match=re.escape("experiment 'calm' is left out: ")):
        compare_run(RunFolder.open(run))
    message = f"`esarm improve --from {run} --as calm` goes on with it"
    with pytest.raises(InputError, match=re.escape(message)):
        compare_run(RunFolder.open(run), ["calm"])
    main(["improve", "--from", str(run), "--as", "calm"])
    assert "calm, sampled" in capsys.readouterr().out
    assert policy.stat().st_mtime_ns == before, "what is trained is not trained again"
    message = (
        "got 'calm' with other settings (improve.reward lve after {'zero': 1.0, 'jerk': -0.1})"
    )
    with pytest.raises(InputError, match=re.escape(message)):
        begin_experiment(
            RunFolder.open(run),
            "calm",
            ["improve.reward=lve", "improve.algorithms=[reinforce]", "improve.iterations=1"],
        )


def test_an_experiment_on_an_older_clone_is_not_compared(copied):
    """After the run was trained anew, the difference would be that of two clones."""
    run = copied()
    content = (run / "clone/policy.safetensors").read_bytes()
    (run / "clone/policy.safetensors").unlink()
    (run / "clone/policy.safetensors").write_bytes(content + b" ")
    message = "must stand on clone/policy.safetensors of its run, got another"
    with pytest.raises(InputError, match=re.escape(message)):
        compare_run(RunFolder.open(run), ["calm"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--as", "x", "--reward", "smlie"), "`improve.reward` must be one of "),
        (("--as", "x", "--reward", "{lve: 1, jrek: 2}"), "got 'jrek'; did you mean 'jerk'?"),
        (("--as", "x", "--reward", "{lve: much}"), "a finite weight, got 'much' for 'lve'"),
        (("--as", "x", "--algorithm", "grop"), "got 'grop'; did you mean 'grpo'?"),
        (
            ("--as", "x", "--set", "clone.epochs=3"),
            "a setting of `improve` or `preferences`, or `seed`",
        ),
        (("--as", "ppo"), "`as` must be another name than "),
        (("--as", "../x"), "`as` must be letters, digits, - and _, got '../x'"),
        ((), "`as` must name the experiment beside `from`"),
        (("--as", "x", "--run", "y"), "`run` must be left out beside `from`"),
        (("--as", "x", "--speech", "y"), "`speech` must be left out beside `from`"),
    ],
)
def test_what_cannot_be_tried_is_refused_before_anything_is_made(tried, options, message, capsys):
    """After minutes of training, or as an experiment of other settings than were meant."""
    with pytest.raises(SystemExit, match="2"):
        main(["improve", "--from", str(tried), *options])
    assert message in capsys.readouterr().err
    assert [path.name for path in (tried / "experiments").iterdir() if path.is_dir()] == ["calm"]


def test_options_of_an_experiment_need_a_run(capsys):
    """Without `--from`, the reward would be asked for and not climbed."""
    with pytest.raises(SystemExit, match="2"):
        main(["improve", "--run", "runs/x", "--reward", "lve"])
    assert "`reward` must be left out without `from`, got lve" in capsys.readouterr().err


def test_an_unfinished_run_says_which_stage_is_missing(copied, tmp_path):
    """`--from` a run that is still cloning ends in a message about a file else."""
    run = copied("reward", "demonstrate")
    message = (
        f"`from` must be a run finished up to `reward`, got {run} without `demonstrate`, "
        f"`reward`; go on with `esarm run --run {run}`, or `esarm demonstrate --run {run}`"
    )
    with pytest.raises(InputError, match=re.escape(message)):
        begin_experiment(RunFolder.open(run), "x", [])
    with pytest.raises(InputError, match=re.escape("`from` must be the run itself, got its exper")):
        begin_experiment(RunFolder.open(run / "experiments" / "calm"), "x", [])


def test_unknown_experiments_are_told_with_the_command_that_makes_them(tried):
    """A mistyped name must not look like an experiment without figures."""
    with pytest.raises(InputError, match=re.escape("(calm), got 'clam'; did you mean 'calm'?")):
        compare_run(RunFolder.open(tried), ["clam"])


@pytest.mark.filterwarnings("ignore:experiment 'x'")
def test_a_damaged_experiment_costs_no_other(copied):
    """One summary that was cut would take the whole table with it."""
    run = copied()
    for name, text in (("config.yaml", "improve: ["), ("improve/summary.json", "[]")):
        broken = run / "experiments" / "x"
        shutil.copytree(run / "experiments" / "calm", broken)
        (broken / name).write_text(text)
        assert "calm" in {policy.name for policy in compare_run(RunFolder.open(run)).policies}
        with pytest.raises(InputError, match=re.escape(str(broken))):
            compare_run(RunFolder.open(run), ["x"])
        shutil.rmtree(broken)
