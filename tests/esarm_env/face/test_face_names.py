"""Orders of the 52 shapes: a wrong column moves the wrong muscle and no metric complains."""

from __future__ import annotations

import re

import numpy as np
import pytest

import esarm_env.face
from esarm_env.core.errors import InputError
from esarm_env.face import (
    ARKIT_NAMES,
    MIRROR,
    MOUTH_CHANNELS,
    ORDERS,
    UPPER_CHANNELS,
    columns_of,
    convert,
    index_of,
)
from esarm_env.face.names import ROTATIONS, to_arkit_order

# Our columns in the order of Unreal's `EARFaceBlendShape` and of the app's CSV, from recordings.
_UNREAL = """8 10 12 14 16 18 20 9 11 13 15 17 19 21 22 23 25 24 26 31 37 32 38 43 44 29 30 27 28 45
46 39 40 41 42 35 36 33 34 47 48 0 1 2 3 4 5 6 7 49 50 51"""
_LIVELINK = _UNREAL.replace("22 23 25 24", "22 25 23 24").replace("37 32 38", "37 38 32")


def test_our_order_is_alphabetical_camel_case() -> None:
    """Checkpoints and corpora store columns without names."""
    assert len(ARKIT_NAMES) == 52
    assert list(ARKIT_NAMES) == sorted(ARKIT_NAMES)
    known = {0: "browDownLeft", 8: "eyeBlinkLeft", 24: "jawOpen", 37: "mouthPucker"}
    assert {index: ARKIT_NAMES[index] for index in known} == known
    assert ARKIT_NAMES[51] == "tongueOut"


@pytest.mark.parametrize(("order", "ours"), [("unreal", _UNREAL), ("livelink_csv", _LIVELINK)])
def test_engine_orders_are_those_seen_in_recordings(order: str, ours: str) -> None:
    """An order derived wrongly would still round-trip with itself."""
    assert [index_of(name) for name in ORDERS[order]] == [int(number) for number in ours.split()]


def test_mediapipe_starts_with_neutral_and_has_no_tongue() -> None:
    """Its 52 columns are as many as ours, so a shift by one would pass every shape check."""
    assert ORDERS["mediapipe"] == ("_neutral", *ARKIT_NAMES[:51])


def test_beat_has_all_but_the_tongue() -> None:
    """51 columns taken for the first 51 of another order would be MediaPipe's, one too early."""
    assert ORDERS["beat"] == ARKIT_NAMES[:51]
    assert "tongueOut" not in ORDERS["beat"]


def test_live_link_packets_are_unreals_order_and_nine_angles() -> None:
    """61 numbers follow each other without names: the order is all there is."""
    assert [index_of(name) for name in ORDERS["livelink_udp"][:52]] == [
        int(number) for number in _UNREAL.split()
    ]
    angles = """HeadYaw HeadPitch HeadRoll LeftEyeYaw LeftEyePitch LeftEyeRoll RightEyeYaw
    RightEyePitch RightEyeRoll"""
    assert list(ORDERS["livelink_udp"][52:]) == angles.split() == list(ROTATIONS)


def test_apple_keys_shorten_the_side_behind_an_underscore() -> None:
    """But `jawLeft` is a direction, not a side."""
    keys = {"eyeBlink_L", "mouthSmile_R", "jawLeft", "mouthRight", "browInnerUp", "noseSneer_L"}
    assert keys <= set(ORDERS["apple_keys"])
    assert sum("_" in key for key in ORDERS["apple_keys"]) == 36


@pytest.mark.parametrize("order", sorted(ORDERS))
def test_every_order_round_trips(order: str) -> None:
    """A column lost on the way would stay at rest for ever."""
    values = np.arange(104, dtype=np.float32).reshape(2, 52) + 1
    back = convert(
        convert(values, source="alphabetical", target=order), source=order, target="alphabetical"
    )
    expected = values.copy()
    if order in ("beat", "mediapipe"):
        expected[:, 51] = 0.0
    np.testing.assert_array_equal(back, expected)


def test_what_the_source_lacks_is_zero() -> None:
    """`_neutral` of another order must not become somebody's brow."""
    values = np.ones(52, dtype=np.float32)
    assert convert(values, source="mediapipe", target="alphabetical")[51] == 0.0
    to_mediapipe = convert(values, source="alphabetical", target="mediapipe")
    assert to_mediapipe[0] == 0.0
    assert to_mediapipe[1:].sum() == 51.0


@pytest.mark.parametrize(
    "name",
    ["eyeBlinkLeft", "EyeBlinkLeft", "eyeBlink_L", "eye_blink_left", "EyeBlink_L", "EYEBLINKLEFT"],
)
def test_all_spellings_name_the_same_column(name: str) -> None:
    """Each tool writes its own."""
    assert index_of(name) == 8


def test_columns_of_a_shuffled_header_restore_our_order() -> None:
    """An inverted permutation passes on symmetric data only."""
    shuffled = np.random.default_rng(0).permutation(52)
    header = [ORDERS["apple_keys"][index] for index in shuffled]
    columns = columns_of(header)
    assert columns.dtype == np.int64
    np.testing.assert_array_equal(shuffled[columns], np.arange(52))


def test_mirror_exchanges_left_and_right_only() -> None:
    """Augmenting with a wrong mirror teaches a crooked mouth."""
    np.testing.assert_array_equal(MIRROR[MIRROR], np.arange(52))
    assert ARKIT_NAMES[MIRROR[index_of("jawLeft")]] == "jawRight"
    assert ARKIT_NAMES[MIRROR[index_of("eyeLookInLeft")]] == "eyeLookInRight"
    assert sum(MIRROR == np.arange(52)) == 12


