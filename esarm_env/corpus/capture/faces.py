"""What a tracker sees in one picture, and what stands for any tracker in the rest of the package.

MediaPipe is one; tests bring their own.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from esarm_env.face.names import ARKIT_NAMES
from esarm_env.types import FloatArray

# The Face Landmarker measures 51 of the 52: it does not look into the mouth.
MEASURED_NAMES: tuple[str, ...] = tuple(name for name in ARKIT_NAMES if name != "tongueOut")

Picture = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Face:
    """One face in one picture.

    Attributes:
        values: Shape (51,), float32 in [0, 1], in the order of `MEASURED_NAMES`.
        landmarks: Shape (478, 2), float32, in pixels from the upper left corner; those of the
            canonical face mesh and the irises, some perhaps outside the picture.
        rotation: Shape (3, 3), float32, from the face to the camera; its last column is where the
            face looks, (0, 0, 1) into the camera.
    """

    values: FloatArray
    landmarks: FloatArray
    rotation: FloatArray


class FaceTracker(Protocol):
    """Follows one face through the pictures of one video."""

    def track(self, picture: Picture, time_ms: int) -> Face | None:
        """Return the face in an RGB picture (H, W, 3); times strictly ascend."""


class TrackerOpener(Protocol):
    """Opens a fresh tracker for every video, so that nothing of the last one stays."""

    def __call__(self, model: Path, /) -> AbstractContextManager[FaceTracker]:
        """Open a tracker with the weights in `model`."""
