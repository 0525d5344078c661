"""Motion statistics: per-utterance measurements that pool over any set of utterances.

`measure` gives the sums and lists of one utterance, `figures_of` pools them into the named
statistics `FIGURES`; undefined ones are nan.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from esarm_env.core.types import FRAME_RATE_HZ, N_CHANNELS, FloatArray, Record, Utterance
from esarm_env.corpus.realism.signals import Curve, loudness_db, speech_frames, turning_points
from esarm_env.face.names import ARKIT_NAMES, index_of
from esarm_env.metrics.closure import runs

BAND_EDGES_HZ = (0.0, 2.0, 5.0, 8.0, FRAME_RATE_HZ / 2)
_OPENING_TURN = 0.05  # of jawOpen: a smaller wobble is no movement of its own
_BROW_TURN = 0.06
_LID_CLOSED = 0.5
_GAZE_STEP = 0.012  # per frame; slower is drift
_GAZE_LEAST = 0.03


@dataclass(frozen=True)
class Measured:
    """Poolable measurements of one utterance.

    Attributes:
        record: Of the utterance.
        duration_s: Length.
        speaking: Shape (S, 52), the motion while speech is heard.
        path: Shape (52,), sum of the absolute steps while speech is heard.
        band_power: Shape (4, 52), power of the velocity in the bands of `BAND_EDGES_HZ`.
        loudness: Shape (T,), dB.
        jaw: Shape (T,), `jawOpen`.
        closures: Shape (n,), how far each movement of the lips closes them again, 0 to 1.
        blinks: Number of lids falling.
        blink_s: Shape (m,), how long each blink is more than half closed.
        brow_raises: Number of brow raises.
        gaze_shifts: Shape (k,), size of each shift of gaze, in coefficients.
        mean_face: Shape (52,), over all frames.
    """

    record: Record
    duration_s: float
    speaking: FloatArray
    path: Curve
    band_power: Curve
    loudness: Curve
    jaw: Curve
    closures: Curve
    blinks: int
    blink_s: Curve
    brow_raises: int
    gaze_shifts: Curve
    mean_face: Curve


def measure(utterance: Utterance) -> Measured:
    """Measure one utterance; see `Measured`."""
    motion = utterance.motion
    loudness = loudness_db(utterance.audio, len(motion))
    speech = speech_frames(loudness)
    steps = np.diff(motion.astype(np.float64), axis=0)  # (T - 1, 52)
    blinks, blink_s = _blinks(motion)
    return Measured(
        record=utterance.record,
        duration_s=len(motion) / FRAME_RATE_HZ,
        speaking=motion[speech],
        path=np.abs(steps[speech[1:]]).sum(axis=0),
        band_power=_band_power(steps),
        loudness=loudness,
        jaw=motion[:, index_of("jawOpen")].astype(np.float64),
        closures=_closures(motion),
        blinks=blinks,
        blink_s=blink_s,
        brow_raises=_brow_raises(motion),
        gaze_shifts=_gaze_shifts(motion),
        mean_face=motion.mean(axis=0, dtype=np.float64),
    )


def _band_power(steps: Curve) -> Curve:
    """Return the power of `steps` (T - 1, 52) in each band, shape (4, 52)."""
    if len(steps) < 2:
        return np.zeros((len(BAND_EDGES_HZ) - 1, N_CHANNELS))
    power = np.square(np.abs(np.fft.rfft(steps, axis=0)))
    hz = np.fft.rfftfreq(len(steps), 1 / FRAME_RATE_HZ)
    band = np.searchsorted(BAND_EDGES_HZ[1:-1], hz, side="right")
    return np.stack([power[band == k].sum(axis=0) for k in range(len(BAND_EDGES_HZ) - 1)])


def _closures(motion: FloatArray) -> Curve:
    """Return the depth of each lip closure, shape (n,): one per minimum of the opening.

    Opening is `jawOpen - mouthClose` (with ARKit the lips meet where the two are equal). A minimum
    counts if the opening turns by 0.05 on both sides; 1 means shut, 0 as open as the lower of the
    two maxima around it.
    """
    opening = motion[:, index_of("jawOpen")] - motion[:, index_of("mouthClose")]
    opening = np.maximum(opening, 0).astype(np.float64)
    points, is_minimum = turning_points(opening, least=_OPENING_TURN)
    places = np.flatnonzero(is_minimum)
    places = places[(places > 0) & (places < len(points) - 1)]
    around = np.minimum(opening[points[places - 1]], opening[points[places + 1]])
    return np.asarray(1 - opening[points[places]] / around)


def _blinks(motion: FloatArray) -> tuple[int, Curve]:
    """Return the number of blinks, and the durations of complete ones in seconds."""
    lids = motion[:, [index_of("eyeBlinkLeft"), index_of("eyeBlinkRight")]].mean(axis=1)
    closed = runs(lids > _LID_CLOSED)
    fallen = closed[closed[:, 0] > 0]
    whole = fallen[fallen[:, 1] < len(lids)]
    return len(fallen), (whole[:, 1] - whole[:, 0]) / FRAME_RATE_HZ


def _brow_raises(motion: FloatArray) -> int:
    """Count brow raises (inner, and mean of the outer ones) of 0.06 or more."""
    outer = motion[:, [index_of("browOuterUpLeft"), index_of("browOuterUpRight")]].mean(axis=1)
    height = (0.5 * (motion[:, index_of("browInnerUp")] + outer)).astype(np.float64)
    _, is_minimum = turning_points(height, least=_BROW_TURN)
    return int(is_minimum.sum())


def _gaze_shifts(motion: FloatArray) -> Curve:
    """Return the size of each saccade, shape (k,), in coefficients."""
    look = {
        name: motion[:, index_of(f"eyeLook{name}")].astype(np.float64)
        for name in ("OutLeft", "InLeft", "OutRight", "InRight", "UpLeft", "UpRight")
    }
    down = motion[:, [index_of("eyeLookDownLeft"), index_of("eyeLookDownRight")]].mean(axis=1)
    # To the speaker's left the left eye turns out and the right one in.
    yaw = 0.5 * (look["OutLeft"] - look["InLeft"] + look["InRight"] - look["OutRight"])
    pitch = 0.5 * (look["UpLeft"] + look["UpRight"]) - down
    gaze = np.stack([yaw, pitch], axis=1)  # (T, 2)
    moving = np.linalg.norm(np.diff(gaze, axis=0), axis=1) > _GAZE_STEP
    # Run [begin, end) of steps leads from frame `begin` to frame `end`.
    sizes = [np.linalg.norm(gaze[end] - gaze[begin]) for begin, end in runs(moving)]
    return np.array([size for size in sizes if size >= _GAZE_LEAST], dtype=np.float64)


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
# Channels that a corpus statistic needs; without them it is undefined.
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
    """Pool measurements to the statistics named in `FIGURES`, shape (n_statistics,)."""
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
    """Return the overlapping parts of `first` at t and `second` at t + `lag`."""
    n = max(0, len(first) - abs(lag))
    return first[max(0, -lag) :][:n], second[max(0, lag) :][:n]


def _mean(values: npt.NDArray[Any]) -> float:
    return float(np.mean(values)) if len(values) else float("nan")
