"""The loop on a miniature run: judge, correct the reward, climb it, report; and the study of it."""

from __future__ import annotations

import csv
import dataclasses
import json
import re
import shutil

import numpy as np
import pytest

from esarm_env.core.errors import InputError
from esarm_env.task.opening import open_task
from reward.judging import ActivePairs, Judging, agreement_with_scores, open_pool
from reward.plugins.learned import open_learned
from train.bench.raters.page import render
from train.bench.raters.simulated import TASTES, SimulatedRaters
from train.bench.raters.study import StudyConfig, run_study
from train.cli import main
from train.experiments.folders import begin_experiment
from train.preferences.pool import make_pool, member_scores, policies_of, scores_of_pool
from train.preferences.section import raters_facts, raters_line, raters_section
from train.run.run_folder import RunFolder
from train.seeds.figures import read_figures

OPTIONS = ("--algorithm", "reinforce", "--set", "improve.iterations=1")


@pytest.fixture(scope="module")
def judged(finished_run, tmp_path_factory):
    """A copy of the miniature run, and a pool of its clone's animations that two raters judged."""
    place = tmp_path_factory.mktemp("judged")
    shutil.copytree(finished_run, place / "run")
    pool = make_pool(
        place / "run", place / "pool", samples=3, decodings=("greedy", "sampled"), recordings=True
    )
    raters = SimulatedRaters(pool, TASTES["raised-brows"], n_raters=2, noise=0.1, seed=0)
    raters.answer(30)
    return place / "run", pool


@pytest.fixture(scope="module")
def tried(judged):
    """That run with an experiment `liked`, which climbs the reward as the raters corrected it."""
    run, pool = judged
    file = str(pool.preferences)
    main(["improve", "--from", str(run), "--as", "liked", "--preferences", file, *OPTIONS])
    return run


def test_a_pool_is_blind_and_of_no_test_utterance(judged):
    """A rater who knows the policy judges the policy; results are measured on test utterances."""
    run, pool = judged
    again = open_pool(pool.folder)
    sources = {each.source for each in again.animations}
    assert sources == {"recording", "clone, greedy", *(f"clone, sampled {n}" for n in (1, 2, 3))}
    task = open_task(run)
    test = set(task.ids_of(task.corpus.split("test")))
    assert not test & set(again.rows_of)
    assert set(policies_of(run)) >= {"clone", "ppo", "reinforce"}
    for given, message in (
        ({"policies": ("best",)}, "`policies` must be among clone, "),
        (
            {"decodings": ()},
            "`decodings` must be among greedy, expected-distance, sampled, got none",
        ),
        ({"splits": ("test",)}, "`splits` must be among train, validation, got 'test'"),
        ({"utterances": -1}, "`utterances` must be at least 0, got -1"),
    ):
        with pytest.raises(InputError, match=re.escape(message)):
            make_pool(run, pool.folder / "other", **given)


def test_an_experiment_climbs_what_raters_corrected(tried, judged, tmp_path):
    """The run's own reward stays as it is, and its score beside the new one is comparable."""
    _, pool = judged
    folder = tried / "experiments" / "liked"
    shared = "reward/reward.safetensors"
    assert (folder / shared).samefile(tried / shared)
    assert not (tried / "reward" / "preference.safetensors").exists()
    told = json.loads((folder / "reward" / "raters.json").read_text())
    assert told["files"][0]["path"] == str(pool.preferences)
    assert told["learned_pairs"] + told["held_out_pairs"] + len(told["left_out"]) <= 30
    assert told["kept_pairs"] == told["learned_pairs"] + told["held_out_pairs"] > 0, "refitted"
    assert 0 <= told["before"]["mean"] <= 1 and 0 <= told["after"]["mean"] <= 1
    assert sum(told["agreement"]["answers"].values()) == 30
    summary = json.loads((folder / "measured" / "summary.json").read_text())
    assert summary["reward"] == "learned, corrected by raters"
    main(["compare", str(tried), "liked", "--json", str(tmp_path / "c.json")])
    rows = json.loads((tmp_path / "c.json").read_text())["rows"]
    clone = next(row for row in rows if row["label"] == "clone, greedy")
    assert clone["figures"]["score"][0] == pytest.approx(_score(tried, "clone, greedy"), abs=1e-5)
    task = open_task(tried)
    recorded = task.recorded(task.corpus.split("test"))
    scores = [open_learned(task, place).score(recorded) for place in (tried, folder)]
    assert np.abs(scores[0] - scores[1]).max() > 1e-3


