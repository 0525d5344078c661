"""Base of all algorithms here: fingerprint of the task, checked loading, progress bar.

A task tells by an attribute `fingerprint`, a digest by part (`tokenizer`, `corpus`). Tasks without
it are taken as they are.
"""

from __future__ import annotations

import io
import pathlib
from collections.abc import Iterable
from typing import Any, ClassVar, TypeVar

from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback, CallbackList, ProgressBarCallback
from stable_baselines3.common.type_aliases import GymEnv, MaybeCallback

from agents.protocols import find_in_env
from esarm_env.core.deprecation import renamed_keys


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


class CheckedAlgorithm(BaseAlgorithm):
    """What sequence algorithms and cloning share beside their networks.

    Attributes:
        renamed_settings: New name of each setting by its old one, which `load` takes, too.
        task_fingerprint: Of the task that the agent was trained on; None takes any.
        last_checkpoint: File that it was last saved to or loaded from; None if there is none.
    """

    renamed_settings: ClassVar[dict[str, str]] = {}
    task_fingerprint: Fingerprint | None = None
    last_checkpoint: str | None = None

    def save(
        self,
        path: SavePath,
        exclude: Iterable[str] | None = None,
        include: Iterable[str] | None = None,
    ) -> None:
        """As Stable-Baselines3's; errors of a later training quote this path."""
        super().save(path, exclude, include)
        self._note_checkpoint(path)

    @classmethod
    def load(
        cls: type[Self], path: SavePath, env: GymEnv | None = None, *args: Any, **kwargs: Any
    ) -> Self:
        """As Stable-Baselines3's; an `env` of another tokenizer or corpus is refused.

        Raises:
            ValueError: If `env` has other spaces, another tokenizer or another corpus.
        """
        kwargs = renamed_keys(kwargs, cls.renamed_settings)
        try:
            loaded = super().load(path, env, *args, **kwargs)
        except ValueError as error:
            if _SB3_MISMATCH not in str(error):
                raise
            raise ValueError(f"{_OTHER_SPACES}, got: {error}") from error
        # What was saved under old names is over what was asked for under new ones.
        changed = {name: kwargs[name] for name in cls.renamed_settings.values() if name in kwargs}
        loaded.__dict__.update(changed)
        loaded._note_checkpoint(path)
        return loaded

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
            raise ValueError(f"{_OTHER_SPACES}, got: {error}") from error
        try:
            self._check_env()
        except ValueError:
            self.env = before
            raise

    def _check_env(self) -> None:
        """Check `env`, if there is one, before anything is built for it or learnt from it."""
        if self.env is not None:
            found = fingerprint_of(find_in_env(self.env, "sequence_task"))
            check_fingerprint(found, trained=self.task_fingerprint)
            self.task_fingerprint = self.task_fingerprint or found

    def _init_callback(self, callback: MaybeCallback, progress_bar: bool = False) -> BaseCallback:
        ready = super()._init_callback(callback)
        if not progress_bar:
            return ready
        both = CallbackList([ready, TokenProgressBar()])
        both.init_callback(self)
        return both

    def _note_checkpoint(self, path: SavePath) -> None:
        if isinstance(path, str | pathlib.Path):
            file = pathlib.Path(path)
            self.last_checkpoint = str(file if file.suffix else file.with_suffix(".zip"))

    def _excluded_save_params(self) -> list[str]:
        return [*super()._excluded_save_params(), "last_checkpoint"]
