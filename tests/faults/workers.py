"""Kill trial: a worker or the driver of a small improvement is killed, and nothing may be lost.

    python -m tests.faults.workers --kills 20 --seed 0       # makes a tiny run first
    python -m tests.faults.workers --run runs/tiny --kills 2 --victims driver

Every try begins anew from the same clone, on two workers, and kills with SIGKILL at a random moment
of a random iteration. After a worker's death the driver must end by itself. After the driver's, no
process may be left, the checkpoint must hold all iterations but the one that was under way, and the
same command must go on. Weights must be those of an undisturbed improvement without workers, to the
last bit.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import random
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import soundfile
import torch

ITERATIONS = 4
_LEFT_S = 60.0  # in which all processes of a killed driver must be gone
POLICY = Path("improve") / "ppo" / "policy.safetensors"


def drive_improvement(path: Path, workers: int) -> None:
    """Run the stage in this process."""
    from train.run.run_folder import RunFolder
    from train.stages.improve import run_improve

    run = RunFolder.open(path)
    improve = dataclasses.replace(run.config.improve, workers=workers)
    run.config = dataclasses.replace(run.config, improve=improve)
    run_improve(run)


def say_iterations() -> None:
    """Let this process say on standard output when an iteration begins."""
    from train.stages.improve import ImproveTrainer

    advance = ImproveTrainer.advance

    def told(self: ImproveTrainer) -> dict[str, float]:
        print(f"begun {self.n_done + 1}", flush=True)
        return advance(self)

    ImproveTrainer.advance = told  # type: ignore[method-assign]


def prepared(source: Path, target: Path) -> Path:
    """Copy a finished run up to its reward, with settings for a short improvement."""
    from train.run.run_folder import RunFolder

    left_out = shutil.ignore_patterns("improve", "evaluate", "seeds", "report.md", "*.png")
    shutil.copytree(source, target, ignore=left_out)
    run = RunFolder.open(target)
    improve = dataclasses.replace(
        run.config.improve,
        algorithms=("ppo",),
        iterations=ITERATIONS,
        n_episodes=64,
        evaluate_every=100,
        alarm="off",
        interpolation="off",
    )
    run.change(dataclasses.replace(run.config, improve=improve))
    return target


def descendants(pid: int) -> list[int]:
    """Return all processes below `pid`, those that are no more left out."""
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            text = stat.read_text()
        except OSError:
            continue
        state, parent = text.rpartition(")")[2].split()[:2]
        if state != "Z":
            parents[int(stat.parent.name)] = int(parent)
    found, waiting = [], [pid]
    while waiting:
        above = waiting.pop()
        children = [each for each, parent in parents.items() if parent == above]
        found += children
        waiting += children
    return found


def is_worker(pid: int) -> bool:
    """Return whether a process is one of our Ray actors."""
    try:
        return b"ray::Worker" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


def alive(pids: list[int]) -> list[int]:
    """Return which processes are still there, dead ones that nobody waited for left out."""
    left = []
    for pid in pids:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            continue
        left += [pid] if state != "Z" else []
    return left


class Driver:
    """A driver in a process of its own."""

    def __init__(self, path: Path, *, workers: int) -> None:
        command = [sys.executable, "-m", "tests.faults.workers", "--drive", str(path)]
        self.process = subprocess.Popen(
            [*command, "--workers", str(workers)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.begun = 0

    def wait_for(self, iteration: int) -> None:
        """Return when `iteration` begins."""
        assert self.process.stdout is not None, "a pipe"
        while self.begun < iteration:
            line = self.process.stdout.readline()
            if not line:
                raise AssertionError(f"the driver ended early: {self.process.communicate()[1]}")
            if line.startswith("begun"):
                self.begun = int(line.split()[1])

    def let_run(self, seconds: float) -> None:
        """Let it run on for a moment, reading what it says."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            if select.select([self.process.stdout], [], [], left)[0]:
                before = self.begun
                if before == ITERATIONS:
                    return
                self.wait_for(before + 1)

    def end(self) -> None:
        """Wait for its end, which must be a good one."""
        errors = self.process.communicate()[1]
        assert self.process.returncode == 0, f"the driver failed: {errors}"


def kill_worker(driver: Driver) -> bool:
    """Kill one of the driver's workers, which must end by itself; return whether any was left."""
    while not (workers := [pid for pid in descendants(driver.process.pid) if is_worker(pid)]):
        if driver.process.poll() is not None:
            break
        select.select([], [], [], 0.1)  # the first iteration starts them
    if workers:
        os.kill(random.choice(workers), signal.SIGKILL)
    driver.end()
    return bool(workers)


