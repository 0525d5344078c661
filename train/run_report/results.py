"""Sections of true errors beside the learned score: all animations, noise levels, speakers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from esarm_env.metrics import variant_label
from train.rows import EXPECTED, NOISY, noisy, rows_from_json
from train.run_report.cells import ARROWS, header, line
from train.run_report.verdict import reward_name

if TYPE_CHECKING:
    from train.run.run_folder import RunFolder

# By recipe of the reward, where its zero is.
_REFERENCES = {
    "consensus": "the clone's own samples",
    "paper": "the least noisy demonstrations",
}
BETTER = "Means over test utterances with intervals; ↓ less is better."


def setting_section(run: RunFolder, results: Mapping[str, Any]) -> str:
    """Return what was trained on and tested on, and what the figures are."""
    corpus = run.summary("corpus")
    kind = "**synthetic** corpus" if corpus["synthetic"] else "recorded corpus"
    label = corpus["corpus"] if corpus["synthetic"] else Path(corpus["corpus"]).name
    share = round(100 * run.config.evaluate.confidence)
    head = Path(run.config.evaluate.head).name
    splits = f" (splits: {corpus['split_rule']})" if "split_rule" in corpus else ""
    return (
        "## What was measured\n\n"
        f"Trained and tested on the {kind} `{label}`: {corpus['utterances']} utterances, "
        f"{corpus['speech_s']:.0f} s, {corpus['n_speakers']} speakers; figures on "
        f"{results['utterances']} held-out test utterances{splits}, on the head `{head}`, "
        f"one seed ({run.config.seed}). "
        f"Brackets are {share} % bootstrap intervals over utterances; they do not cover other "
        "training seeds.\n\n"
        f"- {variant_label('lips')}\n- {variant_label('upper')}\n"
        f"- {variant_label('upper_without_lids')}: blinks, which nobody can foresee, dominate EVE\n"
        f"- reward that `improve` climbed: {reward_name(run.config.improve.reward)}\n"
        f"- learned score (recipe `{run.config.recipe}`): 0 is the mean of "
        f"{_REFERENCES[run.config.recipe]} in training, 1 their spread. It is a proxy: read it "
        "only beside the true errors\n"
        "- recordings: the recorded motion itself, which has no error; recordings through the "
        "tokenizer: the same, written in motion tokens and read back, the best that a policy on "
        "these tokens can do"
    )


def main_section(results: Mapping[str, Any]) -> str:
    """Return the errors of everything that was animated, but for noisy roll-outs."""
    rows = {r: f for r, f in rows_from_json(results["rows"]).items() if r.decoding != NOISY}
    said = f"Every way of animating the test utterances. {BETTER}"
    if any(row.decoding == EXPECTED for row in rows):
        said += (
            " Greedy decoding writes the likeliest token; by expected distance the one that looks "
            "least far, in mm, from what the policy would draw; sampled draws."
        )
    lines = ["## Results", "", said, "", header("animation")]
    return "\n".join([*lines, *(line(row.label, figures) for row, figures in rows.items())])


def noise_section(run: RunFolder, results: Mapping[str, Any]) -> str:
    """Return what a share of random actions does to the clone."""
    rows = rows_from_json(results["rows"])
    lines = [
        "## Impact of the noise level (form of the paper's Table II)",
        "",
        "The clone with a share ε of random tokens, from which the automatic ranks come: errors "
        f"should rise with ε, and the learned score fall. {BETTER}",
        "",
        header("ε"),
    ]
    for level in run.config.demonstrate.epsilons:
        lines.append(line(f"{level:.2f}", rows[noisy("clone", level)]))
    return "\n".join(lines)


def speaker_section(results: Mapping[str, Any]) -> str:
    """Return the greedy clone's errors by speakers that were heard in training, and new ones."""
    lines = [
        "## Greedy clone by speaker",
        "",
        "Whether the clone carries over to speakers that it never heard; test sentences are new to "
        f"it for all of them. {BETTER}",
        "",
        header("test speakers", ARROWS.values()),
    ]
    for name, figures in results["speakers"].items():
        lines.append(line(f"{name} ({figures['utterances']} utterances)", figures))
    return "\n".join(lines)
