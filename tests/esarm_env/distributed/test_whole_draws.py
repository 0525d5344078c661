"""Random numbers of a part are those that one process draws for the whole minibatch."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from esarm_env.distributed.whole_draws import WholeDraws

N_ROWS = 5
_LAYER = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.3, batch_first=True, norm_first=True)
_NETWORK = nn.TransformerEncoder(_LAYER, 2, enable_nested_tensor=False)


def _drawn(x: Tensor) -> list[Tensor]:
    """Return what depends on each kind of draw of ours, by row of x (N, L, D)."""
    mask = nn.Transformer.generate_square_subsequent_mask(x.shape[1])
    noisy = x + torch.randn(x.shape) * (torch.rand(len(x), 1) < 0.5)[..., None]
    hidden = _NETWORK(noisy, mask=mask, is_causal=True)
    heads = hidden.view(len(x), x.shape[1], 2, 4).transpose(1, 2)
    mixed = functional.scaled_dot_product_attention(
        heads, heads, heads, is_causal=True, dropout_p=0.4
    )
    tokens = torch.multinomial(hidden.softmax(-1).flatten(0, 1), 1).view(x.shape[:2])
    others = torch.randint(9, tokens.shape)
    gumbel = torch.empty(x.shape).exponential_(generator=torch.Generator().manual_seed(3))
    return [hidden, mixed, tokens, others, gumbel, torch.rand(()).expand(len(x))]


@pytest.mark.parametrize(("count", "number"), [(2, 0), (2, 1), (3, 2), (5, 4)])
def test_a_part_draws_what_the_whole_draws_for_its_rows(count: int, number: int) -> None:
    """Dropout of its own would be training all right, only never that of one process."""
    x = torch.randn(N_ROWS, 7, 8, generator=torch.Generator().manual_seed(0))
    rows = slice(number, None, count)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        whole, after = _drawn(x), torch.get_rng_state()
        torch.manual_seed(1)
        with WholeDraws(N_ROWS, rows):
            own = _drawn(x[rows])
        assert torch.equal(torch.get_rng_state(), after), "the next draw would differ"
    for ours, of_all in zip(own, whole, strict=True):
        torch.testing.assert_close(ours, of_all[rows], atol=1e-5, rtol=1e-5)


def test_both_halves_of_pairs_are_parts_of_their_own() -> None:
    """Rows stand in two blocks where the first clips of all pairs come before the second ones."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        whole = functional.dropout(torch.ones(2 * 3, 4), 0.5)
        torch.manual_seed(1)
        with WholeDraws(3, slice(1, None, 2), blocks=2):
            own = functional.dropout(torch.ones(2 * 1, 4), 0.5)
    assert torch.equal(own, whole[[1, 4]])
