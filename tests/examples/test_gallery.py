"""The examples beside the stock algorithms run, in miniature, and print what they promise."""

from __future__ import annotations

import importlib.util
import json
import re
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import esarm_env
from agents import load_policy, save_policy
from esarm_env.task import opening
from esarm_env.task.animation_task import AnimationTask
from esarm_env.tokenizer import PriorConfig
from tests.small_policy import untrained

EXAMPLES = Path(esarm_env.__file__).parents[1] / "examples"
GALLERY = ("own_algorithm", "own_reward", "preferences", "recordings", "tuning")
LONGEST = 70  # lines: they are read from top to bottom, and copied


def load(name: str) -> Any:
    """Return the module of an example, which is in no package."""
    spec = importlib.util.spec_from_file_location(f"gallery_{name}", EXAMPLES / f"{name}.py")
    assert spec is not None and spec.loader is not None, "it is a Python file"
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def clone(tiny_task: AnimationTask, tmp_path: Path) -> Path:
    """Return the file of a small policy of the tiny task, untrained."""
    save_policy(untrained(tiny_task), tmp_path / "clone.safetensors")
    return tmp_path / "clone.safetensors"


@pytest.mark.parametrize("name", ["own_algorithm", "own_reward"])
def test_what_is_ones_own_trains_and_compares(
    name: str, tiny_task: AnimationTask, clone: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is copied and changed must run before it is changed."""
    settings: dict[str, Any] = {"clone": str(clone), "task": tiny_task, "reward": "accuracy"}
    before, after = load(name).main(timesteps=1, **settings)
    np.testing.assert_array_equal(before.utterance, tiny_task.corpus.split("validation"))
    np.testing.assert_array_equal(before.utterance, after.utterance)
    assert all(np.isfinite(values).all() for values in after.scores.values())
    printed = capsys.readouterr().out
    wanted = ["return", "lve, mm", "eve, mm"]
    wanted += ["rewards/accuracy", "rewards/smile"] if name == "own_reward" else []
    for score in wanted:
        assert f"\n{score} " in printed


def test_preferences_become_a_reward(
    tiny_task: AnimationTask, clone: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A file that is there is read, not asked for again; a bad line costs itself."""
    example, file = load("preferences"), tmp_path / "asked" / "preferences.jsonl"
    settings: dict[str, Any] = {"epochs": 2, "task": tiny_task, "clone": load_policy(clone)}
    right = example.main(file, utterances=8, **settings)
    lines = file.read_text().splitlines()
    assert len(lines) == 8 and {json.loads(line)["better"] for line in lines} <= {"a", "b"}
    assert 0 <= right <= 1
    weights = file.parent / "reward.safetensors"
    printed = capsys.readouterr().out
    assert "8 judgements; of the 2 held out" in printed and f"learned:{weights}" in printed
    env = esarm_env.SpeechAnimationEnv(task=tiny_task, reward=f"learned:{weights}")
    assert not env.reward_function.needs_ground_truth
    file.write_text("\n".join([*lines, "{"]) + "\n")
    example.main(file, **settings)
    assert "left out: " in capsys.readouterr().out
    assert len(file.read_text().splitlines()) == 9


def test_recordings_are_made_read_and_cloned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The folder that it makes is the shape that a user's own must have."""
    small = PriorConfig(
        n_tokens=8, hidden=8, code_dim=4, epochs=1, steps_per_epoch=1, batch_crops=4
    )
    monkeypatch.setattr(opening, "PriorConfig", lambda **_: small)
    folder = tmp_path / "rec"
    network = {"n_layers": 1, "n_heads": 2, "width": 16}
    example = load("recordings")
    before, after = example.main(folder, epochs=1, n=12, policy_kwargs={"network": network})
    assert len(list((folder / "audio").iterdir())) == 12
    assert len(list((folder / "blendshape").iterdir())) == 12
    printed = capsys.readouterr().out
    assert "12 utterances" in printed and "\nlve, mm " in printed
    np.testing.assert_array_equal(before.utterance, after.utterance)
    assert load_policy(tmp_path / "policy.safetensors").config.width == 16


class Trial:
    """Suggests the lowest value and the first choice."""

    def suggest_float(self, name: str, low: float, high: float, *, log: bool) -> float:
        """Return `low`."""
        return low

    def suggest_categorical(self, name: str, choices: list[Any]) -> Any:
        """Return the first."""
        return choices[0]


class Study:
    """A study of one idea; what it was asked is kept."""

    best_params: dict[str, Any] = {"learning_rate": 3e-5, "samples_per_utterance": 2}  # noqa: RUF012
    best_value = 1.0

    def optimize(self, objective: Any, n_trials: int) -> None:
        """Call the objective as often."""
        self.values = [objective(Trial()) for _ in range(n_trials)]


def test_settings_are_searched_on_validation_and_shown_on_test(
    tiny_task: AnimationTask,
    clone: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A search on test utterances reports what it has chosen by."""
    example, study = load("tuning"), Study()
    optuna = SimpleNamespace(
        logging=SimpleNamespace(set_verbosity=lambda level: None, WARNING=30),
        samplers=SimpleNamespace(TPESampler=lambda seed: None),
        create_study=lambda sampler: study,
    )
    monkeypatch.setattr(example, "optuna", optuna)
    settings: dict[str, Any] = {"clone": str(clone), "task": tiny_task, "reward": "accuracy"}
    before, _ = example.main(trials=2, timesteps=1, **settings)
    np.testing.assert_array_equal(before.utterance, tiny_task.corpus.split("test"))
    assert len(study.values) == 2 and np.isfinite(study.values).all()
    assert "best of 2: {'learning_rate': 3e-05" in capsys.readouterr().out


def test_without_optuna_the_search_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is no extra of ours."""
    example = load("tuning")
    monkeypatch.setattr(example, "optuna", None)
    with pytest.raises(SystemExit, match="which is not installed: pip install optuna"):
        example.main()


@pytest.mark.parametrize("name", GALLERY)
def test_an_example_is_a_page_through_the_front_door(name: str) -> None:
    """A user's own `train.py` beside the script would be found instead of ours."""
    text = (EXAMPLES / f"{name}.py").read_text(encoding="utf-8")
    assert len(text.splitlines()) <= LONGEST
    ours = re.findall(r"^(?:from|import) (esarm_env|agents|reward|train)(\S*)", text, re.MULTILINE)
    assert ours and all(
        package != "train" and (not place or f"{package}{place}" == "esarm_env.face")
        for package, place in ours
    )
    readme = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    assert f"python examples/{name}.py" in readme, "with what it prints"


def test_the_reward_server_scores_and_needs_python_alone(
    tiny_task: AnimationTask, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is copied to machines where nothing of ours is installed."""
    example = load("reward_server")
    example.main(task=tiny_task)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "reward: accuracy + 0.5 * server"
    ids = tiny_task.ids_of(tiny_task.corpus.split("validation"))
    assert [line.partition(":")[0] for line in lines[1:]] == ids
    total, accuracy, own = (
        float(x) for x in re.findall(r"-?\d+\.\d+", lines[1])[-4:] if x != "0.5"
    )
    assert total == pytest.approx(accuracy + 0.5 * own, abs=2e-3)
    text = (EXAMPLES / "reward_server.py").read_text(encoding="utf-8")
    above = re.findall(r"^(?:from|import) (\w+)", text, re.MULTILINE)
    assert set(above) <= sys.stdlib_module_names and len(text.splitlines()) <= LONGEST


def test_every_example_is_in_the_readme() -> None:
    """Files that no page names are found by nobody."""
    readme = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    assert all(f"{path.name}" in readme for path in EXAMPLES.glob("*.py"))
