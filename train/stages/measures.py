"""Figures of the evaluation beside the true errors: EVE without eyelids, energy, intensity order.

EVE is dominated by blinks, which no policy can foresee. Energy scores tell whether samples are as
good as they are varied, the order of intensities whether a condition is obeyed; both need several
animations of each utterance, so they are taken on some of the test utterances
(`evaluate.extra_utterances`).

A lower temperature lowers the error of samples without any training, and may lower their energy
score. What is said of improved policies is said beside the clone at its best temperature, which is
chosen on validation.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from agents.rollout.animation import draw_samples
from agents.rollout.decoding import Decoding
from agents.rollout.generation import generate
from esarm_env.core.seeds import sequence_seeds
from esarm_env.core.types import N_INTENSITIES, Trajectories
from esarm_env.metrics import (
    DIVERSITY,
    Quantity,
    Variant,
    diversity,
    energy_parts,
    energy_quantity,
    intensity_order,
    samples_quantity,
    vertex_error,
)
from esarm_env.rewards.registry import WITH_MODEL, resolve_reward
from esarm_env.task.animation_task import pad_stack
from esarm_env.task.conditions import INTENSITY_SLICE
from esarm_env.task.judges import intensity_judge
from train.parallel.stage_pool import map_parts
from train.rows import RECORDINGS, TOKENIZER, Row, greedy, sampled

if TYPE_CHECKING:
    from agents.network.transformer import MotionTransformer
    from esarm_env.core.types import FloatArray, IntArray, RewardFunction
    from esarm_env.metrics import IntensityJudge
    from esarm_env.task.animation_task import AnimationTask
    from reward.plugins.learned import LearnedReward
    from train.run.run_folder import RunFolder
    from train.run.settings.sections import EvaluateConfig

EVE_WITHOUT_LIDS = "eve_without_lids"
CLIMBED = "climbed"  # score by the reward that was climbed, where that is not the learned score
# `lve`, `eve`, `eve_without_lids` (mm), `score` and perhaps `CLIMBED`, one per test utterance each.
Figures = dict[str, "FloatArray"]
LVE_ENERGY, EVE_ENERGY, INTENSITY = "lve_energy", "eve_energy", "intensity_order"
_ENERGIES = {LVE_ENERGY: Variant("lips"), EVE_ENERGY: Variant("upper")}
# Mean error and spread of the same samples, of which each energy score is made.
_ERRORS = {LVE_ENERGY: "lve_of_samples", EVE_ENERGY: "eve_of_samples"}
_SPREADS = {LVE_ENERGY: "lve_spread", EVE_ENERGY: "eve_spread"}
_DIVERSITY = "diversity"


def _known(task: AnimationTask, utterances: IntArray) -> dict[str, Any]:
    """Return what every metric is told of `utterances`."""
    return {
        "head": task.head,
        "captured": task.corpus.captured,
        "lengths": task.n_frames[utterances],
    }


def error_without_lids(
    task: AnimationTask, motion: FloatArray, utterances: IntArray
) -> dict[str, FloatArray]:
    """Return `eve_without_lids` in mm, (N,), of motion (N, T, 52) of `utterances` (N,)."""
    target = task.target_motion(utterances)
    options = Variant("upper_without_lids").options
    found = vertex_error(
        motion[:, : target.shape[1]], target, **_known(task, utterances), **options
    )
    return {EVE_WITHOUT_LIDS: found.astype(np.float32)}


def figures_of(task: AnimationTask, learned: LearnedReward, samples: list[Trajectories]) -> Figures:
    """Return figures per utterance, averaged over `samples`, which share their utterances."""
    rows = [
        task.errors(written)
        | error_without_lids(task, task.decode(written), written.utterance)
        | {"score": learned.score(written)}
        for written in samples
    ]
    return {name: np.mean([row[name] for row in rows], axis=0) for name in rows[0]}


def score_motions(
    task: AnimationTask, learned: LearnedReward, motions: list[FloatArray]
) -> Figures:
    """Return figures per test utterance of `motions`, (T, 52) each."""
    test = task.corpus.split("test")
    padded = pad_stack(motions, edge=True)
    errors = task.errors_of_motion(padded, test) | error_without_lids(task, padded, test)
    return errors | {"score": learned.score_motion(test, motions)}


@dataclass(frozen=True)
class Scorers:
    """True errors and scores of animations of the test utterances.

    Attributes:
        task: Of the run.
        learned: The run's reward model.
        climbed: The reward that `improve` climbed; None where it is the learned score itself.
    """

    task: AnimationTask
    learned: LearnedReward
    climbed: RewardFunction | None

    @classmethod
    def of(cls, run: RunFolder, task: AnimationTask, learned: LearnedReward) -> Scorers:
        """Open the reward that a run climbed beside its reward model."""
        reward = run.config.improve.reward
        same = reward == WITH_MODEL
        return cls(task, learned, None if same else resolve_reward(reward, task, run.path))

    def written(self, samples: list[Trajectories]) -> Figures:
        """Return figures per utterance, averaged over `samples`, which share their utterances."""
        figures = figures_of(self.task, self.learned, samples)
        if self.climbed is not None:
            figures[CLIMBED] = np.mean([self.climbed.score(each) for each in samples], axis=0)
        return figures

    def shown(self, motions: list[FloatArray]) -> Figures:
        """Return figures per test utterance of motion; a reward that scores tokens has none."""
        figures = score_motions(self.task, self.learned, motions)
        if self.climbed is not None:
            figures[CLIMBED] = np.full(len(motions), np.nan, dtype=np.float32)
        return figures


def energy_quantities(config: EvaluateConfig) -> dict[str, Quantity]:
    """Return what each key of `energy_rows` is that scores the samples as a whole."""
    return {
        key: energy_quantity(variant, n_samples=config.energy_samples)
        for key, variant in _ENERGIES.items()
    }


def sample_quantities(config: EvaluateConfig) -> dict[str, Quantity]:
    """Return what each other key of `energy_rows` is: mean error, spread and diversity."""
    count = config.energy_samples
    errors = {
        _ERRORS[key]: samples_quantity(variant, reduction="mean", n_samples=count)
        for key, variant in _ENERGIES.items()
    }
    spreads = {
        _SPREADS[key]: Quantity(
            f"{variant.quantity.name} spread",
            f"mean distance of {count} samples from each other, {variant.quantity.variant}",
            variant.quantity.unit,
            "none",
        )
        for key, variant in _ENERGIES.items()
    }
    return errors | spreads | {_DIVERSITY: DIVERSITY}


def extra_utterances(
    task: AnimationTask, config: EvaluateConfig, *, split: str = "test"
) -> IntArray:
    """Return the utterances of a split that are animated several times, ascending."""
    rows = task.corpus.split(split)
    if not 0 < config.extra_utterances < len(rows):
        return rows
    # Drawn, not evenly spaced: corpora cycle through emotions and intensities.
    drawn = np.random.default_rng(0).permutation(len(rows))[: config.extra_utterances]
    return np.sort(rows[drawn])


@dataclass(frozen=True)
class Temperatures:
    """Temperatures of the clone, measured on validation utterances.

    Attributes:
        best: The one with the best energy scores: the least mean of lips and upper face, each in
            units of that at temperature 1; 1 where there was nothing to choose by.
        utterances: How many were measured on.
        rows: Figures of `energy_rows` per utterance, by temperature; empty if none was tried.
    """

    best: float
    utterances: int
    rows: dict[Row, dict[str, FloatArray]]


def try_temperatures(
    task: AnimationTask, clone: MotionTransformer, config: EvaluateConfig, *, seed: int
) -> Temperatures:
    """Return the clone's energy scores at every temperature, on validation utterances."""
    chosen = extra_utterances(task, config, split="validation")
    if not (config.temperatures and len(chosen)):
        return Temperatures(1.0, 0, {})
    tried = sorted({*config.temperatures, 1.0})
    found = map_parts(
        _of_samples,
        [_Samples(clone, chosen, config, each, seed, with_diversity=False) for each in tried],
        what="samples at several temperatures",
        task=task,
    )
    rows = {sampled("clone", each): figures for each, figures in zip(tried, found, strict=True)}
    means = np.array([[rows[sampled("clone", t)][k].mean() for k in _ENERGIES] for t in tried])
    relative = means / means[tried.index(1.0)]  # a region never captured is nan at each of them
    known = ~np.isnan(relative).all(axis=0)
    if not known.any():
        return Temperatures(1.0, len(chosen), rows)
    best = tried[int(relative[:, known].mean(axis=1).argmin())]
    return Temperatures(best, len(chosen), rows)


