"""FLAME: read from a stranger's pickle, moved by our shapes, exported as its own parameters."""

from __future__ import annotations

import pickle
import re
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import sparse
from scipy.spatial.transform import Rotation

from esarm_env.core.errors import InputError
from esarm_env.face import ARKIT_NAMES, Head, index_of, load_head
from esarm_env.face.loaders import FlameMap, load_flame
from esarm_env.face.loaders.alignment import Correspondence, Similarity
from esarm_env.face.loaders.flame import FlameModel, fit_flame_map, read_flame, rotation_matrix
from esarm_env.face.loaders.surfaces import build_surface
from esarm_env.face.loaders.targets import check_placing

_EYES = np.array([[0.03, 0.0, 0.0], [-0.03, 0.0, 0.0]])


@pytest.fixture(scope="module")
def loaded(flame_file: Path) -> tuple[Head, FlameMap]:
    """Return the FLAME-like head and its map."""
    return load_flame(flame_file)


@pytest.fixture
def small(tmp_path: Path) -> dict[str, Any]:
    """Return FLAME's arrays for ten vertices."""
    rng = np.random.default_rng(0)
    regressor = np.zeros((5, 10))
    regressor[range(5), range(5)] = 1.0
    return {
        "v_template": rng.normal(size=(10, 3)),
        "f": np.arange(9, dtype=np.uint32).reshape(3, 3),
        "shapedirs": rng.normal(size=(10, 3, 400)),
        "posedirs": rng.normal(size=(10, 3, 36)),
        "J_regressor": regressor,
        "weights": rng.random((10, 5)),
    }


def test_each_shape_is_recovered(loaded: tuple[Head, FlameMap], flame_maker: Any) -> None:
    """Its expressions can do all of our shapes: the skin is within 0.6 mm everywhere."""
    head, flame_map = loaded
    own = load_head()
    skin = build_surface(own.vertices, own.faces).skin
    truth = 1000 * flame_maker.metres(own.deltas.astype(np.float64))
    apart = np.linalg.norm(head.deltas - truth, axis=-1)[:, skin]
    worst = {name: float(error.max()) for name, error in zip(ARKIT_NAMES, apart, strict=True)}
    assert max(worst.values()) < 0.6, worst
    assert np.sqrt(np.square(apart).mean(axis=1)).max() < 0.12
    assert np.nanmax(flame_map.residual) < 0.15


def test_the_template_is_kept_in_millimetres(
    loaded: tuple[Head, FlameMap], flame_file: Path
) -> None:
    """What is exported must fit the user's other FLAME meshes."""
    with np.load(flame_file) as arrays:
        np.testing.assert_allclose(loaded[0].vertices, 1000 * arrays["v_template"], rtol=1e-5)
        np.testing.assert_array_equal(loaded[0].faces, arrays["f"])


def test_regions_come_from_our_own_head(loaded: tuple[Head, FlameMap]) -> None:
    """Where the user has no FLAME_masks.pkl."""
    for name in ("lips", "eyes"):
        wanted = set(load_head().regions[name].tolist())
        assert len(wanted & set(loaded[0].regions[name].tolist())) > 0.9 * len(wanted)


def test_paths_may_be_text(flame_file: Path, small_regions: Path) -> None:
    """The README's readers write names in quotes."""
    head, _ = load_flame(str(flame_file), regions=str(small_regions))
    assert head.regions["eyes"].tolist() == [2]


def test_a_template_inside_out_is_refused(tmp_path: Path, flame_file: Path) -> None:
    """Alignment goes by normals and would carry wrong motion over."""
    path = tmp_path / "flame.npz"
    with np.load(flame_file) as arrays:
        np.savez(path, **{**arrays, "f": arrays["f"][:, ::-1]})
    message = f"{path}: triangles must be counter-clockwise seen from outside, got a head inside"
    with pytest.raises(InputError, match=re.escape(message)):
        load_flame(path)


