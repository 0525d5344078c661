"""One forward pass over whole sequences: what it leaves out, and what precision costs it."""

from __future__ import annotations

import numpy as np
import torch

from agents.common.update import LossWeights, combined_loss, token_terms
from agents.network.acceleration import Acceleration
from agents.network.transformer import MotionTransformer
from agents.protocols import SequenceTask
from agents.rollout.buffer import EpisodeBatch


def _recorded(task: SequenceTask) -> EpisodeBatch:
    """Return the recordings of all utterances as episodes."""
    utterances = np.arange(len(task.lengths))
    tokens = task.demonstrations(utterances)
    nothing = np.zeros(tokens.shape, dtype=np.float32)
    return EpisodeBatch(
        utterances=utterances,
        condition=task.condition_of(utterances),
        tokens=tokens,
        lengths=task.lengths[utterances],
        log_probs=nothing,
        values=nothing,
        scores=nothing[:, 0],
        advantages=nothing,
        returns=nothing,
    )


def test_without_a_reference_there_is_no_divergence(
    model: MotionTransformer, task: SequenceTask
) -> None:
    """A weight of 0 must save the reference's pass, and change nothing else."""
    batch = _recorded(task)
    with_it, without = (token_terms(model, each, task, batch) for each in (model, None))
    assert without.kl is None and with_it.kl is not None
    for name in ("log_probs", "values", "entropy"):
        assert torch.equal(getattr(without, name), getattr(with_it, name))
    weights = LossWeights(vf_coef=0.5, kl_coef=0.0, ent_coef=0.1, loss_mean="token")
    losses = [combined_loss(batch, terms, terms.log_probs, weights) for terms in (with_it, without)]
    assert torch.equal(losses[0][0], losses[1][0])
    assert "kl" in losses[0][1] and "kl" not in losses[1][1]


def test_half_precision_updates_stay_within_the_stated_tolerance(
    model: MotionTransformer, task: SequenceTask
) -> None:
    """Softmax and losses in bfloat16 would be off by far more than its products are."""
    batch = _recorded(task)
    exact = token_terms(model, model, task, batch)
    rough = token_terms(model, model, task, batch, acceleration=Acceleration(bf16=True))
    assert rough.log_probs.dtype == rough.values.dtype == torch.float32
    assert not torch.equal(rough.log_probs, exact.log_probs)
    tolerance = Acceleration(bf16=True).tolerance
    torch.testing.assert_close(rough.log_probs, exact.log_probs, atol=tolerance, rtol=0)
