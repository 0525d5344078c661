"""The 52 ARKit blendshape names: our column order, and conversion by name to and from others.

Ours is alphabetical in camelCase. Columns are always matched by name: Live Link Face writes
`JawRight` before `JawLeft` where Unreal has them the other way round, so a file read by position
makes every face talk mirrored.

| who | key of `ORDERS` | columns |
|---|---|---|
| 3D-ETF (EmoTalk), LAM, Apple's header | `alphabetical` | 52 |
| BEAT | `beat` | 51: no `tongueOut` |
| Apple at run time, ICT-FaceKit | `apple_keys` | 52, `eyeBlink_L` |
| MediaPipe | `mediapipe` | 52: `_neutral` in front, no `tongueOut` |
| Unreal's `EARFaceBlendShape`, Audio2Face | `unreal` | 52 |
| Live Link over UDP | `livelink_udp` | 61: `unreal` and nine rotations |
| Live Link Face recording | `livelink_csv` | 52 in PascalCase |
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from esarm_env.core.errors import InputError
from esarm_env.core.types import N_CHANNELS, BoolArray, FloatArray, IntArray

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

# Rotation columns of Live Link packets and recordings, in addition to the shapes.
ROTATIONS = tuple(
    f"{part}{angle}"
    for part in ("Head", "LeftEye", "RightEye")
    for angle in ("Yaw", "Pitch", "Roll")
)
# MediaPipe's first column says how neutral the face is: a class, not a shape.
NO_SHAPES = ("_neutral", *ROTATIONS)

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
    "beat": ARKIT_NAMES[:-1],  # tongueOut, the last, is not measured
    "apple_keys": tuple(_apple_key(name) for name in ARKIT_NAMES),
    "mediapipe": ("_neutral", *ARKIT_NAMES[:-1]),
    "unreal": _UNREAL,
    "livelink_udp": (*_UNREAL, *ROTATIONS),
    "livelink_csv": _livelink_order(),
}


def _normalised(name: str) -> str:
    """Normalise a spelling: lower case, without spaces and underscores."""
    return re.sub("[_ ]", "", name).lower()


_INDEX = {
    _normalised(spelling): index
    for index, name in enumerate(ARKIT_NAMES)
    for spelling in (name, _apple_key(name))
}
_NON_SHAPES = {_normalised(name) for name in NO_SHAPES}


def _find(name: str) -> int | None:
    """Look up our column for a name in any spelling; None if it names no shape."""
    return _INDEX.get(_normalised(name))


def index_of(name: str) -> int:
    """Return the column of the shape called `name`.

    Args:
        name: `eyeBlinkLeft`, `EyeBlinkLeft`, `eye_blink_left` or Apple's `eyeBlink_L`.

    Raises:
        InputError: If no shape is called that; the message lists the closest names.
    """
    index = _find(name)
    if index is None:
        close = difflib.get_close_matches(name, ARKIT_NAMES, n=3)
        hint = f"; did you mean {', '.join(close)}?" if close else ""
        raise InputError(f"`name` must be one of the 52 ARKit shapes, got {name!r}{hint}")
    return index


def find_column(name: str) -> int | None:
    """Return the column of the shape called `name`, None if no shape is; for many names, fast.

    Args:
        name: In any spelling that `index_of` knows, maybe numbered as in `A24_Jaw_Open`.
    """
    return _find(re.sub(r"^[A-Za-z]?\d+[\s_.-]+", "", name))


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
    columns, places = _shapes_in(names)
    ours[..., places] = given[..., columns]
    result = np.zeros((*given.shape[:-1], len(ORDERS[target])), dtype=np.float32)  # (..., m)
    columns, places = _shapes_in(ORDERS[target])
    result[..., columns] = ours[..., places]
    return result


def _shapes_in(order: Sequence[str]) -> tuple[list[int], list[int]]:
    """Return which columns of an order are shapes, and their columns in ours."""
    found = [(column, _find(name)) for column, name in enumerate(order)]
    pairs = [(column, place) for column, place in found if place is not None]
    return [column for column, _ in pairs], [place for _, place in pairs]


_EACH_ONCE = "each of the 52 ARKit shapes once"


def _match(header: Sequence[str], *, allow_others: bool, allow_missing: bool) -> dict[int, int]:
    """Map our columns to a header's, or raise one error that lists all its faults."""
    places: dict[int, int] = {}
    unknown, double = [], []
    for column, name in enumerate(header):
        index = _find(name)
        if index is None and allow_others and _normalised(name) in _NON_SHAPES:
            continue
        if index is None:
            unknown.append(name)
        elif index in places:
            double.append(name)
        else:
            places[index] = column
    faults = {"unknown": unknown, "double": double}
    if not allow_missing:
        faults["missing"] = [name for i, name in enumerate(ARKIT_NAMES) if i not in places]
    told = "; ".join(f"{fault}: {', '.join(names)}" for fault, names in faults.items() if names)
    if told or not places:
        rule = "at least one ARKit shape, each once" if allow_missing else _EACH_ONCE
        raise InputError(f"`header` must name {rule}, got {told or 'none'}")
    return places


