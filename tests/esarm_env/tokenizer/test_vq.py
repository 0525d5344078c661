"""The tokenizer: motion to tokens and back, alone or in a padded batch, now or after a reload."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch

from esarm_env.core.errors import InputError
from esarm_env.core.types import N_CHANNELS, Corpus
from esarm_env.core.weights import save_weights
from esarm_env.face import MOUTH_CHANNELS, UPPER_CHANNELS
from esarm_env.task.animation_task import pad_stack
from esarm_env.tokenizer import VQMotionTokenizer, load_tokenizer
from esarm_env.tokenizer.vq import TokenizerShape

SHAPE = TokenizerShape(
    n_tokens=16, frames_per_chunk=4, hidden=32, code_dim=8, linear_path=True, search_width=8
)


def test_the_sizes_are_those_of_the_shape(tiny_tokenizer: VQMotionTokenizer) -> None:
    """The action space and the length of an episode are made of these."""
    assert tiny_tokenizer.shape == SHAPE
    assert tiny_tokenizer.n_tokens == 16
    assert tiny_tokenizer.frames_per_chunk == 4
    assert tiny_tokenizer.tokens_per_chunk == 4, "two streams of two codebooks"
    assert not tiny_tokenizer.training, "a tokenizer in training mode moves its codes when used"


@pytest.mark.parametrize(
    ("n_frames", "n_chunks"), [(1, 1), (3, 1), (4, 1), (5, 2), (8, 2), (41, 11)]
)
def test_shapes_follow_the_number_of_frames(
    tiny_tokenizer: VQMotionTokenizer, rng: np.random.Generator, n_frames: int, n_chunks: int
) -> None:
    """A chunk lost at the end would freeze the last syllable."""
    tokens = tiny_tokenizer.encode(rng.random((n_frames, N_CHANNELS), dtype=np.float32))
    assert tokens.shape == (4 * n_chunks,)
    assert tokens.dtype == np.int64
    assert 0 <= tokens.min() <= tokens.max() < 16
    motion = tiny_tokenizer.decode(tokens)
    assert motion.shape == (4 * n_chunks, N_CHANNELS)
    assert motion.dtype == np.float32
    assert 0 <= motion.min() <= motion.max() <= 1


def test_the_last_frame_fills_up_the_last_chunk(
    tiny_tokenizer: VQMotionTokenizer, tiny_corpus: Corpus
) -> None:
    """Filling up with zeros would end every utterance in a jerk to the neutral face."""
    motion = tiny_corpus[0].motion[:9]
    filled = np.concatenate([motion, np.repeat(motion[-1:], 3, axis=0)])
    np.testing.assert_array_equal(tiny_tokenizer.encode(motion), tiny_tokenizer.encode(filled))


def test_encoding_again_gives_the_same_tokens(
    tiny_tokenizer: VQMotionTokenizer, tiny_corpus: Corpus
) -> None:
    """Demonstrations are encoded by the environment and by the trainer, one after the other."""
    motion = tiny_corpus[1].motion
    before = motion.copy()
    first, second = tiny_tokenizer.encode(motion), tiny_tokenizer.encode(motion)
    np.testing.assert_array_equal(first, second)
    np.testing.assert_array_equal(motion, before)
    np.testing.assert_array_equal(tiny_tokenizer.decode(first), tiny_tokenizer.decode(first))


def test_round_trips_settle(tiny_tokenizer: VQMotionTokenizer, tiny_corpus: Corpus) -> None:
    """What the codes can say must survive another round trip better than what they cannot."""
    motion = tiny_corpus[2].motion  # 24 frames, whole chunks
    once = tiny_tokenizer.decode(tiny_tokenizer.encode(motion))
    twice = tiny_tokenizer.decode(tiny_tokenizer.encode(once))
    assert np.abs(twice - once).mean() < np.abs(once - motion).mean()


@pytest.mark.parametrize(
    ("slot", "moved", "still"),
    [
        (0, MOUTH_CHANNELS, UPPER_CHANNELS),
        (1, MOUTH_CHANNELS, UPPER_CHANNELS),
        (2, UPPER_CHANNELS, MOUTH_CHANNELS),
        (3, UPPER_CHANNELS, MOUTH_CHANNELS),
    ],
)
def test_a_token_moves_its_own_part_of_the_face(
    tiny_tokenizer: VQMotionTokenizer, slot: int, moved: list[int], still: list[int]
) -> None:
    """LVE and EVE could not be told apart if a mouth token moved the brows."""
    tokens = np.zeros(16, np.int64)
    changed = tokens.copy()
    changed[4 + slot] = 9
    apart = np.abs(tiny_tokenizer.decode(tokens) - tiny_tokenizer.decode(changed))
    assert apart[:, moved].max() > 1e-3
    assert apart[:, still].max() == 0


def test_a_token_moves_its_own_time(tiny_tokenizer: VQMotionTokenizer) -> None:
    """Credit for a token belongs to its chunk; the decoder may reach one or two chunks away."""
    tokens = np.zeros(4 * 12, np.int64)
    changed = tokens.copy()
    changed[4 * 6 : 4 * 7] = [3, 5, 7, 9]
    apart = np.abs(tiny_tokenizer.decode(tokens) - tiny_tokenizer.decode(changed))
    by_chunk = apart.reshape(12, 4, N_CHANNELS).max(axis=(1, 2))
    assert by_chunk[6] > 1e-3
    assert by_chunk[:4].max() == by_chunk[9:].max() == 0


def test_a_padded_batch_equals_one_by_one(
    tiny_tokenizer: VQMotionTokenizer, rng: np.random.Generator
) -> None:
    """Otherwise an animation's score depends on what else was in the batch."""
    lengths = np.array([4, 44, 8, 20])
    rows = [rng.integers(0, 16, length) for length in lengths]
    together = tiny_tokenizer.decode_batch(pad_stack(rows, value=-1), lengths)
    assert together.shape == (4, 44, N_CHANNELS)
    for motion, row in zip(together, rows, strict=True):
        alone = tiny_tokenizer.decode(row)
        np.testing.assert_allclose(motion[: len(alone)], alone, atol=1e-5)


