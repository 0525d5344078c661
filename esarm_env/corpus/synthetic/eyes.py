"""Lids that blink and eyes that wander: what follows from neither sound nor feeling."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from esarm_env.corpus.synthetic import rules
from esarm_env.corpus.synthetic.curves import ease
from esarm_env.corpus.synthetic.mouth import channels_of
from esarm_env.corpus.synthetic.speakers import SpeakerStyle
from esarm_env.face.names import index_of
from esarm_env.types import FRAME_RATE_HZ, N_CHANNELS, FloatArray


def blinks(
    n_frames: int, *, phrase_ends_s: list[float], style: SpeakerStyle, rng: np.random.Generator
) -> FloatArray:
    """Return lid closure, shape (T,): at random, and now and then where a phrase ends."""
    duration_s = n_frames / FRAME_RATE_HZ
    rate_hz = rules.BLINK_RATE_HZ * style.blink_gain
    # Begun before the first frame, or no utterance would start in the middle of a blink.
    spontaneous = rng.uniform(-0.3, duration_s, rng.poisson(rate_hz * (duration_s + 0.3)))
    at_ends = [
        end_s + rng.uniform(-0.05, 0.12)
        for end_s in phrase_ends_s
        if rng.uniform() < rules.BLINK_AT_PHRASE_END * style.blink_gain
    ]
    time_s = np.arange(n_frames) / FRAME_RATE_HZ
    lids = np.zeros(n_frames)
    last_s = -np.inf
    for start_s in sorted([*spontaneous, *at_ends]):
        if start_s - last_s < rules.BLINK_SHORTEST_GAP_S:
            continue
        last_s = start_s
        shut_s = start_s + rules.BLINK_CLOSING_S
        opens_s = shut_s + rules.BLINK_CLOSED_S
        shape = ease((time_s - start_s) / rules.BLINK_CLOSING_S)
        shape = shape * ease(1 - (time_s - opens_s) / rules.BLINK_OPENING_S)
        lids = np.maximum(lids, shape * rng.uniform(*rules.BLINK_DEPTH))
    return lids.astype(np.float32)


def close_lids(motion: FloatArray, lids: FloatArray) -> None:
    """Blink in place: closing lids override wide and squinting eyes."""
    for name in ("eyeBlinkLeft", "eyeBlinkRight"):
        motion[:, index_of(name)] += lids
    for name in ("eyeWideLeft", "eyeWideRight", "eyeSquintLeft", "eyeSquintRight"):
        motion[:, index_of(name)] *= 1 - 0.8 * lids


def gaze(n_frames: int, rng: np.random.Generator) -> FloatArray:
    """Return looks at the listener and away, joined by saccades, as `eyeLook` channels (T, 52)."""
    starts_s, targets = _fixations(n_frames / FRAME_RATE_HZ, rng)
    time_s = np.arange(n_frames) / FRAME_RATE_HZ
    steps = ease((time_s[:, None] - starts_s[1:]) / rules.GAZE_SACCADE_S)  # (T, fixations - 1)
    yaw, pitch = (targets[0] + steps @ np.diff(targets, axis=0)).T
    motion = np.zeros((n_frames, N_CHANNELS), np.float32)
    # To the speaker's left, the left eye turns outwards and the right one inwards.
    for name, value in (
        ("eyeLookOutLeft", yaw),
        ("eyeLookInRight", yaw),
        ("eyeLookInLeft", -yaw),
        ("eyeLookOutRight", -yaw),
        ("eyeLookUp", pitch),
        ("eyeLookDown", -pitch),
    ):
        motion[:, channels_of(name)] = np.maximum(value, 0)[:, None]
    return motion


def _fixations(
    duration_s: float, rng: np.random.Generator
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return when each fixation starts, (n,), and where it looks, (n, 2): to the left, up."""
    at_listener_s, away_s = rules.GAZE_AT_LISTENER_S, rules.GAZE_AWAY_S
    starts_s: list[float] = []
    targets: list[npt.NDArray[np.float64]] = []
    # Phases of exponential length have no memory: the clip may begin anywhere in one.
    now_s, away = 0.0, bool(rng.uniform() < away_s / (at_listener_s + away_s))
    while now_s < duration_s:
        end_s = now_s + rng.exponential(away_s if away else at_listener_s)
        while now_s < end_s:
            starts_s.append(now_s)
            targets.append(_away(rng) if away else rng.normal(0, rules.GAZE_AT_LISTENER_STD, 2))
            now_s += rng.uniform(*rules.GAZE_AWAY_FIXATION_S) if away else end_s - now_s
        now_s, away = end_s, not away
    return np.array(starts_s), np.array(targets)


def _away(rng: np.random.Generator) -> npt.NDArray[np.float64]:
    size = np.clip(rng.exponential(rules.GAZE_AWAY_SIZE), *rules.GAZE_SIZE_LIMITS)
    angle = rng.uniform(0, 2 * np.pi)
    direction = np.array([np.cos(angle), rules.GAZE_UP_DOWN_SHARE * np.sin(angle)])
    away: npt.NDArray[np.float64] = direction * size
    return away