def repeated_rows(
    run: RunFolder,
    task: AnimationTask,
    policies: Mapping[str, MotionTransformer],
    *,
    best: float = 1.0,
) -> dict[str, dict[Row, dict[str, FloatArray]]]:
    """Return what several animations of each utterance tell: `energy` and `intensity`, by row.

    Args:
        run: Its settings count.
        task: Of the run.
        policies: By name, `clone` among them.
        best: Temperature of the clone that has a row beside temperature 1.
    """
    config, seed = run.config.evaluate, run.config.seed
    return {
        "energy": energy_rows(task, policies, config, seed=seed, best=best),
        "intensity": intensity_rows(task, policies, config, seed=seed),
    }


def energy_rows(
    task: AnimationTask,
    policies: Mapping[str, MotionTransformer],
    config: EvaluateConfig,
    *,
    seed: int,
    best: float = 1.0,
) -> dict[Row, dict[str, FloatArray]]:
    """Return what samples are worth as a whole, in mm, per utterance.

    Args:
        task: Gives the recordings, the head and what was captured.
        policies: By name, each sampled at temperature 1.
        config: How many samples of how many utterances.
        seed: Of the run.
        best: A temperature at which the policy `clone` is sampled, too.

    Returns:
        `lve_energy`, `eve_energy` and the keys of `sample_quantities`, one per utterance of
        `extra_utterances`, by sampled row.
    """
    chosen = extra_utterances(task, config)
    asked = [(name, 1.0) for name in policies]
    if best != 1:
        asked.append(("clone", best))
    found = map_parts(
        _of_samples,
        [_Samples(policies[name], chosen, config, at, seed) for name, at in asked],
        what="energy scores of samples",
        task=task,
    )
    return {sampled(*each): figures for each, figures in zip(asked, found, strict=True)}


