"""Profile of our roll-out by Python function (`esarm bench agents --profile`).

The profiler makes every Python call dearer and leaves torch's kernels as they are, so the shares
of Python functions are bounds from above.
"""

from __future__ import annotations

import cProfile
import pstats
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from train.bench.agents.ours import Ours

if TYPE_CHECKING:
    from train.bench.agents.cases import Case

N_FUNCTIONS = 12
_BUILT_IN = "~"  # where `pstats` says that a function is not Python's


def profile_rollout(case: Case, *, threads: int = 1) -> dict[str, Any]:
    """Profile one roll-out of ours, after one that warms up.

    Args:
        case: Which; its backend does not matter.
        threads: Of torch.

    Returns:
        `seconds` in all; `kernels`, the share of time in functions that are not Python's (torch's,
        mostly); and the dearest of Python's functions and of the others (`python`, `others`), each
        with `name`, `share` of the time in the function itself, and `calls`.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        ours = Ours(case)
        ours.collect()
        profiler = cProfile.Profile()
        profiler.runcall(ours.collect)
    finally:
        torch.set_num_threads(before)
    return shares_of(profiler)


def shares_of(profiler: cProfile.Profile) -> dict[str, Any]:
    """Return the figures of a finished profile, see `profile_rollout`."""
    stats: Any = pstats.Stats(profiler)
    total = sum(own for _, _, own, _, _ in stats.stats.values())
    rows = [
        {
            "name": _name(place),
            "share": own / total,
            "calls": calls,
            "python": place[0] != _BUILT_IN,
        }
        for place, (_, calls, own, _, _) in stats.stats.items()
    ]
    rows.sort(key=lambda row: -row["share"])
    return {
        "seconds": total,
        "kernels": sum(row["share"] for row in rows if not row["python"]),
        "python": [row for row in rows if row["python"]][:N_FUNCTIONS],
        "others": [row for row in rows if not row["python"]][:N_FUNCTIONS],
    }


def render_profile(figures: dict[str, Any]) -> str:
    """Return the shares as text."""
    lines = [
        f"Roll-out under cProfile: {figures['seconds']:.2f} s, of which "
        f"{figures['kernels']:.0%} in functions that are not Python's"
    ]
    for title, key in (("Python functions, own time", "python"), ("others", "others")):
        lines.append(title)
        lines += [
            f"  {row['share']:6.1%}  {row['calls']:>8,} x  {row['name']}" for row in figures[key]
        ]
    return "\n".join(lines)


def _name(place: tuple[str, int, str]) -> str:
    file, line, function = place
    return function if file == _BUILT_IN else f"{'/'.join(Path(file).parts[-2:])}:{line} {function}"
