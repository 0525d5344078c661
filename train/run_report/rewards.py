"""Section of the reward: how the learned score ranks, and the climbed reward beside it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from esarm_env.rewards.registry import WITH_MODEL
from esarm_env.task.episode_metrics import EVE, LVE
from train.rows import NOISY, RECORDINGS, TOKENIZER, Row, greedy, rows_from_json
from train.run_report.cells import ARROWS, header, line
from train.run_report.verdict import reward_name
from train.stages.measures import CLIMBED

if TYPE_CHECKING:
    from train.run.run_folder import RunFolder


def reward_section(run: RunFolder, results: Mapping[str, Any]) -> str:
    """Return what is known of the reward model, and of the reward that was climbed."""
    lines = [
        "## Reward model",
        "",
        f"`improve` climbed the reward {reward_name(run.config.improve.reward)}; the learned score "
        "is that of the run's reward model. Share of pairs of noisy roll-outs of one held-out "
        "utterance that the learned score ranks by less noise, by the least difference in ε. High "
        "figures here do not show that it knows better from good; the differences above do.",
        "",
        "| least difference in ε | pair accuracy ↑ |",
        "|---|---|",
    ]
    for gap, figures in results["pair_accuracy"].items():
        share, low, high = (100 * value for value in figures)
        lines.append(f"| {gap} | {share:.1f} % [{low:.1f}, {high:.1f}] |")
    rows = rows_from_json(results["rows"])
    lines += ["", *_against_recordings(rows), *_climbed(run, rows)]
    return "\n".join(lines)


def _against_recordings(rows: Mapping[Row, Any]) -> list[str]:
    """Say whether the score knows recordings to be better than the policy that it was made from."""
    lines = []
    clone = rows[greedy("clone")]["score"][0]
    for truth in (Row(RECORDINGS), Row(TOKENIZER)):
        if truth not in rows:  # evaluated by an older version
            continue
        score = rows[truth]["score"][0]
        said = f"{truth.label.capitalize()} score {score:.2f},"
        if score > clone:
            lines.append(f"- {said} above the greedy clone's {clone:.2f}, as they should.")
            continue
        best = max(rows, key=lambda row: rows[row]["score"][0])
        lines.append(
            f"- {said} **below** the greedy clone's {clone:.2f}, so a high score does not mean "
            f"being like a human face. The highest one here is {rows[best]['score'][0]:.2f}: "
            f"{best.label}."
        )
    return lines


def _climbed(run: RunFolder, rows: Mapping[Row, Any]) -> list[str]:
    """Return the climbed reward beside the errors, where it is not the learned score."""
    reward = run.config.improve.reward
    known = {row: figures for row, figures in rows.items() if None not in _score(figures)}
    if reward == WITH_MODEL or not known:
        return []
    titles = {CLIMBED: reward_name(reward), **ARROWS}
    columns = {key: titles[key] for key in (LVE, EVE, CLIMBED, "score")}
    shown = (row for row in known if row.decoding != NOISY)
    return [
        "",
        f"What {reward_name(reward)} gives the test utterances, beside the true errors and the "
        "learned score; it scores motion tokens alone, so animations without tokens have no row.",
        "",
        header("animation", columns.values()),
        *(line(row.label, known[row], columns) for row in shown),
    ]


def _score(figures: Mapping[str, Any]) -> list[float | None]:
    found: list[float | None] = figures.get(CLIMBED, [None])
    return found
