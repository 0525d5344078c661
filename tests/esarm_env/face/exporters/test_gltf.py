"""A `.glb` of a clip, read by trimesh, by hand from the specification, and by our own loader."""

from __future__ import annotations

import json
import re
import struct
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from esarm_env.core.errors import MissingExtraError
from esarm_env.face import ARKIT_NAMES, Head, load_head, open_head, read_livelink_csv
from esarm_env.face.exporters import Sound, write_motion

pytest.importorskip("pygltflib")
SILENCE = np.zeros(8000, "f4")


class Glb:
    """A `.glb` file by hand: header, JSON, bytes (glTF 2.0, sections 3.6 and 4)."""

    def __init__(self, path: Path) -> None:
        data = path.read_bytes()
        magic, version, length = struct.unpack_from("<4sII", data)
        assert (magic, version, length) == (b"glTF", 2, len(data))
        size, kind = struct.unpack_from("<I4s", data, 12)
        assert kind == b"JSON"
        self.json: dict[str, Any] = json.loads(data[20 : 20 + size])
        self.blob = data[28 + size :]

    def view(self, index: int, dtype: str, count: int) -> np.ndarray:
        """Return numbers of a buffer view."""
        view = self.json["bufferViews"][index]
        return np.frombuffer(self.blob, dtype, count, offset=view.get("byteOffset", 0))

    def numbers(self, index: int) -> np.ndarray:
        """Return an accessor's rows as floats, sparse ones filled with zeros."""
        accessor = self.json["accessors"][index]
        width = {"SCALAR": 1, "VEC3": 3, "VEC4": 4}[accessor["type"]]
        dtype = {5123: "<u2", 5125: "<u4", 5126: "<f4"}[accessor["componentType"]]
        rows = np.zeros((accessor["count"], width))
        if "bufferView" in accessor:
            rows = self.view(accessor["bufferView"], dtype, rows.size).reshape(rows.shape) * 1.0
        if "sparse" in accessor:
            sparse = accessor["sparse"]
            assert sparse["indices"]["componentType"] == 5123
            places = self.view(sparse["indices"]["bufferView"], "<u2", sparse["count"])
            new = self.view(sparse["values"]["bufferView"], "<f4", sparse["count"] * width)
            rows[places] = new.reshape(-1, width)
        return rows / 65535 if accessor.get("normalized") else rows

    def curves(self) -> tuple[np.ndarray, np.ndarray]:
        """Return times and weights of the one animation."""
        (animation,) = self.json["animations"]
        (sampler,), (channel,) = animation["samplers"], animation["channels"]
        assert channel["target"] == {"node": 0, "path": "weights"}
        assert self.json["nodes"][0]["mesh"] == 0
        times = self.numbers(sampler["input"])[:, 0]
        return times, self.numbers(sampler["output"]).reshape(len(times), 52)


def test_trimesh_finds_the_head_and_all_names(
    small_head: Head, motion: np.ndarray, tmp_path: Path
) -> None:
    """A reader that is not ours; millimetres there would be a head as large as a house."""
    trimesh = pytest.importorskip("trimesh")
    write_motion(tmp_path / "a.glb", motion, head=small_head)
    (mesh,) = trimesh.load(tmp_path / "a.glb", process=False).geometry.values()
    assert mesh.metadata["targetNames"] == list(ARKIT_NAMES)
    np.testing.assert_allclose(mesh.vertices[:5], small_head.vertices / 1000, atol=1e-7)
    assert len(mesh.faces) == len(small_head.faces)
    assert mesh.is_winding_consistent


@pytest.mark.parametrize("rate_hz", [30, 60])
def test_weights_and_targets_are_those_that_were_given(
    small_head: Head, motion: np.ndarray, tmp_path: Path, rate_hz: int
) -> None:
    """Curves equal to the CSV's within 1/255, at both rates."""
    write_motion(tmp_path / "a.glb", motion, head=small_head, rate_hz=rate_hz, name="take 1")
    write_motion(tmp_path / "a.csv", motion, rate_hz=rate_hz)
    glb = Glb(tmp_path / "a.glb")
    times, weights = glb.curves()
    np.testing.assert_allclose(times, np.arange(len(times)) / rate_hz, atol=1e-6)
    csv, _ = read_livelink_csv(tmp_path / "a.csv")
    assert np.abs(weights - csv).max() < 1e-5 < 1 / 255
    assert glb.json["animations"][0]["name"] == "take 1"
    (primitive,) = glb.json["meshes"][0]["primitives"]
    for channel, target in enumerate(primitive["targets"]):
        moved = glb.numbers(target["POSITION"])[:5] * 1000
        np.testing.assert_allclose(moved, small_head.deltas[channel], atol=1e-5)


