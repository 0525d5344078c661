"""`esarm bench`: each measurement is a command of its own, with the options that it reads."""

from __future__ import annotations

import re

import pytest

from train.cli import main
from train.commands.bench import BENCHES

OPTIONS = {
    "env": {"run", "corpus", "bars", "json"},
    "agents": {
        "quick",
        "profile",
        "threads",
        "device",
        "bf16",
        "compile",
        "cuda-graphs",
        "bars",
        "json",
    },
    "hacking": {"run", "corpus", "seeds", "iterations", "out", "json"},
    "peers": {"run", "corpus", "json"},
    "prior": {"run", "corpus", "sweep", "out", "json"},
    "probes": {"run", "corpus", "split", "json"},
    "raters": {"run", "taste", "answers", "noise", "iterations", "utterances", "out", "json"},
    "rl": {"env", "algorithms", "timings", "steps", "seeds", "reward", "split", "out", "json"},
    "metrics": {"json"},
    "pictures": {"bars", "json"},
    "synthetic": {"json"},
    "workers": {"run", "workers", "episodes", "repetitions", "corpus", "json"},
}


def _help(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    main(["bench", *arguments, "--help"])
    return capsys.readouterr().out


@pytest.mark.parametrize("name", BENCHES)
def test_help_shows_the_options_of_one_measurement(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """`--cuda-graphs` in the help of `prior` was taken for one of its settings."""
    text = _help(capsys, name)
    found = set(re.findall(r"^\W*--([a-z0-9][a-z0-9-]+)", text, re.MULTILINE))
    assert found - {"help"} == OPTIONS[name]


def test_help_of_all_names_each_with_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    """Who does not know what there is finds it here."""
    text = _help(capsys)
    for name in OPTIONS:
        assert re.search(rf"^\W+{name} +\S+", text, re.MULTILINE), name


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (["priro"], "got 'priro'; did you mean `prior`?"),
        (["nonsense"], "synthetic, got 'nonsense'"),
    ],
)
def test_an_unknown_measurement_is_one_line_with_the_nearest(
    arguments: list[str], hint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """As of every other command."""
    with pytest.raises(SystemExit, match=r"^2$"):
        main(["bench", *arguments])
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert line.startswith("esarm: the command must be one of peers, rl, prior, probes, ")
    assert line.endswith(hint)


def test_an_option_of_another_measurement_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    """`bench prior --quick` took as long as without, and nobody was told why."""
    with pytest.raises(SystemExit, match=r"^2$"):
        main(["bench", "prior", "--quick"])
    assert "--quick" in capsys.readouterr().err
