"""Audio encoders: log-mel or WavLM features at 30 fps, the input of policy and reward model.

Two encoders share one interface: `LogMel` (log-mel, loudness and pitch by librosa; needs no
download) is the default, `WavLM` (Chen et al. 2022, through `transformers`) takes weights that the
user has. librosa and torch are imported at the first call, not with this module.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import re
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from esarm_env.core.errors import InputError, MissingExtraError, one_line
from esarm_env.core.types import FRAME_RATE_HZ, SAMPLE_RATE_HZ, FloatArray, IntArray, n_frames_of

VOICED_CORRELATION = 0.6  # noise reaches 0.5 by chance at the best of all lags, vowels pass 0.8
FEATURE_BOUND = 8.0  # features are clipped to [-8, 8], which the observation space states


class AudioEncoder(Protocol):
    """Protocol of an audio encoder: speech samples to features at 30 frames per second."""

    @property
    def key(self) -> str:
        """Identify the encoder and its settings; part of the cache's key."""

    @property
    def dim(self) -> int:
        """Number of features per frame."""

    def encode(self, audio: FloatArray) -> FloatArray:
        """Turn (n_samples,) at 16 kHz into (T, dim) float32, `T = n_frames_of(n_samples)`."""


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
        import librosa

        n_frames = n_frames_of(len(audio))
        padded = np.pad(audio, (0, max(0, 2 * self.window - len(audio))))
        mel = librosa.feature.melspectrogram(
            y=padded,
            sr=SAMPLE_RATE_HZ,
            n_fft=self.window,
            hop_length=self.hop,
            n_mels=self.n_mels,
            fmin=60.0,
            fmax=7600.0,
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
        frames = _to_frame_rate(columns, SAMPLE_RATE_HZ / self.hop, n_frames)
        return np.clip(frames, -FEATURE_BOUND, FEATURE_BOUND).astype(np.float32)

    def _pitch(self, audio: FloatArray, active: Any) -> tuple[FloatArray, FloatArray]:
        """Return voicing and octaves from 150 Hz, each (hops,), by YIN (de Cheveigne 2002)."""
        import librosa

        step = 2  # pitch every 20 ms is enough
        hop = self.hop * step
        f0 = librosa.yin(
            audio, fmin=60.0, fmax=500.0, sr=SAMPLE_RATE_HZ, frame_length=1024, hop_length=hop
        )
        # YIN gives a period even for noise; a frame is voiced only if it correlates at that lag.
        lag = np.round(SAMPLE_RATE_HZ / f0).astype(np.int64)
        periodic = _correlation_at(audio, np.arange(len(f0)) * hop, lag) > VOICED_CORRELATION
        f0, periodic = (np.repeat(values, step)[: len(active)] for values in (f0, periodic))
        missing = len(active) - len(f0)
        voiced = active & np.pad(periodic, (0, missing))
        pitch = np.where(voiced, np.log2(np.pad(f0, (0, missing), mode="edge") / 150.0), 0.0)
        return voiced.astype(np.float32), pitch.astype(np.float32)


@dataclass(frozen=True)
class WavLM:
    """WavLM encoder (Chen et al. 2022): hidden states, resampled from 49.5 to 30 per second.

    Attributes:
        weights: A local folder in `transformers` format, or a hub name such as
            `microsoft/wavlm-base-plus` where the network allows it.
        layer: Which hidden state; -1 is the last.
        fetch: Whether weights that are not on this machine may be fetched from the hub.
    """

    weights: str = "microsoft/wavlm-base-plus"
    layer: int = -1
    fetch: bool = field(default=True, compare=False)

    def check(self) -> None:
        """Check what can be told without loading the weights; nobody is asked for anything.

        Raises:
            InputError: If the name is no folder of WavLM weights and no name of a hub, or names
                weights that are not on this machine and cannot be fetched.
            MissingExtraError: If `transformers` is not installed.
        """
        if importlib.util.find_spec("transformers") is None:
            raise MissingExtraError("transformers", extra="wavlm", purpose="The encoder `wavlm`")
        folder = Path(self.weights)
        is_hub_name = re.fullmatch(r"\w[\w.-]*/\w[\w.-]*", self.weights) is not None
        if not folder.is_dir() and (not self.fetch or (is_hub_name and _is_offline())):
            folder = _local_weights(self.weights, offline=self.fetch)
        if not folder.is_dir() and is_hub_name:
            return  # whether a hub has it, the hub knows
        try:
            settings = json.loads((folder / "config.json").read_bytes())
            kind = settings.get("model_type") if isinstance(settings, dict) else None
            if kind != "wavlm":
                raise ValueError(f"a model of type {kind!r}")
        except (OSError, ValueError, RecursionError) as error:
            reason = error.strerror if isinstance(error, OSError) else one_line(error)
            raise InputError(
                f"`encoder` must name a folder with a `config.json` of WavLM, or weights of a hub "
                f"(`ORGANISATION/MODEL`), got {self.weights!r} ({reason})"
            ) from error

    @property
    def key(self) -> str:
        """Identify weights and layer; a local folder by its path, sizes and dates."""
        files = sorted(Path(self.weights).glob("*")) if Path(self.weights).is_dir() else []
        stats = [
            (str(file.resolve()), file.stat().st_size, file.stat().st_mtime_ns) for file in files
        ]
        digest = hashlib.sha256(repr((self.weights, stats)).encode()).hexdigest()[:16]
        return f"wavlm-v1-{digest}-{self.layer}"

    @property
    def dim(self) -> int:
        """Number of features per frame."""
        return int(self._model.config.hidden_size)

    @cached_property
    def _model(self) -> Any:
        try:
            from transformers import WavLMModel
        except ImportError as error:
            raise MissingExtraError(
                "transformers", extra="wavlm", purpose="The encoder `wavlm`"
            ) from error
        weights = self.weights if self.fetch else str(_local_weights(self.weights))
        try:
            model: Any = WavLMModel.from_pretrained(weights, local_files_only=not self.fetch)
            return model.eval()
        except (OSError, ValueError) as error:
            raise InputError(
                f"`weights` must be a WavLM folder or hub name, got {self.weights!r} "
                f"({str(error).splitlines()[0]}); use encoder `logmel` to do without"
            ) from error

    def encode(self, audio: FloatArray) -> FloatArray:
        """Turn (n_samples,) at 16 kHz into (T, hidden_size) float32."""
        import torch

        n_frames = n_frames_of(len(audio))
        scaled = (audio - audio.mean()) / (audio.std() + 1e-7)
        with torch.inference_mode():
            output = self._model(torch.from_numpy(scaled)[None], output_hidden_states=True)
        states = output.hidden_states[self.layer][0].numpy()  # (49.5 / s, hidden)
        # The true rate is taken from the lengths: counting on 50 per second drifts by 1 %.
        frames = _to_frame_rate(states, len(states) / (len(audio) / SAMPLE_RATE_HZ), n_frames)
        return np.clip(frames, -FEATURE_BOUND, FEATURE_BOUND).astype(np.float32)


def make_encoder(name: str, *, fetch: bool = True) -> AudioEncoder:
    """Return the encoder called `name`: `logmel`, `wavlm`, or `wavlm:FOLDER`.

    Args:
        name: The encoder. `wavlm:ORGANISATION/MODEL` names weights of a hub.
        fetch: Whether these may be fetched. Who has the name from a file, such as a run's, says no:
            a stranger's file must not choose what is asked for, and where.

    Raises:
        InputError: If there is no such encoder.
    """
    kind, _, detail = name.partition(":")
    if kind == "logmel" and not detail:
        return LogMel()
    if kind == "wavlm":
        return WavLM(detail, fetch=fetch) if detail else WavLM(fetch=fetch)
    raise InputError(f"`encoder` must be logmel, wavlm or wavlm:FOLDER, got {name!r}")


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


def _is_offline() -> bool:
    """Return whether the hub's package was told to ask nobody."""
    from huggingface_hub.constants import HF_HUB_OFFLINE

    return bool(HF_HUB_OFFLINE)


def _local_weights(name: str, *, offline: bool = False) -> Path:
    """Return the folder on this machine that holds the weights `name`; nobody is asked for it.

    Told to stay local, `transformers` still asks the hub who calls; so it never gets the name.

    Raises:
        InputError: If there is none.
    """
    from huggingface_hub import try_to_load_from_cache

    if Path(name).is_dir():
        return Path(name)
    try:
        found = try_to_load_from_cache(name, "config.json")
    except ValueError:  # a name that no hub has
        found = None
    if isinstance(found, str):
        return Path(found).parent
    if offline:
        raise InputError(
            "`encoder` must name WavLM weights on this machine while HF_HUB_OFFLINE is set, got "
            f"{name!r}; fetch them without it, or use `logmel`"
        )
    raise InputError(
        "`encoder` must be `logmel` or WavLM weights that are on this machine where a file names "
        f"them, got {name!r}; if you trust that name, fetch them with `esarm corpus --run RUN "
        f"--set corpus.encoder=wavlm:{name}`"
    )


def _correlation_at(audio: FloatArray, centres: IntArray, lags: IntArray) -> FloatArray:
    """Return the autocorrelation (hops,) of `audio` at `lags`, in a window around `centres`."""
    span = np.arange(-256, 256)
    reach = 256 + int(lags.max(initial=0))
    padded = np.pad(audio, (reach, reach))
    first = (centres - lags // 2 + reach)[:, None] + span  # (hops, 512)
    here, later = padded[first], padded[first + lags[:, None]]
    norm = np.sqrt((here**2).sum(axis=1) * (later**2).sum(axis=1))
    correlation: FloatArray = (here * later).sum(axis=1) / (norm + 1e-9)
    return correlation


def _to_frame_rate(columns: FloatArray, rate_hz: float, n_frames: int) -> FloatArray:
    """Resample feature columns to 30 fps by averaging per frame, (hops, D) -> (n_frames, D).

    Integrating before sampling keeps fast changes from aliasing into slow ones.
    """
    total = np.concatenate([np.zeros((1, columns.shape[1])), np.cumsum(columns, axis=0)])
    # Hop k stands for [k - 1/2, k + 1/2), hence the half.
    edges = (np.arange(n_frames + 1) - 0.5) / FRAME_RATE_HZ * rate_hz + 0.5
    edges = np.clip(edges, 0, len(columns))
    # A frame past the last hop would be the mean of nothing: it repeats the last hop.
    begin = np.minimum(edges[:-1], len(columns) - 1)
    end = np.maximum(edges[1:], begin + 1e-3)

    def up_to(place: FloatArray) -> FloatArray:
        low = np.floor(place).astype(int).clip(0, len(columns) - 1)
        area: FloatArray = total[low] + (place - low)[:, None] * columns[low]
        return area

    means: FloatArray = (up_to(end) - up_to(begin)) / (end - begin)[:, None]
    return means