def _score(run, label):
    return read_figures(run / "evaluate" / "per_utterance.csv", ["score"])[label][1]["score"].mean()


def test_raters_are_asked_where_the_reward_is_unsure(tried, judged):
    """A page needs scores of members to choose pairs by, and of the whole to agree with."""
    _, pool = judged
    experiment = tried / "experiments" / "liked"
    members = member_scores(experiment, pool)
    assert members.shape == (4, len(pool.animations)), "of what was learned from raters"
    assert member_scores(tried, pool).shape == (1, len(pool.animations))
    session = Judging(pool, choice=ActivePairs(members)).begin("cid")
    assert session.next() is not None
    answers = Judging(pool).log.judgements
    shares = [agreement_with_scores(answers, scores_of_pool(p, pool)) for p in (tried, experiment)]
    assert shares[0][1] == shares[1][1] == 30
    assert shares[0][0].mean < shares[1][0].mean
    elsewhere = dataclasses.replace(pool.animations[0], utterance="nobody-1")
    other = dataclasses.replace(pool, animations=(elsewhere, *pool.animations))
    with pytest.raises(InputError, match=re.escape("run's corpus, got 'nobody-1' (1 such)")):
        member_scores(tried, other)


def test_the_same_command_goes_on_and_another_file_is_another_experiment(tried, judged):
    """A name that stands for two rewards would be compared as one."""
    _, pool = judged
    run = RunFolder.open(tried)
    assert begin_experiment(run, "liked", ()).config.preferences.files == (str(pool.preferences),)
    with pytest.raises(InputError, match="`as` must be a new name, or an experiment of the same"):
        begin_experiment(run, "liked", ("improve.algorithms=[reinforce]", "improve.iterations=1"))


def test_the_report_tells_what_raters_said(tried):
    """Agreement before and after, raters with themselves, and what improving on it did."""
    facts = raters_facts(RunFolder.open(tried))
    assert [fact["name"] for fact in facts] == ["liked"]
    page = raters_section(facts)
    assert "### Experiment `liked`" in page and "- answers: 30 by 2 raters" in page
    assert re.search(r"held-out agreement with raters: before \d+ %?", page.replace("%", " %"))
    assert "- what it learned that raters like: " in page
    assert "- improving on it: `liked` minus the clone, sampled: its reward " in page
    assert "nobody" not in page and "No person has judged" in raters_section([])


def test_a_run_learns_from_the_file_in_its_settings(judged, tmp_path, tiny_options):
    """Given with the stage, before it: the settings say so ever after."""
    run, pool = judged
    fresh = tmp_path / "fresh"
    for stage in ("corpus", "prior", "encoder", "clone", "demonstrate"):
        shutil.copytree(run / stage, fresh / stage)
    shutil.copy(run / "config.yaml", fresh / "config.yaml")
    main(["reward", "--run", str(fresh), "--preferences", str(pool.preferences)])
    assert RunFolder.open(fresh).config.preferences.files == (str(pool.preferences),)
    assert (fresh / "reward" / "preference.safetensors").is_file()
    for name in ("reward", "naturalness"):
        weights = f"reward/{name}.safetensors"
        assert (fresh / weights).read_bytes() == (run / weights).read_bytes(), "as without raters"
    found = json.loads((fresh / "reward" / "summary.json").read_text())["raters"]
    assert found["learned_pairs"] > 0


