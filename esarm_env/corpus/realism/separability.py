"""How well the emotions of a corpus can be told apart from a still face, across speakers."""

from __future__ import annotations

import numpy as np

from esarm_env.corpus.realism.signals import Curve
from esarm_env.types import IntArray

_MOST_FOLDS = 6
_RIDGE = 0.1  # of the mean variance; a channel that hardly moves must not be blown up
_FEWEST_PER_CLASS = 4


def separability(faces: Curve, emotions: list[str], speakers: list[str]) -> tuple[float, float]:
    """Return how often a linear classifier names the emotion of a speaker it has not seen.

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
    """Return the class of the nearest mean, distances measured by the spread within classes."""
    classes = np.unique(label)
    means = np.stack([train[label == k].mean(axis=0) for k in classes])  # (K, D)
    within = train - means[np.searchsorted(classes, label)]
    covariance = within.T @ within / len(train)
    covariance += np.eye(len(covariance)) * (_RIDGE * np.trace(covariance) / len(covariance) + 1e-9)
    weights = np.linalg.solve(covariance, means.T)  # (D, K)
    offset = 0.5 * (means.T * weights).sum(axis=0)
    return np.asarray(classes[(test @ weights - offset).argmax(axis=1)])
