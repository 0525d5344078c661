"""The README's Python blocks run, as they stand, on a finished miniature run."""

import re
from pathlib import Path

import pytest

README = Path(__file__).parents[2] / "README.md"


def python_blocks():
    """Return the code of every ```python block, in order."""
    return re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)


@pytest.fixture
def readme_run(finished_run, tmp_path, monkeypatch):
    """A working folder in which `runs/demo` is a finished run, as the README supposes."""
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "demo").symlink_to(finished_run)
    monkeypatch.chdir(tmp_path)


def test_the_readme_runs_from_top_to_bottom(readme_run, capsys):
    """A first example that fails is the last thing a new user tries."""
    blocks = python_blocks()
    wanted = "one, many, stock PPO, sequence PPO, own algorithm, own reward, metrics, heads"
    assert len(blocks) == 8, wanted
    names: dict[str, object] = {}
    for block in blocks:
        shorter = block.replace("learn(2_000)", "learn(300)").replace("learn(5_000)", "learn(1)")
        exec(compile(shorter, str(README), "exec"), names)
    printed = capsys.readouterr().out
    assert "learned" in printed and "LVE (mean over frames of max over lip vertices" in printed
    assert names["picture"].shape == (240, 240, 3)
    env = names["env"]
    env.reset(seed=1)
    done = False
    while not done:
        _, reward, done, _, info = env.step(env.action_space.sample())
    assert names["own"].n_iterations == 1
    terms = info["rewards"]
    assert reward == pytest.approx(terms["learned"] + 0.5 * terms["blinks"] - 0.1 * terms["jerk"])


def test_every_command_in_the_readme_exists():
    """Commands are renamed more often than READMEs."""
    from train.cli import COMMANDS

    text = README.read_text(encoding="utf-8")
    assert set(re.findall(r"`?esarm ([a-z]+)[ `]", text)) - {"is"} <= set(COMMANDS)
    targets = set(re.findall(r"^make (\w+)", text, re.MULTILINE))
    makefile = (README.parent / "Makefile").read_text()
    assert {"demo", "test"} <= targets
    assert all(re.search(rf"^{target}:", makefile, re.MULTILINE) for target in targets)
