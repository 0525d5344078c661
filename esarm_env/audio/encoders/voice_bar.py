"""Voice bar: what goes on below 500 Hz while lips are shut, taken out of log-mel features.

While the lips of a synthetic voice are shut for a /b/, all bands fall silent. Of a recorded voice
the low ones go on: vocal cords are heard through the cheeks, and a nasal before is as loud. An
encoder that learned from synthetic speech takes silence in the low bands, and low loudness with it,
for the sign of shut lips, and leaves a recorded /b/ half open. Low bands are therefore never
louder, relative to each band's mean over speech, than the bands above them are on average: where
those fall silent, so do they, in either kind of voice.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch.nn import functional

if TYPE_CHECKING:
    from torch import Tensor

N_BANDS = 32  # of `LogMel`; loudness, voicing and pitch stand behind them
N_COLUMNS = N_BANDS + 3
_LOW, _HIGH = 6, 30  # bands up to 500 Hz, and the end of those that tell whether a mouth is open
_HEADROOM = 0.2  # 4 dB that low bands may be louder
# Mean level of each band over speech, in dB below the speech level, which `LogMel` takes out: how
# much each counts in the loudness. Means of synthetic and recorded voices, a few dB apart.
_SPEECH_DB = (
    *(-25.2, -21.2, -22.0, -22.5, -24.2, -27.7, -30.8, -34.4, -37.2, -38.6, -39.0, -38.7),
    *(-39.0, -38.9, -39.6, -40.5, -42.6, -44.0, -44.1, -42.5, -41.4, -42.1, -41.3, -41.8),
    *(-43.1, -45.0, -47.9, -50.6, -53.4, -55.1, -55.2, -55.1),
)

# Of other voices: shares of utterances, and how far.
_HIDE_LOUDNESS, _HIDE_PITCH, _MOST_OCTAVES = 0.3, 0.25, 0.5
_REACH = 7  # frames: the longest closure that a voice bar bridges whole
_SILENT = -4.0  # below every feature
_SPEAKING = -1.5  # loudness of speech, as `LogMel` takes it for the mean of its bands


def without_voice_bar(features: Tensor) -> Tensor:
    """Return features of `LogMel`, (..., 35), whose low bands are no louder than those above.

    Loudness falls by what is missing; voicing and pitch stay. Frame by frame, hence the same for
    speech as it comes; zeros, as padding has them, stay zeros.
    """
    bands = features[..., :N_BANDS]
    ceiling = bands[..., _LOW:_HIGH].mean(-1, keepdim=True) + _HEADROOM
    cut = torch.cat([torch.minimum(bands[..., :_LOW], ceiling), bands[..., _LOW:]], dim=-1)
    loudness = features[..., N_BANDS : N_BANDS + 1] + _level(cut) - _level(bands)
    return torch.cat([cut, loudness, features[..., N_BANDS + 1 :]], dim=-1)


def _level(bands: Tensor) -> Tensor:
    """Return the level of all bands together, (..., 1), in units of 20 dB."""
    decibels = 20 * bands + bands.new_tensor(_SPEECH_DB)
    return torch.pow(10, decibels / 10).sum(-1, keepdim=True).log10() / 2


def other_voices(features: Tensor, inside: Tensor, *, share: float, bars: float) -> Tensor:
    """Return features of `LogMel`, (B, T, 35), as other voices would have them.

    The low bands are filled up to what they were at the loudest nearby, less 0 to 12 dB, as a voice
    bar does it; loudness, or voicing and pitch, are hidden; pitch is shifted by up to half an
    octave: each for some of the utterances, drawn by torch. What shut lips look like must then be
    learned from more than one sign.

    Args:
        features: Shape (B, T, 35).
        inside: Shape (B, T), False in padding, which stays zero.
        share: Of utterances that may change at all.
        bars: Share of these whose low bands are filled up.
    """
    bands = features[..., :N_BANDS]
    loudness, voiced, pitch = (features[..., N_BANDS + k : N_BANDS + k + 1] for k in range(3))
    filled = torch.maximum(bands, _voice_bar(bands, inside, share=bars))
    speaking = ((loudness > _SPEAKING) & inside[..., None]).to(bands)
    gained = ((filled - bands) * speaking).sum(1, keepdim=True)  # (B, 1, M)
    gained = gained / speaking.sum(1, keepdim=True).clamp(min=1)
    loudness = (loudness + _level(filled) - _level(bands)) * _some(bands, 1 - _HIDE_LOUDNESS)
    pitch = pitch + _MOST_OCTAVES * _drawn(bands, -1, 1) * (voiced > 0)
    heard = _some(bands, 1 - _HIDE_PITCH)
    changed = torch.cat([filled - gained, loudness, voiced * heard, pitch * heard], dim=-1)
    changed = torch.where(_some(bands, share) > 0, changed, features)
    return changed * inside[..., None]


def _voice_bar(bands: Tensor, inside: Tensor, *, share: float) -> Tensor:
    """Return the level of a voice bar in each band, (B, T, M), far below speech where none is."""
    levels = bands.masked_fill(~inside[..., None], _SILENT).transpose(1, 2)
    loudest = functional.max_pool1d(levels, _REACH, stride=1, padding=_REACH // 2)
    smooth = functional.avg_pool1d(loudest, 5, stride=1, padding=2, count_include_pad=False)
    top = _drawn(bands, 2, 7)
    places = torch.arange(N_BANDS, device=bands.device)
    fall = functional.logsigmoid(2 * (top - places)) / math.log(100)  # (B, 1, M), 20 dB a unit
    below = _drawn(bands, -0.6, 0) + _SILENT * (1 - _some(bands, share))
    return smooth.transpose(1, 2) + fall + below


def _drawn(features: Tensor, low: float, high: float) -> Tensor:
    """Return a number for each utterance, (B, 1, 1)."""
    drawn = torch.rand(len(features), 1, 1, device=features.device)
    return low + (high - low) * drawn


def _some(features: Tensor, share: float) -> Tensor:
    """Return 1 for a share of the utterances, else 0, (B, 1, 1)."""
    drawn = torch.rand(len(features), 1, 1, device=features.device)
    return (drawn < share).to(features)
