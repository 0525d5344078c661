"""`esarm completion`: what a shell completes."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from train.cli import BENCHES, COMMANDS, main

BASH = shutil.which("bash")
# Completes each line as bash does when the tabulator is pressed at its end.
ASK = """
compopt() { :; }
while IFS= read -r line; do
    read -ra COMP_WORDS <<< "${line}x"
    COMP_WORDS[-1]="${COMP_WORDS[-1]%x}"
    COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
    _esarm
    echo "${COMPREPLY[*]}"
done
"""


def completed(script: str, lines: list[str]) -> list[list[str]]:
    """Return the words that bash offers at the end of each line."""
    assert BASH is not None
    done = subprocess.run(
        [BASH, "-c", script + ASK],
        input="\n".join(lines) + "\n",
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""
    return [line.split() for line in done.stdout.splitlines()]


@pytest.mark.skipif(BASH is None, reason="bash is not installed")
def test_bash_completes_commands_options_choices_and_settings(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Twenty commands with three hundred options are not learnt by heart."""
    main(["completion", "bash"])
    wanted = {
        "esarm ": list(COMMANDS),
        "esarm fi": ["figure5"],
        "esarm bench ": list(BENCHES),
        "esarm bench ha": ["hacking"],
        "esarm run --pre": ["--preset"],
        "esarm run --preset s": ["small"],
        "esarm animate --no": ["--no-alive"],
        "esarm bench rl --split ": ["validation", "test"],
        "esarm improve --set clone.ep": ["clone.epochs="],
        "esarm run --run ": [],  # a folder, which bash completes by itself
        "esarm zzz --": [],
    }
    assert completed(capsys.readouterr().out, list(wanted)) == list(wanted.values())


def test_zsh_gets_the_script_of_bash(capsys: pytest.CaptureFixture[str]) -> None:
    """zsh has no `complete` before `bashcompinit`."""
    main(["completion", "zsh"])
    zsh = capsys.readouterr().out
    main(["completion", "bash"])
    bash = capsys.readouterr().out
    assert "autoload -U +X bashcompinit && bashcompinit\n" in zsh
    assert bash.splitlines()[1:] == [
        line for line in zsh.splitlines()[1:] if not line.startswith("autoload")
    ]
    assert "made by `esarm completion zsh`" in zsh


def test_another_shell_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    """An empty script would complete nothing, and nobody would know why."""
    with pytest.raises(SystemExit, match=r"^2$"):
        main(["completion", "tcsh"])
    assert "tcsh" in capsys.readouterr().err
