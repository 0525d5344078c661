"""Statistics of one corpus: pooled values, their range over takes, and bootstrap standard errors.

`separability` is the accuracy of a linear classifier of emotions from mean faces, across speakers.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from esarm_env.core.errors import InputError
from esarm_env.core.intervals import bootstrap_error
from esarm_env.core.types import (
    EMOTIONS,
    FRAME_RATE_HZ,
    N_CHANNELS,
    BoolArray,
    Corpus,
    IntArray,
    Record,
)
from esarm_env.corpus.realism.measures import (
    CORPUS_CHANNELS,
    CORPUS_FIGURES,
    FIGURES,
    Measured,
    figures_of,
    measure,
)
from esarm_env.face.names import ARKIT_NAMES, MOUTH_CHANNELS, UPPER_CHANNELS, index_of

if TYPE_CHECKING:
    from esarm_env.corpus.realism.signals import Curve

_MOST_FOLDS = 6
_RIDGE = 0.1  # of the mean variance; a channel that hardly moves must not be blown up
_FEWEST_PER_CLASS = 4
LONG_TAKE_S = 30.0  # a take of this length is a group of its own
_N_RESAMPLES = 20


def separability(faces: Curve, emotions: list[str], speakers: list[str]) -> tuple[float, float]:
    """Return the accuracy of a linear emotion classifier on held-out speakers, and chance.

    Linear discriminant analysis with equal priors on the mean face of each utterance, its pooled
    covariance shrunk towards the diagonal; speakers are divided into up to six folds.

    Args:
        faces: Shape (N, D), mean face of each utterance.
        emotions: N labels.
        speakers: N names.

    Returns:
        The accuracy averaged over the emotions, and what chance gives. Both nan with fewer than two
        emotions of four utterances each, or fewer than two speakers.
    """
    names, counts = np.unique(emotions, return_counts=True)
    names = names[counts >= _FEWEST_PER_CLASS]
    who = sorted(set(speakers))
    if len(names) < 2 or len(who) < 2 or not faces.shape[1]:
        return float("nan"), float("nan")
    n_folds = min(_MOST_FOLDS, len(who))
    fold = np.array([who.index(speaker) % n_folds for speaker in speakers])
    label = np.array([np.searchsorted(names, e) if e in names else -1 for e in emotions])
    right = np.full(len(faces), np.nan)
    for held_out in range(n_folds):
        train, test = (fold != held_out) & (label >= 0), (fold == held_out) & (label >= 0)
        if test.any() and len(np.unique(label[train])) == len(names):
            guess = _classify(faces[train], label[train], faces[test])
            right[test] = guess == label[test]
    seen = ~np.isnan(right)
    classes = [right[seen & (label == k)] for k in range(len(names))]
    if not all(len(values) for values in classes):
        return float("nan"), float("nan")
    return float(np.mean([values.mean() for values in classes])), 1 / len(names)


def _classify(train: Curve, label: IntArray, test: Curve) -> IntArray:
    """Classify by linear discriminant analysis: nearest class mean in Mahalanobis distance."""
    classes = np.unique(label)
    means = np.stack([train[label == k].mean(axis=0) for k in classes])  # (n_classes, D)
    within = train - means[np.searchsorted(classes, label)]
    covariance = within.T @ within / len(train)
    covariance += np.eye(len(covariance)) * (_RIDGE * np.trace(covariance) / len(covariance) + 1e-9)
    weights = np.linalg.solve(covariance, means.T)  # (D, n_classes)
    offset = 0.5 * (means.T * weights).sum(axis=0)
    return np.asarray(classes[(test @ weights - offset).argmax(axis=1)])


@dataclass(frozen=True)
class Figure:
    """One statistic of a corpus with range and standard error; nan where undefined.

    Attributes:
        value: Over all utterances that were looked at.
        low: Least over the groups (takes or speakers) and all of them together.
        high: Greatest over the same.
        error: Standard error of one group's value, by resampling its utterances.
    """

    value: float
    low: float = math.nan
    high: float = math.nan
    error: float = math.nan


@dataclass(frozen=True)
class Description:
    """Statistics of a corpus; see `describe`.

    Attributes:
        corpus: Its name.
        figures: By name: those of the corpus, then `CHANNEL: FIGURE`.
        groups: Takes or speakers that the ranges are taken over.
        emotions: Whose utterances the motion figures are of.
        n_utterances: How many were looked at for those.
        duration_s: How long they are together.
    """

    corpus: str
    figures: dict[str, Figure]
    groups: tuple[str, ...]
    emotions: tuple[str, ...]
    n_utterances: int
    duration_s: float


def describe(
    corpus: Corpus, *, sample: int = 400, seed: int = 0, emotions: Sequence[str] | None = None
) -> Description:
    """Compute the statistics of a corpus.

    Levels and speeds are those while speech is heard (short pauses included), so that a corpus
    with long silences is not a still one. Ranges go over takes, or over speakers where takes are
    sentences: see `group_names`. Class separability always looks at all emotions.

    Args:
        corpus: To be measured.
        sample: How many utterances are looked at, at most; drawn at random.
        seed: Of the draw.
        emotions: Measure the motion of these alone; None for all.

    Raises:
        InputError: If `sample` is below 1, or the corpus has no utterance of `emotions`.
    """
    if sample < 1:
        raise InputError(f"`sample` must be at least 1, got {sample}")
    there = sorted({record.emotion for record in corpus.records}, key=EMOTIONS.index)
    wanted = tuple(e for e in there if emotions is None or e in emotions)
    chosen = np.array([i for i, r in enumerate(corpus.records) if r.emotion in wanted], np.int64)
    if not len(chosen):
        raise InputError(
            f"`emotions` must be among {tuple(there)}, got {emotions}; choose some that it has"
        )
    rng = np.random.default_rng(seed)
    every = np.arange(len(corpus), dtype=np.int64)
    for_motion, for_classes = (_draw(pool, sample, rng) for pool in (chosen, every))
    if len(there) == 1:
        for_classes = for_classes[:0]
    measured = {int(i): measure(corpus[int(i)]) for i in np.union1d(for_motion, for_classes)}
    group_of = dict(zip(range(len(corpus)), group_names(corpus.records), strict=True))
    figures, groups = _ranges(
        [measured[int(i)] for i in for_motion], [group_of[int(i)] for i in for_motion], rng
    )
    _hide_uncaptured(figures, corpus.captured)
    figures |= _class_figures([measured[int(i)] for i in for_classes], corpus.captured)
    return Description(
        corpus=corpus.name,
        figures=figures,
        groups=groups,
        emotions=wanted,
        n_utterances=len(for_motion),
        duration_s=sum(measured[int(i)].duration_s for i in for_motion),
    )


def group_names(records: Sequence[Record]) -> list[str]:
    """Return the resampling group of each record: its take if long, else its speaker.

    Pieces of one take share their id up to the last `-`. Takes count as long if half of them last
    30 s or more; shorter ones would differ by what is said in them.
    """
    takes = [_take_of(record) for record in records]
    frames: dict[str, int] = {}
    for take, record in zip(takes, records, strict=True):
        frames[take] = frames.get(take, 0) + record.n_frames
    if np.median(list(frames.values())) >= LONG_TAKE_S * FRAME_RATE_HZ:
        return takes
    return [record.speaker for record in records]


def _take_of(record: Record) -> str:
    take, _, place = record.id.rpartition("-")
    return take if place.isdigit() and take else record.id


def _draw(pool: IntArray, n: int, rng: np.random.Generator) -> IntArray:
    return np.sort(rng.choice(pool, size=min(n, len(pool)), replace=False))


def _ranges(
    measured: list[Measured], groups: list[str], rng: np.random.Generator
) -> tuple[dict[str, Figure], tuple[str, ...]]:
    """Return the statistics with their ranges over `groups`, and the groups' names."""
    names = sorted(set(groups))
    pooled = figures_of(measured)
    values, errors = [], []
    for name in names:
        members = [m for m, group in zip(measured, groups, strict=True) if group == name]
        values.append(figures_of(members))
        errors.append(_error_of(members, rng))
    # The pooled value is part of the range: groups with unlike means vary more together than alone.
    low, high = _extremes(np.stack([pooled, *values]))
    error = _median(np.stack(errors))
    columns = zip(FIGURES, pooled, low, high, error, strict=True)
    return {name: Figure(*map(float, rest)) for name, *rest in columns}, tuple(names)


