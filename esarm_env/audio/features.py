"""Audio encoders by name: log-mel, phones or WavLM features at 30 fps, for policy and reward model.

`LogMel` (log-mel, loudness and pitch; needs no download) is the default; `Phones` hears
phones by the network in the package `hama`; `WavLM` takes weights that the user has. scipy, hama
and torch are imported at the first call, not with this module.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import numpy as np

from esarm_env.audio.encoders.frames import FEATURE_BOUND, AudioEncoder, to_frame_rate
from esarm_env.audio.encoders.phones import Phones
from esarm_env.audio.encoders.running import RunningLogMel
from esarm_env.audio.encoders.spectra import mel_power, yin
from esarm_env.audio.encoders.wavlm import WavLM
from esarm_env.core.errors import InputError
from esarm_env.core.plugins import did_you_mean
from esarm_env.core.types import SAMPLE_RATE_HZ, FloatArray, IntArray, n_frames_of

__all__ = [
    "FEATURE_BOUND",
    "AudioEncoder",
    "LogMel",
    "Phones",
    "RunningLogMel",
    "WavLM",
    "check_encoder",
    "has_prosody",
    "make_encoder",
    "name_to_keep",
]

# A stranger's file may hold it, and a message puts it into a command line to copy.
_VERSION = re.compile(r"[0-9][0-9A-Za-z.]{0,31}")
_NAMES = ("logmel", "logmel-running", "phones", "phones+logmel", "wavlm")
_TOGETHER = 6000  # hops
VOICED_CORRELATION = 0.6  # noise reaches 0.5 by chance at the best of all lags, vowels pass 0.8


@dataclass(frozen=True)
class LogMel:
    """Log-mel encoder: log-mel bands, loudness, voicing and pitch, normalised per recording.

    Columns: `n_mels` log-mel bands (2 units = 40 dB; mean over the speech frames removed, so that
    microphones agree), loudness relative to the recording's speech level (same unit), voicing
    (0 or 1), and pitch in octaves from 150 Hz (0 where unvoiced). Level-independent.
    """

    n_mels: int = 32
    hop: int = 160
    window: int = 512

    @property
    def key(self) -> str:
        """Identify the settings; raise the number with any change of the figures."""
        return f"logmel-v2-{self.n_mels}-{self.hop}-{self.window}"

    @property
    def dim(self) -> int:
        """Number of features per frame."""
        return self.n_mels + 3

    def encode(self, audio: FloatArray) -> FloatArray:
        """Turn (n_samples,) at 16 kHz into (T, n_mels + 3) float32."""
        n_frames = n_frames_of(len(audio))
        padded = np.pad(audio, (0, max(0, 2 * self.window - len(audio))))
        mel = mel_power(
            padded,
            n_mels=self.n_mels,
            window=self.window,
            hop=self.hop,
            least_hz=60.0,
            most_hz=7600.0,
        )  # (n_mels, hops)
        loudness = 10 * np.log10(mel.sum(axis=0) + 1e-10)  # (hops,)
        speech_level = np.percentile(loudness, 95)
        log_mel = 10 * np.log10(np.maximum(mel, 1e-10)).T - speech_level  # (hops, n_mels)
        log_mel = np.maximum(log_mel, -80.0)
        loudness = np.maximum(loudness - speech_level, -60.0)
        active = loudness > -30.0
        log_mel -= log_mel[active].mean(axis=0)
        voiced, pitch = self._pitch(padded, active)
        columns = np.column_stack([log_mel / 20, loudness / 20, voiced, pitch])
        frames = to_frame_rate(columns, SAMPLE_RATE_HZ / self.hop, n_frames)
        return np.clip(frames, -FEATURE_BOUND, FEATURE_BOUND).astype(np.float32)

    def _pitch(self, audio: FloatArray, active: Any) -> tuple[FloatArray, FloatArray]:
        """Return voicing and octaves from 150 Hz, each (hops,), by YIN (de Cheveigne 2002)."""
        step = 2  # pitch every 20 ms is enough
        hop = self.hop * step
        f0 = yin(audio, least_hz=60.0, most_hz=500.0, window=1024, hop=hop)
        # YIN gives a period even for noise; a frame is voiced only if it correlates at that lag.
        lag = np.round(SAMPLE_RATE_HZ / f0).astype(np.int64)
        periodic = _correlation_at(audio, np.arange(len(f0)) * hop, lag) > VOICED_CORRELATION
        f0 = np.repeat(f0, step)[: len(active)]
        periodic = np.repeat(periodic, step)[: len(active)]
        missing = len(active) - len(f0)
        voiced = active & np.pad(periodic, (0, missing))
        pitch = np.where(voiced, np.log2(np.pad(f0, (0, missing), mode="edge") / 150.0), 0.0)
        return voiced.astype(np.float32), pitch.astype(np.float32)


def make_encoder(name: str, *, fetch: bool = True) -> AudioEncoder:
    """Return the encoder called `name`.

    | name | encoder |
    |---|---|
    | `logmel` | log-mel, loudness, voicing and pitch |
    | `logmel-running` | the same, normalised by what was heard so far: it streams |
    | `phones` | how likely each class of phones is |
    | `phones+logmel` | both side by side |
    | `wavlm`, `wavlm:FOLDER`, `wavlm:ORGANISATION/MODEL` | the last hidden states of WavLM |
    | `wavlm@6`, `wavlm@6:FOLDER` | the hidden states after layer 6 |
    | `wavlm@mean`, `wavlm@0,0.5,0.5:FOLDER` | a mixture of all hidden states, alike or weighted |

    `phones:1.7.0` and `phones+logmel:1.7.0` ask for that version of `hama`.

    Args:
        name: The encoder.
        fetch: Whether weights that a hub has may be fetched. Who has the name from a file, such as
            a run's, says no: a stranger's file must not choose what is asked for, and where.

    Raises:
        InputError: If there is no such encoder, or `hama` is of another version.
        MissingExtraError: If the encoder needs `hama`, which is not installed.
    """
    kind, _, detail = name.partition(":")
    if kind == "logmel" and not detail:
        return LogMel()
    if kind == "logmel-running" and not detail:
        return RunningLogMel()
    if kind in ("phones", "phones+logmel") and (not detail or _VERSION.fullmatch(detail)):
        return Phones(beside=LogMel() if kind != "phones" else None, version=detail or None)
    kind, at, layers = kind.partition("@")
    if kind == "wavlm":
        choice: dict[str, Any] = _layers(layers, name) if at else {}
        if detail:
            choice["weights"] = detail
        return WavLM(**choice, fetch=fetch)
    raise InputError(
        "`encoder` must be logmel, logmel-running, wavlm, wavlm:FOLDER, wavlm@LAYERS, phones or "
        f"phones+logmel, got {name!r}{did_you_mean(name, _NAMES)}"
    )


def check_encoder(name: str, *, fetch: bool = True) -> None:
    """Check that there is an encoder called `name`, before what comes before its first use.

    Args:
        name: As of `make_encoder`.
        fetch: Likewise.

    Raises:
        InputError: If there is none, or its weights are not on this machine and cannot be fetched.
        MissingExtraError: If its package is not installed.
    """
    encoder = make_encoder(name, fetch=fetch)
    if isinstance(encoder, WavLM):
        encoder.check()


def has_prosody(name: str) -> bool:
    """Return whether the last columns of the encoder called `name` are those of `LogMel`."""
    return name.partition(":")[0] in ("logmel", "phones+logmel")


def name_to_keep(name: str) -> str:
    """Return the encoder's name as a run notes it: with the version of what computes it.

    Features of another version of `hama` are other numbers; a policy must not be handed them.
    """
    encoder = make_encoder(name, fetch=False)
    if isinstance(encoder, Phones):
        return f"{name.partition(':')[0]}:{encoder.version}"
    return name


def _layers(layers: str, name: str) -> dict[str, Any]:
    """Read what stands behind `wavlm@`: a layer's number, weights of all, or `mean`."""
    try:
        if layers == "mean":
            return {"mixture": ()}
        if "," in layers:
            return {"mixture": tuple(float(weight) for weight in layers.split(","))}
        return {"layer": int(layers)}
    except ValueError as error:
        raise InputError(
            "`encoder` must name a layer (wavlm@6), weights of all (wavlm@0,0.5,0.5) or `mean` "
            f"behind the @, got {name!r}"
        ) from error


def _correlation_at(audio: FloatArray, centres: IntArray, lags: IntArray) -> FloatArray:
    """Return the autocorrelation (hops,) of `audio` at `lags`, in a window around `centres`."""
    if len(centres) > _TOGETHER:  # ten minutes at once would take a gigabyte
        parts = range(0, len(centres), _TOGETHER)
        each = [slice(first, first + _TOGETHER) for first in parts]
        return np.concatenate([_correlation_at(audio, centres[at], lags[at]) for at in each])
    span = np.arange(-256, 256)
    reach = 256 + int(lags.max(initial=0))
    padded = np.pad(audio, (reach, reach))
    first = (centres - lags // 2 + reach)[:, None] + span  # (hops, 512)
    here, later = padded[first], padded[first + lags[:, None]]
    norm = np.sqrt((here**2).sum(axis=1) * (later**2).sum(axis=1))
    correlation: FloatArray = (here * later).sum(axis=1) / (norm + 1e-9)
    return correlation
