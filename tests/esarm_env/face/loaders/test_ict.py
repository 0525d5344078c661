"""ICT-FaceKit: its units, its halves, its many files."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from esarm_env.core.errors import InputError
from esarm_env.face import ARKIT_NAMES, ORDERS, Head, index_of, load_head
from esarm_env.face.loaders import load_ict_arrays, load_ict_folder

_FACES = np.array([[0, 1, 2], [0, 2, 3]])
_HALVED = ("browInnerUp", "cheekPuff")


def _ict_names() -> list[str]:
    """Return the names of ICT-FaceKit's shapes: Apple's keys, two of them halved, no tongueOut."""
    names = [name for name in ORDERS["apple_keys"] if name not in (*_HALVED, "tongueOut")]
    return [*names, *(f"{name}_{side}" for name in _HALVED for side in "LR"), "cheekRaiser_L"]


@pytest.fixture
def arrays() -> dict[str, Any]:
    """Return a square with ICT-FaceKit's shapes, each another field, in cm."""
    names = _ict_names()
    fields = np.random.default_rng(0).normal(size=(len(names), 4, 3)).astype(np.float16)
    square = np.array([[0, 0, 1], [1, 0, 1], [1, 1, 1], [0, 1, 1]], np.float32)
    return {"vertices": square, "faces": _FACES, "deltas": fields, "names": np.array(names)}


def _expected(arrays: dict[str, Any]) -> np.ndarray:
    """Return the 52 fields in mm by their definition."""
    named = dict(zip(arrays["names"], arrays["deltas"].astype(np.float64), strict=True))
    fields = np.zeros((52, *arrays["vertices"].shape))
    for index, name in enumerate(ORDERS["apple_keys"]):
        if name in _HALVED:
            fields[index] = named[f"{name}_L"] + named[f"{name}_R"]
        elif name != "tongueOut":
            fields[index] = named[name]
    return 10 * fields


def test_the_arrays_become_millimetres(
    tmp_path: Path, arrays: dict[str, Any], small_regions: Path
) -> None:
    """A factor of ten, or a brow that rises on one side, is not seen in any shape check."""
    path = tmp_path / "ict.npz"
    np.savez(path, **arrays)
    head = load_ict_arrays(path, regions=small_regions)
    np.testing.assert_allclose(head.vertices, 10 * arrays["vertices"])
    np.testing.assert_allclose(head.deltas, _expected(arrays), atol=1e-4)
    np.testing.assert_array_equal(head.faces, _FACES)
    assert not head.deltas[index_of("tongueOut")].any()
    assert head.regions["lips"].tolist() == [0, 1]


def _write_obj(path: Path, vertices: np.ndarray) -> None:
    """Write a quad as ICT-FaceKit does: texture indices, comments, a material."""
    rows = [f"v {x:.6g} {y:.6g} {z:.6g}" for x, y, z in vertices]
    corners = " ".join(f"{i + 1}/{9 - i}/{i + 1}" for i in range(4))
    path.write_text("\n".join(["# ICT", "mtllib a.mtl", *rows, "vt 0 0", f"f {corners}"]))


@pytest.fixture
def repository(tmp_path: Path, arrays: dict[str, Any]) -> Path:
    """Return the folder form of the same head, with an identity among the shapes."""
    folder = tmp_path / "ICT-FaceKit" / "FaceXModel"
    folder.mkdir(parents=True)
    _write_obj(folder / "generic_neutral_mesh.obj", arrays["vertices"])
    _write_obj(folder / "identity000.obj", arrays["vertices"] + 9)
    for name, field in zip(arrays["names"], arrays["deltas"], strict=True):
        _write_obj(folder / f"{name}.obj", arrays["vertices"] + field.astype(np.float64))
    return folder.parent


@pytest.mark.parametrize("inner", ["", "FaceXModel"])
def test_the_folder_gives_the_same_head(
    repository: Path, arrays: dict[str, Any], small_regions: Path, inner: str
) -> None:
    """Quads are cut, vertices keep their order, and textures do not split them."""
    head = load_ict_folder(repository / inner, regions=small_regions)
    np.testing.assert_allclose(head.vertices, 10 * arrays["vertices"])
    np.testing.assert_allclose(head.deltas, _expected(arrays), atol=1e-3)
    np.testing.assert_array_equal(head.faces, _FACES)


