"""Collection of demonstrations: epsilon-greedy roll-outs of a policy, ground truth, damage.

A row's random numbers come from what it is and not its batch, see `esarm_env.core.seeds`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from esarm_env.core.errors import InputError
from esarm_env.core.seeds import sequence_seeds
from reward.demonstrations.corruptions import Donors, RollOut, family_named
from reward.demonstrations.damage import chosen_families, damage_rows
from reward.demonstrations.provenance import Making
from reward.demonstrations.ranked import RankedDemonstrations

if TYPE_CHECKING:
    from esarm_env.core.types import BoolArray, IntArray, Trajectories
    from esarm_env.task.animation_task import AnimationTask


def collect(
    roll_out: RollOut,
    task: AnimationTask,
    utterances: IntArray,
    *,
    epsilons: Sequence[float],
    rollouts: int = 1,
    seed: int,
    temperature: float = 0.0,
    iteration: int = 0,
    first_sample: int = 0,
    after_level: Callable[[], None] | None = None,
) -> RankedDemonstrations:
    """Roll a policy out epsilon-greedily on every utterance, at every noise level.

    Args:
        roll_out: The policy.
        task: Gives the recorded conditions.
        utterances: Shape (N,).
        epsilons: Noise levels, each a share of random tokens in [0, 1].
        rollouts: Per utterance and level.
        seed: Of the run.
        temperature: Of the tokens that are not random; 0 is greedy, 1 the policy's own chances.
        iteration: Which policy it is: 0 the clone, then one more per round of improvement.
        first_sample: Number of the first roll-out. Collect twice for one utterance (at two
            temperatures, say) with numbers that do not overlap, or they share random choices; see
            `esarm_env.core.seeds.FirstSample`.
        after_level: Called after each roll-out of all utterances, `len(epsilons) * rollouts` times.

    Returns:
        Level by level, in each roll-out by roll-out, in each the utterances in their order.

    Raises:
        InputError: If there is no level, one comes twice, or one is not in [0, 1].
        ValueError: If there is nothing to roll out.
    """
    check_levels(epsilons)
    for name, count in (("rollouts", rollouts), ("utterances", len(utterances))):
        if count < 1:
            raise ValueError(f"`{name}` must be at least 1, got {count}")
    condition = task.condition_of(utterances)
    jobs = [epsilon for epsilon in epsilons for _ in range(rollouts)]
    parts = []
    for number, epsilon in enumerate(jobs, start=first_sample):
        seeds = sequence_seeds(
            run_seed=seed, iteration=iteration, utterances=utterances, samples=number
        )
        made = roll_out(
            utterances,
            condition=condition,
            temperature=temperature,
            epsilon=epsilon,
            seeds=seeds,
        )
        parts.append(_level(made, epsilon, number, iteration, temperature))
        if after_level is not None:
            after_level()
    return RankedDemonstrations.concatenate(parts)


def _level(
    made: Trajectories, epsilon: float, number: int, iteration: int, temperature: float
) -> RankedDemonstrations:
    noise = np.full(len(made), epsilon, dtype=np.float32)
    making = Making.of(
        len(made), rank=noise, iteration=iteration, sample=number, temperature=temperature
    )
    return RankedDemonstrations(made, noise, making=making)


def check_levels(epsilons: Sequence[float]) -> None:
    """Refuse noise levels that make no ladder.

    Raises:
        InputError: If there is none, one comes twice, or one is not in [0, 1].
    """
    given = [float(epsilon) for epsilon in epsilons]
    if not given or len(set(given)) < len(given):
        raise InputError(f"`epsilons` must be different noise levels, got {given}")
    if not all(0 <= epsilon <= 1 for epsilon in given):
        raise InputError(f"`epsilons` must be in [0, 1], got {given}")


def damaged(
    demonstrations: RankedDemonstrations,
    task: AnimationTask,
    *,
    families: Sequence[str],
    strengths: Sequence[float],
    seed: int,
    rows: BoolArray | None = None,
    families_per_row: int | None = None,
    roll_out: RollOut | None = None,
    own_donors: bool = False,
) -> RankedDemonstrations:
    """Return `demonstrations` damaged in many ways, at every strength; they themselves are not in.

    Nothing is computed here but tokens of families that ask the policy again. Where a family
    cannot act on an animation (no other intensity, no worse animation to mix in) it is left out.

    Args:
        demonstrations: Without corruption.
        task: Theirs.
        families: Names, such as `time-shift` or `mouth:time-shift`.
        strengths: Above 0, at most 1; the same random choices are made at each.
        seed: Of those choices.
        rows: Which of them to damage, bool (N,); the others only serve as partners. None for all.
        families_per_row: So many of `families`, drawn for each animation; None for all.
        roll_out: The policy that made them, for the families that ask it again; its zero is
            greedy, so give it greedy roll-outs.
        own_donors: Take other utterances' motion from `demonstrations` of the same kind (the same
            policy, noise and temperature), not from recordings, so that a policy's mistakes mark
            no side.

    Returns:
        Family by family, in each strength by strength.

    Raises:
        InputError: If a family is unknown or a strength out of range.
        ValueError: If some are damaged already, a policy is needed, nothing could be damaged, or
            there are not so many families.
    """
    _check_damage(demonstrations, strengths, len(families), families_per_row)
    wanted = chosen_families(
        demonstrations,
        n_families=len(families),
        n_chosen=len(families) if families_per_row is None else families_per_row,
        seed=seed,
    )
    wanted &= True if rows is None else rows[:, None]
    donors = Donors(task)
    parts = []
    for number, name in enumerate(families):
        part = damage_rows(
            demonstrations,
            np.flatnonzero(wanted[:, number]),
            donors,
            family=family_named(name),
            strengths=strengths,
            seed=seed,
            roll_out=roll_out,
            own_donors=own_donors,
        )
        parts += [part] if len(part) else []
    if not parts:
        raise ValueError(
            f"`families` must hold one that can act on `demonstrations`, got {list(families)} "
            f"for {len(demonstrations)} of them; mixtures need a worse animation to the same audio"
        )
    return RankedDemonstrations.concatenate(parts)


def _check_damage(
    demonstrations: RankedDemonstrations,
    strengths: Sequence[float],
    n_families: int,
    families_per_row: int | None,
) -> None:
    """Refuse what `damaged` cannot do."""
    if not demonstrations.making.untouched.all():
        raise ValueError(
            "`demonstrations` must be without corruption, got some of "
            f"{sorted(set(demonstrations.making.family.tolist()) - {''})}; select `.untouched` rows"
        )
    for strength in strengths:
        if not 0 < strength <= 1:
            raise InputError(f"`strengths` must be above 0 and at most 1, got {strength}")
    if families_per_row is not None and not 1 <= families_per_row <= n_families:
        raise ValueError(f"`families_per_row` must be 1 to {n_families}, got {families_per_row}")
