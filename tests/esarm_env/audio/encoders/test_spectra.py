"""Mel spectra and pitch: librosa's numbers, bit for bit."""

import subprocess
import sys

import librosa
import numpy as np
import pytest

from esarm_env.audio.encoders import spectra
from esarm_env.core.types import Corpus

MEL = {"n_mels": 32, "hop": 160, "window": 512, "least_hz": 60.0, "most_hz": 7600.0}
YIN = {"least_hz": 60.0, "most_hz": 500.0, "window": 1024, "hop": 320}


@pytest.mark.parametrize("index", [0, 4, 11])
def test_they_are_librosas(tiny_corpus: Corpus, index: int) -> None:
    """Cached features, and what policies were trained on, are librosa's."""
    audio = tiny_corpus[index].audio
    mel = librosa.feature.melspectrogram(
        y=audio, sr=16_000, n_fft=512, hop_length=160, n_mels=32, fmin=60.0, fmax=7600.0
    )
    pitch = librosa.yin(audio, fmin=60.0, fmax=500.0, sr=16_000, frame_length=1024, hop_length=320)
    assert np.array_equal(spectra.mel_power(audio, **MEL), mel)
    assert np.array_equal(spectra.yin(audio, **YIN), pitch)


def test_long_recordings_are_done_in_parts(
    tiny_corpus: Corpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ten minutes at once take a gigabyte; a seam between parts would be heard as a jump."""
    audio = np.concatenate([tiny_corpus[index].audio for index in range(5)])
    mel, pitch = spectra.mel_power(audio, **MEL), spectra.yin(audio, **YIN)
    monkeypatch.setattr(spectra, "_TOGETHER", 37)
    monkeypatch.setattr(spectra, "_PITCHES_TOGETHER", 23)
    np.testing.assert_allclose(spectra.mel_power(audio, **MEL), mel, rtol=1e-5)
    assert np.array_equal(spectra.yin(audio, **YIN), pitch)


def test_features_need_no_librosa() -> None:
    """It takes two seconds to import, of the three in which `animate` is to begin."""
    code = (
        "import sys, numpy as np; from esarm_env.audio.features import LogMel; "
        "LogMel().encode(np.ones(9000, np.float32)); "
        "print(sorted({'librosa', 'numba'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
