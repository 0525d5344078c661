"""Two shapes that all curves are made of: a Gaussian's smoothness and half a cosine."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from esarm_env.types import FloatArray


def smooth(values: FloatArray, sigma: float) -> FloatArray:
    """Low-pass `values` along axis 0 with a Gaussian of `sigma` samples, edges held."""
    reach = max(1, int(np.ceil(3.5 * sigma)))
    offsets = np.arange(-reach, reach + 1)
    kernel = np.exp(-0.5 * (offsets / sigma) ** 2)
    kernel /= kernel.sum()
    pad = [(reach, reach)] + [(0, 0)] * (values.ndim - 1)
    padded = np.pad(values, pad, mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(padded, 2 * reach + 1, axis=0)
    return np.asarray(windows @ kernel, dtype=np.float32)


def ease(phase: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Go from 0 to 1 over `phase` 0..1 like half a cosine."""
    return np.asarray(0.5 - 0.5 * np.cos(np.pi * np.clip(phase, 0, 1)))
