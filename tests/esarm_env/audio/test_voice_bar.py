"""The voice bar: what recorded voices have and synthetic ones lack does not reach the encoder."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import torch

from esarm_env.audio.encoders.voice_bar import N_BANDS, N_COLUMNS, other_voices, without_voice_bar
from esarm_env.audio.features import LogMel
from esarm_env.core.weights import save_weights, weights_digest
from esarm_env.encoder.config import EncoderConfig
from esarm_env.encoder.network import EncoderShape, SpeechEncoder, load_speech_encoder

LOW = 6
SHUT = slice(10, 13)


def speech() -> torch.Tensor:
    """Return 30 frames of features as LogMel gives them, all bands alike, in the middle shut."""
    features = torch.zeros(1, 30, N_COLUMNS)
    features[:, SHUT, :N_BANDS] = -1.0
    features[:, SHUT, N_BANDS] = -1.0
    return features


def recorded() -> torch.Tensor:
    """Return the same with a voice bar: the low bands go on, and most of the loudness with them."""
    features = speech()
    features[:, SHUT, :LOW] = 0.1
    features[:, SHUT, N_BANDS] = -0.1
    return features


def test_shut_lips_sound_alike_in_either_kind_of_voice() -> None:
    """Without that, lips stay half open on the /b/ of every recorded voice."""
    plain, barred = without_voice_bar(speech()), without_voice_bar(recorded())
    assert float((recorded() - speech())[:, SHUT, :LOW].min()) == pytest.approx(1.1)
    np.testing.assert_allclose(barred[:, SHUT, :LOW], -0.8, atol=1e-5)
    np.testing.assert_allclose(plain[:, SHUT, :LOW], -1.0, atol=1e-5)
    loudness = barred[:, SHUT, N_BANDS] - plain[:, SHUT, N_BANDS]
    assert float(loudness.abs().max()) < 0.25, "it was 0.9, or 18 dB, before"


def test_speech_whose_bands_agree_is_left_as_it_is() -> None:
    """Vowels shall not change; nor what follows the bands; nor zeros, which padding has."""
    features = speech()
    features[..., N_BANDS + 1] = 1.0
    features[..., N_BANDS + 2] = 0.7
    open_ = torch.ones(30, dtype=torch.bool)
    open_[SHUT] = False
    np.testing.assert_allclose(without_voice_bar(features)[:, open_], features[:, open_], atol=1e-6)
    heard = without_voice_bar(recorded())
    np.testing.assert_array_equal(heard[..., LOW:N_BANDS], recorded()[..., LOW:N_BANDS])
    assert not without_voice_bar(torch.zeros(1, 4, N_COLUMNS)).any()


def test_each_frame_stands_for_itself() -> None:
    """Streaming hears the same bits as the whole utterance."""
    whole = without_voice_bar(recorded())
    for frame in range(30):
        alone = without_voice_bar(recorded()[:, frame : frame + 1])
        torch.testing.assert_close(alone, whole[:, frame : frame + 1], rtol=0, atol=0)


def test_real_features_stay_finite_and_in_range() -> None:
    """Digital silence is at the floor of every band."""
    rng = np.random.default_rng(0)
    audio = np.zeros(16000, dtype=np.float32)
    audio[4000:9000] = 0.1 * rng.standard_normal(5000)
    heard = without_voice_bar(torch.from_numpy(LogMel().encode(audio)))
    assert torch.isfinite(heard).all()
    assert float(heard.abs().max()) < 8


def test_other_voices_go_on_while_lips_are_shut() -> None:
    """Else silence in the low bands would still be the one sign that is learned."""
    features = speech().expand(400, -1, -1).clone()
    features[..., N_BANDS + 1] = 1.0
    torch.manual_seed(1)
    other = other_voices(features, torch.ones(400, 30, dtype=torch.bool), share=1.0, bars=0.85)
    dip = (other[:, 5, :N_BANDS] - other[:, 11, :N_BANDS]).numpy()  # (400, M); 1.0 before
    lowest = np.sort(dip[:, 0])
    assert lowest[0] > -0.01
    assert lowest[200] < 0.5, "of half of them the voice bar is heard"
    assert lowest[-20] > 0.99, "some have none"
    np.testing.assert_allclose(dip[:, 10:], 1.0, atol=0.02)
    open_ = other[:, 5]
    assert 0.5 < float((open_[:, N_BANDS + 1] == 1).float().mean()) < 0.9, "voicing is hidden"
    shifts = other[:, 5, N_BANDS + 2]
    assert -0.51 < float(shifts.min()) < -0.3
    assert 0.3 < float(shifts.max()) < 0.51
    loudness = other[:, 11, N_BANDS]
    assert 0.2 < float((loudness == 0).float().mean()) < 0.4


def test_low_bands_are_filled_only_where_it_is_asked_for() -> None:
    """It costs synthetic voices a quarter of a millimetre."""
    features = speech().expand(20, -1, -1).clone()
    other = other_voices(features, torch.ones(20, 30, dtype=torch.bool), share=1.0, bars=0.0)
    torch.testing.assert_close(other[..., :N_BANDS], features[..., :N_BANDS])


def test_bands_of_other_voices_keep_their_mean_over_speech() -> None:
    """As LogMel takes it out of every recording, with a voice bar or without."""
    features = speech().expand(50, -1, -1).clone()
    other = other_voices(features, torch.ones(50, 30, dtype=torch.bool), share=1.0, bars=0.85)
    means = other[..., :N_BANDS].mean(1) - features[..., :N_BANDS].mean(1)
    assert float(means.abs().max()) < 1e-4


def test_other_voices_leave_padding_and_other_utterances_alone() -> None:
    """Padding must change nothing, and a share of 0 is off."""
    features = recorded().expand(40, -1, -1).clone()
    inside = torch.ones(40, 30, dtype=torch.bool)
    inside[:, 20:] = False
    features[:, 20:] = 0
    assert not other_voices(features, inside, share=1.0, bars=0.85)[:, 20:].any()
    torch.testing.assert_close(other_voices(features, inside, share=0.0, bars=1.0), features)
    some = other_voices(features, inside, share=0.3, bars=1.0)
    untouched = (some == features).all(-1).all(-1).float().mean()
    assert 0.4 < float(untouched) < 0.95


def shape(*, cut: bool) -> EncoderShape:
    """Return the sizes of a small encoder."""
    return EncoderShape(N_COLUMNS, 13, width=16, n_heads=2, n_layers=1, cut_voice_bar=cut)


def test_content_and_policy_hear_no_voice_bar() -> None:
    """Content and the features beside it; the emotion is heard from the voice as it is."""
    difference, read = {}, {}
    for cut in (False, True):
        torch.manual_seed(0)
        encoder = SpeechEncoder(shape(cut=cut)).eval()
        heard = [encoder.encode(part[0].numpy()) for part in (speech(), recorded())]
        apart = np.abs(heard[0] - heard[1])
        content, features = encoder.shape.content_dim, encoder.n_streams
        difference[cut] = [float(apart[:, :content].max()), float(apart[:, features:].max())]
        read[cut] = encoder.read_emotion(recorded()[0].numpy())[0]
    for before, after in zip(difference[False], difference[True], strict=True):
        assert 0 < after < 0.5 * before
    np.testing.assert_array_equal(read[True], read[False])


def test_a_saved_encoder_knows_what_it_hears(tmp_path: Path) -> None:
    """One that was saved before there was a choice hears the bar as it did in training."""

    path = tmp_path / "encoder.safetensors"
    SpeechEncoder(shape(cut=True)).save(path)
    assert load_speech_encoder(path).shape.cut_voice_bar
    old = SpeechEncoder(shape(cut=False))
    newer = {"cut_voice_bar", "hide_emotion", "level_content", "prosody", "tuned_features"}
    sizes = {key: value for key, value in vars(old.shape).items() if key not in newer}
    save_weights(path, old.state_dict(), kind="speech encoder", **sizes)
    assert load_speech_encoder(path).shape == old.shape
    digest = weights_digest(old.state_dict(), sizes)
    assert load_speech_encoder(path).content_hash() == digest, "or saved tokens are refused"
    old.shape = shape(cut=True)
    assert old.content_hash() != digest


def test_only_log_mel_features_have_a_voice_bar() -> None:
    """Phones and WavLM stay as they are; a file that says otherwise is refused."""
    config = EncoderConfig()
    assert config.shape(feature_dim=35, condition_dim=13, prosody=True).cut_voice_bar
    assert not config.shape(feature_dim=65, condition_dim=13, prosody=True).cut_voice_bar
    off = EncoderConfig(cut_voice_bar=False)
    assert not off.shape(feature_dim=35, condition_dim=13, prosody=True).cut_voice_bar
    message = "`feature_dim` must be 35 (log-mel) with `cut_voice_bar`, got 65"
    with pytest.raises(ValueError, match=re.escape(message)):
        EncoderShape(65, 13, cut_voice_bar=True)