def test_wider_padding_changes_nothing(
    tiny_tokenizer: VQMotionTokenizer, rng: np.random.Generator
) -> None:
    """Buffers are as wide as the longest utterance there may ever be."""
    rows = rng.integers(0, 16, (2, 8))
    wide = np.pad(rows, ((0, 0), (0, 13)), constant_values=-1)
    lengths = np.array([8, 8])
    np.testing.assert_array_equal(
        tiny_tokenizer.decode_batch(wide, lengths), tiny_tokenizer.decode_batch(rows, lengths)
    )


@pytest.mark.parametrize(
    "motion", [np.zeros((0, 52), "f4"), np.zeros((4, 51), "f4"), np.zeros(52, "f4")]
)
def test_bad_motion_is_rejected(tiny_tokenizer: VQMotionTokenizer, motion: np.ndarray) -> None:
    """Channels in another number would broadcast against the mean pose, or not."""
    message = f"`motion` must have shape (T, 52), got {motion.shape}"
    with pytest.raises(ValueError, match=re.escape(message)):
        tiny_tokenizer.encode(motion)


@pytest.mark.parametrize(("lengths", "bad"), [([8, 6], 6), ([0, 8], 0), ([8, 1], 1), ([-4, 8], -4)])
def test_parts_of_chunks_are_rejected(
    tiny_tokenizer: VQMotionTokenizer, lengths: list[int], bad: int
) -> None:
    """An unfinished chunk has a mouth and no brows."""
    message = f"`lengths` must be multiples of 4 (whole chunks), got {bad}"
    with pytest.raises(ValueError, match=re.escape(message)):
        tiny_tokenizer.decode_batch(np.zeros((2, 8), np.int64), np.array(lengths))


@pytest.mark.parametrize("token", [-2, 16, 1000])
def test_tokens_without_a_code_are_rejected(tiny_tokenizer: VQMotionTokenizer, token: int) -> None:
    """-2 would be taken for padding, and 16 would read another codebook."""
    tokens = np.array([3, 2, 1, token])
    message = f"`tokens` must be 0 to 15 (-1 pads), got {tokens.min()} to {tokens.max()}"
    with pytest.raises(ValueError, match=re.escape(message)):
        tiny_tokenizer.decode(tokens)


@pytest.mark.parametrize("token", [0, 15])
def test_the_first_and_the_last_code_are_allowed(
    tiny_tokenizer: VQMotionTokenizer, token: int
) -> None:
    """The limits of the action space are actions."""
    assert tiny_tokenizer.decode(np.full(4, token)).shape == (4, N_CHANNELS)


