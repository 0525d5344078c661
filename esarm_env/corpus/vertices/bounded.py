"""Bounded least squares of many frames at once: exact, by block principal pivoting.

All frames share one matrix A, so that the products with A are taken once and 52 numbers a frame are
left. Coefficients of a frame are free, at 0 or at 1; the free ones are solved for, those that leave
[0, 1] are bound, bound ones whose gradient points inside are freed, until none changes sides
(Judice and Pires 1994, "A block principal pivoting algorithm for large-scale strictly monotone
linear complementarity problems", Computers and Operations Research 21). Frames in which blocks
go round in a circle change one coefficient at a time, which ends for certain.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from esarm_env.core.errors import InputError

if TYPE_CHECKING:
    from esarm_env.core.types import BoolArray, DoubleArray, IntArray

# Share of the mean of the matrix' diagonal that is added to it, so that shapes that do nearly the
# same have one best answer. A millionth moves no vertex by more than a micrometre.
RIDGE = 1e-6
_PATIENCE = 3  # block steps that may bring nothing before a frame goes on one by one
_MOST_STEPS = 2_000  # of which none came near: 5 to 20 are usual
_TOLERANCE = 1e-9  # of a coefficient; of a gradient, as a share of the largest diagonal element
_FRAMES_AT_ONCE = 4_096  # 90 MB of matrices


def solve_bounded(gram: DoubleArray, pulls: DoubleArray) -> DoubleArray:
    """Return the coefficients in [0, 1] that come nearest in the least-squares sense.

    Args:
        gram: Shape (n, n), A'A with the ridge, positive definite.
        pulls: Shape (T, n), A'd of each frame, finite.

    Returns:
        Shape (T, n); each row minimises w'Gw / 2 - w'p over 0 <= w <= 1.

    Raises:
        InputError: If the shapes do not fit, or `gram` is not positive definite.
    """
    n = len(gram)
    if gram.shape != (n, n) or pulls.ndim != 2 or pulls.shape[1] != n:
        got = f"{gram.shape} and {pulls.shape}"
        raise InputError(f"`gram` and `pulls` must have shapes (n, n) and (T, n), got {got}")
    try:
        np.linalg.cholesky(gram)
    except np.linalg.LinAlgError as error:
        raise InputError(f"`gram` must be positive definite, got none ({error})") from error
    blocks = range(0, len(pulls), _FRAMES_AT_ONCE)
    solved = [_solve_block(gram, pulls[start : start + _FRAMES_AT_ONCE]) for start in blocks]
    return np.concatenate(solved) if solved else np.zeros((0, n))


def _solve_block(gram: DoubleArray, pulls: DoubleArray) -> DoubleArray:
    """Solve some frames; `sides` are -1 at 0, 1 at 1 and 0 between."""
    n_frames, n = pulls.shape
    solution = np.zeros((n_frames, n))
    sides = np.zeros((n_frames, n), dtype=np.int64)
    fewest = np.full(n_frames, n + 1)
    patience = np.full(n_frames, _PATIENCE)
    open_rows: IntArray = np.arange(n_frames)
    for _ in range(_MOST_STEPS):
        found, wanted = _pivot(gram, pulls[open_rows], sides[open_rows])
        solution[open_rows] = found
        wrong = wanted != sides[open_rows]
        counts = wrong.sum(axis=1)
        going = counts > 0
        open_rows, wrong, wanted, counts = (
            array[going] for array in (open_rows, wrong, wanted, counts)
        )
        if not len(open_rows):
            return np.clip(solution, 0.0, 1.0)
        fewer = counts < fewest[open_rows]
        fewest[open_rows] = np.minimum(counts, fewest[open_rows])
        patience[open_rows] = np.where(fewer, _PATIENCE, patience[open_rows] - 1)
        change = _one_by_one(wrong, patience[open_rows] < 0)
        sides[open_rows] = np.where(change, wanted, sides[open_rows])
    raise InputError(f"`gram` must be positive definite, got no answer in {_MOST_STEPS} steps")


def _pivot(gram: DoubleArray, pulls: DoubleArray, sides: IntArray) -> tuple[DoubleArray, IntArray]:
    """Return the solution with these coefficients bound, and the side each belongs on."""
    free = sides == 0
    bound = np.where(sides > 0, 1.0, 0.0)  # (T, n)
    both = free[:, :, None] & free[:, None, :]
    matrices = np.where(both, gram, 0.0)
    diagonal = np.einsum("tii->ti", matrices)
    diagonal += ~free
    rights = np.where(free, pulls - bound @ gram, bound)
    found = np.linalg.solve(matrices, rights[:, :, None])[:, :, 0]
    gradient = found @ gram - pulls
    steep = _TOLERANCE * np.diag(gram).max()
    wanted = sides.copy()
    wanted[free & (found < -_TOLERANCE)] = -1
    wanted[free & (found > 1 + _TOLERANCE)] = 1
    wanted[(sides < 0) & (gradient < -steep)] = 0
    wanted[(sides > 0) & (gradient > steep)] = 0
    return found, wanted


def _one_by_one(wrong: BoolArray, careful: BoolArray) -> BoolArray:
    """Return what to change: all that is wrong, in careful rows the last of it alone."""
    n = wrong.shape[1]
    last = n - 1 - np.argmax(wrong[:, ::-1], axis=1)
    return np.asarray(wrong & (~careful[:, None] | (np.arange(n) == last[:, None])))
