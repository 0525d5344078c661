"""From the measurements of some utterances to named figures, undefined ones as nan."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from esarm_env.corpus.realism.measures import BAND_EDGES_HZ, Measured
from esarm_env.corpus.realism.signals import Curve
from esarm_env.face.names import ARKIT_NAMES
from esarm_env.types import FRAME_RATE_HZ

SHUT_ABOVE = 0.8
CHANNEL_FIGURES = (
    "mean",
    "std",
    "p95",
    "speed (1/s)",
    *(f"{low:.0f}-{high:.0f} Hz" for low, high in pairwise(BAND_EDGES_HZ)),
)
CORPUS_FIGURES = (
    "loudness to jawOpen: correlation",
    "loudness to jawOpen: lag (frames)",
    "closures: depth",
    f"closures: share over {SHUT_ABOVE}",
    "closures: rate (1/s)",
    "blinks: rate (1/min)",
    "blinks: duration (s)",
    "brow raises: rate (1/min)",
    "gaze shifts: rate (1/min)",
    "gaze shifts: size",
)
# What a figure of the whole corpus is measured on; without it the figure is undefined.
CORPUS_CHANNELS: dict[str, tuple[str, ...]] = {
    "loudness": ("jawOpen",),
    "closures": ("jawOpen",),
    "blinks": ("eyeBlinkLeft", "eyeBlinkRight"),
    "brow": ("browInnerUp", "browOuterUpLeft", "browOuterUpRight"),
    "gaze": ("eyeLookOutLeft", "eyeLookInLeft", "eyeLookOutRight", "eyeLookInRight"),
}
FIGURES: tuple[str, ...] = (
    *CORPUS_FIGURES,
    *(f"{channel}: {figure}" for channel in ARKIT_NAMES for figure in CHANNEL_FIGURES),
)
_LAGS = range(-6, 7)


def figures_of(measured: Sequence[Measured]) -> Curve:
    """Return the figures named in `FIGURES`, shape (F,), of at least one utterance, pooled."""
    return np.concatenate([_corpus_figures(measured), _channel_figures(measured).T.reshape(-1)])


def _channel_figures(measured: Sequence[Measured]) -> Curve:
    """Return shape (len(CHANNEL_FIGURES), 52)."""
    motion = np.concatenate([m.speaking for m in measured]).astype(np.float64)  # (S, 52)
    power = np.sum([m.band_power for m in measured], axis=0)  # (4, 52)
    total = power.sum(axis=0)
    share = np.divide(power, total, out=np.full_like(power, np.nan), where=total > 0)
    if not len(motion):
        return np.full((len(CHANNEL_FIGURES), power.shape[1]), np.nan)
    path = np.sum([m.path for m in measured], axis=0)
    speed = path / len(motion) * FRAME_RATE_HZ
    level = [motion.mean(axis=0), motion.std(axis=0), np.percentile(motion, 95, axis=0)]
    return np.stack([*level, speed, *share])


def _corpus_figures(measured: Sequence[Measured]) -> Curve:
    """Return shape (len(CORPUS_FIGURES),)."""
    duration_s = sum(m.duration_s for m in measured)
    speech_s = sum(len(m.speaking) for m in measured) / FRAME_RATE_HZ
    closures = np.concatenate([m.closures for m in measured])
    blink_s = np.concatenate([m.blink_s for m in measured])
    shifts = np.concatenate([m.gaze_shifts for m in measured])
    per_minute = 60 / duration_s
    return np.array(
        [
            *_loudness_to_jaw(measured),
            _mean(closures),
            _mean(closures > SHUT_ABOVE),
            len(closures) / speech_s if speech_s else np.nan,
            sum(m.blinks for m in measured) * per_minute,
            _mean(blink_s),
            sum(m.brow_raises for m in measured) * per_minute,
            len(shifts) * per_minute,
            _mean(shifts),
        ]
    )


def _loudness_to_jaw(measured: Sequence[Measured]) -> tuple[float, float]:
    """Return the highest correlation of loudness with `jawOpen`, and the jaw's lag there.

    Over all frames; lag in frames, above 0 where the jaw comes later.
    """
    best = (np.nan, np.nan)
    for lag in _LAGS:
        pairs = [_shifted(m.loudness, m.jaw, lag) for m in measured]
        loudness, jaw = (np.concatenate(side) for side in zip(*pairs, strict=True))
        if len(jaw) < 2 or np.ptp(loudness) == 0 or np.ptp(jaw) == 0:
            continue
        correlation = float(np.corrcoef(loudness, jaw)[0, 1])
        if not correlation <= best[0]:
            best = (correlation, float(lag))
    return best


def _shifted(first: Curve, second: Curve, lag: int) -> tuple[Curve, Curve]:
    """Return `first` at t beside `second` at t + `lag`, wherever both are known."""
    n = max(0, len(first) - abs(lag))
    return first[max(0, -lag) :][:n], second[max(0, lag) :][:n]


def _mean(values: npt.NDArray[Any]) -> float:
    return float(np.mean(values)) if len(values) else float("nan")
