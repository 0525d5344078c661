"""`report.md`, its pictures, and `figures.json`."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from esarm_env.core.cache import write_text
from esarm_env.core.run_layout import FIGURES_FILE, REPORT_FILE
from esarm_env.metrics import variant_label
from train.pictures import draw_or_explain
from train.preferences.section import raters_section
from train.reward_report import answers, tables
from train.reward_report.verdicts import verdicts
from train.run.run_folder import without_nan

if TYPE_CHECKING:
    from reward.report import Verdict
    from train.reward_report.figures import Findings


def write_reward_report(found: Findings, folder: Path, *, bars: bool = False) -> Path:
    """Write everything into `folder`; return the path of the Markdown.

    Args:
        found: All figures.
        folder: To write.
        bars: Whether the page ends with our own criteria of a reward model.

    Raises:
        InputError: If the folder cannot be written.
    """
    text = "\n\n".join(
        [
            f"# Reward model of the run `{found.facts['run']}`",
            answers.section(found),
            _head(found),
            tables.pairs_section(found),
            tables.correlation_section(found),
            tables.selection_section(found),
            tables.trust_section(found),
            tables.outlook_section(found),
            tables.probe_section(found),
            tables.agreement_section(found),
            raters_section(found.facts.get("raters", ())),
            *([f"## Criteria\n\n{verdict_table(verdicts(found))}"] if bars else []),
        ]
    )
    write_text(
        folder / FIGURES_FILE, json.dumps(figures_of(found), indent=1, allow_nan=False) + "\n"
    )
    text = draw_or_explain(text, lambda: _draw(found, folder))
    write_text(folder / REPORT_FILE, text + "\n")
    return folder / REPORT_FILE


def _draw(found: Findings, folder: Path) -> None:
    from train.reward_report.pictures import draw_all

    draw_all(found, folder)


def figures_of(found: Findings) -> dict[str, Any]:
    """Return every figure as plain values for JSON; what is not known is None."""
    figures: dict[str, Any] = without_nan(
        {"verdicts": [dataclasses.asdict(line) for line in verdicts(found)]}
        | dataclasses.asdict(found)
    )
    return figures


def verdict_table(lines: list[Verdict]) -> str:
    """Return criteria, what was measured and whether they are met as a table; then the reasons.

    One is met, or not, where the whole interval is on one side of its bound.
    """
    rows = ["| criterion | measured | met |", "|---|---|---|"]
    rows += [f"| {line.criterion} | {line.measured} | **{line.met}** |" for line in lines]
    reasons: dict[str, str] = {}  # the first line of several that share one
    for line in lines:
        reasons.setdefault(line.reason, line.criterion)
    told = [f"- {criterion}: {reason}" for reason, criterion in reasons.items() if reason]
    return "\n".join([*rows, "", "Why these criteria:", "", *told])


def _head(found: Findings) -> str:
    facts = found.facts
    kind = "**synthetic** corpus" if facts["synthetic"] else "recorded corpus"
    groups = ", ".join(f"{n} of {name}" for name, n in facts["groups"].items())
    splits = f" (splits: {facts['splits']})" if facts["splits"] else ""
    heads = (
        "It has a head for each error: `mouth` for LVE, `upper` for EVE; `own head` in the tables."
        if facts["heads"]
        else "It has one score for both errors."
    )
    held_out = ", ".join(facts["held_out_families"]) or "none"
    return "\n".join(
        [
            "## What was measured",
            "",
            f"On {facts['utterances']} test utterances of the {kind} `{facts['corpus']}`"
            f"{splits}, none of them seen in training: {groups}. {facts['animations']} animations; "
            f"one training seed ({facts['seed']}). Brackets are {100 * facts['confidence']:g} % "
            f"bootstrap intervals ({facts['resamples']} resamples), utterances drawn as wholes; "
            "they do not cover other training seeds.",
            "",
            f"- {variant_label('lips')}",
            f"- {variant_label('upper')}",
            f"- reward: the run's model, recipe `{facts['recipe']}`. {heads}",
            f"- corruption families that it was not trained on: {held_out}",
            "- log-likelihood: of the clone, per token. Minus jerk: of lips and upper face. "
            "Synchrony: correlation of loudness and the mouth's opening. They are what a learned "
            "reward must beat.",
            "- ceiling: the same network trained on true errors. It needs ground truth, so it is "
            "no reward; it estimates what any could know from the same inputs. It is one "
            "training: a share above 100 % says that true errors taught it less than ours was "
            "taught without them.",
        ]
    )
