"""The Python blocks of README and docs run alone, as they stand, each from a fresh start."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.hub_stand_in import environment
from tests.train.pages.belongings import Belongings
from tests.train.pages.interpreter import FreshInterpreter
from tests.train.pages.reading import PAGES, README, Block, blocks

PYTHON = blocks("python")
# What makes a block small; every other letter stays as it is.
SMALL = {
    "learn(2_000)": "learn(300)",
    "learn(5_000": "learn(1",
    "learn(200_000)": "learn(1)",
    "learn(100_000)": "learn(1)",
    "n_episodes=256": "n_episodes=8",
    "env, seed=0, device": "env, seed=0, n_episodes=8, device",
    "join_processes()": "join_processes(cpu=True)",
    "range(4)": "range(1)",
    "range(2)": "range(1)",
    "n_episodes=32": "n_episodes=8",
    "n_episodes=64": "n_episodes=8",
    # Ray takes seconds to start; workers have tests of their own.
    "RayCollector(2)": "RayCollector(0)",
    "n_steps=126, batch_size=504": "n_steps=21, batch_size=84",
    ", held_out)": ", held_out, utterances=held_out.unwrapped.sequence_task"
    ".corpus.split('validation')[:4])",
    '"/new/place"': '"new/place"',
    '"runs/streaming", emotion="happy"': '"runs/streaming", emotion="neutral"',  # it knows no other
}
# What a block that uses an extra is skipped without, by what stands in it.
EXTRAS = {
    "phone_spans": ("hama", "phones"),
    "make_utterance": ("espeakng_loader", "synthetic"),
    "tensorboard_log": ("tensorboard", "tensorboard"),
}
STAND_IN = """
import sys
from unittest.mock import MagicMock

sys.modules["wandb"] = MagicMock()  # it is no extra of ours
"""
# What a block must have done beside printing, by what stands in it.
THEN = {
    "class AdvantageWeightedRegression": "assert own.n_iterations == 1",
    "picture = render": "assert picture.shape == (240, 240, 3)",
    "vertex_error": "assert 'LVE (mean over frames of max' in open('output.txt').read()",
    'register_reward("blinks"': """
terms = info["rewards"]
assert abs(reward - terms["learned"] - 0.5 * terms["blinks"] + 0.1 * terms["jerk"]) < 1e-4
""",
}


@pytest.fixture(scope="module")
def interpreter() -> Iterator[FreshInterpreter]:
    """What starts a script in no time."""
    with FreshInterpreter() as process:
        yield process


@pytest.fixture
def run_block(
    request: pytest.FixtureRequest,
    interpreter: FreshInterpreter,
    make_speech: Callable[..., Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[[Block], str]:
    """Run a block as a script, made small, in a folder with what it names; return its output."""
    monkeypatch.chdir(tmp_path)

    def run(block: Block) -> str:
        if any(each in block.text for each in ('"runs/', '"my-face"', "hf://")):
            fixtures = [request.getfixturevalue(name) for name in ("finished_run", "recordings")]
        else:
            fixtures = [tmp_path, tmp_path]
        own = Belongings(fixtures[0], fixtures[1], make_speech)
        code = block.text
        for text, here in SMALL.items():
            code = code.replace(text, here)
        if '"runs/streaming"' in code:
            own.streaming = request.getfixturevalue("streaming_run")
        before = STAND_IN if "import wandb" in code else ""
        if "hf://" in code or "push_to_hub" in code:
            own.hub = request.getfixturevalue("hub")
            told = environment(own.hub, tmp_path / "home")
            before += f"import os; os.environ.update({told!r})\n"
        own.place(code)
        then = "".join(check for text, check in THEN.items() if text in block.text)
        flush = "\nimport sys as _sys; _sys.stdout.flush()\n"
        status, printed = interpreter.run(before + code + flush + then, tmp_path)
        assert status == 0, printed
        return printed

    return run


def test_the_readme_has_a_block_for_each_thing_it_promises() -> None:
    """A block that goes unseen takes its checks below with it."""
    wanted = "animate, one, many, stock PPO, our PPO, own algorithm, own reward, metrics, heads"
    readme = "one, our PPO, weighted reward"
    assert len(re.findall(r"```python", README.read_text(encoding="utf-8"))) == 3, readme
    assert len(PYTHON) >= 9 + 3, wanted
    assert all(any(text in block.text for block in PYTHON) for text in (*THEN, *EXTRAS))


@pytest.mark.parametrize("block", PYTHON, ids=lambda block: block.name)
def test_each_block_runs_alone_and_prints(block: Block, run_block: Callable[[Block], str]) -> None:
    """A first example that fails is the last thing a new user tries; one that is silent, too."""
    for text, (package, extra) in EXTRAS.items():
        if text in block.text:
            pytest.importorskip(package, reason=f"the extra `{extra}` is not installed")
    assert run_block(block).strip(), "nobody sees that anything happened"


def test_python_stands_in_python_blocks() -> None:
    """Under another name a block is shown, and run by nobody."""
    for block in blocks("", "py", "text", "pycon"):
        assert not re.search(r"^(?:import|from) \w+", block.text, re.MULTILINE), block.name


def test_no_block_imports_from_train() -> None:
    """A user's own `train.py` would be found instead of ours."""
    code = "\n".join(block.text for block in PYTHON)
    found = set(re.findall(r"^(?:from|import) (\w+)", code, re.MULTILINE))
    assert {"esarm_env", "agents"} <= found and "train" not in found


def test_what_the_first_example_prints_stands_below_it(run_block: Callable[[Block], str]) -> None:
    """A first output that differs from the page makes people search for what they did wrong."""
    first, shown = [block for block in blocks("python", "text") if block.page == "README"][:2]
    assert run_block(first) == shown.text
    lines = [line for line in first.text.splitlines() if line]
    assert len(lines) <= 10, "eight lines and the imports"


def test_a_script_finds_nothing_of_the_one_before(
    interpreter: FreshInterpreter, tmp_path: Path
) -> None:
    """A block that needs another one's registered reward, or its seed, would pass here alone."""
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    leaving = "import esarm_env\nesarm_env.register_reward('left', lambda task, run: None)"
    assert interpreter.run(f"{leaving}\nleft = 1", tmp_path / "a")[0] == 0
    looking = "import esarm_env.rewards.registry as r\nprint('left' in r.REWARDS.names(), left)"
    status, printed = interpreter.run(looking, tmp_path / "b")
    assert status == 1 and "NameError" in printed and "False" not in printed
    assert interpreter.run(looking.replace(", left)", ")"), tmp_path / "b") == (0, "False\n")


def test_a_block_that_makes_an_environment_by_id_registers_it() -> None:
    """In the process that forks others have imported `esarm_env`; in a new one nobody has."""
    for block in PYTHON:
        if "gymnasium.make" in block.text:
            assert re.search(r"^(?:import|from) esarm_env", block.text, re.MULTILINE), block.name


def test_names_in_the_text_are_found_after_the_import_alone() -> None:
    """`help(esarm_env.wrappers.RecordVideo)` used to be an AttributeError."""
    pages = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)
    names = sorted(set(re.findall(r"`(?:help\()?((?:esarm_env|agents)(?:\.\w+)+)", pages)))
    assert {"esarm_env.SpeechAnimationEnv", "esarm_env.wrappers.vector"} <= set(names)
    ours = [name for name in names if name.startswith("esarm_env")]
    code = f"import esarm_env\n{'; '.join(ours)}\nimport pydoc\n"
    code += f"for name in {names}:\n    assert pydoc.locate(name) is not None, name\n"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
