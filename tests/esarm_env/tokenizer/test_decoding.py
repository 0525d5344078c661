"""Decoding: how far a decoder sees, in pieces without seams, and with fewer codebooks."""

from __future__ import annotations

import copy
import itertools
import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from esarm_env.core.types import MOUTH, N_CHANNELS, UPPER, FloatArray
from esarm_env.face import MOUTH_CHANNELS, UPPER_CHANNELS
from esarm_env.face.head import load_head
from esarm_env.task.animation_task import pad_stack
from esarm_env.tokenizer import PriorConfig, VQMotionTokenizer, train_tokenizer
from esarm_env.tokenizer.quantisers import code_vectors, quantise
from esarm_env.tokenizer.shape import TokenizerShape

SHAPES: list[dict[str, Any]] = [
    {},
    {"causal": True},
    {"blocks": 2},
    {"blocks": 2, "causal": True},
    {"frames_per_chunk": 2, "blocks": 3},
    {"frames_per_chunk": 8, "mouth_codebooks": 5, "upper_codebooks": 1},
    {"frames_per_chunk": 1},
    {"quantiser": "fsq", "mouth_codebooks": 3, "upper_codebooks": 2},
]
each_shape = pytest.mark.parametrize("sizes", SHAPES, ids=str)


def make(sizes: dict[str, Any], *, n_tokens: int = 12, seed: int = 0) -> VQMotionTokenizer:
    """Return a random tokenizer whose codes differ and whose motion is not cut off at 0 or 1."""
    torch.manual_seed(seed)
    shape = TokenizerShape(**{"n_tokens": n_tokens, "hidden": 16, "code_dim": 6} | sizes)
    tokenizer = VQMotionTokenizer(shape).eval()
    tokenizer.mean_pose.fill_(0.5)
    for name, value in tokenizer.state_dict().items():
        if name.endswith("embed"):
            value.normal_()
        elif name.endswith("initted"):  # else the first motion encoded would place the codes
            value.fill_(True)
    return tokenizer


def random_tokens(tokenizer: VQMotionTokenizer, n_chunks: int, *, seed: int = 0) -> Any:
    rng = np.random.default_rng(seed)
    return rng.integers(0, tokenizer.n_tokens, n_chunks * tokenizer.tokens_per_chunk)


@each_shape
def test_the_stated_reach_is_the_reach(sizes: dict[str, Any]) -> None:
    """Motion that still changes after it was sent is a seam; a look-ahead too long is delay.

    Convolutions see what they are built to see: the farthest frame may be moved by little, never
    by nothing.
    """
    tokenizer = make(sizes)
    n, middle = 41, 20
    step, per_chunk = tokenizer.frames_per_chunk, tokenizer.tokens_per_chunk
    moved = np.zeros(n, bool)
    for seed in range(4):
        tokens = random_tokens(tokenizer, n, seed=seed)
        changed = tokens.copy()
        here = slice(middle * per_chunk, (middle + 1) * per_chunk)
        changed[here] = (changed[here] + 1 + seed) % tokenizer.n_tokens
        apart = np.abs(tokenizer.decode(tokens) - tokenizer.decode(changed))
        moved |= apart.reshape(n, step * N_CHANNELS).max(axis=1) > 0
    reached = np.flatnonzero(moved)
    # A chunk is moved by those that lie within its look-ahead: from the middle, backwards.
    assert middle - reached[0] == tokenizer.look_ahead_chunks
    assert reached[-1] - middle == tokenizer.look_back_chunks
    assert tokenizer.look_ahead_frames == tokenizer.look_ahead_chunks * step
    if sizes.get("causal"):
        assert tokenizer.look_ahead_frames == 0


def test_the_stated_reach_of_the_shipped_sizes() -> None:
    """The figures that the documentation names."""
    assert make({}).look_ahead_frames == 8
    assert make({}).look_back_chunks == 2
    assert make({"causal": True}).look_back_chunks == 4
    assert make({"frames_per_chunk": 8}).look_ahead_frames == 16
    assert make({"frames_per_chunk": 1}).look_ahead_frames == 4


