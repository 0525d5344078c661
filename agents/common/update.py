"""One update: a forward pass over whole sequences, its losses, and what keeps the step small.

Shape letters: N episodes, L tokens, K tokens to choose from.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from agents.common.buffer import EpisodeBatch
from agents.common.protocols import SequenceTask
from agents.transformer import MotionTransformer

LOSS_MEANS = ("token", "sequence")
KL_ERROR_LIMIT = 0.2
KL_ADAPTATION = 0.1
EARLY_STOP_FACTOR = 1.5


@dataclass(frozen=True)
class TokenTerms:
    """What one forward pass says of every token, each (N, L); padding holds anything.

    All distributions are those that tokens are sampled from: tempered.

    Attributes:
        log_probs: Of the tokens written, under the policy as it is now.
        values: Value estimates before each token.
        kl: Divergence of the policy from the reference, over all tokens to choose from.
        entropy: Of the policy.
    """

    log_probs: Tensor
    values: Tensor
    kl: Tensor
    entropy: Tensor


def token_terms(
    model: MotionTransformer,
    reference: MotionTransformer,
    task: SequenceTask,
    batch: EpisodeBatch,
    *,
    temperature: float = 1.0,
) -> TokenTerms:
    """Run `model` and the frozen `reference` over the sequences of `batch`.

    Args:
        model: The policy.
        reference: What its divergence is measured from.
        task: Gives audio.
        batch: Whole episodes.
        temperature: At which they were sampled; divides the logits of both.
    """
    windows = torch.from_numpy(task.audio_windows(batch.utterances))
    condition, tokens = torch.from_numpy(batch.condition), torch.from_numpy(batch.tokens)
    logits, values = model(windows, condition, tokens)  # (N, L, K), (N, L)
    with torch.no_grad():
        other, _ = reference(windows, condition, tokens)
    if temperature != 1:
        logits, other = logits / temperature, other / temperature
    now = logits.log_softmax(-1)
    log_probs = now.gather(2, tokens.clamp(min=0)[..., None])[..., 0]  # (N, L)
    # The exact divergence over all tokens: no sampling noise, and never negative.
    kl = functional.kl_div(other.log_softmax(-1), now, reduction="none", log_target=True)
    return TokenTerms(log_probs, values, kl.sum(-1), -(now.exp() * now).sum(-1))


def mean_of_tokens(per_token: Tensor, batch: EpisodeBatch, *, loss_mean: str) -> Tensor:
    """Return the mean of `per_token` (N, L) without its padding, a scalar.

    Args:
        per_token: Shape (N, L).
        batch: The episodes, which know where padding is.
        loss_mean: `"token"` weighs every token alike, so long utterances count for more;
            `"sequence"` takes each episode's mean first, so that all episodes count alike.
    """
    inside = torch.from_numpy(batch.inside)
    if loss_mean == "token":
        return per_token[inside].mean()
    sums = torch.where(inside, per_token, 0).sum(1)  # (N,)
    return (sums / torch.from_numpy(batch.lengths)).mean()


@dataclass(frozen=True)
class LossWeights:
    """How the losses of a minibatch are put together.

    Attributes:
        vf_coef: Weight of the squared error of the values.
        kl_coef: Weight of the divergence from the reference.
        ent_coef: Weight of the entropy, which is a bonus.
        loss_mean: See `mean_of_tokens`.
    """

    vf_coef: float
    kl_coef: float
    ent_coef: float
    loss_mean: str


def combined_loss(
    batch: EpisodeBatch, terms: TokenTerms, policy_loss: Tensor, weights: LossWeights
) -> tuple[Tensor, dict[str, float]]:
    """Return the loss to step on and its parts, unweighted, by name.

    Args:
        batch: Episodes with returns.
        terms: From `token_terms`.
        policy_loss: Shape (N, L).
        weights: Of the parts.
    """
    per_token = {
        "policy_loss": policy_loss,
        "value_loss": (terms.values - torch.from_numpy(batch.returns)).square(),
        "kl": terms.kl,
        "entropy": terms.entropy,
    }
    means = {
        name: mean_of_tokens(part, batch, loss_mean=weights.loss_mean)
        for name, part in per_token.items()
    }
    loss = (
        means["policy_loss"]
        + weights.vf_coef * means["value_loss"]
        + weights.kl_coef * means["kl"]
        - weights.ent_coef * means["entropy"]
    )
    return loss, {name: mean.item() for name, mean in means.items()}


def clipped_surrogate(batch: EpisodeBatch, log_probs: Tensor, *, clip_range: float) -> Tensor:
    """Return PPO's clipped loss per token, (N, L) (Schulman et al. 2017, eq. 7).

    Args:
        batch: Episodes with advantages and the log-probabilities they were written with.
        log_probs: Shape (N, L), of the same tokens now.
        clip_range: How far a ratio counts on the side where it gains.
    """
    advantages = torch.from_numpy(batch.advantages)
    ratio = (log_probs - torch.from_numpy(batch.log_probs)).exp()
    clipped = ratio.clamp(1 - clip_range, 1 + clip_range)
    return -torch.minimum(ratio * advantages, clipped * advantages)


def ratio_figures(batch: EpisodeBatch, log_probs: Tensor) -> dict[str, float]:
    """Return how far the policy has moved from the one that wrote `batch`.

    `ratio_error` is the largest distance of a token's probability ratio from 1; `approx_kl` the
    mean of (ratio - 1) - log(ratio), Stable-Baselines3's estimate of the divergence.
    """
    inside = torch.from_numpy(batch.inside)
    log_ratio = (log_probs.detach() - torch.from_numpy(batch.log_probs))[inside]
    ratio = log_ratio.exp()
    return {
        "ratio_error": (ratio - 1).abs().max().item(),
        "approx_kl": ((ratio - 1) - log_ratio).mean().item(),
    }


def has_moved_too_far(approx_kl: float, target_kl: float | None) -> bool:
    """Return whether to skip what is left of an iteration: over 1.5 times the target, as SB3."""
    return target_kl is not None and approx_kl > EARLY_STOP_FACTOR * target_kl


def adapted_kl_coef(kl_coef: float, *, kl: float, kl_target: float) -> float:
    """Return the next iteration's coefficient of the divergence from the reference.

    Proportional controller in log space (Ziegler et al. 2019, arXiv:1909.08593, section 2.2, with
    RL4LMs' step of 0.1): the relative error is clipped to ±0.2, so one iteration changes the
    coefficient by at most 2 %.

    Args:
        kl_coef: Coefficient of the iteration that is over.
        kl: Its mean divergence per token, in nats.
        kl_target: The divergence to hold, above 0.
    """
    error = float(np.clip(kl / kl_target - 1, -KL_ERROR_LIMIT, KL_ERROR_LIMIT))
    return kl_coef * (1 + KL_ADAPTATION * error)
