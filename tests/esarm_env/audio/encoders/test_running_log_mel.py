"""Log-mel features with running normalisation: the same numbers however the samples arrive."""

import librosa
import numpy as np
import pytest

from esarm_env.audio.encoders.running import AHEAD_SAMPLES, BLOCK_SAMPLES, RunningLogMel
from esarm_env.audio.features import FEATURE_BOUND, LogMel, make_encoder
from esarm_env.core.types import n_frames_of


@pytest.fixture(scope="module")
def speech() -> np.ndarray:
    """Return 4.03 s of a voice in syllables, with a pause."""
    time_s = np.arange(64_500) / 16_000
    tone = sum(np.sin(2 * np.pi * 140 * k * time_s) / k for k in range(1, 50))
    syllables = np.clip(np.sin(2 * np.pi * 4 * time_s), 0, 1) * ((time_s < 1.5) | (time_s > 2.2))
    noise = np.random.default_rng(0).normal(0, 2e-3, len(time_s))
    return (0.2 * tone * syllables + noise).astype(np.float32)


def test_blocks_of_any_size_give_the_bits_of_the_whole(
    speech: np.ndarray, rng: np.random.Generator
) -> None:
    """A policy trained on whole recordings would else hear other numbers from a microphone."""
    whole = RunningLogMel().encode(speech)
    for most in (7, 900, 20_000):
        stream, parts, place = RunningLogMel().stream(), [], 0
        while place < len(speech):
            size = int(rng.integers(0, most))
            parts.append(stream.push(speech[place : place + size]))
            place += size
        assert np.array_equal(np.concatenate([*parts, stream.finish()]), whole), most


def test_what_comes_later_changes_nothing_before_the_stated_look_ahead(speech: np.ndarray) -> None:
    """A look-ahead that is longer than stated is a delay that nobody planned for."""
    block = 12
    heard = (block + 1) * BLOCK_SAMPLES + AHEAD_SAMPLES
    changed = speech.copy()
    changed[heard:] = -0.5
    before, after = RunningLogMel().encode(speech), RunningLogMel().encode(changed)
    n_same = 3 * (block + 1)
    assert np.array_equal(before[:n_same], after[:n_same])
    assert not np.array_equal(before[n_same], after[n_same])
    assert len(RunningLogMel().stream().push(speech[:heard])) == n_same
    assert len(RunningLogMel().stream().push(speech[: heard - 1])) == n_same - 3


@pytest.mark.parametrize("n_samples", [0, 1, 160, 533, 534, 1600, 1791, 1792, 5000])
def test_there_are_as_many_frames_as_cover_the_samples(speech: np.ndarray, n_samples: int) -> None:
    """A frame too few, and the last syllable has no face."""
    features = RunningLogMel().encode(speech[:n_samples])
    assert features.shape == (n_frames_of(n_samples), 35)
    assert features.dtype == np.float32
    assert np.isfinite(features).all()
    assert np.abs(features).max(initial=0) <= FEATURE_BOUND


def test_they_are_those_of_the_whole_recording_but_for_the_normalisation(
    speech: np.ndarray,
) -> None:
    """Columns in another order or filters of another shape would be another encoder."""
    running, whole = RunningLogMel().encode(speech), LogMel().encode(speech)
    for column in (*range(4, 32), 32):
        assert np.corrcoef(running[:, column], whole[:, column])[0, 1] > 0.85, column
    voiced = (running[:, 33] == 1) & (whole[:, 33] == 1)
    assert voiced.mean() > 0.25
    assert np.abs(running[voiced, 34] - np.log2(140 / 150)).max() < 0.02
    assert np.mean((running[:, 33] > 0.5) == (whole[:, 33] > 0.5)) > 0.85


def test_the_filters_are_those_of_librosa() -> None:
    """The usual spectrum before anything is heard is in their units."""
    from esarm_env.audio.encoders.running import _FILTERS

    wanted = librosa.filters.mel(sr=16_000, n_fft=512, n_mels=32, fmin=60.0, fmax=7600.0).T
    assert np.allclose(_FILTERS, wanted, atol=1e-8)


@pytest.mark.parametrize("gain", [0.02, 0.2, 4.0])
def test_soon_the_level_of_the_recording_counts_no_more(speech: np.ndarray, gain: float) -> None:
    """A distant microphone must not make a face that mumbles."""
    usual, other = RunningLogMel().encode(speech), RunningLogMel().encode(gain * speech)
    late = slice(75, None)
    assert np.abs(usual[late, 32] - other[late, 32]).mean() < 0.1
    assert np.abs(usual[late, :32] - other[late, :32]).mean() < 0.25


def test_silence_and_a_faint_voice_give_finite_features() -> None:
    """Digital silence has no level at all."""
    faint = 1e-5 * np.sin(np.arange(16_000)).astype(np.float32)
    for audio in (np.zeros(16_000, np.float32), faint):
        features = RunningLogMel().encode(audio)
        assert np.isfinite(features).all()
        assert not features[:, 33:].any() or audio.any()


def test_it_is_made_by_its_name() -> None:
    """A run notes the name, and `animate` makes the encoder from it."""
    encoder = make_encoder("logmel-running", fetch=False)
    assert isinstance(encoder, RunningLogMel)
    assert (encoder.dim, encoder.key) == (35, "logmel-running-v1")
