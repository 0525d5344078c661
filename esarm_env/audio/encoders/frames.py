"""Feature frames: what every audio encoder offers, 30 fps resampling, and checks of its output."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np

from esarm_env.core.errors import InputError
from esarm_env.core.types import FRAME_RATE_HZ, FloatArray

if TYPE_CHECKING:
    import numpy.typing as npt

FEATURE_BOUND = 8.0  # features are clipped to [-8, 8], which the observation space states


class AudioEncoder(Protocol):
    """Protocol of an audio encoder: speech samples to features at 30 frames per second.

    One that also has `threads`, and True there, may be called from several threads at once, and
    gains by it, since it works outside Python's lock.
    """

    @property
    def key(self) -> str:
        """Identify the encoder and its settings; part of the cache's key."""

    @property
    def dim(self) -> int:
        """Number of features per frame."""

    def encode(self, audio: FloatArray) -> FloatArray:
        """Turn (n_samples,) at 16 kHz into (T, dim) float32, `T = n_frames_of(n_samples)`."""


class FeatureStream(Protocol):
    """Features of one recording whose samples come in blocks of any size.

    They are those that the encoder gives for the whole recording, bit for bit.
    """

    @property
    def frames_per_block(self) -> int:
        """Frames that become ready together."""

    @property
    def ahead_samples(self) -> int:
        """Samples after a block of frames that it waits for."""

    def push(self, audio: FloatArray) -> FloatArray:
        """Return the features that are ready after `audio` (n_samples,), (T, dim)."""

    def finish(self) -> FloatArray:
        """Return the features that are left; then the recording has ended."""


@runtime_checkable
class StreamingAudioEncoder(Protocol):
    """An audio encoder that needs no whole recording."""

    def stream(self) -> FeatureStream:
        """Return what turns the blocks of one recording into features."""


def finite(features: npt.NDArray[np.floating], *, whose: str) -> None:
    """Check that every one of the features (T, dim) of a recording is a number.

    One nan would become the loss of everything that is trained on it.

    Args:
        features: Of one recording.
        whose: The recording, for the message.

    Raises:
        InputError: If a value is nan or infinite.
    """
    bad = ~np.isfinite(features).all(axis=1)
    if bad.any():
        raise InputError(
            f"audio features of {whose} must be finite, got nan or infinity in {int(bad.sum())} of "
            f"{len(bad)} frames, the first at {int(np.argmax(bad)) / FRAME_RATE_HZ:.2f} s"
        )


def to_frame_rate(columns: FloatArray, rate_hz: float, n_frames: int) -> FloatArray:
    """Resample feature columns to 30 fps by averaging per frame, (hops, D) -> (n_frames, D).

    Integrating before sampling keeps fast changes from aliasing into slow ones.
    """
    total = np.concatenate([np.zeros((1, columns.shape[1])), np.cumsum(columns, axis=0)])
    # Hop k stands for [k - 1/2, k + 1/2), hence the half.
    edges = (np.arange(n_frames + 1) - 0.5) / FRAME_RATE_HZ * rate_hz + 0.5
    edges = np.clip(edges, 0, len(columns))
    # A frame past the last hop would be the mean of nothing: it repeats the last hop.
    begin = np.minimum(edges[:-1], len(columns) - 1)
    end = np.maximum(edges[1:], begin + 1e-3)

    def up_to(place: FloatArray) -> FloatArray:
        low = np.floor(place).astype(int).clip(0, len(columns) - 1)
        area: FloatArray = total[low] + (place - low)[:, None] * columns[low]
        return area

    means: FloatArray = (up_to(end) - up_to(begin)) / (end - begin)[:, None]
    return means
