"""Voice bar: what goes on below 500 Hz while lips are shut, taken out of log-mel features.

While the lips of a synthetic voice are shut for a /b/, all bands fall silent. Of a recorded voice
the low ones go on: vocal cords are heard through the cheeks, and a nasal before is as loud. An
encoder that learned from synthetic speech takes silence in the low bands, and low loudness with it,
for the sign of shut lips, and leaves a recorded /b/ half open. Low bands are therefore never
louder, relative to each band's mean over speech, than the bands above them are on average: where
those fall silent, so do they, in either kind of voice.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

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
