"""The commands of README and docs run as they stand, each block in a folder of its own.

What they name (recordings, finished runs, predictions) is there, as small as can be; presets, the
tables' methods and benches are small, too. `NOT_RUN` has the few that cannot run here.
"""

from __future__ import annotations

import importlib.util
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import pytest
import yaml

from tests.train.pages.belongings import Belongings
from tests.train.pages.reading import ROOT, Block, blocks, inline_commands
from tests.train.tables.conftest import FakeTable
from train.cli import COMMANDS, main
from train.commands.bench import BENCHES
from train.manual import pages

# What stands on a page, and what stands for it here.
STANDS_FOR = {
    "/new/place": "new/place",
    "FLAME/generic_model.pkl": "esarm",
    "my_voice.wav --emotion angry": "my_voice.wav --emotion neutral",  # the tiny run knows no other
    "iterations=60": "iterations=1",
    "improve.iterations=6": "improve.iterations=1",
    "--runs RUN RUN RUN": "--runs runs/demo runs/demo/seeds/1 runs/demo/seeds/2 --out table2",
    "--run RUN": "--run runs/demo",
    "-m venv .venv": "-m venv --without-pip .venv",
    # Ray takes seconds to start; workers have tests of their own, which share one start.
    "--workers 2": "--workers 0",
    "improve.workers=2": "improve.workers=0",
}
# Options that make a command small.
SMALL = {
    "esarm improve --run": "--speech-settings.iterations 1 --speech-settings.n-episodes 4 "
    "--speech-settings.samples-per-utterance 2 --speech-settings.rehearsals 1 "
    "--speech-settings.old-utterances 2 --speech-settings.test-share 0.4 "
    "--speech-settings.reward learned 1 synchrony 0.5",
    "esarm figure5": "--columns 2",
    "esarm run --run runs/tuned": "--set encoder.epochs=4",
    "esarm improve --from runs/mine --as judged": "--algorithm reinforce --set "
    "improve.iterations=1",
    "esarm improve --from runs/demo --as accuracy-only": "--set improve.iterations=1",
    "esarm improve --from runs/demo --as smooth": "--set improve.iterations=1",
    "esarm improve --from runs/demo --as gentle": "--set improve.iterations=1",
    "esarm table2": "--utterances 2",
    "esarm bench prior": "--sweep 'epochs=1 steps_per_epoch=1 quantiser=fsq n_tokens=8'",
    "esarm bench hacking": "--seeds 0 --iterations 1",
    "esarm tune --run runs/demo --trials": "--set improve.n_episodes=8",
    "esarm tune --run runs/demo --as reinforce": "--set improve.n_episodes=8",
}
# These run up to the policy's cloning, and are interrupted there: a whole run is in the fixtures.
UNTIL_CLONING = (
    "esarm run --run",
    "esarm run --set improve.workers",
    "esarm run --corpus VOCASET/",
    "esarm ablate --run runs/demo --out ablation --only",
)
VARIANTS = ("without-rl", "without-expected-distance", "without-disentangling", "members-3")


def lines_of(block: Block) -> list[str]:
    """Return what is run of a block: its lines, but those of blocks before it."""
    before = [line for other in CONSOLE[: CONSOLE.index(block)] for line in other.commands]
    found = {as_here(line) for line in before}
    return [line for line in map(as_here, block.commands) if line not in found]


def as_here(line: str) -> str:
    """Return a line with what stands here for what the page has."""
    for text, here in STANDS_FOR.items():
        line = line.replace(text, here)
    return line


