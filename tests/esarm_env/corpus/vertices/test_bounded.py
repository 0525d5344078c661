"""Many bounded least-squares problems at once are solved exactly."""

from __future__ import annotations

import re

import numpy as np
import pytest
from scipy.optimize import lsq_linear

from esarm_env.core.errors import InputError
from esarm_env.corpus.vertices.bounded import RIDGE, solve_bounded
from esarm_env.face.head import load_head


def _gram(matrix: np.ndarray) -> np.ndarray:
    gram = matrix.T @ matrix
    return gram + np.eye(len(gram)) * RIDGE * np.diag(gram).mean()


def _by_scipy(gram: np.ndarray, pulls: np.ndarray) -> np.ndarray:
    """Return scipy's answer to the same problems, one by one: ||Lw - b|| with L'L = G, L'b = p."""
    upper = np.linalg.cholesky(gram).T
    rights = np.linalg.solve(upper.T, pulls.T).T
    found = [lsq_linear(upper, each, (0, 1), method="bvls", tol=1e-14) for each in rights]
    return np.array([each.x for each in found])


def test_frames_of_a_head_are_solved_as_scipy_solves_them() -> None:
    """A solver of our own that stopped early would make curves that are nobody's best fit."""
    shapes = np.asarray(load_head().deltas, dtype=np.float64).reshape(52, -1).T
    rng = np.random.default_rng(0)
    weights = rng.uniform(-0.4, 1.4, (12, 52)).clip(0, 1)
    moved = weights @ shapes.T + rng.normal(0, 0.5, (12, len(shapes)))
    found = solve_bounded(_gram(shapes), moved @ shapes)
    np.testing.assert_allclose(found, _by_scipy(_gram(shapes), moved @ shapes), atol=1e-8)
    assert (found == 0).any()
    assert (found == 1).any()
    assert found.min() == 0
    assert found.max() == 1


def test_problems_that_go_round_in_a_circle_end() -> None:
    """Blocks that change sides together may do so for ever; then it goes on one by one."""
    rng = np.random.default_rng(1)
    matrix = rng.normal(size=(22, 20))
    gram, pulls = _gram(matrix), rng.normal(size=(300, 20)) * 30
    found = solve_bounded(gram, pulls)
    slope = found @ gram - pulls
    assert slope[found == 0].min() > -1e-5
    assert slope[found == 1].max() < 1e-5
    assert np.abs(slope[(found > 0) & (found < 1)]).max() < 1e-5
    np.testing.assert_allclose(found[:5], _by_scipy(gram, pulls[:5]), atol=1e-6)


def test_no_frame_gives_no_row() -> None:
    """A take of lost frames alone must not end in an error about shapes."""
    assert solve_bounded(np.eye(3), np.zeros((0, 3))).shape == (0, 3)


@pytest.mark.parametrize(
    ("gram", "message"),
    [
        (np.zeros((2, 3)), "`gram` and `pulls` must have shapes (n, n) and (T, n), got (2, 3)"),
        (np.zeros((3, 3)), "`gram` must be positive definite, got none"),
    ],
)
def test_what_has_no_one_answer_is_refused(gram: np.ndarray, message: str) -> None:
    """Any of many answers would do, and another machine would choose another."""
    with pytest.raises(InputError, match=re.escape(message)):
        solve_bounded(gram, np.zeros((1, 3)))