def test_the_paper_learns_from_pairs_beside_ranks(judged, tmp_path, tiny_options):
    """Without pairs its weights are what they were; with them they are others."""
    run, pool = judged
    weights = []
    for name, more in (("plain", ()), ("judged", ("--preferences", str(pool.preferences)))):
        fresh = tmp_path / name
        for stage in ("corpus", "prior", "encoder", "clone", "demonstrate"):
            shutil.copytree(run / stage, fresh / stage)
        settings = tiny_options(f"corpus.name={run}", recipe="paper")
        main(["reward", "--run", str(fresh), "--recipe", "paper", *settings, *more])
        weights.append((fresh / "reward" / "reward.safetensors").read_bytes())
    assert weights[0] != weights[1]
    told = json.loads((tmp_path / "judged" / "reward" / "raters.json").read_text())
    assert told["before"] is None and 0 <= told["after"]["mean"] <= 1
    assert told["kept_pairs"] == told["learned_pairs"], "a network is trained once"


def test_preferences_are_refused_where_they_would_be_silent(judged, tmp_path, capsys):
    """A file that nobody reads, or that is none, must be told."""
    run, pool = judged
    file = str(pool.preferences)
    cases = (
        (["reward", "--run", str(run), "--preferences", file], "must be given before the stage"),
        (["improve", "--run", str(run), "--preferences", file], "must be left out without `from`"),
        (
            ["improve", "--from", str(run), "--as", "x", "--preferences", str(tmp_path / "no")],
            "`preferences` must be files of preferences, got",
        ),
        (
            ["improve", "--from", str(run), "--as", "x", "--set", "preferences.files=[no.jsonl]"],
            "`preferences.files` must be files of preferences, got 'no.jsonl', where no file is",
        ),
        (
            ["improve", "--from", str(run), "--as", "x", "--set", "preferences.share=1.0"],
            "`preferences.share` must be at least 0 and below 1",
        ),
    )
    for arguments, message in cases:
        with pytest.raises(SystemExit, match="2"):
            main(arguments)
        assert message in " ".join(capsys.readouterr().err.split())
    assert not (run / "experiments" / "x").exists()


def test_the_study_goes_through_the_whole_loop(judged, tmp_path):
    """Simulated raters, and called so; figures of no answers are the base of all changes."""
    run = tmp_path / "run"
    shutil.copytree(judged[0], run, ignore=shutil.ignore_patterns("experiments"))
    config = StudyConfig(
        utterances=4, samples=2, held_out=2, raters=2, algorithm="reinforce", iterations=1
    )
    figures = run_study(RunFolder.open(run), config, answers=(8,), folder=tmp_path / "study")
    none, some = figures["rows"]
    assert (none["answers"], some["answers"]) == (0, 8)
    assert none["sampled"]["taste_change"]["mean"] == 0 and none["agreement_alone"] is None
    assert 0 <= some["agreement"]["mean"] <= 1 and some["raters"]["kept_pairs"] > 0
    assert "simulated raters" in render(figures) and "No person judged here" in render(figures)
    with (tmp_path / "study" / "simulated.csv").open() as file:
        assert [row["answers"] for row in csv.DictReader(file)] == ["0", "8"]
    again = run_study(RunFolder.open(run), config, answers=(8,), folder=tmp_path / "study")
    assert again["rows"] == json.loads(json.dumps(figures["rows"]))
    for given, message in (
        (StudyConfig(taste="blue"), "`taste` must be one of raised-brows, strong-brows"),
        (StudyConfig(noise=1.0), "`noise` must be at least 0 and below 1, got 1.0"),
    ):
        with pytest.raises(InputError, match=re.escape(message)):
            run_study(RunFolder.open(run), given, answers=(8,), folder=tmp_path / "study")


def test_an_experiment_with_nothing_to_learn_from_leaves_no_folder(judged, capsys):
    """It was named as interrupted by every later comparison, and could neither go on nor begin."""
    run, pool = judged
    empty = pool.folder / "empty.jsonl"
    empty.write_text("")
    with pytest.raises(SystemExit, match=r"^2$"):
        main(["improve", "--from", str(run), "--as", "nothing", "--preferences", str(empty)])
    assert "must hold an answer that can be used" in capsys.readouterr().err
    assert not (run / "experiments" / "nothing").exists()


def test_improving_on_answers_says_what_they_came_to(judged, tried):
    """Ten answers taught nothing, and nobody was told."""
    said = raters_line(RunFolder.open(tried / "experiments" / "liked"))
    assert re.match(r"raters: \d+ pairs learned; simulated raters needed about 100; \d+ held", said)
    assert raters_line(RunFolder.open(judged[0])) == ""
