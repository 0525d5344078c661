"""Parts of a clip that formats beyond curves hold: its sound; and checks that all formats share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from esarm_env.core.errors import InputError
from esarm_env.core.types import N_CHANNELS
from esarm_env.face.livelink import RATES_HZ, at_rate

if TYPE_CHECKING:
    from esarm_env.core.types import FloatArray

__all__ = ["RATES_HZ", "Sound", "at_rate", "check_motion"]


@dataclass(frozen=True, eq=False)
class Sound:
    """Speech that goes with a clip; its first sample is heard with the first frame.

    Attributes:
        samples: Shape (n_samples,), float32 in [-1, 1].
        rate_hz: Samples per second.
        name: Of the file it came from, without its folder; empty if it came from none.
    """

    samples: FloatArray
    rate_hz: int
    name: str = ""

    def __post_init__(self) -> None:
        """Check shape and rate."""
        samples = self.samples
        if not isinstance(samples, np.ndarray) or samples.ndim != 1 or not len(samples):
            got = getattr(samples, "shape", type(samples).__name__)
            raise InputError(f"`samples` must have shape (n_samples,), got {got}")
        if samples.dtype != np.float32 or not np.isfinite(samples).all():
            raise InputError(f"`samples` must be finite float32, got {samples.dtype}")
        if not isinstance(self.rate_hz, int | np.integer) or not 4_000 <= self.rate_hz <= 384_000:
            raise InputError(f"`rate_hz` must be 4000 to 384000, got {self.rate_hz}")

    @property
    def duration_s(self) -> float:
        """Seconds from the first sample to the end of the last."""
        return len(self.samples) / self.rate_hz


def check_motion(motion: npt.ArrayLike, *, rate_hz: int) -> FloatArray:
    """Return motion as every format writes it: float32, clipped to [0, 1].

    Args:
        motion: Shape (T, 52), 30 fps, alphabetical order.
        rate_hz: Frames per second that it is to be written at.

    Raises:
        InputError: If shape or numbers cannot be motion, or the rate is none of `RATES_HZ`.
    """
    values = np.asarray(motion, dtype=np.float32)
    if values.ndim != 2 or values.shape[1] != N_CHANNELS or not len(values):
        rule = f"(T, {N_CHANNELS}) with T at least 1"
        raise InputError(f"`motion` must have shape {rule}, got {values.shape}")
    if not np.all(np.isfinite(values)):
        raise InputError("`motion` must be finite, got nan or infinity")
    if rate_hz not in RATES_HZ:
        raise InputError(f"`rate` must be 30 or 60 frames per second, got {rate_hz}")
    return np.clip(values, 0.0, 1.0)
