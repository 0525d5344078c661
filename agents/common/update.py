"""Parts of a policy update: combined loss, KL penalty and its adaptive coefficient, ratio checks.

Shape letters: N episodes, L tokens, K tokens to choose from.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from agents.network.acceleration import PLAIN, Acceleration
from esarm_env.core.training.replicas import Part, part_of

if TYPE_CHECKING:
    from torch import nn
    from torch.optim import Optimizer

    from agents.protocols import SequenceTask
    from agents.rollout.buffer import EpisodeBatch

Forward = Callable[[Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]

CPU = torch.device("cpu")
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
        entropy: Of the policy.
        kl: Divergence of the policy from the reference, over all tokens to choose from; None where
            it is not asked for.
    """

    log_probs: Tensor
    values: Tensor
    entropy: Tensor
    kl: Tensor | None


def token_terms(
    model: Forward,
    reference: Forward | None,
    task: SequenceTask,
    batch: EpisodeBatch,
    *,
    temperature: float = 1.0,
    device: torch.device = CPU,
    acceleration: Acceleration = PLAIN,
) -> TokenTerms:
    """Run `model` and the frozen `reference` over the sequences of `batch`.

    Args:
        model: The policy.
        reference: What its divergence is measured from; None leaves that out.
        task: Gives audio.
        batch: Whole episodes.
        temperature: At which they were sampled; divides the logits of both.
        device: Where the networks are.
        acceleration: What may be traded for speed.
    """
    arrays = (task.audio_windows(batch.utterances), batch.condition, batch.tokens)
    windows, condition, tokens = (torch.from_numpy(array).to(device) for array in arrays)
    with acceleration.autocast(device):
        logits, values = model(windows, condition, tokens)  # (N, L, K), (N, L)
    now = (logits.float() / temperature).log_softmax(-1)
    log_probs = now.gather(2, tokens.clamp(min=0)[..., None])[..., 0]  # (N, L)
    entropy = -(now.exp() * now).sum(-1)
    if reference is None:
        return TokenTerms(log_probs, values.float(), entropy, None)
    with torch.no_grad(), acceleration.autocast(device):
        other, _ = reference(windows, condition, tokens)
    then = (other.float() / temperature).log_softmax(-1)
    # The exact divergence over all tokens: no sampling noise, and never negative.
    kl = functional.kl_div(then, now, reduction="none", log_target=True).sum(-1)
    return TokenTerms(log_probs, values.float(), entropy, kl)


def to_tensor_like(array: np.ndarray, tensor: Tensor) -> Tensor:
    """Return `array` as a tensor where `tensor` is; on a CPU they share the memory."""
    return torch.from_numpy(array).to(tensor.device)


def mean_of_tokens(per_token: Tensor, batch: EpisodeBatch, *, loss_mean: str) -> Tensor:
    """Return the mean of `per_token` (N, L) without its padding, a scalar.

    Args:
        per_token: Shape (N, L).
        batch: The episodes, which know where padding is.
        loss_mean: `"token"` weighs every token alike, so long utterances count for more;
            `"sequence"` takes each episode's mean first, so that all episodes count alike.
    """
    inside = to_tensor_like(batch.inside, per_token)
    if loss_mean == "token":
        return per_token[inside].mean()
    sums = torch.where(inside, per_token, 0).sum(1)  # (N,)
    return (sums / to_tensor_like(batch.lengths, sums)).mean()


