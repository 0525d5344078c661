"""Rewards `expected-error` and `naturalness`: the two heads of a run's reward model, each alone.

torch is imported when something is opened or scored, so that listing rewards stays quick.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from esarm_env.core.errors import InputError, NotInRunError
from esarm_env.core.run_layout import (
    NATURALNESS_WEIGHTS,
    PREFERENCE_WEIGHTS,
    REWARD_FILE,
    REWARD_WEIGHTS,
    is_file,
)
from esarm_env.core.shipped import MANIFEST_FILE
from reward.plugins.learned import LearnedReward, open_model
from reward.shared import reward_place

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from esarm_env.core.types import DoubleArray, RewardFunction, Trajectories
    from esarm_env.rewards.combined import CombinedReward
    from esarm_env.task.animation_task import AnimationTask
    from reward.naturalness.heads import TwoHeadedModel
    from reward.naturalness.network import NaturalnessModel
    from reward.preference.corrected import CorrectedModel
    from reward.scoring import RewardModel


class TwoHeadedReward(LearnedReward):
    """The sum of both heads of a run's reward model; each is a term of a weighted sum."""

    def __init__(self, task: AnimationTask, model: TwoHeadedModel) -> None:
        """Score animations of `task` with both heads of `model`."""
        super().__init__(task, model)
        from reward.naturalness.heads import EXPECTED_ERROR, NATURALNESS

        self._parts: dict[str, tuple[float, RewardFunction]] = {
            EXPECTED_ERROR: (1.0, LearnedReward(task, model.expected_error)),
            NATURALNESS: (model.weight, LearnedReward(task, model.naturalness)),
        }

    @property
    def parts(self) -> Mapping[str, tuple[float, RewardFunction]]:
        """Weight and reward of each head by its name: what a weighted sum shows in its place."""
        return self._parts


def open_expected_error(task: AnimationTask, run: Path | None, argument: str = "") -> LearnedReward:
    """Minus the error that a run's clone expects; of the run, or `expected-error:PATH`."""
    return LearnedReward(task, open_model(_place(run, argument, "expected-error"), task))


def open_naturalness(task: AnimationTask, run: Path | None, argument: str = "") -> LearnedReward:
    """Log-odds that a face was recorded, not written by a policy; or `naturalness:PATH`."""
    place = _place(run, argument, "naturalness")
    model = naturalness_beside(place, task)
    if model is None and (place / MANIFEST_FILE).is_file():
        raise NotInRunError(
            f"{place}: must hold a naturalness model for the reward `naturalness`, got what ships "
            "with the package, whose reward model tells expected errors alone; name a finished run "
            "of yours, `naturalness:RUN`, or choose `expected-error`"
        )
    if model is None:
        raise NotInRunError(
            f"{place}: must hold a naturalness model ({NATURALNESS_WEIGHTS}) for the reward "
            "`naturalness`, got a reward model of expected errors alone, as of older versions, the "
            "recipe `paper` and `naturalness.weight=0`; train it again with `esarm reward`, or "
            "choose `expected-error`"
        )
    return LearnedReward(task, model)


class CorrectedReward(LearnedReward):
    """A run's reward model with what raters prefer; each is a term of a weighted sum."""

    def __init__(self, task: AnimationTask, model: CorrectedModel) -> None:
        """Score animations of `task` with a corrected model."""
        super().__init__(task, model)
        from reward.naturalness.heads import EXPECTED_ERROR, TwoHeadedModel
        from reward.preference.corrected import PREFERENCE, PreferredAlone

        base = model.base
        kept = float(model.preference.kept)
        whole: dict[str, tuple[float, RewardFunction]] = (
            dict(TwoHeadedReward(task, base).parts)
            if isinstance(base, TwoHeadedModel)
            else {EXPECTED_ERROR: (1.0, LearnedReward(task, base))}
        )
        self._parts = {name: (kept * weight, part) for name, (weight, part) in whole.items()}
        self._parts[PREFERENCE] = (1.0, LearnedReward(task, PreferredAlone(model)))

    @property
    def parts(self) -> Mapping[str, tuple[float, RewardFunction]]:
        """Weight and reward of each part by its name: what a weighted sum shows in its place."""
        return self._parts


