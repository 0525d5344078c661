"""Fault injector: a tiny run is killed, or its disk filled, at chosen moments, and must go on.

    python -m tests.faults kill             # kill -9 at every open-for-write, rename and fsync
    python -m tests.faults kill --moments 3 # at so many of them, evenly spaced
    python -m tests.faults random --moments 50 --seed 0
    python -m tests.faults full --moments 10
    python -m tests.faults mixed --moments 4 # a kill, a full disk, and so on

After each fault the same command runs again without one, and its weights and figures must be those
of an undisturbed run to the last bit; wall times and pictures are left out. A full disk must end in
exit code 2, and no fault may leave drafts behind. Everything happens in forks of one process, which
has run once already, on one miniature folder of recordings; a try takes some seconds.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
import threading
import time
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch

import train.plots as plots
import train.run.loop as loop
from esarm_env.core.cache import new_file
from tests.train.conftest import RATE_HZ, mouth_motion, speak, tiny_settings
from train.cli import main as esarm

KILLED, FULL = "kill", "full"
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT
_UNTOLD = {"wall_s"}  # in JSON files
# Samples are measured within one unit of work: more of them are no further moments.
SETTINGS = tiny_settings("evaluate.temperatures=[]")


class Moments:
    """Counts the moments at which a file below `root` changes; does something at one of them."""

    def __init__(
        self, root: Path, *, at: int = -1, fault: Callable[[], None] | None = None
    ) -> None:
        """Count from 0; before moment `at` happens, call `fault`."""
        self.seen: list[str] = []
        self._root, self._at, self._fault = f"{root}{os.sep}", at, fault
        self._busy = threading.RLock()

    def install(self) -> None:
        """Watch this process from now on; nothing ends that but the process."""
        fsync = os.fsync

        def watched_fsync(handle: int) -> None:
            self._happens("fsync", os.readlink(f"/proc/self/fd/{handle}"))
            fsync(handle)

        os.fsync = watched_fsync
        sys.addaudithook(self._heard)

    def _heard(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open":
            path, mode, flags = arguments
            if isinstance(path, str | os.PathLike) and (
                (isinstance(mode, str) and set(mode) & set("wax+")) or (flags & _WRITING)
            ):
                self._happens("open", path)
        elif event in ("os.rename", "os.remove", "os.rmdir"):
            self._happens(event, arguments[0])

    def _happens(self, what: str, path: Any) -> None:
        name = os.path.abspath(os.fspath(path))
        if isinstance(name, str) and name.startswith(self._root):
            with self._busy:
                self.seen.append(f"{what} {name.removeprefix(self._root)}")
                if len(self.seen) - 1 == self._at and self._fault is not None:
                    self._fault()


def kill_myself() -> None:
    """End this process as nothing can be heard of."""
    os.kill(os.getpid(), signal.SIGKILL)


def fill_the_disk() -> None:
    """Let no file of this process get another byte; an empty one can still be made."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))


def write_no_picture(figure: Any, target: Path, *, dpi: int) -> None:
    """Write a file where curves are drawn: they are not compared, and drawing has no moments."""
    with new_file(target) as draft:
        draft.write_bytes(b"no picture")


def make_recordings(folder: Path) -> None:
    """Write two takes of a quarter of a minute."""
    for part in ("audio", "blendshape"):
        (folder / part).mkdir(parents=True)
    for number, name in enumerate(("ann_1", "bob_1")):
        audio = speak(15, seed=number)
        soundfile.write(folder / "audio" / f"{name}.wav", audio, RATE_HZ)
        np.save(folder / "blendshape" / f"{name}.npy", mouth_motion(audio, seed=number))


def in_fork(root: Path, corpus: Path, watch: Moments | None = None, *, after_s: float = 0) -> int:
    """Run the tiny run below `root` in a forked process; return its exit code, -9 if killed.

    Args:
        root: Gets `run/`, `cache/` and `log.txt`.
        corpus: The recordings.
        watch: What counts moments and does harm there.
        after_s: Kill the process after so many seconds; 0 does not.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # forking beside torch's threads
        process = os.fork()
    if process == 0:
        os._exit(_child(root, corpus, watch))
    if after_s:
        time.sleep(after_s)
        os.kill(process, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def _child(root: Path, corpus: Path, watch: Moments | None) -> int:
    # A pipe has no size limit: what a full disk makes the program say is still heard.
    read_end, write_end = os.pipe()
    if os.fork() == 0:
        os.close(write_end)
        with open(root / "log.txt", "ab") as log:
            while part := os.read(read_end, 4096):
                log.write(part)
                log.flush()
        os._exit(0)
    os.close(read_end)
    for stream in (1, 2):
        os.dup2(write_end, stream)
    os.close(write_end)
    os.environ["ESARM_CACHE"] = str(root / "cache")
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    torch.set_num_threads(1)
    loop.CHECKPOINT_EVERY_S = -1.0  # after every unit of work: as many moments as there can be
    plots.write_png = write_no_picture
    if watch is not None:
        watch.install()
    code = 0
    try:
        esarm(["run", "--run", str(root / "run"), "--corpus", str(corpus), *SETTINGS])
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    except BaseException:
        traceback.print_exc()
        code = 70
    sys.stdout.flush()
    return code


def differences(run: Path, reference: Path) -> list[str]:
    """Return what differs in two run folders, but for wall times and pictures."""
    found = []
    names = {
        path.relative_to(folder).as_posix()
        for folder in (run, reference)
        for path in folder.rglob("*")
        if path.is_file()
    }
    for name in sorted(names):
        mine, other = run / name, reference / name
        if name == ".lock" or Path(name).suffix == ".png" or "tfevents" in name:
            continue
        if not (mine.is_file() and other.is_file()):
            found.append(f"{name}: only {'here' if mine.is_file() else 'there'}")
        elif name != "report.md" and _content(mine) != _content(other):
            found.append(f"{name}: other content")
    return found


def _content(path: Path) -> Any:
    """Return a file's content as something that compares; without wall times."""
    if path.suffix == ".json":
        return _without_times(json.loads(path.read_text()))
    if path.suffix == ".npz":
        with np.load(path) as file:
            return {name: (file[name].dtype.str, file[name].tobytes()) for name in file.files}
    return path.read_bytes()


