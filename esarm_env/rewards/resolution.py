"""From what a user wrote to the reward an environment pays."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from esarm_env.core.errors import InputError, MissingExtraError
from esarm_env.core.run_layout import REWARD_FILE
from esarm_env.core.types import RewardFunction
from esarm_env.rewards.combined import CombinedReward, RewardTerm
from esarm_env.rewards.registry import InstalledReward, find_rewards
from esarm_env.rewards.validation import RewardError

if TYPE_CHECKING:
    from esarm_env.task.animation_task import AnimationTask

WITH_MODEL, WITHOUT_MODEL = "learned", "accuracy"

RewardChoice = str | RewardFunction | Mapping[str, float] | None


def resolve_reward(
    reward: RewardChoice, task: AnimationTask, run: str | Path | None
) -> CombinedReward:
    """Return the reward that `reward` stands for, as a weighted sum of one or more terms.

    Args:
        reward: One of
            - a registered name, such as `learned`;
            - `NAME:ARGUMENT`, such as `learned:runs/demo`, where the factory takes an argument;
            - an object with `score` and `needs_ground_truth`; its term is called by its attribute
              `name`, or without one by its class;
            - a mapping of names, with or without argument, to weights;
            - None: `learned` where `run` holds a reward model, else `accuracy`.
        task: What the animations belong to, handed to the factories.
        run: Likewise; None without a run folder.

    Raises:
        InputError: If a name is unknown, a weight is not finite, an object cannot score, or a
            factory refuses what it is given.
        RewardError: If a factory fails.
    """
    if isinstance(reward, CombinedReward):
        return reward
    folder = None if run is None else Path(run)
    if reward is None:
        trained = folder is not None and (folder / REWARD_FILE).is_file()
        reward = WITH_MODEL if trained else WITHOUT_MODEL
    if isinstance(reward, str):
        reward = {reward: 1.0}
    if not isinstance(reward, Mapping):
        rule = "`reward` must be a name, a mapping of names to weights, or an object"
        term = RewardTerm(_own_name(reward), 1.0, _scoring(reward, rule))
        return CombinedReward(task.corpus, [term])
    if not reward:
        raise InputError(f"`reward` must hold at least one term, got {reward!r}")
    known = find_rewards()
    terms = []
    for text, weight in reward.items():
        if not isinstance(text, str):
            raise InputError(
                f"`reward` must map names to weights, got {text!r} for a name; "
                "name yours with `esarm_env.rewards.register_reward`"
            )
        terms.append(RewardTerm(text, weight, _make(text, known, task, folder)))
    return CombinedReward(task.corpus, terms)


def _make(
    text: str, known: dict[str, InstalledReward], task: AnimationTask, run: Path | None
) -> RewardFunction:
    """Return the reward called `text`: `NAME` or `NAME:ARGUMENT`."""
    name, colon, argument = text.partition(":")
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise InputError(f"`reward` must be one of {', '.join(known)}, got {text!r}{hint}")
    installed = known[name]
    factory = installed.load()
    given = "required" if colon else "none"
    if installed.argument not in (given, "optional") or (colon and not argument):
        raise InputError(f"`reward` must be given as {installed.usage!r}, got {text!r}")
    extra = {"argument": argument} if colon else {}
    try:
        made = factory(task, run, **extra)
    except (InputError, MissingExtraError, RewardError):
        raise
    except Exception as error:
        raise RewardError(
            f"reward {text!r} must be made without an error, got {type(error).__name__}: {error}"
        ) from error
    return _scoring(made, f"the factory of reward {name!r} must return an object")


def _scoring(reward: Any, rule: str) -> RewardFunction:
    """Return `reward` if it can score."""
    if inspect.isclass(reward):
        raise InputError(f"{rule}, got the class {reward.__name__}; call it first")
    if not isinstance(reward, RewardFunction) or not callable(reward.score):
        raise InputError(
            f"{rule} with `score` and `needs_ground_truth`, got {type(reward).__name__}"
        )
    if not isinstance(reward.needs_ground_truth, bool):
        raise InputError(
            f"`needs_ground_truth` of {type(reward).__name__} must be True or False, "
            f"got {reward.needs_ground_truth!r}"
        )
    return reward


def _own_name(reward: Any) -> str:
    name = getattr(reward, "name", None)
    return name if isinstance(name, str) and name else type(reward).__name__
