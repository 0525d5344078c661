"""The Python blocks of README and docs run, as they stand, on a finished miniature run."""

import re
from pathlib import Path

import pytest
import soundfile

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
PAGES = [README, *sorted((ROOT / "docs").glob("*.md")), *sorted((ROOT / "docs/howto").glob("*.md"))]


def python_blocks():
    """Return the code of every ```python block, in order."""
    pages = (page.read_text(encoding="utf-8") for page in PAGES)
    blocks = (re.findall(r"```python\n(.*?)```", page, re.DOTALL) for page in pages)
    return list(dict.fromkeys(block for page in blocks for block in page))  # each one once


@pytest.fixture
def readme_run(finished_run, make_speech, tmp_path, monkeypatch):
    """A working folder with `speech.wav` and a finished run `runs/demo`, as the README supposes."""
    soundfile.write(tmp_path / "speech.wav", make_speech(2.0), 16_000)
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "demo").symlink_to(finished_run)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def run_block(readme_run, capsys):
    """Run a block as a script of its own, shortened; return its names and what it printed."""

    def run(block):
        names: dict[str, object] = {}
        shorter = block.replace("learn(2_000)", "learn(300)").replace("learn(5_000)", "learn(1)")
        shorter = shorter.replace("learn(200_000)", "learn(1)")
        exec(compile(shorter, str(README), "exec"), names)
        return names, capsys.readouterr().out

    return run


def test_the_readme_has_a_block_for_each_thing_it_promises():
    """A block that goes unseen takes its checks below with it."""
    wanted = "animate, one, many, stock PPO, our PPO, own algorithm, own reward, metrics, heads"
    readme = "one, our PPO, weighted reward"
    assert len(re.findall(r"```python", README.read_text(encoding="utf-8"))) == 3, readme
    assert len(python_blocks()) >= 9 + 3, wanted


@pytest.mark.parametrize("number", range(len(python_blocks())))
def test_each_block_runs_alone_and_prints(run_block, number):
    """A first example that fails is the last thing a new user tries; one that is silent, too."""
    if "phone_spans" in python_blocks()[number]:
        pytest.importorskip("hama", reason="the extra `phones` is not installed")
    if "make_utterance" in python_blocks()[number]:
        pytest.importorskip("espeakng_loader", reason="the extra `synthetic` is not installed")
    names, printed = run_block(python_blocks()[number])
    assert printed.strip(), "nobody sees that anything happened"
    if "AdvantageWeightedRegression" in names:
        assert names["own"].n_iterations == 1
    if "figures" in names:
        assert "LVE (mean over frames of max over lip vertices" in printed
    if "picture" in names:
        assert names["picture"].shape == (240, 240, 3)
    if "Blinks" in names:
        assert "learned" in printed
        check_reward(names["env"])


def check_reward(env):
    """Check that what is printed beside the reward is what it is made of."""
    env.reset(seed=1)
    done = False
    while not done:
        _, reward, done, _, info = env.step(env.action_space.sample())
    terms = info["rewards"]
    assert reward == pytest.approx(terms["learned"] + 0.5 * terms["blinks"] - 0.1 * terms["jerk"])


def test_no_block_imports_from_train():
    """A user's own `train.py` would be found instead of ours."""
    code = "\n".join(python_blocks())
    found = set(re.findall(r"^(?:from|import) (\w+)", code, re.MULTILINE))
    assert {"esarm_env", "agents"} <= found and "train" not in found


def test_every_command_in_the_readme_exists():
    """Commands are renamed more often than READMEs."""
    from train.cli import COMMANDS

    text = README.read_text(encoding="utf-8")
    assert set(re.findall(r"`?esarm ([a-z]+)[ `]", text)) - {"is"} <= set(COMMANDS)
    targets = set(re.findall(r"^make (\w+)", text, re.MULTILINE))
    makefile = (README.parent / "Makefile").read_text()
    assert {"demo", "test"} <= targets
    assert all(re.search(rf"^{target}:", makefile, re.MULTILINE) for target in targets)
