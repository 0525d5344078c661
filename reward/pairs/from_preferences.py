"""Labelled pairs from human preferences; rows that cannot be used are listed."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from esarm_env.core.errors import InputError
from esarm_env.core.types import FRAME_RATE_HZ, FloatArray
from esarm_env.corpus.motion.array_files import read_npy
from esarm_env.face.livelink import read_livelink_csv
from reward.pairs.labelled import BOTH_STREAMS, LabelledPairs, PairSource, check_motion
from reward.pairs.preference_file import (
    CANNOT_TELL,
    Preference,
    RatedAnimation,
    motion_digest,
    read_preferences,
)

if TYPE_CHECKING:
    from esarm_env.task.animation_task import AnimationTask

PROBABILITY = {"a": 1.0, "tie": 0.5, "b": 0.0}


class NothingUsable(InputError):
    """No judgement can be used.

    Attributes:
        problems: A line of text for each that was left out.
    """

    def __init__(self, message: str, problems: Sequence[str]) -> None:
        """Say why."""
        super().__init__(message)
        self.problems = tuple(problems)


@dataclass(frozen=True)
class Choices:
    """What a file of preferences came to.

    Attributes:
        source: Its animations and pairs, one pair per judgement.
        problems: A line of text for each judgement that was left out.
        undecided: Judgements "cannot tell", which are no fault and teach nothing.
    """

    source: PairSource
    problems: tuple[str, ...]
    undecided: int = 0


def open_preferences(
    path: Path | str,
    task: AnimationTask,
    *,
    motions: Mapping[str, FloatArray] | None = None,
    weight: float = 1.0,
    stream: int = BOTH_STREAMS,
) -> Choices:
    """Read `preferences.jsonl` and the animations that it names; see `pairs_of_preferences`."""
    preferences, problems = read_preferences(path)
    return pairs_of_preferences(
        preferences,
        task,
        motions=motions,
        folder=Path(path).parent,
        weight=weight,
        stream=stream,
        problems=problems,
    )


def pairs_of_preferences(
    preferences: Sequence[Preference],
    task: AnimationTask,
    *,
    motions: Mapping[str, FloatArray] | None = None,
    folder: Path | None = None,
    weight: float = 1.0,
    stream: int = BOTH_STREAMS,
    problems: Sequence[str] = (),
) -> Choices:
    """Return judgements in the form of automatic ranks.

    Left out and listed are judgements of utterances or animations that are not known, of animations
    that are no longer the ones that were shown, and all judgements in which one rater contradicts
    himself. Raters who contradict each other all count.

    Args:
        preferences: The judgements.
        task: Whose utterances they name.
        motions: Motion by name, (T, 52) each.
        folder: Where names that are not in `motions` are files; None for nowhere.
        weight: Of each pair.
        stream: What was judged: 1 the mouth, 2 the upper face, 3 both.
        problems: Listed before those found here.

    Raises:
        InputError: If an animation has another frame rate or length than its utterance, or nothing
            is left.
    """
    found = _Animations(task, motions or {}, folder)
    listed = list(problems)
    told = [each for each in preferences if each.better != CANNOT_TELL]
    judged: list[tuple[Preference, int, int]] = []
    for preference in told:
        try:
            a, b = found.row(preference, preference.a), found.row(preference, preference.b)
            if a == b:
                raise LookupError(f"{preference.a.name!r} and {preference.b.name!r} are one motion")
            judged.append((preference, a, b))
        except LookupError as error:
            listed.append(f"{title_of(preference)}: {error.args[0]}")
    kept, contradictions = _without_contradictions(judged)
    listed += contradictions
    if not kept:
        empty = '"cannot tell" alone' if preferences else "the file is empty"
        reasons = "; ".join(listed[:3]) or empty
        raise NothingUsable(
            f"preferences must hold a judgement that can be used, got none: {reasons}", listed
        )
    pairs = LabelledPairs.of(
        np.array([a for _, a, _ in kept]),
        np.array([b for _, _, b in kept]),
        np.array([PROBABILITY[preference.better] for preference, _, _ in kept], dtype=np.float32),
        weight=weight,
        stream=stream,
    )
    source = PairSource(np.array(found.utterances, dtype=np.int64), found.loaded, pairs)
    return Choices(source, tuple(listed), undecided=len(preferences) - len(told))


def title_of(preference: Preference) -> str:
    """Return what tells a person which answer it is."""
    return f"{preference.rater} on {preference.utterance!r} at {preference.time}"


class _Animations:
    """The animations met so far, each once."""

    def __init__(
        self, task: AnimationTask, motions: Mapping[str, FloatArray], folder: Path | None
    ) -> None:
        self._task, self._motions, self._folder = task, motions, folder
        self._rows: dict[tuple[int, str], int] = {}
        self.utterances: list[int] = []
        self.loaded: list[FloatArray] = []

    def row(self, preference: Preference, shown: RatedAnimation) -> int:
        """Return the row of one of the animations of a judgement.

        Raises:
            LookupError: If utterance or animation are not known, or it has changed.
            InputError: If its rate or length are wrong.
        """
        index = self._task.index_of.get(preference.utterance)
        if index is None:
            raise LookupError(f"the corpus has no utterance {preference.utterance!r}")
        motion, rate_hz = self._motion(shown)
        check_motion(
            motion,
            n_frames=int(self._task.n_frames[index]),
            rate_hz=rate_hz,
            name=f"{shown.name} ({preference.utterance})",
        )
        digest = motion_digest(motion)
        if shown.sha256 and shown.sha256 != digest:
            raise LookupError(f"{shown.name!r} is no longer the animation that was shown")
        key = (index, digest)
        if key not in self._rows:
            self._rows[key] = len(self.loaded)
            self.utterances.append(index)
            self.loaded.append(motion)
        return self._rows[key]

    def _motion(self, shown: RatedAnimation) -> tuple[FloatArray, float]:
        """Return the motion and its frame rate."""
        if shown.name in self._motions:
            return np.asarray(self._motions[shown.name], dtype=np.float32), shown.rate_hz
        path = None if self._folder is None else self._folder / shown.name
        if path is None or not os.path.isfile(path):  # False, too, for a name that is too long
            raise LookupError(f"there is no animation {shown.name!r}")
        try:
            if path.suffix.lower() == ".csv":
                motion, rate_hz = read_livelink_csv(path)
                return motion, float(rate_hz) if shown.rate_hz == FRAME_RATE_HZ else shown.rate_hz
            return read_npy(path).values, shown.rate_hz
        except InputError as error:
            raise LookupError(f"{shown.name!r} cannot be read: {error}") from error


def _without_contradictions(
    judged: list[tuple[Preference, int, int]],
) -> tuple[list[tuple[Preference, int, int]], list[str]]:
    """Return what each rater says of each pair, once, and what was said both ways."""
    groups: dict[tuple[str, int, int], list[tuple[Preference, int, int]]] = defaultdict(list)
    for preference, a, b in judged:
        groups[preference.rater, min(a, b), max(a, b)].append((preference, a, b))
    kept, listed = [], []
    for members in groups.values():
        winners = {_winner(*member) for member in members}
        if len(winners) == 1:
            kept.append(members[0])
        else:
            others = ", ".join(p.time for p, _, _ in members[1:])
            listed.append(f"{title_of(members[0][0])}: contradicted by the same rater at {others}")
    return kept, listed


def _winner(preference: Preference, a: int, b: int) -> int:
    """Return the row that was preferred, -1 for a tie."""
    return {"a": a, "b": b, "tie": -1}[preference.better]
