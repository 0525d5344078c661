"""An experiment that climbs a reward of its own: the run's, corrected by raters.

The run's reward model stays as it is, and so does the run. Of the recipe `consensus` the experiment
shares the model and has its own correction; of `paper`, it trains its own model from the ranks and
the pairs.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

from esarm_env.core.cache import read_json
from esarm_env.core.errors import InputError
from esarm_env.core.run_layout import (
    CONFIG_FILE,
    NATURALNESS_WEIGHTS,
    PREFERENCE_WEIGHTS,
    RATERS_FILE,
    REWARD_WEIGHTS,
    SUMMARY_FILE,
)
from esarm_env.task.opening import open_task
from train.experiments.folders import preference_settings
from train.preferences.learning import correct, judged_pairs
from train.rounds.folders import share_file
from train.run.setting_ranges import check_settings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reward.preference.settings import PreferenceConfig
    from train.run.run_folder import RunFolder


def check_preferences(run: RunFolder, config: PreferenceConfig) -> None:
    """Check that there is something to learn from, before a folder is made.

    Raises:
        InputError: If a file is none, or none of its answers can be used.
    """
    judged_pairs(config, open_task(run.path))


def own_reward(run: RunFolder, experiment: RunFolder) -> dict[str, Any]:
    """Give an experiment its own reward model, unless it has it; return its summary.

    Args:
        run: What the experiment stands on, finished up to `reward`.
        experiment: Whose `preferences` count.
    """
    if run.config.recipe == "paper":
        from train.stages.reward import run_reward

        return run_reward(experiment)
    return experiment.perform("reward", lambda folder: _corrected(run, experiment, folder))


def _corrected(run: RunFolder, experiment: RunFolder, folder: Path) -> dict[str, Any]:
    source, task = run.stage("reward"), open_task(experiment.path)
    judged = judged_pairs(experiment.config.preferences, task)
    for name in (REWARD_WEIGHTS, NATURALNESS_WEIGHTS):
        if (source / name).is_file() and not (folder / name).is_file():
            share_file(str(source / name), str(folder / name))
    for name in (PREFERENCE_WEIGHTS, RATERS_FILE):
        (folder / name).unlink(missing_ok=True)
    summary = read_json(source / SUMMARY_FILE, "a stage's summary")
    for gone in ("raters", "threads", "wall_s"):
        summary.pop(gone, None)
    return summary | correct(experiment, judged, folder, task)


def learn_later(run: RunFolder, files: Sequence[Path]) -> RunFolder:
    """Let a run whose stage `reward` is still to come learn from files of preferences.

    Raises:
        InputError: If the stage is finished, or a file is none.
    """
    if not files:
        return run
    settings = preference_settings(files)
    if run.is_finished("reward"):
        raise InputError(
            f"`preferences` must be given before the stage `reward`, which is finished in "
            f"{run.path}; try them on its clone, beside its reward: `esarm improve --from "
            f"{run.path} --as NAME --preferences {files[0]}`"
        )
    from train.run.config import make_config

    changed = make_config(preset="demo", file=run.path / CONFIG_FILE, overrides=settings)
    config = dataclasses.replace(run.config, preferences=changed.preferences)
    check_settings(config, ["reward"])
    run.change(config)
    return run
