"""Camera: view angles, and perspective projection from millimetres to pixels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from esarm_env.core.errors import InputError

if TYPE_CHECKING:
    from esarm_env.core.types import FloatArray

Array = npt.NDArray[np.float64]

# Distance from the middle of the head in head sizes: a portrait lens, noses stay small.
_DISTANCE = 4.0
_MARGIN = 0.97


@dataclass(frozen=True)
class View:
    """Camera angles and zoom.

    The head's size is the diameter of the sphere round it; that just fits, so that a turning head
    keeps its size.

    Attributes:
        yaw_deg: How far the head is turned, in degrees; positive shows its left cheek.
        pitch_deg: How far the camera is raised above the head, in degrees, within -89..89.
        zoom: Size in the picture, above 0; at 1 the whole head fits.
        shift: Of the point looked at, right and up in the picture, in head sizes.
    """

    yaw_deg: float = 0.0
    pitch_deg: float = 0.0
    zoom: float = 1.0
    shift: tuple[float, float] = (0.0, 0.0)

    def __post_init__(self) -> None:
        """Check angles and zoom."""
        if not np.isfinite(self.yaw_deg):
            raise InputError(f"`yaw_deg` must be finite, got {self.yaw_deg}")
        if not -89.0 <= self.pitch_deg <= 89.0:
            raise InputError(f"`pitch_deg` must be in -89..89, got {self.pitch_deg}")
        if not 0.0 < self.zoom < np.inf:
            raise InputError(f"`zoom` must be above 0 and finite, got {self.zoom}")
        if len(self.shift) != 2 or not np.all(np.isfinite(self.shift)):
            raise InputError(f"`shift` must be two finite numbers, got {self.shift}")

    @property
    def rotation(self) -> Array:
        """Rows are the camera's right, up and backward axes in the head's frame, shape (3, 3)."""
        yaw, pitch = np.deg2rad(self.yaw_deg), np.deg2rad(self.pitch_deg)
        turn = np.array(
            [[np.cos(yaw), 0.0, -np.sin(yaw)], [0.0, 1.0, 0.0], [np.sin(yaw), 0.0, np.cos(yaw)]]
        )
        nod = np.array(
            [
                [1.0, 0.0, 0.0],
                [0.0, np.cos(pitch), -np.sin(pitch)],
                [0.0, np.sin(pitch), np.cos(pitch)],
            ]
        )
        return np.asarray(nod @ turn)


# The corners of the picture would stay empty: a head is slimmer than the sphere round it.
FRONT = View(zoom=1.12)
THREE_QUARTER = View(yaw_deg=35.0, zoom=1.12)
PROFILE = View(yaw_deg=90.0, zoom=1.12)


class Camera:
    """Perspective camera fitted to the head at rest, so that motion never changes the framing.

    Attributes:
        rotation: Of the view, shape (3, 3).
        middle: Of the head at rest, shape (3,), in mm.
        size: Diameter of the sphere round it, in mm.
        distance: From the middle, in mm.
        focal: Focal length in pixels; the size of the picture is in it.
    """

    def __init__(self, vertices: FloatArray, view: View, *, width: int, height: int) -> None:
        """Look at the middle of `vertices` (V, 3) so that they fit into `width` by `height`."""
        self.rotation = view.rotation
        self.middle = (vertices.min(axis=0).astype(np.float64) + vertices.max(axis=0)) / 2.0
        apart = np.linalg.norm(vertices - self.middle, axis=1)
        self.size = max(2.0 * float(apart.max()), 1e-6)
        right, up, _ = self.rotation
        sideways = view.shift[0] * right + view.shift[1] * up
        self._target = self.middle + self.size * sideways
        self.distance = _DISTANCE * self.size
        self._centre = np.array([width / 2.0, height / 2.0])
        # The sphere's outline is a little wider than the sphere, as the camera is near.
        outline = np.sqrt(_DISTANCE**2 - 0.25)
        self.focal = _MARGIN * view.zoom * min(width, height) * outline

    def project(self, vertices: FloatArray) -> Array:
        """Project vertices to the picture.

        Args:
            vertices: Shape (V, 3), in the head's frame.

        Returns:
            Shape (V, 3): x to the right and y down in pixels, from the picture's corner, and the
            nearness (distance of the head's middle over the vertex's own), which is straight along
            straight lines of the picture, as a depth buffer needs it.
        """
        seen = (vertices - self._target) @ self.rotation.T
        near = self.distance / np.maximum(self.distance - seen[:, 2], 1e-3 * self.distance)
        scale = self.focal / self.distance * near
        x = self._centre[0] + scale * seen[:, 0]
        y = self._centre[1] - scale * seen[:, 1]
        return np.stack([x, y, near], axis=1)
