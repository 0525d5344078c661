"""Answers of recordings to what a policy samples: where the teaching clone may come from.

A clone has seen what comes after what was recorded, and never what comes after its own mistakes.
Asked at its own samples, a recording says which code is best from there, and the policy learns that
(DAgger, Ross et al. 2011). It then expects better what a face will do, and so is a better teacher.

Shape letters: N episodes, L tokens, K tokens to choose from.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

import torch

from agents.common.update import to_tensor_like
from agents.distillation.losses import fit, mean_inside
from agents.protocols import RecordedTask
from esarm_env.core.errors import InputError
from esarm_env.core.training.replicas import Part

if TYPE_CHECKING:
    from torch import Tensor

    from agents.protocols import SequenceTask
    from agents.rollout.buffer import EpisodeBatch


def check_answers(task: SequenceTask) -> None:
    """Check that there are recordings to ask.

    Raises:
        InputError: If not.
    """
    if not hasattr(task, "answers") or not hasattr(task, "token_streams"):
        raise InputError(
            "`answers_iterations` must be 0 where the task has no recordings that answer "
            f"(`answers`), got {task!r:.200}"
        )


def answers_loss(
    logits: Tensor, batch: EpisodeBatch, task: SequenceTask, *, part: Part | None = None
) -> Tensor:
    """Return the mean cross-entropy in nats of what recordings answer, a scalar.

    Args:
        logits: Shape (N, L, K), of the policy, after its own samples.
        batch: The samples.
        task: Has the recordings.
        part: Which samples of a minibatch these are: the share of the mean over all of it is
            returned. None if they are all.
    """
    asked = cast(RecordedTask, task)
    answers = to_tensor_like(asked.answers(batch.utterances, batch.tokens), logits)  # (N, L)
    coarse = coarse_slots(asked.token_streams).to(logits.device)
    inside = to_tensor_like(batch.inside, logits)
    counted = inside & coarse.repeat(inside.shape[1] // len(coarse))
    return mean_inside(fit(logits, answers, temperature=1.0), counted, part or Part(len(batch)))


def coarse_slots(token_streams: Sequence[str]) -> Tensor:
    """Return which slots of a chunk are not the finest of a stream that has several, bool.

    The finest code mends what coarser ones missed. Where these are far off, the best one lies at
    the edge of its codebook, and a policy that learned to write such codes would write noise.

    Args:
        token_streams: The stream of each slot, coarse codebooks first.
    """
    streams = list(token_streams)
    finest = [
        streams.count(name) > 1 and name not in streams[slot + 1 :]
        for slot, name in enumerate(streams)
    ]
    return ~torch.tensor(finest)
