"""Compare and Watch: pages that look into a run, finished or in training."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from starlette.testclient import TestClient

from esarm_env.task.opening import open_task
from tests.train.studio.conftest import Open, client_of, finished
from train.studio.pages.compare import errors_over_time
from train.studio.pages.watch import read_rows
from train.studio.studio import Studio


@pytest.fixture(scope="module")
def of_run(finished_run: Path) -> TestClient:
    with client_of(Studio(finished_run)) as client:
        yield client


def test_a_run_offers_its_policies_before_the_shipped_one(of_run: TestClient) -> None:
    """Who opens a run wants to see that run."""
    told = of_run.get("/api/studio").json()
    ids = [each["id"] for each in told["policies"]]
    assert ids == ["run:auto", "run:clone", "run:ppo", "run:reinforce", "shipped:auto"]
    assert set(told["conditions"]) == {"run", "shipped"}


def test_utterances_are_found_by_what_is_said_of_them(of_run: TestClient) -> None:
    """Hundreds of them are searched, and nothing of another split is shown."""
    whole = of_run.get("/api/utterances?split=train").json()
    assert whole["count"] == len(whole["utterances"]) > 0
    name = whole["utterances"][0]["id"]
    assert (
        of_run.get("/api/utterances", params={"split": "train", "search": name}).json()["count"]
        == 1
    )
    assert of_run.get("/api/utterances?search=nobody-says-this").json()["count"] == 0
    answer = of_run.get("/api/utterances?split=all")
    assert answer.json() == {"error": "`split` must be one of test, validation, train, got 'all'"}


def test_methods_are_compared_with_errors_and_scores_over_time(
    of_run: TestClient, finished_run: Path
) -> None:
    """The curves' means are the figures of the report, or one of them is wrong."""
    name = of_run.get("/api/utterances").json()["utterances"][0]["id"]
    asked = {"utterance": name, "methods": ["clone", "recording", "ppo:sampled"], "seed": 3}
    answer = of_run.post("/api/comparisons", json=asked)
    assert answer.status_code == 202
    job = finished(of_run, answer.json())
    assert job["state"] == "done", job["message"]
    labels = [take["label"] for take in job["takes"]]
    assert labels == ["recording", "clone, expected distance", "ppo, sampled"]
    recording, clone, _ = job["takes"]
    assert set(recording["curves"]) == {"score"}
    assert set(clone["curves"]) == {"lve", "eve", "score"}
    assert len(clone["curves"]["lve"]) == clone["n_frames"] == recording["n_frames"]
    assert np.mean(clone["curves"]["lve"]) == pytest.approx(clone["errors_mm"]["lve"], abs=1e-3)
    assert np.mean(clone["curves"]["score"]) == pytest.approx(clone["score"], abs=1e-3)
    assert job["sound"]["name"] == name


def test_errors_over_time_add_up_to_the_errors_of_the_utterance(finished_run: Path) -> None:
    """Another variant than the report's would put other curves beside its figures."""
    task = open_task(finished_run)
    truth = task.corpus[0].motion
    motion = np.clip(truth + 0.05 * np.sin(np.arange(len(truth)))[:, None], 0, 1).astype(np.float32)
    curves = errors_over_time(task, motion, truth)
    whole = task.errors_of_motion([motion], np.array([0]))
    for name, values in curves.items():
        assert values.shape == (len(truth),)
        assert values.mean() == pytest.approx(whole[name][0], rel=1e-5)


@pytest.mark.parametrize("methods", [[], ["clone"] * 2, list("abcde"), "clone", [1], [""]])
def test_methods_must_be_a_few_different_names(opened: Open, methods: object) -> None:
    """Five faces fit on no screen, and one twice shows nothing."""
    answer = opened().post("/api/comparisons", json={"utterance": "x", "methods": methods})
    assert answer.status_code == 400
    assert answer.json()["error"].startswith("`methods` must be 1 to 4 different names, got ")


