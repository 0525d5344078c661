"""Distances of codes: right by a slow computation, for any number of codebooks, and repeatable."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
import torch

from agents.rollout.decoding import least_expected_distance
from esarm_env.core.types import FloatArray, IntArray
from esarm_env.face import load_head
from esarm_env.face.names import index_of
from esarm_env.task.animation_task import AnimationTask
from esarm_env.tokenizer import VQMotionTokenizer, code_distances
from esarm_env.tokenizer.distances import MISS_MM, N_VERTICES, with_detail


def _slowly(tokenizer: VQMotionTokenizer, context: IntArray, slot: int) -> FloatArray:
    """Return the distances of one slot in one context, pair by pair, on the region's vertices."""
    head, stream = load_head(), tokenizer.token_streams[slot]
    vertices = head.regions["lips"] if stream == "mouth" else head.upper
    places = np.linspace(0, len(vertices) - 1, N_VERTICES).round().astype(int)
    deltas = head.deltas[:, vertices[places]]  # (52, V, 3)
    motions = []
    for code in range(tokenizer.n_tokens):
        tokens = context.copy()
        tokens[tokenizer.tokens_per_chunk + slot] = code
        motions.append(tokenizer.decode(tokens))
    found = np.zeros((tokenizer.n_tokens, tokenizer.n_tokens))
    for a, first in enumerate(motions):
        for b, second in enumerate(motions):
            apart = np.einsum("tc,cvk->tvk", (first - second).astype(np.float64), deltas)
            found[a, b] = np.linalg.norm(apart, axis=2).max(axis=1).sum()
    return found / tokenizer.frames_per_chunk


def test_distances_are_those_of_a_slow_computation(
    tiny_task: AnimationTask, tiny_tokenizer: VQMotionTokenizer
) -> None:
    """A slot taken for its neighbour, or the wrong region, would still look like distances."""
    context = tiny_task.recorded_tokens(2)[:12]  # three chunks: one context, whatever is drawn
    found = code_distances(tiny_tokenizer, load_head(), [context], n_contexts=1)
    assert found.shape == (4, 16, 16) and found.dtype == np.float32
    for slot in range(4):
        expected = _slowly(tiny_tokenizer, context, slot)
        np.testing.assert_allclose(found[slot], expected, atol=2e-3, err_msg=f"slot {slot}")


def test_several_contexts_are_averaged(
    tiny_task: AnimationTask, tiny_tokenizer: VQMotionTokenizer
) -> None:
    """A sum would make distances in mm a matter of how many contexts there are."""
    first, second = (tiny_task.recorded_tokens(index)[:12] for index in (0, 4))
    both, one, other = (
        code_distances(tiny_tokenizer, load_head(), recorded, n_contexts=len(recorded))
        for recorded in ([first, second], [first], [second])
    )
    np.testing.assert_allclose(both, (one + other) / 2, rtol=1e-5, atol=1e-5)


def test_distances_are_symmetric_and_nothing_is_apart_from_itself(
    tiny_task: AnimationTask,
) -> None:
    """A table with a wrong diagonal would make the policy avoid what it is sure of."""
    table = tiny_task.code_distances
    np.testing.assert_array_equal(table, table.transpose(0, 2, 1))
    assert (np.diagonal(table, axis1=1, axis2=2) == 0).all()
    assert np.isfinite(table).all() and (table >= 0).all()
    coarse, finest = table[[0, 2]], table[[1, 3]]  # two codebooks a stream
    assert coarse.max() < 100  # mm
    assert MISS_MM <= finest[:, ~np.eye(16, dtype=bool)].min() < finest.max() < MISS_MM + 100
    assert tiny_task.code_distances is table


