"""Code geometry: token weights that begin where codes that look alike have alike weights.

A vocabulary of motion tokens is no list of words: codes lie in a space, and what was learned of one
holds for its neighbours. The network knows how far apart they look (`code_distances`); classical
multidimensional scaling (Torgerson 1952) gives coordinates with those distances, and both the
embedding of a token and its row of logits begin as random linear maps of them. That saves about two
epochs in nine, and ends lower.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from agents.network.transformer import MotionTransformer

DIMENSIONS = 32
# Spread of the parts that follow the looks, and what is left of the random ones. Chosen by the
# validation loss of a clone of nine epochs.
_LOGITS_SPREAD, _INPUT_SPREAD, _RANDOM_SHARE = 0.06, 0.3, 0.3


def code_coordinates(distances: Tensor, *, dimensions: int = DIMENSIONS) -> Tensor:
    """Return coordinates of codes, (K, dimensions), whose distances are about those given.

    They are centred, of unit mean square length, the widest axis first; all 0 where all codes look
    alike. Axes beyond the K - 1 that there can be are 0. A cost of missing at all, which all pairs
    share and which outweighs their differences, is taken off first.

    Args:
        distances: Shape (K, K), symmetric.
        dimensions: How many.
    """
    n_codes = len(distances)
    apart = ~torch.eye(n_codes, dtype=torch.bool)
    if n_codes > 1:
        shared, most = distances[apart].min(), distances[apart].max()
        if shared > most - shared and most > shared:
            distances = (distances - shared) * apart
    centring = torch.eye(n_codes, dtype=torch.float64) - 1 / n_codes
    products = -0.5 * centring @ distances.double().square() @ centring  # (K, K)
    values, axes = torch.linalg.eigh(products)  # ascending
    kept = min(dimensions, n_codes)
    spread = values.flip(0)[:kept].clamp(min=0).sqrt()
    coordinates = axes.flip(1)[:, :kept] * spread
    # Eigenvectors are known up to their sign; a rule makes them the same on every machine.
    largest = coordinates.abs().argmax(0, keepdim=True)
    coordinates = coordinates * coordinates.gather(0, largest).sign()
    scale = coordinates.square().sum(1).mean().sqrt()
    found = torch.zeros(n_codes, dimensions)
    if float(scale) > 0:
        found[:, :kept] = (coordinates / scale).float()
    return found


@torch.no_grad()
def start_from_looks(model: MotionTransformer) -> None:
    """Let the weights of tokens of an untrained network begin from `model.code_distances`.

    Slots whose codes all look alike, or whose distances are not known, keep their random weights.
    Draws from torch's global random numbers.

    Args:
        model: Weights of tokens are changed in place.
    """
    width, n_tokens = model.config.width, model.config.n_tokens
    for slot, distances in enumerate(model.code_distances):
        coordinates = code_coordinates(distances.cpu()).to(distances)
        to_logits = torch.randn(width, DIMENSIONS).to(distances)
        to_input = torch.randn(DIMENSIONS, width).to(distances)
        if not bool(coordinates.any()):
            continue
        logits = model.to_logits[slot]  # (H, K)
        logits.mul_(_RANDOM_SHARE).add_(to_logits @ coordinates.T, alpha=_LOGITS_SPREAD)
        rows = model.to_token_input.weight[slot * n_tokens : (slot + 1) * n_tokens]  # (K, H)
        rows.mul_(_RANDOM_SHARE).add_(coordinates @ to_input, alpha=_INPUT_SPREAD)
