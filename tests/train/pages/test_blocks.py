"""The Python blocks and commands of README and docs run alone, as they stand, on what ships."""

import functools
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import soundfile

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
PAGES = [README, *sorted((ROOT / "docs").glob("*.md")), *sorted((ROOT / "docs/howto").glob("*.md"))]
PAGES += [ROOT / "examples" / "README.md"]


def python_blocks():
    """Return the code of every ```python block, in order."""
    pages = (page.read_text(encoding="utf-8") for page in PAGES)
    blocks = (re.findall(r"```python\n(.*?)```", page, re.DOTALL) for page in pages)
    return list(dict.fromkeys(block for page in blocks for block in page))  # each one once


def commands():
    """Return every command line of a console block, comments and line breaks taken out."""
    pages = (page.read_text(encoding="utf-8") for page in PAGES)
    found: dict[str, None] = {}
    for page in pages:
        for block in re.findall(r"```(?:console|bash|sh)\n(.*?)```", page, re.DOTALL):
            for line in block.replace("\\\n", " ").splitlines():
                found[" ".join(line.partition(" #")[0].split())] = None
    return [line for line in found if line]


@pytest.fixture
def own_folder(make_speech, tmp_path, monkeypatch):
    """An empty working folder with a `speech.wav`, and no run."""
    soundfile.write(tmp_path / "speech.wav", make_speech(2.0), 16_000)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def run_block(own_folder, capsys):
    """Run a block as a script of its own, shortened; return its names and what it printed."""

    def run(block):
        names: dict[str, object] = {}
        shorter = block.replace("learn(2_000)", "learn(300)").replace("learn(5_000)", "learn(1)")
        shorter = shorter.replace("learn(200_000)", "learn(1)").replace("range(4)", "range(1)")
        shorter = shorter.replace("learn(5_000, ", "learn(1, ")
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


def test_what_the_first_example_prints_stands_below_it(run_block):
    """A first output that differs from the page makes people search for what they did wrong."""
    first, shown = re.findall(
        r"```(?:python|text)\n(.*?)```", README.read_text("utf-8"), re.DOTALL
    )[:2]
    assert run_block(first)[1] == shown
    assert len([line for line in first.splitlines() if line]) <= 10, "eight lines and the imports"


def test_a_block_that_makes_an_environment_by_id_registers_it():
    """In this process others have imported `esarm_env`; in a fresh interpreter nobody has."""
    for block in python_blocks():
        if "gymnasium.make" in block:
            assert re.search(r"^(?:import|from) esarm_env", block, re.MULTILINE), block


def test_names_in_the_text_are_found_after_the_import_alone():
    """`help(esarm_env.wrappers.RecordVideo)` used to be an AttributeError."""
    pages = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)
    names = sorted(set(re.findall(r"`(?:help\()?((?:esarm_env|agents)(?:\.\w+)+)", pages)))
    assert {"esarm_env.SpeechAnimationEnv", "esarm_env.wrappers.vector"} <= set(names)
    ours = [name for name in names if name.startswith("esarm_env")]
    code = f"import esarm_env\n{'; '.join(ours)}\nimport pydoc\n"
    code += f"for name in {names}:\n    assert pydoc.locate(name) is not None, name\n"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.fixture
def asked(monkeypatch):
    """Commands that do nothing but note what they were called with."""
    from train import cli
    from train.commands import bench

    calls = []

    def noting(name, command):
        @functools.wraps(command)
        def note(*args, **kwargs):
            calls.append(name)

        return note

    for table in (cli.COMMANDS, bench.BENCHES):
        for name, command in list(table.items()):
            monkeypatch.setitem(table, name, noting(name, command))
    return calls


@pytest.mark.parametrize("line", [line for line in commands() if line.startswith("esarm ")])
def test_a_command_takes_what_the_page_gives_it(line, asked):
    """Commands and options are renamed more often than pages; most take hours to run whole."""
    from train.cli import main

    words = shlex.split(line)[1:]
    main(words)
    assert asked == [words[1] if words[0] == "bench" else words[0]]


@pytest.mark.parametrize("line", [line for line in commands() if "examples/" in line])
def test_a_script_that_a_page_names_is_there(line):
    """The gallery grows, and names change."""
    for word in re.findall(r"examples/[\w/]+\.\w+", line):
        assert (ROOT / word).is_file(), word


def test_no_command_of_a_page_is_left_out():
    """What is neither ours nor known to be another's is run by no test."""
    kinds = "esarm|make|pip|git|python3?|tensorboard"
    assert not [line for line in commands() if not re.match(rf"(?:{kinds}) ", line)]
    assert len([line for line in commands() if line.startswith("esarm ")]) > 20


def test_animating_a_recording_needs_nothing_but_what_ships(own_folder, capsys):
    """The command that most people try first."""
    from train.cli import main

    Path("smile.csv").write_text("time_s,neutral,happy\n0,1,0\n60,0,1\n", encoding="utf-8")
    for line in [line for line in commands() if line.startswith("esarm animate speech.wav")]:
        if "--run" in line or "--best-of" in line:
            continue
        main(shlex.split(line)[1:])
        assert Path("face.csv").read_text(encoding="utf-8").startswith("Timecode,")
        assert "face.csv" in capsys.readouterr().out


def test_every_command_in_the_readme_exists():
    """Commands are renamed more often than READMEs."""
    from train.cli import COMMANDS

    text = README.read_text(encoding="utf-8")
    assert set(re.findall(r"`?esarm ([a-z]+)[ `]", text)) - {"is"} <= set(COMMANDS)
    targets = set(re.findall(r"^make (\w+)", text, re.MULTILINE))
    makefile = (README.parent / "Makefile").read_text()
    assert {"demo", "test"} <= targets
    assert all(re.search(rf"^{target}:", makefile, re.MULTILINE) for target in targets)
