"""MediaPipe behind its wrapper: a small stand-in for it, and what a user gets wrong."""

from __future__ import annotations

import re
import sys
import zipfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from esarm_env.core.errors import InputError, MissingExtraError
from esarm_env.corpus.capture import landmarker
from esarm_env.corpus.capture.faces import MEASURED_NAMES
from esarm_env.corpus.capture.landmarker import check_model, import_mediapipe, open_landmarker
from esarm_env.face.names import ORDERS

REMEDY = "download `face_landmarker.task` from Google's Face Landmarker page"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "face_landmarker.task"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("face_blendshapes.tflite", b"")
    return path


class SeesAlways:
    """A landmarker with one answer."""

    def __init__(self, seen: Any) -> None:
        self._seen = seen

    def __enter__(self) -> SeesAlways:
        return self

    def __exit__(self, *error: object) -> None:
        """Close nothing."""

    def detect_for_video(self, image: Any, time_ms: int) -> Any:
        assert image.image_format == "rgb" and image.data.flags.c_contiguous
        return self._seen


def stand_in(seen: Any, error: Exception | None = None) -> tuple[Any, Any]:
    """Return what `import_mediapipe` does, with a landmarker that always sees `seen`."""

    def create(options: SimpleNamespace) -> SeesAlways:
        assert options.num_faces == 1 and options.output_face_blendshapes
        assert options.running_mode == "video" and options.output_facial_transformation_matrixes
        if error is not None:
            raise error
        return SeesAlways(seen)

    vision = SimpleNamespace(
        FaceLandmarkerOptions=SimpleNamespace,
        RunningMode=SimpleNamespace(VIDEO="video"),
        FaceLandmarker=SimpleNamespace(create_from_options=create),
    )
    mediapipe = SimpleNamespace(Image=SimpleNamespace, ImageFormat=SimpleNamespace(SRGB="rgb"))
    return mediapipe, SimpleNamespace(vision=vision, BaseOptions=SimpleNamespace)


def scores(names: tuple[str, ...]) -> list[SimpleNamespace]:
    """Return each shape with a score that tells which it is."""
    known = {name: index / 51 for index, name in enumerate(MEASURED_NAMES)}
    return [SimpleNamespace(category_name=name, score=known.get(name, 7.0)) for name in names]


def test_shapes_are_matched_by_name(monkeypatch: pytest.MonkeyPatch, model: Path) -> None:
    """MediaPipe has `_neutral` first: by position every shape would be its neighbour."""
    matrix = np.arange(16.0).reshape(4, 4)
    points = [SimpleNamespace(x=0.5, y=0.25)] * 478
    seen = SimpleNamespace(
        face_blendshapes=[scores(ORDERS["mediapipe"][::-1])],
        face_landmarks=[points],
        facial_transformation_matrixes=[matrix],
    )
    monkeypatch.setattr(landmarker, "import_mediapipe", lambda: stand_in(seen))
    with open_landmarker(model) as tracker:
        face = tracker.track(np.zeros((100, 200, 3), np.uint8), 0)
    assert face is not None
    np.testing.assert_allclose(face.values, np.arange(51) / 51, rtol=1e-6)
    np.testing.assert_array_equal(face.landmarks, np.full((478, 2), (100, 25)))
    np.testing.assert_array_equal(face.rotation, matrix[:3, :3])


def test_no_face_is_none(monkeypatch: pytest.MonkeyPatch, model: Path) -> None:
    """MediaPipe tells it by empty lists."""
    seen = SimpleNamespace(face_blendshapes=[])
    monkeypatch.setattr(landmarker, "import_mediapipe", lambda: stand_in(seen))
    with open_landmarker(model) as tracker:
        assert tracker.track(np.zeros((8, 8, 3), np.uint8), 0) is None


def test_a_model_with_other_shapes_is_rejected(
    monkeypatch: pytest.MonkeyPatch, model: Path
) -> None:
    """A later model may rename a shape, which must not turn into zeros."""
    matrix, point = np.eye(4), SimpleNamespace(x=0.5, y=0.5)
    seen = SimpleNamespace(
        face_blendshapes=[scores(MEASURED_NAMES[1:])],
        face_landmarks=[[point] * 478],
        facial_transformation_matrixes=[matrix],
    )
    monkeypatch.setattr(landmarker, "import_mediapipe", lambda: stand_in(seen))
    rule = "`model` must measure the 51 ARKit shapes, got none of ['browDownLeft']"
    with open_landmarker(model) as tracker, pytest.raises(InputError, match=re.escape(rule)):
        tracker.track(np.zeros((8, 8, 3), np.uint8), 0)


@pytest.mark.parametrize(
    ("error", "rule"),
    [
        (RuntimeError("bad bytes"), "`model` must be a file that MediaPipe opens, got "),
        (FileNotFoundError("no part"), "`model` must be a file that MediaPipe opens, got "),
        (OSError("libEGL.so.1"), "MediaPipe must find its system libraries, got libEGL.so.1; on"),
    ],
)
def test_what_keeps_mediapipe_from_starting_is_told(
    monkeypatch: pytest.MonkeyPatch, model: Path, error: Exception, rule: str
) -> None:
    """Its own messages do not say which file, nor what to install."""
    monkeypatch.setattr(landmarker, "import_mediapipe", lambda: stand_in(None, error))
    with pytest.raises(InputError, match=re.escape(rule)), open_landmarker(model):
        pytest.fail("must not open")


def test_a_missing_model_is_rejected(tmp_path: Path) -> None:
    """No weights come with us, so most first calls end here: the message must say where to go."""
    path = tmp_path / "absent.task"
    rule = f"`model` must be a Face Landmarker file, got no file {path}; {REMEDY}"
    with pytest.raises(InputError, match=re.escape(rule)):
        check_model(path)


def test_a_model_that_is_no_archive_is_rejected(tmp_path: Path) -> None:
    """A saved error page has the right name."""
    path = tmp_path / "face_landmarker.task"
    path.write_text("<html>not found</html>")
    rule = f"`model` must be a Face Landmarker file, got {path} (File is not a zip file); {REMEDY}"
    with pytest.raises(InputError, match=re.escape(rule)):
        check_model(path)


def test_a_model_of_another_task_is_rejected(tmp_path: Path) -> None:
    """The hand landmarker is a `.task` file too."""
    path = tmp_path / "hand_landmarker.task"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("hand_detector.tflite", b"")
    rule = f"must hold face_blendshapes.tflite, got {path} with hand_detector.tflite; {REMEDY}"
    with pytest.raises(InputError, match=re.escape(rule)):
        check_model(path)


def test_without_mediapipe_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """The package is no dependency: the message is its installation guide."""
    monkeypatch.setitem(sys.modules, "mediapipe", None)
    rule = "Capturing faces from video needs `mediapipe`: run `pip install 'esarm[capture]'`"
    with pytest.raises(MissingExtraError, match=re.escape(rule)):
        import_mediapipe()


@pytest.mark.parametrize("kind", ["ImportError", "OSError"])
def test_a_missing_system_library_is_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, kind: str
) -> None:
    """On a bare server the package imports OpenCV, which wants libGL."""
    for name in [name for name in sys.modules if name.split(".")[0] == "mediapipe"]:
        monkeypatch.delitem(sys.modules, name)
    (tmp_path / "mediapipe.py").write_text(f"raise {kind}('libGL.so.1: cannot open')\n")
    monkeypatch.syspath_prepend(tmp_path)
    rule = "MediaPipe must find its system libraries, got libGL.so.1: cannot open; on Debian"
    with pytest.raises(InputError, match=re.escape(rule)):
        import_mediapipe()