@dataclass(frozen=True)
class _Samples:
    """Which samples of a policy are scored as a whole."""

    policy: MotionTransformer
    utterances: IntArray
    config: EvaluateConfig
    temperature: float
    seed: int
    with_diversity: bool = True


def _of_samples(samples: _Samples, *, task: AnimationTask) -> dict[str, FloatArray]:
    """Return energy scores and what they are made of, one per utterance."""
    utterances, seed = samples.utterances, samples.seed
    target, known = task.target_motion(utterances), _known(task, utterances)
    drawn = draw_samples(
        samples.policy,
        task,
        utterances,
        samples.config.energy_samples,
        decoding=Decoding(temperature=samples.temperature),
        seed=seed,
    )
    motions = np.stack([task.decode(each)[:, : target.shape[1]] for each in drawn], axis=1)
    figures: dict[str, Any] = {}
    for key, variant in _ENERGIES.items():
        parts = energy_parts(motions, target, variant=variant, **known)
        figures |= {key: parts.score, _ERRORS[key]: parts.error, _SPREADS[key]: parts.spread}
    if samples.with_diversity:
        # A few pairs: all vertices of all pairs would cost more than everything else here.
        figures[_DIVERSITY] = diversity(motions, rng=np.random.default_rng(seed), **known)
    return {key: values.astype(np.float32) for key, values in figures.items()}


def intensity_rows(
    task: AnimationTask,
    policies: Mapping[str, MotionTransformer],
    config: EvaluateConfig,
    *,
    seed: int,
) -> dict[Row, dict[str, FloatArray]]:
    """Return whether strengths rise with intensity, 1 or 0 for each triple, as `intensity_order`.

    A policy animates each utterance three times, greedily, with the intensities 1, 2 and 3 for that
    of its condition. Recordings that differ in nothing else are rare, so their triples share
    speaker and emotion but may differ in the sentence; they frame what a policy can reach.

    Returns:
        By row; none where no emotion was trained at all three intensities.
    """
    judge = intensity_judge(task)
    if judge is None:
        return {}
    test = task.corpus.split("test")
    rows = {}
    triples = _recorded_triples(task, test, judge)
    if len(triples):
        coded = task.recorded(triples.ravel())
        for source, motion in (
            (RECORDINGS, task.target_motion(triples.ravel())),
            (TOKENIZER, task.decode(coded)),
        ):
            rows[Row(source)] = _order(judge, task, motion, triples)
    chosen = extra_utterances(task, config)
    emotions = [task.corpus.records[int(index)].emotion for index in chosen]
    asked = np.repeat(chosen[np.isin(emotions, list(judge.regressions))], N_INTENSITIES)
    if not len(asked):
        return rows
    condition = task.condition_of(asked)
    condition[:, INTENSITY_SLICE] = np.tile(np.eye(N_INTENSITIES), (len(asked) // 3, 1))
    seeds = sequence_seeds(run_seed=seed, iteration=0, utterances=asked, samples=0)
    for name, policy in policies.items():
        rollout = generate(
            policy, task, asked, condition=condition, decoding=Decoding(), seeds=seeds
        )
        written = Trajectories(asked, rollout.tokens, rollout.lengths, condition)
        rows[greedy(name)] = _order(judge, task, task.decode(written), asked.reshape(-1, 3))
    return rows


def _recorded_triples(task: AnimationTask, test: IntArray, judge: IntensityJudge) -> IntArray:
    """Return test utterances of one speaker and emotion, (N, 3) by intensity, each used once."""
    groups: dict[tuple[str, str], dict[int, list[int]]] = {}
    for index in test.tolist():
        record = task.corpus.records[index]
        if record.emotion in judge.regressions:
            levels = groups.setdefault((record.speaker, record.emotion), {})
            levels.setdefault(record.intensity, []).append(index)
    of_all = [[levels.get(level, []) for level in (1, 2, 3)] for levels in groups.values()]
    triples = [triple for levels in of_all for triple in zip(*levels, strict=False)]
    return np.array(triples, dtype=np.int64).reshape(-1, 3)


def _order(
    judge: IntensityJudge, task: AnimationTask, motion: FloatArray, triples: IntArray
) -> dict[str, FloatArray]:
    """Return the order of motion (3 N, T, 52) of utterances (N, 3)."""
    utterances = triples.ravel()
    counts = task.n_frames[utterances]
    emotions = [task.corpus.records[int(index)].emotion for index in utterances]
    shown = [row[:count] for row, count in zip(motion, counts, strict=True)]
    order = intensity_order(judge.strengths(shown, emotions).reshape(-1, 3))
    return {INTENSITY: order.astype(np.float32)}
