"""Judged pairs of several files, and which utterances are held out.

An utterance is learned from or held out as a whole, by a hash of its id: it stays on its side when
more is judged. Test utterances are left out: a run's results are measured on them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from esarm_env.core.errors import InputError
from reward.judging.agreement import key_of, share_by_group
from reward.pairs.from_preferences import NothingUsable, pairs_of_preferences, title_of
from reward.pairs.labelled import PairSource
from reward.pairs.preference_file import CANNOT_TELL, read_preferences

if TYPE_CHECKING:
    from esarm_env.core.intervals import Interval
    from esarm_env.core.types import FloatArray
    from esarm_env.task.animation_task import AnimationTask
    from reward.pairs.preference_file import Preference


@dataclass(frozen=True)
class Judged:
    """What files of preferences came to.

    Attributes:
        train: Pairs to learn from.
        held_out: Pairs of other utterances; None where a single utterance was judged, or none is to
            be held out.
        judgements: All answers that could be read, for agreement among raters.
        problems: A line of text for each answer that was left out.
        undecided: Answers "cannot tell".
    """

    train: PairSource
    held_out: PairSource | None
    judgements: tuple[Preference, ...]
    problems: tuple[str, ...]
    undecided: int

    @property
    def every(self) -> PairSource:
        """All pairs, of held-out utterances as well."""
        kept = [self.train] if self.held_out is None else [self.train, self.held_out]
        return PairSource.joined(kept)


def read_judged(files: Sequence[Path | str], task: AnimationTask, *, held_out: float) -> Judged:
    """Read files of preferences and the animations beside them.

    Args:
        files: Each in the folder that its animations are named from.
        task: Whose utterances they judge.
        held_out: Share of the judged utterances to hold out.

    Raises:
        InputError: If a file is missing, an animation has another length than its utterance, or
            no file holds an answer that can be used.
    """
    problems: list[str] = []
    sources: list[PairSource] = []
    judgements: list[Preference] = []
    seen: set[tuple[object, ...]] = set()
    for file in files:
        place = Path(file).expanduser()
        every, unreadable = read_preferences(place)
        problems += [f"{place}: {problem}" for problem in unreadable]
        kept = []
        for each in every:
            mark = (key_of(each, each.a), key_of(each, each.b), each.rater, each.time)
            problem = _why_not(each, task, known=mark in seen)
            seen.add(mark)
            if problem:
                problems.append(f"{place}: {title_of(each)}: {problem}")
            else:
                kept.append(each)
        judgements += kept
        try:
            made = pairs_of_preferences(kept, task, folder=place.parent)
        except NothingUsable as error:
            problems += [f"{place}: {problem}" for problem in error.problems]
            continue
        sources.append(made.source)
        problems += [f"{place}: {problem}" for problem in made.problems]
    if not sources:
        reasons = "; ".join(problems[:3]) or "no answer"
        raise InputError(
            f"`preferences.files` must hold an answer that can be used, got none: {reasons}"
        )
    train, rest = split_by_utterance(PairSource.joined(sources), task, share=held_out)
    undecided = sum(each.better == CANNOT_TELL for each in judgements)
    return Judged(train, rest, tuple(judgements), tuple(problems), undecided)


def split_by_utterance(
    source: PairSource, task: AnimationTask, *, share: float
) -> tuple[PairSource, PairSource | None]:
    """Return the pairs to learn from, and those of held-out utterances (None if there are none).

    Args:
        source: Judged pairs.
        task: Gives the ids of utterances.
        share: Of the utterances to hold out.
    """
    utterances = np.unique(source.utterance[source.pairs.a])
    place = {int(u): _place(task.corpus.records[int(u)].id) for u in utterances}
    order = sorted(place, key=lambda u: place[u])
    if share == 0 or len(order) < 2:
        return source, None
    held_out = [u for u in order if place[u] < share] or order[:1]
    if len(held_out) == len(order):
        held_out = order[:-1]
    outside = np.isin(source.utterance[source.pairs.a], held_out)
    return _of_pairs(source, ~outside), _of_pairs(source, outside)


def agreement_on(scores: FloatArray, source: PairSource) -> tuple[Interval, int]:
    """Return how often scores (N,) prefer what raters prefer, and of how many decided pairs.

    Equal scores count one half; the interval is over utterances.
    """
    pairs = source.pairs[source.pairs.probability != 0.5]
    margin = np.where(pairs.probability > 0.5, 1, -1) * (scores[pairs.a] - scores[pairs.b])
    right = (margin > 0) + 0.5 * (margin == 0)
    of = source.utterance[pairs.a]
    groups = [right[of == utterance].tolist() for utterance in np.unique(of)]
    return share_by_group(groups), len(pairs)


def _why_not(judged: Preference, task: AnimationTask, *, known: bool) -> str:
    """Return why an answer is left out before its animations are looked for; empty if it is not."""
    if known:
        return "is the same answer once more"
    index = task.index_of.get(judged.utterance)
    if index is not None and index in task.corpus.split("test"):
        return "is of a test utterance, on which results are measured"
    return ""


def _of_pairs(source: PairSource, chosen: np.ndarray) -> PairSource:
    """Return some pairs, with their animations alone."""
    pairs = source.pairs[chosen]
    rows = np.unique(np.concatenate([pairs.a, pairs.b]))
    place = np.zeros(len(source), dtype=np.int64)
    place[rows] = np.arange(len(rows))
    moved = type(pairs)(
        place[pairs.a],
        place[pairs.b],
        *[getattr(pairs, name) for name in ("probability", "weight", "stream")],
    )
    return PairSource(source.utterance[rows], [source.motions[row] for row in rows], moved)


def _place(name: str) -> float:
    """Return a number from 0 to 1 that nothing but the id of an utterance decides."""
    digest = hashlib.sha256(f"held out: {name}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64
