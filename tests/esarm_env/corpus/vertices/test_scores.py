"""LVE on a corpus' own vertices, as FaceFormer measures it."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest

from esarm_env.core.errors import InputError
from esarm_env.corpus.vertices.meshes import open_meshes
from esarm_env.corpus.vertices.scores import score_folder, vertex_lve
from esarm_env.face.head import load_head
from train.cli import main

TEST_TAKE = "FaceTalk_170809_00138_TA_sentence22"


@pytest.fixture
def root(tmp_path, miniature):
    return miniature.write_files(tmp_path / "corpus")


def _by_hand(predicted: np.ndarray, truth: np.ndarray, power: int = 1) -> float:
    lips = load_head().regions["lips"]
    apart = np.linalg.norm((predicted - truth)[:, lips].astype(np.float64), axis=2) * 1000
    return float((apart.max(axis=1) ** power).mean())


def test_vertices_and_coefficients_are_scored_alike(root, miniature) -> None:
    """Whoever predicts curves and whoever predicts vertices must stand in one table."""
    truth = miniature.vertices[TEST_TAKE][::2].astype(np.float64)
    face = miniature.templates["FaceTalk_170809_00138_TA"]
    half = face + 0.5 * (truth - face)
    meshes = open_meshes(root, "esarm")
    by_mesh = vertex_lve(meshes, {TEST_TAKE: half.reshape(18, -1)})
    assert by_mesh.lve == pytest.approx(_by_hand(half, truth), rel=1e-6)
    assert by_mesh.pooled_squared == pytest.approx(_by_hand(half, truth, power=2), rel=1e-6)
    resting = _by_hand(np.broadcast_to(face, truth.shape), truth)
    assert by_mesh.resting == {TEST_TAKE: pytest.approx(resting, rel=1e-6)}
    assert by_mesh.lve == pytest.approx(resting / 2, rel=1e-4)
    assert by_mesh.fitted[TEST_TAKE] < 1e-3
    curves = 0.5 * miniature.motion[TEST_TAKE][::2]
    by_curves = vertex_lve(meshes, {TEST_TAKE: curves.astype(np.float32)})
    assert by_curves.lve == pytest.approx(by_mesh.lve, rel=1e-4)
    assert by_mesh.unit == "mm"
    assert by_mesh.faults == ()


def test_files_of_faceformer_are_read_and_the_rest_is_listed(root, miniature, tmp_path) -> None:
    """A file that does not fit must not cost the others, nor be counted as a good one."""
    truth = miniature.vertices[TEST_TAKE][::2].reshape(18, -1)
    made = tmp_path / "made"
    made.mkdir()
    np.save(made / f"{TEST_TAKE}_condition_A.npy", truth)
    np.save(made / f"{TEST_TAKE}_condition_B.npy", truth[:-2] + np.float32(1e-3))
    np.save(made / f"{TEST_TAKE}_condition_C.npy", miniature.vertices[TEST_TAKE].reshape(36, -1))
    np.save(made / f"{TEST_TAKE}_condition_D.npy", truth[:, :99])
    np.save(made / "other.npy", truth)
    (made / f"{TEST_TAKE}_condition_E.npy").write_bytes(b"no array")
    scores = score_folder(root, made, head="esarm")
    assert scores.n_predictions == 2
    assert scores.lve == pytest.approx(np.sqrt(3) / 2, rel=1e-3)
    told = {fault.source.rpartition("_")[2]: fault.reason for fault in scores.faults}
    assert told["B"] == "is 2 frames off, the rest is compared"
    assert "must have the 18 frames of its recording at 30 a second within 3, got 36" in told["C"]
    assert "must have shape (T, 17805), (T, 5935, 3) or (T, 52), got (18, 99)" in told["D"]
    assert "must be a whole .npy array" in told["E"]
    assert told["other"] == "is no prediction of a recording in test"


def test_nothing_to_compare_is_an_error(root, tmp_path) -> None:
    """A mean over nothing is no score."""
    made = tmp_path / "made"
    with pytest.raises(InputError, match=re.escape("`lve` must be a folder of NAME.npy, got")):
        score_folder(root, made, head="esarm")
    made.mkdir()
    with pytest.raises(InputError, match=r"must hold predictions NAME\.npy, got none"):
        score_folder(root, made, head="esarm")
    np.save(made / "other.npy", np.zeros((18, 52), np.float32))
    with pytest.raises(InputError, match="predictions must be of recordings in test, got none"):
        score_folder(root, made, head="esarm")


def test_the_command_prints_and_keeps_the_score(root, miniature, tmp_path, capsys) -> None:
    """A function that no command leads to is found by nobody."""
    made = tmp_path / "made"
    made.mkdir()
    np.save(made / f"{TEST_TAKE}.npy", miniature.motion[TEST_TAKE][::2].astype(np.float32))
    kept = tmp_path / "scores.json"
    command = ["corpus", str(root), "--head", "esarm", "--lve", str(made), "--json", str(kept)]
    main(command)
    printed = capsys.readouterr().out
    assert "LVE on the corpus' own vertices: 0.00" in printed
    assert "max over 266 lip vertices, its own, L2, mean over frames, then over 1 rec" in printed
    assert json.loads(kept.read_text())["takes"][TEST_TAKE] < 1e-2
    with pytest.raises(SystemExit, match=r"^2$"):
        main(["corpus", str(root), "--lve", str(made)])
    assert "must be opened with a head of its 5935 vertices" in capsys.readouterr().err
