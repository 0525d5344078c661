"""Quantisers of `vector-quantize-pytorch` behind one face: residual VQ and residual FSQ.

`rvq` learns its codes (van den Oord 2017; moving averages, dead codes restart). `fsq` rounds a few
bounded numbers to a grid (Mentzer et al. 2023, arXiv:2309.15505), and each further codebook rounds
what the ones before left over on a finer grid; nothing can collapse, and nothing is learned but the
projections. Both number their codebooks from coarse to fine.

The library takes longer to import than torch itself, so it is imported where codes are learned or
searched; codebooks that are only read are `StoredCodebooks`.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeAlias

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from collections.abc import Iterator

Quantiser: TypeAlias = Any  # a `ResidualVQ` or `ResidualFSQ`, of a library without types


class StoredCodebooks(nn.Module):
    """Trained codebooks of residual VQ as a weight file holds them: to look codes up.

    Buffers are named as the library names them. Whoever quantises with it gets the library's.
    """

    def __init__(self, *, code_dim: int, n_codes: int, n_codebooks: int) -> None:
        """Make room for the codebooks."""
        super().__init__()
        self._sizes = (code_dim, n_codes, n_codebooks)
        self._codebooks = [_Codebook(n_codes, code_dim) for _ in range(n_codebooks)]
        self.layers = nn.ModuleList(nn.ModuleDict({"_codebook": one}) for one in self._codebooks)
        self._library: list[Quantiser] = []  # in a list, for it is no part of this module

    @property
    def codebooks(self) -> Tensor:
        """Codes, (n_codebooks, n_codes, code_dim)."""
        return torch.cat([codebook.embed for codebook in self._codebooks])

    def forward(self, latent: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Quantise as `ResidualVQ` does.

        Raises:
            RuntimeError: If it is in training mode: what it learned would be lost.
        """
        if self.training:
            raise RuntimeError(
                "a tokenizer read from a file must be in evaluation mode; train a new one, and "
                "load the weights into it"
            )
        if not self._library:
            code_dim, n_codes, n_codebooks = self._sizes
            library = make_quantiser(code_dim=code_dim, n_codes=n_codes, n_codebooks=n_codebooks)
            library.eval()
            library.load_state_dict(self.state_dict())
            self._library.append(library)
        found: tuple[Tensor, Tensor, Tensor] = self._library[0](latent)
        return found


class _Codebook(nn.Module):
    embed: Tensor

    def __init__(self, n_codes: int, code_dim: int) -> None:
        super().__init__()
        self.register_buffer("initted", torch.tensor(False))
        self.register_buffer("cluster_size", torch.ones(1, n_codes))
        self.register_buffer("embed_avg", torch.zeros(1, n_codes, code_dim))
        self.register_buffer("embed", torch.zeros(1, n_codes, code_dim))


def make_quantiser(
    *,
    code_dim: int,
    n_codes: int,
    n_codebooks: int,
    levels: tuple[int, ...] = (),
    stored: bool = False,
) -> Quantiser:
    """Return an untrained quantiser of vectors (B, C, code_dim).

    Args:
        code_dim: Width of a code vector.
        n_codes: Codes per codebook.
        n_codebooks: Residual codebooks.
        levels: Values of each dimension of a grid of `n_codes` points, for `fsq`; none for `rvq`.
        stored: Whether trained weights are loaded into it, and it learns no further.
    """
    if stored and not levels:
        return StoredCodebooks(code_dim=code_dim, n_codes=n_codes, n_codebooks=n_codebooks)
    from vector_quantize_pytorch import ResidualFSQ, ResidualVQ

    if levels:
        # It reads its levels back while it is built, which a device without memory cannot do.
        with torch.device("cpu"):
            return ResidualFSQ(dim=code_dim, levels=list(levels), num_quantizers=n_codebooks)
    return ResidualVQ(
        dim=code_dim,
        codebook_size=n_codes,
        num_quantizers=n_codebooks,
        kmeans_init=True,
        kmeans_iters=10,
        decay=0.99,
        threshold_ema_dead_code=1,
        commitment_weight=1.0,
        # Where several processes train, each sees all vectors already (see `VQStream`).
        sync_codebook=False,
    )


def _is_grid(quantiser: Quantiser) -> bool:
    """Return whether it is a `ResidualFSQ`, which scales its grid from codebook to codebook."""
    return hasattr(quantiser, "scales")


