"""Reward models in folders that are given to others, and on the Hub."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from esarm_env.core.errors import InputError
from esarm_env.core.hub.shareable import REWARD, Shareable
from esarm_env.core.run_layout import (
    NATURALNESS_WEIGHTS,
    PREFERENCE_WEIGHTS,
    REWARD_FILE,
    REWARD_WEIGHTS,
    is_file,
)

if TYPE_CHECKING:
    from reward.scoring import RewardModel

Model = TypeVar("Model", bound="SharedModel")


class SharedModel(Shareable):
    """Base of reward models: `save_pretrained`, `from_pretrained`, `push_to_hub`."""

    shared_kind = REWARD

    def save(self, path: Path) -> None:
        """Write weights and sizes to one `.safetensors` file; each class does it in its way."""
        raise NotImplementedError

    def write_shared(self, folder: Path) -> None:
        """Write the model's file."""
        self.save(folder / REWARD_WEIGHTS)

    @classmethod
    def read_shared(cls: type[Model], folder: Path, *args: Any, **more: Any) -> Model:
        """Read the reward model of a shared folder.

        Raises:
            InputError: If it is damaged, or of another class.
        """
        from esarm_env.core.hub.courier import first_file
        from reward.plugins.learned import load_model

        path = first_file(folder, (REWARD_WEIGHTS, REWARD_FILE))
        model: object = load_model(path, net=cls, **more)
        if not isinstance(model, cls):
            raise InputError(
                f"{path}: must hold a {cls.__name__}, got a {type(model).__name__}; call "
                f"`{type(model).__name__}.from_pretrained`"
            )
        return model

    def describe_shared(self) -> str:
        """Return a sentence on what it is."""
        return f"Reward model of ESARM ({type(self).__name__}): scores an animation of speech."


def reward_place(place: str | Path) -> Path:
    """Return what `open_model` reads of a run folder, a weights file, a shared folder or the Hub.

    Raises:
        InputError: If it is on the Hub and cannot be fetched, or the repository has no reward.
    """
    from esarm_env.core.hub.folders import local_folder

    folder = local_folder(place, REWARD)
    own = folder / REWARD_WEIGHTS
    return own if folder.is_dir() and is_file(own) else folder


def write_whole_model(model: RewardModel, folder: Path) -> None:
    """Write a reward model with its second head and what raters prefer, where it has them.

    Args:
        model: As `reward.plugins.heads.open_whole_model` returns it.
        folder: Each gets a file of its own in it, as in the stage `reward` of a run.
    """
    from reward.naturalness.heads import TwoHeadedModel
    from reward.preference.corrected import CorrectedModel

    base: Any = model
    if isinstance(base, CorrectedModel):
        base.preference.save(folder / PREFERENCE_WEIGHTS)
        base = base.base
    if isinstance(base, TwoHeadedModel):
        base.naturalness.save(folder / NATURALNESS_WEIGHTS)
        base = base.expected_error
    base.save(folder / REWARD_WEIGHTS)
