"""Base of all algorithms here: fingerprint of the task, checked loading, progress bar.

A task tells by an attribute `fingerprint`, a digest by part (`tokenizer`, `corpus`). Tasks without
it are taken as they are.
"""

from __future__ import annotations

import difflib
import io
import pathlib
from collections.abc import Iterable
from typing import Any, ClassVar, TypeVar

import torch
from gymnasium import Space, spaces
from gymnasium.vector import VectorEnv
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback, CallbackList, ProgressBarCallback
from stable_baselines3.common.type_aliases import GymEnv, MaybeCallback, TensorDict
from stable_baselines3.common.utils import check_for_correct_spaces
from stable_baselines3.common.vec_env import VecEnv

from agents.common.callback_frequencies import Plan, warn_of_frequencies
from agents.common.checkpoint_file import (
    checkpoint_path,
    read_checkpoint,
    read_old_checkpoint,
    write_checkpoint,
)
from agents.common.checkpoint_values import attribute_of, check_policy, check_states, check_values
from agents.protocols import find_in_env
from esarm_env.core.deprecation import renamed_keys
from esarm_env.core.errors import InputError

ALGORITHM = "algorithm"  # in a checkpoint: whose it is
_UNFIT = (TypeError, KeyError, AttributeError, IndexError, RuntimeError, AssertionError)


class TokenProgressBar(ProgressBarCallback):
    """Counts `num_timesteps`; its base counts one step per environment and call."""

    def _on_training_start(self) -> None:
        super()._on_training_start()
        self._before = self.model.num_timesteps

    def _on_step(self) -> bool:
        done = self.model.num_timesteps - self._before
        # Whole episodes go past the total, which is where the bar ends.
        self.pbar.update(min(done, self.pbar.total) - self.pbar.n)
        return True


Fingerprint = dict[str, str]


def fingerprint_of(task: Any) -> Fingerprint | None:
    """Return a copy of the fingerprint of `task`, None if it has none."""
    found = getattr(task, "fingerprint", None)
    return None if found is None else dict(found)


def check_fingerprint(found: Fingerprint | None, *, trained: Fingerprint | None) -> None:
    """Check that a task is the one that an agent was trained on, as far as both can tell.

    Args:
        found: Of the task.
        trained: Of the agent.

    Raises:
        ValueError: If a part differs.
    """
    ours, theirs = trained or {}, found or {}
    others = [part for part in sorted(ours.keys() & theirs.keys()) if ours[part] != theirs[part]]
    if others:
        details = ", ".join(f"{p} {theirs[p]:.12} instead of {ours[p]:.12}" for p in others)
        raise ValueError(
            f"`env` must have the {' and the '.join(others)} that the agent was trained with, got "
            f"{details}; to go on with it all the same, pass "
            "`custom_objects={'task_fingerprint': None}` to `load`, or set `task_fingerprint` to "
            "None before `set_env`"
        )


SavePath = str | pathlib.Path | io.BufferedIOBase
Self = TypeVar("Self", bound="CheckedAlgorithm")

_SB3_MISMATCH = "spaces do not match"
_OTHER_SPACES = (
    "`env` must have the spaces that the agent was trained with, those of another tokenizer, "
    "corpus or observation do not fit"
)


def other_spaces(error: ValueError, trained: Any, env: Any) -> ValueError:
    """Return in words why an environment has other spaces than those of the training."""
    both = [getattr(each, "spaces", {}) for each in (trained, getattr(env, "observation_space", 0))]
    steps = [parts.get("step") for parts in both if isinstance(parts, dict)]
    longest = [int(step.high[0]) for step in steps if isinstance(step, spaces.Box)]
    hint = ""
    if len(set(longest)) == 2:
        hint = (
            f"; its longest utterance has {longest[1]} tokens instead of {longest[0]}, which "
            "`max_duration_s` and the corpus decide: give both environments the same"
        )
    return ValueError(f"{_OTHER_SPACES}, got: {error}{hint}")


