"""`esarm bench`: measurements of speed, and beside other people's work."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from train.commands.options import write_json


def command_bench(
    what: Annotated[Literal["env", "peers", "metrics", "synthetic"], tyro.conf.Positional],
    /,
    *,
    run: Path | None = None,
    json: Path | None = None,
) -> None:
    """Measure a finished run beside its peers, or how fast things are here.

    Args:
        what: `env`: steps per second and memory of the environment, beside Gymnasium's and SB3's
            vector environments over it; takes two or three minutes. `peers`: lip error (LVE) on the
            test frames, policies against the rule-based `openfacefx` in loudness mode (extra
            `peers`). `metrics`: all metrics on 1,000 utterances of 3 s. `synthetic`: making a
            synthetic corpus and its features, one core.
        run: A run folder. `peers` takes its clone [default there: runs/demo], `env` its task and
            reward [default there: those that ship with the package].
        json: Also write the figures to this file.
    """
    if what == "env":
        figures = _environment(run)
    elif what == "peers":
        figures = _peers(run or Path("runs/demo"))
    else:
        figures = _speed(what)
    write_json(figures, json)


def _environment(run: Path | None) -> dict[str, Any]:
    from train.bench.environment import bench_environment
    from train.bench.table import render

    figures = bench_environment(run)
    print(render(figures))
    return figures


def _peers(run: Path) -> dict[str, Any]:
    from esarm_env.metrics import variant_label
    from train.bench.peers import compare_with_peers
    from train.run_folder import RunFolder

    figures = compare_with_peers(RunFolder.open(run))
    print(f"{variant_label('lips')}, {figures['utterances']} test utterances, 95 % intervals")
    for name, (mean, low, high) in figures["lve_mm"].items():
        print(f"  {name}: {mean:.2f} [{low:.2f}, {high:.2f}]")
    for name, saving in figures["less_lve"].items():
        mean, low, high = saving["difference_mm"]
        share = f"{abs(saving['share']):.0%} {'less' if saving['share'] >= 0 else 'more'}"
        print(f"{name}: {share}, {mean:+.2f} [{low:+.2f}, {high:+.2f}] mm")
    return figures


def _speed(what: str) -> dict[str, Any]:
    from train.bench.speed import time_metrics, time_synthetic

    figures = time_metrics() if what == "metrics" else time_synthetic()
    for name, value in figures.items():
        print(f"{name}: {value}")
    return figures