def dry_run(line: str) -> None:
    """Let `make` say what it would do, and check the commands of ours among that."""
    done = subprocess.run(
        ["make", "-n", "-B", *line.split()[1:]], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert ".venv/bin/" in done.stdout


def places_are_there(line: str) -> None:
    """Check that the files which a line names stand in the repository."""
    for word in re.findall(r"(?<= )(?:[\w.]+/)*[\w]+\.(?:txt|yml|py)(?= |$)", line):
        assert (ROOT / word).is_file(), word


def torch_of_the_constraints(line: str) -> None:
    """Check that the line installs the version that everything else is installed beside."""
    assert f"\n{line.split()[2]}\n" in (ROOT / "constraints.txt").read_text()


def is_of_the_image(line: str) -> None:
    """Check that what is set is an argument of the Dockerfile, and what is run a command."""
    dockerfile, words = (ROOT / "Dockerfile").read_text(), shlex.split(line)
    for word in words:
        assert "=" not in word or f"ARG {word.split('=')[0]}=" in dockerfile, word
    assert words[-words[::-1].index("esarm")] in COMMANDS, "behind the name of the image"


def is_refused_by_name(line: str) -> None:
    """Run a command up to where it asks for what is not here."""
    Path("videos").mkdir()
    with pytest.raises(SystemExit, match=r"^2$"):
        main(shlex.split(line)[1:])


def is_a_command_of_ours(line: str) -> None:
    """Check what several processes or a cluster would run: its options, or its module."""
    _, _, ours = line.partition("train.cli ")
    words = shlex.split(ours or line.partition("esarm ")[2])
    if words:
        page = pages.page(COMMANDS[words[0]], prog=f"esarm {words[0]}")
        assert all(word in page for word in words if word.startswith("--")), line
    else:
        assert importlib.util.find_spec(line.split()[-1]), line


# Commands that are not run, by how they begin: why, and what is checked of them instead.
NOT_RUN: dict[str, tuple[str, Callable[[str], None]]] = {
    "git clone REPOSITORY-URL": ("needs the network, and the owner's address", places_are_there),
    "make ": ("installs everything, or takes minutes", dry_run),
    "pip install torch": ("needs the network", torch_of_the_constraints),
    "pip install": ("needs the network", places_are_there),
    "python -m rl_zoo3.train": ("rl-zoo3 wants an environment of its own", places_are_there),
    "tensorboard --logdir": ("serves until it is stopped", places_are_there),
    "python examples/": ("takes a minute; its tests run it in miniature", places_are_there),
    "docker ": ("needs a Docker daemon, see tests/test_dockerfile.py", is_of_the_image),
    "torchrun ": ("starts processes; tests/train/distributed does", is_a_command_of_ours),
    "OMP_NUM_THREADS=1 ": ("measures for minutes", is_a_command_of_ours),
    "RAY_ADDRESS=": ("needs a cluster", is_a_command_of_ours),
    "ray ": ("starts a cluster, or ends one", places_are_there),
    "esarm capture": ("needs MediaPipe and its model", is_refused_by_name),
}
CONSOLE = blocks("console")
ON_THE_HUB = r"hf://|esarm (?:push|pull)"  # what needs the stand-in


@pytest.fixture
def own(
    finished_run: Path,
    recordings: Path,
    make_speech: Callable[..., Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Belongings:
    """A working folder, and what makes the files in it; all trainings are as small as can be."""
    monkeypatch.chdir(tmp_path)
    small_preset(finished_run, recordings, monkeypatch)
    small_tables(finished_run, monkeypatch)
    small_benches(monkeypatch)
    monkeypatch.setitem(sys.modules, "wandb", MagicMock())
    monkeypatch.setattr("train.speech.measures._phones_of", lambda audio: None)  # takes seconds
    small_sweeps(monkeypatch)
    monkeypatch.setattr("train.studio.server.serve", open_and_close)  # it serves until Ctrl-C
    return Belongings(finished_run, recordings, make_speech)


def open_and_close(studio: Any, *, port: int, browse: bool) -> None:
    """Ask a studio what its page would be told, and end."""
    print(f"studio: {studio.to_dict()['run']}, port {port}, browse {browse}")
    studio.close()


def small_preset(run: Path, recordings: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the preset `demo` be that of the tiny run, on its recordings."""
    from train.run.config import PRESETS, from_dict

    values = yaml.safe_load((run / "config.yaml").read_text())
    values["prior"] |= {"steps_per_epoch": 1, "epochs": 1}
    values["corpus"]["name"] = str(recordings)
    monkeypatch.setitem(PRESETS, "demo", from_dict(values))


def small_tables(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let tables have few rows that nothing is trained for, on the corpus of the tiny run."""
    import train.tables.table2.measures as noise
    from esarm_env import open_task
    from train.tables.ablation import variants
    from train.tables.table1 import methods
    from train.tables.table1.benchmark import Benchmark

    table, task = FakeTable(), open_task(run)
    rows = [
        table.method("mean face", methods.PLAIN, 0.3),
        table.method("regressor", methods.PLAIN, 0.2),
        table.method("faceformer", methods.RIVAL, 0.2),
        table.method(methods.HEADLINE, methods.OUR, 0.1),
    ]
    for name in list(methods.METHODS):
        monkeypatch.delitem(methods.METHODS, name)
    for row in rows:
        monkeypatch.setitem(methods.METHODS, row.name, row)
    monkeypatch.setattr("train.tables.table1.picture.draw_bars", lambda tables, path: None)
    monkeypatch.setattr(Benchmark, "make", lambda self, stage: None)
    monkeypatch.setattr(Benchmark, "task", property(lambda self: task))
    monkeypatch.setattr(
        "esarm_env.task.opening.open_task",
        lambda *args, **kwargs: (
            open_task(run) if kwargs.get("corpus") else open_task(*args, **kwargs)
        ),
    )
    few = {name: noise.FAMILIES[name] for name in ("time-shift", "mixed-chunks")}
    monkeypatch.setattr(noise, "FAMILIES", few)
    monkeypatch.setattr("train.tables.table2.report.FAMILIES", few)
    kept = {name: variants.VARIANTS[name] for name in VARIANTS}
    monkeypatch.setattr(variants, "VARIANTS", kept)


def small_sweeps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let sweeps try nothing and measure nothing; all that is checked and written is."""
    figures = {"true_error": 1.0, "true_order": 0.5, "score": 0.0}
    monkeypatch.setattr("train.tuning.sweep.search_on", lambda *args, **kwargs: None)
    monkeypatch.setattr("train.tuning.sweep.baseline_of", lambda run, stage: figures)


def small_benches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let trainings of `bench rl` end at once; they take 200,000 tokens each."""
    from train.bench.hacking import bench as hacking
    from train.bench.rl import benchmark
    from train.bench.rl.climb import Point
    from train.bench.rl.scale import Scale

    monkeypatch.setattr(hacking, "HOLES", ("freezing",))
    monkeypatch.setattr(hacking, "HONEST", hacking.HONEST[:1])
    points = [Point(0, 0.0, 0.0, -5.0, 0.1, 5.0, 3.0), Point(10, 1.0, 1.0, -4.0, 0.3, 4.0, 2.0)]
    monkeypatch.setattr(benchmark, "climb", lambda *args, **kwargs: points)
    monkeypatch.setattr(benchmark, "_draw", lambda *args: None)
    monkeypatch.setattr(benchmark, "scale_of", lambda *args: Scale("test", -6.0, 0.0, -4.0))


@pytest.mark.parametrize(
    "block", [block for block in CONSOLE if lines_of(block)], ids=lambda block: block.name
)
def test_the_commands_of_a_block_run(
    block: Block,
    own: Belongings,
    request: pytest.FixtureRequest,
    tiny_wavlm: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A command that has stopped working, or says nothing, is found by whoever types it."""
    for line in lines_of(block):
        not_run = next((start for start in NOT_RUN if line.startswith(start)), None)
        if not_run is not None:
            NOT_RUN[not_run][1](line)
            continue
        if re.search(ON_THE_HUB, line):
            own.hub = request.getfixturevalue("hub")
        line = line.replace("mean:FOLDER", f"mean:{tiny_wavlm}")
        line += "".join(f" {more}" for start, more in SMALL.items() if line.startswith(start))
        own.place(line)
        if not line.startswith("esarm "):
            subprocess.run(["bash", "-c", line], check=True, capture_output=True)
            continue
        if line.startswith(UNTIL_CLONING):
            run_until_cloning(line, monkeypatch)
        else:
            main(shlex.split(line)[1:])
        assert capsys.readouterr().out.strip(), f"{line}: nobody sees that anything happened"
        if line.startswith("esarm animate"):
            written = Path(re.findall(r"-o (\S+)", line)[0])
            tables = list(written.rglob("*.csv")) if written.is_dir() else [written]
            tables = [table for table in tables if table.suffix == ".csv"]
            assert tables or written.stat().st_size > 1000
            for table in tables:
                assert table.read_text(encoding="utf-8").startswith("Timecode,")


def run_until_cloning(line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run a command of the pipeline until it would clone, as if Ctrl-C came there."""
    from train.stages import STAGE_FUNCTIONS

    shutil.rmtree("runs/NAME", ignore_errors=True)  # two loggers of one block
    with monkeypatch.context() as patch:
        patch.setitem(STAGE_FUNCTIONS, "clone", MagicMock(side_effect=KeyboardInterrupt))
        with pytest.raises(SystemExit, match=r"^130$"):
            main(shlex.split(line)[1:])


def test_what_is_not_run_stands_on_a_page_and_says_why() -> None:
    """A table of exceptions that nobody tends grows until nothing is run."""
    lines = [line for block in CONSOLE for line in lines_of(block)]
    for start, (why, _) in NOT_RUN.items():
        assert why and any(line.startswith(start) for line in lines), start
    not_run = [line for line in lines if line.startswith(tuple(NOT_RUN))]
    assert len(lines) - len(not_run) > 45 and len(not_run) < 26
    assert not [line for line in not_run if line.startswith("esarm ") and "capture" not in line]


def test_no_command_of_a_page_is_left_out() -> None:
    """What is neither ours nor known to be another's is run by no test."""
    kinds = ("esarm ", "python3 -m venv", *NOT_RUN)
    lines = [line for block in CONSOLE for line in block.commands]
    assert not [line for line in lines if not line.startswith(kinds)]
    others = [
        block.name for block in blocks("", "bash", "sh", "text") if "\nesarm " in f"\n{block.text}"
    ]
    assert not others, "commands stand in console blocks"


@pytest.mark.parametrize("command", inline_commands())
def test_a_command_in_a_sentence_is_one(command: str) -> None:
    """Commands and options are renamed more often than pages."""
    from train.manual.pages import page

    words = command.split()[1:]
    if words[0].startswith("-"):
        return
    table, name = (BENCHES, words[1]) if words[0] == "bench" else (COMMANDS, words[0])
    assert name in table
    known = page(table[name], prog=f"esarm {name}")
    for option in re.findall(r"--[a-z][\w-]*", command):
        assert option == "--help" or re.search(rf"{option}\b", known), option


def test_every_target_of_make_that_a_page_names_exists() -> None:
    """The Makefile is changed by those who do not read the pages."""
    makefile = (ROOT / "Makefile").read_text()
    pages = "\n".join(block.text for block in CONSOLE) + "".join(
        path.read_text() for path in (ROOT / "README.md", *(ROOT / "docs").rglob("*.md"))
    )
    targets = set(re.findall(r"(?:^|`)make ([a-z-]+)(?=`|\s{2,}|$)", pages, re.MULTILINE))
    assert {"demo", "test", "media", "docs"} <= targets
    for target in targets:
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target
