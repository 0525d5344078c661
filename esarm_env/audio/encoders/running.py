"""Running log-mel encoder: log-mel, loudness and pitch as they come, normalised by what was heard.

`LogMel` divides by the level and the mean spectrum of the whole recording, which nobody knows while
it is spoken. Here both are running estimates, so a recording gives the same numbers whether it is
at hand as a whole or arrives in blocks of any size. All arithmetic is done block by block on one
grid of `FRAMES_PER_BLOCK` frames: matrix products of other sizes would round otherwise.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from esarm_env.audio.encoders.frames import FEATURE_BOUND
from esarm_env.core.types import SAMPLE_RATE_HZ, DoubleArray, FloatArray, n_frames_of

HOP, WINDOW, N_MELS = 160, 512, 32
FRAMES_PER_BLOCK, _HOPS_PER_BLOCK = 3, 10  # a tenth of a second, whole in frames and in hops
BLOCK_SAMPLES = HOP * _HOPS_PER_BLOCK
_PITCH_WINDOW, _PITCH_STEP = 1024, 2  # pitch every second hop is enough
# The last hop that a block's frames reach into is its ninth, where the last pitch window stands.
AHEAD_SAMPLES = 8 * HOP + _PITCH_WINDOW // 2 - BLOCK_SAMPLES
_BEHIND_SAMPLES = _PITCH_WINDOW // 2

_LEAST_HZ, _MOST_HZ = 60.0, 7600.0
_SHORTEST_LAG, _LONGEST_LAG = SAMPLE_RATE_HZ // 500, SAMPLE_RATE_HZ // 60
_PITCH_SPAN = _PITCH_WINDOW - _LONGEST_LAG
_DIP = 0.1  # of the normalised difference, below which a lag is a period (YIN)
VOICED_CORRELATION = 0.6  # as of `LogMel`

_ACTIVE_DB, _SILENT_DB = -30.0, -60.0  # beside the speech level
# Before anything is heard: the level of ordinary recordings, and their mean spectrum beside it
# (means of the synthetic voices and of RAVDESS, which are within 4 dB of each other).
_USUAL_LEVEL_DB, _LEAST_LEVEL_DB = 0.0, -60.0
_USUAL_SPECTRUM_DB = (
    -25, -21, -22, -22, -24, -28, -31, -34, -37, -39, -40, -39, -39, -39, -40, -40,
    -42, -44, -44, -43, -42, -42, -41, -41, -43, -45, -47, -50, -53, -55, -55, -55,
)  # fmt: skip
_USUAL_HOPS = 50.0  # that the usual spectrum counts for
_MEMORY = 0.997  # of the mean spectrum from block to block: half a minute
_QUICKEST, _SLOWEST_BLOCKS = 5, 50  # speech blocks in which the level follows when it is lower
_SEARCH_DB = 0.2  # by which the level is lowered a block until a second of speech was heard


@dataclass(frozen=True)
class RunningLogMel:
    """Log-mel encoder whose normalisation is running: the columns of `LogMel`, without the future.

    Columns: 32 log-mel bands (2 units = 40 dB; the mean over the speech so far removed), loudness
    beside the speech level so far (same unit), voicing (0 or 1), and pitch in octaves from 150 Hz.
    The first second stands under the spectrum and level of ordinary recordings.
    """

    @property
    def key(self) -> str:
        """Identify the settings; raise the number with any change of the figures."""
        return "logmel-running-v1"

    @property
    def dim(self) -> int:
        """Number of features per frame."""
        return N_MELS + 3

    def encode(self, audio: FloatArray) -> FloatArray:
        """Turn (n_samples,) at 16 kHz into (T, 35) float32."""
        stream = self.stream()
        return np.concatenate([stream.push(audio), stream.finish()])

    def stream(self) -> RunningLogMelStream:
        """Return what turns the blocks of one recording into features."""
        return RunningLogMelStream()


class RunningLogMelStream:
    """Features of one recording whose samples come in blocks of any size.

    Attributes:
        ahead_samples: Samples after the last frame of a block that its frames wait for.
        frames_per_block: Frames that become ready together.
    """

    ahead_samples, frames_per_block = AHEAD_SAMPLES, FRAMES_PER_BLOCK

    def __init__(self) -> None:
        """Begin a recording; before it there is silence."""
        # Samples from `_BEHIND_SAMPLES` and one step of pitch before the next block on.
        self._samples = np.zeros(_BEHIND_SAMPLES, np.float32)
        self._n_samples, self._n_frames = 0, 0
        self._normaliser = _Normaliser()
        self._rows = np.zeros((2, N_MELS + 3))  # of the two hops before the block

    def push(self, audio: FloatArray) -> FloatArray:
        """Return the features that are ready after `audio` (n_samples,) at 16 kHz, (T, 35)."""
        self._n_samples += len(audio)
        self._samples = np.concatenate([self._samples, audio])
        ready = []
        needed = _BEHIND_SAMPLES + BLOCK_SAMPLES + AHEAD_SAMPLES
        first = 0
        while len(self._samples) - first >= needed:
            ready.append(self._block(self._samples[first : first + needed]))
            first += BLOCK_SAMPLES
        self._samples = self._samples[first:]
        return np.concatenate(ready) if ready else np.zeros((0, N_MELS + 3), np.float32)

    def finish(self) -> FloatArray:
        """Return the features that are left, as if silence followed; then it has ended."""
        missing = n_frames_of(self._n_samples) - self._n_frames
        if missing <= 0:
            return np.zeros((0, N_MELS + 3), np.float32)
        blocks = -(-missing // FRAMES_PER_BLOCK)
        needed = _BEHIND_SAMPLES + blocks * BLOCK_SAMPLES + AHEAD_SAMPLES
        return self.push(np.zeros(needed - len(self._samples), np.float32))[:missing]

    def _block(self, samples: FloatArray) -> FloatArray:
        """Return the three frames of a block, (3, 35), from its samples and those around it."""
        mel = _mel_power(samples)  # (10, 32)
        loudness = 10 * np.log10(mel.sum(axis=1) + 1e-10)
        bands, loud = self._normaliser.normalise(mel, loudness)
        pitch = np.repeat(_pitch(samples), _PITCH_STEP, axis=0)  # (10, 2): is it voiced, octaves
        active = loud > _ACTIVE_DB
        rows = np.column_stack([bands / 20, loud / 20, pitch * active[:, None]])
        around = np.concatenate([self._rows, rows])  # hops -2 to 9
        weights = _FIRST_FRAMES if self._n_frames == 0 else _FRAMES
        self._rows = rows[-2:]
        self._n_frames += FRAMES_PER_BLOCK
        frames: FloatArray = np.clip(weights @ around, -FEATURE_BOUND, FEATURE_BOUND)
        return frames.astype(np.float32)


@dataclass
class _Normaliser:
    """Running estimates of the speech level and of the mean spectrum beside it."""

    level: float = _USUAL_LEVEL_DB
    n_speech: int = 0  # blocks
    hops: float = _USUAL_HOPS
    total: DoubleArray = field(
        default_factory=lambda: _USUAL_HOPS * np.array(_USUAL_SPECTRUM_DB, np.float64)
    )

    def normalise(self, mel: DoubleArray, loudness: DoubleArray) -> tuple[DoubleArray, DoubleArray]:
        """Return bands (10, 32) and loudness (10,) of a block in dB, and hear it first.

        Args:
            mel: Power by band, (10, 32).
            loudness: In dB, (10,).
        """
        self._follow(float(loudness.reshape(2, -1).mean(axis=1).max()))
        relative = np.maximum(loudness - self.level, _SILENT_DB)
        log_mel = np.maximum(10 * np.log10(np.maximum(mel, 1e-10)) - self.level, _SILENT_DB - 20)
        active = relative > _ACTIVE_DB
        self.hops = _MEMORY * self.hops + float(active.sum())
        self.total = _MEMORY * self.total + log_mel[active].sum(axis=0)
        return log_mel - self.total / max(self.hops, 1e-9), relative

    def _follow(self, peak: float) -> None:
        """Let the level rise to a louder block at once, and fall slowly to softer speech."""
        if peak > self.level + _ACTIVE_DB:
            self.n_speech += 1
            pace = min(_QUICKEST + self.n_speech, _SLOWEST_BLOCKS)
            self.level = max(peak, self.level + (peak - self.level) / pace)
        elif self.n_speech < _HOPS_PER_BLOCK:
            self.level = max(self.level - _SEARCH_DB, _LEAST_LEVEL_DB)


def _mel_filters() -> DoubleArray:
    """Return triangular filters on the scale of Slaney (1998), of equal area, (257, 32)."""
    step_hz, first_log_hz, log_step = 200.0 / 3, 1000.0, np.log(6.4) / 27

    def to_mel(hz: float) -> float:
        if hz < first_log_hz:
            return hz / step_hz
        return float(first_log_hz / step_hz + np.log(hz / first_log_hz) / log_step)

    mels = np.linspace(to_mel(_LEAST_HZ), to_mel(_MOST_HZ), N_MELS + 2)
    bend = first_log_hz / step_hz
    edges = np.where(
        mels < bend,
        mels * step_hz,
        first_log_hz * np.exp(log_step * (np.maximum(mels, bend) - bend)),
    )
    bins = np.fft.rfftfreq(WINDOW, 1 / SAMPLE_RATE_HZ)[:, None]
    rise = (bins - edges[:-2]) / (edges[1:-1] - edges[:-2])
    fall = (edges[2:] - bins) / (edges[2:] - edges[1:-1])
    filters: DoubleArray = np.maximum(0, np.minimum(rise, fall)) * 2 / (edges[2:] - edges[:-2])
    return filters


def _frame_weights(*, first: bool) -> DoubleArray:
    """Return the share of hops -2 to 9 of a block in each of its frames, (3, 12).

    As `to_frame_rate`: hop k stands for [k - 1/2, k + 1/2); before the first there is none.
    """
    edges = (np.arange(FRAMES_PER_BLOCK + 1) - 0.5) * _HOPS_PER_BLOCK / FRAMES_PER_BLOCK + 0.5
    edges = np.maximum(edges, 0) if first else edges
    hops = np.arange(-2, _HOPS_PER_BLOCK)
    begin, end = edges[:-1, None], edges[1:, None]
    covered = np.clip(np.minimum(hops + 1, end) - np.maximum(hops, begin), 0, None)
    weights: DoubleArray = covered / covered.sum(axis=1, keepdims=True)
    return weights


_FILTERS = _mel_filters()
_HANN = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(WINDOW) / WINDOW)
_FIRST_FRAMES, _FRAMES = _frame_weights(first=True), _frame_weights(first=False)


def _mel_power(samples: FloatArray) -> DoubleArray:
    """Return the mel power of a block's ten hops, (10, 32); `samples` begin before it."""
    first = _BEHIND_SAMPLES - WINDOW // 2
    windows = np.lib.stride_tricks.sliding_window_view(samples[first:], WINDOW)
    spectrum = np.fft.rfft(windows[::HOP][:_HOPS_PER_BLOCK] * _HANN, axis=1)
    power: DoubleArray = (spectrum.real**2 + spectrum.imag**2) @ _FILTERS
    return power


