"""Text-to-speech by espeak-ng: text in, 16 kHz samples and phoneme times out.

A thin ctypes binding. The library is GPL, optional, and loaded only inside `Espeak`, which the
worker processes alone create.
"""

from __future__ import annotations

import _ctypes
import contextlib
import ctypes
import importlib
import importlib.metadata
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from esarm_env.core.errors import MissingExtraError
from esarm_env.core.types import SAMPLE_RATE_HZ, FloatArray

ESPEAK_RATE_HZ = 22_050

# Values of espeak-ng's speak_lib.h.
_OUTPUT_SYNCHRONOUS = 2
_PHONEME_EVENTS, _PHONEME_IPA, _DONT_EXIT = 0x0001, 0x0002, 0x8000
_EVENT_LIST_TERMINATED, _EVENT_PHONEME = 0, 7
_RATE, _VOLUME, _PITCH, _RANGE = 1, 2, 3, 4
_CHARS_UTF8 = 1


@dataclass(frozen=True)
class VoiceSettings:
    """Voice settings of espeak-ng.

    Attributes:
        voice: Language and variant, such as `en-us+f2`.
        rate_wpm: Words per minute, 80 to 450.
        pitch: 0 to 99, 50 is the voice's own.
        pitch_range: 0 (monotone) to 99, 50 is the voice's own.
        volume: 0 to 200, 100 is espeak's default.
        seed: Of espeak's own jitter (flutter).
    """

    voice: str
    rate_wpm: int = 170
    pitch: int = 50
    pitch_range: int = 50
    volume: int = 100
    seed: int = 0

    def __post_init__(self) -> None:
        """Check the limits, which espeak-ng would clip silently."""
        limits = {
            "rate_wpm": (80, 450),
            "pitch": (0, 99),
            "pitch_range": (0, 99),
            "volume": (0, 200),
        }
        for name, (low, high) in limits.items():
            value = getattr(self, name)
            if not low <= value <= high:
                raise ValueError(f"`{name}` must be in {low}..{high}, got {value}")


@dataclass(frozen=True)
class Phoneme:
    """One phoneme: IPA with its stress mark (empty in a pause), start and end in seconds."""

    ipa: str
    start_s: float
    end_s: float


class _EventId(ctypes.Union):
    _fields_: ClassVar[Any] = [
        ("number", ctypes.c_int),
        ("name", ctypes.c_char_p),
        ("string", ctypes.c_char * 8),
    ]


class _Event(ctypes.Structure):
    _fields_: ClassVar[Any] = [
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", _EventId),
    ]


_Callback = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event)
)


def espeak_version() -> str:
    """Return the version of the installed `espeakng-loader`, without loading the library.

    Raises:
        MissingExtraError: If it is not installed.
    """
    try:
        return importlib.metadata.version("espeakng-loader")
    except importlib.metadata.PackageNotFoundError:
        raise _missing_extra() from None


def synthesise(text: str, settings: VoiceSettings) -> tuple[FloatArray, list[Phoneme]]:
    """Synthesise `text`; the result depends on the arguments alone.

    Args:
        text: English.
        settings: The voice.

    Returns:
        Samples, float32 in [-1, 1], 16 kHz mono, and the phonemes with pauses, in order.

    Raises:
        MissingExtraError: If `espeakng-loader` is not installed.
        RuntimeError: If espeak-ng refuses the voice or the text.
    """
    # espeak-ng keeps static state (oscillator phase, random numbers seeded by the clock) that
    # espeak_Terminate does not clear: only a freshly loaded library always speaks alike.
    with _fresh_library() as library:
        chunks: list[Any] = []
        marks: list[tuple[str, int]] = []
        callback = _Callback(lambda wave, n, events: _collect(wave, n, events, chunks, marks))
        library.espeak_SetSynthCallback(callback)
        _check(library.espeak_SetVoiceByName(settings.voice.encode()), f"voice {settings.voice!r}")
        parameters = {
            _RATE: settings.rate_wpm,
            _VOLUME: settings.volume,
            _PITCH: settings.pitch,
            _RANGE: settings.pitch_range,
        }
        for parameter, value in parameters.items():
            _check(library.espeak_SetParameter(parameter, value, 0), f"parameter {parameter}")
        library.espeak_ng_SetRandSeed(ctypes.c_long(settings.seed + 1))
        encoded = text.encode()
        status = library.espeak_Synth(
            encoded, ctypes.c_size_t(len(encoded) + 1), 0, 1, 0, _CHARS_UTF8, None, None
        )
        _check(status, f"text {text!r}")
    samples = np.concatenate(chunks).astype(np.float32) / np.float32(32_768)
    return _resample(samples), _phonemes(marks, len(samples))


