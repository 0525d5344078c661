"""The example scripts: each is a page, has help, and learns a task whose best return is known."""

from __future__ import annotations

import ast
import importlib
import re
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import tyro

from esarm_env.task import AnimationTask
from esarm_env.types import Trajectories

EXAMPLES = Path(__file__).parents[2] / "examples"
SCRIPTS = sorted(path.stem for path in EXAMPLES.glob("*.py"))
# Enough to learn to write one token: steps, and how many episodes at once where it is an option.
MINIATURES: dict[str, tuple[int, dict[str, int]]] = {
    "cleanrl_ppo": (12_000, {}),
    "contrib_maskable_ppo": (6_144, {"n_envs": 1}),
    "contrib_qr_dqn": (8_000, {}),
    "contrib_recurrent_ppo": (3_072, {"n_envs": 1}),
    "contrib_trpo": (6_144, {"n_envs": 1}),
    "sb3_a2c": (20_000, {"n_envs": 16}),
    "sb3_dqn": (8_000, {}),
    "sb3_ppo": (6_144, {"n_envs": 1}),
    "torchrl_ppo": (10_240, {}),
}
# TorchRL warns of its own deprecated classes when it is imported.
THEIR_WARNINGS = pytest.mark.filterwarnings("ignore:.*WeightUpdater.*:DeprecationWarning")


class Fives:
    """Ten times the share of tokens that are 5: 0.625 at random, 10 at best."""

    needs_ground_truth = False

    def score(self, trajectories: Trajectories) -> np.ndarray:
        share = (trajectories.tokens == 5).sum(axis=1) / trajectories.lengths
        return (10 * share).astype(np.float32)


def load(name: str, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Import a script as Python does when it is run."""
    library = {"sb3": "stable_baselines3", "contrib": "sb3_contrib", "torchrl": "torchrl"}
    pytest.importorskip(library.get(name.split("_")[0], "torch"))
    monkeypatch.syspath_prepend(str(EXAMPLES))
    return importlib.import_module(name)


@THEIR_WARNINGS
@pytest.mark.parametrize("name", SCRIPTS)
def test_each_learns(
    name: str,
    tiny_task: AnimationTask,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A sign the wrong way round, or a reward that gets lost, still runs to the end and prints."""
    steps, options = MINIATURES[name]
    script = load(name, monkeypatch)
    before, after = script.main(steps, task=tiny_task, reward=Fives(), **options)
    print(name, before.means()["return"], after.means()["return"])
    assert after.means()["return"] > before.means()["return"] + 1.5
    assert before.utterance.tolist() == tiny_task.corpus.split("validation").tolist()
    printed = capsys.readouterr().out
    assert before.compare(after) in printed
    for measured in ("return", "lve, mm", "eve, mm"):
        assert f"\n{measured} " in printed


def test_the_seed_decides(tiny_task: AnimationTask, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever reports a result of an example must be able to get it again."""
    script = load("cleanrl_ppo", monkeypatch)
    settings: dict[str, Any] = {"task": tiny_task, "reward": Fives()}
    first, again, other = (script.main(3_000, seed=seed, **settings)[1] for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.scores["return"], again.scores["return"])
    np.testing.assert_array_equal(first.scores["lve"], again.scores["lve"])
    assert not np.array_equal(first.scores["lve"], other.scores["lve"])


@THEIR_WARNINGS
@pytest.mark.parametrize("name", SCRIPTS)
def test_each_has_help(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`--help` is what a reader tries first; it must not train."""
    script = load(name, monkeypatch)
    with pytest.raises(SystemExit) as stopped:
        tyro.cli(script.main, args=["--help"])
    assert stopped.value.code == 0
    assert {"--timesteps", "--seed"} <= set(capsys.readouterr().out.split())


@pytest.mark.parametrize("name", SCRIPTS)
def test_each_is_a_page(name: str) -> None:
    """They are there to be read; also without the library installed."""
    source = (EXAMPLES / f"{name}.py").read_text(encoding="utf-8")
    assert len(source.splitlines()) <= 60
    tree = ast.parse(source)
    assert ast.get_docstring(tree)
    assert source.endswith('if __name__ == "__main__":\n    tyro.cli(main)\n')


def test_the_readme_lists_what_is_there() -> None:
    """A script nobody finds helps nobody, and a command that is gone harms."""
    text = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`(\w+)\.py`", text))
    assert named == set(SCRIPTS) == set(MINIATURES)
    zoo = {path.stem for path in (EXAMPLES / "zoo").glob("*.yml")}
    assert set(re.findall(r"`zoo/(\w+)\.yml`", text)) == zoo
    for module in re.findall(r"esarm_env\.\w+", text):
        importlib.import_module(module)
