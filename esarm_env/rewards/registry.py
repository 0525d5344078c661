"""Registry of rewards, and resolution of a name, an object or weights into one reward."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from esarm_env.core.errors import InputError, MissingExtraError
from esarm_env.core.hub.folders import local_folder
from esarm_env.core.plugins import Check, Plugin, PluginRegistry, unknown_name
from esarm_env.core.run_layout import REWARD_FILE
from esarm_env.core.types import RewardFunction
from esarm_env.rewards.combined import CombinedReward, RewardTerm
from esarm_env.rewards.validation import RewardError

if TYPE_CHECKING:
    from esarm_env.task.animation_task import AnimationTask

REWARD_GROUP = "esarm.rewards"
WITH_MODEL, WITHOUT_MODEL = "learned", "accuracy"

# Called as `factory(task, run)`, or with `argument=` where `NAME:ARGUMENT` was asked for.
RewardFactory = Callable[..., RewardFunction]
RewardChoice = str | RewardFunction | Mapping[str, float] | None


def _check_factory(value: object) -> RewardFactory:
    if not callable(value):
        raise TypeError(f"its entry point is a {type(value).__name__}, not a factory")
    factory: RewardFactory = value
    return factory


REWARDS: PluginRegistry[RewardFactory] = PluginRegistry(
    "reward", REWARD_GROUP, check=_check_factory
)


@dataclass(frozen=True)
class InstalledReward(Plugin[RewardFactory]):
    """A reward that can be asked for by name; see `Plugin` for what is not said here."""

    check: Check[RewardFactory] = field(default=_check_factory, repr=False, compare=False)
    kind: str = "reward"

    @property
    def _factory(self) -> RewardFactory | None:
        return None if self.error is not None else self.load()

    @property
    def needs_ground_truth(self) -> bool | None:
        """Whether it looks at the recorded motion; None where that shows only once it is made.

        It shows where the factory is the reward's class, or is annotated to return one, and the
        class says so.
        """
        made: Any = self._factory
        if not inspect.isclass(made):
            made = getattr(made, "__annotations__", {}).get("return")
        if isinstance(made, str):  # as under `from __future__ import annotations`
            made = getattr(self._factory, "__globals__", {}).get(made)
        needs = getattr(made, "needs_ground_truth", None)
        return needs if isinstance(needs, bool) else None

    @property
    def argument(self) -> Literal["none", "optional", "required"]:
        """Whether the name may or must be followed by `:ARGUMENT`."""
        if self._factory is None:
            return "none"
        try:
            parameters = inspect.signature(self._factory).parameters
        except (TypeError, ValueError):  # as of functions written in C
            return "none"
        if "argument" in parameters:
            required = parameters["argument"].default is inspect.Parameter.empty
            return "required" if required else "optional"
        kinds = {parameter.kind for parameter in parameters.values()}
        return "optional" if inspect.Parameter.VAR_KEYWORD in kinds else "none"

    @property
    def usage(self) -> str:
        """The name as it is given, for instance `learned[:ARGUMENT]`."""
        suffix = {"none": "", "optional": "[:ARGUMENT]", "required": ":ARGUMENT"}
        return self.name + suffix[self.argument]


def register_reward(name: str, factory: RewardFactory, *, replace: bool = False) -> None:
    """Let `name` stand for a reward in this process, beside those of installed packages.

    Worker processes do not know it; a package registers one for good through the entry-point
    group `esarm.rewards`.

    Args:
        name: Without spaces and colons.
        factory: Called with the task and the run folder (a path or None); returns the reward. If
            it has a parameter `argument`, the name may be given as `NAME:ARGUMENT`. The class of
            the reward may be its own factory.
        replace: Whether a name that is taken may be taken over, also from a package.

    Raises:
        InputError: If the name is taken or cannot be one, or the factory cannot be called.
    """
    if not callable(factory):
        raise InputError(
            f"`factory` must be callable with (task, run), got {type(factory).__name__}; "
            "a finished reward needs no name: hand it over as `reward`"
        )
    REWARDS.register(name, factory, replace=replace)


def reward_names() -> tuple[str, ...]:
    """Return the names that can be asked for, sorted; imports nothing."""
    return REWARDS.names()


def find_rewards() -> dict[str, InstalledReward]:
    """Return what can be asked for by name, sorted by it; imports nothing."""
    return {
        name: InstalledReward(name, plugin.package, plugin.source)
        for name, plugin in REWARDS.find().items()
    }


def check_without_recordings(text: str) -> None:
    """Check that a reward, by its name, may score speech without recorded motion.

    What shows only once the reward is made passes; nothing else is imported than the reward.

    Raises:
        InputError: If the name is unknown, or the reward looks at the recorded motion.
    """
    known = find_rewards()
    name = text.partition(":")[0]
    if name not in known:
        fit = {each: found for each, found in known.items() if not found.needs_ground_truth}
        raise InputError(unknown_name(name, fit, setting="reward", kind="reward", given=text))
    if known[name].needs_ground_truth:
        raise needs_recordings(text, lacking="a recording of speech")


def needs_recordings(name: object, *, lacking: str) -> InputError:
    """Return the refusal of a reward that looks at recorded motion, which `lacking` does without.

    Args:
        name: As it was given.
        lacking: What is to be scored.
    """
    return InputError(
        f"`reward` must not need the recorded motion, which {lacking} lacks, got {name!r}; "
        "`esarm plugins` lists rewards that need none"
    )


def resolve_reward(
    reward: RewardChoice, task: AnimationTask, run: str | Path | None
) -> CombinedReward:
    """Return the reward that `reward` stands for, as a weighted sum of one or more terms.

    A reward that is itself a sum of `parts`, as `learned` is where a run's reward model has two
    heads, gives a term for each.

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
    folder = None if run is None else local_folder(run)
    if reward is None:
        trained = folder is not None and (folder / REWARD_FILE).is_file()
        reward = WITH_MODEL if trained else WITHOUT_MODEL
    if isinstance(reward, str):
        reward = {reward: 1.0}
    if not isinstance(reward, Mapping):
        rule = "`reward` must be a name, a mapping of names to weights, or an object"
        function = _scoring(reward, rule)
        return CombinedReward(task.corpus, _terms_of(_own_name(reward), 1.0, function))
    if not reward:
        raise InputError(f"`reward` must hold at least one term, got {reward!r}")
    known = find_rewards()
    terms: list[RewardTerm] = []
    for text, weight in reward.items():
        if not isinstance(text, str):
            raise InputError(
                f"`reward` must map names to weights, got {text!r} for a name; "
                "name yours with `esarm_env.rewards.register_reward`"
            )
        terms += _terms_of(text, weight, _make(text, known, task, folder))
    return CombinedReward(task.corpus, _added_up(terms))