def test_the_two_streams_partition_the_channels() -> None:
    """A channel in no stream is never animated, one in both is decoded twice."""
    assert UPPER_CHANNELS.dtype == MOUTH_CHANNELS.dtype == np.int64
    assert (len(UPPER_CHANNELS), len(MOUTH_CHANNELS)) == (21, 31)
    together = np.concatenate([UPPER_CHANNELS, MOUTH_CHANNELS])
    np.testing.assert_array_equal(np.sort(together), np.arange(52))
    upper = {ARKIT_NAMES[index] for index in UPPER_CHANNELS}
    assert {"browInnerUp", "eyeSquintLeft", "cheekSquintRight"} <= upper
    assert not {"noseSneerLeft", "cheekPuff", "tongueOut"} & upper


def test_an_unknown_name_gets_the_closest_ones() -> None:
    """A typo should cost one look, not a search through 52 names."""
    message = "`name` must be one of the 52 ARKit shapes, got 'jawOpn'; did you mean jawOpen"
    with pytest.raises(InputError, match=re.escape(message)):
        index_of("jawOpn")


def test_a_header_is_told_all_its_faults_at_once() -> None:
    """One fault per run takes as many runs as there are faults."""
    header = [*ARKIT_NAMES[2:], "foo", "bar", "jawOpen"]
    message = "got unknown: foo, bar; double: jawOpen; missing: browDownLeft, browDownRight"
    with pytest.raises(InputError, match=re.escape(message)):
        columns_of(header)


def test_a_table_of_some_shapes_is_placed_by_name() -> None:
    """A mouth tracker has 14 columns in an order of its own."""
    header = ["HeadYaw", "MouthClose", "_neutral", "jawOpen", "browDown_L"]
    values, captured = to_arkit_order(header, np.arange(10).reshape(2, 5) + 1)
    assert np.flatnonzero(captured).tolist() == [0, 24, 26]
    assert values.dtype == np.float32
    assert values[:, [0, 24, 26]].tolist() == [[5, 4, 2], [10, 9, 7]]
    assert values.sum() == 5 + 4 + 2 + 10 + 9 + 7


@pytest.mark.parametrize("order", sorted(ORDERS))
def test_placing_by_name_equals_converting(order: str) -> None:
    """Two ways to the same columns must not drift apart."""
    values = np.random.default_rng(0).random((3, len(ORDERS[order])), dtype=np.float32)
    placed, captured = to_arkit_order(ORDERS[order], values)
    expected = convert(values, source=order, target="alphabetical")
    np.testing.assert_array_equal(placed, expected)
    assert captured.sum() == (51 if order in ("beat", "mediapipe") else 52)


@pytest.mark.parametrize(
    ("header", "allow_missing", "message"),
    [
        (
            ["jawOpen", "grin", "JawOpen", "smirk"],
            True,
            "got unknown: grin, smirk; double: JawOpen",
        ),
        (["HeadYaw"], True, "must name at least one ARKit shape, each once, got none"),
        (["grin", *ARKIT_NAMES[3:]], False, "got unknown: grin; missing: browDownLeft, browDown"),
        ([*ARKIT_NAMES[1:], "_neutral"], False, "each of the 52 ARKit shapes once, got missing"),
    ],
)
def test_a_table_with_faulty_names_is_told_all_of_them(
    header: list[str], allow_missing: bool, message: str
) -> None:
    """One fault per run takes as many runs as there are faults."""
    with pytest.raises(InputError, match=re.escape(message)):
        to_arkit_order(header, np.zeros(len(header)), allow_missing=allow_missing)


@pytest.mark.parametrize("values", [np.zeros((2, 3)), np.zeros(())])
def test_a_table_that_is_wider_than_its_header_is_refused(values: np.ndarray) -> None:
    """A shifted table has all names and none of them right."""
    message = f"`values` must have 2 columns as `header` has, got shape {values.shape}"
    with pytest.raises(InputError, match=re.escape(message)):
        to_arkit_order(["jawOpen", "mouthClose"], values)


def test_rotations_are_no_shapes_where_all_52_are_asked_for() -> None:
    """`columns_of` is for tables of shapes alone."""
    with pytest.raises(InputError, match="unknown: HeadYaw"):
        columns_of([*ARKIT_NAMES, "HeadYaw"])


@pytest.mark.parametrize(
    ("values", "source", "target", "message"),
    [
        (np.zeros(52), "maya", "unreal", "`source` must be one of"),
        (np.zeros(52), "unreal", "maya", "`target` must be one of"),
        (np.zeros((3, 51)), "unreal", "mediapipe", "52 columns for 'unreal', got shape (3, 51)"),
        (np.zeros(()), "unreal", "mediapipe", "52 columns for 'unreal', got shape ()"),
    ],
)
def test_convert_refuses_what_it_cannot_match(
    values: np.ndarray, source: str, target: str, message: str
) -> None:
    """A silent guess would put curves on the wrong shapes."""
    with pytest.raises(InputError, match=re.escape(message)):
        convert(values, source=source, target=target)


def test_the_old_name_of_to_arkit_order_still_works_and_warns() -> None:
    """Scripts that import `place` would break at once instead of being told the new name."""
    message = "`esarm_env.face.place` is deprecated; use `to_arkit_order`"
    with pytest.warns(DeprecationWarning, match=re.escape(message)):
        old = esarm_env.face.place  # type: ignore[attr-defined]
    assert old is to_arkit_order
    with pytest.raises(AttributeError, match="has no attribute 'spread'"):
        esarm_env.face.spread  # type: ignore[attr-defined]  # noqa: B018
