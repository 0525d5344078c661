"""`esarm scores` prints the reference scores, and how they are measured."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from esarm_env.envs.short import SHORT_ID
from esarm_env.scores import SCORES_FILE, reference_scores
from esarm_env.task.animation_task import AnimationTask
from train.assets import scores
from train.cli import main

IDS = ("ESARM-v0", "ESARM-Short-v0")


def test_it_prints_the_tables_that_ship(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """The command, the README and `reference_scores` must not differ."""
    main(["scores", "--json", str(tmp_path / "scores.json")])
    printed = capsys.readouterr().out
    assert printed == "\n\n".join(reference_scores(env_id).text() for env_id in IDS) + "\n"
    assert json.loads((tmp_path / "scores.json").read_text()) == json.loads(SCORES_FILE.read_text())


def test_one_environment_is_printed_alone(capsys: pytest.CaptureFixture[str]) -> None:
    """Who works on one of them reads half."""
    main(["scores", "--env", SHORT_ID])
    assert capsys.readouterr().out == reference_scores(SHORT_ID).text() + "\n"


@pytest.mark.parametrize(
    ("options", "rule"),
    [
        (["--env", "x"], "`env` must be one of ESARM-v0, ESARM-Short-v0, got 'x'"),
        (["--measure", "--ppo-tokens", "0"], "`ppo_tokens` must be at least 1, got 0"),
    ],
)
def test_what_cannot_be_is_refused(
    options: list[str], rule: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A mistyped id would print nothing at all."""
    with pytest.raises(SystemExit) as left:
        main(["scores", *options])
    assert left.value.code == 2
    assert rule in capsys.readouterr().err


def test_measuring_anew_leaves_what_ships(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A user's machine measures for its user; the table that ships is everybody's."""
    before, asked = SCORES_FILE.read_bytes(), []

    def measured(**settings: Any) -> dict[str, Any]:
        settings.pop("note")("ESARM-v0: stock PPO")
        asked.append(settings)
        found: dict[str, Any] = json.loads(before)
        found["tables"]["ESARM-v0"]["rows"]["random tokens"]["lve"] = [123.0, 0.5]
        return found

    monkeypatch.setattr(scores, "measure_scores", measured)
    main(["scores", "--measure", "--ppo-tokens", "7", "--seed", "3"])
    printed = capsys.readouterr()
    assert asked == [{"env_ids": list(IDS), "ppo_tokens": 7, "seed": 3}]
    assert "123.00 (0.50)" in printed.out and "stock PPO" in printed.err
    assert SCORES_FILE.read_bytes() == before


def test_motion_that_no_tokens_wrote_is_scored_as_the_reward_would(
    tiny_task: AnimationTask,
) -> None:
    """A face at rest has no tokens, and its return must be comparable all the same."""
    utterances = np.array([0, 1])
    truth = [tiny_task.corpus[index].motion for index in utterances.tolist()]
    perfect = scores._of_motion(tiny_task, "accuracy", utterances, truth)
    assert all(np.abs(perfect[name]).max() < 1e-6 for name in ("return", "lve", "eve"))
    still = scores._of_motion(tiny_task, "accuracy", utterances, [np.zeros_like(m) for m in truth])
    np.testing.assert_allclose(still["return"], -(still["lve"] + still["eve"]) / 2)
    assert still["lve"].min() > 0.1


def test_a_figure_is_a_mean_with_its_standard_error() -> None:
    """A standard deviation in its place would make everything look alike."""
    columns = {
        name: np.array([1.0, 3.0, 5.0, 7.0], np.float32) for name in ("return", "lve", "eve")
    }
    assert scores._summary(columns)["lve"] == [4.0, pytest.approx(np.sqrt(20 / 3) / 2, abs=1e-4)]
