"""Extrapolation: mean score against mean true error, beyond what the model was trained on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from esarm_env.types import IntArray
from reward.demonstrations import RECONSTRUCTION, RECORDING, Demonstrations, collect
from reward.report import STREAM_OF_ERROR, Triple, best_of_n, spearman_rho
from reward.report.resampling import DoubleArray
from train.policies import POLICY_FILE, load_policy, roll_out_with
from train.reward_report.judges import REWARD, Judges
from train.reward_report.study import Study

NOISE, CLONE, BEST, TRUTH, POLICY = (
    "noise levels",
    "clone",
    "best of n clone samples",
    "ground truth",
    "after reinforcement learning",
)


@dataclass(frozen=True)
class Point:
    """A kind of animation.

    Attributes:
        label: Which.
        kind: One of the above.
        score: Mean score of the reward.
        errors: Mean true errors, mm.
    """

    label: str
    kind: str
    score: Triple
    errors: dict[str, Triple]


@dataclass(frozen=True)
class Outlook:
    """All points, and how far their orders agree.

    Attributes:
        points: Kinds of animations.
        rho: Spearman's rho of mean score and minus mean error over all points.
        rho_clean: The same without the noise levels above 0: what lies near the clone and beyond.
    """

    points: tuple[Point, ...]
    rho: dict[str, Triple]
    rho_clean: dict[str, Triple]


def checkpoints(run_path: Path) -> dict[str, Path]:
    """Return the policies that reinforcement learning left, by name."""
    files = sorted((run_path / "improve").glob(f"*/{POLICY_FILE}"))
    return {file.parent.name: file for file in files}


def outlook(
    study: Study,
    judges: Judges,
    policies: dict[str, Path],
    *,
    seed: int,
    after: Callable[[], None] = lambda: None,
) -> Outlook:
    """Return every point; `policies` are rolled out greedily and at temperature 1."""
    values = _from_cast(study)
    for number, (name, file) in enumerate(policies.items(), start=1):
        roll_out = roll_out_with(load_policy(file), judges.task)
        for manner, temperature in (("greedy", 0.0), ("sampled", 1.0)):
            made = collect(
                roll_out,
                judges.task,
                study.utterances,
                epsilons=(0.0,),
                temperature=temperature,
                seed=seed,
                iteration=number,
            )
            values[f"{name}, {manner}", POLICY] = _figures(judges, made)
            after()
    return _outlook(study, values)


def _figures(judges: Judges, made: Demonstrations) -> dict[str, DoubleArray]:
    scored = judges.score(made)
    found = {REWARD: scored.scores[REWARD], **scored.errors}
    return {name: values.astype(np.float64) for name, values in found.items()}


def _from_cast(study: Study) -> dict[tuple[str, str], dict[str, DoubleArray]]:
    """Return score and errors per utterance, (U,) each, of what is in the cast."""
    cast, columns = study.cast, {REWARD: study.column(REWARD), **study.scored.errors}

    def at(rows: IntArray) -> dict[str, DoubleArray]:
        n = len(study.utterances)
        return {k: v[rows].reshape(n, -1).mean(1, dtype=np.float64) for k, v in columns.items()}

    found = {}
    for level, rows in zip(study.settings.levels, cast.levels, strict=True):
        label = ("clone, greedy", CLONE) if level == 0 else (f"ε = {level:g}", NOISE)
        found[label] = at(rows)
    found["clone, sampled", CLONE] = at(cast.samples)
    scores = columns[REWARD][cast.samples]
    for n in (4, 16):
        if n <= scores.shape[1]:
            found[f"best of {n}", BEST] = {
                name: best_of_n(scores, v[cast.samples], n=n) for name, v in columns.items()
            }
    found["recording through the tokenizer", TRUTH] = at(cast.truth[RECONSTRUCTION])
    found["recording", TRUTH] = at(cast.truth[RECORDING])
    return found


def _outlook(study: Study, values: dict[tuple[str, str], dict[str, DoubleArray]]) -> Outlook:
    everyone = np.arange(len(study.utterances))
    mean = study.resampler.mean
    points = tuple(
        Point(
            label,
            kind,
            mean(figures[REWARD], everyone),
            {error: mean(figures[error], everyone) for error in STREAM_OF_ERROR},
        )
        for (label, kind), figures in values.items()
    )
    near = [figures for (_, kind), figures in values.items() if kind != NOISE]
    return Outlook(points, *(_order(study, chosen) for chosen in (list(values.values()), near)))


def _order(study: Study, chosen: list[dict[str, DoubleArray]]) -> dict[str, Triple]:
    """Return how far the order of mean scores is that of minus the mean errors."""
    n = len(chosen)

    def agreement(sums: DoubleArray) -> DoubleArray:
        flat = sums.reshape(-1, sums.shape[-1])
        rho = spearman_rho(flat[:, :n], -flat[:, n:])
        return rho.reshape(sums.shape[:-1])

    everyone = np.arange(len(study.utterances))
    return {
        error: study.resampler.of_sums(
            agreement,
            np.stack([f[REWARD] for f in chosen] + [f[error] for f in chosen], axis=1),
            everyone,
        )
        for error in STREAM_OF_ERROR
    }