def test_what_hides_the_eyes_is_left_out(
    repository: Path, small_regions: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The full model ends with transparent meshes before the eyes; they would be painted white."""
    monkeypatch.setattr("esarm_env.face.loaders.ict._N_ALL", 4)
    monkeypatch.setattr("esarm_env.face.loaders.ict._N_OPAQUE", 3)
    np.savez(small_regions, lips=[0], eyes=[1], forehead=[2])
    head = load_ict_folder(repository, regions=small_regions)
    assert head.vertices.shape == (3, 3)
    assert head.faces.tolist() == [[0, 1, 2]]


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("jawOpen.obj", "v 0 0 0\n", "jawOpen.obj: must have 4 vertices as generic_neutral_mesh"),
        ("jawOpen.obj", "v 0 0\n", "jawOpen.obj: `v` must be numbers of shape ('any', 3)"),
        ("jawOpen.obj", "v 0 0 a\n", "jawOpen.obj: must have lines `v x y z`, got others or none"),
        ("jawOpen.obj", "v 0 0 nan\n", "jawOpen.obj: `v` must be finite, got nan or infinity"),
        ("jawOpen.obj", "", "jawOpen.obj: `v` must be numbers of shape ('any', 3)"),
        (
            "generic_neutral_mesh.obj",
            "v 0 0 0\nf 1 a 3\n",
            "generic_neutral_mesh.obj: must have lines `f 1 2 3`, got others",
        ),
        (
            "generic_neutral_mesh.obj",
            "v 0 0 0\nf 1 2 3\n",
            "generic_neutral_mesh.obj: `f` must index the 1 vertices, got 0..2",
        ),
        ("generic_neutral_mesh.obj", "v 0 0 0\n", "`f` must be integers of shape (F, 3)"),
    ],
)
def test_a_damaged_mesh_is_refused(
    repository: Path, small_regions: Path, file: str, text: str, message: str
) -> None:
    """A half-downloaded repository is what users have."""
    (repository / "FaceXModel" / file).write_text(text)
    with pytest.raises(InputError, match=re.escape(message)):
        load_ict_folder(repository, regions=small_regions)


def test_missing_files_are_named(repository: Path, tmp_path: Path, small_regions: Path) -> None:
    """All of them at once; and a folder without the neutral mesh is none of ours."""
    for name in ("jawOpen", "browInnerUp_R"):
        (repository / "FaceXModel" / f"{name}.obj").unlink()
    with pytest.raises(InputError, match=r"got none for browInnerUp, jawOpen$"):
        load_ict_folder(repository, regions=small_regions)
    with pytest.raises(InputError, match="must be an ICT-FaceKit folder with generic_neutral_mesh"):
        load_ict_folder(tmp_path, regions=small_regions)


def test_a_mesh_that_cannot_be_read_is_refused(repository: Path, small_regions: Path) -> None:
    """The name of the file is what the user needs."""
    mesh = repository / "FaceXModel" / "jawOpen.obj"
    mesh.unlink()
    mesh.mkdir()
    with pytest.raises(InputError, match=re.escape(f"{mesh}: must be a readable file, got")):
        load_ict_folder(repository, regions=small_regions)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"names": None}, "must hold arrays of numbers vertices, faces, deltas, names, got none"),
        ({"names": np.ones(56)}, "`names` must be text of shape (n,), got float64 (56,)"),
        ({"names": np.array(["jawOpen"])}, "`deltas` must be numbers of shape (1, 4, 3)"),
        ({"vertices": np.ones((4, 2))}, "`vertices` must be numbers of shape ('any', 3)"),
        ({"faces": np.array([[0, 1, 4]])}, "`faces` must index the 4 vertices, got 0..4"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(
    tmp_path: Path, arrays: dict[str, Any], change: dict[str, Any], message: str
) -> None:
    """What is wrong, and in which file."""
    path = tmp_path / "ict.npz"
    kept = {name: array for name, array in {**arrays, **change}.items() if array is not None}
    np.savez(path, **kept)
    with pytest.raises(InputError, match=re.escape(f"{path}: {message}")):
        load_ict_arrays(path)


def test_a_shape_given_twice_is_refused_with_its_file(
    tmp_path: Path, arrays: dict[str, Any], small_regions: Path
) -> None:
    """Of two jaws one would be lost; and which of the user's heads has them?"""
    path = tmp_path / "ict.npz"
    np.savez(path, **{**arrays, "names": np.where(_is_jaw(arrays), "jawOpen", arrays["names"])})
    message = f"{path}: `names` must name a shape once, got 'jawOpen' and 'jawOpen'"
    with pytest.raises(InputError, match=re.escape(message)):
        load_ict_arrays(path, regions=small_regions)


def _is_jaw(arrays: dict[str, Any]) -> np.ndarray:
    """Return where the names are those of a jaw shape that is open or forward."""
    return np.isin(arrays["names"], ("jawOpen", "jawForward"))


def _save_own(path: Path, *, scale: float = 0.1, **change: np.ndarray) -> Path:
    """Write our own head in ICT-FaceKit's form."""
    head = load_head()
    arrays = {
        "vertices": scale * head.vertices,
        "faces": head.faces,
        "deltas": scale * head.deltas,
        "names": np.array(ARKIT_NAMES),
    }
    np.savez(path, **{**arrays, **change})
    return path


def test_regions_come_from_our_own_head(tmp_path: Path) -> None:
    """The file has none, and no metric works without."""
    own, head = load_head(), load_ict_arrays(_save_own(tmp_path / "ict.npz"))
    assert isinstance(head, Head)
    lips = set(own.regions["lips"].tolist())
    assert len(lips & set(head.regions["lips"].tolist())) > 0.9 * len(lips)


def test_a_head_without_motion_needs_a_region_file(tmp_path: Path) -> None:
    """Alignment starts from the shapes."""
    still = np.zeros((52, *load_head().vertices.shape))
    path = _save_own(tmp_path / "ict.npz", deltas=still)
    with pytest.raises(InputError, match="the shapes must move the skin, got blinks or too many"):
        load_ict_arrays(path)


def test_a_head_of_another_size_is_refused(tmp_path: Path) -> None:
    """Metres taken for centimetres make every error a hundredth."""
    path = _save_own(tmp_path / "ict.npz", scale=0.001)
    with pytest.raises(InputError, match=r"must have the size of a head, got 0\.01 times as much"):
        load_ict_arrays(path)


def test_a_head_inside_out_is_refused(tmp_path: Path) -> None:
    """Alignment goes by normals: it found half the forehead, and EVE was another metric."""
    path = _save_own(tmp_path / "ict.npz", faces=load_head().faces[:, ::-1])
    message = f"{path}: triangles must be counter-clockwise seen from outside, got a head inside"
    with pytest.raises(InputError, match=re.escape(message)):
        load_ict_arrays(path)


def test_a_head_without_area_is_refused(tmp_path: Path) -> None:
    """All vertices in one place have no inside; the question must not end in a warning."""
    path = _save_own(tmp_path / "ict.npz", vertices=np.zeros_like(load_head().vertices))
    with pytest.raises(InputError, match="the shapes must move the skin, got blinks or too many"):
        load_ict_arrays(path)


def test_a_shape_that_leaves_the_skin_alone_is_refused(tmp_path: Path) -> None:
    """Avatars open the jaw of their teeth alone: the lips' error would be 0 whatever it does."""
    deltas = load_head().deltas.copy()
    deltas[[index_of("jawOpen"), index_of("tongueOut")]] = 0.0
    path = _save_own(tmp_path / "ict.npz", deltas=0.1 * deltas)
    message = f"{path}: shapes must move the skin, got none by jawOpen"
    with pytest.raises(InputError, match=re.escape(message) + "$"):
        load_ict_arrays(path)


def test_an_open_mask_is_not_inside_out(tmp_path: Path) -> None:
    """Scans and game heads often end before the ears."""
    head = load_head()
    front = (head.vertices[:, 2] > 60.0)[head.faces].all(axis=1)
    mask = load_ict_arrays(_save_own(tmp_path / "ict.npz", faces=head.faces[front]))
    assert set(mask.regions["lips"].tolist()) <= set(head.regions["lips"].tolist())
    assert len(mask.regions["lips"]) > 200


def test_a_head_that_looks_elsewhere_is_refused(tmp_path: Path) -> None:
    """Left and right, up and forward have a meaning in this package."""
    head, turn = load_head(), np.array([[0, 0, 1], [0, 1, 0], [-1, 0, 0]])
    vertices, deltas = (0.1 * array @ turn.T for array in (head.vertices, head.deltas))
    path = _save_own(tmp_path / "ict.npz", vertices=vertices, deltas=deltas)
    with pytest.raises(InputError, match=r"must face \+z with y up, got a head turned by 90°"):
        load_ict_arrays(path)
