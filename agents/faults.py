"""`TrainingFault`: a NaN or infinite score, loss or gradient; weights are left unchanged."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from agents.protocols import IntArray

_NAMED = 64  # utterances that a message names


class TrainingFault(RuntimeError):
    """Raised when a score, loss or gradient is NaN or infinite; weights are unchanged."""


def names_of(task: Any, utterances: IntArray) -> str:
    """Return the `utterances` (N,), each once, by name where `task` has `ids_of`, else by index."""
    chosen = np.unique(utterances)
    shown = chosen[:_NAMED]
    names = task.ids_of(shown) if hasattr(task, "ids_of") else shown.tolist()
    more = f" and {len(chosen) - _NAMED} more" if len(chosen) > _NAMED else ""
    return f"utterances {list(names)}{more}"


def where_to_go_on(checkpoint: str | None) -> str:
    """Return what a message says of the last checkpoint, or of how to have one next time."""
    if checkpoint is not None:
        return f"the last good checkpoint is {checkpoint}"
    return (
        "no checkpoint was written: pass `CheckpointCallback(save_freq, save_path)` to `learn` "
        "as `callback` to have one"
    )
