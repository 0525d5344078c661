"""Folder of an experiment: a run folder below the run, with its stages up to the reward model.

`RUN/experiments/NAME/` has the run's settings but for those of `improve` (and the seed, if asked
for), so that every stage and command works in it. Weights take no room twice, see `copy_stage`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from agents.registry import ALGORITHMS
from esarm_env.core.cache import file_digest
from esarm_env.core.errors import InputError
from esarm_env.core.run_layout import (
    CLONE_FILE,
    CONFIG_FILE,
    ENCODER_FILE,
    EXPERIMENTS_FOLDER,
    REWARD_FILE,
    STAGES,
    TOKENIZER_FILE,
    experiment_folder,
    improved_policies,
    is_file,
    is_finished,
    speech_policies,
)
from train.run.config import make_config, to_dict
from train.run.run_folder import RunFolder, differences
from train.run.setting_ranges import check_settings

if TYPE_CHECKING:
    from train.run.config import Config

# Without `improve` and what comes after it.
SHARED_STAGES = STAGES[: STAGES.index("improve")]
_SHARED_FILES = (TOKENIZER_FILE, ENCODER_FILE, CLONE_FILE, REWARD_FILE)
_NAME = re.compile(r"\w[\w-]*")


def preference_settings(files: Sequence[Path]) -> tuple[str, ...]:
    """Return files given on the command line as `--set` settings, from wherever it is read.

    Raises:
        InputError: If one is no file.
    """
    for file in files:
        if not file.expanduser().is_file():
            raise InputError(
                f"`preferences` must be files of preferences, got {str(file)!r}, where no file is"
            )
    places = [str(file.expanduser().resolve()) for file in files]
    return (f"preferences.files={json.dumps(places)}",) if places else ()


def begin_experiment(run: RunFolder, name: str, settings: Sequence[str]) -> RunFolder:
    """Begin an experiment on the clone of a run, or go on with one of the same settings.

    Args:
        run: Finished up to `reward`.
        name: Of the experiment: letters, digits, - and _.
        settings: `KEY=VALUE` of the sections `improve` and `preferences`, or `seed`; none goes on
            with the settings that an experiment of this name was begun with.

    Raises:
        InputError: If a stage of the run is missing, the name is taken (also by an experiment with
            other settings), or a setting cannot be.
    """
    from train.rounds.folders import copy_stage  # all that rounds need, which reading does not

    _check_run(run)
    _check_name(name, run.path)
    folder = experiment_folder(run.path, name)
    begun = is_file(folder / CONFIG_FILE)
    if begun and not settings:
        made = RunFolder.open(folder)
    else:
        config = experiment_config(run, settings)
        if begun:
            _check_same(RunFolder.open(folder), config, name)
        elif has_own_reward(run, config):
            from train.preferences.experiment import check_preferences

            check_preferences(run, config.preferences)
        made = RunFolder.create(folder, config)
    own = has_own_reward(run, made.config)
    for stage in SHARED_STAGES[:-1] if own else SHARED_STAGES:
        if run.is_finished(stage):  # runs of before there were encoders have none
            copy_stage(run, folder, stage)
    if own:
        from train.preferences.experiment import own_reward

        own_reward(run, made)
    check_shared(run, made)
    return made


def has_own_reward(run: RunFolder, config: Config) -> bool:
    """Return whether an experiment's reward is corrected by other raters than its run's."""
    return config.preferences != run.config.preferences


def experiment_config(run: RunFolder, settings: Sequence[str]) -> Config:
    """Return the settings of an experiment: the run's, its first algorithm alone, and `settings`.

    Raises:
        InputError: If one is of an earlier stage, or out of its range.
    """
    for setting in settings:
        key = setting.partition("=")[0].strip()
        if key != "seed" and key.partition(".")[0] not in ("improve", "preferences"):
            raise InputError(
                "`--set` must be a setting of `improve` or `preferences`, or `seed`, for an "
                f"experiment, got {key!r}; what earlier stages read needs a run of its own: "
                f"`esarm run --run NEW --config {run.path / CONFIG_FILE} --set {setting}`"
            )
    first = f"improve.algorithms=[{run.config.improve.algorithms[0]!r}]"
    config = make_config(preset="demo", file=run.path / CONFIG_FILE, overrides=(first, *settings))
    own = has_own_reward(run, config)
    check_settings(config, [*(["reward"] if own else []), "improve", "evaluate"])
    return config


def experiments_of(run: RunFolder) -> dict[str, Path]:
    """Return the folders of the experiments of a run that were begun, finished or not, by name."""
    files = sorted((run.path / EXPERIMENTS_FOLDER).glob(f"[!.]*/{CONFIG_FILE}"))
    return {file.parent.name: file.parent for file in files}


def check_shared(run: RunFolder, experiment: RunFolder) -> None:
    """Check that an experiment stands on the weights that its run has now.

    Raises:
        InputError: If the run was trained anew since.
    """
    trained_on_pairs = run.config.recipe == "paper" and has_own_reward(run, experiment.config)
    for name in _SHARED_FILES[:-1] if trained_on_pairs else _SHARED_FILES:
        files = run.path / name, experiment.path / name
        if not all(map(is_file, files)) or files[0].samefile(files[1]):
            continue
        if file_digest(files[0]) != file_digest(files[1]):
            raise InputError(
                f"{experiment.path}: must stand on {name} of its run, got another (the run was "
                "trained anew since); delete the experiment, or choose another --as"
            )


def _check_run(run: RunFolder) -> None:
    if run.path.resolve().parent.name == EXPERIMENTS_FOLDER:
        raise InputError(
            f"`from` must be the run itself, got its experiment {run.path}; "
            f"use `--from {run.path.parent.parent}`"
        )
    missing = [
        stage for stage in SHARED_STAGES if stage != "encoder" and not is_finished(run.path, stage)
    ]
    if missing:
        raise InputError(
            f"`from` must be a run finished up to `reward`, got {run.path} without "
            f"{', '.join(f'`{stage}`' for stage in missing)}; go on with `esarm run --run "
            f"{run.path}`, or `esarm {missing[0]} --run {run.path}` for the next stage alone"
        )


def _check_name(name: str, run_path: Path) -> None:
    taken = {"clone", "auto", *ALGORITHMS.names()}
    taken |= {*improved_policies(run_path), *speech_policies(run_path)}
    if not _NAME.fullmatch(name):
        raise InputError(f"`as` must be letters, digits, - and _, got {name!r}")
    if name in taken:
        raise InputError(
            f"`as` must be another name than {', '.join(sorted(taken))}, which are policies of the "
            f"run, got {name!r}"
        )


def _check_same(before: RunFolder, config: Config, name: str) -> None:
    """Refuse other settings under a name that is taken."""
    old, new = to_dict(before.config), to_dict(config)
    changed = differences(old, new)
    if changed:
        said = ", ".join(f"{k} {_at(new, k)} after {_at(old, k)}" for k in changed[:3])
        raise InputError(
            f"`as` must be a new name, or an experiment of the same settings, got {name!r} with "
            f"other settings ({said}); choose another --as, or delete {before.path}"
        )


def _at(values: object, key: str) -> object:
    for part in key.split("."):
        values = values.get(part, "none") if isinstance(values, dict) else "none"
    return values
