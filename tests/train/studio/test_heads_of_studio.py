"""Heads as the page draws them."""

from __future__ import annotations

import numpy as np
import pytest

from esarm_env.core.errors import InputError
from esarm_env.face import load_head
from tests.train.studio.conftest import Open
from tests.train.studio.test_animate_page import unpacked
from train.studio.heads import Heads, packed_head
from train.studio.packing import packed, stepped


def test_the_page_can_build_every_face_of_a_head() -> None:
    """Rest and displacements as the page reads them give the head's own vertices."""
    head = load_head()
    told, arrays = unpacked(packed_head(head))
    rest = arrays["vertices"] * told["steps"]["vertices"]
    weights = np.random.default_rng(0).random(52).astype(np.float32)
    moved, ends = rest.copy(), np.cumsum(told["counts"])
    deltas = arrays["deltas"] * told["steps"]["deltas"]
    for weight, end, count in zip(weights, ends, told["counts"], strict=True):
        moved[arrays["moved"][end - count : end]] += weight * deltas[end - count : end]
    # Displacements below 0.02 mm are left out, 52 of them at most.
    assert np.abs(moved - head.apply(weights)).max() < 0.1
    np.testing.assert_array_equal(arrays["faces"], head.faces)
    np.testing.assert_array_equal(arrays["sources"][arrays["corners"]], head.faces)


def test_a_corner_has_the_colour_of_its_face() -> None:
    """At the rim of an iris two colours meet in one vertex; smeared, eyes look ill."""
    from train.figure5.web.mesh import shaded_albedo

    head = load_head()
    _, arrays = unpacked(packed_head(head))
    shown = arrays["colours"][arrays["corners"]]
    expected = 255 * np.clip(shaded_albedo(head), 0, 1) ** (1 / 2.2)
    assert np.abs(shown - expected).max() <= 0.5 + 1e-6
    assert 0 < arrays["wet"].sum() < len(arrays["wet"]) / 2


def test_packed_arrays_are_aligned() -> None:
    """A typed array of a browser begins at a multiple of its size, or throws."""
    body = packed({"of": "ü"}, a=np.arange(3, dtype=np.uint8), b=np.arange(2, dtype=np.float32))
    told, arrays = unpacked(body)
    assert told["of"] == "ü"
    assert (len(body) - 8) % 4 == 0 or len(body) % 4 == 0
    assert all(place["at"] % 4 == 0 for place in told["arrays"].values())
    np.testing.assert_array_equal(arrays["b"], [0, 1])


def test_numbers_beyond_their_range_become_its_ends() -> None:
    """A coefficient that wraps round shuts an open mouth."""
    np.testing.assert_array_equal(stepped([1e9, -1e9, 0.25], "int16", 0.1), [32767, -32768, 2])


def test_other_heads_are_those_of_the_folder(opened: Open, folder: object) -> None:
    """Only what lies there, and a file that is no head is refused by its reader."""
    from pathlib import Path

    place = Path(str(folder))
    (place / "broken.glb").write_bytes(b"glTF" + bytes(40))
    client = opened(folder=place)
    assert client.get("/api/studio").json()["heads"] == ["esarm", "broken.glb"]
    answer = client.get("/api/head?name=broken.glb")
    assert answer.status_code == 400
    assert "broken.glb" in answer.json()["error"]
    assert client.get("/api/head?name=../a.glb").status_code == 400
    assert client.get("/api/head").status_code == 200


def test_without_a_folder_there_is_our_head_alone() -> None:
    """No path of a request leads to a file."""
    with pytest.raises(InputError, match="the head must be 'esarm' where no folder is chosen"):
        Heads(None).head("/tmp/head.glb")
