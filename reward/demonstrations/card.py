"""Data card of a file of demonstrations: its contents in words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

from reward.demonstrations.provenance import POLICY

if TYPE_CHECKING:
    from esarm_env.task.animation_task import AnimationTask
    from reward.demonstrations.ranked import RankedDemonstrations

SYNTHETIC = (
    "Speech and motion are synthetic: espeak-ng voices, and faces moved by rules. "
    "No person was recorded, and figures on them say nothing about people."
)


def card_of(
    demonstrations: RankedDemonstrations,
    task: AnimationTask,
    *,
    policy: str,
    seed: int,
    licence: str | None = None,
) -> str:
    """Return the data card as Markdown.

    Args:
        demonstrations: What it describes.
        task: Theirs.
        policy: What rolled out, in words: which network, trained on what, its file.
        seed: Of the run.
        licence: Of the recordings; None says that it was not stated.
    """
    corpus, making = task.corpus, demonstrations.making
    records = [corpus.records[int(index)] for index in demonstrations.utterance]
    used = np.unique(demonstrations.utterance)
    splits = {name: int(np.isin(used, corpus.split(name)).sum()) for name in _SPLITS}
    facts = [
        f"- {len(demonstrations)} animations of {len(used)} utterances "
        f"({', '.join(f'{count} {name}' for name, count in splits.items())}), "
        f"{int(demonstrations.trajectories.lengths.sum())} tokens before damage",
        f"- corpus: {corpus.name}, {len(corpus)} utterances, content {corpus.content_hash}",
        f"- policy: {policy}",
        f"- seed of the run: {seed}; seeds of damage: {_listed(making.seed[~making.untouched])}",
        f"- iterations: {_listed(making.iteration)}; temperatures: {_listed(making.temperature)}",
        "- ranks: " + _RANKS,
        f"- licence: {_licence(corpus.name, licence)}",
    ]
    parts = ["# Ranked demonstrations", "", *facts]
    for title, labels in (
        ("source", making.source.tolist()),
        ("noise level", _levels(demonstrations)),
        ("strength", _strengths(demonstrations)),
        ("speaker", [record.speaker for record in records]),
        ("emotion", [record.emotion for record in records]),
        ("intensity", [str(record.intensity) for record in records]),
    ):
        parts += ["", *_counts(title, labels)]
    if len(used) <= _MOST_LISTED:
        names = [record.id for record in records]
        parts += ["", *_counts("utterance", names)]
    return "\n".join(parts) + "\n"


_SPLITS = ("train", "validation", "test")
_MOST_LISTED = 64
_RANKS = (
    "fewer random tokens before more, ground truth first, less damage before more; "
    "automatic labels, right on average only (see the label audit)"
)


def _licence(name: str, licence: str | None) -> str:
    if name.startswith("synthetic"):
        return f"as ESARM. {SYNTHETIC}"
    return "that of the recordings, " + (licence or "which was not stated: ask before passing on")


def _listed(values: np.ndarray) -> str:
    return ", ".join(f"{value:g}" for value in np.unique(values)) or "none"


def _levels(demonstrations: RankedDemonstrations) -> list[str]:
    policy = demonstrations.making.origin == POLICY
    levels = zip(demonstrations.epsilon.tolist(), policy.tolist(), strict=True)
    return [f"ε = {epsilon:g}" if rolled else "ground truth" for epsilon, rolled in levels]


def _strengths(demonstrations: RankedDemonstrations) -> list[str]:
    making = demonstrations.making
    pairs = zip(making.source.tolist(), making.strength.tolist(), strict=True)
    return [f"{source} {strength:g}" if strength else "undamaged" for source, strength in pairs]


def _counts(title: str, labels: Iterable[str]) -> list[str]:
    counts = Counter(labels)
    rows = [
        f"| {label.replace('|', chr(92) + '|')} | {counts[label]} |" for label in sorted(counts)
    ]
    return [f"| {title} | animations |", "|---|---:|", *rows]
