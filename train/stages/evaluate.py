"""Stage 8: true errors and all metrics beside the learned score, on held-out utterances."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from agents.rollout.animation import animate_utterances, draw_samples
from agents.rollout.decoding import Decoding
from agents.weights import load_policy
from esarm_env.core.intervals import bootstrap_mean
from esarm_env.core.run_layout import (
    DEMONSTRATIONS_FILE,
    ENERGY_FILE,
    PER_UTTERANCE_FILE,
    POLICY_FILE,
)
from esarm_env.face.loaders import OWN_HEAD, open_head
from esarm_env.task.animation_task import AnimationTask, pad_stack
from esarm_env.task.opening import open_task
from reward.demonstrations import RankedDemonstrations, load_demonstrations
from reward.plugins.learned import LearnedReward, open_learned
from reward.rank_measures import pair_accuracy
from train.parallel.stage_pool import map_parts
from train.rows import (
    RECORDINGS,
    TOKENIZER,
    Row,
    expected,
    greedy,
    noisy,
    rows_to_json,
    sampled,
)
from train.run.loop import progress_track, write_rows
from train.run_report.metric_rows import measure_rows
from train.stages.baselines import (
    baseline_motions,
    compare_with,
    compare_with_regressor,
    ratios_to_regressor,
)
from train.stages.measures import (
    Figures,
    Scorers,
    extra_utterances,
    repeated_rows,
    try_temperatures,
)

if TYPE_CHECKING:
    from agents.network.transformer import MotionTransformer
    from esarm_env.core.types import FloatArray, IntArray, Trajectories
    from train.run.run_folder import RunFolder
    from train.run.settings.sections import EvaluateConfig

GAPS = (0.23, 0.48, 0.73)  # least difference in epsilon of the pairs that are counted


@dataclass(frozen=True)
class _Shared:
    """What both tables of the report measure, made once; all of the test utterances.

    Attributes:
        recorded: The recordings as tokens.
        baselines: Motion of each one, (T, 52), by baseline.
        deterministic: By row, the animations of each policy that leave nothing to chance.
        drawn: By row, the samples of each policy at temperature 1, and of the clone at its best.
    """

    recorded: Trajectories
    baselines: dict[Row, list[FloatArray]]
    deterministic: dict[Row, Trajectories]
    drawn: dict[Row, list[Trajectories]]


@dataclass(frozen=True)
class _Animations:
    """A row of the report before it is measured: animations of the test utterances.

    Attributes:
        written: One batch of tokens per sample.
        shown: Instead, motion (T, 52) of each.
    """

    written: list[Trajectories] = field(default_factory=list)
    shown: list[FloatArray] | None = None


def run_evaluate(run: RunFolder) -> dict[str, Any]:
    """Measure every row of the report on the test utterances."""
    return run.perform("evaluate", lambda folder: _evaluate(run, folder))


def _evaluate(run: RunFolder, folder: Path) -> dict[str, Any]:
    task = on_head(open_task(run.path), run.config.evaluate.head)
    test = task.corpus.split("test")
    learned = open_learned(task, run.path)
    demonstrations = load_demonstrations(run.stage("demonstrate") / DEMONSTRATIONS_FILE)
    demonstrations = demonstrations[np.isin(demonstrations.trajectories.utterance, test)]
    policies = {"clone": load_policy(run.stage("clone") / POLICY_FILE)}
    for name in run.config.improve.algorithms:
        policies[name] = load_policy(run.stage("improve") / name / POLICY_FILE)
    config = run.config.evaluate
    temperatures = try_temperatures(task, policies["clone"], config, seed=run.config.seed)
    shared = _Shared(
        recorded=task.recorded(test),
        baselines=baseline_motions(task, test),
        deterministic=without_chance(run, task, policies),
        drawn=_drawn(run, task, policies, best=temperatures.best),
    )
    animations = dict(_animations(task, demonstrations, policies, shared))
    with progress_track("Evaluation", len(animations)) as bar:
        found = map_parts(
            _figures,
            list(animations.values()),
            what="errors and scores of animations",
            on_done=lambda: bar.advance(bar.task_ids[0]),
            scorers=Scorers.of(run, task, learned),
        )
    rows: dict[Row, Figures] = dict(zip(animations, found, strict=True))
    write_per_utterance(rows, task, test, folder / PER_UTTERANCE_FILE)
    repeated = repeated_rows(run, task, policies, best=temperatures.best)
    energy, extra = repeated["energy"], extra_utterances(task, config)
    write_per_utterance(energy, task, extra, folder / ENERGY_FILE)
    measures = _measures(task, shared)
    best = sampled("clone", temperatures.best)
    return {
        "utterances": len(test),
        "rows": rows_to_json(summarise_rows(rows, config)),
        "against_clone": rows_to_json(compare_with_clone(rows, run)),
        "against_expected": rows_to_json(
            summarise_rows(compare_with(expected("clone"), rows), config)
        ),
        "against_regressor": rows_to_json(summarise_rows(compare_with_regressor(rows), config)),
        "ratio_to_regressor": rows_to_json(ratios_to_regressor(rows, config)),
        "speakers": _by_speaker(rows, task, test, config),
        "pair_accuracy": pair_accuracy_with_interval(learned, demonstrations, config),
        "measures": rows_to_json(summarise_rows(measures, config)),
        "measures_against_clone": rows_to_json(compare_with_clone(measures, run)),
        **{
            name: rows_to_json(summarise_rows(figures, config))
            for name, figures in repeated.items()
        },
        "energy_utterances": len(extra),
        "energy_against_clone": rows_to_json(compare_with_clone(energy, run)),
        "temperatures": {
            "best": temperatures.best,
            "utterances": temperatures.utterances,
            "rows": rows_to_json(summarise_rows(temperatures.rows, config)),
        },
        "energy_against_best": rows_to_json(summarise_rows(compare_with(best, energy), config)),
    }


def on_head(task: AnimationTask, head: str) -> AnimationTask:
    """Return the task with its errors measured on another head."""
    return task if head == OWN_HEAD else dataclasses.replace(task, head=open_head(head))


def _drawn(
    run: RunFolder, task: AnimationTask, policies: dict[str, MotionTransformer], *, best: float
) -> dict[Row, list[Trajectories]]:
    """Return samples of the test utterances: of each policy, and of the clone at its best."""
    asked = [(name, 1.0) for name in policies]
    if best != 1:
        asked.insert(1, ("clone", best))
    found = map_parts(
        _draw,
        [(policies[name], temperature) for name, temperature in asked],
        what="samples of the test utterances",
        task=task,
        run=run,
    )
    rows = [sampled(name, temperature) for name, temperature in asked]
    return dict(zip(rows, found, strict=True))


def _draw(
    part: tuple[MotionTransformer, float], *, task: AnimationTask, run: RunFolder
) -> list[Trajectories]:
    model, temperature = part
    return draw_test(run, task, model, temperature=temperature)


def _animations(
    task: AnimationTask,
    demonstrations: RankedDemonstrations,
    policies: dict[str, MotionTransformer],
    shared: _Shared,
) -> Iterator[tuple[Row, _Animations]]:
    """Yield each row and what it shows or was written of the test utterances."""
    corpus = task.corpus
    test = corpus.split("test")
    yield Row(RECORDINGS), _Animations(shown=[corpus[int(index)].motion for index in test])
    yield Row(TOKENIZER), _Animations(written=[shared.recorded])
    for row, motions in shared.baselines.items():
        yield row, _Animations(shown=motions)
    for level in demonstrations.levels:
        chosen = demonstrations[demonstrations.epsilon == level].trajectories
        yield noisy("clone", level), _Animations(written=_by_sample(chosen, test))
    for name in policies:
        for row in (greedy(name), expected(name)):
            if row in shared.deterministic:
                yield row, _Animations(written=[shared.deterministic[row]])
        for row, samples in shared.drawn.items():
            if row.policy == name:
                yield row, _Animations(written=samples)


def _figures(animations: _Animations, *, scorers: Scorers) -> Figures:
    """Return true errors and scores of a row."""
    if animations.shown is not None:
        return scorers.shown(animations.shown)
    return scorers.written(animations.written)


def without_chance(
    run: RunFolder, task: AnimationTask, policies: dict[str, MotionTransformer]
) -> dict[Row, Trajectories]:
    """Return the likeliest animations of each policy, and those of least expected distance."""
    asked = []
    for name, model in policies.items():
        asked.append((greedy(name), model, Decoding()))
        if model.knows_distances:
            asked.append((expected(name), model, Decoding(expected_distance=True)))
    parts = [(model, decoding) for _, model, decoding in asked]
    written = map_parts(
        _animate, parts, what="animations of the test utterances", task=task, run=run
    )
    return {row: each for (row, *_), each in zip(asked, written, strict=True)}


def _animate(
    part: tuple[MotionTransformer, Decoding], *, task: AnimationTask, run: RunFolder
) -> Trajectories:
    return animate_test(run, task, *part)


def animate_test(
    run: RunFolder,
    task: AnimationTask,
    model: MotionTransformer,
    decoding: Decoding,
    *,
    sample: int = 0,
) -> Trajectories:
    """Return one animation of each test utterance."""
    test = task.corpus.split("test")
    return animate_utterances(
        model, task, test, decoding=decoding, seed=run.config.seed, sample=sample
    )


def draw_test(
    run: RunFolder, task: AnimationTask, model: MotionTransformer, *, temperature: float
) -> list[Trajectories]:
    """Return the samples of all test utterances that a run is measured by."""
    return draw_samples(
        model,
        task,
        task.corpus.split("test"),
        run.config.evaluate.samples,
        decoding=Decoding(temperature=temperature),
        seed=run.config.seed,
    )


def _by_sample(trajectories: Trajectories, test: IntArray) -> list[Trajectories]:
    """Split roll-outs of the same utterances into one batch per roll-out, in `test`'s order."""
    order = np.argsort(trajectories.utterance, kind="stable")
    per_utterance = order.reshape(len(test), -1)
    return [trajectories[column] for column in per_utterance.T]


