"""Mixer: blocks of any rate and channel count to one mono signal at 16 kHz, with its statistics."""

from __future__ import annotations

from collections import Counter

import numpy as np

from esarm_env.core.types import SAMPLE_RATE_HZ, DoubleArray, FloatArray

# Power of the mean of channels over that of as many unrelated ones, below which they cancel. Two
# speakers on two channels have 1, one speaker on both 2, one channel and its negative 0.
_CANCELLED = 0.1


class Mixer:
    """Mono mix of sound that comes in blocks; no more than the result is kept in memory.

    Attributes:
        n_bad: Samples that are NaN or infinite.
        highest: Largest sample of any channel, without its sign.
    """

    def __init__(self, channel: int | None = None, *, expected_s: float = 0.0) -> None:
        """Begin.

        Args:
            channel: The one to take; None takes the mean of all.
            expected_s: About how long the sound is, for which room is made at once.
        """
        self.n_bad, self.highest = 0, 0.0
        self._counts: Counter[int] = Counter()
        self._channel = channel
        self._room: FloatArray = np.empty(round((expected_s + 1) * SAMPLE_RATE_HZ), np.float32)
        self._n_done = 0
        self._stretch: _Stretch | None = None
        self._mix, self._each = _Levels(1), _Levels(1)

    def add(self, samples: FloatArray, rate_hz: int) -> None:
        """Add a block, shape (n, channels), float32."""
        if not len(samples):
            return
        finite = np.isfinite(samples)
        self.n_bad += int(samples.size - np.count_nonzero(finite))
        self._counts[rate_hz] += len(samples)
        if self.n_bad:
            return
        if self._channel is None:
            mono = samples.mean(axis=1)
        else:
            mono = np.ascontiguousarray(samples[:, min(self._channel, samples.shape[1] - 1)])
        self.highest = max(self.highest, float(np.abs(samples).max()))
        self._mix.add(mono[:, None])
        self._each.add(samples)
        if self._stretch is None or self._stretch.rate_hz != rate_hz:
            self._finish()
            self._stretch = _Stretch(rate_hz)
        self._keep(self._stretch.add(mono))

    def result(self) -> FloatArray:
        """Return the mix, shape (n_samples,), float32, at 16 kHz; it is the caller's to change."""
        self._finish()
        return self._room[: self._n_done]

    @property
    def duration_s(self) -> float:
        """Duration of what was added."""
        return sum(count / rate_hz for rate_hz, count in self._counts.items())

    @property
    def peak(self) -> float:
        """Largest deviation of the mix from its own mean: a constant is no sound."""
        return float(self._mix.peaks[0])

    @property
    def offset(self) -> float:
        """Mean of the mix."""
        return float(self._mix.means[0])

    def channel_to_use(self, silence: float) -> int | None:
        """Return the loudest channel if the mean of all of them loses it; else None.

        Args:
            silence: Peak below which nothing is heard.
        """
        powers, n_channels = self._each.powers, len(self._each.powers)
        if n_channels == 1:
            return None
        loudest = int(np.argmax(powers))
        if self._each.peaks[loudest] < silence:
            return None
        unrelated = float(powers.sum()) / n_channels**2
        cancel = self._mix.powers[0] < _CANCELLED * unrelated
        return loudest if cancel or self.peak < silence else None

    def _finish(self) -> None:
        if self._stretch is not None:
            self._keep(self._stretch.finish())
            self._stretch = None

    def _keep(self, mono: FloatArray) -> None:
        end = self._n_done + len(mono)
        if end > len(self._room):
            self._room = np.resize(self._room, 2 * end)
        self._room[self._n_done : end] = mono
        self._n_done = end


class _Levels:
    """Means, powers and peaks of channels that come in blocks."""

    def __init__(self, n_channels: int) -> None:
        self._n = np.zeros(n_channels)
        self._sum, self._squares = np.zeros(n_channels), np.zeros(n_channels)
        self._low, self._high = np.zeros(n_channels), np.zeros(n_channels)

    def add(self, samples: FloatArray) -> None:
        """Add a block (n, channels); more channels than before are new ones."""
        grown = max(0, samples.shape[1] - len(self._n))
        for name in ("_n", "_sum", "_squares", "_low", "_high"):
            setattr(self, name, np.pad(getattr(self, name), (0, grown)))
        here = slice(0, samples.shape[1])
        low, high = samples.min(axis=0), samples.max(axis=0)
        is_new = self._n[here] == 0
        self._low[here] = np.where(is_new, low, np.minimum(self._low[here], low))
        self._high[here] = np.where(is_new, high, np.maximum(self._high[here], high))
        self._n[here] += len(samples)
        self._sum[here] += samples.sum(axis=0, dtype=np.float64)
        self._squares[here] += np.einsum("nc,nc->c", samples, samples, dtype=np.float64)

    @property
    def means(self) -> DoubleArray:
        """Mean of each channel."""
        return self._sum / np.maximum(self._n, 1)

    @property
    def powers(self) -> DoubleArray:
        """Variance of each channel."""
        return np.maximum(0.0, self._squares / np.maximum(self._n, 1) - self.means**2)

    @property
    def peaks(self) -> DoubleArray:
        """Largest deviation of each channel from its mean."""
        return np.maximum(self._high - self.means, self.means - self._low)


class _Stretch:
    """Samples of one rate, resampled to 16 kHz as they come."""

    def __init__(self, rate_hz: int) -> None:
        self.rate_hz = rate_hz
        self._n_in, self._n_out = 0, 0
        self._stream = None
        if rate_hz != SAMPLE_RATE_HZ:
            import soxr  # heavy, and not needed for 16 kHz files; librosa brings it

            self._stream = soxr.ResampleStream(
                rate_hz, SAMPLE_RATE_HZ, 1, dtype="float32", quality="soxr_hq"
            )

    def add(self, mono: FloatArray) -> FloatArray:
        """Return what is ready after `mono` (n,)."""
        if self._stream is None:
            return mono
        self._n_in += len(mono)
        ready: FloatArray = self._stream.resample_chunk(mono)
        self._n_out += len(ready)
        return ready

    def finish(self) -> FloatArray:
        """Return the rest, so that all is as long as the duration rounded up to a sample."""
        if self._stream is None:
            return np.zeros(0, dtype=np.float32)
        rest: FloatArray = self._stream.resample_chunk(np.zeros(0, dtype=np.float32), last=True)
        missing = int(np.ceil(self._n_in * SAMPLE_RATE_HZ / self.rate_hz)) - self._n_out
        return np.pad(rest, (0, max(0, missing - len(rest))))[:missing]