@contextlib.contextmanager
def _fresh_library() -> Iterator[ctypes.CDLL]:
    """Load and initialise espeak-ng, and unload it afterwards (1-2 ms in all)."""
    try:
        loader: Any = importlib.import_module("espeakng_loader")  # it has no type stubs
    except ImportError:
        raise _missing_extra() from None
    library = ctypes.CDLL(loader.get_library_path())
    try:
        options = _PHONEME_EVENTS | _PHONEME_IPA | _DONT_EXIT
        data = loader.get_data_path().encode()
        rate = library.espeak_Initialize(_OUTPUT_SYNCHRONOUS, 0, data, options)
        if rate != ESPEAK_RATE_HZ:
            raise RuntimeError(f"espeak-ng must start at {ESPEAK_RATE_HZ} Hz, got {rate}")
        yield library
        library.espeak_Terminate()
    finally:
        if sys.platform == "win32":
            _ctypes.FreeLibrary(library._handle)
        else:
            _ctypes.dlclose(library._handle)


def _collect(
    wave: Any, n_samples: int, events: Any, chunks: list[Any], marks: list[tuple[str, int]]
) -> int:
    """Copy one buffer and its phoneme events; the 0 returned asks espeak-ng to go on."""
    if wave and n_samples > 0:
        chunks.append(np.ctypeslib.as_array(wave, (n_samples,)).copy())
    index = 0
    while (event := events[index]).type != _EVENT_LIST_TERMINATED:
        if event.type == _EVENT_PHONEME:
            # Eight bytes may cut the last character of a long diphthong in two.
            marks.append((event.id.string.decode("utf-8", errors="ignore"), event.sample))
        index += 1
    return 0


def _phonemes(marks: list[tuple[str, int]], n_samples: int) -> list[Phoneme]:
    """Convert start marks to intervals; each phoneme lasts until the next one starts."""
    ends = [start for _, start in marks[1:]] + [n_samples]
    return [
        Phoneme(ipa, start / ESPEAK_RATE_HZ, end / ESPEAK_RATE_HZ)
        for (ipa, start), end in zip(marks, ends, strict=True)
        if end > start
    ]


def _resample(samples: FloatArray) -> FloatArray:
    """Resample 22.05 kHz to 16 kHz by cutting the spectrum (ends are silent, so no wrap)."""
    block_in, block_out = 441, 320
    n_blocks = -(-len(samples) // block_in)
    n_in, n_out = n_blocks * block_in, n_blocks * block_out
    spectrum = np.fft.rfft(samples, n_in)[: n_out // 2 + 1]
    resampled = np.fft.irfft(spectrum, n_out) * (n_out / n_in)
    wanted = round(len(samples) * SAMPLE_RATE_HZ / ESPEAK_RATE_HZ)
    return np.clip(resampled[:wanted], -1, 1).astype(np.float32)


def _check(status: int, what: str) -> None:
    if status != 0:
        raise RuntimeError(f"espeak-ng must accept {what}, got status {status}")


def _missing_extra() -> MissingExtraError:
    return MissingExtraError("espeakng-loader", extra="synthetic", purpose="The synthetic corpus")
