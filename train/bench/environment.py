"""`esarm bench env`: steps per second and memory of the environment, beside Gymnasium's and SB3's.

All figures come from one run. Cases with the same number of environments take turns in short
windows, so that a slow minute of a shared machine falls on all of them; each runs in a process of
its own, so that its peak memory is its own.
"""

from __future__ import annotations

import itertools
import os
import platform
import statistics
from collections.abc import Callable, Sequence
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gymnasium.vector import AutoresetMode

from train.bench.cases import NAMES, Case
from train.bench.references import (
    NATIVE_MIB,
    NATIVE_STEPS_PER_S,
    SCALAR_STEPS_PER_S,
    SCORED_STEPS_PER_S,
    SYNC_RATIO,
    compare,
    comparison_line,
)
from train.bench.turns import Worker, take_turns
from train.bench.worker import RemoteCase

if TYPE_CHECKING:
    from esarm_env.envs.scalar import SpeechAnimationEnv

_COLUMNS = (
    "environment",
    "autoreset",
    "envs",
    "steps/s",
    "slowest",
    "fastest",
    "episodes",
    "MiB",
    "MiB total",
)


def render(figures: dict[str, Any], *, bars: bool = False) -> str:
    """Return the tables, the growth of memory, and the ratios and rates that matter.

    Args:
        figures: Of `train.bench.environment.bench_environment`.
        bars: Whether our own bounds stand beside the last.
    """
    cases = sorted(figures["cases"] + figures["not_run"], key=lambda row: row["num_envs"])
    parts = [
        _heading(figures["machine"], figures["task"]),
        _table(
            "As it comes: with the learned reward, LVE and EVE",
            sorted((row for row in cases if row["scored"]), key=lambda row: row["name"] != OURS),
        ),
        _table("Without terminal reward and metrics", [row for row in cases if not row["scored"]]),
        "steps/s: median window between the slowest and the fastest; MiB: peak above a process "
        "with the task but no environments",
        _growth(figures["kib_per_env"]),
        "\n".join(comparison_line(row, bars=bars) for row in figures["references"]),
    ]
    return "\n\n".join(part for part in parts if part)


def _heading(machine: dict[str, Any], task: dict[str, Any]) -> str:
    before, after = (
        " ".join(f"{load:.1f}" for load in machine[key]) for key in ("load_before", "load_after")
    )
    shortest, mean, longest = task["steps"]
    return (
        f"{machine['cpus']} CPUs, {machine['system']}; load {before} before, {after} after\n"
        + ", ".join(f"{name} {text}" for name, text in machine["versions"].items())
        + f"\n{task['corpus']}: {task['utterances']} utterances of {shortest} to {longest} steps "
        f"(mean {mean}); random actions; each case one thread in a process of its own"
    )


def _table(title: str, rows: Sequence[dict[str, Any]]) -> str:
    """Return aligned columns; the first one to the left."""
    if not rows:
        return ""
    cells = [_COLUMNS, *(_cells(row) for row in rows)]
    full = [row for row in cells if len(row) == len(_COLUMNS)]
    widths = [max(len(row[column]) for row in full) for column in range(len(_COLUMNS))]
    names, modes = (max(len(row[column]) for row in cells) for column in (0, 1))
    lines = [title]
    for row in cells:
        rest = (f"{text:>{width}}" for text, width in zip(row[2:], widths[2:], strict=False))
        lines.append("  ".join([f"{row[0]:<{names}}", f"{row[1]:<{modes}}", *rest]))
    return "\n".join(lines)


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    if "reason" in row:
        return row["name"], row["autoreset"], f"{row['num_envs']:,}", f"not run: {row['reason']}"
    rates = (f"{row[key]:,.0f}" for key in ("steps_per_s", "slowest", "fastest"))
    memory = (f"{row[key]:,.1f}" for key in ("above_mib", "total_mib"))
    envs = f"{row['num_envs']:,}"
    return row["name"], row["autoreset"], envs, *rates, f"{row['episodes']:,}", *memory