class OwnEpisodes:
    """Those episodes of a minibatch that this process computes: all, where there is but one.

    Attributes:
        part: Which they are.
        batch: The episodes.
    """

    def __init__(self, whole: EpisodeBatch) -> None:
        """Share out the minibatch `whole`."""
        self.part = part_of(len(whole))
        self.batch, self._whole = whole.rows(self.part.rows), whole

    def share_of_mean(self, loss_mean: str) -> float:
        """Return what turns a mean over these into its share of that over the minibatch.

        Args:
            loss_mean: See `mean_of_tokens`.
        """
        if loss_mean == "token":
            return self.part.scale(int(self.batch.lengths.sum()), int(self._whole.lengths.sum()))
        return self.part.scale(len(self.batch), len(self._whole))

    def summed(self, loss: Tensor, figures: Mapping[str, float]) -> tuple[Tensor, dict[str, float]]:
        """Return the loss and the figures of the minibatch, given the shares of these episodes."""
        total = "total loss"
        summed = self.part.sums({total: loss.item(), **figures})
        return torch.tensor(summed.pop(total)), summed

    def step_down(
        self, loss: Tensor, optimizer: Optimizer, trained: list[nn.Parameter], most: float
    ) -> Tensor:
        """Take one step down the loss of the minibatch; return the norm of its gradient.

        Args:
            loss: The share of these episodes.
            optimizer: Of the weights; takes no step where the norm is not finite.
            trained: Weights to step with.
            most: What the norm is clipped to.
        """
        # What has no gradient, not even one of 0, is left alone by the optimiser.
        optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss, inputs=trained)
        self.part.sum_gradients(trained)
        norm = torch.nn.utils.clip_grad_norm_(trained, most)
        if torch.isfinite(norm):
            optimizer.step()
        return norm


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
        "value_loss": (terms.values - to_tensor_like(batch.returns, terms.values)).square(),
        "entropy": terms.entropy,
    }
    if terms.kl is not None:
        per_token["kl"] = terms.kl
    means = {
        name: mean_of_tokens(part, batch, loss_mean=weights.loss_mean)
        for name, part in per_token.items()
    }
    loss = (
        means["policy_loss"]
        + weights.vf_coef * means["value_loss"]
        - weights.ent_coef * means["entropy"]
    )
    if terms.kl is not None:
        loss = loss + weights.kl_coef * means["kl"]
    return loss, {name: mean.item() for name, mean in means.items()}


def clipped_surrogate(batch: EpisodeBatch, log_probs: Tensor, *, clip_range: float) -> Tensor:
    """Return PPO's clipped loss per token, (N, L) (Schulman et al. 2017, eq. 7).

    Args:
        batch: Episodes with advantages and the log-probabilities they were written with.
        log_probs: Shape (N, L), of the same tokens now.
        clip_range: How far a ratio counts on the side where it gains.
    """
    advantages = to_tensor_like(batch.advantages, log_probs)
    ratio = (log_probs - to_tensor_like(batch.log_probs, log_probs)).exp()
    clipped = ratio.clamp(1 - clip_range, 1 + clip_range)
    return -torch.minimum(ratio * advantages, clipped * advantages)


def ratio_figures(
    batch: EpisodeBatch, log_probs: Tensor, *, part: Part | None = None
) -> dict[str, float]:
    """Return how far the policy has moved from the one that wrote `batch`.

    `ratio_error` is the largest distance of a token's probability ratio from 1; `approx_kl` the
    mean of (ratio - 1) - log(ratio), Stable-Baselines3's estimate of the divergence.

    Args:
        batch: Episodes with the log-probabilities they were written with.
        log_probs: Shape (N, L), of the same tokens now.
        part: Which episodes of a minibatch these are: the figures are those of all of it.
    """
    part = part or Part(len(batch))
    inside = to_tensor_like(batch.inside, log_probs)
    log_ratio = (log_probs.detach() - to_tensor_like(batch.log_probs, log_probs))[inside]
    ratio = log_ratio.exp()
    share = part.scale(int(batch.lengths.sum()))
    moved = ((ratio - 1) - log_ratio).mean().item() * share
    return {
        "ratio_error": part.largest((ratio - 1).abs().max().item()),
        "approx_kl": part.sums({"approx_kl": moved})["approx_kl"],
    }


def has_moved_too_far(approx_kl: float, target_kl: float | None) -> bool:
    """Return whether to skip what is left of an iteration: over 1.5 times the target, as SB3."""
    return target_kl is not None and approx_kl > EARLY_STOP_FACTOR * target_kl


def adapted_kl_coef(kl_coef: float, *, kl: float, target: float) -> float:
    """Return the next iteration's coefficient of the divergence from the reference.

    Proportional controller in log space (Ziegler et al. 2019, arXiv:1909.08593, section 2.2, with
    RL4LMs' step of 0.1): the relative error is clipped to ±0.2, so one iteration changes the
    coefficient by at most 2 %.

    Args:
        kl_coef: Coefficient of the iteration that is over.
        kl: Its mean divergence per token, in nats.
        target: The divergence to hold, above 0.
    """
    error = float(np.clip(kl / target - 1, -KL_ERROR_LIMIT, KL_ERROR_LIMIT))
    return kl_coef * (1 + KL_ADAPTATION * error)