def open_both_heads(task: AnimationTask, place: Path) -> LearnedReward:
    """Return the reward of a run folder or weights file, with all heads and what raters prefer."""
    from reward.naturalness.heads import TwoHeadedModel
    from reward.preference.corrected import CorrectedModel

    model = open_whole_model(place, task)
    if isinstance(model, CorrectedModel):
        return CorrectedReward(task, model)
    if isinstance(model, TwoHeadedModel):
        return TwoHeadedReward(task, model)
    return LearnedReward(task, model)


def open_whole_model(place: Path, task: AnimationTask) -> RewardModel:
    """Read the reward model of a run folder or weights file, with all that stands beside it.

    Raises:
        InputError: As of `open_model`, or if the heads do not fit each other.
    """
    model = open_heads(place, task)
    file = _beside(place, PREFERENCE_WEIGHTS)
    if file is None:
        return model
    from reward.preference.corrected import CorrectedModel
    from reward.preference.network import load_preference

    return CorrectedModel(model, load_preference(file))


def open_heads(place: Path, task: AnimationTask) -> RewardModel:
    """Read a reward model with both heads if there are two, without what raters prefer.

    Raises:
        InputError: As of `open_whole_model`.
    """
    model, naturalness = open_model(place, task), naturalness_beside(place, task)
    if naturalness is None:
        return model
    from reward.naturalness.heads import TwoHeadedModel

    return TwoHeadedModel(model, naturalness, weight=naturalness.config.weight)


def scores_by_head(
    reward: CombinedReward,
) -> Callable[[Trajectories], dict[str, DoubleArray]] | None:
    """Return what scores animations by each head of a sum, weighted; None if it has not both.

    For an alarm: neither head may be climbed at the other's cost unseen.
    """
    from reward.naturalness.heads import EXPECTED_ERROR, NATURALNESS

    weights = {
        name: weight
        for name, weight in reward.weights.items()
        if weight and name.partition(":")[0] in (EXPECTED_ERROR, NATURALNESS)
    }
    if len({name.partition(":")[0] for name in weights}) < 2:
        return None

    def by_head(written: Trajectories) -> dict[str, DoubleArray]:
        terms = reward.score_terms(written).terms
        return {name: weight * terms[name].astype(np.float64) for name, weight in weights.items()}

    return by_head


def naturalness_beside(place: Path, task: AnimationTask) -> NaturalnessModel | None:
    """Return the naturalness model of a run folder, or beside its reward model; None without one.

    Args:
        place: A run folder, or a `.safetensors` file: the reward model's or the naturalness
            model's. Another model that lies there, such as the ceiling, has no second head.
        task: What is to be scored.

    Raises:
        InputError: If it is damaged, or reads other chunks or conditions than those of `task`.
    """
    file = _beside(place, NATURALNESS_WEIGHTS)
    if file is None:
        return None
    from reward.naturalness.network import load_naturalness

    model = load_naturalness(file)
    expected = (task.features.dim * task.tokenizer.frames_per_chunk, task.condition_dim)
    if (model.audio_dim, model.condition_dim) != expected:
        raise InputError(
            f"{file}: must hold a naturalness model for the task's {expected[0]} audio values a "
            f"chunk and {expected[1]} columns of conditions, got one for {model.audio_dim} and "
            f"{model.condition_dim}; it was trained with other features or speakers"
        )
    return model


def _beside(place: Path, name: str) -> Path | None:
    """Return the file `name` of a run folder, or beside its reward model; None without one."""
    file = place.expanduser()
    if file.suffix != ".safetensors":
        file = file / REWARD_FILE
    if file.name == REWARD_WEIGHTS:
        file = file.with_name(name)
    return file if file.name == name and is_file(file) else None


def _place(run: Path | None, argument: str, name: str) -> Path:
    if argument:
        return reward_place(argument)
    if run is None:
        raise InputError(
            f"`run` must be a run folder for the reward `{name}`, got none; "
            "train one with `esarm run`, or choose the reward `accuracy`"
        )
    return run
