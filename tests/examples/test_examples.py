"""The examples run, in miniature, and print what they promise."""

from __future__ import annotations

import importlib.util
import re
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import yaml

import esarm_env
from esarm_env.core.errors import InputError
from esarm_env.task.animation_task import AnimationTask

EXAMPLES = Path(esarm_env.__file__).parents[1] / "examples"
STOCK = ("cleanrl_ppo", "sb3", "torchrl_ppo")
SCRIPTS = [EXAMPLES / f"{name}.py" for name in STOCK]  # the others: `test_gallery`


def load(path: Path) -> Any:
    """Return the module in `path`, which is in no package."""
    spec = importlib.util.spec_from_file_location(f"example_{path.stem}", path)
    assert spec is not None and spec.loader is not None, "it is a Python file"
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def algorithms() -> tuple[str, ...]:
    """Return what `sb3.py --algo` takes."""
    return get_args(load(EXAMPLES / "sb3.py").Algorithm)


CASES = [("sb3", {"algo": algo, "n_envs": 2}) for algo in algorithms()]
CASES += [("cleanrl_ppo", {}), ("torchrl_ppo", {})]  # these fix how many episodes run at once


# TorchRL warns of its own changes to come, and of a batch larger than what is asked for.
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore:total_frames")
@pytest.mark.parametrize(("name", "settings"), CASES, ids=lambda part: str(part))
def test_an_example_trains_and_compares(
    name: str,
    settings: dict[str, Any],
    tiny_task: AnimationTask,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A first script that fails is the last thing a new user tries."""
    library = "torchrl" if name == "torchrl_ppo" else "stable_baselines3"
    contrib = settings.get("algo") in ("recurrent_ppo", "trpo", "maskable_ppo", "qrdqn")
    pytest.importorskip("sb3_contrib" if contrib else library)
    example = load(EXAMPLES / f"{name}.py")
    if "algo" in settings:  # a roll-out of 1024 steps tells no more than a minibatch of 512
        own = example.SETTINGS[settings["algo"]][-1]
        own["n_steps"] = min(own["n_steps"], 256)
    before, after = example.main(timesteps=64, **settings, task=tiny_task, reward="accuracy")
    np.testing.assert_array_equal(before.utterance, tiny_task.corpus.split("validation"))
    for evaluation in (before, after):
        assert set(evaluation.scores) == {"return", "lve", "eve"}
        assert all(np.isfinite(values).all() for values in evaluation.scores.values())
    printed = capsys.readouterr().out
    assert "mean of 2 utterances" in printed
    for score in ("return", "lve, mm", "eve, mm"):
        assert f"\n{score} " in printed


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_an_example_takes_its_reward_from_the_shell(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To swap the reward is what they are for; a keyword that tyro cannot see does not count."""
    if path.stem.startswith("torchrl"):
        pytest.importorskip("torchrl")
    monkeypatch.setattr(sys, "argv", [str(path), "--reward", "none-such", "--timesteps", "1"])
    with pytest.raises(InputError, match=r"`reward` must be.*'none-such'"):
        runpy.run_path(str(path), run_name="__main__")


def test_an_example_starts_as_a_script() -> None:
    """In a process of its own it finds its imports without what a session of tests has loaded."""
    command = [sys.executable, str(SCRIPTS[0]), "--reward", "none-such", "--timesteps", "1"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert "`reward` must be" in done.stderr and "'none-such'" in done.stderr, done.stderr


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_an_example_shows_the_arguments_of_its_environment(
    path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`**env_kwargs: Any` is invisible to tyro, and nobody learns that a corpus can be given."""
    if path.stem.startswith("torchrl"):
        pytest.importorskip("torchrl")
    monkeypatch.setattr(sys, "argv", [str(path), "--help"])
    with pytest.raises(SystemExit, match=r"^0$"):
        runpy.run_path(str(path), run_name="__main__")
    shown = set(re.findall(r"--([a-z-]+)", capsys.readouterr().out))
    assert {"run", "corpus", "reward", "reward-timing", "max-duration-s", "seed"} <= shown


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_an_example_imports_from_the_front_door(path: Path) -> None:
    """A user's own `train.py` beside the script would be found instead of ours."""
    text = path.read_text(encoding="utf-8")
    ours = re.findall(r"^(?:from|import) (esarm_env|agents|reward|train)(\S*)", text, re.MULTILINE)
    assert ours and all(package != "train" and not place for package, place in ours)


def test_every_algorithm_promised_has_its_example() -> None:
    """A table in the README with a script that is gone."""
    assert all(path.is_file() for path in SCRIPTS)
    contrib = {"recurrent_ppo", "trpo", "maskable_ppo", "qrdqn"}
    assert set(algorithms()) == {"ppo", "a2c", "dqn"} | contrib
    assert set(load(EXAMPLES / "sb3.py").SETTINGS) == set(algorithms())
    readme = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    assert all(f"`sb3.py --algo {name}`" in readme for name in algorithms())
    assert all(f"`{name}.py" in readme for name in ("cleanrl_ppo", "torchrl_ppo"))


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
