"""`esarm bench agents`: tokens per second of roll-out and update, and memory, in one run.

Cases of one length and number of episodes take turns in windows, each in a process of its own; a
slow minute of a shared machine then falls on all of them.
"""

from __future__ import annotations

import os
import statistics
from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import torch

from agents.network.acceleration import PLAIN, Acceleration
from train.bench.agents.cases import BACKENDS, Case, Sizes, reason_to_skip
from train.bench.agents.table import references_of
from train.bench.environment import describe_machine
from train.bench.turns import Worker, take_turns

LENGTHS, EPISODES, N_WINDOWS = (32, 64, 128, 256), (16, 64), 3
QUICK_LENGTHS, QUICK_EPISODES, QUICK_WINDOWS = (64, 128), (16,), 3

Row = dict[str, Any]


def bench_agents(
    *,
    lengths: Sequence[int] = LENGTHS,
    episodes: Sequence[int] = EPISODES,
    n_windows: int = N_WINDOWS,
    threads: int = 0,
    sizes: Sizes | None = None,
    device: str = "cpu",
    acceleration: Acceleration = PLAIN,
    start: Callable[[Case], Worker] | None = None,
    note: Callable[[str], None] = print,
) -> dict[str, Any]:
    """Measure all cases.

    Args:
        lengths: Tokens of an episode, T.
        episodes: Episodes at once, N.
        n_windows: How often each case is timed, after one window that warms up.
        threads: Of torch in each process; 0 means one for each processor.
        sizes: Of the networks; 4 layers of width 128 by default.
        device: Where all networks are.
        acceleration: If anything is traded for speed, ours is measured both without and with it.
        start: Starts a case; by default a process of its own.
        note: Told what comes next.

    Returns:
        `machine`, `network`, `cases` (a row each), `not_run`, `limits` and `references`.
    """
    from train.bench.agents.ours import flops_per_token, make_model
    from train.bench.agents.worker import RemoteAgent

    threads, sizes = threads or os.cpu_count() or 1, sizes or Sizes()
    start = start or partial(RemoteAgent, threads=threads)
    acceleration.check_for(torch.device(device))
    backends = [name for name in BACKENDS if name != "accelerated" or acceleration != PLAIN]
    reasons = {backend: reason_to_skip(backend) for backend in backends}
    there = [backend for backend, reason in reasons.items() if reason is None]
    load_before = list(os.getloadavg())
    rows: list[Row] = []
    for length in lengths:
        for n_episodes in episodes:
            note(f"{n_episodes} episodes of {length} tokens: {len(there)} cases")
            group = [
                Case(backend, length, n_episodes, sizes, device, acceleration) for backend in there
            ]
            rows += measure_group(group, start, n_windows=n_windows)
    model = make_model(Case("ours", lengths[0], 1, sizes))
    flops = {length: flops_per_token(model, length=length) for length in lengths}
    return {
        "machine": describe_machine()
        | {
            "threads": threads,
            "device": device_name(device),
            "load_before": load_before,
            "load_after": list(os.getloadavg()),
        }
        | {"rivals": _versions()},
        "network": sizes.network,
        "acceleration": asdict(acceleration),
        "cases": rows,
        "not_run": [
            {"backend": backend, "name": BACKENDS[backend], "reason": reason}
            for backend, reason in reasons.items()
            if reason is not None
        ],
        "limits": [limit_of(row, flops[row["length"]]) for row in rows if row["backend"] == "ours"],
        "references": references_of(rows, acceleration=acceleration),
    }


def measure_group(
    group: Sequence[Case], start: Callable[[Case], Worker], *, n_windows: int
) -> list[Row]:
    """Return a row per case; the cases take turns, and their first window only warms up."""
    timed = take_turns(group, start, n_windows=n_windows, n_warm_up=1)
    return [row_of(*each) for each in timed]


def row_of(case: Case, windows: Sequence[dict[str, Any]], finished: dict[str, Any]) -> Row:
    """Return the figures of a case: of each phase the median window, slowest and fastest.

    `iteration` is a roll-out and an update, where there are both. `matmul_gflops`, of our row, is
    the median of what the machine's matrix product reached in the same windows.
    """
    phases: dict[str, dict[str, Any]] = {
        name: rates_of([window[name] for window in windows])
        for name in ("rollout", "score", "update")
        if name in windows[0]
    }
    if "update" in phases:
        both = [[window["rollout"], window["update"]] for window in windows]
        phases["iteration"] = rates_of(
            [
                {
                    "tokens": first["tokens"],
                    "seconds": first["seconds"] + second["seconds"],
                    "measured": min(first["measured"], second["measured"]),
                }
                for first, second in both
            ]
        )
    row = {
        "backend": case.backend,
        "name": BACKENDS[case.backend],
        "length": case.length,
        "n_episodes": case.n_episodes,
        "phases": phases,
        **finished,
    }
    if "matmul_gflops" in windows[0]:
        row["matmul_gflops"] = statistics.median(each["matmul_gflops"] for each in windows)
    return row


def rates_of(windows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return tokens per second of one phase, and the share of it that was run."""
    rates = [window["tokens"] / window["seconds"] for window in windows]
    return {
        "tokens_per_s": statistics.median(rates),
        "slowest": min(rates),
        "fastest": max(rates),
        "measured": windows[0]["measured"],
        "windows": rates,
    }


def limit_of(row: Row, forward_flops: float) -> Row:
    """Return what our roll-out and update reach of the machine's matrix product.

    Args:
        row: Of our case.
        forward_flops: Of one token, see `flops_per_token`.
    """
    rates = {name: row["phases"][name]["tokens_per_s"] for name in ("rollout", "update")}
    reached = {
        "rollout_gflops": 1e-9 * forward_flops * rates["rollout"],
        "update_gflops": 3e-9 * forward_flops * rates["update"],  # forward and twice backward
    }
    limit = row["matmul_gflops"]
    return {
        "length": row["length"],
        "n_episodes": row["n_episodes"],
        "matmul_gflops": limit,
        **reached,
        "rollout_share": reached["rollout_gflops"] / limit,
        "update_share": reached["update_gflops"] / limit,
    }


def device_name(device: str) -> str:
    """Return the name of the accelerator, or `cpu`."""
    return torch.cuda.get_device_name(device) if device.startswith("cuda") else device


def _versions() -> dict[str, str]:
    """Return the versions of the packages that only rivals need, as far as they are there."""
    found = {}
    for package in ("sb3-contrib", "transformers"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
