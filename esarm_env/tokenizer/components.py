"""Principal components of motion in millimetres: where the linear path of a tokenizer begins.

Chunks of motion are measured by how far they move the face, not by their coefficients: in the
numbers that come out, squared distance is the training's squared error. Kept apart from `training`
because it is linear algebra without torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from esarm_env.core.types import FloatArray

_LEAST_SHARE = 1e-6  # of the largest eigenvalue: directions below move nothing that is measured


def principal_components(
    motions: Sequence[FloatArray], metric: FloatArray, *, frames_per_chunk: int
) -> tuple[FloatArray, FloatArray]:
    """Return the principal components of chunks of motion, most important first.

    Args:
        motions: Each (T, D), centred.
        metric: Shape (D, D), the cost of an error e is e metric e, in mm^2.
        frames_per_chunk: Frames F of a chunk; an incomplete last one is filled by its last frame.

    Returns:
        The matrix (F * D, F * D) whose rows turn a chunk, frame after frame, into its components in
        mm, and its inverse, whose columns turn them back.
    """
    values, vectors = np.linalg.eigh(metric.astype(np.float64))
    root = np.sqrt(np.maximum(values, _LEAST_SHARE * values.max()))
    to_mm, from_mm = vectors * root, (vectors / root).T  # (D, D): motion @ to_mm is in mm
    chunks = np.concatenate([_chunks(motion, frames_per_chunk) for motion in motions])
    flat = (chunks @ to_mm).reshape(len(chunks), -1)  # (N, F * D)
    _, axes = np.linalg.eigh(flat.T @ flat / len(flat))
    axes = axes[:, ::-1]  # most important first
    by_frame = axes.reshape(frames_per_chunk, len(metric), -1)  # (F, D, F * D)
    encode = np.einsum("cd,fdn->nfc", to_mm, by_frame, optimize=True)
    decode = np.einsum("fdn,dc->fcn", by_frame, from_mm, optimize=True)
    n_values = axes.shape[0]
    return (
        encode.reshape(n_values, n_values).astype(np.float32),
        decode.reshape(n_values, n_values).astype(np.float32),
    )


def _chunks(motion: FloatArray, frames_per_chunk: int) -> FloatArray:
    missing = -len(motion) % frames_per_chunk
    filled = np.pad(motion, ((0, missing), (0, 0)), mode="edge")
    return filled.reshape(-1, frames_per_chunk, motion.shape[1]).astype(np.float64)
