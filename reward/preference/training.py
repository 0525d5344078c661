"""Fit of the preference model to judged pairs: Bradley-Terry, with answers taken to be noisy.

A logistic regression of answers on differences of features, with an L1 penalty (lasso), since
raters look at few of the movements: most weights end at zero, and what nobody judged is not paid
for. The problem is convex, so that nothing is left to chance or to a number of epochs. The penalty
is chosen by cross-validation over utterances. Features are scaled half way from their own unit to
equal spread: what moves little is neither ignored nor blown up.

Source: Tibshirani, "Regression shrinkage and selection via the lasso" (1996); solved by Newton
steps on a quadratic bound of the penalty (Hunter and Li, "Variable selection using MM algorithms",
2005).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from reward.chunks import make_chunks
from reward.plugins.learned import LearnedReward
from reward.preference.corrected import heads_of, judged_by
from reward.preference.network import PreferenceModel

if TYPE_CHECKING:
    from esarm_env.core.types import DoubleArray, FloatArray, IntArray
    from esarm_env.task.animation_task import AnimationTask
    from reward.pairs.labelled import PairSource
    from reward.preference.settings import PreferenceConfig
    from reward.scoring import RewardModel

BOUND = 2.0  # standard deviations among the judged animations of a condition
PENALTIES = (1.0, 2.0, 4.0, 8.0)
_FOLDS = 4
_SCORED_AT_ONCE = 64  # animations
_MOST_STEPS, _SMALL_STEP = 300, 1e-6
_ROUNDED = 1e-4  # |w| is rounded off to a parabola below it
_NOTHING = 10 * _ROUNDED  # weights that end below it are zero


def fit_preference(
    task: AnimationTask,
    *,
    base: RewardModel,
    train: PairSource,
    config: PreferenceConfig,
    seed: int,
) -> PreferenceModel:
    """Return what raters prefer beside `base`, which stays as it is.

    A pair that judges the mouth or the upper face alone counts as one of the whole face.

    Args:
        task: Gives speech.
        base: The reward model that is to be corrected.
        train: Judged pairs.
        config: How noisy answers are, and how much they count.
        seed: Of the members' draws.
    """
    model = PreferenceModel(
        members=config.members,
        condition_dim=task.condition_dim,
        frames=task.tokenizer.frames_per_chunk,
        heads=len(heads_of(base)),
    )
    seen = _features(task, base, train, model)  # one (N, X) a stream
    pairs = train.pairs
    apart = np.concatenate([each[pairs.a] - each[pairs.b] for each in seen], axis=1)
    scale = _scales(apart, seen, heads=model.heads)
    asked = pairs.probability * (1 - config.chance) + config.chance / 2
    given = Answers(apart / scale, asked.astype(np.float64), pairs.weight.astype(np.float64))
    penalty = best_penalty(given, train.utterance[pairs.a])
    rng = np.random.default_rng(seed)
    fits = [fit(given, penalty)]
    for _ in range(config.members - 1):
        fits.append(fit(given[rng.integers(len(pairs), size=len(pairs))], penalty))
    weights = np.stack(fits) / scale
    with torch.no_grad():
        ends = np.cumsum([values.shape[1] for values in seen])
        for name, own in zip(model.stream_names, np.split(weights, ends[:-1], axis=1), strict=True):
            model.weights[name].copy_(torch.from_numpy(own))
        liked = np.concatenate(seen, axis=1) @ weights.T  # (N, M)
        usual, unusual = _by_condition(task.condition_of(train.utterance), liked)
        model.usual.copy_(torch.from_numpy(usual))
        scores = LearnedReward(task, base).score_motion(train.utterance, train.motions)
        preferred = _rms(apart @ weights[0])
        model.liked = _liked(model.feature_names(), weights[0] * np.sqrt(np.mean(apart**2, axis=0)))
        trust = len(pairs) / (len(pairs) + config.doubt)
        weight = trust * config.share / (1 - config.share)
        spread = _rms(scores[pairs.a] - scores[pairs.b])
        if preferred > 0:
            model.kept.fill_(1 / (1 + weight))
            model.gain.fill_(weight / (1 + weight) * spread / preferred)
            model.bound.fill_(max(BOUND * float(model.gain) * unusual, 1e-6))
    return model.requires_grad_(False)


class Answers:
    """Differences of features (P, X), probabilities that the first is better, and weights (P,)."""

    def __init__(self, apart: DoubleArray, asked: DoubleArray, weight: DoubleArray) -> None:
        self.apart, self.asked, self.weight = apart, asked, weight

    def __getitem__(self, rows: IntArray | np.ndarray) -> Answers:
        return Answers(self.apart[rows], self.asked[rows], self.weight[rows])

    def loss(self, weights: DoubleArray) -> float:
        """Return the summed cross-entropy."""
        said = self.apart @ weights
        losses = np.logaddexp(0, said) - self.asked * said
        return float((self.weight * losses).sum())


def fit(given: Answers, penalty: float) -> DoubleArray:
    """Return the weights (X,) of least loss with `penalty` times the sum of their sizes on top."""
    weights = np.zeros(given.apart.shape[1])
    pull = np.full(len(weights), penalty)  # |w| <= w^2 / (2 |v|) + |v| / 2 for the last weights v
    for _ in range(_MOST_STEPS):
        said = 1 / (1 + np.exp(-(given.apart @ weights)))
        slope = given.apart.T @ (given.weight * (said - given.asked)) + pull * weights
        bend = (given.apart * (given.weight * said * (1 - said))[:, None]).T @ given.apart
        step = np.linalg.solve(bend + np.diag(pull), slope)
        weights = weights - step
        pull = penalty / np.hypot(weights, _ROUNDED)
        if np.abs(step).max() < _SMALL_STEP:
            break
    weights[np.abs(weights) < _NOTHING] = 0
    return weights


def best_penalty(given: Answers, utterances: IntArray) -> float:
    """Return the penalty that foretells answers on other utterances best; the largest if unknown.

    Args:
        given: P answers.
        utterances: Shape (P,), which stay together.
    """
    _, number = np.unique(utterances, return_inverse=True)
    folds = min(_FOLDS, int(number.max()) + 1)
    if folds < 2:
        return PENALTIES[-1]
    fold = number % folds
    losses = {
        penalty: sum(given[fold == k].loss(fit(given[fold != k], penalty)) for k in range(folds))
        for penalty in PENALTIES
    }
    return min(losses, key=lambda penalty: losses[penalty])


def _features(
    task: AnimationTask, base: RewardModel, source: PairSource, model: PreferenceModel
) -> list[DoubleArray]:
    """Return what the model sees of each animation, mean over its chunks, (N, X) a stream."""
    parts: list[list[FloatArray]] = [[] for _ in model.stream_names]
    for begin in range(0, len(source), _SCORED_AT_ONCE):
        rows = np.arange(begin, min(begin + _SCORED_AT_ONCE, len(source)))
        utterances = source.utterance[rows]
        motions = [source.motions[row] for row in rows]
        condition = task.condition_of(utterances)
        batch = make_chunks(task, utterances, motions, condition=condition, cut=True)
        with torch.inference_mode():
            judged = judged_by(heads_of(base), batch)[1]
            inside = torch.arange(batch.motion.shape[1]) < batch.n_chunks[:, None]
            shares = (inside / batch.n_chunks[:, None])[..., None]
            for part, seen in zip(parts, model.features(batch.motion, judged), strict=True):
                part.append((seen * shares).sum(dim=1).numpy())
    return [np.concatenate(part).astype(np.float64) for part in parts]


def _by_condition(condition: FloatArray, liked: DoubleArray) -> tuple[DoubleArray, float]:
    """Return the mean of what is liked (N, M) by condition (N, D), and how far it is spread there.

    Returns:
        Intercept and slopes, (M, D + 1), of a ridge regression, since conditions are few; and the
        standard deviation of what is left of member 0.
    """
    given = np.hstack([np.ones((len(condition), 1)), condition.astype(np.float64)])
    few = np.diag([0.0, *np.ones(condition.shape[1])])
    solved = np.linalg.solve(given.T @ given + few, given.T @ liked)  # (D + 1, M)
    return solved.T, float((liked - given @ solved)[:, 0].std())


def _liked(names: list[str], effects: DoubleArray) -> tuple[tuple[str, float], ...]:
    """Return the features that count and their shares of all effects, most first."""
    order = np.argsort(-np.abs(effects), kind="stable")
    total = float(np.abs(effects).sum())
    return tuple((names[i], float(effects[i]) / total) for i in order if effects[i] != 0)


def _scales(apart: DoubleArray, seen: list[DoubleArray], *, heads: int) -> DoubleArray:
    """Return the scale of each feature: half way between its own spread and that of its kind."""
    own = np.sqrt(np.mean(np.square(apart), axis=0)) + 1e-6
    kind = []  # poses, speeds, and each head by itself
    for stream, values in enumerate(seen):
        movements = (values.shape[1] - heads) // 2
        kind += [0] * movements + [1] * movements + [2 + stream * heads + h for h in range(heads)]
    kinds = np.array(kind)
    common = np.sqrt([np.mean(own[kinds == each] ** 2) for each in kinds])
    scales: DoubleArray = np.sqrt(own * common)
    return scales


def _rms(values: FloatArray | DoubleArray) -> float:
    return float(np.sqrt(np.mean(np.square(values, dtype=np.float64)))) if len(values) else 0.0
