"""Streaming encoder: the same streams while the features come."""

import re

import numpy as np
import pytest
import torch

from esarm_env.core.errors import InputError
from esarm_env.encoder.network import EncoderShape, SpeechEncoder
from esarm_env.encoder.streaming import StreamingEncoder


def make(look_ahead: int = 4, *, streaming: bool = True, whole: bool = False) -> SpeechEncoder:
    """Return an encoder of random weights, none of them zero where it counts.

    With `whole` it hears log-mel features, and everything in them that there is to hear.
    """
    torch.manual_seed(0)
    shape = EncoderShape(
        feature_dim=35 if whole else 6,
        condition_dim=13,
        content_dim=5,
        emotion_dim=3,
        width=16,
        n_heads=2,
        n_layers=2,
        streaming=streaming,
        look_ahead_frames=look_ahead,
        level_content=whole,
        prosody=whole,
        cut_voice_bar=whole,
        hide_emotion=look_ahead == 10,
    )
    encoder = SpeechEncoder(shape).eval()
    encoder.stream_mean.normal_()
    encoder.stream_scale.uniform_(0.5, 2)
    return encoder


def in_blocks(stream: StreamingEncoder, features: np.ndarray, sizes: list[int]) -> np.ndarray:
    parts, place = [], 0
    for size in sizes:
        parts.append(stream.push(features[place : place + size]))
        place += size
    return np.concatenate([*parts, stream.push(features[place:]), stream.finish()])


@pytest.mark.parametrize("look_ahead", [0, 4, 10])
@pytest.mark.parametrize("chunk", [4, 3, 1])
@pytest.mark.parametrize("n_frames", [1, 2, 9, 37, 200])
@pytest.mark.parametrize("whole", [False, True])
def test_it_hears_what_the_encoder_hears(
    rng: np.random.Generator, look_ahead: int, chunk: int, n_frames: int, *, whole: bool
) -> None:
    """A policy was cloned on the streams of whole utterances."""
    encoder = make(look_ahead, whole=whole)
    features = rng.normal(size=(n_frames, encoder.shape.feature_dim)).astype(np.float32)
    stream = StreamingEncoder(encoder, frames_per_chunk=chunk)
    heard = in_blocks(stream, features, [2, 5])
    assert heard.shape == (n_frames, encoder.dim)
    np.testing.assert_allclose(heard, encoder.encode(features), atol=2e-5)


def test_blocks_of_any_size_give_the_same_bits(rng: np.random.Generator) -> None:
    """A near tie between two tokens would be decided by the size of an audio buffer."""
    encoder = make(whole=True)
    features = rng.normal(size=(301, 35)).astype(np.float32)
    whole = in_blocks(StreamingEncoder(encoder, frames_per_chunk=4), features, [])
    for most in (2, 9, 80):
        sizes = rng.integers(0, most, size=150).tolist()
        stream = StreamingEncoder(encoder, frames_per_chunk=4)
        assert np.array_equal(in_blocks(stream, features, sizes), whole), most


def test_a_unit_is_ready_as_soon_as_its_look_ahead_has_come(rng: np.random.Generator) -> None:
    """Later, and the stated look-ahead is not the whole of it; earlier, and it hears zeros."""
    features = rng.normal(size=(40, 6)).astype(np.float32)
    stream = StreamingEncoder(make(6), frames_per_chunk=4)
    assert (stream.unit, stream.look_ahead) == (4, 6)
    assert [len(stream.push(features[t : t + 1])) for t in range(14)] == [0] * 9 + [4, 0, 0, 0, 4]
    assert len(stream.finish()) == 6
    assert len(StreamingEncoder(make(6), frames_per_chunk=4).finish()) == 0


def test_an_encoder_of_whole_utterances_is_refused() -> None:
    """Fed zeros for what is to come, it would mumble without a word."""
    message = (
        "the speech encoder must hear audio as it comes, got one that hears whole utterances; "
        "train it with `encoder.streaming=true`"
    )
    with pytest.raises(InputError, match=re.escape(message)):
        StreamingEncoder(make(0, streaming=False), frames_per_chunk=4)