def test_a_method_that_the_run_lacks_is_told(of_run: TestClient) -> None:
    """The job fails with the names that there are."""
    name = of_run.get("/api/utterances").json()["utterances"][0]["id"]
    answer = of_run.post("/api/comparisons", json={"utterance": name, "methods": ["grpo"]})
    job = finished(of_run, answer.json())
    assert job["state"] == "failed"
    assert job["message"].startswith("`methods` must be of the run: recording, tokenizer, ")
    answer = of_run.post("/api/comparisons", json={"utterance": "nobody", "methods": ["clone"]})
    assert "`utterance` must be one of the " in finished(of_run, answer.json())["message"]


def test_a_finished_run_is_watched_with_all_its_trainings(of_run: TestClient) -> None:
    """Every stage that learned has its curve."""
    told = of_run.get("/api/watch").json()
    assert {stage["state"] for stage in told["stages"]} == {"finished"}
    names = {each["name"] for each in told["trainings"]}
    assert {"prior", "encoder", "clone", "reward", "improve/ppo", "improve/reinforce"} <= names
    assert not any(each["at_work"] for each in told["trainings"])
    rows = of_run.get("/api/watch/rows?name=improve/ppo").json()
    assert rows["columns"][:2] == ["step", "score"]
    assert [row[0] for row in rows["rows"]] == [1.0, 2.0]
    later = of_run.get("/api/watch/rows?name=improve/ppo&from=1").json()
    assert (later["count"], later["rows"]) == (2, rows["rows"][1:])


def test_a_run_in_training_opens_and_is_watched(
    opened: Open, finished_run: Path, tmp_path: Path
) -> None:
    """The folder of a run whose clone is being trained has neither policy nor reward."""
    run = tmp_path / "young"
    for stage in ("corpus", "prior", "encoder"):
        shutil.copytree(finished_run / stage, run / stage)
    (run / ".clone.partial").mkdir()
    (run / ".clone.partial" / "metrics.csv").write_text(
        "step,train_loss,alarm\n1,2.5,\n2,inf,1\n3,2."
    )
    client = opened(run)
    told = client.get("/api/studio").json()
    assert [each["id"] for each in told["policies"]] == ["shipped:auto"]
    assert told["lack"].startswith(
        "The run has no policy yet: it animates once its stage `clone` is"
    )
    watched = client.get("/api/watch").json()
    states = {stage["name"]: stage["state"] for stage in watched["stages"]}
    assert (states["encoder"], states["clone"], states["reward"]) == (
        "finished",
        "at work",
        "to come",
    )
    assert (watched["trainings"][0]["name"], watched["trainings"][0]["at_work"]) == ("clone", True)
    rows = client.get("/api/watch/rows?name=clone").json()
    assert rows["rows"] == [[1.0, 2.5, None], [2.0, None, 1.0], [3.0, 2.0, None]]
    assert client.get("/api/utterances").json()["corpus"] == "synthetic-mini"


def test_a_folder_that_is_still_empty_opens(opened: Open, tmp_path: Path) -> None:
    """A run is opened as soon as it is begun."""
    told = opened(tmp_path).get("/api/watch").json()
    assert told["trainings"] == []
    assert {stage["state"] for stage in told["stages"]} == {"to come"}


def test_without_a_run_nothing_is_watched(opened: Open) -> None:
    """The page says what to do, and asks for nothing more."""
    assert opened().get("/api/watch").json() == {"run": None, "stages": [], "trainings": []}
    answer = opened().get("/api/watch/rows?name=clone")
    assert (answer.status_code, answer.json()) == (
        404,
        {"error": "there is no training of that name"},
    )


def test_links_out_of_the_run_are_not_followed(opened: Open, tmp_path: Path) -> None:
    """A run of somebody else's may hold any link."""
    run, other = tmp_path / "run", tmp_path / "other"
    (run / "clone").mkdir(parents=True)
    other.mkdir()
    (other / "metrics.csv").write_text("step,secret\n1,2\n")
    (run / "clone" / "metrics.csv").symlink_to(other / "metrics.csv")
    (run / "prior").symlink_to(other)
    assert opened(run).get("/api/watch").json()["trainings"] == []


def test_rows_of_a_file_that_vanishes_are_none(tmp_path: Path) -> None:
    """A stage that finishes at this moment renames its folder."""
    assert read_rows(tmp_path / "metrics.csv") == ([], [])
    (tmp_path / "empty.csv").write_text("")
    assert read_rows(tmp_path / "empty.csv") == ([], [])