def quantise(quantiser: Quantiser, latent: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Quantise vectors (B, C, code_dim).

    Returns:
        Their nearest sums of codes, same shape; the codes (B, C, n_codebooks), int64; the
        commitment loss, 0 for `fsq`.
    """
    drawn: dict[str, int] = {}
    if quantiser.training and quantiser.quantize_dropout:
        # As the library draws it; of several processes it would add the draws up.
        seed = torch.randint(0, 10_000, (), device=latent.device)
        drawn["rand_quantize_dropout_fixed_seed"] = int(seed)
    if _is_grid(quantiser):
        quantised, codes = quantiser(latent, **drawn)
        return quantised, codes.long(), latent.new_zeros(())
    quantised, codes, loss = quantiser(latent, **drawn)
    return quantised, codes, loss.sum()


@contextmanager
def fewer_codebooks(quantiser: Quantiser, *, dropped: bool) -> Iterator[None]:
    """Let a training quantiser leave out a random number of its finest codebooks, if `dropped`."""
    quantiser.quantize_dropout = dropped and quantiser.num_quantizers > 1
    try:
        yield
    finally:
        quantiser.quantize_dropout = False


def code_vectors(quantiser: Quantiser) -> Tensor:
    """Return what each code adds to a chunk vector, (n_codebooks, n_codes, code_dim).

    What all chunk vectors share (the offset of the projection of `fsq`) belongs to none of them.
    """
    books: Tensor = quantiser.codebooks  # (S, K, d)
    if _is_grid(quantiser):
        books = books * quantiser.scales[:, None]
        if quantiser.has_projections:
            books = books @ quantiser.project_out.weight.T
    return books


def look_up(quantiser: Quantiser, codes: Tensor) -> Tensor:
    """Return the chunk vectors (B, C, code_dim) of codes (B, C, n): those of the coarsest n."""
    books = code_vectors(quantiser)[: codes.shape[-1]]  # (n, K, D)
    vectors = sum_of_codes(books, codes)
    if _is_grid(quantiser) and quantiser.has_projections:
        vectors = vectors + quantiser.project_out.bias
    return vectors


def sum_of_codes(books: Tensor, codes: Tensor) -> Tensor:
    """Return the sum over codebooks (n, K, D) of the vectors that codes (B, C, n) name."""
    total = books[0][codes[..., 0]]
    for number in range(1, codes.shape[-1]):
        total = total + books[number][codes[..., number]]
    return total


def mix(quantiser: Quantiser, choices: Tensor) -> Tensor:
    """Return the chunk vectors (B, C, code_dim) of choices among codes (B, C, n, K).

    One-hot choices give what `look_up` does; others weigh the codes, with a gradient.
    """
    books = code_vectors(quantiser)  # (n, K, D)
    total = choices[..., 0, :] @ books[0]
    for number in range(1, choices.shape[-2]):
        total = total + choices[..., number, :] @ books[number]
    if _is_grid(quantiser) and quantiser.has_projections:
        total = total + quantiser.project_out.bias
    return total


def nearest_codes(quantiser: Quantiser, latent: Tensor, *, width: int) -> Tensor:
    """Return the codes (B, C, n_codebooks) of vectors (B, C, code_dim).

    Args:
        quantiser: A trained one.
        latent: Vectors to quantise.
        width: Of the search among sums of codes (`rvq`); a grid needs none.
    """
    if width == 1 or _is_grid(quantiser):
        return quantise(quantiser, latent)[1]
    return search_codes(code_vectors(quantiser), latent, width=width)


def search_codes(books: Tensor, latent: Tensor, *, width: int) -> Tensor:
    """Return the codes (B, C, n) whose sum is near `latent` (B, C, D): a beam search.

    The nearest coarse code is not always part of the nearest sum; the `width` best are followed.

    Args:
        books: Code vectors (n, K, D), coarse to fine.
        latent: Vectors to quantise.
        width: 1 takes the nearest code each time.
    """
    left = latent.reshape(-1, 1, latent.shape[-1])  # (N, beams, D), what is still to be said
    codes = left.new_zeros((len(left), 1, 0), dtype=torch.long)
    for book in books:
        # |left - code|^2
        cost = left.square().sum(-1, keepdim=True) - 2 * left @ book.T + book.square().sum(-1)
        best = cost.flatten(1).topk(min(width, cost[0].numel()), largest=False).indices  # (N, w)
        beam, code = best // len(book), best % len(book)
        left = left.take_along_dim(beam[..., None], 1) - book[code]
        codes = torch.cat([codes.take_along_dim(beam[..., None], 1), code[..., None]], dim=-1)
    return codes[:, 0].reshape(*latent.shape[:-1], len(books))