def _without_times(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_times(v) for key, v in value.items() if key not in _UNTOLD}
    return [_without_times(each) for each in value] if isinstance(value, list) else value


def _undisturbed(root: Path, corpus: Path) -> list[str]:
    """Run once in this process and return the moments: the run that the others must equal.

    Its forks have imported and compiled everything then.
    """
    os.environ["ESARM_CACHE"] = str(root / "cache")
    torch.set_num_threads(1)
    loop.CHECKPOINT_EVERY_S = -1.0  # as in the forks
    plots.write_png = write_no_picture
    watch = Moments(root)
    watch.install()
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
        esarm(["run", "--run", str(root / "run"), "--corpus", str(corpus), *SETTINGS])
    return watch.seen


def try_once(root: Path, corpus: Path, reference: Path, name: str, **fault: Any) -> list[str]:
    """Do harm, go on, and return what is wrong then; the folder goes if nothing is."""
    root.mkdir()
    after_s = fault.pop("after_s", 0)
    harm = fault.pop("harm", None)
    watch = Moments(root, fault=harm, **fault) if harm else None
    ended = in_fork(root, corpus, watch, after_s=after_s)
    expected = {2} if harm is fill_the_disk else {-signal.SIGKILL}
    wrong = [] if ended in expected or after_s else [f"ended with {ended} instead of {expected}"]
    resumed = in_fork(root, corpus)
    wrong += [f"went on to exit code {resumed}"] if resumed else []
    wrong += differences(root / "run", reference / "run")
    wrong += [f"draft left: {path}" for path in (root / "run").rglob(".*.draft")]
    if wrong:
        print(f"WRONG {name}: {'; '.join(wrong)} (see {root})", flush=True)
    else:
        shutil.rmtree(root)
    return wrong


def main() -> int:
    """Try all moments that were asked for; return 1 if a run did not survive one."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("what", choices=("kill", "random", "full", "mixed"))
    parser.add_argument("--moments", type=int, default=0, help="how many; 0 means every one")
    parser.add_argument("--seed", type=int, default=0, help="of the random moments")
    parser.add_argument("--only", type=int, help="one moment by its number")
    options = parser.parse_args()
    place = Path(tempfile.mkdtemp(prefix="esarm-faults-"))
    corpus, reference = place / "recordings", place / "reference"
    make_recordings(corpus)
    reference.mkdir()
    seen = _undisturbed(reference, corpus)
    begin = time.monotonic()
    if options.what == "random":  # when to kill a fork is told by one
        (place / "timed").mkdir()
        in_fork(place / "timed", corpus)
    lasted_s = time.monotonic() - begin
    print(f"{len(seen)} moments, seed {options.seed}", flush=True)
    wanted = options.moments or len(seen)
    chosen = [len(seen) * (2 * k + 1) // (2 * wanted) for k in range(min(wanted, len(seen)))]
    chosen = chosen if options.only is None else [options.only]
    n_wrong = 0
    for number, at in enumerate(chosen):
        root = place / f"try-{number}"
        if options.what == "random":
            after_s = random.Random(f"{options.seed}/{number}").uniform(0.01, lasted_s)
            name, fault = f"after {after_s:.2f} s", {"after_s": after_s}
        else:
            kills = options.what == KILLED or (options.what == "mixed" and number % 2 == 0)
            harm = kill_myself if kills else fill_the_disk
            name, fault = f"moment {at} ({seen[at]})", {"harm": harm, "at": at}
        n_wrong += bool(try_once(root, corpus, reference, name, **fault))
        print(f"{number + 1} of {len(chosen)}: {name}", flush=True)
    print(f"{len(chosen)} tries, {n_wrong} wrong")
    if not n_wrong:
        shutil.rmtree(place)
    return int(bool(n_wrong))


if __name__ == "__main__":
    sys.exit(main())