def test_normals_turn_with_the_face(small_head: Head, motion: np.ndarray, tmp_path: Path) -> None:
    """With those of rest alone a smile is lit as if nothing had moved."""
    write_motion(tmp_path / "a.glb", motion, head=small_head)
    glb = Glb(tmp_path / "a.glb")
    (primitive,) = glb.json["meshes"][0]["primitives"]
    rest = glb.numbers(primitive["attributes"]["NORMAL"])
    np.testing.assert_allclose(np.linalg.norm(rest, axis=1), 1, atol=1e-5)
    turned = rest + glb.numbers(primitive["targets"][0]["NORMAL"])
    np.testing.assert_allclose(np.linalg.norm(turned, axis=1), 1, atol=1e-5)
    assert np.abs(turned - rest).max() > 0.05
    still = glb.json["accessors"][primitive["targets"][51]["POSITION"]]
    assert "sparse" not in still and still["max"] == [0, 0, 0], "tongueOut moves nothing"
    assert "byteOffset" not in still, "an offset into no view is against the specification"


def test_a_vertex_between_two_colours_becomes_two(small_head: Head, tmp_path: Path) -> None:
    """The teeth's edge would be smeared over the skin beside it."""
    write_motion(tmp_path / "a.glb", np.zeros((1, 52)), head=small_head)
    glb = Glb(tmp_path / "a.glb")
    attributes = glb.json["meshes"][0]["primitives"][0]["attributes"]
    places, colours = glb.numbers(attributes["POSITION"]), glb.numbers(attributes["COLOR_0"])
    assert len(places) > 5, "copies stand behind the head's own"
    for place, colour in zip(places[5:], colours[5:], strict=True):
        (own,) = np.flatnonzero((places[:5] == place).all(axis=1))
        assert (colours[own] != colour).any()
    assert (colours[:, 3] == 1).all()


def test_rate_and_sound_stand_in_the_extras(
    small_head: Head, motion: np.ndarray, tmp_path: Path
) -> None:
    """No track says when the sound begins."""
    sound = Sound(SILENCE, 16000, "a.wav")
    write_motion(tmp_path / "a.glb", motion, head=small_head, speech=sound)
    audio = {"file": "a.wav", "offset_s": 0.0, "duration_s": 0.5}
    extras = Glb(tmp_path / "a.glb").json["animations"][0]["extras"]
    assert extras == {"fps": 30, "frames": 15, "audio": audio}
    write_motion(tmp_path / "b.glb", motion, head=small_head)
    assert "audio" not in Glb(tmp_path / "b.glb").json["animations"][0]["extras"]


def test_ten_seconds_with_our_head_are_under_two_megabytes(tmp_path: Path) -> None:
    """Dense targets alone would take four."""
    motion = np.random.default_rng(0).random((300, 52))
    path = tmp_path / "a.glb"
    write_motion(path, motion)
    assert path.stat().st_size < 2_000_000
    times, weights = Glb(path).curves()
    assert times[-1] == pytest.approx(299 / 30)
    assert np.abs(weights - motion).max() < 1e-5


def test_a_file_of_ours_opens_as_a_head(motion: np.ndarray, tmp_path: Path) -> None:
    """Whoever gets a `.glb` has the head as well: `--head a.glb`."""
    head = load_head()
    write_motion(tmp_path / "a.glb", motion[:1], head=head)
    again = open_head(tmp_path / "a.glb", regions=_regions(tmp_path, head))
    np.testing.assert_allclose(again.vertices[: head.n_vertices], head.vertices, atol=1e-4)
    assert np.abs(again.deltas[:, : head.n_vertices] - head.deltas).max() < 0.021, "0.02 mm is cut"


def _regions(folder: Path, head: Head) -> Path:
    """Write the head's regions, so that none has to be carried over."""
    np.savez(folder / "regions.npz", **{k: head.regions[k] for k in ("lips", "eyes", "forehead")})
    return folder / "regions.npz"


def test_a_missing_extra_is_told_with_the_pip_line(
    motion: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And nothing is written."""
    monkeypatch.setitem(sys.modules, "pygltflib", None)
    message = "A .glb file needs `pygltflib`: run `pip install 'esarm[heads]'`"
    with pytest.raises(MissingExtraError, match=re.escape(message)):
        write_motion(tmp_path / "a.glb", motion)
    assert not list(tmp_path.iterdir())
