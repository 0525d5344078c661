"""The 52 ARKit blendshapes: one order of our own, and the way to and from everybody else's.

Ours is alphabetical in camelCase, as in BEAT, EmoTalk and Apple's header. Columns are always
matched by name: Live Link Face writes `JawRight` before `JawLeft` where Unreal has them the other
way round, so a file read by position makes every face talk mirrored.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from esarm_env.errors import InputError
from esarm_env.types import N_CHANNELS, FloatArray, IntArray

_EYE = ("Blink", "LookDown", "LookIn", "LookOut", "LookUp", "Squint", "Wide")
_EYES = tuple(f"eye{action}{side}" for side in ("Left", "Right") for action in _EYE)
_JAW_AND_LIPS = tuple(
    """jawForward jawLeft jawRight jawOpen mouthClose mouthFunnel mouthPucker mouthLeft mouthRight
    mouthSmileLeft mouthSmileRight mouthFrownLeft mouthFrownRight mouthDimpleLeft mouthDimpleRight
    mouthStretchLeft mouthStretchRight mouthRollLower mouthRollUpper mouthShrugLower
    mouthShrugUpper mouthPressLeft mouthPressRight mouthLowerDownLeft mouthLowerDownRight
    mouthUpperUpLeft mouthUpperUpRight""".split()
)
_BROWS_AND_CHEEKS = tuple(
    """browDownLeft browDownRight browInnerUp browOuterUpLeft browOuterUpRight cheekPuff
    cheekSquintLeft cheekSquintRight noseSneerLeft noseSneerRight tongueOut""".split()
)
_UNREAL = _EYES + _JAW_AND_LIPS + _BROWS_AND_CHEEKS

ARKIT_NAMES: tuple[str, ...] = tuple(sorted(_UNREAL))


def _apple_key(name: str) -> str:
    """Return Apple's run-time key, `eyeBlink_L` for `eyeBlinkLeft`; `jawLeft` stays."""
    if name in ("jawLeft", "jawRight", "mouthLeft", "mouthRight"):
        return name
    return re.sub("(Left|Right)$", lambda found: f"_{found[0][0]}", name)


def _pascal(name: str) -> str:
    """Return `EyeBlinkLeft` for `eyeBlinkLeft`."""
    return name[0].upper() + name[1:]


def _livelink_order() -> tuple[str, ...]:
    """Return Unreal's order with the two left-right pairs that Live Link Face swaps."""
    order = list(_UNREAL)
    for left, right in (("jawLeft", "jawRight"), ("mouthLeft", "mouthRight")):
        i, j = order.index(left), order.index(right)
        order[i], order[j] = right, left
    return tuple(_pascal(name) for name in order)


ORDERS: dict[str, tuple[str, ...]] = {
    "alphabetical": ARKIT_NAMES,
    "apple_keys": tuple(_apple_key(name) for name in ARKIT_NAMES),
    "mediapipe": ("_neutral", *ARKIT_NAMES[:-1]),  # tongueOut, the last, is not measured
    "unreal": _UNREAL,
    "livelink_csv": _livelink_order(),
}

_INDEX = {
    spelling: index
    for index, name in enumerate(ARKIT_NAMES)
    for spelling in (name, _pascal(name), _apple_key(name))
}


def index_of(name: str) -> int:
    """Return the column of the shape called `name`.

    Args:
        name: `eyeBlinkLeft`, `EyeBlinkLeft` or Apple's `eyeBlink_L`.

    Raises:
        InputError: If no shape is called that; the message lists the closest names.
    """
    if name not in _INDEX:
        close = difflib.get_close_matches(name, _INDEX, n=3)
        hint = f"; did you mean {', '.join(close)}?" if close else ""
        raise InputError(f"`name` must be one of the 52 ARKit shapes, got {name!r}{hint}")
    return _INDEX[name]


def convert(values: npt.ArrayLike, *, source: str, target: str) -> FloatArray:
    """Reorder coefficients from one convention to another, by name.

    Args:
        values: Shape (..., n), columns as in `ORDERS[source]`.
        source: A key of `ORDERS`.
        target: A key of `ORDERS`.

    Returns:
        Shape (..., m), float32, columns as in `ORDERS[target]`; what `source` lacks is 0.

    Raises:
        InputError: If an order is unknown or the last axis does not fit `source`.
    """
    for argument, order in (("source", source), ("target", target)):
        if order not in ORDERS:
            raise InputError(f"`{argument}` must be one of {tuple(ORDERS)}, got {order!r}")
    given = np.asarray(values, dtype=np.float32)
    names = ORDERS[source]
    if given.ndim == 0 or given.shape[-1] != len(names):
        raise InputError(
            f"`values` must have {len(names)} columns for {source!r}, got shape {given.shape}"
        )
    ours = np.zeros((*given.shape[:-1], N_CHANNELS), dtype=np.float32)  # (..., 52)
    known = [column for column, name in enumerate(names) if name in _INDEX]
    ours[..., [_INDEX[names[column]] for column in known]] = given[..., known]
    result = np.zeros((*given.shape[:-1], len(ORDERS[target])), dtype=np.float32)  # (..., m)
    wanted = [column for column, name in enumerate(ORDERS[target]) if name in _INDEX]
    result[..., wanted] = ours[..., [_INDEX[ORDERS[target][column]] for column in wanted]]
    return result


def columns_of(header: Sequence[str]) -> IntArray:
    """Return where each of our 52 columns stands in a table with this header.

    Args:
        header: Column names in any order and any of the three spellings.

    Returns:
        Shape (52,), int64: `table[:, columns_of(header)]` is in alphabetical order.

    Raises:
        InputError: If names are unknown, missing or double; the message lists all of them.
    """
    places: dict[int, int] = {}
    unknown, double = [], []
    for column, name in enumerate(header):
        if name not in _INDEX:
            unknown.append(name)
        elif _INDEX[name] in places:
            double.append(name)
        else:
            places[_INDEX[name]] = column
    missing = [name for index, name in enumerate(ARKIT_NAMES) if index not in places]
    faults = {"unknown": unknown, "double": double, "missing": missing}
    told = "; ".join(f"{fault}: {', '.join(names)}" for fault, names in faults.items() if names)
    if told:
        raise InputError(f"`header` must name each of the 52 ARKit shapes once, got {told}")
    return np.array([places[index] for index in range(N_CHANNELS)], dtype=np.int64)


def _other_side(name: str) -> str:
    """Return the name with Left and Right exchanged."""
    swap = {"Left": "Right", "Right": "Left"}
    return re.sub("(Left|Right)$", lambda found: swap[found[0]], name)


# A face seen in a mirror: `motion[:, MIRROR]`.
MIRROR: IntArray = np.array([_INDEX[_other_side(name)] for name in ARKIT_NAMES], dtype=np.int64)

# The two streams of the motion tokenizer; together they are all 52.
UPPER_CHANNELS: IntArray = np.array(
    [i for i, name in enumerate(ARKIT_NAMES) if name.startswith(("brow", "eye", "cheekSquint"))],
    dtype=np.int64,
)
MOUTH_CHANNELS: IntArray = np.setdiff1d(np.arange(N_CHANNELS, dtype=np.int64), UPPER_CHANNELS)
