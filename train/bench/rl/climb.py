"""Climb of an algorithm: what its greedy policy gets on held-out utterances, over tokens and time.

A climb is one CSV file; `esarm bench rl` keeps it, and climbs again only what has none.
"""

from __future__ import annotations

import csv
import io
import time
from collections.abc import Callable
from dataclasses import astuple, dataclass, fields
from typing import TYPE_CHECKING, Any

import gymnasium
from gymnasium.vector import AutoresetMode, VectorEnv

from esarm_env.core.cache import write_text
from esarm_env.core.errors import InputError
from esarm_env.formats.files import reading
from esarm_env.task.episode_metrics import EVE, LVE
from train.bench.rl.trainers import TERMINAL, find_trainer, make_learner

if TYPE_CHECKING:
    from pathlib import Path

    from train.bench.rl.scale import Scale

HELD_OUT_ENVS = 16


@dataclass(frozen=True)
class Cell:
    """One training of the bench.

    Attributes:
        algorithm: Name of a trainer.
        timing: `chunk` or `terminal`.
        seed: Of training.
    """

    algorithm: str
    timing: str
    seed: int

    @property
    def name(self) -> str:
        """Name of its file, without suffix."""
        return f"{self.algorithm}-{self.timing}-seed-{self.seed}"


@dataclass(frozen=True)
class Point:
    """What was measured at one point of a climb.

    Attributes:
        steps: Tokens trained on.
        cpu_s: Processor seconds of training alone.
        wall_s: Seconds of training alone.
        score: Mean return on the held-out utterances.
        normalised: The same, 0 for random tokens and 1 for recordings through the tokenizer.
        lve_mm: Lip error.
        eve_mm: Error of the upper face.
    """

    steps: int
    cpu_s: float
    wall_s: float
    score: float
    normalised: float
    lve_mm: float
    eve_mm: float


COLUMNS = tuple(each.name for each in fields(Point))


def held_out_env(env_id: str, split: str, **env_kwargs: Any) -> VectorEnv[Any, Any, Any]:
    """Make the environment that policies are measured on; returns do not depend on the timing."""
    settings = {**env_kwargs, "split": split, "reward_timing": TERMINAL}
    return gymnasium.make_vec(
        env_id, HELD_OUT_ENVS, autoreset_mode=AutoresetMode.DISABLED, **settings
    )


def climb(
    cell: Cell,
    scale: Scale,
    *,
    env_id: str,
    steps: int,
    points: int,
    say: Callable[[Point], None] = lambda _: None,
    **env_kwargs: Any,
) -> list[Point]:
    """Train a cell; return what was measured before the first token and along the way.

    Args:
        cell: What is trained.
        scale: Of the returns.
        env_id: Of the environment.
        steps: Tokens to train on, at least.
        points: Measurements, the first one not counted; as many as iterations allow.
        say: Hears every measurement.
        env_kwargs: Of the environment.

    Raises:
        MissingExtraError: If the library is not installed.
    """
    from esarm_env.evaluation import evaluate

    learner = make_learner(
        find_trainer(cell.algorithm), env_id, cell.timing, cell.seed, **env_kwargs
    )
    held_out = held_out_env(env_id, scale.split, **learner.env_kwargs)
    act, clock, found = learner.act(held_out), _Clock(), list[Point]()

    def measure(n_done: int) -> None:
        due = len(found) * steps / points
        if n_done < due or (found and found[-1].steps == n_done):
            return
        clock.stop()
        means = evaluate(act, held_out, seed=cell.seed).means()
        score = means["return"]
        found.append(Point(n_done, *clock.spent, score, scale.share(score), means[LVE], means[EVE]))
        say(found[-1])
        clock.start()

    clock.start()
    learner.learn(steps, measure)
    return found


class _Clock:
    """Time of training alone, which measurements stop."""

    def __init__(self) -> None:
        self._began = (0.0, 0.0)
        self._spent = (0.0, 0.0)

    def start(self) -> None:
        self._began = (time.process_time(), time.perf_counter())

    def stop(self) -> None:
        cpu, wall = time.process_time() - self._began[0], time.perf_counter() - self._began[1]
        self._spent = (self._spent[0] + cpu, self._spent[1] + wall)

    @property
    def spent(self) -> tuple[float, float]:
        """Processor seconds and seconds."""
        return self._spent


def save_climb(points: list[Point], path: Path, *, settings: str) -> None:
    """Write a climb as CSV below a comment that tells the `settings`, whole or not at all."""
    text = io.StringIO()
    text.write(f"# {settings}\n")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows([f"{value:.6g}" for value in astuple(point)] for point in points)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, text.getvalue())


def load_climb(path: Path, *, settings: str) -> list[Point]:
    """Read what `save_climb` wrote.

    Raises:
        InputError: If the file is damaged or something else, or is a climb with other settings.
    """
    remedy = f"delete {path} to climb it again"
    with reading(path, "a climb of `esarm bench rl`", remedy=remedy):
        comment, *lines = path.read_text(encoding="utf-8").splitlines()
        rows = list(csv.DictReader(lines))
        if not rows or tuple(rows[0]) != COLUMNS:
            raise ValueError(f"columns {', '.join(map(str, rows[0])) if rows else 'none'}")
        found = [
            Point(int(float(row["steps"])), *(float(row[name]) for name in COLUMNS[1:]))
            for row in rows
        ]
    if comment != f"# {settings}":
        raise InputError(
            f"{path}: must be a climb with the settings {settings}, got {comment.strip('# ')}; "
            f"{remedy}, or give another --out"
        )
    return found


def first_at(points: list[Point], share: float) -> Point | None:
    """Return the first point whose normalised return is at least `share`; None if none is."""
    return next((point for point in points if point.normalised >= share), None)
