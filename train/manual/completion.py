"""`esarm completion`: scripts that complete commands, options and settings in a shell.

The scripts are plain shell: completing a word starts no Python.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Literal

import tyro

from train.manual.options import options_of

_SCRIPT = """\
# Completions of `esarm` for bash{also}; made by `esarm completion {shell}`.
{first}_esarm() {{
    local cur="${{COMP_WORDS[COMP_CWORD]}}" prev="${{COMP_WORDS[COMP_CWORD-1]}}" words=""
    local command="${{COMP_WORDS[1]}}" at=1
    if [ "$command" = bench ] && [ "$COMP_CWORD" -gt 1 ]; then
        command="bench ${{COMP_WORDS[2]}}" at=2
    fi
    if [ "$COMP_CWORD" -eq "$at" ]; then
        case "$at" in
            1) words="{commands}" ;;
            2) words="{benches}" ;;
        esac
    else
        case "$command $prev" in
{choices}
            *" --set") words="{settings}"; type compopt > /dev/null 2>&1 && compopt -o nospace ;;
            *) case "$command $cur" in
{options}
                esac ;;
        esac
    fi
    COMPREPLY=($(compgen -W "$words" -- "$cur"))
}}
complete -o default -F _esarm esarm
"""
_ZSH = "autoload -U +X bashcompinit && bashcompinit\n"


def command_completion(shell: Annotated[Literal["bash", "zsh"], tyro.conf.Positional], /) -> None:
    """Print a script that completes `esarm` in a shell.

    It completes commands, options, choices and settings. For this session: `source <(esarm
    completion bash)`; for all, put that line into `~/.bashrc` (for zsh, with `zsh` in place of
    `bash`, into `~/.zshrc`).

    Args:
        shell: Your shell, `bash` or `zsh`.
    """
    from train.cli import BENCHES, COMMANDS

    print(completion_script(shell, COMMANDS, BENCHES), end="")


def completion_script(
    shell: str,
    commands: Mapping[str, Callable[..., None]],
    benches: Mapping[str, Callable[..., None]],
) -> str:
    """Return the script that completes `commands`, and `benches` behind `bench`.

    Args:
        shell: `bash` or `zsh`.
        commands: Functions by name.
        benches: Likewise, of `esarm bench`.
    """
    from train.manual.settings import every_setting

    every = {name: command for name, command in commands.items() if name != "bench"}
    every |= {f"bench {name}": command for name, command in benches.items()}
    choices, options = [], []
    for name, command in every.items():
        spelled = ["--help"]
        for group in options_of(command):
            for option in group.options:
                words = option.spellings
                spelled += words
                if option.choices:
                    line = f'words="{" ".join(option.choices)}" ;;'
                    choices += [f'            "{name} {word}") {line}' for word in words]
        options.append(f'                "{name} -"*) words="{" ".join(spelled)}" ;;')
    return _SCRIPT.format(
        shell=shell,
        also=" and zsh" if shell == "zsh" else "",
        first=_ZSH if shell == "zsh" else "",
        commands=" ".join(commands),
        benches=" ".join(benches),
        choices="\n".join(choices),
        options="\n".join(options),
        settings=" ".join(f"{setting.key}=" for setting in every_setting()),
    )
