"""Mel spectra and pitch in plain numpy: librosa's numbers bit for bit, without its import.

librosa takes two seconds to import, mostly for compiled loops that these features do not need.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import numpy as np

from esarm_env.core.types import SAMPLE_RATE_HZ

if TYPE_CHECKING:
    from esarm_env.core.types import DoubleArray, FloatArray

# Hops that are computed together: all of a sentence, and of ten minutes some megabytes.
_TOGETHER = 2000
_PITCHES_TOGETHER = 500  # of pitch, which holds 50 kB a hop
_DIP = 0.1  # of YIN's difference, below which a lag is a period


@functools.cache
def mel_filters(n_mels: int, window: int, least_hz: float, most_hz: float) -> FloatArray:
    """Return triangular filters on the scale of Slaney (1998), (n_mels, window / 2 + 1)."""
    step_hz, bend_hz, log_step = 200.0 / 3, 1000.0, np.log(6.4) / 27.0
    bend = bend_hz / step_hz

    def to_mel(hz: float) -> float:
        return float(bend + np.log(hz / bend_hz) / log_step) if hz >= bend_hz else hz / step_hz

    mels = np.linspace(to_mel(least_hz), to_mel(most_hz), n_mels + 2)
    edges = step_hz * mels
    above = mels >= bend
    edges[above] = bend_hz * np.exp(log_step * (mels[above] - bend))
    ramps = np.subtract.outer(edges, np.fft.rfftfreq(window, 1 / SAMPLE_RATE_HZ))
    widths = np.diff(edges)[:, None]
    filters = np.maximum(0, np.minimum(-ramps[:-2] / widths[:-1], ramps[2:] / widths[1:]))
    areas: FloatArray = filters.astype(np.float32)
    areas *= (2.0 / (edges[2:] - edges[:-2]))[:, None]
    return areas


def mel_power(
    audio: FloatArray, *, n_mels: int, window: int, hop: int, least_hz: float, most_hz: float
) -> FloatArray:
    """Return the mel power of hops centred at multiples of `hop`, (n_mels, hops)."""
    filters = mel_filters(n_mels, window, least_hz, most_hz)
    turn = np.linspace(-np.pi, np.pi, window + 1)[:-1]
    hann = 0.5 + 0.5 * np.cos(turn)
    frames = _frames(audio, window, hop)
    parts = []
    for first in range(0, len(frames), _TOGETHER):
        block = frames[first : first + _TOGETHER]
        spectrum = np.zeros((window // 2 + 1, len(block)), np.complex64, order="F")
        spectrum[:] = np.fft.rfft(hann * block, axis=1).T
        power = np.abs(spectrum) ** 2
        parts.append(np.einsum("...ft,mf->...mt", power, filters, optimize=True))
    return np.concatenate(parts, axis=1)


def yin(
    audio: FloatArray, *, least_hz: float, most_hz: float, window: int, hop: int
) -> DoubleArray:
    """Return the pitch in Hz at multiples of `hop`, (hops,), by YIN (de Cheveigne 2002)."""
    shortest, longest = int(SAMPLE_RATE_HZ // most_hz), int(np.ceil(SAMPLE_RATE_HZ / least_hz))
    frames = _frames(audio, window, hop)
    periods = [
        _periods(frames[first : first + _PITCHES_TOGETHER], shortest, longest)
        for first in range(0, len(frames), _PITCHES_TOGETHER)
    ]
    pitch: DoubleArray = SAMPLE_RATE_HZ / np.concatenate(periods)
    return pitch


def _frames(audio: FloatArray, window: int, hop: int) -> FloatArray:
    """Return frames around multiples of `hop`, (hops, window), with silence beyond both ends."""
    padded = np.pad(audio, (window // 2, window // 2))
    return np.lib.stride_tricks.sliding_window_view(padded, window)[::hop]


def _periods(frames: FloatArray, shortest: int, longest: int) -> DoubleArray:
    """Return the period of each frame (n, window) in samples, (n,)."""
    from scipy import fft  # as librosa: numpy's rounds otherwise

    frames = frames.T  # (window, n)
    spectrum = fft.rfft(frames, n=2 * len(frames), axis=0)
    products = fft.irfft(spectrum.real**2 + spectrum.imag**2, n=2 * len(frames), axis=0)
    lags = slice(1, longest + 1)
    difference = np.cumsum(np.square(frames), axis=0)
    difference[0] = 0
    difference[lags] = 2 * (products[:1] - products[lags]) - difference[:longest].copy()
    mean = np.cumsum(difference[lags], axis=0) / np.arange(1, longest + 1)[:, None]
    dips = difference[shortest : longest + 1]
    below = mean[shortest - 1 : longest]
    dips = dips / (below + np.finfo(below.dtype).tiny)
    return _lowest(dips, shortest)


def _lowest(dips: DoubleArray, shortest: int) -> DoubleArray:
    """Return the first deep dip of each column (lags, n), else its lowest, between two lags."""
    trough = np.empty(dips.shape, dtype=np.bool_)
    trough[0] = dips[0] < dips[1]
    trough[1:-1] = (dips[1:-1] < dips[:-2]) & (dips[1:-1] <= dips[2:])
    trough[-1] = dips[-1] < dips[-2]
    deep = trough & (dips < _DIP)
    place = np.where(deep.any(axis=0), deep.argmax(axis=0), dips.argmin(axis=0))
    shifts = np.zeros_like(dips)
    bend = dips[2:] + dips[:-2] - 2 * dips[1:-1]
    slope = (dips[2:] - dips[:-2]) / 2
    inside = np.abs(slope) < np.abs(bend)
    shifts[1:-1][inside] = -slope[inside] / bend[inside]
    return np.asarray(shortest + place + np.take_along_axis(shifts, place[None], axis=0)[0])