def _growth(kib_per_env: dict[str, dict[str, float]]) -> str:
    lines = [
        f"  {name}: " + ", ".join(f"{size:.1f} from {span}" for span, size in spans.items())
        for name, spans in kib_per_env.items()
        if spans
    ]
    return "\n".join(["KiB that an environment more takes", *lines]) if lines else ""


SIZES = (1, 16, 256, 4096)
OURS = NAMES["native"]
SIZE = 256  # environments of the ratio, of the other autoreset mode, and of the scored ones
SAME_STEP, NEXT_STEP = AutoresetMode.SAME_STEP.value, AutoresetMode.NEXT_STEP.value
MOST_PROCESSES = 16  # AsyncVectorEnv takes one for each environment
WINDOW_S, N_WINDOWS = 0.3, 5
_PACKAGES = ("esarm", "gymnasium", "stable-baselines3", "numpy", "torch")

Row = dict[str, Any]


def bench_environment(
    run_path: Path | None = None,
    *,
    sizes: Sequence[int] = SIZES,
    n_windows: int = N_WINDOWS,
    start: Callable[[Case], Worker] | None = None,
    note: Callable[[str], None] = print,
) -> dict[str, Any]:
    """Measure all cases.

    Args:
        run_path: A run folder with a reward model, whose task is stepped; the default task without.
        sizes: Numbers of environments.
        n_windows: How often each case is timed.
        start: Starts a case; by default a process of its own.
        note: Told what comes next.

    Returns:
        `machine`, `task`, `cases` (a row each), `not_run`, `kib_per_env` and `references`.
    """
    start = start or partial(RemoteCase, run_path=run_path, window_s=WINDOW_S)
    # Opened here first, so that features are computed once and not in every process.
    task = describe_task(Case("scalar", 1).template(run_path))
    load_before = list(os.getloadavg())
    rows: list[Row] = []
    for group in groups_of(sizes):
        note(f"{group[0].num_envs} environments{', scored' * group[0].scored}: {len(group)} cases")
        rows += measure_group(group, start, n_windows=n_windows)
    return {
        "machine": describe_machine()
        | {"load_before": load_before, "load_after": list(os.getloadavg())},
        "task": task,
        "cases": rows,
        "not_run": [
            {
                "name": NAMES["async"],
                "num_envs": size,
                "scored": False,
                "autoreset": SAME_STEP,
                "reason": "one process each",
            }
            for size in sizes
            if size > MOST_PROCESSES
        ],
        "kib_per_env": growth_of(rows),
        "references": references_of(rows),
    }


def groups_of(sizes: Sequence[int]) -> list[list[Case]]:
    """Return the cases, those that take turns together."""
    groups = []
    for size in sizes:
        backends = ["sync", "async", "dummy", "native", "sb3"]
        if size > MOST_PROCESSES:
            backends.remove("async")
        if size == 1:
            backends = ["scalar", "made", *backends]
        groups.append([Case(backend, size) for backend in backends])
    if SIZE in sizes:
        groups.append([Case(each, SIZE, autoreset=NEXT_STEP) for each in ("sync", "native")])
        groups.append([Case(each, SIZE, scored=True) for each in ("sync", "native", "deferred")])
    return groups


def measure_group(
    group: Sequence[Case], start: Callable[[Case], Worker], *, n_windows: int
) -> list[Row]:
    """Return a row per case; the cases take turns."""
    timed = take_turns(group, start, n_windows=n_windows)
    return [row_of(*each) for each in timed]


