"""The command line: `esarm COMMAND`.

Heavy packages are imported inside the commands, so that `esarm --help` answers at once.
"""

from __future__ import annotations

import codecs
import io
import os
import sys
import unicodedata
from collections.abc import Callable

import tyro

from esarm_env.core.errors import InputError, MissingExtraError
from train.commands import animate, bench, corpus, installation, pipeline, plugins, reward

EXIT_BAD_INPUT, EXIT_INTERRUPTED, EXIT_CLOSED_PIPE = 2, 130, 1
# Beside what Unicode itself calls compatible, such as 2 for a raised 2.
_NEAR = {
    "\N{RIGHTWARDS ARROW}": "->",
    "\N{LEFTWARDS ARROW}": "<-",
    "\N{PLUS-MINUS SIGN}": "+-",
    "\N{MULTIPLICATION SIGN}": "x",
    "\N{MIDDLE DOT}": "*",
    "\N{DEGREE SIGN}": " deg",
    "\N{MICRO SIGN}": "u",
    "\N{MINUS SIGN}": "-",
    "\N{EN DASH}": "-",
    "\N{EM DASH}": "-",
    "\N{LESS-THAN OR EQUAL TO}": "<=",
    "\N{GREATER-THAN OR EQUAL TO}": ">=",
    "\N{BOX DRAWINGS LIGHT HORIZONTAL}": "-",
    "\N{BOX DRAWINGS LIGHT VERTICAL}": "|",
    **dict.fromkeys(map(chr, range(0x2503, 0x2580)), "+"),
    **dict.fromkeys("\N{LEFT DOUBLE QUOTATION MARK}\N{RIGHT DOUBLE QUOTATION MARK}", '"'),
    **dict.fromkeys("\N{LEFT SINGLE QUOTATION MARK}\N{RIGHT SINGLE QUOTATION MARK}", "'"),
}

COMMANDS: dict[str, Callable[..., None]] = {
    "run": pipeline.command_run,
    "corpus": corpus.command_corpus,
    "prior": pipeline.command_prior,
    "clone": pipeline.command_clone,
    "demonstrate": pipeline.command_demonstrate,
    "reward": pipeline.command_reward,
    "improve": pipeline.command_improve,
    "evaluate": pipeline.command_evaluate,
    "animate": animate.command_animate,
    "capture": corpus.command_capture,
    "overoptimise": reward.command_overoptimise,
    "bench": bench.command_bench,
    "plugins": plugins.command_plugins,
    "rewards": installation.command_rewards,
    "reward-report": reward.command_reward_report,
    "doctor": installation.command_doctor,
    "assets": installation.command_assets,
}


def main(arguments: list[str] | None = None) -> None:
    """Run the command line; bad input ends with one line and exit code 2."""
    # By default OpenMP's threads wait by spinning, and beside one busy process a training step took
    # 2100 ms instead of 50; never spinning made a quiet machine slow (85 ms). This little, read
    # when torch is imported, gave 50 and 150.
    os.environ.setdefault("GOMP_SPINCOUNT", "5000")
    print_whatever_it_takes()
    try:
        try:
            tyro.extras.subcommand_cli_from_dict(
                COMMANDS,
                prog="esarm",
                description="Speech-driven emotional facial animation by reinforcement learning.",
                args=arguments,
            )
        finally:
            if sys.stdout is not None:
                sys.stdout.flush()  # a closed pipe is noticed here, and not while Python ends
    except (InputError, MissingExtraError) as error:
        print(f"esarm: {error}", file=sys.stderr)
        sys.exit(EXIT_BAD_INPUT)
    except KeyboardInterrupt:
        print("esarm: interrupted; the same command goes on from here", file=sys.stderr)
        sys.exit(EXIT_INTERRUPTED)
    except BrokenPipeError:  # whoever read the output, `head` for instance, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(EXIT_CLOSED_PIPE)


def print_whatever_it_takes() -> None:
    """Let standard output and error write near letters for those that their encoding lacks."""
    codecs.register_error("esarm", _near_letters)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and stream.errors in ("strict", "surrogateescape"):
            stream.reconfigure(errors="esarm")


def _near_letters(error: UnicodeError) -> tuple[str, int]:
    """Return what is printed for letters that an encoding lacks, and where to go on."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    lacking = error.object[error.start : error.end]
    parted = unicodedata.normalize("NFKD", "".join(_NEAR.get(each, each) for each in lacking))
    near = "".join(each for each in parted if not unicodedata.combining(each))
    return near.encode("ascii", "replace").decode("ascii"), error.end