@each_shape
@pytest.mark.parametrize("pieces", [[1] * 23, [5, 1, 0, 17], [23], [22, 1], [2] * 12])
def test_pieces_make_the_motion_of_the_whole(sizes: dict[str, Any], pieces: Sequence[int]) -> None:
    """A seam every few seconds is what a listener sees first."""
    tokenizer = make(sizes)
    tokens = random_tokens(tokenizer, sum(pieces))
    ends = np.cumsum(pieces) * tokenizer.tokens_per_chunk
    parts = np.split(tokens, ends[:-1])
    motion = np.concatenate(list(tokenizer.decode_pieces(parts)))
    np.testing.assert_allclose(motion, tokenizer.decode(tokens), atol=1e-6)


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 6), st.integers(0, 2), st.booleans(), st.lists(st.integers(0, 6), max_size=8))
def test_any_pieces_make_the_motion_of_the_whole(
    step: int, blocks: int, causal: bool, pieces: list[int]
) -> None:
    """Reaches that are no whole number of chunks are where an off-by-one would be."""
    tokenizer = make({"frames_per_chunk": step, "blocks": blocks, "causal": causal})
    tokens = random_tokens(tokenizer, sum(pieces))
    parts = np.split(tokens, (np.cumsum(pieces) * tokenizer.tokens_per_chunk)[:-1])
    made = list(tokenizer.decode_pieces(parts if pieces else []))
    assert all(len(part) for part in made), "an empty piece of motion says nothing"
    assert sum(map(len, made)) == sum(pieces) * step
    if made:
        np.testing.assert_allclose(np.concatenate(made), tokenizer.decode(tokens), atol=1e-6)