def _pitch(samples: FloatArray) -> DoubleArray:
    """Return voicing and octaves from 150 Hz at a block's five pitch steps, (5, 2).

    By YIN (de Cheveigne and Kawahara 2002); it gives a period even for noise, so a step is voiced
    only if it correlates at that lag.
    """
    windows = np.lib.stride_tricks.sliding_window_view(samples, _PITCH_WINDOW)
    x = windows[:: HOP * _PITCH_STEP][: _HOPS_PER_BLOCK // _PITCH_STEP].astype(np.float64)
    n_steps = len(x)
    size = 2 * _PITCH_WINDOW
    head = np.fft.rfft(x[:, :_PITCH_SPAN], size, axis=1)
    products = np.fft.irfft(np.conj(head) * np.fft.rfft(x, size, axis=1), size, axis=1)
    products = products[:, : _LONGEST_LAG + 1]  # (5, lags): sums of x[j] x[j + lag]
    energy = np.concatenate([np.zeros((n_steps, 1)), np.cumsum(x * x, axis=1)], axis=1)
    lags = np.arange(_LONGEST_LAG + 1)
    energies = energy[:, lags + _PITCH_SPAN] - energy[:, lags]
    difference = np.maximum(energies[:, :1] + energies - 2 * products, 0)
    mean = np.cumsum(difference[:, 1:], axis=1) / lags[1:]
    dips = difference[:, 1:] / (mean + 1e-12)
    dips = dips[:, _SHORTEST_LAG - 1 :]  # of lags from the shortest on
    place = _first_dips(dips)
    row = np.arange(n_steps)
    lag = place + _SHORTEST_LAG
    correlation = products[row, lag] / (np.sqrt(energies[:, 0] * energies[row, lag]) + 1e-9)
    exact = lag + _between(dips, place)
    voiced = (correlation > VOICED_CORRELATION).astype(np.float64)
    return np.column_stack([voiced, voiced * np.log2(SAMPLE_RATE_HZ / exact / 150.0)])


def _first_dips(dips: DoubleArray) -> DoubleArray:
    """Return where each row (5, lags) has its first deep local minimum, else its lowest value."""
    inner = dips[:, 1:-1]
    low = (inner < _DIP) & (inner <= dips[:, :-2]) & (inner < dips[:, 2:])
    found = np.where(low.any(axis=1), 1 + low.argmax(axis=1), dips.argmin(axis=1))
    return np.asarray(found)


def _between(dips: DoubleArray, place: DoubleArray) -> DoubleArray:
    """Return how far beside `place` a parabola through a minimum has its own, in lags."""
    row = np.arange(len(dips))
    middle = np.clip(place, 1, dips.shape[1] - 2)
    before, here, after = (dips[row, middle + step] for step in (-1, 0, 1))
    bend = before - 2 * here + after
    shift = np.where(bend > 0, 0.5 * (before - after) / np.where(bend > 0, bend, 1), 0)
    return np.where(middle == place, np.clip(shift, -0.5, 0.5), 0.0)
