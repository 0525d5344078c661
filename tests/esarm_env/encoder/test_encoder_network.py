"""The speech encoder's network: padding changes nothing, streaming hears no future, files hold."""

from __future__ import annotations

import re
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch

from esarm_env.core.errors import InputError
from esarm_env.core.weights import save_weights, weights_digest
from esarm_env.encoder.network import SpeechEncoder, load_speech_encoder
from esarm_env.encoder.shape import EncoderShape

SHAPE = EncoderShape(
    feature_dim=5, condition_dim=7, content_dim=3, emotion_dim=2, style_dim=4, width=8, n_heads=2,
    n_layers=2, head_layers=1, dropout=0.2,
)  # fmt: skip
ALL = torch.ones(1, 40, dtype=torch.bool)


def make_encoder(**changes: object) -> SpeechEncoder:
    """Return an encoder whose every weight says something, in evaluation mode."""
    torch.manual_seed(0)
    encoder = SpeechEncoder(replace(SHAPE, **changes))
    with torch.no_grad():
        for weight in encoder.parameters():
            weight.add_(0.2 * torch.randn(weight.shape))
        encoder.stream_mean.normal_()
        encoder.stream_scale.uniform_(0.5, 2.0)
    return encoder.eval()


@pytest.fixture(scope="module")
def features() -> torch.Tensor:
    """Return audio features, shape (1, 40, 5)."""
    return torch.randn(1, 40, 5, generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="module")
def speech() -> torch.Tensor:
    """Return features of 12 columns of which the last 35 are prosody, shape (1, 40, 47)."""
    generator = torch.Generator().manual_seed(2)
    features = torch.randn(1, 40, 47, generator=generator)
    features[..., -3] = -torch.rand(1, 40, generator=generator)
    features[..., -2] = (torch.rand(1, 40, generator=generator) > 0.3).float()
    features[..., -3:][:, :4] = torch.tensor([-3.0, 0.0, 0.0])  # silence first
    return features


@pytest.mark.parametrize("kind", [{}, {"level_content": True}])
@pytest.mark.parametrize("streaming", [False, True])
@pytest.mark.parametrize("n_frames", [1, 2, 7, 39])
def test_padding_changes_nothing(
    features: torch.Tensor, n_frames: int, kind: dict[str, bool], *, streaming: bool
) -> None:
    """What stands beside an utterance in a minibatch would otherwise be heard in it."""
    encoder = make_encoder(streaming=streaming, **kind)
    condition = torch.randn(1, 7)
    alone = features[:, :n_frames]
    padded = features.clone()
    padded[:, n_frames:] = 100.0
    inside = torch.arange(40)[None] < n_frames
    with torch.inference_mode():
        heard = encoder.hear(alone, ALL[:, :n_frames])
        again = encoder.hear(padded, inside)[:, :n_frames]
        torch.testing.assert_close(again, heard, rtol=1e-4, atol=1e-5)
        curves = encoder(alone, condition, ALL[:, :n_frames])
        others = encoder(padded, condition, inside)[:, :n_frames]
        torch.testing.assert_close(others, curves, rtol=1e-4, atol=1e-5)
    assert heard.shape == (1, n_frames, encoder.n_streams)
    assert curves.shape == (1, n_frames, 52)


