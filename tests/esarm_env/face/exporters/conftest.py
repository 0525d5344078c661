"""A head of a few vertices, and motion that no two channels share."""

from __future__ import annotations

import numpy as np
import pytest

from esarm_env.face import Head


@pytest.fixture
def small_head() -> Head:
    """Return a pyramid of five corners; every shape moves one of them, `tongueOut` none."""
    vertices = np.array([[0, 0, 9], [8, 8, 0], [-8, 8, 0], [-8, -8, 0], [8, -8, 0]], "f4")
    faces = np.array([[0, 1, 2], [0, 2, 3], [0, 3, 4], [0, 4, 1], [1, 4, 3], [1, 3, 2]], "i4")
    deltas = np.zeros((52, 5, 3), "f4")
    for channel in range(51):
        deltas[channel, channel % 5] = (0.5 + 0.01 * channel, -0.25, 1.0)
    regions = {"lips": [0], "eyes": [1], "forehead": [2], "teeth": [0, 3, 4]}
    return Head(vertices, faces, deltas, {k: np.array(v, "i8") for k, v in regions.items()})


@pytest.fixture
def motion() -> np.ndarray:
    """Return half a second of motion, (15, 52), without a tongue."""
    values = np.random.default_rng(3).random((15, 52)).astype("f4")
    values[:, 51] = 0.0
    return values
