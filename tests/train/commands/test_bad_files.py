"""Every file that a command is given, in every way it can be wrong: one line, exit code 2."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from train.cli import main

_GARBAGE = np.random.default_rng(5).bytes(3000)
_WRONG: dict[str, Callable[[Path], object]] = {
    "missing": lambda path: None,
    "a folder": lambda path: path.mkdir(),
    "empty": lambda path: path.touch(),
    "garbage": lambda path: path.write_bytes(_GARBAGE),
    "zeros": lambda path: path.write_bytes(bytes(3000)),
    "text": lambda path: path.write_text("a: b: c\n\t- [1\n"),
    "a link to itself": lambda path: path.symlink_to(path),
    "a pipe": os.mkfifo,
}
# Where `BAD` stands for the file; `SPEECH` for a sound that is one, and `NEW` for a file to write.
_SETTINGS = ("run", "evaluate")
_COMMANDS = [
    *(f"{command} --run NEW --config BAD" for command in _SETTINGS),
    "animate BAD -o NEW",
    "animate SPEECH -o NEW --run BAD",
    "corpus BAD --audit",
    "corpus BAD --run NEW",
    "corpus synthetic-mead --compare BAD --run NEW",
    "run --run NEW --set evaluate.head=BAD",
    "overoptimise BAD",
    "reward-report BAD",
    "table2 --runs BAD --out NEW",
    "ablate --run BAD --out NEW",
    "bench env --run BAD",
    "bench peers --run BAD",
]


@pytest.fixture(scope="module")
def speech(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("speech") / "a.wav"
    tone = 0.3 * np.sin(np.arange(16_000) * 0.05)
    soundfile.write(path, tone, 16_000)
    return path


@pytest.mark.parametrize("wrong", _WRONG)
@pytest.mark.parametrize("command", _COMMANDS)
def test_a_file_that_is_none_is_one_line(
    command: str,
    wrong: str,
    tmp_path: Path,
    speech: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A traceback looks like a fault of the program, and says nothing of the remedy."""
    monkeypatch.chdir(tmp_path)
    bad = tmp_path / "bad"
    _WRONG[wrong](bad)
    words = {"BAD": str(bad), "SPEECH": str(speech), "NEW": str(tmp_path / "new")}
    arguments = []
    for part in command.split():
        for word, value in words.items():
            part = part.replace(word, value)
        arguments.append(part)
    try:
        main(arguments)
        code: object = 0
    except SystemExit as stop:
        code = stop.code
    lines = capsys.readouterr().err.strip().splitlines()
    assert code == 2
    assert lines[0].startswith("esarm: ")
    # A folder of no known layout is told what the layouts are, one a line.
    assert len(lines) == 1 or lines[-1].startswith("  generic: "), lines
