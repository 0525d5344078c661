"""Heads small enough to work out every figure by hand."""

from __future__ import annotations

import numpy as np
import pytest

from esarm_env.face import Head, index_of


@pytest.fixture
def toy() -> Head:
    """Return five vertices: 0 and 1 are lips, 2 is an eye, 3 forehead, 4 nothing."""
    deltas = np.zeros((52, 5, 3), np.float32)
    deltas[index_of("jawOpen"), :2] = [[0, -4, 0], [0, -3, -4]]
    deltas[index_of("mouthSmileLeft"), 0] = [3, 0, 0]
    deltas[index_of("eyeBlinkLeft"), 2] = [0, -1, 0]
    deltas[index_of("browInnerUp"), 3] = [0, 2, 0]
    regions = {"lips": np.array([0, 1]), "eyes": np.array([2]), "forehead": np.array([3])}
    return Head(np.ones((5, 3), np.float32), np.array([[0, 1, 2]], np.int32), deltas, regions)


@pytest.fixture
def mouth() -> Head:
    """Return a mouth of six vertices, an eye and a forehead.

    Upper lip: 0 outer, 1 inner. Lower lip: 2 inner, 3 outer. 4 and 5 are the corners. `jawOpen`
    takes the lower lip down 30 mm and pulls the upper one down 2, `mouthClose` lifts the lower lip
    by 20 and lowers the upper by 8, and the smile raises the corners.
    """
    x = [0, 0, 0, 0, -25, 25, 0, 0]
    y = [8, 1, 0, -9, 0, 0, 50, 80]
    z = [0, 2, 2, 0, -5, -5, 0, 0]
    vertices = np.array([x, y, z], np.float32).T.copy()
    deltas = np.zeros((52, 8, 3), np.float32)
    deltas[index_of("jawOpen"), :4, 1] = [-2, -2, -30, -30]
    deltas[index_of("mouthClose"), :4, 1] = [-8, -8, 20, 20]
    deltas[index_of("mouthSmileLeft"), 4:6, 1] = 6
    deltas[index_of("eyeBlinkLeft"), 6, 1] = -1
    deltas[index_of("browInnerUp"), 7, 1] = 2
    regions = {"lips": np.arange(6), "eyes": np.array([6]), "forehead": np.array([7])}
    return Head(vertices, np.array([[0, 1, 2]], np.int32), deltas, regions)
