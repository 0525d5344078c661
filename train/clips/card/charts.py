"""Charts of the card as SVG: curves in mm over the waveform, with silence and p, b and m marked."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING

import numpy as np

from esarm_env.core.types import FRAME_RATE_HZ, SAMPLE_RATE_HZ
from esarm_env.metrics.closure import runs

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from esarm_env.core.types import BoolArray, DoubleArray, FloatArray
    from train.clips.card.figures import Closure

WIDTH, LEFT, RIGHT = 1000, 46, 8
_HEIGHT, _TOP, _FOOT = 150, 18, 20
_WAVE_COLUMNS = 400
_COLOURS = ("#b0421e", "#1e5fb0", "#3a7d44", "#7a3fa0")
_LEAST_MM = 1.0  # of the scale: a face at rest is not blown up to look alive


def chart(
    curves: Mapping[str, DoubleArray],
    *,
    audio: FloatArray,
    speech: BoolArray,
    closures: Sequence[Closure] = (),
) -> str:
    """Return the names of curves in their colours, and the curves over the waveform as SVG.

    Args:
        curves: In mm by name, shape (T,) each, all of one length.
        audio: Shape (n_samples,) at 16 kHz.
        speech: Shape (T,), bool; the rest is shaded.
        closures: p, b and m: marked below, those at which the lips stayed open in words, too.
    """
    n_frames = len(speech)
    end_s = n_frames / FRAME_RATE_HZ
    low, high = _limits(curves)
    drawn = [
        f'<svg viewBox="0 0 {WIDTH} {_HEIGHT}" role="img" '
        f'aria-label="{html.escape(", ".join(curves))} in mm over time">'
    ]
    drawn += [_silence(a, b, end_s) for a, b in runs(~speech).tolist()]
    drawn.append(_wave(audio, end_s))
    drawn += [_mark(each, end_s) for each in closures]
    drawn += _axes(low, high, end_s)
    for (name, curve), colour in zip(curves.items(), _COLOURS, strict=False):
        drawn.append(_line(curve, low, high, colour, html.escape(name)))
    return "".join([_legend(list(curves)), *drawn, "</svg>"])


def _limits(curves: Mapping[str, DoubleArray]) -> tuple[float, float]:
    """Return the ends of the scale, 0 among them."""
    values = np.concatenate([*curves.values(), np.zeros(1)])
    known = values[np.isfinite(values)]
    low, high = float(known.min()), float(known.max())
    return low, max(high, low + _LEAST_MM)


def _x(time_s: float, end_s: float) -> float:
    return LEFT + (WIDTH - LEFT - RIGHT) * min(time_s / end_s, 1.0)


def _y(value: float, low: float, high: float) -> float:
    return _TOP + (_HEIGHT - _TOP - _FOOT) * (high - value) / (high - low)


def _silence(first: int, last: int, end_s: float) -> str:
    start, stop = _x(first / FRAME_RATE_HZ, end_s), _x(last / FRAME_RATE_HZ, end_s)
    size = f'width="{stop - start:.1f}" height="{_HEIGHT - _TOP - _FOOT}"'
    return f'<rect class="quiet" x="{start:.1f}" y="{_TOP}" {size}/>'


def _wave(audio: FloatArray, end_s: float) -> str:
    """Return the waveform as one filled path round the middle."""
    count = min(_WAVE_COLUMNS, len(audio))
    heard = audio[: max(count, round(end_s * SAMPLE_RATE_HZ))]
    peaks = [float(np.abs(part).max(initial=0.0)) for part in np.array_split(heard, count)]
    most = max(max(peaks), 1e-6)
    middle, half = (_TOP + _HEIGHT - _FOOT) / 2, (_HEIGHT - _TOP - _FOOT) / 2
    length_s = len(heard) / SAMPLE_RATE_HZ
    places = [_x((k + 0.5) / count * length_s, end_s) for k in range(count)]
    above = [f"{x:.1f},{middle - half * p / most:.1f}" for x, p in zip(places, peaks, strict=True)]
    below = [f"{x:.1f},{middle + half * p / most:.1f}" for x, p in zip(places, peaks, strict=True)]
    return f'<polygon class="wave" points="{" ".join([*above, *reversed(below)])}"/>'


def _mark(closure: Closure, end_s: float) -> str:
    """Return the mark of a p, b or m; that of lips that stayed open also looks another way."""
    start, stop = _x(closure.start_s, end_s), _x(closure.end_s, end_s)
    height = _HEIGHT - _TOP - _FOOT
    kind, sign = ("shut", "") if closure.shut else ("open", " open")
    phone = html.escape(closure.phone[:1])
    return (
        f'<rect class="{kind}" x="{start:.1f}" y="{_TOP}" width="{max(stop - start, 1):.1f}" '
        f'height="{height}"/><text class="phone {kind}" x="{(start + stop) / 2:.1f}" '
        f'y="{_TOP - 5}" text-anchor="middle">{phone}{sign}</text>'
    )


def _axes(low: float, high: float, end_s: float) -> list[str]:
    """Return the line at rest, values at both ends, and seconds below."""
    base = _y(0.0, low, high)
    drawn = [
        f'<line class="rest" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{base:.1f}" y2="{base:.1f}"/>'
    ]
    values = [0.0, *(value for value in (high, low) if abs(value) > 0.15 * (high - low))]
    for value in values:
        place = f'x="{LEFT - 5}" y="{_y(value, low, high) + 4:.1f}"'
        drawn.append(f'<text {place} text-anchor="end">{value:.0f} mm</text>')
    step = next(each for each in (0.5, 1, 2, 5, 10, 30, 60, 120) if end_s / each <= 12)
    for k in range(int(end_s / step) + 1):
        x = _x(k * step, end_s)
        drawn.append(
            f'<text x="{x:.1f}" y="{_HEIGHT - 4}" text-anchor="middle">{k * step:g} s</text>'
        )
    return drawn


def _line(curve: DoubleArray, low: float, high: float, colour: str, name: str) -> str:
    end_s = len(curve) / FRAME_RATE_HZ
    points = [
        f"{_x(frame / FRAME_RATE_HZ, end_s):.1f},{_y(float(value), low, high):.1f}"
        for frame, value in enumerate(curve)
        if np.isfinite(value)
    ]
    return (
        f'<polyline fill="none" stroke="{colour}" stroke-width="1.8" '
        f'points="{" ".join(points)}"><title>{name}</title></polyline>'
    )


def _legend(names: Sequence[str]) -> str:
    said = [
        f"<span style='color:{colour}'>\u25ac {html.escape(name)}</span>"
        for name, colour in zip(names, _COLOURS, strict=False)
    ]
    return f"<p>{' '.join(said)}</p>"