def test_equal_seeds_give_equal_distances_and_others_others(
    tiny_task: AnimationTask, tiny_tokenizer: VQMotionTokenizer
) -> None:
    """Two clones of one run that weighed other distances would be decoded differently."""
    recorded = [tiny_task.recorded_tokens(index) for index in range(8)]
    first, again, other = (
        code_distances(tiny_tokenizer, load_head(), recorded, seed=seed) for seed in (3, 3, 4)
    )
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_a_recording_of_one_chunk_is_context_enough(tiny_tokenizer: VQMotionTokenizer) -> None:
    """A corpus of exclamations would have no three chunks in a row."""
    chunk = np.arange(4)
    repeated = code_distances(tiny_tokenizer, load_head(), [np.tile(chunk, 3)], n_contexts=1)
    short = code_distances(tiny_tokenizer, load_head(), [chunk], n_contexts=1)
    np.testing.assert_array_equal(short, repeated)


def test_the_finest_codebook_of_a_stream_is_written_as_is_likeliest() -> None:
    """The middle of fine details is no detail: mouths would not close, and motion would be slow."""
    distances = np.broadcast_to(np.float32([[0, 1, 3], [1, 0, 2], [3, 2, 0]]), (4, 3, 3))
    detailed = with_detail(distances, ("mouth", "mouth", "mouth", "upper"))
    np.testing.assert_array_equal(detailed[[0, 1, 3]], distances[[0, 1, 3]])
    logits = torch.tensor([[0.42, 0.2, 0.38]]).log()
    chosen = [int(least_expected_distance(logits, torch.from_numpy(d))) for d in detailed]
    assert chosen == [1, 1, 0, 1], "the middle code, but of the finest codebook the likeliest"


class _Uneven:
    """A tokenizer with one slot for the mouth and two for the upper face, written by hand."""

    n_tokens, tokens_per_chunk, frames_per_chunk = 3, 3, 2
    token_streams = ("mouth", "upper", "upper")

    def decode_batch(self, tokens: IntArray, lengths: IntArray) -> FloatArray:
        """Open the jaw by the first token, lift the brow by the other two."""
        chunks = tokens.reshape(len(tokens), -1, 3)
        motion = np.zeros((len(tokens), chunks.shape[1], 52), dtype=np.float32)
        motion[:, :, index_of("jawOpen")] = 0.1 * chunks[:, :, 0]
        motion[:, :, index_of("browInnerUp")] = 0.1 * chunks[:, :, 1] + 0.3 * chunks[:, :, 2]
        return motion.repeat(2, axis=1)


def test_streams_may_have_codebooks_of_their_own_number() -> None:
    """Half of the slots is no rule: a mouth may have more codebooks than the upper face."""
    tokenizer: Any = _Uneven()
    found = code_distances(tokenizer, load_head(), [np.zeros(9, dtype=np.int64)], n_contexts=1)
    assert found.shape == (3, 3, 3)
    # In proportion to the codes' numbers, and by the frames of the one chunk that changes.
    ramp = np.abs(np.subtract.outer(np.arange(3), np.arange(3)))
    for slot in range(3):
        np.testing.assert_allclose(found[slot], found[slot, 0, 1] * ramp, rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(found[2], 3 * found[1], rtol=1e-3, atol=1e-3)
    jaw = np.linalg.norm(load_head().deltas[index_of("jawOpen")], axis=1)
    assert 0 < found[0, 0, 1] <= 0.1 * jaw.max() + 1e-3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_contexts": 0}, "`n_contexts` must be at least 1, got 0"),
        ({"recorded": []}, "`recorded` must hold at least one recording, got none"),
    ],
)
def test_nothing_to_measure_in_is_refused(
    tiny_tokenizer: VQMotionTokenizer, options: dict[str, Any], message: str
) -> None:
    """A mean over nothing is nan, and argmin of nan is token 0."""
    given = {"recorded": [np.zeros(12, dtype=np.int64)], **options}
    with pytest.raises(ValueError, match=re.escape(message)):
        code_distances(tiny_tokenizer, load_head(), **given)
