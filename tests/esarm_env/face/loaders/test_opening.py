"""One word or path opens any head; what is none says what was found."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from esarm_env.core.errors import InputError
from esarm_env.face import ARKIT_NAMES, load_head
from esarm_env.face.loaders import open_head


def test_our_own_head_has_a_name() -> None:
    """It is the default everywhere."""
    assert open_head("esarm") is load_head()


def test_a_gltf_file_is_opened(
    tmp_path: Path, glb: Any, small_fields: np.ndarray, small_regions: Path
) -> None:
    """By its ending, in any case."""
    glb.mesh(np.eye(4)[:, :3], np.array([[0, 1, 2]]), small_fields)
    path = glb.save(tmp_path / "a.glb").rename(tmp_path / "a.GLB")
    assert open_head(str(path), regions=str(small_regions)).n_vertices == 4


def test_arrays_are_opened_by_what_they_hold(
    tmp_path: Path, small_fields: np.ndarray, small_regions: Path, flame_file: Path
) -> None:
    """ICT-FaceKit and FLAME share an ending."""
    path = tmp_path / "a.npz"
    square = {"vertices": np.eye(4)[:, :3], "faces": [[0, 1, 2]]}
    np.savez(path, deltas=small_fields, names=np.array(ARKIT_NAMES), **square)
    assert open_head(path, regions=small_regions).n_vertices == 4
    own = load_head()
    assert open_head(flame_file, regions=small_regions).n_vertices == own.n_vertices


def test_a_folder_is_opened(tmp_path: Path, small_regions: Path) -> None:
    """ICT-FaceKit's repository, here the shapes all at rest."""
    text = "v 0 0 0\nv 1 0 0\nv 0 1 0\nv 0 0 1\nf 1 2 3\n"
    for name in ("generic_neutral_mesh", *ARKIT_NAMES):
        (tmp_path / f"{name}.obj").write_text(text)
    assert open_head(tmp_path, regions=small_regions).n_vertices == 4


def test_a_pickle_is_taken_for_flame(tmp_path: Path) -> None:
    """Nothing else is published as one."""
    path = tmp_path / "a.pkl"
    path.write_bytes(b"\x80\x02}.")
    with pytest.raises(InputError, match=re.escape("got none called v_template, f, shapedirs")):
        open_head(path)


@pytest.mark.parametrize(
    ("name", "got"),
    [
        ("gone.glb", "gone.glb, which does not exist"),
        ("a.fbx", "the file "),
        ("folder", " without generic_neutral_mesh.obj"),
        ("other.npz", "other.npz with motion"),
        ("empty.npz", "empty.npz with nothing"),
    ],
)
def test_what_is_no_head_is_described(tmp_path: Path, name: str, got: str) -> None:
    """Users guess at names; the message lists what can be opened."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "a.fbx").write_bytes(b"Kaydara")
    np.savez(tmp_path / "other.npz", motion=np.ones(3))
    np.savez(tmp_path / "empty.npz")
    rule = (
        "`path` must be 'esarm'; an ICT-FaceKit folder with generic_neutral_mesh.obj; a .glb or "
        ".gltf with ARKit targets; a FLAME .pkl or .npz with v_template, f, shapedirs, posedirs, "
        "J_regressor, weights; an ICT .npz with vertices, faces, deltas, names, got "
    )
    with pytest.raises(InputError, match=f"^{re.escape(rule)}.*{re.escape(got)}"):
        open_head(tmp_path / name)


def test_our_own_head_keeps_its_regions(tmp_path: Path) -> None:
    """Its arrays are shared and read-only."""
    with pytest.raises(InputError, match=r"`regions` must be left out for 'esarm', got 'x\.npz'"):
        open_head("esarm", regions="x.npz")


def test_importing_the_loaders_is_cheap() -> None:
    """scipy and pygltflib are loaded when a head is, not when the package is."""
    code = (
        "import sys, esarm_env.face.loaders; "
        "print([name for name in ('scipy', 'pygltflib', 'torch') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
