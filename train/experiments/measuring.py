"""True errors, learned score and climbed reward of policies on the test utterances.

By the functions of the stage `evaluate`, with the same seeds, so that a figure of the clone here is
the figure of the clone there. What is compared is the climbed reward as well: of the clone it is
known here alone.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from agents.rollout.decoding import Decoding
from agents.weights import load_policy
from esarm_env.core.cache import read_json, write_text
from esarm_env.core.run_layout import (
    CLONE_FILE,
    MEASURED_FOLDER,
    PER_UTTERANCE_FILE,
    POLICY_FILE,
    SUMMARY_FILE,
    is_finished,
    need_file,
    partial_folder,
)
from esarm_env.rewards.registry import WITH_MODEL, resolve_reward
from esarm_env.task.animation_task import pad_stack
from esarm_env.task.opening import open_task
from reward.plugins.learned import LearnedReward, open_learned
from train.rows import TOKENIZER, Row, rows_to_json, sampled
from train.run.loop import progress_track
from train.run.reward_setting import CLIMBED, reward_text
from train.run.run_folder import without_nan
from train.stages.baselines import baseline_motions
from train.stages.evaluate import (
    animate_test,
    on_head,
    summarise_rows,
    without_chance,
    write_per_utterance,
)
from train.stages.measures import error_without_lids

if TYPE_CHECKING:
    from agents.network.transformer import MotionTransformer
    from esarm_env.core.types import FloatArray, RewardFunction, Trajectories
    from esarm_env.task.animation_task import AnimationTask
    from train.run.run_folder import RunFolder

    Figures = dict[str, FloatArray]


def measure_experiment(run: RunFolder) -> dict[str, Any]:
    """Measure the policies of an experiment beside the clone, unless that is done; return what.

    Args:
        run: The experiment, finished up to `improve`.
    """
    files = {
        name: run.stage("improve") / name / POLICY_FILE for name in run.config.improve.algorithms
    }
    policies = {name: load_policy(file) for name, file in files.items()}
    return measure_policies(run, policies, run.path)


def measure_policies(
    run: RunFolder, policies: Mapping[str, MotionTransformer], place: Path
) -> dict[str, Any]:
    """Write figures of the clone, the baselines and `policies` into `place/measured/`, once.

    Args:
        run: With all stages up to `reward`; its `improve.reward` is what was climbed.
        policies: By name; none is called `clone`.
        place: A folder; `per_utterance.csv` and `summary.json` appear in it together.

    Returns:
        The summary.
    """
    folder = place / MEASURED_FOLDER
    if not is_finished(place, MEASURED_FOLDER):
        partial = partial_folder(place, MEASURED_FOLDER)
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        summary = _measure_all(run, policies, partial)
        text = json.dumps(without_nan(summary), indent=1, allow_nan=False)
        write_text(partial / SUMMARY_FILE, text)
        partial.rename(folder)
    return read_json(folder / SUMMARY_FILE, "a summary", remedy=f"delete {folder}")


def _measure_all(
    run: RunFolder, policies: Mapping[str, MotionTransformer], folder: Path
) -> dict[str, Any]:
    """Write every figure of every test utterance; return the summary."""
    since = time.monotonic()
    task = on_head(open_task(run.path), run.config.evaluate.head)
    test, learned = task.corpus.split("test"), open_learned(task, run.path)
    reward = resolve_reward(run.config.improve.reward, task, run.path)
    other = None if run.config.improve.reward == WITH_MODEL else reward
    models = {"clone": load_policy(need_file(run.path, CLONE_FILE)), **policies}
    rows: dict[Row, Figures] = {}
    baselines = baseline_motions(task, test)
    with progress_track("Measuring", len(models)) as bar:
        rows[Row(TOKENIZER)] = _figures(task, learned, other, [task.recorded(test)])
        for row, motions in baselines.items():
            figures = _figures_of_motion(task, learned, motions)
            # A reward scores tokens, and these animations have none.
            unknown = np.full(len(test), np.nan, dtype=np.float32)
            rows[row] = figures | {CLIMBED: figures["score"] if other is None else unknown}
        for name, model in models.items():
            for row, written in _written(run, task, name, model).items():
                rows[row] = _figures(task, learned, other, written)
            bar.advance(bar.task_ids[0])
    write_per_utterance(rows, task, test, folder / PER_UTTERANCE_FILE)
    return {
        "utterances": len(test),
        "reward": reward_text(run.config.improve.reward),
        "rows": rows_to_json(summarise_rows(rows, run.config.evaluate)),
        "wall_s": round(time.monotonic() - since, 1),
    }


def _written(
    run: RunFolder, task: AnimationTask, name: str, model: MotionTransformer
) -> dict[Row, list[Trajectories]]:
    """Return the test animations of a policy by decoding, as the stage `evaluate` makes them."""
    found = {row: [one] for row, one in without_chance(run, task, {name: model}).items()}
    found[sampled(name)] = [
        animate_test(run, task, model, Decoding(temperature=1.0), sample=number)
        for number in range(run.config.evaluate.samples)
    ]
    return found


def _figures(
    task: AnimationTask,
    learned: LearnedReward,
    other: RewardFunction | None,
    samples: list[Trajectories],
) -> Figures:
    """Return figures per utterance; the climbed reward is the learned score without `other`."""
    rows = []
    for written in samples:
        score = learned.score(written)
        climbed = score if other is None else np.asarray(other.score(written), dtype=np.float32)
        lids = error_without_lids(task, task.decode(written), written.utterance)
        rows.append(task.errors(written) | lids | {"score": score, CLIMBED: climbed})
    return {name: np.mean([row[name] for row in rows], axis=0) for name in rows[0]}


def _figures_of_motion(
    task: AnimationTask, learned: LearnedReward, motions: list[FloatArray]
) -> Figures:
    """Return figures per test utterance of motion that no tokens stand for, (T, 52) each."""
    test = task.corpus.split("test")
    padded = pad_stack(motions, edge=True)
    errors = task.errors_of_motion(padded, test) | error_without_lids(task, padded, test)
    return errors | {"score": learned.score_motion(test, motions)}
