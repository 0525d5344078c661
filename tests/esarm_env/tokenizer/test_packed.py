"""Packed decoding: sequences laid end to end decode as each does alone, through plain layers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from esarm_env.core.types import N_CHANNELS
from esarm_env.tokenizer import VQMotionTokenizer
from esarm_env.tokenizer.packed import Packing, gap_of
from esarm_env.tokenizer.vq import CHANNELS
from tests.esarm_env.tokenizer.test_decoding import SHAPES, make


@torch.no_grad()
def _plain(tokenizer: VQMotionTokenizer, tokens: np.ndarray) -> np.ndarray:
    """Return the motion (T, 52) of tokens (L,), by the layers that training goes through."""
    codes = torch.from_numpy(tokens.reshape(1, -1, tokenizer.tokens_per_chunk))
    motion = tokenizer.mean_pose.expand(
        codes.shape[1] * tokenizer.frames_per_chunk, N_CHANNELS
    ).clone()
    by_stream = torch.split(codes, list(tokenizer.shape.codebooks.values()), dim=2)
    for (name, channels), own in zip(CHANNELS.items(), by_stream, strict=True):
        stream = tokenizer._stream(name)
        motion[:, channels] += (
            stream.decode(stream.vectors(own))[0] * tokenizer.channel_scale[channels]
        )
    return motion.clamp(0, 1).numpy()


@pytest.mark.parametrize("sizes", [*SHAPES, {"linear_path": True}], ids=str)
def test_packed_sequences_decode_as_each_alone(sizes: dict[str, Any]) -> None:
    """A gap too narrow, or not zeroed after a layer, lets one animation leak into the next."""
    tokenizer = make(sizes)
    for weight in tokenizer.parameters():
        torch.nn.init.normal_(weight, std=0.2)  # also biases, which fill gaps, and what begins at 0
    tokenizer.channel_scale.fill_(0.02)  # or motion would be cut off at 0 and 1
    rng = np.random.default_rng(0)
    lengths = np.array([3, 1, 9, 1, 6]) * tokenizer.tokens_per_chunk
    tokens = rng.integers(0, tokenizer.n_tokens, (5, lengths.max()))
    tokens[np.arange(lengths.max()) >= lengths[:, None]] = -1
    motion = tokenizer.decode_batch(tokens, lengths)
    assert motion.shape == (5, 9 * tokenizer.frames_per_chunk, 52)
    for row, written, length in zip(motion, tokens, lengths, strict=True):
        expected = _plain(tokenizer, written[:length])
        assert np.abs(row[: len(expected)] - expected).max() < 1e-6
        assert ((expected > 0) & (expected < 1)).mean() > 0.9


def test_a_packing_says_where_everything_is() -> None:
    """An index off by one decodes the neighbour's tokens."""
    packing = Packing.of(np.array([2, 1, 3]), gap=2)
    assert packing.starts.tolist() == [0, 4, 7]
    assert packing.size == 10
    assert packing.chunks().tolist() == [0, 1, 4, 7, 8, 9]
    assert packing.gaps().tolist() == [2, 3, 5, 6]
    assert packing.gaps(2).tolist() == [4, 5, 6, 7, 10, 11, 12, 13]


@pytest.mark.parametrize(
    ("sizes", "gap"),
    [({}, 1), ({"causal": True}, 2), ({"frames_per_chunk": 1}, 2), ({"blocks": 2}, 1)],
    ids=str,
)
def test_a_gap_is_as_wide_as_a_layer_sees(sizes: dict[str, Any], gap: int) -> None:
    """Wider gaps are computed for nothing, narrower ones mix animations."""
    tokenizer = make(sizes)
    assert gap_of([tokenizer._stream(name) for name in CHANNELS]) == gap


@pytest.mark.parametrize("change", ["in place", "loaded", "replaced"])
def test_weights_turned_round_are_those_of_now(change: str) -> None:
    """A tokenizer that is trained on, or loaded into, would decode with what it was before."""
    tokenizer = make({})
    rng = np.random.default_rng(0)
    tokens = rng.integers(0, tokenizer.n_tokens, (1, 4 * tokenizer.tokens_per_chunk))
    lengths = np.array([tokens.shape[1]])
    tokenizer.decode_batch(tokens, lengths)
    torch.manual_seed(1)
    for name in CHANNELS:
        stream = tokenizer._stream(name)
        for layer in (stream.from_code, stream.decode_chunks, stream.to_motion):
            new = torch.randn_like(layer.weight) * 0.2
            if change == "replaced":
                layer.weight = torch.nn.Parameter(new)
            elif change == "loaded":
                layer.load_state_dict({"weight": new, "bias": layer.bias})
            else:
                with torch.no_grad():
                    layer.weight.copy_(new)
    motion = tokenizer.decode_batch(tokens, lengths)[0]
    assert np.abs(motion - _plain(tokenizer, tokens[0])).max() < 1e-6
