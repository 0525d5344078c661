"""Where two nested values differ, and what of two calls is the same memory."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import numpy as np
import pytest

from esarm_env.doctor import differences, shared_memory
from esarm_env.doctor.determinism import spoil


def objects(*values: Any) -> np.ndarray:
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array


@pytest.mark.parametrize(
    "value",
    [
        None,
        "text",
        3,
        float("nan"),
        np.float32(0.1),
        np.array([1.0, np.nan], dtype=np.float32),
        np.zeros((0, 3)),
        objects({"a": np.arange(3)}, None, "id"),
        {"obs": (np.arange(3), [1, 2]), "flags": {"_lve": np.array([True, False])}},
    ],
)
def test_equal_values_do_not_differ(value: Any) -> None:
    """A difference where there is none condemns a healthy environment; nan is like nan."""
    assert differences(value, value) == []


def test_kinds_of_dictionaries_are_one() -> None:
    """Stable-Baselines3 orders its dictionaries, and nobody can see it."""
    assert differences(OrderedDict(b=1, a=2), {"a": 2, "b": 1}) == []


@pytest.mark.parametrize(
    ("ours", "theirs", "lines"),
    [
        (1, 2, ["info: 1 != 2"]),
        (1, 1.0, ["info: int != float (1, 1.0)"]),
        (True, np.True_, ["info: bool != bool (True, np.True_)"]),
        (None, "id", ["info: NoneType != str (None, 'id')"]),
        (0.5, 0.5 + 1e-9, ["info: 0.5 != 0.500000001"]),
        ([1, 2], [1], ["info: length 2 != 1"]),
        ((1, [2, 3]), (1, [2, 4]), ["info[1][1]: 3 != 4"]),
        ({"a": 1}, {"b": 1}, ['info["a"]: only in the first', 'info["b"]: only in the second']),
        ({"a": {0: 1}}, {"a": {0: 2}}, ['info["a"][0]: 1 != 2']),
        (np.zeros(2), np.zeros(3), ["info: shape (2,) != (3,)"]),
        (np.zeros(2), np.zeros(2, np.float32), ["info: dtype float64 != float32"]),
        (
            np.array([[1, 2], [3, 4]]),
            np.array([[1, 0], [3, 0]]),
            ["info[0, 1]: 2 != 0 (2 of 4 entries differ)"],
        ),
        (np.array(1), np.array(2), ["info: 1 != 2"]),
        (np.array([np.nan]), np.array([0.0]), ["info[0]: nan != 0.0"]),
        (
            objects(None, {"step": np.array([1])}),
            objects(None, {"step": np.array([2])}),
            ['info[1]["step"][0]: 1 != 2'],
        ),
    ],
)
def test_a_difference_is_named_by_its_path(ours: Any, theirs: Any, lines: list[str]) -> None:
    """ "Not equal" of two observations of a thousand numbers helps nobody."""
    assert differences(ours, theirs, path="info") == lines


@pytest.mark.parametrize(
    ("distance", "equal"), [(0.0, True), (0.9e-3, True), (1.9e-3, True), (2.1e-3, False)]
)
def test_the_tolerance_is_relative_to_one_plus_the_size(distance: float, equal: bool) -> None:
    """At 1.0 a tolerance of 1e-3 allows 2e-3, of floats in arrays as of floats alone."""
    for make in (float, np.float64, lambda value: np.array([value])):
        assert (not differences(make(1.0 + distance), make(1.0), tolerance=1e-3)) is equal


def test_integers_know_no_tolerance() -> None:
    """A token beside the right one is a wrong token."""
    assert differences(np.array([5]), np.array([6]), tolerance=10.0) == ["value[0]: 5 != 6"]
    assert differences(5, 6, tolerance=10.0) == ["value: 5 != 6"]


def test_views_of_one_buffer_share_memory() -> None:
    """In dictionaries, tuples and arrays of objects; the later one of a pair is told once."""
    buffer = np.zeros(10)
    calls = [
        ("reset", {"obs": {"audio": buffer[:4]}, "info": {}}),
        ("step 1", {"obs": {"audio": buffer[6:]}, "info": {"last": objects((buffer[2:7],))}}),
        ("step 2", {"obs": {"audio": buffer[5:7]}, "info": {}}),
    ]
    assert shared_memory(calls) == [
        'obs["audio"] of reset and info["last"][0][0] of step 1 share memory',
        'info["last"][0][0] of step 1 and obs["audio"] of step 2 share memory',
    ]


def test_neighbours_and_interleaved_columns_share_nothing() -> None:
    """Arrays whose address ranges overlap are not the same memory yet."""
    table = np.zeros((5, 2))
    calls = [("reset", {"obs": table[:, 0]}), ("step 1", {"obs": table[:, 1]})]
    assert shared_memory(calls) == []
    rows = [("reset", {"obs": table[0]}), ("step 1", {"obs": table[1]})]
    assert shared_memory(rows) == []


def test_one_call_may_return_a_thing_twice() -> None:
    """`final_obs` may be `obs`; only a later call would overwrite it."""
    obs = np.zeros(3)
    assert shared_memory([("step 1", {"obs": obs, "info": {"final_obs": obs}})]) == []


def test_the_same_dictionary_is_shared_even_if_empty() -> None:
    """What a wrapper adds to it would stand in all infos."""
    info: dict[str, Any] = {}
    calls = [("reset", {"info": info}), ("step 1", {"info": info})]
    assert shared_memory(calls) == ["info of reset and info of step 1 are the same dict"]


def test_arrays_of_nothing_share_nothing() -> None:
    """An empty array has an address, and no memory."""
    empty = np.zeros(5)[2:2]
    assert shared_memory([("a", {"obs": empty}), ("b", {"obs": empty})]) == []


def test_spoiling_leaves_nothing_as_it_was() -> None:
    """A value that survives would hide that an environment still looks at it."""
    arrays = [np.zeros(2), np.zeros(2, np.int64), np.zeros(2, np.bool_)]
    fixed = np.zeros(2)
    fixed.flags.writeable = False
    inner, outer = {"a": arrays[0]}, objects("id", {"b": arrays[1]})
    value = {"x": inner, "y": [arrays[2]], "z": outer, "fixed": fixed}
    spoil(value)
    assert value == {"spoilt": "spoilt"} == inner
    assert [array.all() for array in arrays] == [True] * 3
    assert outer.tolist() == ["spoilt"] * 2
    assert not fixed.any(), "what cannot be written cannot be spoilt"
