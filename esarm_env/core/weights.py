"""Network weights on disk: `.safetensors` with the constructor arguments; no pickle."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import safetensors

from esarm_env.core.cache import new_file
from esarm_env.core.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor, nn

Module = TypeVar("Module", bound="nn.Module")
KEY = "esarm"  # one metadata entry: the library writes several in no fixed order


def save_weights(path: Path, weights: Mapping[str, Tensor], *, kind: str, **sizes: Any) -> None:
    """Write `weights` and the `sizes` that rebuild their module; equal input, equal bytes.

    Args:
        path: Replaced in one step.
        weights: A module's state dict.
        kind: What it is, for instance `policy`; `load_module` checks it.
        sizes: Plain values, handed to the builder when loading.
    """
    from safetensors.torch import save

    metadata = {KEY: json.dumps({"kind": kind, **sizes}, sort_keys=True)}
    tensors = {name: value.contiguous() for name, value in weights.items()}
    with new_file(path) as draft:
        draft.write_bytes(save(tensors, metadata))  # so that a full disk is an `OSError`


def kind_of(path: Path) -> str | None:
    """Return the `kind` that `save_weights` wrote to a file; None if it cannot be told."""
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            sizes = json.loads((file.metadata() or {}).get(KEY, "{}"))
    except (OSError, safetensors.SafetensorError, ValueError):
        return None
    kind = sizes.get("kind") if isinstance(sizes, dict) else None
    return kind if isinstance(kind, str) else None


def load_module(path: Path, build: Callable[..., Module], *, kind: str) -> Module:
    """Read what `save_weights` wrote: `build(**sizes)` with its weights, in evaluation mode.

    Raises:
        InputError: If the file is missing, damaged, or of another kind.
    """
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            sizes = json.loads((file.metadata() or {}).get(KEY, "{}"))
            tensors = {name: file.get_tensor(name) for name in file.keys()}
        if not isinstance(sizes, dict):
            raise ValueError("a file of something else")
        found = sizes.pop("kind", None)
        if found != kind:
            raise ValueError(f"a file of {found or 'something else'}")
        module = build(**sizes)
        module.load_state_dict(tensors)
    except (OSError, safetensors.SafetensorError, RuntimeError, TypeError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(
            f"{path}: must be a whole {kind} file, got {reason}; delete the stage and run it again"
        ) from error
    return module.eval()
