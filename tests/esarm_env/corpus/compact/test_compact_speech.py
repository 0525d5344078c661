"""Speech through Opus and back: as long as before, and where it was."""

from __future__ import annotations

import io
import re

import numpy as np
import pytest
import soundfile

from esarm_env.corpus.compact.speech import decode_speech, encode_speech


def tones(n_samples: int) -> np.ndarray:
    """Return a gliding voice in syllables, which matches itself at one shift alone."""
    time_s = np.arange(n_samples) / 16_000
    phase = 2 * np.pi * np.cumsum(140 + 60 * time_s) / 16_000
    voice = sum(np.sin(k * phase) / k for k in range(1, 20))
    return (0.1 * voice * np.clip(np.sin(2 * np.pi * 4 * time_s), 0, 1)).astype(np.float32)


@pytest.mark.parametrize("n_samples", [1, 319, 320, 321, 16_000, 44_876])
def test_as_many_samples_come_back(n_samples: int) -> None:
    """Opus works in frames of 20 ms; a sample more and every feature after it is shifted."""
    decoded = decode_speech(encode_speech(tones(n_samples), serial=1))
    assert decoded.shape == (n_samples,)
    assert decoded.dtype == np.int16


def test_the_sound_stays_where_it_was() -> None:
    """Opus puts 6.5 ms in front, and lips would follow the voice by as much."""
    audio = tones(32_000)
    decoded = decode_speech(encode_speech(audio, serial=1)) / 32_768
    finer = 8  # parts of a sample
    size = 1 << 17
    spectrum = np.fft.rfft(decoded, size).conj() * np.fft.rfft(audio, size)
    match = np.fft.irfft(spectrum, finer * size)
    shift = (int(match.argmax()) + finer * size // 2) % (finer * size) - finer * size // 2
    assert abs(shift) / finer / 16 < 0.05, f"{shift / finer / 16} ms"
    error = np.sqrt(np.mean((decoded - audio) ** 2) / np.mean(audio**2))
    assert error < 0.25, "12 dB at the least"


def test_equal_sound_gives_equal_bytes() -> None:
    """Committed files must not change when nothing did."""
    audio = tones(8000)
    first = encode_speech(audio, serial=1)
    assert first == encode_speech(audio.copy(), serial=1)
    assert first != encode_speech(audio, serial=2)
    np.testing.assert_array_equal(decode_speech(first), decode_speech(first))


def test_sound_of_another_kind_is_rejected() -> None:
    """Stereo would give twice the samples, 48 kHz three times."""
    for rate_hz, shape in ((48_000, (960,)), (16_000, (960, 2))):
        file = io.BytesIO()
        soundfile.write(file, np.zeros(shape), rate_hz, format="OGG", subtype="OPUS")
        message = f"`stream` must be mono at 16000 Hz, got {shape} at {rate_hz} Hz"
        with pytest.raises(ValueError, match=re.escape(message)):
            decode_speech(file.getvalue())
