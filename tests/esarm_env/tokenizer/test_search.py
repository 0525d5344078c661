"""Search among sums of codes: never worse than the nearest code in turn, and exact if wide."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest
import torch

from esarm_env.core.types import Corpus, FloatArray
from esarm_env.face.head import load_head
from esarm_env.tokenizer import PriorConfig, VQMotionTokenizer, train_tokenizer
from esarm_env.tokenizer.quantisers import (
    code_vectors,
    make_quantiser,
    nearest_codes,
    quantise,
    search_codes,
    sum_of_codes,
)


def make_books(n_books: int = 3, n_codes: int = 5, width: int = 4) -> torch.Tensor:
    """Return random code vectors, each book finer than the one before."""
    generator = torch.Generator().manual_seed(0)
    books = torch.randn(n_books, n_codes, width, generator=generator)
    return books * 0.6 ** torch.arange(n_books)[:, None, None]


def errors(books: torch.Tensor, latent: torch.Tensor, width: int) -> torch.Tensor:
    codes = search_codes(books, latent, width=width)
    assert codes.shape == (*latent.shape[:2], len(books))
    return (sum_of_codes(books, codes) - latent).square().sum(-1)


def test_a_search_as_wide_as_there_are_sums_finds_the_best() -> None:
    """Against trying all 125."""
    books = make_books()
    latent = torch.randn(2, 9, 4, generator=torch.Generator().manual_seed(1))
    sums = torch.stack(
        [
            sum(book[code] for book, code in zip(books, codes, strict=True))
            for codes in itertools.product(range(5), repeat=3)
        ]
    )
    best = (latent[:, :, None] - sums).square().sum(-1).min(-1).values
    torch.testing.assert_close(errors(books, latent, 125), best, atol=1e-5, rtol=1e-4)


def test_a_wider_search_is_better_on_the_whole() -> None:
    """Twice the width for nothing would be a search that follows the wrong sums."""
    books = make_books(4, 16, 6)
    latent = torch.randn(1, 400, 6, generator=torch.Generator().manual_seed(2))
    means = [float(errors(books, latent, width).mean()) for width in (1, 2, 4, 8)]
    assert means == sorted(means, reverse=True)
    assert means[3] < 0.9 * means[0]


def test_width_one_takes_what_the_library_takes() -> None:
    """Older tokenizers must go on to give the same tokens."""
    torch.manual_seed(0)
    quantiser = make_quantiser(code_dim=6, n_codes=16, n_codebooks=3).train()
    for _ in range(3):
        quantise(quantiser, torch.randn(8, 20, 6))
    quantiser.eval()
    latent = torch.randn(2, 30, 6)
    library = quantise(quantiser, latent)[1]
    assert torch.equal(nearest_codes(quantiser, latent, width=1), library)
    assert torch.equal(search_codes(code_vectors(quantiser), latent, width=1), library)
    assert not torch.equal(nearest_codes(quantiser, latent, width=8), library)


def test_a_grid_is_not_searched() -> None:
    """Rounding is the nearest point of a grid already."""
    torch.manual_seed(0)
    quantiser = make_quantiser(code_dim=6, n_codes=16, n_codebooks=3, levels=(4, 4)).eval()
    latent = torch.randn(2, 30, 6)
    assert torch.equal(nearest_codes(quantiser, latent, width=8), quantise(quantiser, latent)[1])


def test_the_search_keeps_more_of_recorded_motion(
    tiny_motions: list[FloatArray], tiny_corpus: Corpus
) -> None:
    """The floor of the whole tokenizer, with nothing else changed."""
    config = PriorConfig(
        n_tokens=8,
        mouth_codebooks=4,
        upper_codebooks=3,
        hidden=16,
        code_dim=12,
        epochs=2,
        steps_per_epoch=15,
        batch_crops=16,
        crop_chunks=4,
        search_width=8,
    )
    wide = train_tokenizer(tiny_motions, load_head(), config=config, seed=0)
    narrow = VQMotionTokenizer(dataclasses.replace(wide.shape, search_width=1)).eval()
    narrow.load_state_dict(wide.state_dict())
    assert narrow.content_hash() != wide.content_hash(), "they give other tokens"
    found = [
        float(
            np.mean(
                [
                    np.square(each.decode(each.encode(motion))[: len(motion)] - motion).mean()
                    for motion in tiny_motions
                ]
            )
        )
        for each in (wide, narrow)
    ]
    assert found[0] < found[1]


@pytest.mark.parametrize("n_chunks", [1, 7])
def test_tokens_do_not_depend_on_what_else_is_encoded(n_chunks: int) -> None:
    """A search over the whole batch at once must keep its rows apart."""
    books = make_books()
    latent = torch.randn(3, n_chunks, 4, generator=torch.Generator().manual_seed(3))
    together = search_codes(books, latent, width=4)
    for row in range(3):
        assert torch.equal(together[row], search_codes(books, latent[row : row + 1], width=4)[0])