def _error_of(members: list[Measured], rng: np.random.Generator) -> Curve:
    """Return the bootstrap standard error over utterances, shape (n_statistics,)."""

    def figures(rows: IntArray) -> Curve:
        return figures_of([members[int(i)] for i in rows])

    return bootstrap_error(figures, len(members), resamples=_N_RESAMPLES, rng=rng)


def _extremes(values: Curve) -> tuple[Curve, Curve]:
    """Return least and greatest of each column (n_groups, n_statistics), nan left out."""
    known = ~np.isnan(values)
    low = np.where(known, values, np.inf).min(axis=0)
    high = np.where(known, values, -np.inf).max(axis=0)
    any_known = known.any(axis=0)
    return np.where(any_known, low, np.nan), np.where(any_known, high, np.nan)


def _median(values: Curve) -> Curve:
    """Return the median of each column (n_groups, n_statistics), nan left out."""
    return np.array(
        [np.median(v[~np.isnan(v)]) if (~np.isnan(v)).any() else np.nan for v in values.T]
    )


def _hide_uncaptured(figures: dict[str, Figure], captured: BoolArray) -> None:
    """Set statistics of uncaptured channels to nan, in place."""
    for name, kept in zip(ARKIT_NAMES, captured, strict=True):
        if not kept:
            _blank(figures, (n for n in FIGURES if n.startswith(f"{name}:")))
    for what, channels in CORPUS_CHANNELS.items():
        if not all(captured[index_of(channel)] for channel in channels):
            _blank(figures, (n for n in CORPUS_FIGURES if n.startswith(what)))


def _blank(figures: dict[str, Figure], names: Iterable[str]) -> None:
    for name in names:
        figures[name] = Figure(math.nan)


def _class_figures(measured: list[Measured], captured: BoolArray) -> dict[str, Figure]:
    faces = np.array([m.mean_face for m in measured]).reshape(-1, N_CHANNELS)
    emotions = [m.record.emotion for m in measured]
    speakers = [m.record.speaker for m in measured]
    figures = {}
    for part, channels in (("upper face", UPPER_CHANNELS), ("mouth", MOUTH_CHANNELS)):
        used = channels[captured[channels]]
        accuracy, chance = separability(faces[:, used], emotions, speakers)
        figures[f"emotions told apart: {part}"] = Figure(accuracy)
        figures["emotions told apart: chance"] = Figure(chance)
    return figures
