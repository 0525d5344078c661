"""The examples run, in miniature, and print what they promise."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

import esarm_env
from esarm_env.task.animation_task import AnimationTask

EXAMPLES = Path(esarm_env.__file__).parents[1] / "examples"
SCRIPTS = sorted(EXAMPLES.glob("*.py"))
NEEDS = {"contrib": "sb3_contrib", "torchrl": "torchrl"}
ONE_SIZE = ("cleanrl_ppo", "torchrl_ppo")  # these fix how many episodes run at once


def load(path: Path) -> Any:
    """Return the module in `path`, which is in no package."""
    spec = importlib.util.spec_from_file_location(f"example_{path.stem}", path)
    assert spec is not None and spec.loader is not None, "it is a Python file"
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# TorchRL warns of its own changes to come, and of a batch larger than what is asked for.
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore:total_frames")
@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_an_example_trains_and_compares(
    path: Path, tiny_task: AnimationTask, capsys: pytest.CaptureFixture[str]
) -> None:
    """A first script that fails is the last thing a new user tries."""
    for start, package in NEEDS.items():
        if path.stem.startswith(start):
            pytest.importorskip(package)
    settings = {} if path.stem in ONE_SIZE else {"n_envs": 2}
    before, after = load(path).main(64, **settings, task=tiny_task, reward="accuracy")
    np.testing.assert_array_equal(before.utterance, tiny_task.corpus.split("validation"))
    for evaluation in (before, after):
        assert set(evaluation.scores) == {"return", "lve", "eve"}
        assert all(np.isfinite(values).all() for values in evaluation.scores.values())
    printed = capsys.readouterr().out
    assert "mean of 2 utterances" in printed
    for name in ("return", "lve, mm", "eve, mm"):
        assert f"\n{name} " in printed


def test_every_algorithm_promised_has_its_example() -> None:
    """A table in the README with a script that is gone."""
    names = {path.stem for path in SCRIPTS}
    promised = {"sb3_ppo", "sb3_a2c", "sb3_dqn", "cleanrl_ppo", "torchrl_ppo"}
    promised |= {f"contrib_{each}" for each in ("recurrent_ppo", "trpo", "maskable_ppo", "qr_dqn")}
    assert names == promised
    readme = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    assert all(f"`{name}.py`" in readme for name in names)


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_an_example_is_a_page(path: Path) -> None:
    """Sixty lines can be read from top to bottom, and changed."""
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 60


@pytest.mark.parametrize("path", sorted((EXAMPLES / "zoo").glob("*.yml")), ids=lambda p: p.stem)
def test_hyper_parameters_are_those_of_the_algorithm(path: Path) -> None:
    """rl-zoo3 hands every key it does not know itself to the constructor."""
    sb3, contrib = pytest.importorskip("stable_baselines3"), pytest.importorskip("sb3_contrib")
    algorithms = {"ppo": sb3.PPO, "a2c": sb3.A2C, "dqn": sb3.DQN}
    algorithms |= {"qrdqn": contrib.QRDQN, "trpo": contrib.TRPO, "ppo_lstm": contrib.RecurrentPPO}
    settings = yaml.safe_load(path.read_text(encoding="utf-8"))["ESARM-v0"]
    own = {"env_wrapper", "policy", "n_timesteps", "n_envs", "env_kwargs"}
    code = algorithms[path.stem].__init__.__code__
    assert set(settings) - own <= set(code.co_varnames[: code.co_argcount])
    assert settings["gamma"] == 1.0, "a score at the end must reach the first token"