def test_regions_may_come_from_flames_masks(flame_file: Path, tmp_path: Path) -> None:
    """They are what papers use."""
    masks = {name: np.arange(n, n + 5) for n, name in enumerate(("lips", "eye_region", "forehead"))}
    path = tmp_path / "FLAME_masks.pkl"
    path.write_bytes(pickle.dumps(masks, protocol=2))
    head, _ = load_flame(flame_file, regions=path)
    assert head.regions["eyes"].tolist() == [1, 2, 3, 4, 5]


def test_motion_becomes_flames_parameters(loaded: tuple[Head, FlameMap], flame_file: Path) -> None:
    """Played by FLAME's own formula they must look as the head does."""
    head, flame_map = loaded
    motion = np.random.default_rng(0).random((7, 52)).astype(np.float32) / 10
    expression, jaw = flame_map.to_flame(motion)
    assert expression.shape == (7, 50)
    assert jaw.shape == (7, 3)
    assert expression.dtype == jaw.dtype == np.float32
    with np.load(flame_file) as arrays:
        moved = np.einsum("vke,te->tvk", arrays["shapedirs"][:, :, 100:], expression)
    np.testing.assert_allclose(
        head.vertices + 1000 * moved, head.apply(motion), atol=0.05 + 60 * np.abs(jaw).max()
    )
    assert np.abs(jaw).max() < 0.01


def _model(flame_maker: Any, expressions: np.ndarray) -> FlameModel:
    """Return a model with these expressions (V, 3, E) and the maker's jaw."""
    arms = flame_maker.metres(flame_maker.vertices - flame_maker.jaw)
    jaw = np.zeros((len(arms), 3, 9))
    for row in range(3):
        jaw[:, row, 3 * row : 3 * row + 3] = flame_maker.bound[:, None] * arms
    return FlameModel(arms, flame_maker.head.faces, expressions, jaw, _EYES)


def test_a_jaw_rotation_is_found(flame_maker: Any) -> None:
    """FLAME opens its mouth by the jaw; a fit by expressions alone tears the lips."""
    rng = np.random.default_rng(0)
    noise = rng.normal(size=(flame_maker.head.n_vertices, 3, 5)) / 1000
    model = _model(flame_maker, noise)
    vectors = np.zeros((52, 3))
    vectors[:3] = [[0.35, 0.02, -0.01], [-0.1, 0.0, 0.05], [0.0, 0.0, 0.0]]
    turns = np.stack([rotation_matrix(vector) - np.eye(3) for vector in vectors])
    fields = np.einsum("vke,se->svk", model.jaw, turns.reshape(52, 9))
    fields[:, :, :] += np.einsum("vke,e->vk", noise, [0.5, 0, 0, 0, 0])
    flame_map, done = fit_flame_map(model, fields, np.ones(len(noise)))
    np.testing.assert_allclose(flame_map.coefficients[:, -3:], vectors, atol=1e-4)
    np.testing.assert_allclose(flame_map.coefficients[:, 0], 0.5, atol=1e-3)
    np.testing.assert_allclose(done, fields, atol=1e-5)


