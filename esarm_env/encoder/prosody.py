"""Statistics of prosody over an utterance: pitch, loudness, pace, voicing and colour of a voice.

Taken from the columns of `LogMel`, wherever these are the last ones of the audio features. All are
masked means of values by frame, so a causal encoder has them of what it heard so far.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from esarm_env.encoder.shape import N_PROSODY

N_MELS = N_PROSODY - 3  # the others are loudness, voicing and pitch
NAMES = (
    *("pitch", "pitch spread", "pitch skew", "pitch step", "pitch step spread", "pitch slope"),
    *("pitch peaks", "loudness", "loudness spread", "loudness skew", "loudness step", "flux"),
    *("voiced share", "onsets", "pitch with loudness", "loudness of voice", "loudness peaks"),
)
N_STATISTICS = len(NAMES) + 2 * N_MELS
# Of `LogMel`, where 1 unit is 20 dB below the speech level: speech, and what is loud in it.
ACTIVE, _LOUD, _PEAK, _VOICED = -1.5, -0.6, -1.0, 0.5
LOUDNESS = -3  # its column
_FRAME_S = 1 / 30
_MEMORY = 2  # frames before one that its values are taken from


class RunningProsody:
    """Statistics of an utterance while its features come: of all frames up to each."""

    def __init__(self) -> None:
        """Begin an utterance."""
        self._sums: list[Tensor] = []
        self._past: tuple[Tensor, Tensor] | None = None  # features and inside, 2 frames at most
        self._n_done = 0

    def push(self, features: Tensor, inside: Tensor) -> Tensor:
        """Return `prosody_statistics(..., running=True)` of the frames that follow.

        Args:
            features: Shape (1, F, D).
            inside: Shape (1, F).

        Returns:
            Shape (1, F, N_STATISTICS).
        """
        n_frames = features.shape[1]
        if self._past is not None:
            features = torch.cat([self._past[0], features], dim=1)
            inside = torch.cat([self._past[1], inside], dim=1)
        n_past = features.shape[1] - n_frames
        mean = _Means(running=True, sums=self._sums, n_past=n_past)
        found = _statistics(features, inside, mean, first=self._n_done - n_past)
        self._n_done += n_frames
        self._past = features[:, -_MEMORY:], inside[:, -_MEMORY:]
        return found


def prosody_statistics(features: Tensor, inside: Tensor, *, running: bool = False) -> Tensor:
    """Return statistics in the order of `NAMES`, then of the log-mel bands.

    The bands count twice: their mean in loud voiced frames, and their spread in speech. Neither
    the level of a recording nor its microphone's colour changes anything, as in `LogMel`.

    Args:
        features: Shape (B, T, D), `LogMel` in the last `N_PROSODY`.
        inside: Shape (B, T), False in padding, which changes nothing.
        running: Return them for every frame, of all frames up to it.

    Returns:
        Shape (B, T or 1, N_STATISTICS).
    """
    return _statistics(features, inside, _Means(running=running))


def _statistics(features: Tensor, inside: Tensor, mean: _Means, *, first: int = 0) -> Tensor:
    """Return the statistics by `mean`; `first` is the number of the first frame."""
    bands = features[..., -N_PROSODY:-3]
    loudness, voicing, pitch = features[..., -3:].unbind(-1)
    voiced = inside & (voicing > _VOICED)
    active = inside & (loudness > ACTIVE)
    loud = voiced & (loudness > _LOUD)
    # Frames half voiced hold half of the pitch.
    pitch = torch.where(voiced, pitch / voicing.clamp(min=_VOICED), 0.0)
    of_pitch = _pitch_statistics(mean, pitch, loudness, voiced, first=first)
    louder, flux = _step(loudness).abs(), _step(bands).abs().mean(-1)
    begins = voiced & ~_before(voiced)
    level, level_spread, level_skew = _moments(mean, loudness, active)
    of_loudness = [
        level,
        level_spread,
        level_skew,
        *(mean(value, active) for value in (louder, flux, voicing, begins.float())),
    ]
    together = mean(pitch * loudness, voiced) - of_pitch[0] * mean(loudness, voiced)
    loud_spread = _spread(mean, loudness, voiced)
    rest = [
        together / (of_pitch[1] * loud_spread + 1e-3),
        mean(loudness, voiced),
        mean(_peaks(loudness), active),
    ]
    colour = mean(bands, loud)
    variety = _spread(mean, bands, active)
    scalars = torch.stack([*of_pitch, *of_loudness, *rest], dim=-1)
    return torch.cat([scalars, colour, variety], dim=-1)


class _Means:
    """Masked means over time: of the whole, (B, 1, ...), or of all so far, (B, T, ...).

    With `sums`, those of earlier frames, which are brought up to date, the first `n_past` frames
    are among these: they count no more, and are left out.
    """

    def __init__(self, *, running: bool, sums: list[Tensor] | None = None, n_past: int = 0) -> None:
        self._running, self._sums, self._n_past = running, sums, n_past
        self._n_calls = 0

    def __call__(self, values: Tensor, mask: Tensor) -> Tensor:
        weights = mask.float()
        if values.dim() > mask.dim():
            weights = weights[..., None]
        return self._sum(values * weights) / self._sum(weights).clamp(min=1)

    def _sum(self, values: Tensor) -> Tensor:
        if not self._running:
            return values.sum(1, keepdim=True)
        totals = values[:, self._n_past :].cumsum(1)
        if self._sums is None:
            return totals
        # The same sums are asked for in the same order every time.
        if self._n_calls < len(self._sums):
            totals = totals + self._sums[self._n_calls]
            self._sums[self._n_calls] = totals[:, -1:]
        else:
            self._sums.append(totals[:, -1:])
        self._n_calls += 1
        return totals


def _pitch_statistics(
    mean: _Means, pitch: Tensor, loudness: Tensor, voiced: Tensor, *, first: int
) -> list[Tensor]:
    """Return the first statistics of `NAMES`, those of pitch in octaves."""
    both = voiced & _before(voiced)
    step = _step(pitch)
    level, spread, skew = _moments(mean, pitch, voiced)
    time = torch.arange(first, first + pitch.shape[1], device=pitch.device) * _FRAME_S
    time = time.expand_as(loudness)
    middle = mean(time, voiced)
    slope = (mean(time * pitch, voiced) - middle * level) / (
        _spread(mean, time, voiced).square() + 0.05
    )
    fourth = _central(mean, pitch, voiced, level, power=4).clamp(min=1e-8) ** 0.25
    steps = (mean(step.abs(), both), _spread(mean, step, both))
    return [level, spread, skew, *steps, slope, fourth]


def _moments(mean: _Means, values: Tensor, mask: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return mean, spread and skew."""
    level, spread = mean(values, mask), _spread(mean, values, mask)
    skew = _central(mean, values, mask, level, power=3) / (spread + 0.03) ** 3
    return level, spread, skew


