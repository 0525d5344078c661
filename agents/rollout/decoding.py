"""Decoding: the choice of a token from logits (greedy, expected distance, sampling, beam, epsilon).

The median of several samples is taken of whole animations (`agents.rollout.animation`).

Expected-distance decoding is minimum Bayes risk per token (Kumar and Byrne 2004): it writes the
code that looks least wrong on average, `argmin_a sum_b pi(b | history) D[a, b]`, D the distances of
decoded codes in mm that a cloned network carries (`MotionTransformer.code_distances`). It costs a
small matrix product a token, and no training.

Shape letters: B rows, K tokens to choose from.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from esarm_env.core.errors import InputError

if TYPE_CHECKING:
    from agents.network.transformer import MotionTransformer

GREEDY = 0.0
COLDEST = 1e-3
GREEDILY, BY_DISTANCE, SAMPLED, BY_BEAM = "greedy", "expected-distance", "sampled", "beam"
BY_MEDIAN = "median"


@dataclass(frozen=True)
class Decoding:
    """How actions are chosen.

    Attributes:
        temperature: 0 takes the most likely token, 1 samples from the policy.
        epsilon: With this probability a token is drawn uniformly instead (D-REX).
        top_k: Sample from this many of the likeliest tokens alone; 0 from all.
        top_p: Sample from the fewest likeliest tokens that hold this share of probability (Holtzman
            et al. 2020), after `top_k`; 1 from all.
        expected_distance: Whether to take the token of least expected distance to what the policy
            would write, in place of the most likely one.
        beam: Hypotheses of a beam search for the most likely sequence; 0 searches none.
        median_of: Samples at `temperature` whose median, frame by frame and curve by curve, is
            written; 0 takes none.
    """

    temperature: float = GREEDY
    epsilon: float = 0.0
    top_k: int = 0
    top_p: float = 1.0
    expected_distance: bool = False
    beam: int = 0
    median_of: int = 0

    def __post_init__(self) -> None:
        """Check all ranges, and that the settings do not contradict each other."""
        # Dividing by less than this overflows; it is greedy to any purpose.
        if self.temperature != GREEDY and not self.temperature >= COLDEST:
            raise ValueError(
                f"`temperature` must be 0 (greedy) or at least {COLDEST}, got {self.temperature}"
            )
        if not 0 <= self.epsilon <= 1:
            raise ValueError(f"`epsilon` must be in [0, 1], got {self.epsilon}")
        for name in ("top_k", "beam", "median_of"):
            count = getattr(self, name)
            if isinstance(count, bool) or not isinstance(count, int) or count < 0:
                raise ValueError(f"`{name}` must be a whole number of at least 0, got {count!r}")
        if not 0 < self.top_p <= 1:
            raise ValueError(f"`top_p` must be above 0 and at most 1, got {self.top_p}")
        self._check_together()

    def _check_together(self) -> None:
        if self.expected_distance and self.beam:
            raise ValueError(
                "`expected_distance` and `beam` must not both be set, got True and "
                f"{self.beam}: the one chooses token by token, the other whole sequences"
            )
        if self.temperature == GREEDY and self.truncates:
            raise ValueError(
                "`top_k` and `top_p` must be left out where nothing is sampled (`temperature` 0), "
                f"got {self.top_k} and {self.top_p}"
            )
        without_chance = "expected_distance" if self.expected_distance else "beam"
        if self.temperature != GREEDY and (self.expected_distance or self.beam):
            raise ValueError(
                f"`temperature` must be 0 where `{without_chance}` chooses, got {self.temperature}"
            )
        if self.median_of and self.temperature == GREEDY:
            raise ValueError(
                f"`temperature` must be above 0 for a median of {self.median_of} samples, got 0: "
                "all would be the same"
            )
        if self.epsilon and self.median_of:
            raise ValueError(
                f"`epsilon` must be 0 with `median_of`, got {self.epsilon}: it would leave the "
                "median as it is"
            )
        if self.epsilon and self.beam:
            raise ValueError(
                f"`epsilon` must be 0 where `beam` chooses, got {self.epsilon}: what is drawn at "
                "random is not searched for"
            )

    @property
    def truncates(self) -> bool:
        """Whether unlikely tokens are left out of sampling."""
        return self.top_k > 0 or self.top_p < 1

    @property
    def name(self) -> str:
        """The name it is asked for by: `greedy`, `expected-distance`, `sampled`, ..."""
        if self.median_of:
            return BY_MEDIAN
        if self.beam:
            return BY_BEAM
        if self.expected_distance:
            return BY_DISTANCE
        return GREEDILY if self.temperature == GREEDY else SAMPLED


def distance_table(model: MotionTransformer) -> Tensor:
    """Return the distances of a network's codes by slot, (tokens_per_chunk, K, K), in mm.

    A slot whose codes all look alike, for instance of a region that was never recorded, gets 1
    everywhere off the diagonal: its least expected distance is the most likely token.

    Raises:
        InputError: If the network knows no distances.
    """
    table = model.code_distances
    known = table.flatten(1).any(dim=1)  # by slot
    if not bool(known.any()):
        raise InputError(
            "`decoding` must not be by expected distance where the policy knows no distances of "
            "codes, as those of older versions and of tasks without a decoder; decode greedily, "
            "clone again, or call `model.set_code_distances(task.code_distances)` with its task"
        )
    if bool(known.all()):
        return table
    apart = 1 - torch.eye(table.shape[1]).to(table)
    return torch.where(known[:, None, None], table, apart)


def least_expected_distance(logits: Tensor, distances: Tensor) -> Tensor:
    """Return the token of least expected distance per row, shape (B,).

    Args:
        logits: Shape (B, K).
        distances: Shape (K, K), or (B, K, K) where rows are at different slots; symmetric.
    """
    chances = logits.to(distances.dtype).softmax(-1)
    return torch.matmul(chances[:, None], distances)[:, 0].argmin(-1)


def sampling_logits(logits: Tensor, decoding: Decoding) -> Tensor:
    """Return the logits that sampling draws from: tempered, -inf for what is left out.

    Args:
        logits: Shape (..., K).
        decoding: Its temperature is above 0.
    """
    if not decoding.truncates:
        return logits if decoding.temperature == 1 else logits / decoding.temperature
    # In half precision the smallest set of `top_p` would be another one than in `write`.
    exact = logits.to(torch.promote_types(logits.dtype, torch.float32)) / decoding.temperature
    ordered, order = exact.sort(dim=-1, descending=True, stable=True)
    left_out = torch.zeros_like(ordered, dtype=torch.bool)
    if decoding.top_k:
        left_out[..., decoding.top_k :] = True
    if decoding.top_p < 1:
        chances = ordered.masked_fill(left_out, -torch.inf).softmax(-1)
        before = chances.cumsum(-1) - chances  # what likelier tokens hold
        left_out[..., 1:] |= before[..., 1:] >= decoding.top_p
    dropped = torch.zeros_like(left_out).scatter(-1, order, left_out)
    return exact.masked_fill(dropped, -torch.inf)


def choose(
    logits: Tensor, decoding: Decoding, noise: Tensor, distances: Tensor | None = None
) -> Tensor:
    """Choose a token per row of `logits`, shape (B,).

    Args:
        logits: Shape (B, K).
        decoding: How; a beam search chooses elsewhere (`agents.rollout.beam`).
        noise: Shape (3, B), uniform numbers.
        distances: As of `least_expected_distance`, for decoding by expected distance.
    """
    n_tokens = logits.shape[-1]
    if decoding.expected_distance:
        assert distances is not None, "`distance_table` gives them"
        chosen = least_expected_distance(logits, distances)
    elif decoding.temperature == GREEDY:
        chosen = logits.argmax(-1)
    else:
        chosen = _sample(sampling_logits(logits, decoding), noise[2], decoding)
    if decoding.epsilon == 0:
        return chosen
    random = (noise[1] * n_tokens).long().clamp(max=n_tokens - 1)
    return torch.where(noise[0] < decoding.epsilon, random, chosen)


def _sample(logits: Tensor, noise: Tensor, decoding: Decoding) -> Tensor:
    """Draw a token per row of `logits` (B, K) with `noise` (B,), uniform."""
    cumulative = logits.softmax(-1).cumsum(-1)
    if not decoding.truncates:
        # Rounding may leave the sum just below 1: never step past the last token.
        return (cumulative < noise[:, None]).sum(-1).clamp(max=logits.shape[-1] - 1)
    # Nor on one that is left out: past the last of those that are not nothing is added any more.
    chosen = (cumulative <= noise[:, None]).sum(-1)
    return torch.minimum(chosen, cumulative.argmax(-1))
