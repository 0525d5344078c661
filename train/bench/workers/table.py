"""Table of what `esarm bench workers` measured and what its model says."""

from __future__ import annotations

from typing import Any

_KB = 1000


def render(figures: dict[str, Any]) -> str:
    """Return the figures of `bench_workers` as text."""
    lines = [
        f"{figures['episodes']} episodes ({figures['tokens']} tokens) an iteration, "
        f"{figures['processors']} processors; medians of {figures['repetitions']}",
        "",
        "workers   roll-out, s   episodes/s   equal to the first",
    ]
    for row in figures["rollouts"]:
        equal = "yes" if row["equal"] else "NO"
        lines.append(
            f"{row['workers']:>7}   {row['rollout_s']:>11.3f}   {row['episodes_per_s']:>10.1f}   "
            f"{equal}"
        )
    lines += ["", *_compared(figures), *_sent(figures), *_model(figures)]
    return "\n".join(lines)


def _compared(figures: dict[str, Any]) -> list[str]:
    lines = []
    if "two_workers_times_faster" in figures:
        times = figures["two_workers_times_faster"]
        lines.append(f"two workers against one: {times:.2f} times as fast (bar: 1.7)")
    if "overhead_of_one_worker" in figures:
        share = figures["overhead_of_one_worker"]
        lines.append(f"one worker against this process: {share:+.1%} (bar: 10 %)")
    return lines


def _sent(figures: dict[str, Any]) -> list[str]:
    sent = {name: f"{value / _KB:,.0f} kB" for name, value in figures["bytes"].items()}
    per_token = figures["bytes"]["episodes"] / figures["tokens"]
    kept = figures["checkpoint_s"]
    least = figures["model"]["learner_s"] + min(row["rollout_s"] for row in figures["rollouts"])
    return [
        f"sent once: task and reward {sent['once']}; every iteration: weights {sent['weights']}, "
        f"parts {sent['parts']}",
        f"received: episodes {sent['episodes']} ({per_token:.1f} bytes a token)",
        f"learner: {figures['learner_s']:.3f} s; a checkpoint after every iteration: {kept:.3f} s "
        f"({kept / least:.1%} of the quickest)",
        "",
    ]


def _model(figures: dict[str, Any]) -> list[str]:
    model = figures["model"]
    lines = [
        f"model: {model['work_s']:.3f} worker-seconds in {model['parts']} parts, "
        f"{model['alone_s']:.3f} s of the driver alone, {model['learner_s']:.3f} s of the learner",
        "",
        "workers   roll-out, s   iteration, s   times faster   learner's share   kB, both ways",
    ]
    lines += [
        f"{row['workers']:>7}   {row['rollout_s']:>11.3f}   {row['iteration_s']:>12.3f}   "
        f"{row['times_faster']:>12.2f}   {row['learner_share']:>15.0%}   "
        f"{row['bytes'] / _KB:>12,.0f}"
        for row in figures["modelled"]
    ]
    lines.append(
        f"more than {model['enough_workers']} workers save under 5 % of this iteration; with more "
        "episodes an iteration there are more parts"
    )
    return lines