class CheckedAlgorithm(BaseAlgorithm):
    """What sequence algorithms and cloning share beside their networks.

    Attributes:
        saved_types: Dataclasses that a checkpoint may hold beside plain data; add your own.
        renamed_settings: New name of each setting by its old one, which `load` takes, too.
        task_fingerprint: Of the task that the agent was trained on; None takes any.
        last_checkpoint: File that it was last saved to or loaded from; None if there is none.
    """

    saved_types: ClassVar[tuple[type, ...]] = ()
    renamed_settings: ClassVar[dict[str, str]] = {}
    task_fingerprint: Fingerprint | None = None
    last_checkpoint: str | None = None

    @classmethod
    def saved_classes(cls) -> dict[str, type]:
        """Return the classes that a file of this algorithm may name, by name."""
        kinds = [*cls.saved_types, *cls.policy_aliases.values()]
        return {kind.__name__: kind for kind in kinds}

    def save(
        self,
        path: SavePath,
        exclude: Iterable[str] | None = None,
        include: Iterable[str] | None = None,
    ) -> None:
        """As Stable-Baselines3's, but as JSON and safetensors: reading the file runs no code.

        What is no plain data (a learning rate that is a function, a policy class of one's own) is
        pickled, and `load` needs `allow_pickle=True` or `custom_objects` for it. Errors of a later
        training quote this path.
        """
        left_out = {*(exclude or ()), *self._excluded_save_params()} - set(include or ())
        states, variables = self._get_torch_save_params()
        left_out |= {name.split(".")[0] for name in (*states, *variables)}
        data = {name: value for name, value in vars(self).items() if name not in left_out}
        data[ALGORITHM] = type(self).__name__
        write_checkpoint(path, data, self.get_parameters(), classes=self.saved_classes())
        self._note_checkpoint(path)

    @classmethod
    def load(
        cls: type[Self],
        path: SavePath,
        env: GymEnv | None = None,
        device: torch.device | str = "auto",
        custom_objects: dict[str, Any] | None = None,
        print_system_info: bool = False,
        force_reset: bool = True,
        *,
        allow_pickle: bool = False,
        **kwargs: Any,
    ) -> Self:
        """As Stable-Baselines3's; an `env` of another tokenizer or corpus is refused.

        Args:
            path: What `save` wrote. Do not trust a file of a stranger with `allow_pickle`.
            env: To go on with; None only acts.
            device: Where the networks are to be.
            custom_objects: Attributes by name, in place of those in the file.
            print_system_info: Of files that Stable-Baselines3 wrote itself.
            force_reset: Whether training begins with a reset.
            allow_pickle: Whether to unpickle what is no plain data, and files of older versions.
                Unpickling runs whatever code the file holds.
            **kwargs: Attributes to change.

        Raises:
            InputError: If the file is damaged, or holds pickles and `allow_pickle` is False.
            ValueError: If `env` has other spaces, another tokenizer or another corpus.
        """
        kwargs = renamed_keys(kwargs, cls.renamed_settings)
        label = str(path) if isinstance(path, str | pathlib.Path) else "the checkpoint"
        data, parameters = read_checkpoint(
            path,
            classes=cls.saved_classes(),
            allow_pickle=allow_pickle,
            custom_objects=custom_objects,
        ) or read_old_checkpoint(path, label, custom_objects, print_system_info)
        data = {cls.renamed_settings.get(name, name): value for name, value in data.items()}
        check_values(cls, kwargs, label="arguments of `load`")
        try:
            loaded = cls._rebuilt(data, parameters, env, device, force_reset, kwargs, label=label)
        except ValueError as error:
            if _SB3_MISMATCH not in str(error):
                raise
            raise other_spaces(error, data.get("observation_space"), env) from error
        loaded._note_checkpoint(path)
        return loaded

    @classmethod
    def _rebuilt(
        cls: type[Self],
        data: dict[str, Any],
        parameters: dict[str, Any],
        env: GymEnv | None,
        device: torch.device | str,
        force_reset: bool,
        changed: dict[str, Any],
        *,
        label: str,
    ) -> Self:
        """Return an algorithm with the attributes `data` and `parameters`, as SB3's `load` does."""
        cls._check_data(data, label)
        stored = data.get("policy_kwargs")
        if "policy_kwargs" in changed and changed["policy_kwargs"] != stored:
            raise ValueError(
                "The specified policy kwargs do not equal the stored policy kwargs. "
                f"Stored kwargs: {stored}, specified kwargs: {changed['policy_kwargs']}"
            )
        if env is not None:
            env = cls._wrap_env(env, data["verbose"])
            check_for_correct_spaces(env, data["observation_space"], data["action_space"])
            data["n_envs"] = env.num_envs
            if force_reset:
                data["_last_obs"] = None
        kind: Any = cls
        made: Self = kind(data["policy_class"], env, device=device, _init_setup_model=False)
        made._take_settings(data, label=label)
        made._take_settings(changed, label="arguments of `load`", only_known=True)
        weights = parameters.get("policy")
        check_policy(
            data["policy_class"],
            (data["observation_space"], data["action_space"], lambda _: 0.0),
            stored or {},
            weights if isinstance(weights, dict) else {},
            label=label,
        )
        try:
            made._setup_model()
            made._check_states(parameters, label=label)
            made.set_parameters(parameters, exact_match=True, device=device)
        except _UNFIT as error:
            reason = f"{type(error).__name__}: {error}".splitlines()[0]
            raise InputError(
                f"{label}: the checkpoint must hold what {cls.__name__} saves, got one that does "
                f"not fit ({reason})"
            ) from error
        return made

    @classmethod
    def _check_data(cls, data: dict[str, Any], label: str) -> None:
        """Check whose attributes these are, and that each is what it may be."""
        written_by = data.pop(ALGORITHM, cls.__name__)
        if written_by != cls.__name__:
            raise InputError(
                f"{label}: the checkpoint must be one of {cls.__name__}, got one of {written_by}; "
                f"load it with `{written_by}.load`"
            )
        kinds = {"policy_class": type, "observation_space": Space, "action_space": Space}
        for name, wanted in {**kinds, "verbose": int}.items():
            if not isinstance(data.get(name), wanted):
                got = data.get(name, "no such")
                raise InputError(
                    f"{label}: the checkpoint must hold `{name}` as `save` does, got {got!r}"
                )
        ours = tuple(cls.policy_aliases.values())
        if not issubclass(data["policy_class"], ours):
            raise InputError(
                f"{label}: `policy_class` must be one of {', '.join(cls.policy_aliases)} or a "
                f"subclass, got {data['policy_class'].__name__}: is it of {cls.__name__}?"
            )
        check_values(cls, data, label=label)

    def _take_settings(
        self, values: dict[str, Any], *, label: str, only_known: bool = False
    ) -> None:
        """Take attributes of a file, or of a caller, who may have misspelt a name."""
        unknown = [name for name in values if only_known and name not in vars(self)]
        if unknown:
            close = difflib.get_close_matches(unknown[0], vars(self), n=1)
            meant = f"; did you mean `{close[0]}`?" if close else ""
            raise InputError(f"{label}: must be attributes of the agent, got `{unknown[0]}`{meant}")
        self.__dict__.update(values)
        try:
            self.check_settings()
        except ValueError as error:
            raise InputError(f"{label}: {error}") from error

    def check_settings(self) -> None:
        """Check all settings against each other, as they are now; a subclass checks its own, too.

        Raises:
            ValueError: If one is out of range.
        """

    def set_parameters(
        self,
        load_path_or_dict: str | TensorDict,
        exact_match: bool = True,
        device: torch.device | str = "auto",
        *,
        allow_pickle: bool = False,
    ) -> None:
        """As Stable-Baselines3's, but all or nothing; an old file needs `allow_pickle=True`.

        Raises:
            InputError: If the file is damaged, or holds pickles and `allow_pickle` is False; or if
                names, shapes or kinds are not those of this algorithm, or a weight is not finite.
        """
        given: Any = load_path_or_dict
        label = str(given) if isinstance(given, str | pathlib.Path) else "`load_path_or_dict`"
        if not isinstance(given, dict):
            read = read_checkpoint(
                given, classes=self.saved_classes(), allow_pickle=allow_pickle, with_data=False
            )
            given = (read or read_old_checkpoint(given, label))[1]
        self._check_states(given, exact=exact_match, label=label)
        super().set_parameters(given, exact_match, device)

    def _check_states(self, states: dict[str, Any], *, exact: bool = True, label: str) -> None:
        owners = {name: attribute_of(self, name) for name in states}
        wanted = set(self._get_torch_save_params()[0])
        if exact and set(owners) != wanted:
            raise InputError(f"{label}: must hold {sorted(wanted)}, got {sorted(owners)}")
        check_states(states, owners, exact=exact, label=label)

    def set_env(self, env: GymEnv, force_reset: bool = True) -> None:
        """As Stable-Baselines3's; an `env` of another tokenizer or corpus is refused.

        Raises:
            ValueError: If `env` has other spaces, another tokenizer or another corpus.
        """
        before = self.env
        try:
            super().set_env(env, force_reset)
        except ValueError as error:
            if _SB3_MISMATCH not in str(error):
                raise
            raise other_spaces(error, self.observation_space, env) from error
        try:
            self._check_env()
        except ValueError:
            self.env = before
            raise

    @staticmethod
    def _wrap_env(env: GymEnv, verbose: int = 0, monitor_wrapper: bool = True) -> VecEnv:
        """As Stable-Baselines3's; Gymnasium's vector environments are refused in words."""
        given: Any = env
        if isinstance(given, VectorEnv):
            raise InputError(
                f"`env` must be one environment or a `VecEnv`, got {type(given).__name__}; "
                "`esarm_env.sb3.make_sb3_vec_env` makes many at once, and `SB3VecEnv` takes one "
                "that resets in the same step"
            )
        return BaseAlgorithm._wrap_env(env, verbose, monitor_wrapper)

    def _check_env(self) -> None:
        """Check `env`, if there is one, before anything is built for it or learnt from it."""
        if self.env is not None:
            found = fingerprint_of(find_in_env(self.env, "sequence_task"))
            check_fingerprint(found, trained=self.task_fingerprint)
            self.task_fingerprint = self.task_fingerprint or found

    def _setup_learn(
        self, total_timesteps: int, *args: Any, **kwargs: Any
    ) -> tuple[int, BaseCallback]:
        total, ready = super()._setup_learn(total_timesteps, *args, **kwargs)
        warn_of_frequencies(ready, self._plan(total - self.num_timesteps))
        return total, ready

    def _plan(self, n_steps: int) -> Plan:
        """Return what training for `n_steps` more comes to; one call a step unless overridden."""
        return Plan(n_steps, "step", self.num_timesteps, n_steps)

    def _init_callback(self, callback: MaybeCallback, progress_bar: bool = False) -> BaseCallback:
        ready = super()._init_callback(callback)
        if not progress_bar:
            return ready
        both = CallbackList([ready, TokenProgressBar()])
        both.init_callback(self)
        return both

    def _note_checkpoint(self, path: SavePath) -> None:
        if isinstance(path, str | pathlib.Path):
            self.last_checkpoint = str(checkpoint_path(path))

    def _excluded_save_params(self) -> list[str]:
        return [*super()._excluded_save_params(), "last_checkpoint", "lr_schedule"]
