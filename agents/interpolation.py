"""Weight interpolation between two policies: the way back from an improved one to its clone.

Policies that were trained from one clone lie in one basin: the weights between them make policies
between them (Wortsman et al. 2022, arXiv:2109.01903). One number then traces the whole front of
reward against divergence, where each strength of the KL term would take a training of its own
(WARP; Ramé et al. 2024, arXiv:2406.16768).
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import torch

from agents.weights import network_sizes
from esarm_env.core.errors import InputError

if TYPE_CHECKING:
    from agents.network.transformer import MotionTransformer


def interpolated(
    clone: MotionTransformer, improved: MotionTransformer, *, share: float
) -> MotionTransformer:
    """Return a network with the weights `(1 - share) clone + share improved`, ready to act.

    Distances of codes are interpolated as the weights are; at 0 and 1 it has the weights of the one
    or of the other, bit for bit.

    Args:
        clone: Where the training began.
        improved: Where it ended.
        share: In [0, 1].

    Raises:
        InputError: If `share` is out of range, or the networks differ in a size; the message names
            it.
    """
    check_alike(clone, improved)
    made = copy.deepcopy(clone)
    move_towards(made, improved, share=share)
    return made.eval()


def check_alike(clone: MotionTransformer, improved: MotionTransformer) -> None:
    """Check that two networks have the same sizes, so that their weights mean the same.

    Raises:
        InputError: If one differs.
    """
    ours, theirs = network_sizes(clone), network_sizes(improved)
    names = [name for name in ours if ours[name] != theirs[name]]
    if names:
        shown = ", ".join(f"`{name}` {theirs[name]} instead of {ours[name]}" for name in names)
        raise InputError(
            f"`improved` must have the sizes of `clone`, got {shown}; interpolate between a clone "
            "and what was trained from it"
        )


@torch.no_grad()
def move_towards(average: MotionTransformer, policy: MotionTransformer, *, share: float) -> None:
    """Move the weights of `average` towards those of `policy`, in place.

    Called once per iteration it makes `average` the exponential moving average of past policies,
    with weights `share (1 - share)^k`.

    Args:
        average: Is changed.
        policy: Of the same sizes.
        share: In [0, 1]: how much of the way.

    Raises:
        InputError: If `share` is out of range.
    """
    if not 0 <= share <= 1:
        raise InputError(f"`share` must be in [0, 1], got {share}")
    target = policy.state_dict()
    for name, weight in average.state_dict().items():
        weight.lerp_(target[name].to(weight), share)
