"""Processes of a command, as `torchrun` or `accelerate launch` start them: one leads the others.

The main process says what went wrong, in itself or in another; the others end without a word.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import warnings
from collections.abc import Callable

from esarm_env.core.errors import InputError, MissingExtraError, one_line
from esarm_env.distributed.processes import LostProcessError, Processes, join_processes
from train.distributed.lockstep import end_followers, follow, leading

_LOST, _BAD_INPUT, _INTERRUPTED = 1, 2, 130
_PR_SET_PDEATHSIG = 1


def run_launched(run: Callable[[], None]) -> None:
    """Do the command `run` in the main process, and let the others train with it.

    Args:
        run: Prints what goes wrong, and then exits.

    Raises:
        SystemExit: With the exit code of what went wrong.
    """
    is_main = os.environ["RANK"] == "0"
    _end_with_parent()
    if not is_main:
        warnings.simplefilter("ignore")
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # to the end
    try:
        # The stages of a run train on the CPU.
        processes = join_processes(cpu=True)
    except (InputError, MissingExtraError) as error:  # the same in all
        if is_main:
            print(f"esarm: {error}", file=sys.stderr)
        sys.exit(_BAD_INPUT)
    # What a command starts in turn is no part of this launch.
    os.environ.pop("LOCAL_RANK", None)
    if is_main:
        _lead(processes, run)
    else:
        _follow(processes)


def _lead(processes: Processes, run: Callable[[], None]) -> None:
    # A launcher ends all processes as soon as one has failed, and this one has yet to say why.
    signal.signal(signal.SIGTERM, _raise_lost)
    try:
        with leading(processes):
            run()
            end_followers(0)
        processes.leave()
    except LostProcessError:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        reason = processes.reported() or (
            "the training was ended, or another of its processes was, without a word (killed, or "
            "short of memory?); the same command goes on from here"
        )
        print(f"esarm: {reason}", file=sys.stderr, flush=True)
        sys.exit(_LOST)


def _follow(processes: Processes) -> None:
    """Train with the main process; what goes wrong here, that one says.

    It ends by `os._exit`: what others hold is gone already, and nothing here is to be kept.
    """
    try:
        code = follow(processes)
        processes.leave()
    except LostProcessError:
        code = _LOST
    except KeyboardInterrupt:
        code = _INTERRUPTED
    except Exception as error:
        name = "" if isinstance(error, InputError) else f"{type(error).__name__}: "
        processes.report(f"process {processes.number}: {name}{one_line(error)}")
        code = _BAD_INPUT
    os._exit(code)


def _raise_lost(number: int, frame: object) -> None:
    raise LostProcessError(f"ended by signal {number}")


def _end_with_parent() -> None:
    """Ask the system to end this process when the launcher is gone, however it went."""
    if sys.platform == "linux":
        import ctypes

        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