def _central(mean: _Means, values: Tensor, mask: Tensor, level: Tensor, *, power: int) -> Tensor:
    """Return the third or fourth central moment, from raw ones: a running mean moves."""
    second, third = mean(values**2, mask), mean(values**3, mask)
    if power == 3:
        return third - 3 * level * second + 2 * level**3
    fourth = mean(values**4, mask)
    return fourth - 4 * level * third + 6 * level**2 * second - 3 * level**4


def _spread(mean: _Means, values: Tensor, mask: Tensor) -> Tensor:
    variance = mean(values**2, mask) - mean(values, mask) ** 2
    return (variance.clamp(min=0) + 1e-5).sqrt()


def _step(values: Tensor) -> Tensor:
    """Return the change from the frame before, 0 at the first; of (B, T) or (B, T, D)."""
    return torch.cat([torch.zeros_like(values[:, :1]), values[:, 1:] - values[:, :-1]], dim=1)


def _before(mask: Tensor) -> Tensor:
    return functional.pad(mask[:, :-1], (1, 0))


def _peaks(loudness: Tensor) -> Tensor:
    """Return 1 at the frame after a peak of loudness, which is when a listener knows it for one."""
    first, middle, last = loudness[:, :-2], loudness[:, 1:-1], loudness[:, 2:]
    peaks = (middle > last) & (middle >= first) & (middle > _PEAK)
    return functional.pad(peaks, (2, 0)).float()