def kill_driver(path: Path, driver: Driver, *, workers: int) -> None:
    """Kill the driver; nothing may be left, and the same command goes on."""
    below = descendants(driver.process.pid)
    driver.process.kill()
    said = driver.process.communicate()[0].splitlines()
    begun = max([driver.begun, *(int(line.split()[1]) for line in said if "begun" in line)])
    end = time.monotonic() + _LEFT_S
    while (left := alive(below)) and time.monotonic() < end:
        select.select([], [], [], 0.1)
    assert not left, f"processes {left} are left of a killed driver"
    checkpoint = path / "improve" if (path / POLICY).is_file() else path / ".improve.partial"
    done = iterations_in(checkpoint)
    assert done >= begun - 1, f"{done} iterations are kept, and {begun} had begun"
    if workers:
        Driver(path, workers=workers).end()
    else:
        drive_improvement(path, workers=0)


def iterations_in(folder: Path) -> int:
    """Return how many iterations the checkpoint in a stage's folder holds; all if it has ended."""
    import io

    from train.run.loop import MAGIC

    file = folder / "ppo" / "checkpoint.pt"
    if (folder / "ppo" / "summary.json").is_file():
        return ITERATIONS
    if not file.is_file():
        return 0
    content = file.read_bytes()[len(MAGIC) + 32 :]
    return int(torch.load(io.BytesIO(content), weights_only=True)["trainer"]["n_iterations"])


def tiny_run(folder: Path) -> Path:
    """Return a tiny run of its own in `folder`, finished up to its reward."""
    import numpy as np

    from tests.train.conftest import RATE_HZ, mouth_motion, speak, tiny_settings
    from train.cli import main

    recordings = folder / "recordings"
    for part in ("audio", "blendshape"):
        (recordings / part).mkdir(parents=True)
    for number, name in enumerate(("ann_1", "bob_1")):
        audio = speak(30, seed=number)
        soundfile.write(recordings / "audio" / f"{name}.wav", audio, RATE_HZ)
        np.save(recordings / "blendshape" / f"{name}.npy", mouth_motion(audio, seed=number))
    run = folder / "source"
    main(["run", "--run", str(run), "--corpus", str(recordings), *tiny_settings()])
    return run


def trial(source: Path, *, kills: int, seed: int, victims: list[str], resume_workers: int) -> None:
    """Kill `kills` times; raise an AssertionError at the first loss."""
    random.seed(seed)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        begin = time.monotonic()
        drive_improvement(prepared(source, folder / "calm"), workers=0)
        iteration_s = (time.monotonic() - begin) / ITERATIONS
        expected = (folder / "calm" / POLICY).read_bytes()
        killed = 0
        while killed < kills:
            victim = victims[killed % len(victims)]
            path = prepared(source, folder / "tried")
            driver = Driver(path, workers=2)
            iteration = random.randint(1, ITERATIONS - 1)
            moment = random.random() * iteration_s
            driver.wait_for(iteration)
            driver.let_run(moment)
            if victim == "driver":
                kill_driver(path, driver, workers=resume_workers)
                killed += 1
            else:
                killed += kill_worker(driver)  # a run that has ended meanwhile is no kill
            same = (path / POLICY).read_bytes() == expected
            assert same, f"kill {killed}: other weights than those of an undisturbed run"
            print(f"kill {killed}: {victim}, {moment:.2f} s into iteration {iteration}")
            shutil.rmtree(path)
    print(f"{kills} kills, nothing lost")


def main() -> None:
    """Run a trial, or the driver of one."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", type=Path, help="a finished run; by default a tiny one is made")
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--victims", nargs="+", default=["worker", "driver"])
    parser.add_argument("--resume-workers", type=int, default=2)
    parser.add_argument("--drive", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--workers", type=int, default=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    torch.set_num_threads(1)
    if given.drive is not None:
        say_iterations()
        drive_improvement(given.drive, given.workers)
        return
    options = {name: getattr(given, name) for name in ("kills", "seed", "victims")}
    with tempfile.TemporaryDirectory() as folder:
        source = given.run or tiny_run(Path(folder))
        trial(source, resume_workers=given.resume_workers, **options)


if __name__ == "__main__":
    main()
