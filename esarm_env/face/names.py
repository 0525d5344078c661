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
import functools
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

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
# Audio2Face's own shapes of the tongue, of which ARKit has `tongueOut` alone.
TONGUE_SHAPES = tuple(
    """tongueTipUp tongueTipDown tongueTipLeft tongueTipRight tongueRollUp tongueRollDown
    tongueRollLeft tongueRollRight tongueUp tongueDown tongueLeft tongueRight tongueIn
    tongueStretch tongueWide tongueNarrow""".split()
)
# MediaPipe's first column says how neutral the face is: a class, not a shape.
NO_SHAPES = ("_neutral", *ROTATIONS, *TONGUE_SHAPES)

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
    """Normalise a spelling: lower case, without spaces, underscores, hyphens and dots."""
    return re.sub(r"[\W_]", "", unicodedata.normalize("NFKC", name)).lower()


def _spellings(name: str) -> set[str]:
    """Return the normalised spellings of a shape; its side may be a letter, and stand in front."""
    side = re.search("(Left|Right)$", name)
    if side is None:
        return {_normalised(name)}
    stem, word = name[: side.start()], side[0]
    sides = {word, word[0]}
    front = set() if stem in ("jaw", "mouth") else {f"{each}{stem}" for each in sides}
    return {_normalised(each) for each in {f"{stem}{each}" for each in sides} | front}


_INDEX = {
    spelling: index for index, name in enumerate(ARKIT_NAMES) for spelling in _spellings(name)
}
_NON_SHAPES = {_normalised(name) for name in NO_SHAPES}
# Maya, Blender and Audio2Face put the object in front: `blendShape1.jawOpen`, `bs_jawOpen`; Apple's
# languages the type of the key: `ARBlendShapeLocationJawOpen`.
_PARTS = re.compile(r"[.:|/\\]")
_OBJECTS = re.compile(
    r"(?:arkit|arblendshape|arface|anchor|a2f|blendshapes?\d*|bs\d*|curves?|facs|face|head|mesh"
    r"|morphs?|shapes?|locations?|weights?|values?|coefficients?|coeffs?|targets?|channels?|params?"
    r"|keys?)+"
)
_LONGEST_NAME = 80  # no name of a shape, whatever stands in front of it
MOST_COLUMNS = 2_000  # of a table; no tracker has more, and each unknown name is looked at
_CLOSE = 0.75  # from here on, a name is taken for a misspelt shape


@functools.lru_cache(maxsize=4096)
def _find(name: str) -> int | None:
    """Look up our column for a name in any spelling; None if it names no shape."""
    if len(name) > _LONGEST_NAME:
        return None
    parts = _PARTS.split(name)
    for start in range(len(parts)):
        spelling = _normalised("".join(parts[start:]))
        if spelling in _INDEX or spelling in _NON_SHAPES:
            return _INDEX.get(spelling)
    return _INDEX.get(_OBJECTS.sub("", _normalised(parts[-1]), count=1))


def is_no_shape(name: str) -> bool:
    """Return whether a column is known to hold something else, such as a rotation."""
    if len(name) > _LONGEST_NAME:
        return False
    parts = _PARTS.split(name)
    return any(_normalised("".join(parts[start:])) in _NON_SHAPES for start in range(len(parts)))


def index_of(name: str) -> int:
    """Return the column of the shape called `name`.

    Args:
        name: `eyeBlinkLeft`, `EyeBlinkLeft`, `eye_blink_left`, Apple's `eyeBlink_L`, or
            `leftEyeBlink`, also behind the name of an object as in `blendShape1.eyeBlink_L`.

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
        if index is None and allow_others and is_no_shape(name):
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
    told = "; ".join(f"{fault}: {_listed(names)}" for fault, names in faults.items() if names)
    if told or not places:
        rule = "at least one ARKit shape, each once" if allow_missing else _EACH_ONCE
        raise InputError(f"`header` must name {rule}, got {told or 'none'}")
    return places


@dataclass(frozen=True)
class ShapeColumns:
    """Which columns of a table are shapes.

    Attributes:
        places: Their places in the table, in its order.
        others: Names of the columns that are neither shapes nor known to be something else.
    """

    places: tuple[int, ...]
    others: tuple[str, ...]


def shape_columns(header: Sequence[str]) -> ShapeColumns:
    """Tell the shapes among the columns of a table from whatever else it holds.

    Args:
        header: Column names in any order and any spelling that `index_of` knows.

    Raises:
        InputError: If none is a shape, one is there twice, or an unknown name is nearly that of a
            shape which the table lacks; the message lists all of them.
    """
    if len(header) > MOST_COLUMNS:
        raise InputError(f"`header` must have at most {MOST_COLUMNS} names, got {len(header)}")
    found = [_find(name) for name in header]
    places = tuple(place for place, index in enumerate(found) if index is not None)
    first = {found[place]: place for place in reversed(places)}
    double = [header[place] for place in places if first[found[place]] != place]
    others = tuple(
        name for name, i in zip(header, found, strict=True) if i is None and not is_no_shape(name)
    )
    if not places or double:
        faults = {"unknown": others, "double": double}
        told = "; ".join(f"{fault}: {_listed(names)}" for fault, names in faults.items() if names)
        rule = "at least one ARKit shape, each once"
        raise InputError(f"`header` must name {rule}, got {told or 'none'}")
    lacking = {_normalised(name): name for i, name in enumerate(ARKIT_NAMES) if i not in found}
    near = {name: close for name in others if (close := _nearest(name, lacking)) is not None}
    if near:
        meant = ", ".join(lacking[close] for close in near.values())
        raise InputError(
            f"`header` must name shapes as ARKit does, got unknown: {_listed(list(near))}; "
            f"did you mean {meant}?"
        )
    return ShapeColumns(places, others)


def _nearest(name: str, lacking: dict[str, str]) -> str | None:
    """Return the normalised name of the shape that `name` is nearly; None if it is none."""
    if len(name) > _LONGEST_NAME:
        return None
    close = difflib.get_close_matches(_normalised(name), lacking, n=1, cutoff=_CLOSE)
    return close[0] if close else None


def _listed(names: Sequence[str]) -> str:
    """Return the first few names, cut short, for a message."""
    shown = ", ".join(name if len(name) <= 40 else f"{name[:40]}..." for name in names[:N_CHANNELS])
    more = len(names) - N_CHANNELS
    return f"{shown} and {more} more" if more > 0 else shown


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
