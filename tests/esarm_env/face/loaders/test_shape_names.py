"""Targets find their channel by name; one misread name and a face smiles with its brow."""

from __future__ import annotations

import re

import numpy as np
import pytest

from esarm_env.core.errors import InputError
from esarm_env.face import ARKIT_NAMES, index_of
from esarm_env.face.loaders.targets import collect_fields, need_all_shapes, shape_of


@pytest.mark.parametrize(
    ("name", "shape", "half"),
    [
        ("eyeBlinkLeft", "eyeBlinkLeft", ""),
        ("EyeBlinkLeft", "eyeBlinkLeft", ""),
        ("eyeBlink_L", "eyeBlinkLeft", ""),
        ("mouthLeft", "mouthLeft", ""),
        ("head_blendshapes.jawOpen", "jawOpen", ""),
        ("Face|jawOpen", "jawOpen", ""),
        ("browInnerUp_L", "browInnerUp", "L"),
        ("cheekPuffRight", "cheekPuff", "R"),
    ],
)
def test_a_name_is_read_in_every_spelling(name: str, shape: str, half: str) -> None:
    """Exporters agree on the words, not on their form."""
    assert shape_of(name) == (index_of(shape), half)


@pytest.mark.parametrize("name", ["PupilDilate_L", "cheekRaiser_R", "identity003", "Basis", ""])
def test_what_is_no_shape_is_none(name: str) -> None:
    """Heads bring more targets than ARKit's."""
    assert shape_of(name) is None


def test_halves_are_added_and_strangers_left_out() -> None:
    """Half a browInnerUp moves one brow."""
    fields = np.arange(4.0)[:, None, None] * np.ones((4, 2, 3))
    names = ["PupilDilate_L", "browInnerUp_L", "browInnerUp_R", "jawOpen"]
    collected, found = collect_fields(names, fields)
    assert collected.dtype == np.float32
    assert np.all(collected[index_of("browInnerUp")] == 3.0)
    assert np.all(collected[index_of("jawOpen")] == 3.0)
    assert np.flatnonzero(found).tolist() == sorted([index_of("browInnerUp"), index_of("jawOpen")])
    assert np.count_nonzero(collected) == 2 * 6


@pytest.mark.parametrize("order", [[0, 1, 2], [1, 0, 2], [1, 2, 0]])
def test_a_whole_shape_stands_for_its_halves(order: list[int]) -> None:
    """Files that carry both would move the brow twice as far."""
    names = ["browInnerUp", "browInnerUp_L", "browInnerUp_R"]
    fields = np.array([5.0, 1.0, 2.0])[:, None, None] * np.ones((3, 1, 3))
    collected, _ = collect_fields([names[i] for i in order], fields[order])
    assert np.all(collected[index_of("browInnerUp")] == 5.0)


def test_one_half_is_not_a_shape() -> None:
    """A lone left half would silently stand for both sides."""
    _, found = collect_fields(["cheekPuff_L"], np.ones((1, 1, 3)))
    assert not found.any()


def test_a_shape_named_twice_is_refused() -> None:
    """Which of them counts is a coin toss."""
    message = "`names` must name a shape once, got 'jawOpen' and 'JawOpen'"
    with pytest.raises(InputError, match=re.escape(message)):
        collect_fields(["jawOpen", "JawOpen"], np.ones((2, 1, 3)))


def test_all_missing_shapes_are_named_at_once() -> None:
    """Learning of them one by one takes one run of the exporter each."""
    found = np.ones(52, np.bool_)
    found[[index_of("jawOpen"), index_of("mouthLeft"), index_of("tongueOut")]] = False
    message = "x.glb: must hold a target for each ARKit shape, got none for jawOpen, mouthLeft"
    with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
        need_all_shapes(found, source="x.glb")


def test_a_tongue_may_be_missing() -> None:
    """Most heads have none."""
    need_all_shapes(np.array([name != "tongueOut" for name in ARKIT_NAMES]), source="x.glb")
