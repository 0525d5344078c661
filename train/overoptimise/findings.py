"""Findings from the curves: changes against the clone with intervals, a verdict per KL strength."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from esarm_env.core.intervals import Change, paired_change
from train.overoptimise.curve import ERRORS, Curve

CONFIDENCE = 0.95
BETTER, WORSE, UNCLEAR, UNKNOWN = "better", "worse", "not clearly changed", "not captured"


@dataclass(frozen=True)
class Point:
    """One policy, its figures being means over utterances.

    Attributes:
        step: Iteration, or n of best-of-n.
        nats_per_utterance: Divergence from the clone.
        nats_per_token: Likewise.
        means: Proxy and errors by name.
        changes: Of each from the clone's, with the interval over utterances.
    """

    step: int
    nats_per_utterance: float
    nats_per_token: float
    means: dict[str, float]
    changes: dict[str, Change]

    def row(self) -> dict[str, float]:
        """Return everything as one flat row."""
        row: dict[str, float] = {
            "step": self.step,
            "nats_per_utterance": self.nats_per_utterance,
            "nats_per_token": self.nats_per_token,
        }
        for name, change in self.changes.items():
            unit = "" if name == "proxy" else "_mm"
            row[f"{name}{unit}"] = self.means[name]
            row[f"{name}_change{unit}"] = change.mean
            row[f"{name}_low{unit}"], row[f"{name}_high{unit}"] = change.low, change.high
        return row


def points_of(curve: Curve) -> list[Point]:
    """Return the points of a curve, the clone first."""
    per_token = curve.divergence / curve.lengths
    return [
        Point(
            step=int(step),
            nats_per_utterance=float(curve.divergence[row].mean()),
            nats_per_token=float(per_token[row].mean()),
            means={name: float(values[row].mean()) for name, values in curve.figures().items()},
            changes={
                name: paired_change(values[0], values[row], confidence=CONFIDENCE)
                for name, values in curve.figures().items()
            },
        )
        for row, step in enumerate(curve.steps)
    ]


@dataclass(frozen=True)
class ErrorVerdict:
    """What became of one true error.

    Attributes:
        change: From the clone to the end.
        said: In words.
        peak_step: Where the error was least; the clone's own step if it never fell.
        peak_nats: Divergence per utterance there.
        since_peak: From there to the end. The peak was picked on the same utterances, which makes
            this change look larger than it is.
    """

    change: Change
    said: str
    peak_step: int
    peak_nats: float
    since_peak: Change

    def as_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return {
            "verdict": self.said,
            "change_mm": _triple(self.change),
            "peak_step": self.peak_step,
            "peak_nats_per_utterance": self.peak_nats,
            "change_since_peak_mm": _triple(self.since_peak),
        }


@dataclass(frozen=True)
class Verdict:
    """What became of proxy and gold at one strength.

    Attributes:
        proxy: From the clone to the end.
        errors: By name.
    """

    proxy: Change
    errors: dict[str, ErrorVerdict]

    @property
    def hacked(self) -> bool:
        """Whether the proxy rose while a true error did, both beyond their intervals."""
        return self.proxy.rose and any(error.change.rose for error in self.errors.values())

    def sentence(self) -> str:
        """Return for instance `proxy up; LVE worse (least at the clone), EVE better (...)`."""
        proxy = "up" if self.proxy.rose else "down" if self.proxy.high < 0 else UNCLEAR
        parts = [_in_words(name, error) for name, error in self.errors.items()]
        return f"proxy {proxy}; {', '.join(parts)}" + ("; **hacked**" if self.hacked else "")

    def as_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return {
            "verdict": self.sentence().replace("**", ""),
            "hacked": self.hacked,
            "proxy_change": _triple(self.proxy),
            "errors": {name: error.as_dict() for name, error in self.errors.items()},
        }


def verdict_of(curve: Curve) -> Verdict:
    """Return what became of proxy and gold from the first point of `curve` to its last."""
    return Verdict(
        proxy=paired_change(curve.proxy[0], curve.proxy[-1], confidence=CONFIDENCE),
        errors={name: _error_verdict(curve, name) for name in ERRORS},
    )


def _error_verdict(curve: Curve, name: str) -> ErrorVerdict:
    values = curve.errors[name]
    means = values.mean(axis=1)
    peak = int(np.argmin(means)) if np.isfinite(means).all() else 0
    change = paired_change(values[0], values[-1], confidence=CONFIDENCE)
    return ErrorVerdict(
        change=change,
        said=_said(change),
        peak_step=int(curve.steps[peak]),
        peak_nats=float(curve.divergence[peak].mean()),
        since_peak=paired_change(values[peak], values[-1], confidence=CONFIDENCE),
    )


def _said(change: Change) -> str:
    if not np.isfinite(change.mean):
        return UNKNOWN
    return WORSE if change.rose else BETTER if change.high < 0 else UNCLEAR


def _in_words(name: str, error: ErrorVerdict) -> str:
    if error.said == UNKNOWN:
        return f"{name.upper()} {UNKNOWN}"
    after = ", rising since" if error.since_peak.rose else ""
    return f"{name.upper()} {error.said} (least at {error.peak_nats:.1f} nats{after})"


def _triple(change: Change) -> list[float]:
    return [change.mean, change.low, change.high]