@pytest.mark.parametrize("causal", [False, True])
def test_motion_comes_as_soon_as_it_is_final_and_memory_stays(
    causal: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ten minutes must need no more than ten seconds, and nobody waits longer than stated."""
    tokenizer = make({"causal": causal})
    lengths: list[int] = []
    decode = tokenizer.decode

    def spy(tokens: Any) -> FloatArray:
        lengths.append(len(tokens) // tokenizer.tokens_per_chunk)
        return decode(tokens)

    monkeypatch.setattr(tokenizer, "decode", spy)
    written = 0

    def one_by_one() -> Any:
        nonlocal written
        for written in range(1, 301):
            yield random_tokens(tokenizer, 1, seed=written)

    final = 0
    for motion in itertools.islice(tokenizer.decode_pieces(one_by_one()), 290):
        final += len(motion) // tokenizer.frames_per_chunk
        assert final == written - tokenizer.look_ahead_chunks
    assert max(lengths) == tokenizer.look_back_chunks + 1 + tokenizer.look_ahead_chunks


def test_a_piece_that_ends_within_a_chunk_is_refused() -> None:
    """Its rest would be read as the next chunk's mouth."""
    tokenizer = make({"mouth_codebooks": 3})
    rule = "`pieces` must be whole chunks of 5 tokens, got 7 tokens"
    with pytest.raises(ValueError, match=re.escape(rule)):
        list(tokenizer.decode_pieces([np.zeros(7, np.int64)]))


def test_unequal_streams_have_their_own_slots(rng: np.random.Generator) -> None:
    """Split in the middle, a mouth code would be looked up among the brows."""
    tokenizer = make({"mouth_codebooks": 3, "upper_codebooks": 1})
    assert tokenizer.tokens_per_chunk == 4
    assert tokenizer.token_streams == (MOUTH, MOUTH, MOUTH, UPPER)
    assert tokenizer.codebooks().shape == (4, 12, 6)
    tokens = random_tokens(tokenizer, 9)
    for slot, stream in enumerate(tokenizer.token_streams):
        changed = tokens.copy()
        changed[16 + slot] = (changed[16 + slot] + 5) % 12
        apart = np.abs(tokenizer.decode(changed) - tokenizer.decode(tokens)).max(axis=0)
        own, other = MOUTH_CHANNELS, UPPER_CHANNELS
        if stream == UPPER:
            own, other = other, own
        assert apart[own].max() > 1e-4
        assert apart[other].max() == 0
    lengths = np.array([4, 32, 8])
    rows = [rng.integers(0, 12, length) for length in lengths]
    together = tokenizer.decode_batch(pad_stack(rows, value=-1), lengths)
    for motion, row in zip(together, rows, strict=True):
        alone = tokenizer.decode(row)
        np.testing.assert_allclose(motion[: len(alone)], alone, atol=1e-5)


@pytest.mark.parametrize("quantiser", ["rvq", "fsq"])
def test_codes_name_the_vectors_that_the_quantiser_meant(quantiser: str) -> None:
    """What is decoded from tokens must be what training saw."""
    tokenizer = make({"quantiser": quantiser, "mouth_codebooks": 3, "upper_codebooks": 2})
    stream = tokenizer._stream(MOUTH)
    motion = torch.randn(2, 40, len(MOUTH_CHANNELS))
    with torch.no_grad():
        quantised = stream.quantiser(stream.encode(motion))[0]
        codes = stream.codes(motion).clone()
        torch.testing.assert_close(stream.vectors(codes), quantised, atol=1e-5, rtol=1e-5)
    assert codes.shape == (2, 10, 3)
    assert codes.dtype == torch.int64
    books = code_vectors(stream.quantiser)
    assert books.shape == (3, 12, 6)
    other = codes.clone()
    other[0, 0, 1] = (codes[0, 0, 1] + 1) % 12
    change = (stream.vectors(other) - stream.vectors(codes))[0, 0]
    expected = books[1, other[0, 0, 1]] - books[1, codes[0, 0, 1]]
    torch.testing.assert_close(change, expected, atol=1e-5, rtol=1e-5)


def test_fewer_codebooks_ignore_the_finer_ones() -> None:
    """A fine token that still moved something would not have been dropped."""
    tokenizer = make({"mouth_codebooks": 3, "upper_codebooks": 2})
    tokens = random_tokens(tokenizer, 6)
    by_slot = tokens.reshape(6, 5).copy()
    by_slot[:, [1, 2, 4]] = 0
    one = tokenizer.decode(tokens, n_codebooks=1)
    np.testing.assert_array_equal(one, tokenizer.decode(by_slot.reshape(-1), n_codebooks=1))
    by_slot = tokens.reshape(6, 5).copy()
    by_slot[:, 2] = 0
    two = tokenizer.decode(tokens, n_codebooks=2)
    np.testing.assert_array_equal(two, tokenizer.decode(by_slot.reshape(-1), n_codebooks=2))
    whole = tokenizer.decode(tokens)
    for enough in (3, 9):
        np.testing.assert_array_equal(tokenizer.decode(tokens, n_codebooks=enough), whole)
    assert np.abs(two - whole)[:, UPPER_CHANNELS].max() == 0, "the upper face has two anyway"
    assert np.abs(two - whole)[:, MOUTH_CHANNELS].max() > 0
    with pytest.raises(ValueError, match=re.escape("`n_codebooks` must be at least 1, got 0")):
        tokenizer.decode(tokens, n_codebooks=0)


@pytest.mark.parametrize("quantiser", ["rvq", "fsq"])
def test_quantiser_dropout_trains_the_decoder_on_fewer_codebooks(quantiser: str) -> None:
    """In its updates the decoder must see what the coarse codes alone say, and now all of them."""
    tokenizer = make({"quantiser": quantiser, "mouth_codebooks": 3}).train()
    stream = tokenizer._stream(MOUTH)
    motion = torch.randn(2, 40, len(MOUTH_CHANNELS))
    with torch.no_grad():
        codes = quantise(stream.quantiser.eval(), stream.encode(motion))[1]
        partial = [stream.decode(stream.vectors(codes[..., :n])) for n in (1, 2, 3)]
    seen = set()
    for seed in range(12):
        torch.manual_seed(seed)
        frozen = copy.deepcopy(stream).train()  # an update in training mode moves the codes
        output = frozen(motion, drop_codebooks=True)[0]
        apart = [float((output.detach() - each).abs().max()) for each in partial]
        assert min(apart) < 1e-4
        seen.add(int(np.argmin(apart)) + 1)
        output.square().mean().backward()
        assert frozen.encode_frames.weight.grad is not None
        assert frozen.encode_frames.weight.grad.abs().max() > 0, "the encoder must learn of it"
    assert seen == {1, 2, 3}
    whole = copy.deepcopy(stream).train()(motion)[0]
    torch.testing.assert_close(whole, partial[2], atol=1e-4, rtol=1e-4)


def test_quantiser_dropout_is_a_share_of_the_updates(
    tiny_motions: list[FloatArray], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A share that is never drawn, or always, is not what was set."""
    dropped: list[bool] = []
    reconstruct = VQMotionTokenizer.reconstruct

    def spy(
        self: VQMotionTokenizer, motion: Any, *, drop_codebooks: bool = False, **how: Any
    ) -> Any:
        dropped.append(drop_codebooks)
        return reconstruct(self, motion, drop_codebooks=drop_codebooks, **how)

    monkeypatch.setattr(VQMotionTokenizer, "reconstruct", spy)
    sizes: dict[str, Any] = {"n_tokens": 8, "hidden": 8, "code_dim": 4, "epochs": 1}
    for share, steps, low, high in ((0.0, 10, 0, 0), (0.5, 40, 8, 32), (1.0, 10, 10, 10)):
        config = PriorConfig(
            **sizes,
            steps_per_epoch=steps,
            batch_crops=4,
            crop_chunks=2,
            quantiser_dropout=share,
        )
        dropped.clear()
        train_tokenizer(tiny_motions, load_head(), config=config, seed=0)
        assert low <= sum(dropped) <= high
        assert len(dropped) == steps


def test_dropout_is_over_when_training_is() -> None:
    """Codes of a tokenizer in use are all there, and the same each time."""
    tokenizer = make({"mouth_codebooks": 4})
    tokenizer.train()
    motion = torch.rand(2, 16, N_CHANNELS)
    torch.manual_seed(0)
    kept = [tokenizer.reconstruct(motion, drop_codebooks=drop)[0] for drop in (True, False, False)]
    assert not tokenizer._stream(MOUTH).quantiser.quantize_dropout
    tokenizer.eval()
    assert kept[0].shape == motion.shape
    tokens = tokenizer.encode(motion[0].numpy())
    assert tokens.min() >= 0
    np.testing.assert_array_equal(tokens, tokenizer.encode(motion[0].numpy()))
