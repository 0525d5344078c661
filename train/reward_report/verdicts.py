"""Our own criteria of a reward model beside what was measured: for developers, with `--bars`.

All criteria stand in `CRITERIA`, each with its bound and its reason.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from esarm_env.task.episode_metrics import STREAM_OF_ERROR
from reward.report import UNKNOWN, PairCell, Triple, Verdict, judged, shown
from reward.report.verdict import MEAN_MET, MET, UNANSWERED, UNMET
from train.reward_report.animations import TOLD_APART
from train.reward_report.band_figures import OWN, TOTAL, ByScorer
from train.reward_report.inputs import ALL, LIKELIHOOD, REWARD
from train.reward_report.pair_figures import CLOSE_LABEL, NOISE_LABEL
from train.rows import greedy, rows_from_json, sampled

if TYPE_CHECKING:
    from train.reward_report.figures import Findings


@dataclass(frozen=True)
class Criterion:
    """A property that the reward model should have.

    Attributes:
        text: In words, with `{}` for what differs from line to line.
        bound: The least figure; the greatest for `rounding`; nan where two figures are compared.
        reason: Why.
    """

    text: str
    bound: float
    reason: str


CRITERIA = {
    "noise": Criterion(
        f"pairs at {NOISE_LABEL}: at least 97 % right",
        0.97,
        "damage that anybody sees must not be a close call",
    ),
    "close": Criterion(
        f"{CLOSE_LABEL}{{}}: at least 85 % right",
        0.85,
        "good roll-outs differ by this little, and improving them is what the reward is for",
    ),
    "truth": Criterion(
        "{} above the clone's sample: in at least 95 % of utterances",
        0.95,
        "a reward that prefers samples to recordings pays for leaving the recordings",
    ),
    "order": Criterion(
        "Spearman in the top band against {}: at least two thirds of the ceiling's mean",
        2 / 3,
        "true errors teach the same network about the most that its inputs can tell",
    ),
    "likelihood": Criterion(
        "Spearman in the top band, {}: above the clone's log-likelihood, intervals apart",
        math.nan,
        "the clone's likelihood costs no training, so a learned reward has to know more",
    ),
    "choice": Criterion(
        "best of {}: at least two thirds of the ceiling's gain",
        2 / 3,
        "choosing its best samples is the first thing that a policy learns",
    ),
    "probes": Criterion(
        "every hacking probe below the clean sample in at least 95 % of utterances",
        0.95,
        "reinforcement learning finds what outscores the clean sample",
    ),
    "token probes": Criterion(
        "the same, probes sent through the tokenizer",
        0.95,
        "a policy can write no other faces",
    ),
    "reinforcement": Criterion(
        "PPO on it lowers LVE and EVE, sampled and greedy: intervals below zero, in several seeds",
        math.nan,
        "true errors are what it is for, and one seed may be luck; a run has one",
    ),
    "rate": Criterion(
        "scores at least 20,000 tokens/s",
        20_000,
        "slower, scores would take longer than the roll-outs",
    ),
    "rounding": Criterion(
        "scores of a batch equal scores one by one within 1e-05",
        1e-5,
        "a score must not depend on what else is scored",
    ),
}
_TRUTHS = ("recording", "recording through the tokenizer")


def verdicts(found: Findings) -> list[Verdict]:
    """Return every criterion with what the report can say about it."""
    n = found.selection[ALL].n[-1]
    return [
        *_pairs(found),
        *_of_ceiling("order", "{} ({})", found.band[ALL].of_ceiling),
        *_above_likelihood(found),
        *_of_ceiling("choice", f"{n} lowers {{}} ({{}})", found.selection[ALL].of_ceiling),
        *_probes(found),
        _reinforcement(found),
        *_pace(found),
    ]


def _share(key: str, figure: Triple, place: str = "") -> Verdict:
    """Return the verdict on a share of one criterion."""
    criterion = CRITERIA[key]
    text = criterion.text.format(place)
    return judged(text, figure, least=criterion.bound, percent=True, reason=criterion.reason)


def _pairs(found: Findings) -> list[Verdict]:
    trained = found.facts["trained_levels"]
    new = [f"{level:g}" for level in TOLD_APART if not np.isclose(level, trained).any()]
    note = f" (not trained on: {', '.join(new)})" if new else " (both trained on)"
    noise, truth = found.pairs.noise, found.pairs.truth
    return [
        _share("noise", _right(noise, NOISE_LABEL)),
        _share("close", _right(noise, CLOSE_LABEL), note),
        *(
            _share("truth", _right(truth, f"{name} above the clone's sample"), name)
            for name in _TRUTHS
        ),
    ]


def _right(cells: Iterable[PairCell], label: str) -> Triple:
    return next((cell.right[REWARD] for cell in cells if cell.label == label), UNKNOWN)


def _of_ceiling(key: str, place: str, shares: ByScorer) -> list[Verdict]:
    """Return a line per head and error; a single line each where there is no ceiling."""
    heads = shares.get(REWARD, {TOTAL: {error: UNKNOWN for error in STREAM_OF_ERROR}})
    return [
        _share(key, figure, place.format(error.upper(), head))
        for head, figures in heads.items()
        for error, figure in figures.items()
    ]


def _above_likelihood(found: Findings) -> list[Verdict]:
    rho, criterion = found.band[ALL].rho, CRITERIA["likelihood"]
    lines = []
    for error in STREAM_OF_ERROR:
        ours = _head(rho, error)
        theirs = rho.get(LIKELIHOOD, {}).get(TOTAL, {}).get(error, UNKNOWN)
        met = MET if ours[1] > theirs[2] else MEAN_MET if ours[0] > theirs[0] else UNMET
        known = not np.isnan(ours[0] + theirs[0])
        lines.append(
            Verdict(
                criterion.text.format(error.upper()),
                f"{shown(ours)} against {shown(theirs)}",
                met if known else UNANSWERED,
                criterion.reason,
            )
        )
    return lines


def _head(by_scorer: ByScorer, error: str) -> Triple:
    heads = by_scorer[REWARD]
    return heads.get(OWN, heads[TOTAL])[error]


def _probes(found: Findings) -> list[Verdict]:
    plain = {probe.label: probe.outranks[REWARD] for probe in found.probes}
    tokens = {probe.label: probe.tokenised for probe in found.probes}
    return [_all_below("probes", plain), _all_below("token probes", tokens)]


def _all_below(key: str, outranks: dict[str, Triple]) -> Verdict:
    """Return the verdict on the worst of all probes."""
    below = {label: _turned(share) for label, share in outranks.items()}
    worst = min(below, key=lambda label: below[label][0])
    n_met = sum(share[0] >= CRITERIA[key].bound for share in below.values())
    line = _share(key, below[worst])
    text = f"{n_met} of {len(below)} do; worst: {worst}, {line.measured}"
    return dataclasses.replace(line, measured=text)


def _turned(share: Triple) -> Triple:
    return 1 - share[0], 1 - share[2], 1 - share[1]


def _reinforcement(found: Findings) -> Verdict:
    """Return what the run's own training says, of its one seed."""
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
    criterion = CRITERIA["reinforcement"]
    return Verdict(criterion.text, text, UNANSWERED, criterion.reason)


def _pace(found: Findings) -> list[Verdict]:
    speed, off = found.facts["tokens_per_s"], found.facts["batch_deviation"]
    threads = found.facts["threads"]
    rate, rounding = CRITERIA["rate"], CRITERIA["rounding"]
    return [
        Verdict(
            rate.text,
            f"{speed:,.0f} tokens/s with {threads} thread{'s' if threads > 1 else ''} here",
            MET if speed >= rate.bound else UNMET,
            rate.reason,
        ),
        Verdict(
            rounding.text,
            f"{off:.1e} at most",
            MET if off <= rounding.bound else UNMET,
            rounding.reason,
        ),
    ]
