"""Sizes of a tokenizer: what can be built, what is refused, and what older versions called them."""

from __future__ import annotations

import dataclasses
import json
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors
import safetensors.torch

from esarm_env.core.errors import InputError
from esarm_env.core.types import Corpus
from esarm_env.tokenizer import PriorConfig, VQMotionTokenizer, load_tokenizer
from esarm_env.tokenizer.shape import TokenizerShape, levels_of

SMALL = {"n_tokens": 16, "hidden": 8, "code_dim": 4}


@pytest.mark.parametrize(
    ("n_tokens", "levels"),
    [
        (2, (2,)),
        (7, (7,)),
        (8, (8,)),
        (16, (4, 4)),
        (96, (6, 4, 4)),
        (240, (8, 6, 5)),
        (256, (8, 8, 4)),
        (512, (8, 8, 8)),
        (1000, (8, 5, 5, 5)),
    ],
)
def test_levels_are_few_and_even(n_tokens: int, levels: tuple[int, ...]) -> None:
    """A dimension of two levels beside one of eight wastes half of what it costs."""
    assert levels_of(n_tokens) == levels
    assert math.prod(levels) == n_tokens


@pytest.mark.parametrize(
    ("n_tokens", "near"),
    [(1, "2"), (11, "10 or 12"), (13, "12 or 14"), (97, "96 or 98"), (257, "256 or 270")],
)
def test_a_number_of_codes_without_levels_names_the_nearest(n_tokens: int, near: str) -> None:
    """Rounding it down in silence would change the action space."""
    message = (
        "`n_tokens` must be a product of numbers from 2 to 8 for `quantiser` fsq, "
        f"got {n_tokens}; take {near}"
    )
    with pytest.raises(ValueError, match=re.escape(message) + "$"):
        TokenizerShape(n_tokens=n_tokens, quantiser="fsq")
    TokenizerShape(n_tokens=n_tokens)  # residual VQ has no such rule


def test_the_nearest_number_is_found_among_huge_ones() -> None:
    """Counting down from two milliards takes minutes."""
    with pytest.raises(ValueError, match="take 2144153025 or 2147483648"):
        levels_of(2**31 - 1)


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ({"quantiser": "lfq"}, "`quantiser` must be `rvq` or `fsq`, got 'lfq'"),
        ({"causal": 1}, "`causal` must be true or false, got 1"),
        ({"blocks": -1}, "`blocks` must be at least 0, got -1"),
    ],
)
def test_other_settings_are_refused(sizes: dict[str, Any], message: str) -> None:
    """A file or a user may say anything."""
    with pytest.raises(ValueError, match=re.escape(message)):
        TokenizerShape(**sizes)


@pytest.mark.parametrize("kind", [TokenizerShape, PriorConfig])
def test_the_old_number_of_codebooks_sets_both_streams_and_warns(kind: Any) -> None:
    """Scripts of last year set one number for both."""
    rule = (
        "`codebooks_per_stream` is deprecated and goes with the next version; use "
        "`mouth_codebooks` and `upper_codebooks`"
    )
    with pytest.warns(DeprecationWarning, match=re.escape(rule)):
        made = kind(codebooks_per_stream=3)
    assert (made.mouth_codebooks, made.upper_codebooks) == (3, 3)
    with pytest.warns(DeprecationWarning, match=re.escape(f"`{kind.__name__}.codebooks_per_str")):
        assert made.codebooks_per_stream == 3
    rule = "`codebooks_per_stream` must be left out beside `upper_codebooks`, its new name"
    with pytest.raises(InputError, match=re.escape(rule)):
        kind(codebooks_per_stream=3, upper_codebooks=1)


def test_streams_apart_have_no_single_number_of_codebooks() -> None:
    """Reading the mouth's for both would pass for the truth."""
    shape = TokenizerShape(mouth_codebooks=4, upper_codebooks=2)
    rule = (
        "TokenizerShape has no single `codebooks_per_stream`: `mouth_codebooks` is 4, "
        "`upper_codebooks` is 2"
    )
    with (
        pytest.warns(DeprecationWarning),
        pytest.raises(AttributeError, match=re.escape(rule)),
    ):
        _ = shape.codebooks_per_stream  # type: ignore[attr-defined]


def test_sizes_that_older_versions_know_are_noted_in_their_words(tmp_path: Path) -> None:
    """A policy is tied to its tokenizer by a digest, and weight files are exchanged."""
    known = TokenizerShape(mouth_codebooks=3, upper_codebooks=3, **SMALL).known_sizes()
    assert list(known) == [
        "n_tokens",
        "frames_per_chunk",
        "codebooks_per_stream",
        "hidden",
        "code_dim",
    ]
    assert known["codebooks_per_stream"] == 3
    path = tmp_path / "tokenizer.safetensors"
    VQMotionTokenizer(TokenizerShape(**SMALL)).save(path)
    with safetensors.safe_open(path, framework="np") as file:
        noted = json.loads(file.metadata()["esarm"])
    assert noted == {
        "kind": "motion tokenizer",
        "frames_per_chunk": 4,
        "codebooks_per_stream": 2,
        **SMALL,
    }


@pytest.mark.parametrize(
    "newer",
    [
        {"mouth_codebooks": 3},
        {"blocks": 2},
        {"causal": True},
        {"quantiser": "fsq"},
        {"quantiser": "fsq", "mouth_codebooks": 4, "upper_codebooks": 1, "blocks": 1},
    ],
)
def test_any_tokenizer_comes_back_equal(
    newer: dict[str, Any], tiny_corpus: Corpus, tmp_path: Path
) -> None:
    """A size that the file forgets builds another network from the same weights."""
    made = VQMotionTokenizer(TokenizerShape(**SMALL, **newer)).eval()
    path = tmp_path / "tokenizer.safetensors"
    made.encode(tiny_corpus[1].motion)  # the first motion places the codes of residual VQ
    made.save(path)
    loaded = load_tokenizer(path)
    assert loaded.shape == made.shape
    assert loaded.content_hash() == made.content_hash()
    motion = tiny_corpus[0].motion
    tokens = made.encode(motion)
    np.testing.assert_array_equal(loaded.encode(motion), tokens)
    np.testing.assert_array_equal(loaded.decode(tokens), made.decode(tokens))


def test_every_size_changes_the_digest() -> None:
    """Two tokenizers of the same weights that decode differently must not pass for one."""
    shapes = [
        TokenizerShape(**SMALL),
        TokenizerShape(**SMALL, causal=True),
        TokenizerShape(**SMALL, blocks=1),
    ]
    digests = set()
    for shape in shapes:
        tokenizer = VQMotionTokenizer(shape)
        for value in tokenizer.state_dict().values():
            value.zero_()
        digests.add(tokenizer.content_hash())
    assert len(digests) == 3


def test_a_file_with_both_names_is_refused(tmp_path: Path) -> None:
    """One of them would be ignored."""
    path = tmp_path / "tokenizer.safetensors"
    tokenizer = VQMotionTokenizer(TokenizerShape(**SMALL))
    noted = dataclasses.asdict(tokenizer.shape) | {"kind": "motion tokenizer"}
    noted["codebooks_per_stream"] = 2
    tensors = {name: value.contiguous() for name, value in tokenizer.state_dict().items()}
    safetensors.torch.save_file(tensors, path, {"esarm": json.dumps(noted)})
    rule = f"{path}: must be a whole motion tokenizer file, got `codebooks_per_stream` must be left"
    with pytest.raises(InputError, match=re.escape(rule)):
        load_tokenizer(path)
