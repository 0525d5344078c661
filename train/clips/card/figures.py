"""Figures of a clip: lips at p, b and m, synchrony, jerk, motion in silence, channels at an end."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from esarm_env.audio.encoders.phone_classes import BILABIALS
from esarm_env.core.types import FRAME_RATE_HZ
from esarm_env.corpus.realism.signals import loudness_db, speech_frames
from esarm_env.face.names import ARKIT_NAMES
from esarm_env.liveliness.blinks import find_blinks
from esarm_env.metrics.closure import closed_share, runs
from esarm_env.metrics.dynamics import jerk
from esarm_env.metrics.mouth import lip_speed, mouth_opening
from reward.plugins.synchrony import best_correlation

if TYPE_CHECKING:
    from collections.abc import Sequence

    from esarm_env.audio.encoders.phone_spans import PhoneSpan
    from esarm_env.core.types import BoolArray, DoubleArray, FloatArray
    from esarm_env.face.head import Head

AT_END = 0.995  # a channel that is as far as it goes: what is meant beyond is cut
_SEEN_S = 0.1  # of the clip's time that a channel must be there to be listed
_SHORTEST_S = 0.1  # of silence in which motion is measured


@dataclass(frozen=True)
class Measure:
    """What is said of a figure.

    Attributes:
        words: What it is, with its unit.
        digits: Behind the point.
        better: `higher`, `lower`, or empty where the range of recordings is the aim.
    """

    words: str
    digits: int
    better: str = ""


MEASURES: dict[str, Measure] = {
    "bilabials_shut_share": Measure("lips shut at p, b and m (share)", 2, "higher"),
    "synchrony": Measure("loudness with lip opening (correlation)", 2, "higher"),
    "opening_mean_mm": Measure("lip opening in speech, mean (mm)", 1),
    "opening_most_mm": Measure("lip opening, widest (mm)", 1),
    "lip_speed_mm_s": Measure("lip speed in speech (mm/s)", 1),
    "lip_speed_in_silence_mm_s": Measure("lip speed in silence (mm/s)", 1, "lower"),
    "jerk_lips_m_s3": Measure("jerk of the lips (m/s\u00b3)", 1),
    "jerk_upper_m_s3": Measure("jerk of brows and lids (m/s\u00b3)", 1),
    "blinks_per_minute": Measure("blinks a minute", 0),
    "clipped_share": Measure("values at 1, of all channels (share)", 3, "lower"),
}


@dataclass(frozen=True)
class Closure:
    """A p, b or m of the clip: what is heard, when (s), and whether the lips shut."""

    phone: str
    start_s: float
    end_s: float
    shut: bool


@dataclass(frozen=True, eq=False)
class ClipFigures:
    """What is measured of a clip.

    Attributes:
        values: By the names of `MEASURES`; nan where the clip has nothing to measure it on.
        opening_mm: Lip opening of each frame, shape (T,).
        speech: Frames in which somebody speaks, shape (T,), bool.
        closures: In order of time; none where phones are not known.
        at_end: Share of the clip's time that a channel is at 1, of those that are for long, the
            longest first.
    """

    values: dict[str, float]
    opening_mm: DoubleArray
    speech: BoolArray
    closures: tuple[Closure, ...] = ()
    at_end: dict[str, float] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Return it for JSON, None for what could not be measured."""
        told = {
            name: round(value, 5) if np.isfinite(value) else None
            for name, value in self.values.items()
        }
        closures = [
            {
                "phone": each.phone,
                "start_s": round(each.start_s, 3),
                "end_s": round(each.end_s, 3),
                "shut": each.shut,
            }
            for each in self.closures
        ]
        return {**told, "closures": closures, "channels_at_end": self.at_end}


def measure_clip(
    motion: FloatArray,
    audio: FloatArray,
    *,
    head: Head,
    phones: Sequence[PhoneSpan] | None = None,
    captured: BoolArray | None = None,
) -> ClipFigures:
    """Measure a clip.

    Args:
        motion: Shape (T, 52), 30 fps, alphabetical order.
        audio: What is said, shape (n_samples,) at 16 kHz.
        head: On which lengths are measured.
        phones: That are heard in it; None where they are not known.
        captured: Shape (52,), channels that were recorded; all by default.
    """
    opening = mouth_opening(motion, head=head, captured=captured)
    loudness = loudness_db(audio, len(motion))
    speech = speech_frames(loudness)
    closures = _closures(opening, phones or ())
    on_head: dict[str, Any] = {"head": head, "captured": captured}
    values = dict.fromkeys(MEASURES, float("nan"))
    if closures:
        values["bilabials_shut_share"] = float(np.mean([each.shut for each in closures]))
    if np.isfinite(opening).all():
        values["synchrony"] = best_correlation(loudness, opening, speech)
        values["opening_mean_mm"] = float(opening[speech].mean()) if speech.any() else float("nan")
        values["opening_most_mm"] = float(opening.max())
    values["lip_speed_mm_s"] = _speed(motion, speech, on_head)
    values["lip_speed_in_silence_mm_s"] = _speed(motion, ~speech, on_head)
    values["jerk_lips_m_s3"] = float(jerk(motion, **on_head)[0]) / 1000
    values["jerk_upper_m_s3"] = float(jerk(motion, region="upper", **on_head)[0]) / 1000
    values["blinks_per_minute"] = len(find_blinks(motion)) * 60 * FRAME_RATE_HZ / len(motion)
    ends = motion >= AT_END
    values["clipped_share"] = float(ends.mean())
    return ClipFigures(values, opening, speech, closures, _at_end(ends))


def _closures(opening: DoubleArray, phones: Sequence[PhoneSpan]) -> tuple[Closure, ...]:
    """Return the p, b and m among phones, and whether the lips shut at each."""
    if not np.isfinite(opening).all():
        return ()
    end_s = len(opening) / FRAME_RATE_HZ
    found = [span for span in phones if span.label in BILABIALS and span.start_s < end_s]
    return tuple(
        Closure(
            span.label,
            span.start_s,
            span.end_s,
            bool(closed_share(opening, intervals=[[[span.start_s, span.end_s]]])[0] > 0),
        )
        for span in found
    )


def _speed(motion: FloatArray, inside: BoolArray, on_head: dict[str, Any]) -> float:
    """Return the lip speed within runs of frames, root mean square, in mm/s; nan without any."""
    least = round(_SHORTEST_S * FRAME_RATE_HZ)
    found = [(a, b) for a, b in runs(inside).tolist() if b - a >= least]
    if not found:
        return float("nan")
    squares = [float(lip_speed(motion[a:b], **on_head)[0]) ** 2 for a, b in found]
    return float(np.sqrt(np.average(squares, weights=[b - a - 1 for a, b in found])))


def _at_end(ends: BoolArray) -> dict[str, float]:
    """Return the share of time that channels are at 1, of those that are for `_SEEN_S`."""
    shares = ends.mean(axis=0)
    order = np.argsort(-shares, kind="stable")
    least = _SEEN_S * FRAME_RATE_HZ / len(ends)
    return {ARKIT_NAMES[i]: round(float(shares[i]), 4) for i in order if shares[i] >= least > 0}
