"""Phone recogniser: frame posteriors of `hama`'s waveform-to-phone CTC network, 50 a second.

The package `hama` (Apache-2.0, extra `phones`) brings the network's weights and an engine for the
CPU; nothing is downloaded. It was trained on speech of many languages, and knows 191 tokens: IPA
symbols, a boundary of words, and the blank of CTC.
"""

from __future__ import annotations

import functools
import platform
import threading
from importlib import metadata
from typing import Any

import numpy as np

from esarm_env.core.errors import InputError, MissingExtraError
from esarm_env.core.types import SAMPLE_RATE_HZ, FloatArray

PACKAGE = "hama"
HOP_SAMPLES = 320  # token frame k is centred on sample 320 k
TOKEN_RATE_HZ = SAMPLE_RATE_HZ / HOP_SAMPLES

# The network drops, without a word, what comes after 30 s, and hears a whole piece at once. Longer
# speech is heard in pieces; what a piece knows 2 s from its edges is what the whole would (mean
# total variation .03 of 1, against .06 to .15 within .2 s of an edge).
_PIECE_FRAMES, _MARGIN_FRAMES = 1000, 100
_SPEECH_LEVEL_DB = -20.0  # of the loudest tenth of frames: whispers and shouts are heard alike
_LEAST_POWER = 1e-8  # of digital silence, which is left as it is
_LARGEST_GAIN = 1e3


def hama_version(*, purpose: str, wanted: str | None = None) -> str:
    """Return the version of `hama`.

    Args:
        purpose: What needs it, for the message.
        wanted: The version that features were made with; None takes any.

    Raises:
        MissingExtraError: If it is not installed; the message holds the pip line.
        InputError: If its version is not the one wanted.
    """
    try:
        found = metadata.version(PACKAGE)
    except metadata.PackageNotFoundError as error:
        raise MissingExtraError(PACKAGE, extra="phones", purpose=purpose) from error
    if wanted is not None and found != wanted:
        raise InputError(
            f"`{PACKAGE}` must be {wanted}, which the audio features were made with, got {found}: "
            f"run `pip install '{PACKAGE}=={wanted}'`, or the stages again in a new folder"
        )
    return found


class PhoneNetwork:
    """The network, loaded once per thread: its engine keeps its state between calls.

    Attributes:
        tokens: What the columns of `log_posteriors` stand for; the last is the blank.
    """

    def __init__(self, *, purpose: str) -> None:
        """Load the engine and the weights.

        Raises:
            MissingExtraError: If `hama` is not installed.
            InputError: If it has no engine for this machine.
        """
        hama_version(purpose=purpose)
        self._purpose = purpose
        self._of_thread = threading.local()
        self.tokens: tuple[str, ...] = tuple(self._model.decoder_tokens)

    @property
    def _model(self) -> Any:
        if not hasattr(self._of_thread, "model"):
            self._of_thread.model = _load(self._purpose)
        return self._of_thread.model

    def log_posteriors(self, audio: FloatArray) -> FloatArray:
        """Return log-probabilities of the tokens, shape (n_hops, 191), `n_samples // 320 + 1` hops.

        Args:
            audio: Shape (n_samples,) at 16 kHz, of any length and level.

        Raises:
            InputError: If a sample is not finite.
        """
        if not np.isfinite(audio).all():
            raise InputError("`audio` must be finite, got nan or infinity")
        audio = _levelled(audio)
        n_hops = len(audio) // HOP_SAMPLES + 1
        if n_hops <= _PIECE_FRAMES + 2 * _MARGIN_FRAMES:
            return self._heard(audio)[:n_hops]
        parts = []
        for begin in range(0, n_hops, _PIECE_FRAMES):
            first = max(0, begin - _MARGIN_FRAMES)
            last = begin + _PIECE_FRAMES + _MARGIN_FRAMES
            piece = self._heard(audio[first * HOP_SAMPLES : last * HOP_SAMPLES])
            parts.append(piece[begin - first :][:_PIECE_FRAMES])
        return np.concatenate(parts)[:n_hops]

    def _heard(self, audio: FloatArray) -> FloatArray:
        feeds = {"waveform": audio[None], "waveform_lengths": np.array([len(audio)])}
        (log_probs,) = self._model.session.run(["log_probs"], feeds)
        return np.asarray(log_probs[0], dtype=np.float32)


@functools.cache
def phone_network(purpose: str) -> PhoneNetwork:
    """Return the network of this process; see `PhoneNetwork` for the errors."""
    return PhoneNetwork(purpose=purpose)


def _load(purpose: str) -> Any:
    try:
        from hama import ASRModel

        return ASRModel()
    except ImportError as error:
        raise MissingExtraError(PACKAGE, extra="phones", purpose=purpose) from error
    except RuntimeError as error:
        machine = f"{platform.system()} {platform.machine()}"
        raise InputError(
            f"{purpose} must run where `{PACKAGE}` has an engine, got {machine} ({error}); use "
            "encoder `logmel` to do without"
        ) from error


def _levelled(audio: FloatArray) -> FloatArray:
    """Return the audio at one level of speech, so that what is heard does not depend on gain."""
    n_hops = max(1, len(audio) // HOP_SAMPLES)
    padded = np.pad(audio, (0, max(0, n_hops * HOP_SAMPLES - len(audio))))
    power = np.square(padded[: n_hops * HOP_SAMPLES].reshape(n_hops, -1), dtype=np.float64)
    speech = float(np.percentile(power.mean(axis=1), 90))
    if speech < _LEAST_POWER:
        return np.ascontiguousarray(audio, dtype=np.float32)
    gain = min(_LARGEST_GAIN, 10 ** (_SPEECH_LEVEL_DB / 20) / np.sqrt(speech))
    levelled: FloatArray = np.clip(audio * gain, -1, 1).astype(np.float32)
    return levelled