def test_what_flame_cannot_do_is_told(flame_maker: Any) -> None:
    """A blink of half its size would pass for a tired face."""
    n = flame_maker.head.n_vertices
    expressions = np.zeros((n, 3, 2))
    expressions[: n // 2, 0, 0], expressions[n // 2 :, 0, 1] = 0.001, 0.001
    fields = np.zeros((52, n, 3))
    fields[0, :, 0] = 0.003
    fields[1, :, 0], fields[1, :, 1] = 0.003, 0.004
    fields[2, :, 1] = 0.001
    model = FlameModel(
        np.zeros((n, 3)), flame_maker.head.faces, expressions, np.zeros((n, 3, 9)), _EYES
    )
    flame_map, _ = fit_flame_map(model, fields, np.ones(n))
    np.testing.assert_allclose(flame_map.residual[:3], [0, 0.8, 1], atol=1e-2)
    assert np.isnan(flame_map.residual[3:]).all()
    np.testing.assert_allclose(flame_map.coefficients[0], [3, 3, 0, 0, 0], rtol=1e-2)


def test_vertices_without_weight_do_not_count(flame_maker: Any) -> None:
    """Eyeballs and shoulders have no counterpart."""
    n = flame_maker.head.n_vertices
    fields = np.zeros((52, n, 3))
    fields[:, :10] = 0.002
    fields[:, 10:] = 0.5
    model = FlameModel(
        np.zeros((n, 3)),
        flame_maker.head.faces,
        np.full((n, 3, 1), 0.001),
        np.zeros((n, 3, 9)),
        _EYES,
    )
    flame_map, _ = fit_flame_map(model, fields, np.where(np.arange(n) < 10, 1.0, 0.0))
    np.testing.assert_allclose(flame_map.coefficients[:, 0], 2.0, rtol=1e-3)


@pytest.mark.parametrize("vector", [[0, 0, 0], [0.3, -0.2, 0.1], [3.0, 0, 0], [1e-9, 0, 0]])
def test_rotation_vectors_become_matrices(vector: list[float]) -> None:
    """Against scipy's."""
    expected = Rotation.from_rotvec(vector).as_matrix()
    np.testing.assert_allclose(rotation_matrix(np.array(vector)), expected, atol=1e-12)


def test_the_jaw_moves_as_flames_formula_says(tmp_path: Path, small: dict[str, Any]) -> None:
    """Skinning about the joint, with the second joint's nine pose correctives (row by row)."""
    path = tmp_path / "flame.npz"
    np.savez(path, **small)
    model = read_flame(path)
    turn = Rotation.from_rotvec([0.2, 0.1, -0.1]).as_matrix()
    joint = small["J_regressor"][2] @ small["v_template"]
    features = np.zeros((4, 3, 3))
    features[1] = turn - np.eye(3)
    posed = small["posedirs"] @ features.ravel()
    skinned = small["weights"][:, 2, None] * ((small["v_template"] - joint) @ turn.T)
    skinned -= small["weights"][:, 2, None] * (small["v_template"] - joint)
    moved = model.jaw @ (turn - np.eye(3)).ravel()
    np.testing.assert_allclose(moved, posed + skinned, atol=1e-12)


@pytest.mark.parametrize(("n_components", "first"), [(400, 300), (150, 100)])
def test_expressions_follow_the_identity(
    tmp_path: Path, small: dict[str, Any], n_components: int, first: int
) -> None:
    """Identity components in their place would change the speaker with each word."""
    path = tmp_path / "flame.npz"
    small["shapedirs"] = small["shapedirs"][:, :, :n_components]
    np.savez(path, **small)
    np.testing.assert_array_equal(read_flame(path).expressions, small["shapedirs"][:, :, first:])


def test_the_published_pickle_is_read(
    tmp_path: Path, small: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Chumpy arrays, a sparse regressor, words beside the numbers; chumpy is not installed."""
    Ch = type("Ch", (), {"__module__": "chumpy.ch"})
    content: dict[str, Any] = {**small, "bs_style": "lbs", "bs_type": "lrotmin"}
    for name in ("v_template", "shapedirs", "posedirs"):
        wrapped = Ch()
        wrapped.x = small[name]  # type: ignore[attr-defined]
        content[name] = wrapped
    content["J_regressor"] = sparse.csc_matrix(small["J_regressor"])
    path = tmp_path / "generic_model.pkl"
    with monkeypatch.context() as context:
        for name in ("chumpy", "chumpy.ch"):
            context.setitem(sys.modules, name, types.ModuleType(name))
        sys.modules["chumpy.ch"].Ch = Ch  # type: ignore[attr-defined]
        path.write_bytes(pickle.dumps(content, protocol=2))
    plain = tmp_path / "flame.npz"
    np.savez(plain, **small)
    ours, expected = read_flame(path), read_flame(plain)
    for name in ("template", "faces", "expressions", "jaw", "eyes"):
        np.testing.assert_allclose(getattr(ours, name), getattr(expected, name))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"weights": None},
            "must hold arrays of numbers v_template, f, shapedirs, posedirs, J_reg",
        ),
        ({"v_template": np.ones(3)}, "`v_template` must be numbers of shape ('any', 3)"),
        ({"f": np.array([[0, 1, 10]])}, "`f` must index the 10 vertices, got 0..10"),
        (
            {"shapedirs": np.ones((9, 3, 400))},
            "`shapedirs` must be numbers of shape (10, 3, 'any')",
        ),
        (
            {"shapedirs": np.ones((10, 3, 10))},
            "`shapedirs` must have 400 or 150 components, got 10",
        ),
        ({"posedirs": np.ones((10, 3, 9))}, "`posedirs` must be numbers of shape (10, 3, 36)"),
        ({"J_regressor": np.ones((24, 10))}, "`J_regressor` must be numbers of shape (5, 10)"),
        (
            {"J_regressor": np.ones((5, 10))},
            "`J_regressor` must tell the eyes apart, got both eyes",
        ),
        ({"weights": np.ones((10, 4))}, "`weights` must be numbers of shape (10, 5)"),
        ({"weights": np.full((10, 5), np.nan)}, "`weights` must be finite, got nan or infinity"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(
    tmp_path: Path, small: dict[str, Any], change: dict[str, Any], message: str
) -> None:
    """A body model of the same family has the same names."""
    path = tmp_path / "flame.npz"
    kept = {name: array for name, array in {**small, **change}.items() if array is not None}
    np.savez(path, **kept)
    with pytest.raises(InputError, match=re.escape(f"{path}: {message}")):
        load_flame(path)


def test_a_face_unlike_ours_is_refused() -> None:
    """Regions of nothing would make every metric nan."""
    head = load_head()
    n = head.n_vertices
    nowhere = Correspondence(
        head,
        build_surface(head.vertices, head.faces),
        Similarity(1.0, np.eye(3), np.zeros(3)),
        np.zeros((n, 4), np.int64),
        np.full((n, 4), 0.25),
        np.full(n, 99.0),
    )
    message = "x: must have a face like ours, got nothing there for lips, eyes, forehead"
    with pytest.raises(InputError, match=re.escape(message)):
        check_placing(nowhere, source=Path("x"))


@pytest.mark.parametrize(
    ("coefficients", "residual", "message"),
    [
        (np.ones((51, 9)), np.ones(52), "`coefficients` must have shape (52, E + 3), got (51, 9)"),
        (np.ones((52, 9)), np.ones(51), "`residual` must have shape (52,), got (51,)"),
    ],
)
def test_a_map_of_another_shape_is_refused(
    coefficients: np.ndarray, residual: np.ndarray, message: str
) -> None:
    """A map saved for other channels."""
    with pytest.raises(InputError, match=re.escape(message)):
        FlameMap(coefficients, residual)


@pytest.mark.parametrize("motion", [np.ones(52), np.ones((3, 51))])
def test_motion_of_another_shape_is_refused(motion: np.ndarray) -> None:
    """51 columns are MediaPipe's, in another order."""
    flame_map = FlameMap(np.ones((52, 9), np.float32), np.ones(52, np.float32))
    message = f"`motion` must have shape (T, 52), got {motion.shape}"
    with pytest.raises(InputError, match=re.escape(message)):
        flame_map.to_flame(motion)


def test_the_mouth_opens_downwards(loaded: tuple[Head, FlameMap], flame_maker: Any) -> None:
    """Signs survive the way there and back."""
    head = loaded[0]
    moved = head.deltas[index_of("jawOpen")] @ flame_maker.turn
    assert moved[head.regions["lips"], 1].min() < -10
