"""Scores with a gradient to the tokens: which terms of a sum have one, and their weighted sum.

The decoder and a learned reward are differentiable, so a policy can be told by each token what it
did to the score (`agents.SequenceDiffReward`). Rewards in numpy alone cannot tell.

Shape letters: N animations, L tokens, K tokens to choose from.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, cast

from esarm_env.core.errors import InputError
from esarm_env.core.types import DifferentiableReward, DifferentiableScores
from esarm_env.rewards.validation import RewardError

if TYPE_CHECKING:
    from torch import Tensor

    from esarm_env.core.types import FloatArray, IntArray, RewardFunction


def terms_without_gradient(
    functions: Mapping[str, RewardFunction], weights: Mapping[str, float]
) -> tuple[str, ...]:
    """Return the names of the terms that count and have no gradient (a weight of 0 needs none)."""
    return tuple(
        name
        for name, function in functions.items()
        if weights[name] and not hasattr(function, "differentiable_score")
    )


def differentiable_sum(
    functions: Mapping[str, RewardFunction],
    weights: Mapping[str, float],
    choices: Tensor,
    utterances: IntArray,
    lengths: IntArray,
    condition: FloatArray,
) -> DifferentiableScores:
    """Return the weighted sum of terms with its gradient; spreads add up, whatever their weight.

    Args:
        functions: Terms by name.
        weights: Of each.
        choices: Shape (N, L, K), one-hot in value.
        utterances: Shape (N,).
        lengths: Shape (N,).
        condition: Shape (N, condition_dim).

    Raises:
        InputError: If a term that counts has no gradient; the message names it.
        RewardError: If a term's scores have another shape than (N,).
    """
    silent = terms_without_gradient(functions, weights)
    if silent:
        raise InputError(without_gradient(silent))
    score = choices.new_zeros(len(choices))
    spread = choices.new_zeros(len(choices))
    for name, function in functions.items():
        if weights[name]:
            asked = cast("DifferentiableReward", function)
            told = asked.differentiable_score(choices, utterances, lengths, condition)
            _check_shapes(name, told, n=len(choices))
            score = score + weights[name] * told.score
            spread = spread + abs(weights[name]) * told.spread
    return DifferentiableScores(score, spread)


def without_gradient(names: Sequence[str]) -> str:
    """Return in words that the terms called `names` have no gradient, and what has one."""
    return (
        f"`reward` must have a gradient to the tokens in every term that counts, got {list(names)} "
        "without `differentiable_score`; take `learned`, `ensemble`, `accuracy`, `lve` or `eve`, "
        "give such a term the weight 0 to watch it only, or use another algorithm, such as `ppo`"
    )


def _check_shapes(name: str, told: DifferentiableScores, *, n: int) -> None:
    for part in ("score", "spread"):
        shape = tuple(getattr(told, part).shape)
        if shape != (n,):
            raise RewardError(
                f"the differentiable {part} of reward {name!r} must have shape ({n},), got {shape}"
            )