SIZES = ("n_tokens", "frames_per_chunk", "mouth_codebooks", "upper_codebooks", "hidden", "code_dim")


@pytest.mark.parametrize("name", SIZES)
def test_sizes_of_zero_are_rejected(name: str) -> None:
    """torch would build it, and fail at the first use."""
    with pytest.raises(ValueError, match=re.escape(f"`{name}` must be at least 1, got 0")):
        TokenizerShape(**{name: 0})


def test_sizes_of_one_are_allowed() -> None:
    """The smallest tokenizer: one code, one frame, one codebook a stream."""
    tokenizer = VQMotionTokenizer(TokenizerShape(1, 1, 1, 1, 1, 1)).eval()
    assert (tokenizer.tokens_per_chunk, tokenizer.frames_per_chunk) == (2, 1)
    assert tokenizer.decode(np.zeros(6, np.int64)).shape == (3, N_CHANNELS)


def test_a_saved_tokenizer_comes_back_equal(
    tiny_tokenizer: VQMotionTokenizer, tiny_corpus: Corpus, tmp_path: Path
) -> None:
    """Codebooks are buffers, not parameters: the part that a careless save forgets."""
    path = tmp_path / "prior" / "tokenizer.safetensors"
    tiny_tokenizer.save(path)
    loaded = load_tokenizer(path)
    assert loaded.shape == tiny_tokenizer.shape
    assert not loaded.training
    for index in range(3):
        motion = tiny_corpus[index].motion
        tokens = tiny_tokenizer.encode(motion)
        np.testing.assert_array_equal(loaded.encode(motion), tokens)
        np.testing.assert_array_equal(loaded.decode(tokens), tiny_tokenizer.decode(tokens))
    assert [entry.name for entry in path.parent.iterdir()] == [path.name], "a draft stayed behind"


WHOLE = "must be a whole motion tokenizer file, got "


@pytest.mark.parametrize(
    ("noted", "reason"),
    [
        ({"kind": "policy"}, "a file of policy"),
        ({}, "a file of something else"),
        ({"kind": "motion tokenizer"}, "Error(s) in loading state_dict"),
        ({"kind": "motion tokenizer", "n_tokens": 16}, "Error(s) in loading state_dict"),
        ({"kind": "motion tokenizer", "n_bones": 16}, "TokenizerShape.__init__() got"),
        ({"kind": "motion tokenizer", "n_tokens": 0}, "`n_tokens` must be at least 1, got 0"),
    ],
)
def test_other_safetensors_are_rejected(tmp_path: Path, noted: dict[str, Any], reason: str) -> None:
    """A policy has the same ending; its weights must not end in a traceback of torch's."""
    path = tmp_path / "tokenizer.safetensors"
    safetensors.torch.save_file({"a": torch.zeros(1)}, path, {"esarm": json.dumps(noted)})
    with pytest.raises(InputError, match=re.escape(f"{path}: {WHOLE}{reason}")):
        load_tokenizer(path)


def test_weights_of_another_size_are_rejected(
    tiny_tokenizer: VQMotionTokenizer, tmp_path: Path
) -> None:
    """Sizes and weights that disagree must not load in part."""
    path = tmp_path / "tokenizer.safetensors"
    shape: dict[str, Any] = dataclasses.asdict(SHAPE) | {"hidden": 24}
    save_weights(path, tiny_tokenizer.state_dict(), kind="motion tokenizer", **shape)
    with pytest.raises(InputError, match=re.escape(f"{path}: {WHOLE}")) as caught:
        load_tokenizer(path)
    assert "delete the stage and run it again" in str(caught.value)


@pytest.mark.parametrize("n_bytes", [0, 4, 100, 5000, -1])
def test_a_damaged_file_is_rejected(
    tiny_tokenizer: VQMotionTokenizer, tmp_path: Path, n_bytes: int
) -> None:
    """An interrupted copy must be told from a wrong path."""
    path = tmp_path / "tokenizer.safetensors"
    tiny_tokenizer.save(path)
    path.write_bytes(path.read_bytes()[:n_bytes])
    with pytest.raises(InputError, match=re.escape(f"{path}: {WHOLE}")):
        load_tokenizer(path)


def test_a_missing_file_is_rejected(tmp_path: Path) -> None:
    """The path that was looked for is what a user needs to see."""
    path = tmp_path / "absent.safetensors"
    with pytest.raises(InputError, match=re.escape(f"{path}: {WHOLE}No such file")):
        load_tokenizer(path)