def row_of(case: Case, windows: Sequence[dict[str, Any]], memory: dict[str, Any]) -> Row:
    """Return the figures of a case: the median window's rate between the slowest and fastest."""
    rates = [window["steps"] / window["seconds"] for window in windows]
    return {
        "backend": case.backend,
        "name": NAMES[case.backend],
        "num_envs": case.num_envs,
        "scored": case.scored,
        "autoreset": case.autoreset,
        "steps_per_s": statistics.median(rates),
        "slowest": min(rates),
        "fastest": max(rates),
        "windows": rates,
        "steps": sum(window["steps"] for window in windows),
        "episodes": sum(window["episodes"] for window in windows),
        **memory,
    }


def growth_of(rows: Sequence[Row]) -> dict[str, dict[str, float]]:
    """Return per backend how much an environment more takes, in KiB, from each size to the next.

    From 1 on it would be noise: what a process takes once, divided by a handful.
    """
    growth: dict[str, dict[str, float]] = {}
    for backend in ("native", "sb3", "sync", "dummy"):
        found = [row for row in _plain(rows) if row["backend"] == backend and row["num_envs"] > 1]
        growth[backend] = {
            f"{less['num_envs']} to {more['num_envs']}": 1024
            * (more["above_mib"] - less["above_mib"])
            / (more["num_envs"] - less["num_envs"])
            for less, more in itertools.pairwise(found)
        }
    return growth


def references_of(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Return figures beside our references, for the rows that are there."""
    found = {(row["backend"], row["num_envs"]): row for row in _plain(rows)}
    native, scalar = found.get(("native", SIZE)), found.get(("scalar", 1))
    many = found.get(("native", 4096))
    compared = []
    for mode in (SAME_STEP, NEXT_STEP):
        ratio = _ratio(rows, mode)
        if ratio is not None:
            name = f"native / SyncVectorEnv at {SIZE}, {mode}, times"
            compared.append(compare(name, ratio, SYNC_RATIO))
    if native:
        rate = native["steps_per_s"]
        compared.append(compare(f"native at {SIZE}, steps/s", rate, NATIVE_STEPS_PER_S))
    if scalar:
        rate = scalar["steps_per_s"]
        compared.append(compare("scalar, steps/s", rate, SCALAR_STEPS_PER_S))
    for row in rows:
        if (row["backend"], row["num_envs"], row["scored"]) != ("native", SIZE, True):
            continue
        name = f"native at {SIZE} as it comes, steps/s"
        compared.append(compare(name, row["steps_per_s"], SCORED_STEPS_PER_S))
    if many:
        name = "native at 4096, whole process, MiB"
        compared.append(compare(name, many["total_mib"], NATIVE_MIB))
    return compared


def _plain(rows: Sequence[Row]) -> list[Row]:
    """Return the rows of the main table."""
    return [row for row in rows if not row["scored"] and row["autoreset"] == SAME_STEP]


def _ratio(rows: Sequence[Row], mode: str) -> float | None:
    """Return how many times faster ours is than `SyncVectorEnv`, if both were measured."""
    both = {
        row["backend"]: row["windows"]
        for row in rows
        if (row["num_envs"], row["autoreset"], row["scored"]) == (SIZE, mode, False)
    }
    if not {"native", "sync"} <= set(both):
        return None
    # Turn by turn: what slowed both down in a turn is no difference between them.
    turns = zip(both["native"], both["sync"], strict=True)
    return float(statistics.median(ours / theirs for ours, theirs in turns))


def describe_task(env: SpeechAnimationEnv) -> dict[str, Any]:
    """Return what is stepped: the corpus, its utterances, and their lengths in steps."""
    lengths = env.sequence_task.lengths[env.utterances]
    return {
        "corpus": env.sequence_task.corpus.name,
        "utterances": len(lengths),
        "steps": [int(lengths.min()), round(float(lengths.mean())), int(lengths.max())],
    }


def describe_machine() -> dict[str, Any]:
    """Return processors, system, and versions."""
    return {
        "cpus": os.cpu_count(),
        "system": platform.platform(),
        "versions": {"python": platform.python_version()}
        | {package: version(package) for package in _PACKAGES},
    }