def _measures(task: AnimationTask, shared: _Shared) -> dict[Row, Figures]:
    """Return all metrics of the recordings, the baselines and the policies, one sample of each."""
    test = task.corpus.split("test")
    motions = {
        Row(RECORDINGS): task.target_motion(test),
        Row(TOKENIZER): task.decode(shared.recorded),
        **{row: pad_stack(found, edge=True) for row, found in shared.baselines.items()},
    }
    motions |= {row: task.decode(written) for row, written in shared.deterministic.items()}
    motions |= {row: task.decode(samples[0]) for row, samples in shared.drawn.items()}
    return measure_rows(task, motions, test)


def summarise_rows(
    rows: Mapping[Row, Figures], config: EvaluateConfig
) -> dict[Row, dict[str, list[float]]]:
    """Return mean, low and high of each figure of each row."""
    return {row: summarise(figures, config) for row, figures in rows.items()}


def summarise(figures: Figures, config: EvaluateConfig) -> dict[str, list[float]]:
    """Return mean, low and high of each figure."""
    return {name: _interval(values, config) for name, values in figures.items()}


def _interval(values: FloatArray, config: EvaluateConfig) -> list[float]:
    """Return mean, low and high over the utterances for which a figure is defined."""
    defined = values[~np.isnan(values)]
    if not len(defined):
        return [float("nan")] * 3
    interval = bootstrap_mean(defined, resamples=config.resamples, confidence=config.confidence)
    return [interval.mean, interval.low, interval.high]


