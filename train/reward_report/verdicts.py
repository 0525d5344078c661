"""The report's first table: what was asked of the reward model, and what was measured."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

from reward.report import STREAM_OF_ERROR, UNKNOWN, PairCell, Triple, Verdict, judged, shown
from reward.report.verdict import MEAN_REACHED, MISSED, REACHED, UNANSWERED
from train.reward_report.animations import TOLD_APART
from train.reward_report.band_figures import OWN, TOTAL, ByScorer
from train.reward_report.inputs import ALL, LIKELIHOOD, REWARD
from train.reward_report.pair_figures import CLOSE_LABEL, NOISE_LABEL
from train.rows import greedy, rows_from_json, sampled

if TYPE_CHECKING:
    from train.reward_report.figures import Findings

TWO_THIRDS = 2 / 3
LEAST_BELOW = 0.95  # of the probes
_RATE, _ROUNDING = 20_000, 1e-5
_TRUTHS = ("recording", "recording through the tokenizer")


def verdicts(found: Findings) -> list[Verdict]:
    """Return every bar of the reward model that the report can answer, and which it cannot."""
    return [
        *_pairs(found),
        *_of_ceiling(
            "Spearman in the top band against", "of the ceiling's mean", found.band[ALL].of_ceiling
        ),
        *_above_likelihood(found),
        *_of_ceiling(
            f"best of {found.selection[ALL].n[-1]} lowers", "of the ceiling's gain",
            found.selection[ALL].of_ceiling,
        ),
        *_probes(found),
        *_reinforcement(found),
        *_pace(found),
    ]  # fmt: skip


def _pairs(found: Findings) -> list[Verdict]:
    trained = found.facts["trained_levels"]
    new = [f"{level:g}" for level in TOLD_APART if not np.isclose(level, trained).any()]
    note = f" (not trained on: {', '.join(new)})" if new else " (both trained on)"
    noise, truth = found.pairs.noise, found.pairs.truth
    rows = [
        (f"pairs at {NOISE_LABEL}: at least 97 % right", _right(noise, NOISE_LABEL), 0.97),
        (f"{CLOSE_LABEL}{note}: at least 85 % right", _right(noise, CLOSE_LABEL), 0.85),
    ]
    rows += [
        (
            f"{name} above the clone's sample: in at least 95 % of utterances",
            _right(truth, f"{name} above the clone's sample"),
            0.95,
        )
        for name in _TRUTHS
    ]
    return [judged(asked, figure, least=bar, percent=True) for asked, figure, bar in rows]


def _right(cells: Iterable[PairCell], label: str) -> Triple:
    return next((cell.right[REWARD] for cell in cells if cell.label == label), UNKNOWN)


def _of_ceiling(before: str, after: str, shares: ByScorer) -> list[Verdict]:
    """Return a line per head and error; a single line each where there is no ceiling."""
    heads = shares.get(REWARD, {TOTAL: {error: UNKNOWN for error in STREAM_OF_ERROR}})
    return [
        judged(
            f"{before} {error.upper()} ({head}): at least two thirds {after}",
            figure,
            least=TWO_THIRDS,
            percent=True,
        )
        for head, figures in heads.items()
        for error, figure in figures.items()
    ]


def _above_likelihood(found: Findings) -> list[Verdict]:
    rho = found.band[ALL].rho
    lines = []
    for error in STREAM_OF_ERROR:
        ours = _head(rho, error)
        theirs = rho.get(LIKELIHOOD, {}).get(TOTAL, {}).get(error, UNKNOWN)
        verdict = (
            REACHED if ours[1] > theirs[2] else MEAN_REACHED if ours[0] > theirs[0] else MISSED
        )
        known = not np.isnan(ours[0] + theirs[0])
        lines.append(
            Verdict(
                f"Spearman in the top band, {error.upper()}: above the clone's log-likelihood, "
                "intervals apart",
                f"{shown(ours)} against {shown(theirs)}",
                verdict if known else UNANSWERED,
            )
        )
    return lines


def _head(by_scorer: ByScorer, error: str) -> Triple:
    heads = by_scorer[REWARD]
    return heads.get(OWN, heads[TOTAL])[error]


def _probes(found: Findings) -> list[Verdict]:
    asked = "every hacking probe below the clean sample in at least 95 % of utterances"
    plain = {probe.label: probe.outranks[REWARD] for probe in found.probes}
    tokens = {probe.label: probe.tokenised for probe in found.probes}
    return [
        _all_below(asked, plain),
        _all_below(f"{asked}, probes sent through the tokenizer (not asked)", tokens),
    ]


def _all_below(asked: str, outranks: dict[str, Triple]) -> Verdict:
    """Return the verdict on the worst of all probes."""
    below = {label: _turned(share) for label, share in outranks.items()}
    worst = min(below, key=lambda label: below[label][0])
    n_reached = sum(share[0] >= LEAST_BELOW for share in below.values())
    line = judged(asked, below[worst], least=LEAST_BELOW, percent=True)
    text = f"{n_reached} of {len(below)} do; worst: {worst}, {line.measured}"
    return Verdict(asked, text, line.verdict)


def _turned(share: Triple) -> Triple:
    return 1 - share[0], 1 - share[2], 1 - share[1]


def _reinforcement(found: Findings) -> list[Verdict]:
    """Return what the run's own training says; the bar asks it of three seeds."""
    asked = (
        "PPO on it lowers LVE and EVE, sampled and greedy, intervals below zero, in each of 3 seeds"
    )
    rows = rows_from_json(found.facts["reinforcement"])
    said = [
        f"{row.decoding} {error.upper()} {figures[error][0]:+.2f} mm"
        f" [{figures[error][1]:.2f}, {figures[error][2]:.2f}]"
        for row in (sampled("ppo"), greedy("ppo"))
        for error in STREAM_OF_ERROR
        for figures in [rows.get(row, {})]
        if None not in figures.get(error, [None])
    ]
    text = f"this run's one seed: {'; '.join(said)}" if said else "n/a"
    return [Verdict(asked, text, UNANSWERED)]


def _pace(found: Findings) -> list[Verdict]:
    rate, off = found.facts["tokens_per_s"], found.facts["batch_deviation"]
    threads = found.facts["threads"]
    return [
        Verdict(
            f"scores at least {_RATE:,} tokens/s on 2 cores",
            f"{rate:,.0f} tokens/s with {threads} thread{'s' if threads > 1 else ''} here",
            REACHED if rate >= _RATE else MISSED,
        ),
        Verdict(
            f"scores of a batch equal scores one by one within {_ROUNDING:g}",
            f"{off:.1e} at most",
            REACHED if off <= _ROUNDING else MISSED,
        ),
    ]
