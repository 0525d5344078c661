"""The report's first section: what the reward knows, in sentences computed from its figures."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from esarm_env.task.episode_metrics import STREAM_OF_ERROR
from reward.report import UNKNOWN, Triple, shown
from train.reward_report.band_figures import OWN, TOTAL, ByScorer, Outlook, Point
from train.reward_report.inputs import ALL, LIKELIHOOD, REWARD
from train.reward_report.pair_figures import MEAN

if TYPE_CHECKING:
    from collections.abc import Sequence

    from train.reward_report.figures import Findings
    from train.reward_report.pair_figures import ProbeFigures

_RECORDINGS = ("recording", "recording through the tokenizer")
_MOST_NAMED = 4
_NO_DIFFERENCE = "no difference told apart"
_HALF = 0.5  # of utterances; and a coin's share


def answers(found: Findings) -> list[str]:
    """Return a sentence or two for each question that a reader comes with, warnings last."""
    lines = [_order(found), _choice(found), _truth(found), _probes(found.probes)]
    return [line for line in (*lines, *_warnings(found.outlook)) if line]


def section(found: Findings) -> str:
    """Return the sentences as the report's first section."""
    return "\n".join(["## In short", "", *(f"- {line}" for line in answers(found))])


def _order(found: Findings) -> str:
    """Say whether the order of good animations is right, and beyond what costs no training."""
    rho = found.band[ALL].rho
    parts, beyond = [], []
    for error in STREAM_OF_ERROR:
        ours = _own(rho, error)
        if np.isnan(ours[0]):
            continue
        told = "better than chance" if ours[1] > 0 else "no better than chance, as far as is told"
        told = "worse than chance" if ours[2] < 0 else told
        parts.append(f"{error.upper()} {shown(ours)}, {told}")
        theirs = rho.get(LIKELIHOOD, {}).get(TOTAL, {}).get(error, UNKNOWN)
        if not np.isnan(theirs[0]):
            less, more = theirs[2] < ours[1], theirs[1] > ours[2]
            word = "less" if less else "more" if more else _NO_DIFFERENCE
            beyond.append(f"{error.upper()} {shown(theirs)} ({word})")
    if not parts:
        return ""
    said = (
        "**Does it know better faces from good ones?** Among samples of the clone of one "
        "utterance, its order agrees with the true errors by Spearman's rho (0 is chance, 1 the "
        f"same order): {'; '.join(parts)}."
    )
    if beyond:
        said += (
            f" The clone's own likelihood, which costs no training, agrees by {', '.join(beyond)}."
        )
    return said


def _own(by_scorer: ByScorer, error: str) -> Triple:
    """Return the reward's figure: of the head for this error, if it has one."""
    heads = by_scorer.get(REWARD, {})
    return heads.get(OWN, heads.get(TOTAL, {})).get(error, UNKNOWN)


def _choice(found: Findings) -> str:
    """Say what is had by choosing with it."""
    chosen = found.selection[ALL]
    parts = []
    for error in STREAM_OF_ERROR:
        figure = chosen.change.get(REWARD, {}).get(TOTAL, {}).get(error, UNKNOWN)
        if not np.isnan(figure[0]):
            word = "better" if figure[2] < 0 else "worse" if figure[1] > 0 else _NO_DIFFERENCE
            mean, _, interval = shown(figure).partition(" ")
            parts.append(f"{error.upper()} by {mean} mm {interval} ({word})")
    if not parts:
        return ""
    return (
        f"**Does choosing by it help?** Taking the best scored of {chosen.n[-1]} samples instead "
        f"of any changes {', '.join(parts)}."
    )


def _truth(found: Findings) -> str:
    """Say how often recordings outrank what the clone draws."""
    parts = []
    for name in _RECORDINGS:
        label = f"{name} above the clone's sample"
        right = next((c.right[REWARD] for c in found.pairs.truth if c.label == label), UNKNOWN)
        if not np.isnan(right[0]):
            parts.append(f"the {name} in {shown(right, percent=True)}")
    if not parts:
        return ""
    return (
        "**Does it prefer recordings?** Share of utterances in which it scores the recording "
        f"above a sample of the clone: {', '.join(parts)} (a coin: 50 %)."
    )


def _probes(probes: Sequence[ProbeFigures]) -> str:
    """Say which spoilt animations it falls for: those that outrank the clean one and are worse."""
    caught = [
        probe
        for probe in probes
        if probe.outranks[REWARD][0] > _HALF and not probe.truly_better[MEAN][0] > _HALF
    ]
    if not probes:
        return ""
    total = len(probes)
    said = "**Does it fall for spoilt animations?** "
    if not caught:
        return said + f"None of {total} kinds outranks the clean sample in most utterances."
    caught.sort(key=lambda probe: -probe.outranks[REWARD][0])
    names = [
        f"{probe.label} ({shown(probe.outranks[REWARD], percent=True)})"
        for probe in caught[:_MOST_NAMED]
    ]
    return (
        said + f"Yes, {len(caught)} of {total} kinds outrank the clean sample in most utterances "
        f"without being nearer to the recording: {', '.join(names)}."
    )


def _warnings(outlook: Outlook) -> list[str]:
    """Return a warning for each kind of recordings that something scores above in the mean."""
    points = {point.label: point for point in outlook.points}
    lines = []
    for name in _RECORDINGS:
        truth = points.get(name)
        if truth is None:
            continue
        above = [
            point
            for point in outlook.points
            if point.label not in _RECORDINGS and _mean(point) > _mean(truth)
        ]
        above.sort(key=lambda point: -_mean(point))
        if above:
            names = ", ".join(
                f"{point.label} ({_mean(point):.2f})" for point in above[:_MOST_NAMED]
            )
            more = f" and {len(above) - _MOST_NAMED} more" if len(above) > _MOST_NAMED else ""
            lines.append(
                f"**Warning: in the mean it prefers {names}{more} to the {name} "
                f"({_mean(truth):.2f}).** A high score does not mean being like a recorded face."
            )
    return lines


def _mean(point: Point) -> float:
    return point.score[0]