def columns_of(header: Sequence[str]) -> IntArray:
    """Return the permutation that brings a table with this header to our column order.

    Args:
        header: Column names in any order and any spelling that `index_of` knows.

    Returns:
        Shape (52,), int64: `table[:, columns_of(header)]` is in alphabetical order.

    Raises:
        InputError: If names are unknown, missing or double; the message lists all of them.
    """
    places = _match(header, allow_others=False, allow_missing=False)
    return np.array([places[index] for index in range(N_CHANNELS)], dtype=np.int64)


def to_arkit_order(
    header: Sequence[str], values: npt.ArrayLike, *, allow_missing: bool = True
) -> tuple[FloatArray, BoolArray]:
    """Reorder the columns of a table by name to ours, and say which of the 52 it has.

    Args:
        header: Column names in any order and any spelling that `index_of` knows; rotations and
            MediaPipe's `_neutral` (`NO_SHAPES`) are left out.
        values: Shape (..., n), one column per name.
        allow_missing: False refuses a table that lacks a shape.

    Returns:
        Shape (..., 52), float32, alphabetical order, 0 where the table lacks a shape; and which
        shapes it has, shape (52,), bool.

    Raises:
        InputError: If names are unknown or double, none is a shape, or (unless allowed) some are
            missing; the message lists all of them. Also if `values` does not fit `header`.
    """
    with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite, and is told later
        given = np.asarray(values, dtype=np.float32)
    if given.ndim == 0 or given.shape[-1] != len(header):
        raise InputError(
            f"`values` must have {len(header)} columns as `header` has, got shape {given.shape}"
        )
    places = _match(header, allow_others=True, allow_missing=allow_missing)
    ours, theirs = list(places), list(places.values())
    placed = np.zeros((*given.shape[:-1], N_CHANNELS), dtype=np.float32)  # (..., 52)
    placed[..., ours] = given[..., theirs]
    captured = np.zeros(N_CHANNELS, dtype=np.bool_)
    captured[ours] = True
    return placed, captured


def _other_side(name: str) -> str:
    """Return the name with Left and Right exchanged."""
    swap = {"Left": "Right", "Right": "Left"}
    return re.sub("(Left|Right)$", lambda found: swap[found[0]], name)


# Permutation that mirrors a face left to right: `motion[:, MIRROR]`.
MIRROR: IntArray = np.array([index_of(_other_side(name)) for name in ARKIT_NAMES], dtype=np.int64)

# The two streams of the motion tokenizer; together they are all 52.
UPPER_CHANNELS: IntArray = np.array(
    [i for i, name in enumerate(ARKIT_NAMES) if name.startswith(("brow", "eye", "cheekSquint"))],
    dtype=np.int64,
)
MOUTH_CHANNELS: IntArray = np.setdiff1d(np.arange(N_CHANNELS, dtype=np.int64), UPPER_CHANNELS)
