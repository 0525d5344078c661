"""`esarm push` and `hf://`: a run goes to the Hub and back, whole, and nothing else with it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from agents import load_policy
from esarm_env.core.errors import InputError
from tests.hub_stand_in import HubStandIn, environment
from tests.shared_scores import scores_of
from train.cli import main
from train.sharing.parts import SharedTask, push_run

NAME = "ann/face"
ROOT = Path(__file__).parents[3]
TASK_FILES = {
    *(".gitattributes", "README.md", "config.yaml", "corpus/corpus.json", "export.json"),
    *("encoder/encoder.safetensors", "prior/tokenizer.safetensors"),
    *("reward/naturalness.safetensors", "reward/reward.safetensors"),
    *("improve/ppo/policy.safetensors", "improve/summary.json"),
}


def head_of(card: bytes) -> dict[str, Any]:
    """Return the head of a card, as the Hub reads it."""
    return dict(yaml.safe_load(card.decode().split("---\n", 2)[1]))


def test_a_task_scores_the_same_in_another_process_with_an_empty_cache(
    hub: HubStandIn,
    finished_run: Path,
    recordings: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Weights that are rounded, or an encoder that is left behind, show here alone."""
    main(["push", str(finished_run), NAME, "--policy", "ppo"])
    assert f"{hub.endpoint}/{NAME}/commit/" in capsys.readouterr().out
    assert set(hub.files(NAME)) == TASK_FILES, "no recordings, no features"
    assert hub.repositories[NAME].private, "unless it is asked for otherwise"
    run = tmp_path / "export"
    main(["export", str(finished_run), "-o", str(run), "--policy", "ppo"])
    here = scores_of(str(run), str(recordings), episodes=1)
    script = [sys.executable, str(ROOT / "tests" / "shared_scores.py")]
    there = subprocess.run(
        [*script, f"hf://{NAME}", "--corpus", str(recordings), "--episodes", "1"],
        env={**os.environ, **environment(hub, tmp_path / "another-home"), "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert there.returncode == 0, there.stderr
    np.testing.assert_allclose(json.loads(there.stdout), here, atol=1e-6)


def test_the_card_is_read_by_the_hub_and_says_what_counts(
    hub: HubStandIn, finished_run: Path
) -> None:
    """A learned score without the true error, or a policy without its yardstick, misleads."""
    push_run(finished_run, NAME, part="task", policy="ppo")
    card = hub.files(NAME)["README.md"]
    head, text = head_of(card), card.decode()
    assert head["license"] == "other" and head["library_name"] == "esarm"
    assert head["datasets"] == ["recordings"] and "synthetic-data" not in head["tags"]
    (result,) = head["model-index"][0]["results"]
    kinds = [each["type"] for each in result["metrics"]]
    assert kinds.index("lve") < kinds.index("learned_score")
    assert any("regressor" in each["name"] for each in result["metrics"])
    assert all(re.search(r"\[-?\d+\.\d\d, -?\d+\.\d\d\]$", m["name"]) for m in result["metrics"])
    for part in (f"--run hf://{NAME}", "What it must not be used for", "seed 0", "hours"):
        assert part in text, part


def test_parts_go_alone_and_replace_what_was_there(hub: HubStandIn, finished_run: Path) -> None:
    """A policy beside an older one would be a guess which is meant."""
    for part, file in (
        ("policy", "policy.safetensors"),
        ("tokenizer", "tokenizer.safetensors"),
        ("reward", "reward.safetensors"),
    ):
        push_run(finished_run, NAME, part=part, policy="clone")
        weights = {name for name in hub.files(NAME) if name.endswith(".safetensors")}
        beside = {"naturalness.safetensors"} if part == "reward" else set()
        assert weights == {file} | beside
        card = hub.files(NAME)["README.md"].decode()
        assert f"esarm-{part}" in head_of(card.encode())["tags"] and "config.yaml" not in card
    hub.change(NAME, {"notes.txt": b"mine"})
    push_run(finished_run, NAME, part="task", policy="clone")
    assert "notes.txt" in hub.files(NAME) and "reward.safetensors" not in hub.files(NAME)


def test_commands_open_what_is_on_the_hub(
    hub: HubStandIn,
    finished_run: Path,
    speech_file: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The name is all that a colleague is sent; a pinned one gives the same face for ever."""
    main(["push", str(finished_run), NAME, "--policy", "ppo"])
    first = hub.repositories[NAME].refs["main"]
    main(["push", str(finished_run), NAME, "--policy", "clone", "--public"])
    assert hub.repositories[NAME].private, "what is there stays as it is"
    faces = []
    for place, policy in ((f"hf://{NAME}@{first}", "auto"), (str(finished_run), "ppo")):
        out = tmp_path / f"{len(faces)}.csv"
        options = ["--policy", policy, "--emotion", "neutral"]
        main(["animate", str(speech_file), "-o", str(out), "--run", place, *options])
        faces.append(out.read_text())
    assert faces[0] == faces[1]
    capsys.readouterr()
    pulled = tmp_path / "pulled"
    main(["pull", f"{NAME}@{first}" if False else NAME, "-o", str(pulled), "--revision", first])
    assert "the task of" in capsys.readouterr().out
    assert (pulled / "improve/ppo/policy.safetensors").is_file()
    task = SharedTask.from_pretrained(pulled)
    task.save_pretrained(tmp_path / "again")
    assert load_policy(tmp_path / "again").tokenizer_hash == task.policy().tokenizer_hash
    with pytest.raises(InputError, match="`policy` must be that of the export"):
        SharedTask(pulled, policy="clone").save_pretrained(tmp_path / "other")
    with pytest.raises(InputError, match="must be a run, got an export"):
        push_run(pulled, NAME, part="policy", policy="auto")
    with pytest.raises(InputError, match="`part` must be one of task, policy, tokenizer, reward"):
        push_run(pulled, NAME, part="corpus", policy="auto")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("push RUN ann", "must be USER/NAME, got 'ann'"),
        ("push RUN bob/face", "'bob/face' on the Hub must be yours to use"),
        ("push RUN/corpus ann/face", "must be a run folder"),
        ("pull ann/none -o OUT", "got no such repository"),
        ("pull ann/face -o RUN", "`output` must be an earlier export or shared folder"),
        ("pull hf://ann/face@a -o OUT --revision b", "`revision` must be given once"),
        ("run --run hf://ann/face", "hf://ann/face: must be a folder here, got an address"),
        ("improve --run hf://ann/face", "got an address on the Hub; `esarm pull` fetches it"),
    ],
)
def test_wrong_commands_are_refused_in_one_line(
    line: str,
    message: str,
    hub: HubStandIn,
    finished_run: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A traceback of an HTTP library helps nobody, and may show what was sent."""
    given = [
        word.replace("RUN", str(finished_run)).replace("OUT", str(tmp_path / "out"))
        for word in line.split()
    ]
    with pytest.raises(SystemExit) as ended:
        main(given)
    said = capsys.readouterr().err
    assert ended.value.code == 2 and message in said, said
    assert "hf_stand_in" not in said