def compare_with_clone(
    rows: dict[Row, Figures], run: RunFolder
) -> dict[Row, dict[str, list[float]]]:
    """Return paired differences of each improved policy from the clone decoded the same way."""
    differences = {}
    for name in run.config.improve.algorithms:
        for row in (greedy(name), expected(name), sampled(name)):
            like = dataclasses.replace(row, policy="clone")
            if row not in rows or like not in rows:  # of a policy that knows no distances
                continue
            ours, clone = rows[row], rows[like]
            paired = {key: ours[key] - clone[key] for key in ours}
            differences[row] = summarise(paired, run.config.evaluate)
    return differences


def _by_speaker(
    rows: dict[Row, Figures], task: AnimationTask, test: IntArray, config: EvaluateConfig
) -> dict[str, dict[str, Any]]:
    """Return the greedy clone's figures on speakers heard in training and on new ones."""
    known = np.array(
        [task.corpus.records[int(i)].speaker in task.conditions.speakers for i in test]
    )
    groups = {"heard in training": known, "new": ~known}
    figures = rows[greedy("clone")]
    return {
        name: {
            "utterances": int(mask.sum()),
            **summarise({key: values[mask] for key, values in figures.items()}, config),
        }
        for name, mask in groups.items()
        if mask.any()
    }


def pair_accuracy_with_interval(
    learned: LearnedReward, demonstrations: RankedDemonstrations, config: EvaluateConfig
) -> dict[str, list[float]]:
    """Return the share of pairs ranked right, by least difference in epsilon."""
    scores = learned.score(demonstrations.trajectories)
    utterances = demonstrations.trajectories.utterance
    accuracy = {}
    for gap in GAPS:
        shares = pair_accuracy(scores, demonstrations.epsilon, utterances, min_gap=gap)
        if len(shares):
            accuracy[f"{gap:g}"] = _interval(shares, config)
    return accuracy


def write_per_utterance(
    rows: dict[Row, Figures], task: AnimationTask, utterances: IntArray, path: Path
) -> None:
    """Write every figure of every utterance, so that others can test their own hypotheses."""
    table: list[dict[str, Any]] = []
    for row, figures in rows.items():
        for number, utterance in enumerate(utterances):
            values = {name: float(figures[name][number]) for name in figures}
            table.append(
                {"row": row.label, "utterance": task.corpus.records[int(utterance)].id, **values}
            )
    write_rows(table, path)
