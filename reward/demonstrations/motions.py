"""Motion of demonstrations: decoded, and damaged again exactly as before."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from esarm_env.core.types import FloatArray, IntArray, Trajectories
from reward.demonstrations.corruptions import (
    Context,
    Donors,
    Family,
    PolicyFamily,
    TokenFamily,
    family_named,
    row_rng,
)
from reward.demonstrations.provenance import RECORDING

if TYPE_CHECKING:
    from esarm_env.task.animation_task import AnimationTask
    from reward.demonstrations.ranked import RankedDemonstrations


def motions_of(
    demonstrations: RankedDemonstrations, task: AnimationTask, *, donors: Donors | None = None
) -> list[FloatArray]:
    """Return the motion of every demonstration, each (T_i, 52), as long as its utterance.

    The same demonstrations give the same motion, whichever others are asked for beside them.

    Args:
        demonstrations: N animations.
        task: Of the corpus and tokenizer that they were made with.
        donors: Of `task`, to be used again where this is called often; by default new ones.

    Raises:
        InputError: If a corruption family is unknown.
    """
    donors = Donors(task) if donors is None else donors
    families = [_family_of(name) for name in demonstrations.making.family.tolist()]
    recorded = demonstrations.making.origin == RECORDING
    decoded = _decoded(demonstrations, task, families, donors)
    motions = []
    for row, family in enumerate(families):
        utterance = int(demonstrations.utterance[row])
        whole = task.corpus[utterance].motion.copy() if recorded[row] else decoded[row]
        motion = whole[: task.n_frames[utterance]]
        done = family is None or isinstance(family, PolicyFamily)
        if not done and (recorded[row] or not isinstance(family, TokenFamily)):
            assert family is not None, "it is done otherwise"
            motion = family.corrupt(
                motion,
                strength=float(demonstrations.making.strength[row]),
                rng=_rng(demonstrations, row),
                context=_context(demonstrations, row, task, donors),
            )
        motions.append(motion)
    return motions


def requantised(motions: list[FloatArray], task: AnimationTask) -> list[FloatArray]:
    """Return each motion (T_i, 52) as the tokenizer would have it, equally long.

    Damage to motion leaves what tokens can say, and a model may learn to see just that. Sent
    through the tokenizer, undamaged animations too, all are of one kind, and of the kind that a
    policy on tokens can reach.
    """
    return [task.tokenizer.decode(task.tokenizer.encode(m))[: len(m)] for m in motions]


def tokens_of(
    demonstrations: RankedDemonstrations, task: AnimationTask, *, donors: Donors | None = None
) -> IntArray:
    """Return the tokens after those corruptions that act on tokens, shape (N, L), -1 pads.

    Other corruptions leave no tokens; the rows then hold those from before.
    """
    donors = Donors(task) if donors is None else donors
    tokens = demonstrations.trajectories.tokens.copy()
    for row, name in enumerate(demonstrations.making.family.tolist()):
        family = _family_of(name)
        if isinstance(family, TokenFamily):
            length = int(demonstrations.trajectories.lengths[row])
            tokens[row, :length] = family.corrupt_tokens(
                tokens[row, :length],
                strength=float(demonstrations.making.strength[row]),
                rng=_rng(demonstrations, row),
                context=_context(demonstrations, row, task, donors),
            )
    return tokens


def _decoded(
    demonstrations: RankedDemonstrations,
    task: AnimationTask,
    families: list[Family | None],
    donors: Donors,
) -> list[FloatArray]:
    """Return the decoded motion of all rows at once, damaged tokens included."""
    given = demonstrations.trajectories
    if any(isinstance(family, TokenFamily) for family in families):
        tokens = tokens_of(demonstrations, task, donors=donors)
        given = Trajectories(given.utterance, tokens, given.lengths, given.condition)
    return task.decode_chunks(given) if len(given) else []


def _family_of(name: str) -> Family | None:
    return family_named(name) if name else None


def _rng(demonstrations: RankedDemonstrations, row: int) -> np.random.Generator:
    making = demonstrations.making
    return row_rng(
        int(making.seed[row]),
        utterance=int(demonstrations.utterance[row]),
        sample=int(making.sample[row]),
        family=str(making.family[row]),
    )


def _context(
    demonstrations: RankedDemonstrations, row: int, task: AnimationTask, donors: Donors
) -> Context:
    given = demonstrations.trajectories
    recorded = demonstrations.making.origin[row] == RECORDING
    return Context(
        task,
        int(given.utterance[row]),
        donors,
        tokens=None if recorded else given.tokens[row, : given.lengths[row]],
        partner=demonstrations.partner_of(row),
        condition=given.condition[row],
    )
