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
from esarm_env.task.opening import open_task
from reward.plugins.learned import open_learned
from train.rows import TOKENIZER, Row, rows_to_json, sampled
from train.run.loop import progress_track
from train.run.own_code import own_rewards, register_own_code
from train.run.run_folder import without_nan
from train.run.settings.reward_setting import reward_text
from train.stages.baselines import baseline_motions
from train.stages.evaluate import (
    draw_test,
    on_head,
    summarise_rows,
    without_chance,
    write_per_utterance,
)
from train.stages.measures import CLIMBED, Scorers

if TYPE_CHECKING:
    from agents.network.transformer import MotionTransformer
    from esarm_env.core.types import Trajectories
    from esarm_env.task.animation_task import AnimationTask
    from train.run.run_folder import RunFolder
    from train.stages.measures import Figures


def measure_experiment(run: RunFolder, base: RunFolder | None = None) -> dict[str, Any]:
    """Measure the policies of an experiment beside the clone, unless that is done; return what.

    Args:
        run: The experiment, finished up to `improve`.
        base: The run that it stands on, whose reward model gives the learned score where the
            experiment's is another; None for its own.
    """
    files = {
        name: run.stage("improve") / name / POLICY_FILE for name in run.config.improve.algorithms
    }
    policies = {name: load_policy(file) for name, file in files.items()}
    return measure_policies(run, policies, run.path, base=base)


def measure_policies(
    run: RunFolder,
    policies: Mapping[str, MotionTransformer],
    place: Path,
    *,
    base: RunFolder | None = None,
) -> dict[str, Any]:
    """Write figures of the clone, the baselines and `policies` into `place/measured/`, once.

    Args:
        run: With all stages up to `reward`; its `improve.reward` is what was climbed.
        policies: By name; none is called `clone`.
        place: A folder; `per_utterance.csv` and `summary.json` appear in it together.
        base: As of `measure_experiment`.

    Returns:
        The summary.
    """
    folder = place / MEASURED_FOLDER
    if not is_finished(place, MEASURED_FOLDER):
        partial = partial_folder(place, MEASURED_FOLDER)
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        summary = _measure_all(run, policies, partial, base)
        text = json.dumps(without_nan(summary), indent=1, allow_nan=False)
        write_text(partial / SUMMARY_FILE, text)
        partial.rename(folder)
    return read_json(folder / SUMMARY_FILE, "a summary", remedy=f"delete {folder}")


def _measure_all(
    run: RunFolder,
    policies: Mapping[str, MotionTransformer],
    folder: Path,
    base: RunFolder | None,
) -> dict[str, Any]:
    """Write every figure of every test utterance; return the summary."""
    since = time.monotonic()
    register_own_code(own_rewards(run.config.improve))
    task = on_head(open_task(run.path), run.config.evaluate.head)
    test = task.corpus.split("test")
    scorers = Scorers.of(run, task, open_learned(task, run.path))
    reward = reward_text(run.config.improve.reward)
    if base is not None and base.config.preferences != run.config.preferences:
        climbed = scorers.climbed or scorers.learned
        scorers = Scorers(task, open_learned(task, base.path), climbed)
        reward += ", corrected by raters"
    models = {"clone": load_policy(need_file(run.path, CLONE_FILE)), **policies}
    rows: dict[Row, Figures] = {}
    with progress_track("Measuring", len(models)) as bar:
        rows[Row(TOKENIZER)] = scorers.written([task.recorded(test)])
        for row, motions in baseline_motions(task, test).items():
            rows[row] = scorers.shown(motions)
        for name, model in models.items():
            for row, written in _written(run, task, name, model).items():
                rows[row] = scorers.written(written)
            bar.advance(bar.task_ids[0])
    for figures in rows.values():
        figures.setdefault(CLIMBED, figures["score"])  # where that is what was climbed
    write_per_utterance(rows, task, test, folder / PER_UTTERANCE_FILE)
    return {
        "utterances": len(test),
        "reward": reward,
        "rows": rows_to_json(summarise_rows(rows, run.config.evaluate)),
        "wall_s": round(time.monotonic() - since, 1),
    }


def _written(
    run: RunFolder, task: AnimationTask, name: str, model: MotionTransformer
) -> dict[Row, list[Trajectories]]:
    """Return the test animations of a policy by decoding, as the stage `evaluate` makes them."""
    found = {row: [one] for row, one in without_chance(run, task, {name: model}).items()}
    found[sampled(name)] = draw_test(run, task, model, temperature=1.0)
    return found