@pytest.mark.parametrize("streaming", [False, True])
@pytest.mark.parametrize("n_frames", [2, 7, 39])
def test_padding_is_no_prosody(speech: torch.Tensor, n_frames: int, *, streaming: bool) -> None:
    """Zeros behind an utterance would be a loud voice of 150 Hz."""
    encoder = make_encoder(streaming=streaming, prosody=True, level_content=True, feature_dim=47)
    padded = speech.clone()
    padded[:, n_frames:] = 0.0
    with torch.inference_mode():
        heard = encoder.hear(speech[:, :n_frames], ALL[:, :n_frames])
        again = encoder.hear(padded, torch.arange(40)[None] < n_frames)[:, :n_frames]
    torch.testing.assert_close(again, heard, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("look_ahead", [0, 4])
def test_streamed_prosody_is_of_the_past_alone(speech: torch.Tensor, look_ahead: int) -> None:
    """Statistics of the whole utterance would be heard before it was said."""
    encoder = make_encoder(
        streaming=True, look_ahead_frames=look_ahead, prosody=True, level_content=True,
        feature_dim=47,
    )  # fmt: skip
    changed = speech.clone()
    changed[:, 20:] = speech[:, 20:].flip(1) + 0.2
    with torch.inference_mode():
        before, after = encoder.hear(speech, ALL), encoder.hear(changed, ALL)
    settled = 20 - encoder.look_ahead
    torch.testing.assert_close(after[:, :settled], before[:, :settled])
    n_content = encoder.shape.content_dim
    assert (after[:, settled + 1, n_content:] != before[:, settled + 1, n_content:]).any()


def test_levelled_content_keeps_no_mean_and_no_spread(speech: torch.Tensor) -> None:
    """Both would tell the emotion of an utterance; silence around it counts for neither."""
    encoder = make_encoder(level_content=True, prosody=True, feature_dim=47)
    with torch.no_grad():
        encoder.to_content.weight.mul_(30)  # far above the least spread
        streams = encoder.streams(speech, ALL)
    spoken = streams.content[0, 2:]  # behind the silence
    torch.testing.assert_close(spoken.mean(0), torch.zeros(6), rtol=0, atol=1e-4)
    torch.testing.assert_close(spoken.std(0, correction=0), torch.ones(6), rtol=0.02, atol=0.0)
    plain = make_encoder(level_content=False, prosody=True, feature_dim=47)
    with torch.no_grad():
        assert plain.streams(speech, ALL).content[0, 2:].mean(0).abs().max() > 0.1


def test_an_encoder_of_before_loads_and_hears_as_it_did(
    features: torch.Tensor, tmp_path: Path
) -> None:
    """Its file says nothing of levelling or prosody; runs of earlier versions go on."""
    encoder = make_encoder()
    sizes = asdict(encoder.shape)
    later_sizes = ("cut_voice_bar", "hide_emotion", "level_content", "prosody", "tuned_features")
    for later in later_sizes:
        del sizes[later]
    path = tmp_path / "encoder.safetensors"
    save_weights(path, encoder.state_dict(), kind="speech encoder", **sizes)
    loaded = load_speech_encoder(path)
    assert loaded.shape == encoder.shape
    assert loaded.content_hash() == weights_digest(encoder.state_dict(), sizes)
    with torch.inference_mode():
        assert torch.equal(loaded.hear(features, ALL), encoder.hear(features, ALL))


def test_an_encoder_keeps_its_reader_of_the_voice(speech: torch.Tensor, tmp_path: Path) -> None:
    """Else `--emotion auto` would hear nothing in a run that was loaded again."""
    encoder = make_encoder(prosody=True, feature_dim=47)
    rng = np.random.default_rng(0)
    statistics = rng.normal(size=(30, 81)).astype(np.float32)
    encoder.voice.fit(statistics, np.arange(30) % 9, np.arange(30) % 3)
    encoder.save(tmp_path / "encoder.safetensors")
    loaded = load_speech_encoder(tmp_path / "encoder.safetensors")
    for ours, theirs in zip(
        encoder.read_emotion(speech[0].numpy()), loaded.read_emotion(speech[0].numpy()), strict=True
    ):
        np.testing.assert_array_equal(theirs, ours)


def test_prosody_needs_its_columns() -> None:
    """Fewer features hold no pitch, and other columns would be taken for it."""
    message = "`feature_dim` must be at least 35 with `prosody`, got 5"
    with pytest.raises(ValueError, match=re.escape(message)):
        replace(SHAPE, prosody=True)


@pytest.mark.parametrize("look_ahead", [0, 4])
def test_streaming_hears_no_further_than_it_says(features: torch.Tensor, look_ahead: int) -> None:
    """A frame of audio changes no answer that was given before it came."""
    encoder = make_encoder(streaming=True, look_ahead_frames=look_ahead)
    changed = features.clone()
    changed[:, 20:] += 1.0
    with torch.inference_mode():
        before, after = encoder.hear(features, ALL), encoder.hear(changed, ALL)
        curves = [encoder(part, torch.zeros(1, 7), ALL) for part in (features, changed)]
    settled = 20 - encoder.look_ahead
    torch.testing.assert_close(after[:, :settled], before[:, :settled])
    torch.testing.assert_close(curves[1][:, :settled], curves[0][:, :settled])
    assert (after[:, settled + 1] != before[:, settled + 1]).any()


def test_an_encoder_of_whole_utterances_hears_the_end_from_the_start(
    features: torch.Tensor,
) -> None:
    """Both directions: the first frame depends on the last."""
    encoder = make_encoder()
    changed = features.clone()
    changed[:, -1] += 1.0
    with torch.inference_mode():
        assert (encoder.hear(features, ALL)[:, 0] != encoder.hear(changed, ALL)[:, 0]).any()


def test_curves_follow_from_what_is_heard(features: torch.Tensor) -> None:
    """The regressor needs no audio: the streams that a policy hears are all it knows."""
    encoder = make_encoder()
    condition = np.linspace(-1, 1, 7, dtype=np.float32)
    heard = encoder.encode(features[0].numpy())
    with torch.inference_mode():
        expected = encoder(features, torch.from_numpy(condition)[None], ALL)[0].clamp(0, 1)
    curves = encoder.curves_of(heard, condition)
    np.testing.assert_allclose(curves, expected.numpy(), atol=1e-5)
    assert curves.dtype == np.float32


def test_a_hidden_emotion_reaches_neither_regressor_nor_policy(
    features: torch.Tensor, tmp_path: Path
) -> None:
    """It is still there to be read, where nobody says which emotion is to be shown."""
    open_, hidden = make_encoder(), make_encoder(hide_emotion=True)
    audio, condition = features[0].numpy(), np.linspace(-1, 1, 7, dtype=np.float32)
    columns = slice(SHAPE.content_dim, SHAPE.content_dim + SHAPE.emotion_dim)
    heard, shown = open_.encode(audio), hidden.encode(audio)
    assert (heard[:, columns] != 0).all() and not shown[:, columns].any()
    np.testing.assert_array_equal(np.delete(shown, columns, 1), np.delete(heard, columns, 1))
    with torch.inference_mode():
        torch.testing.assert_close(hidden.hear(features, ALL), open_.hear(features, ALL))
    for told, wanted in zip(hidden.read_emotion(audio), open_.read_emotion(audio), strict=True):
        np.testing.assert_array_equal(told, wanted)
    with torch.no_grad():
        before = [each.curves_of(each.encode(audio), condition) for each in (hidden, open_)]
        for encoder in (hidden, open_):
            encoder.to_emotion[-1].bias.add_(1.0)
        after = [each.curves_of(each.encode(audio), condition) for each in (hidden, open_)]
    np.testing.assert_array_equal(after[0], before[0])
    assert (after[1] != before[1]).any()
    hidden.save(tmp_path / "encoder.safetensors")
    assert load_speech_encoder(tmp_path / "encoder.safetensors").shape.hide_emotion


def test_what_is_heard_stays_within_the_observation_space() -> None:
    """Features from -8 to 8 is what environments promise."""
    encoder = make_encoder()
    encoder.stream_scale.fill_(1e-6)
    heard = encoder.encode(np.ones((9, 5), dtype=np.float32))
    assert np.abs(heard).max() == 8.0


def test_a_saved_encoder_is_the_same(tmp_path: Path, features: torch.Tensor) -> None:
    """Weights, spread of the streams and sizes."""
    encoder = make_encoder(streaming=True, look_ahead_frames=2)
    encoder.save(tmp_path / "encoder.safetensors")
    again = load_speech_encoder(tmp_path / "encoder.safetensors")
    assert again.shape == encoder.shape
    assert again.content_hash() == encoder.content_hash()
    audio = features[0].numpy()
    np.testing.assert_array_equal(again.encode(audio), encoder.encode(audio))
    encoder.stream_mean += 1
    assert again.content_hash() != encoder.content_hash()


def test_a_file_of_something_else_is_no_encoder(tmp_path: Path) -> None:
    """And the message says what to do."""
    (tmp_path / "encoder.safetensors").write_bytes(b"x" * 100)
    with pytest.raises(InputError, match="must be a whole speech encoder file"):
        load_speech_encoder(tmp_path / "encoder.safetensors")


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ({"width": 0}, "`width` must be at least 1, got 0"),
        ({"head_layers": -1}, "`head_layers` must be at least 0, got -1"),
        ({"dropout": 1.0}, "`dropout` must be in [0, 1), got 1.0"),
        ({"n_heads": 3}, "`width` must be a multiple of `n_heads` (3), got 8"),
        (
            {"look_ahead_frames": 3, "streaming": True},
            "`look_ahead_frames` must be a multiple of 2, and 0 without `streaming`, got 3",
        ),
        (
            {"look_ahead_frames": 2},
            "`look_ahead_frames` must be a multiple of 2, and 0 without `streaming`, got 2",
        ),
    ],
)
def test_impossible_sizes_are_refused(sizes: dict[str, object], message: str) -> None:
    """By name, before a weight is made."""
    with pytest.raises(ValueError, match=re.escape(message)):
        replace(SHAPE, **sizes)
