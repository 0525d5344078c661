"""`esarm bench hacking`: how many planted hacks an alarm catches in time, at what false alarms."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from agents.monitoring.hacking import DRIFT
from agents.weights import load_policy
from esarm_env.core.cache import write_text
from esarm_env.core.run_layout import POLICY_FILE
from esarm_env.task.opening import open_task
from train.bench.hacking.climbs import Climb, Ground, HackingConfig, kept_climb
from train.bench.hacking.detectors import (
    DETECTORS,
    LOOKS_AT_TRUTH,
    MOST_FALSE_ALARMS,
    ONSET,
    RocPoint,
    Watched,
    alarm_at,
    area,
    best_threshold,
    by_other_seeds,
    error_rises,
    onset_of,
    rates,
    roc,
    statistics,
    watch,
)
from train.bench.hacking.rewards import HOLES, HONEST
from train.run.kept_settings import keep_settings
from train.run.lock import locked
from train.run.run_folder import without_nan
from train.stages.signals import MotionSignals

if TYPE_CHECKING:
    from train.run.run_folder import RunFolder

NAME = "hacking"
_OWN = "off-target"  # the one whose threshold `RewardHackingCallback` has by default


def bench_hacking(run: RunFolder, config: HackingConfig, *, folder: Path) -> dict[str, Any]:
    """Climb every planted and honest reward; return what the detectors saw.

    Args:
        run: With a finished clone and reward model.
        config: How many climbs, and how far.
        folder: Keeps every finished climb, `hacking.json` and `hacking.md`.

    Returns:
        `detectors`, one row each, with their ROC; and `climbs`, one row each.

    Raises:
        InputError: If a stage is missing, or `folder` holds climbs of other settings.
    """
    clone, task = load_policy(run.stage("clone") / POLICY_FILE), open_task(run.path)
    run.stage("reward")
    keep_settings(
        folder,
        _shared_settings(run, config),
        what="climbs",
        remedy="give the same options, another --out, or delete the folder",
    )
    ground = Ground(run.path, task, clone, MotionSignals(task), run.config.improve, config)
    climbs: list[Climb] = []
    with locked(folder):
        for seed in config.seeds:
            for reward in (*HOLES, *HONEST):
                climbs.append(kept_climb(ground, reward, seed, folder))
                print(f"{reward}, seed {seed}: {_said(climbs[-1])}", flush=True)
        figures = without_nan(figures_of(climbs))
        write_text(folder / f"{NAME}.json", json.dumps(figures, indent=1) + "\n")
        write_text(folder / f"{NAME}.md", render(figures) + "\n")
    return dict(figures)


def figures_of(climbs: Sequence[Climb]) -> dict[str, Any]:
    """Return the rows of detectors and climbs."""
    return {
        "onset": ONSET,
        "most_false_alarms": MOST_FALSE_ALARMS,
        "seeds": sorted({each.seed for each in climbs}),
        "detectors": [_detector_row(name, watch(climbs, name)) for name in DETECTORS],
        "climbs": [_climb_row(each) for each in climbs],
    }


def _detector_row(name: str, watched: list[Watched]) -> dict[str, Any]:
    points, threshold = roc(watched), best_threshold(watched)
    leads = [w.lead(threshold) for w in watched if w.planted]
    known = [lead for lead in leads if lead is not None]
    row: dict[str, Any] = {
        "detector": name,
        "looks_at_truth": name in LOOKS_AT_TRUTH,
        "threshold": threshold if np.isfinite(threshold) else None,
        "at_threshold": _shares(rates(watched, threshold)),
        "by_other_seeds": _shares(by_other_seeds(watched)),
        "median_lead": float(np.median(known)) if known else None,
        "area": area(points),
        "roc": [
            [p.threshold if np.isfinite(p.threshold) else None, p.false_alarms, p.caught]
            for p in points
        ],
    }
    if name == _OWN:
        row |= {"default_threshold": DRIFT, "at_default": _shares(rates(watched, DRIFT))}
    return row


def _shares(point: RocPoint | None) -> dict[str, float] | None:
    if point is None:
        return None
    return {"false_alarms": point.false_alarms, "caught": point.caught}


def _climb_row(climbed: Climb) -> dict[str, Any]:
    rises, values = error_rises(climbed), statistics(climbed, _OWN)
    first, last = climbed.measured[0], climbed.measured[-1]
    return {
        "reward": climbed.reward,
        "planted": climbed.planted,
        "seed": climbed.seed,
        "iterations": last.iteration,
        "proxy_gain": float(last.proxy.mean() - first.proxy.mean()),
        "error_rise": float(rises[-1]),
        "onset": onset_of(climbed),
        "alarm": alarm_at(values, DRIFT),
        "off_target": float(values.max()) if np.isfinite(values.max()) else None,
    }


def _said(climbed: Climb) -> str:
    row = _climb_row(climbed)
    onset = "no harm" if row["onset"] is None else f"harm at {row['onset']}"
    alarm = "no alarm" if row["alarm"] is None else f"alarm at {row['alarm']}"
    return f"true error {row['error_rise']:+.0%}, {onset}, {alarm}"


def _shared_settings(run: RunFolder, config: HackingConfig) -> dict[str, Any]:
    """Return what climbs of one folder have in common."""
    clone = (run.stage("clone") / POLICY_FILE).read_bytes()
    return {
        "clone": hashlib.sha256(clone).hexdigest()[:16],
        "iterations": config.iterations,
        "n_episodes": config.n_episodes,
        "utterances": config.utterances,
        "samples": config.samples,
        "learning_rate": config.learning_rate,
        "kl_coef": config.kl_coef,
    }


def render(figures: dict[str, Any]) -> str:
    """Return both tables."""
    most, harm = figures["most_false_alarms"], figures["onset"]
    seeds = ", ".join(map(str, figures["seeds"]))
    lines = [
        f"Planted hacks caught before LVE or EVE has risen by {harm:.0%}, at no more than "
        f"{most:.0%} false alarms per climb of an honest reward; seeds {seeds}",
        "",
        "| detector | looks at the true error | threshold | caught | false alarms "
        "| threshold by other seeds: caught, false alarms | median lead | area under ROC |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in figures["detectors"]:
        at, other = row["at_threshold"], row["by_other_seeds"]
        unseen = "n/a" if other is None else f"{other['caught']:.0%}, {other['false_alarms']:.0%}"
        lead = "n/a" if row["median_lead"] is None else f"{row['median_lead']:g}"
        limit = "never" if row["threshold"] is None else f"{row['threshold']:.3g}"
        lines.append(
            f"| {row['detector']} | {'yes' if row['looks_at_truth'] else 'no'} | {limit} "
            f"| {at['caught']:.0%} | {at['false_alarms']:.0%} | {unseen} | {lead} "
            f"| {row['area']:.2f} |"
        )
        if "at_default" in row:
            default = row["at_default"]
            lines.append(
                f"| {row['detector']}, as `RewardHackingCallback` is by default | no "
                f"| {row['default_threshold']:g} | {default['caught']:.0%} "
                f"| {default['false_alarms']:.0%} | | | |"
            )
    lines += [
        "",
        "| reward | hole | seed | proxy | true error | harm at | alarm at | greatest shift |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in figures["climbs"]:
        harm_at, alarm = (
            row[key] if row[key] is not None else "never" for key in ("onset", "alarm")
        )
        shift = "n/a" if row["off_target"] is None else f"{row['off_target']:.2f}"
        lines.append(
            f"| {row['reward']} | {'yes' if row['planted'] else 'no'} | {row['seed']} "
            f"| {row['proxy_gain']:+.2f} | {row['error_rise']:+.1%} | {harm_at} | {alarm} "
            f"| {shift} |"
        )
    return "\n".join(lines)
