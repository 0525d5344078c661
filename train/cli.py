"""The command line: `esarm COMMAND`.

Heavy packages are imported inside the commands, so that `esarm --help` answers at once.
"""

from __future__ import annotations

import contextlib
import difflib
import errno
import os
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.metadata import version

try:
    import tyro

    from esarm_env.core.errors import InputError, MissingExtraError, one_line
    from esarm_env.core.run_layout import STAGES
    from esarm_env.distributed.processes import n_launched
    from train.commands import (
        ablations,
        animate,
        bench,
        corpus,
        experiments,
        figures,
        installation,
        pipeline,
        plugins,
        reward,
        tuning,
    )
    from train.commands.tables import command_score, command_table1
    from train.manual import pages
    from train.manual.checks import check_given
    from train.manual.completion import command_completion
    from train.manual.settings import command_settings
    from train.sharing.commands import command_pull, command_push
    from train.terminal import print_near_letters
except KeyboardInterrupt:  # half a second of imports, in which there is nothing to go on from
    print("esarm: interrupted", file=sys.stderr)
    sys.exit(130)

ABOUT = "Speech-driven emotional facial animation by reinforcement learning."
ABOUT_BENCHES = "Measure a finished run beside its peers, or how fast things are here."
LAST_OF_BENCHES = "`esarm bench COMMAND --help` explains a measurement."
LAST_WORDS = (
    "`esarm COMMAND --help` explains a command, `esarm settings` every setting of a run "
    "(`--set KEY=VALUE`), and `esarm --version` tells the version."
)
EXIT_BAD_INPUT, EXIT_INTERRUPTED, EXIT_TERMINATED = 2, 130, 143

COMMANDS: dict[str, Callable[..., None]] = {
    "run": pipeline.command_run,
    "corpus": corpus.command_corpus,
    "prior": pipeline.command_prior,
    "encoder": pipeline.command_encoder,
    "clone": pipeline.command_clone,
    "demonstrate": pipeline.command_demonstrate,
    "reward": pipeline.command_reward,
    "improve": pipeline.command_improve,
    "evaluate": pipeline.command_evaluate,
    "compare": experiments.command_compare,
    "tune": tuning.command_tune,
    "animate": animate.command_animate,
    "convert": animate.command_convert,
    "export": animate.command_export,
    "push": command_push,
    "pull": command_pull,
    "capture": corpus.command_capture,
    "overoptimise": reward.command_overoptimise,
    "table1": command_table1,
    "table2": ablations.command_table2,
    "ablate": ablations.command_ablate,
    "score": command_score,
    "scores": installation.command_scores,
    "bench": bench.command_bench,
    "plugins": plugins.command_plugins,
    "rewards": installation.command_rewards,
    "reward-report": reward.command_reward_report,
    "figure5": figures.command_figure5,
    "studio": figures.command_studio,
    "settings": command_settings,
    "completion": command_completion,
    "doctor": installation.command_doctor,
    "assets": installation.command_assets,
}

BENCHES = bench.BENCHES

# What goes on where it was interrupted; the others begin again.
RESUMABLE = (
    "run",
    "corpus",
    "capture",
    "overoptimise",
    "reward-report",
    "table1",
    "table2",
    "ablate",
    "tune",
    *STAGES[1:],
)


def main(arguments: list[str] | None = None) -> None:
    """Run the command line; bad input ends with one line and exit code 2."""
    # By default OpenMP's threads wait by spinning, and beside one busy process a training step took
    # 2100 ms instead of 50; never spinning made a quiet machine slow (85 ms). This little, read
    # when torch is imported, gave 50 and 150.
    os.environ.setdefault("GOMP_SPINCOUNT", "5000")
    print_near_letters()
    given = sys.argv[1:] if arguments is None else arguments
    with plain_warnings():
        if n_launched() > 1:
            from train.distributed.launch import run_launched

            run_launched(lambda: _run(given))
        else:
            with ended_by_sigterm():
                _run(given)


class Terminated(KeyboardInterrupt):
    """SIGTERM, by which clusters end what runs too long; as after Ctrl-C, all is left in order."""


@contextlib.contextmanager
def ended_by_sigterm() -> Iterator[None]:
    """Raise `Terminated` at SIGTERM, unless somebody else has a handler for it."""
    own = threading.current_thread() is threading.main_thread()
    if not own or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield
        return
    signal.signal(signal.SIGTERM, _terminate)
    try:
        yield
    finally:
        _forget_sigterm()


def _terminate(*_: object) -> None:
    raise Terminated


def _forget_sigterm() -> None:
    with contextlib.suppress(ValueError):  # a fork of another thread than the main one
        if signal.getsignal(signal.SIGTERM) is _terminate:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)


if hasattr(os, "register_at_fork"):
    # SIGTERM ends forked workers at once, as whoever made them expects.
    os.register_at_fork(after_in_child=_forget_sigterm)


@contextlib.contextmanager
def plain_warnings() -> Iterator[None]:
    """Print warnings as one line each, as errors are: no file, and no line of source code."""
    before = warnings.formatwarning
    warnings.formatwarning = _as_line
    try:
        yield
    finally:
        warnings.formatwarning = before


