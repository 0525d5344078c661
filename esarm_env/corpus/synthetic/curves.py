"""Curve primitives of the rule model: Gaussian smoothing, cosine easing, prosody of the audio.

The face follows the samples themselves, not espeak's settings, so that whatever moves with
prosody can be predicted from the audio.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from esarm_env.core.types import FRAME_RATE_HZ, SAMPLE_RATE_HZ, BoolArray, FloatArray, n_frames_of

_WINDOW = 1024  # 64 ms: three periods of a 50 Hz voice
_LOWEST_HZ, _HIGHEST_HZ = 60.0, 420.0
_VOICED_ABOVE = 0.5  # of the autocorrelation at lag 0
_SPEECH_RANGE_DB = 30.0


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
    """Cosine easing from 0 to 1 over `phase` 0..1."""
    return np.asarray(0.5 - 0.5 * np.cos(np.pi * np.clip(phase, 0, 1)))


@dataclass(frozen=True)
class Prosody:
    """Loudness and pitch accent per frame, each of shape (T,).

    Attributes:
        loudness: 0 in silence, 1 at the utterance's loud parts.
        accent: Pitch above the utterance's median, in semitones, smooth; below it negative.
    """

    loudness: FloatArray
    accent: FloatArray


def measure_prosody(audio: FloatArray) -> Prosody:
    """Measure loudness and pitch of `audio`, shape (n_samples,), 16 kHz."""
    n_frames = n_frames_of(len(audio))
    centres = np.round(np.arange(n_frames) * SAMPLE_RATE_HZ / FRAME_RATE_HZ).astype(np.int64)
    padded = np.pad(audio.astype(np.float64), (_WINDOW // 2, _WINDOW))
    frames = np.lib.stride_tricks.sliding_window_view(padded, _WINDOW)[centres]  # (T, window)
    frames = frames * np.hanning(_WINDOW)
    power = np.square(frames).mean(axis=1)
    level_db = 10 * np.log10(power + 1e-10)
    top = np.percentile(level_db, 90)
    loudness = np.clip((level_db - top) / _SPEECH_RANGE_DB + 1, 0, 1.2)
    return Prosody(smooth(loudness.astype(np.float32), 0.8), _accent(frames, loudness > 0.45))


def _accent(frames: npt.NDArray[np.float64], loud: BoolArray) -> FloatArray:
    """Return the smoothed pitch in semitones above its median, by autocorrelation."""
    spectrum = np.fft.rfft(frames, 2 * _WINDOW)
    correlation = np.fft.irfft(np.square(np.abs(spectrum)))[:, :_WINDOW]
    window = np.hanning(_WINDOW)
    bias = np.fft.irfft(np.square(np.abs(np.fft.rfft(window, 2 * _WINDOW))))[:_WINDOW]
    shortest, longest = int(SAMPLE_RATE_HZ / _HIGHEST_HZ), int(SAMPLE_RATE_HZ / _LOWEST_HZ)
    shape = correlation[:, shortest:longest] / (bias[shortest:longest] / bias[0])
    # A shorter lag wins a near tie, or the pitch of every other frame falls an octave.
    shape = shape * np.linspace(1, 0.85, longest - shortest)
    best = shape.argmax(axis=1)
    strength = shape[np.arange(len(shape)), best] / (correlation[:, 0] + 1e-9)
    voiced = loud & (strength > _VOICED_ABOVE)
    if voiced.sum() < 3:
        return np.zeros(len(frames), np.float32)
    semitones = 12 * np.log2(SAMPLE_RATE_HZ / (best[voiced] + shortest))
    semitones = np.clip(semitones - np.median(semitones), -10, 10)
    where = np.arange(len(frames))
    return smooth(np.interp(where, where[voiced], semitones).astype(np.float32), 1.8)
