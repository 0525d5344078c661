"""Phone encoder: how likely each class of phones is, 30 times a second, alone or beside prosody.

Posteriors say what is said and little about who says it, so what a policy learned on one voice
holds for others. What they leave out (loudness, pitch, how wide a mouth opens) comes from the
features they may stand beside, which are normalised per recording: the mean of every log-mel band
over the speech frames is removed, and levels count from the recording's own speech level.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from esarm_env.audio.encoders.frames import AudioEncoder, to_frame_rate
from esarm_env.audio.encoders.phone_classes import N_CLASSES, class_matrix
from esarm_env.audio.encoders.phone_network import (
    TOKEN_RATE_HZ,
    PhoneNetwork,
    hama_version,
    phone_network,
)
from esarm_env.core.types import FloatArray, n_frames_of

PURPOSE = "The encoder `phones`"
SCALE = 4.0  # CTC names a phone for a frame or two: the deviation of a posterior is about 0.1


@dataclass(frozen=True)
class Phones:
    """Phone encoder: posteriors of 30 phone classes times 4, from `hama`'s network.

    Columns: the classes of `esarm_env.audio.encoders.phone_classes.PHONE_CLASSES` in order (the
    last two are the boundary of words and "no new phone"), then those of `beside`. The network
    hears up to 30 s at once, so a frame depends on what follows; level-independent.

    Attributes:
        beside: Other features to append, or None.
        version: The version of `hama` that computes them; None stands for the installed one.

    Raises:
        MissingExtraError: If `hama` is not installed.
        InputError: If another version of it is.
    """

    beside: AudioEncoder | None = None
    version: str | None = None
    threads: ClassVar[bool] = True

    def __post_init__(self) -> None:
        """Take the installed version down."""
        version = hama_version(purpose=PURPOSE, wanted=self.version)
        object.__setattr__(self, "version", version)

    @property
    def key(self) -> str:
        """Identify classes, scale, version and neighbours; raise the number with the figures."""
        beside = "" if self.beside is None else f"+{self.beside.key}"
        return f"phones-v1-{self.version}{beside}"

    @property
    def dim(self) -> int:
        """Number of features per frame."""
        return N_CLASSES + (0 if self.beside is None else self.beside.dim)

    def encode(self, audio: FloatArray) -> FloatArray:
        """Turn (n_samples,) at 16 kHz into (T, dim) float32."""
        n_frames = n_frames_of(len(audio))
        network = phone_network(PURPOSE)
        likely = np.exp(network.log_posteriors(audio)) @ _classes(network)  # (hops, N_CLASSES)
        # Sums over ten minutes lose three digits in single precision.
        frames = to_frame_rate(likely.astype(np.float64), TOKEN_RATE_HZ, n_frames)
        features = (SCALE * frames.clip(0, 1)).astype(np.float32)
        if self.beside is None:
            return features
        return np.concatenate([features, self.beside.encode(audio)], axis=1)


@functools.cache
def _classes(network: PhoneNetwork) -> FloatArray:
    return class_matrix(network.tokens)
