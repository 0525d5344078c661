"""Face tracker interface, and a tracking quality per frame from 0 to 1.

`FaceTracker` stands for any tracker in the rest of the package: MediaPipe is one; tests bring their
own. MediaPipe keeps its confidences to itself, so the quality is derived from what it returns. For
a frame without a face it is 0, otherwise the product of four factors, each in [0, 1]:

- size: height of the face in pixels over 128, at most 1: half of what the landmark model looks at
  (256 x 256). One portrait, shrunk from 216 pixels to 108, moved its blendshapes by 0.003 on
  average; shrunk to 54, by 0.017; to 27, by 0.04.
- frontality: the cosine of the angle between the face's axis and the camera's, 0.5 at 60 degrees of
  yaw or pitch, where much of the mouth is hidden. Tilting the head to a shoulder costs nothing.
- visibility: the share of the landmarks that lie inside the picture.
- steadiness: `1 / (1 + (d / 0.05)²)`, where d is how far the points that speech does not move
  (eye corners, nose, temples, forehead) lie from the straight line between their places in the
  frames before and after, in heights of the face, on average. A brisk nod (2 Hz, a tenth of the
  face up and down, 25 fps) keeps above 0.9; a tracker that jumps by a third of the face falls
  below 0.1. Beside a frame without a face it is 0.5, for the tracker has only just found the face
  or is about to lose it; the first and the last frame of a video get 1.

It says nothing of the blendshapes themselves: a beard or a hand can spoil them in a frame of
quality 1. The scales are chosen, not fitted: use it to compare, and look at what is below 0.3.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
import numpy.typing as npt

from esarm_env.face.names import ARKIT_NAMES

if TYPE_CHECKING:
    from esarm_env.core.types import BoolArray, FloatArray

# The Face Landmarker measures 51 of the 52: it does not look into the mouth.
MEASURED_NAMES: tuple[str, ...] = tuple(name for name in ARKIT_NAMES if name != "tongueOut")

Picture = npt.NDArray[np.uint8]
FULL_SIZE_PX = 128.0
STEADY_DISTANCE = 0.05  # heights of the face
BESIDE_A_LOSS = 0.5
# Of the canonical face mesh: forehead, bridge and tip of the nose, eye corners, temples.
STEADY_POINTS = (10, 168, 6, 197, 1, 33, 133, 362, 263, 127, 356)


@dataclass(frozen=True)
class Face:
    """Tracking result of one frame: blendshapes, landmarks and head rotation.

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
    """Protocol of a tracker that follows one face through a video."""

    def track(self, picture: Picture, time_ms: int) -> Face | None:
        """Return the face in an RGB picture (H, W, 3); times strictly ascend."""


class TrackerOpener(Protocol):
    """Protocol of a tracker factory, called once per video so that no state carries over."""

    def __call__(self, model: Path, /) -> AbstractContextManager[FaceTracker]:
        """Open a tracker with the weights in `model`."""


@dataclass(frozen=True)
class FaceSummary:
    """Per-frame summary of a face that the quality is computed from.

    Keeping all landmarks until the neighbouring frames are known would fill the memory.

    Attributes:
        still: Size, frontality and visibility multiplied: all that one picture tells.
        height: Of the face, in pixels.
        points: Shape (P, 2), float32, the `STEADY_POINTS` in pixels.
    """

    still: float
    height: float
    points: FloatArray


def summarise_face(face: Face, *, width: int, height: int) -> FaceSummary:
    """Summarise a tracked face in a picture of `width` x `height` pixels."""
    x, y = face.landmarks.T
    face_height = float(np.ptp(y))
    forward = face.rotation[:, 2]
    cosine = float(forward[2] / max(np.linalg.norm(forward), 1e-9))
    inside = (x >= 0) & (x <= width) & (y >= 0) & (y <= height)
    still = min(1.0, face_height / FULL_SIZE_PX) * min(1.0, max(0.0, cosine)) * inside.mean()
    return FaceSummary(float(still), face_height, face.landmarks[list(STEADY_POINTS)])


def track_quality(summaries: Sequence[FaceSummary | None], time_s: np.ndarray) -> FloatArray:
    """Return the tracking quality of every frame of a video.

    Args:
        summaries: One per frame, None where there is no face.
        time_s: Shape (T,), strictly ascending.

    Returns:
        Shape (T,), float32, in [0, 1].
    """
    nothing = FaceSummary(0.0, 1.0, np.zeros((len(STEADY_POINTS), 2), dtype=np.float32))
    filled = [glance or nothing for glance in summaries]
    if len(filled) == 0:
        return np.zeros(0, dtype=np.float32)
    still = np.array([glance.still for glance in filled])
    steady = steadiness(
        np.stack([glance.points for glance in filled]),
        np.array([glance.height for glance in filled]),
        time_s,
        found=np.array([glance is not None for glance in summaries]),
    )
    quality: FloatArray = (still * steady).astype(np.float32)
    return quality


def steadiness(
    points: FloatArray, heights: np.ndarray, time_s: np.ndarray, *, found: BoolArray
) -> np.ndarray:
    """Return the steadiness factor of each frame (see the module).

    Args:
        points: Shape (T, P, 2), pixels; anything where the face is lost.
        heights: Shape (T,), pixels, above 0.
        time_s: Shape (T,), strictly ascending.
        found: Shape (T,), whether there is a face.

    Returns:
        Shape (T,), float64, in (0, 1]; of no meaning where the face is lost.
    """
    result = np.ones(len(points))
    if len(points) > 2:
        before, here, after = points[:-2], points[1:-1], points[2:]  # (T - 2, P, 2)
        share = (time_s[1:-1] - time_s[:-2]) / (time_s[2:] - time_s[:-2])  # (T - 2,)
        halfway = before + share[:, None, None] * (after - before)
        distance = np.linalg.norm(here - halfway, axis=2).mean(axis=1)  # (T - 2,)
        result[1:-1] = 1 / (1 + (distance / heights[1:-1] / STEADY_DISTANCE) ** 2)
    result[1:][~found[:-1]] = BESIDE_A_LOSS
    result[:-1][~found[1:]] = BESIDE_A_LOSS
    return result