def _as_line(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    line: str | None = None,
) -> str:
    return f"esarm: warning: {' '.join(str(message).split())}\n"


def _run(given: list[str]) -> None:
    try:
        try:
            if given == ["--version"]:
                print(f"esarm {version('esarm')}")
                return
            _check_working_folder()
            _dispatch(given)
        finally:
            if sys.stdout is not None:
                sys.stdout.flush()  # here, so that a full disk or a closed pipe is noticed, too
    except (InputError, MissingExtraError) as error:
        print(f"esarm: {error}", file=sys.stderr)
        sys.exit(EXIT_BAD_INPUT)
    except RuntimeError as error:
        _end_where_a_server_failed(error, given)
        raise
    except KeyboardInterrupt as stop:
        done = f", {stop}" if str(stop) else ""  # what a command says of itself
        resumes = given[:1] and given[0] in RESUMABLE
        remedy = "; the same command goes on from here" if resumes else ""
        if given[:1] == ["figure5"]:
            remedy = "; the same command begins again, files that it wrote stay"
        by_signal = isinstance(stop, Terminated)
        word = "terminated" if by_signal else "interrupted"
        print(f"esarm: {word}{done}{remedy}", file=sys.stderr)
        sys.exit(EXIT_TERMINATED if by_signal else EXIT_INTERRUPTED)
    except BrokenPipeError:
        _drop_output()
        sys.exit(1)
    except OSError as error:
        print(f"esarm: {_as_rule(error)}", file=sys.stderr)
        try:
            sys.stdout.flush()
        except OSError:
            _drop_output()
        sys.exit(EXIT_BAD_INPUT)


def _end_where_a_server_failed(error: RuntimeError, given: Sequence[str]) -> None:
    """End with one line if a server of rewards is behind `error`; of others it tells nothing."""
    from esarm_env.rewards.validation import RewardServerError

    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, RewardServerError):
        cause = cause.__cause__
    if cause is not None:
        remedy = "; the same command goes on from here" if given[0] in RESUMABLE else ""
        print(f"esarm: {one_line(cause)}{remedy}", file=sys.stderr)
        sys.exit(EXIT_BAD_INPUT)


def _dispatch(given: list[str]) -> None:
    """Run the command that the arguments name; of `bench` each measurement is one of its own."""
    commands, prog = COMMANDS, "esarm"
    if given[:1] == ["help"]:
        given = [*given[1:], pages.HELP[-1]]
    if given[:1] == ["bench"]:
        commands, given, prog = BENCHES, given[1:], "esarm bench"
    if not given or given[0] in pages.HELP:
        print(_overview(commands, prog))
        return
    _check_command(given, commands)
    if pages.wants_help(given) and given[0] in commands:
        print(pages.page(commands[given[0]], prog=f"{prog} {given[0]}"))
        return
    if given[0] in commands:
        check_given(given[1:], commands[given[0]], prog=f"{prog} {given[0]}")
    tyro.extras.subcommand_cli_from_dict(commands, prog=prog, description=ABOUT, args=given)


def _overview(commands: Mapping[str, Callable[..., None]], prog: str) -> str:
    """Return the page of all commands, or of all measurements of `bench`."""
    if commands is BENCHES:
        groups, about, last = pages.BENCH_GROUPS, ABOUT_BENCHES, LAST_OF_BENCHES
    else:
        groups, about, last = pages.GROUPS, ABOUT, LAST_WORDS
    return pages.overview(commands, prog=prog, about=about, groups=groups, last=last)


def _check_working_folder() -> None:
    """Refuse to work in a folder that is gone, of which torch's libraries say nothing plain."""
    try:
        os.getcwd()
    except OSError as error:
        raise InputError(
            "the working folder must be there, got one that was deleted or cannot be read "
            f"({error.strerror}); change to another (`cd`)"
        ) from error


def _drop_output() -> None:
    """Let what is still to be printed go nowhere, or Python would fail on it once more."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _as_rule(error: OSError) -> str:
    """Return one line for what the system refused: place, rule, reason, remedy."""
    place = "standard output" if error.filename is None else error.filename
    reason = error.strerror or one_line(error)
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return f"{place}: must be on a disk with room, got {reason!r}; make room and run it again"
    if error.filename is None:
        return f"files must be such as the system can read and write, got {reason!r}"
    return f"{place}: must be readable and writable here, got {reason!r}; mend it or its folder"


def _check_command(arguments: Sequence[str], commands: pages.Commands) -> None:
    """Refuse a command that there is not, with the nearest name; those of the page of all."""
    if not arguments or arguments[0].startswith("--tyro-") or arguments[0] in commands:
        return
    groups = pages.BENCH_GROUPS if commands is BENCHES else pages.GROUPS
    known = pages.in_order(commands, groups)
    near = difflib.get_close_matches(arguments[0], known, n=1)
    hint = f"; did you mean `{near[0]}`?" if near else ""
    raise InputError(f"the command must be one of {', '.join(known)}, got {arguments[0]!r}{hint}")


if __name__ == "__main__":
    main()
