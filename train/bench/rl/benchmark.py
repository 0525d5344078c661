"""`esarm bench rl`: every algorithm that runs on an environment, over seeds, cell by cell."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import gymnasium

import esarm_env
from esarm_env.core.cache import write_text
from esarm_env.core.errors import InputError, one_line
from esarm_env.core.shipped import shipped_run
from train.bench.rl.climb import Cell, Point, climb, load_climb, save_climb
from train.bench.rl.figures import Row, render, row_figures
from train.bench.rl.scale import Scale, scale_of
from train.bench.rl.trainers import EVERY, TERMINAL, TIMINGS, find_trainer, settings_of
from train.pictures import draw_or_explain
from train.run.kept_settings import keep_settings
from train.run.lock import locked
from train.run.run_folder import without_nan

NAME = "rl"
RAW = "raw"  # folder of the climbs


@dataclass(frozen=True)
class RLConfig:
    """Settings of `esarm bench rl`.

    Attributes:
        env: Id of an environment of ours.
        algorithms: Names of trainers.
        timings: `chunk`, `terminal` or both.
        steps: Tokens of each training.
        seeds: Of training.
        points: Measurements of each training, the one before the first token not counted.
        split: Whose utterances are measured on.
        reward: Name of a reward; None is the environment's own.
    """

    env: str = "ESARM-Short-v0"
    algorithms: tuple[str, ...] = EVERY
    timings: tuple[str, ...] = TIMINGS
    steps: int = 200_000
    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
    points: int = 40
    split: str = "test"
    reward: str | None = None

    def __post_init__(self) -> None:
        """Check every setting.

        Raises:
            InputError: If one is out of range, unknown, or there twice.
        """
        for name in ("algorithms", "timings", "seeds"):
            values = getattr(self, name)
            if not values or len(set(values)) < len(values):
                raise InputError(f"`{name}` must be different ones, at least one, got {[*values]}")
        for algorithm in self.algorithms:
            find_trainer(algorithm)
        unknown = sorted(set(self.timings) - set(TIMINGS))
        if unknown:
            raise InputError(f"`timings` must be among {', '.join(TIMINGS)}, got {unknown[0]!r}")
        if min(self.seeds) < 0 or self.steps < 1 or self.points < 1:
            raise InputError(
                "`seeds` must be at least 0, `steps` and `points` at least 1, got "
                f"{[*self.seeds]}, {self.steps} and {self.points}"
            )
        if self.split not in ("validation", "test"):
            raise InputError(f"`split` must be validation or test, got {self.split!r}")

    def cells(self) -> list[Cell]:
        """Return all trainings, seed by seed, so that a table of some seeds comes first."""
        return [
            Cell(algorithm, timing, seed)
            for seed in self.seeds
            for algorithm in self.algorithms
            for timing in self.timings
        ]


class Ground:
    """The environment that all cells share: its task is opened once."""

    def __init__(self, config: RLConfig, **env_kwargs: Any) -> None:
        """Open the environment.

        Args:
            config: Of the bench.
            env_kwargs: Of the environment, for instance `task`; by default what ships.

        Raises:
            InputError: If there is no such environment, or it is none of ours.
        """
        self.config = config
        chosen = {} if config.reward is None else {"reward": config.reward}
        try:
            env = gymnasium.make(
                config.env,
                split=config.split,
                **{"reward_timing": TERMINAL, "metrics": False, **chosen, **env_kwargs},
            )
        except (gymnasium.error.Error, TypeError) as error:  # no such one, or with other arguments
            raise InputError(
                f"`env` must be a registered environment of ours, got {config.env!r}: {error}"
            ) from error
        if not env.has_wrapper_attr("sequence_task"):
            raise InputError(f"`env` must be a registered environment of ours, got {config.env!r}")
        task = env.get_wrapper_attr("sequence_task")
        run = env_kwargs.get("run") or (None if "task" in env_kwargs else shipped_run())
        self.env_kwargs = {**chosen, **env_kwargs, "task": task, "run": run}
        self._env = env

    @cached_property
    def scale(self) -> Scale:
        """What returns are normalised by."""
        return scale_of(self._env, self.config.split)

    @property
    def reward(self) -> str:
        """What is paid, by name."""
        return str(self._env.get_wrapper_attr("reward_function").name)

    def climb(self, cell: Cell) -> list[Point]:
        """Train a cell."""
        config = self.config
        return climb(
            cell,
            self.scale,
            env_id=config.env,
            steps=config.steps,
            points=config.points,
            **self.env_kwargs,
        )


def kept_climb(ground: Ground, cell: Cell, folder: Path) -> list[Point]:
    """Return a climb, trained unless `folder` has it.

    Raises:
        InputError: If the file of the climb is damaged, or of other settings.
    """
    path, settings = folder / RAW / f"{cell.name}.csv", said_settings(cell)
    if not path.is_file():
        save_climb(ground.climb(cell), path, settings=settings)
    return load_climb(path, settings=settings)


def said_settings(cell: Cell) -> str:
    """Return algorithm and settings of a cell in one line."""
    trainer = find_trainer(cell.algorithm)
    settings = json.dumps(settings_of(trainer, cell.timing), sort_keys=True)
    return (
        f"{trainer.library} {trainer.kind} from {trainer.start}, {trainer.n_envs} environments, "
        f"{settings}"
    )


def bench_rl(config: RLConfig, *, folder: Path, **env_kwargs: Any) -> dict[str, Any]:
    """Train every cell that `folder` lacks; return the figures of all.

    A cell that fails (a missing extra, a fault in training) is a row that says so; it is tried
    again by the next call, and costs no other cell.

    Args:
        config: Which cells.
        folder: Keeps `raw/*.csv`, `rl.md`, `rl.json` and, with the extra `plots`, `rl.png`.
        env_kwargs: Of the environment.

    Raises:
        InputError: If `folder` holds cells of other settings, or the environment is unfit.
    """
    ground = Ground(config, **env_kwargs)
    scale = ground.scale
    keep_settings(
        folder,
        {
            "env": config.env,
            "reward": ground.reward,
            "steps": config.steps,
            "points": config.points,
            "split": config.split,
            "random": round(scale.random, 4),
            "recorded": round(scale.recorded, 4),
        },
        what="climbs",
        remedy="give the same options, another --out, or delete the folder",
    )
    rows = {(a, t): Row(a, t) for a in config.algorithms for t in config.timings}
    with locked(folder):
        for cell in config.cells():
            _fill(rows[cell.algorithm, cell.timing], ground, cell, folder)
        figures = dict(without_nan(figures_of(ground, list(rows.values()))))
        write_text(folder / f"{NAME}.json", json.dumps(figures, indent=1) + "\n")
        page = draw_or_explain(render(figures), lambda: _draw(list(rows.values()), scale, folder))
        write_text(folder / f"{NAME}.md", page + "\n")
    return figures


def _fill(row: Row, ground: Ground, cell: Cell, folder: Path) -> None:
    """Put the climb of a cell into its row, or why there is none."""
    try:
        row.climbs[cell.seed] = kept_climb(ground, cell, folder)
        last = row.climbs[cell.seed][-1]
        said = f"normalised return {last.normalised:.2f}, {last.cpu_s:.0f} s"
    except Exception as error:  # whatever an algorithm of others may raise
        row.faults[cell.seed] = said = f"{type(error).__name__}: {one_line(error)}"
    print(f"{cell.name}: {said}", flush=True)


def figures_of(ground: Ground, rows: list[Row]) -> dict[str, Any]:
    """Return the figures of all rows, plain values by name."""
    config, scale = ground.config, ground.scale
    return {
        "env": config.env,
        "reward": ground.reward,
        "steps": config.steps,
        "seeds": list(config.seeds),
        "esarm": esarm_env.__version__,
        "scale": {
            "split": scale.split,
            "random": scale.random,
            "recorded": scale.recorded,
            "still": scale.still,
            "still_normalised": scale.share(scale.still),
        },
        "rows": [row_figures(row) for row in rows],
    }


def _draw(rows: list[Row], scale: Scale, folder: Path) -> None:
    if any(row.climbs for row in rows):
        from train.bench.rl.pictures import plot_rows

        plot_rows(rows, folder / f"{NAME}.png", still=scale.share(scale.still))
