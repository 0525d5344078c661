"""States of networks and optimisers: checks of what was saved, made before anything is loaded."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from esarm_env.core.errors import InputError

if TYPE_CHECKING:
    from torch import nn
    from torch.optim import Optimizer


def check_states(
    found: Mapping[str, Any],
    owners: Mapping[str, Any],
    *,
    label: str,
    exact: bool = True,
    may_lack: Collection[str] = (),
) -> None:
    """Check state dicts against those of fresh modules: names, shapes, and finite numbers.

    Args:
        found: State dicts by name, of a file.
        owners: Modules and optimisers by the same names.
        label: Of the file, for messages.
        exact: Whether a module must have all of its weights, and no others.
        may_lack: Ends of names of weights that files of older versions lack.

    Raises:
        InputError: If one does not fit.
    """
    import torch

    for name, state in found.items():
        owner = owners[name]
        if not isinstance(state, Mapping):
            raise broken(label, name, "a state dict", state)
        if isinstance(owner, torch.nn.Module):
            _check_weights(name, state, owner, label, exact=exact, may_lack=may_lack)
        elif isinstance(owner, torch.optim.Optimizer):
            _check_optimizer(name, state, owner, label)
        else:
            raise broken(label, name, "that of a network or of an optimiser", sorted(owners))


def _check_weights(
    name: str,
    state: Mapping[str, Any],
    owner: nn.Module,
    label: str,
    *,
    exact: bool,
    may_lack: Collection[str],
) -> None:
    import torch

    learnt, wanted = dict(owner.named_parameters()), owner.state_dict()
    more = [key for key in state if key not in wanted]
    if exact and more:
        raise broken(label, name, f"{len(wanted)} weights of this algorithm", more)
    for key, like in wanted.items():
        if key not in state and (not exact or key.endswith(tuple(may_lack))):
            continue
        tensor, shape = state.get(key), tuple(like.shape)
        if not isinstance(tensor, torch.Tensor) or tuple(tensor.shape) != shape:
            got = tuple(tensor.shape) if isinstance(tensor, torch.Tensor) else type(tensor).__name__
            raise broken(label, f"{name}.{key}", f"a tensor of shape {shape}", got)
        # A buffer of a mask may be infinite, but no number is none.
        if bool(torch.isnan(tensor).any()) or (key in learnt and not tensor.isfinite().all()):
            raise broken(label, f"{name}.{key}", "finite", "NaN or infinity")


def _check_optimizer(name: str, state: Mapping[str, Any], owner: Optimizer, label: str) -> None:
    import torch

    groups, states = state.get("param_groups"), state.get("state")
    fresh = owner.state_dict()["param_groups"]
    if not isinstance(groups, list) or not isinstance(states, Mapping):
        raise broken(label, name, "the state of an optimiser", sorted(map(str, state)))
    if len(groups) != len(fresh) or not all(isinstance(each, Mapping) for each in groups):
        raise broken(label, f"{name}.param_groups", f"{len(fresh)} of them", len(groups))
    for group, like in zip(groups, fresh, strict=True):
        for key, value in like.items():
            if not _is_alike(group.get(key), value):
                raise broken(label, f"{name}.{key}", f"like {value!r}", group.get(key))
    learnt = [each for group in owner.param_groups for each in group["params"]]
    for number, parts in states.items():
        if not isinstance(parts, Mapping) or number not in range(len(learnt)):
            raise broken(label, f"{name}.state", "of the weights that there are", number)
        for key, value in parts.items():
            if isinstance(value, torch.Tensor) and not (
                value.shape in (learnt[number].shape, torch.Size([]))
                and bool(torch.isfinite(value).all())
            ):
                rule = f"finite, of shape {tuple(learnt[number].shape)}"
                raise broken(label, f"{name}.state.{number}.{key}", rule, tuple(value.shape))


def _is_alike(value: Any, like: Any) -> bool:
    """Return whether a setting of an optimiser is of the kind of a fresh one's."""
    if isinstance(like, list | tuple):
        return (
            isinstance(value, list | tuple)
            and len(value) == len(like)
            and all(map(_is_alike, value, like))
        )
    if isinstance(like, bool) or like is None:
        return value is None or isinstance(value, bool)
    return is_number(value, 0) if isinstance(like, int | float) else True


def broken(label: str, name: str, rule: str, value: object) -> InputError:
    """Return the error of a file in which `name` breaks its rule; long values are cut."""
    shown = repr(value)
    shown = shown if len(shown) <= 120 else f"{shown[:117]}..."
    return InputError(f"{label}: `{name}` must be {rule}, got {shown}")


def is_number(value: Any, least: float = -math.inf, most: float = math.inf) -> bool:
    """Return whether `value` is a number (no truth value) from `least` to `most`."""
    if isinstance(value, bool) or not isinstance(value, int | float | np.integer | np.floating):
        return False
    return bool(least <= value <= most)  # a NaN is in no range