def _terms_of(text: str, weight: float, function: RewardFunction) -> list[RewardTerm]:
    """Return a reward as a term; in place of one with `parts`, these, so that each stays visible.

    `parts` maps names to weight and reward; `NAME:ARGUMENT` has the same argument for each.
    """
    whole = RewardTerm(text, weight, function)
    parts: Mapping[str, tuple[float, RewardFunction]] = getattr(function, "parts", None) or {}
    _, colon, argument = text.partition(":")
    return [
        RewardTerm(f"{name}{colon}{argument}", whole.weight * share, part)
        for name, (share, part) in parts.items()
    ] or [whole]


def _added_up(terms: list[RewardTerm]) -> list[RewardTerm]:
    """Return `terms` with the weights of equal names added up: a part may be asked for as well."""
    weights: dict[str, float] = {}
    for term in terms:
        weights[term.name] = weights.get(term.name, 0.0) + term.weight
    functions = {term.name: term.function for term in reversed(terms)}
    return [RewardTerm(name, weight, functions[name]) for name, weight in weights.items()]


def _make(
    text: str, known: dict[str, InstalledReward], task: AnimationTask, run: Path | None
) -> RewardFunction:
    """Return the reward called `text`: `NAME` or `NAME:ARGUMENT`."""
    name, colon, argument = text.partition(":")
    if name not in known:
        raise InputError(unknown_name(name, known, setting="reward", kind="reward", given=text))
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
