"""Report on over-optimisation: CSV, JSON, plot and text."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from esarm_env.core.cache import new_file
from esarm_env.core.run_layout import OVEROPTIMISE_FOLDER
from esarm_env.metrics import variant_label
from esarm_env.task.episode_metrics import EVE, LVE
from train.overoptimise.curve import Curve, OveroptimiseConfig, mean_curve
from train.overoptimise.findings import Point, Verdict, points_of, verdict_of
from train.pictures import draw_or_explain
from train.run.loop import write_rows
from train.run.run_folder import RunFolder, without_nan

if TYPE_CHECKING:
    from esarm_env.core.intervals import Change
    from train.overoptimise.measurement import Measured

NAME = OVEROPTIMISE_FOLDER  # of the results, with a suffix each


def write_results(
    run: RunFolder, measured: Measured, config: OveroptimiseConfig, *, reward: str
) -> tuple[Path, dict[str, Any]]:
    """Write all results; return the path of the page, and the figures as plain values."""
    folder = run.path / OVEROPTIMISE_FOLDER
    mean = {kl_coef: mean_curve(list(seeds.values())) for kl_coef, seeds in measured.rl.items()}
    verdicts = {kl_coef: verdict_of(curve) for kl_coef, curve in mean.items()}
    write_rows(list(_rows(measured, mean)), folder / f"{NAME}.csv")
    points = {kl_coef: points_of(curve) for kl_coef, curve in mean.items()}
    best_of_n = points_of(measured.best_of_n)
    kind = "synthetic" if run.summary("corpus")["synthetic"] else "recorded"
    title = f"Reward `{reward}`, {kind} corpus, {len(measured.best_of_n.lengths)} test utterances"
    figures = without_nan(
        {
            "reward": reward,
            "corpus": kind,
            "settings": {**config.shared(), "seeds": list(config.seeds)},
            "utterances": len(measured.best_of_n.lengths),
            "ppo": {
                f"{kl_coef:g}": verdicts[kl_coef].as_dict()
                | {
                    "points": [point.row() for point in points[kl_coef]],
                    "alarms": {str(s): said for s, said in measured.alarms[kl_coef].items()},
                }
                for kl_coef in mean
            },
            "best_of_n": verdict_of(measured.best_of_n).as_dict()
            | {"points": [point.row() for point in best_of_n]},
        }
    )
    with new_file(folder / f"{NAME}.json") as draft:
        draft.write_text(json.dumps(figures, indent=1, allow_nan=False) + "\n")
    page = folder / f"{NAME}.md"
    text = _page(title, config, points, best_of_n, measured=measured, verdicts=verdicts)

    def draw() -> None:
        from train.plots import plot_overoptimisation

        picture = folder / f"{NAME}.png"
        plot_overoptimisation(points, best_of_n, picture, title=title.replace("`", ""))

    text = draw_or_explain(text, draw)
    with new_file(page) as draft:
        draft.write_text(text, encoding="utf-8")
    return page, figures


def _rows(measured: Measured, mean: dict[float, Curve]) -> Iterator[dict[str, Any]]:
    """Yield the rows of the table: means over seeds, then every seed of several, best-of-n."""
    for kl_coef, seeds in measured.rl.items():
        curves: dict[str, Curve] = {"all": mean[kl_coef]}
        if len(seeds) > 1:
            curves |= {str(seed): curve for seed, curve in seeds.items()}
        for seed, curve in curves.items():
            for point in points_of(curve):
                yield {"method": "ppo", "kl_coef": kl_coef, "seed": seed, **point.row()}
    for point in points_of(measured.best_of_n):
        yield {"method": "best_of_n", "kl_coef": "", "seed": "", **point.row()}


def _page(
    title: str,
    config: OveroptimiseConfig,
    points: dict[float, list[Point]],
    best_of_n: list[Point],
    *,
    measured: Measured,
    verdicts: dict[float, Verdict],
) -> str:
    seeds = ", ".join(map(str, config.seeds))
    lines = [
        "# Proxy against gold",
        "",
        f"{title}. PPO from the clone, {config.iterations} iterations, seeds {seeds}, beside "
        f"best-of-n, n = 1 to {config.best_of}. Changes are paired with the clone's own samples, "
        f"{config.samples} of each utterance; brackets are 95 % bootstrap intervals over "
        "utterances, and do not cover other seeds.",
        "",
        f"- {variant_label('lips')}",
        f"- {variant_label('upper')}",
        "",
        f"![Proxy and true errors over the divergence]({NAME}.png)",
        "",
        "| at the end | nats per utterance | nats per token | proxy | LVE (mm) ↓ | EVE (mm) ↓ |",
        "|---|---|---|---|---|---|",
    ]
    lines += [_table_line(f"PPO, KL {kl_coef:g}", last[-1]) for kl_coef, last in points.items()]
    lines += [_table_line(f"best of {point.step}", point) for point in best_of_n[1:]]
    lines += ["", "## Verdict per strength", ""]
    lines += [f"- KL {kl_coef:g}: {verdict.sentence()}." for kl_coef, verdict in verdicts.items()]
    lines += [f"- Best of n: {verdict_of(measured.best_of_n).sentence()}.", ""]
    lines += [
        "Where an error is least was picked on the utterances it is told of, which flatters it. "
        "Best-of-n and PPO buy different faces for the same nats: compare each with itself.",
        "",
        "## What `RewardHackingCallback` said",
        "",
    ]
    for kl_coef, alarms in measured.alarms.items():
        for seed, said in alarms.items():
            text = said[0] if said else "nothing"
            more = f" ({len(said)} alarms in all)" if len(said) > 1 else ""
            lines.append(f"- KL {kl_coef:g}, seed {seed}: {text}{more}")
    return "\n".join([*lines, ""])


def _table_line(label: str, point: Point) -> str:
    cells = [_cell(point.changes[name]) for name in ("proxy", LVE, EVE)]
    nats = f"{point.nats_per_utterance:.2f} | {point.nats_per_token:.4f}"
    return f"| {label} | {nats} | " + " | ".join(cells) + " |"


def _cell(change: Change) -> str:
    if change.mean != change.mean:  # nan: the corpus never captured this region
        return "n/a"
    return f"{change.mean:+.3f} [{change.low:+.3f}, {change.high:+.3f}]"
