"""Somebody else's morph targets as our 52 fields, matched by name."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from esarm_env.errors import InputError
from esarm_env.face.names import ARKIT_NAMES, index_of
from esarm_env.types import N_CHANNELS, BoolArray, FloatArray

# Most heads have no tongue; ICT-FaceKit's has one that no shape moves.
OPTIONAL_SHAPES = ("tongueOut",)


def _index(name: str) -> int | None:
    """Return the column of the shape called `name`, None if no shape is."""
    try:
        return index_of(name)
    except InputError:
        return None


def shape_of(name: str) -> tuple[int, str] | None:
    """Return the column a target belongs to and which half of it it is: "", "L" or "R".

    A path before the name, as in `head.eyeBlink_L`, does not count. `browInnerUp_L` is half of
    `browInnerUp`, as ICT-FaceKit splits it; `mouthLeft` is whole.
    """
    last = re.split(r"[.:|/]", name)[-1]
    whole = _index(last)
    if whole is not None:
        return whole, ""
    split = re.fullmatch(r"(.+?)(?:_?([LR])|_?(Left|Right))", last)
    index = _index(split[1]) if split else None
    return (index, (split[2] or split[3])[0]) if split and index is not None else None


def collect_fields(
    names: Sequence[str], fields: npt.NDArray[np.floating]
) -> tuple[FloatArray, BoolArray]:
    """Return targets as our fields; the halves of a shape are added, unknown names left out.

    Args:
        names: The targets' names, in any of our three spellings.
        fields: Shape (len(names), V, 3).

    Returns:
        The fields, shape (52, V, 3), float32, zero where a shape is absent; and which shapes are
        there, shape (52,): whole, or as a left and a right half.

    Raises:
        InputError: If two targets are the same shape.
    """
    collected = np.zeros((N_CHANNELS, *fields.shape[1:]), np.float32)
    taken: dict[tuple[int, str], str] = {}
    for name, field in zip(names, fields, strict=True):
        place = shape_of(name)
        if place is None:
            continue
        if place in taken:
            got = f"{taken[place]!r} and {name!r}"
            raise InputError(f"`names` must name a shape once, got {got}")
        taken[place] = name
        if place[1] and (place[0], "") in taken:
            continue
        if not place[1]:
            collected[place[0]] = 0.0  # the whole shape stands for its halves
        collected[place[0]] += field
    whole = [(i, "") in taken for i in range(N_CHANNELS)]
    halves = [(i, "L") in taken and (i, "R") in taken for i in range(N_CHANNELS)]
    return collected, np.logical_or(whole, halves)


def need_all_shapes(found: BoolArray, *, source: str) -> None:
    """Refuse a head without all shapes (`OPTIONAL_SHAPES` apart), naming every missing one.

    Args:
        found: Shape (52,).
        source: Where the head comes from, for the message.
    """
    missing = [
        name
        for name, there in zip(ARKIT_NAMES, found, strict=True)
        if not there and name not in OPTIONAL_SHAPES
    ]
    if missing:
        raise InputError(
            f"{source}: must hold a target for each ARKit shape, got none for {', '.join(missing)}"
        )
