"""Checks of a reward model before it is trained: signature, shapes, padding, sizes.

Made on the first animations that it is to learn from, so that a mistake costs no training.
"""

from __future__ import annotations

import inspect
import json
from typing import TYPE_CHECKING, Any

import torch

from esarm_env.core.errors import InputError, one_line
from reward.chunks import ChunkBatch
from reward.nets.base import RewardNet

if TYPE_CHECKING:
    from esarm_env.task.animation_task import AnimationTask

_ARGUMENTS = ("audio", "motion", "n_chunks")
_ROUNDING = 1e-4  # of a score, by the order in which sums are taken


def net_for(task: AnimationTask, model: RewardNet | type[RewardNet]) -> RewardNet:
    """Return the network that is meant, in evaluation mode: itself, or a fresh one of a class.

    Raises:
        InputError: If it is no `RewardNet`, or was made for other chunks than those of `task`.
    """
    if isinstance(model, type) and issubclass(model, RewardNet):
        return model.for_task(task).eval()
    given: object = model
    if not isinstance(given, RewardNet):
        got = given.__name__ if isinstance(given, type) else type(given).__name__
        raise InputError(f"`model` must be a `RewardNet` or a subclass of it, got {got}")
    step = task.tokenizer.frames_per_chunk
    expected = (task.features.dim * step, 52 * step)
    if (model.audio_dim, model.motion_dim) != expected:
        raise InputError(
            f"`model` must be made for the task's chunks of {expected[0]} audio and {expected[1]} "
            f"motion values, got one for {model.audio_dim} and {model.motion_dim}; "
            f"`{type(model).__name__}.for_task(task)` makes one"
        )
    return model.eval()


def check_net(net: RewardNet, batch: ChunkBatch) -> None:
    """Check that a network can be trained, scored with, saved and built again.

    Args:
        net: In evaluation mode.
        batch: Animations as it will get them, at least two of different length to see padding.

    Raises:
        InputError: If it cannot; the message says the rule.
    """
    if "save" not in vars(type(net)):  # else its files are its own
        check_sizes_of(net)
    _check_signature(net)
    name = type(net).__name__
    if not any(parameter.requires_grad for parameter in net.parameters()):
        raise InputError(f"`model` must have weights to train, got a {name} without any")
    scores = _scores(net, batch)
    if not scores.requires_grad:
        raise InputError(
            f"`forward` of {name} must have a gradient to its weights, got scores without; "
            "compute them with torch alone, not under `no_grad` or through numpy"
        )
    if not torch.isfinite(scores).all():
        raise InputError(f"`forward` of {name} must return finite scores, got {scores.tolist()}")
    _check_padding(net, batch, scores)


def check_sizes_of(net: RewardNet) -> None:
    """Check that the class and `sizes` build a network of the same weights.

    Raises:
        InputError: If they do not, or are not plain values.
    """
    name = type(net).__name__
    rule = (
        f"`sizes` of {name} must build it again (hand every argument of `__init__` to "
        "`super().__init__` by its name)"
    )
    try:
        json.dumps(net.sizes)
    except (TypeError, ValueError) as error:
        raise InputError(f"`sizes` of {name} must be plain values, got {error}") from error
    try:
        with torch.random.fork_rng(devices=[]):  # its weights are not wanted
            again = type(net)(audio_dim=net.audio_dim, motion_dim=net.motion_dim, **net.sizes)
    except Exception as error:  # of a constructor of anybody's
        raise InputError(f"{rule}, got {type(error).__name__}: {one_line(error)}") from error
    ours = {key: tuple(value.shape) for key, value in net.state_dict().items()}
    theirs = {key: tuple(value.shape) for key, value in again.state_dict().items()}
    for key in [*ours, *theirs]:
        if ours.get(key) != theirs.get(key):
            raise InputError(
                f"{rule}, got {net.sizes}, which make `{key}` {_shape(theirs.get(key))} instead "
                f"of {_shape(ours.get(key))}"
            )


def _shape(shape: tuple[int, ...] | None) -> str:
    return "absent" if shape is None else str(shape)


def _check_signature(net: RewardNet) -> None:
    """Check that `forward` takes what it is given."""
    names = (*_ARGUMENTS, "condition") if net.needs_condition else _ARGUMENTS
    name, forward = type(net).__name__, net.forward
    if type(net).forward is RewardNet.forward:
        raise InputError(f"{name} must override `forward`, which scores, got a class without it")
    try:
        inspect.signature(forward).bind(*names)
    except TypeError as error:
        raise InputError(
            f"`forward` of {name} must take ({', '.join(names)}), got "
            f"{inspect.signature(forward)} ({error})"
        ) from error


def _scores(net: RewardNet, batch: ChunkBatch) -> torch.Tensor:
    """Return the scores of a batch; what a network of anybody's raises is told with the shapes."""
    try:
        return net.scores(batch)
    except InputError:
        raise
    except Exception as error:
        given: dict[str, Any] = {name: tuple(getattr(batch, name).shape) for name in _ARGUMENTS}
        shapes = ", ".join(f"{name} {shape}" for name, shape in given.items())
        raise InputError(
            f"`forward` of {type(net).__name__} must score {shapes}, got "
            f"{type(error).__name__}: {one_line(error)}"
        ) from error


def _check_padding(net: RewardNet, batch: ChunkBatch, scores: torch.Tensor) -> None:
    """Check that an animation scores the same alone as beside longer ones."""
    row = int(batch.n_chunks.argmin())
    n, one = int(batch.n_chunks[row]), slice(row, row + 1)
    condition = None if batch.condition is None else batch.condition[one]
    cut = (batch.audio[one, :n], batch.motion[one, :n], batch.n_chunks[one])
    alone = _scores(net, ChunkBatch(*cut, condition))[0].item()
    together = scores[row].item()
    if abs(alone - together) > _ROUNDING * max(1.0, abs(alone)):
        raise InputError(
            f"`forward` of {type(net).__name__} must not look at padding, chunks from `n_chunks` "
            f"on, got a score of {together:.4f} beside longer animations and {alone:.4f} alone; "
            "`mean_over_chunks` leaves padding out"
        )
