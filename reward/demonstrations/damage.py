"""Application of one corruption family to many demonstrations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from reward.demonstrations.corruptions import (
    Context,
    Donors,
    Family,
    PolicyFamily,
    RollOut,
    row_rng,
)
from reward.demonstrations.corruptions.family import Setting, damaged_slots, draw_seed
from reward.demonstrations.provenance import POLICY
from reward.demonstrations.ranked import RankedDemonstrations, padded

if TYPE_CHECKING:
    from esarm_env.core.types import BoolArray, IntArray, Trajectories


def damage_rows(
    base: RankedDemonstrations,
    rows: IntArray,
    donors: Donors,
    *,
    family: Family,
    strengths: Sequence[float],
    seed: int,
    roll_out: RollOut | None,
    own_donors: bool,
) -> RankedDemonstrations:
    """Return `rows` of `base` damaged by `family`, strength by strength; see `damaged`.

    Rows that the family cannot act on are left out.

    Raises:
        ValueError: If the family asks a policy and there is none.
    """
    rows = np.array([r for r in rows if _possible(family, base, int(r), donors)], dtype=np.int64)
    partner = np.full((len(rows), 0), -1, dtype=np.int64)
    takes = bool(family.donor) and own_donors and not isinstance(family, PolicyFamily)
    if family.needs_partner or takes:
        chosen = np.array(
            [_partner(family, base, int(r), donors, seed) for r in rows], dtype=np.int64
        )
        rows, chosen = rows[chosen >= 0], chosen[chosen >= 0]
        partner = base.trajectories.tokens[chosen]
    start = base[rows]
    parts = []
    for strength in strengths:
        making = replace(
            start.making,
            family=np.full(len(rows), family.name),
            strength=np.full(len(rows), strength, dtype=np.float32),
            seed=np.full(len(rows), seed, dtype=np.int64),
        )
        trajectories = start.trajectories
        if isinstance(family, PolicyFamily) and len(rows):
            if roll_out is None:
                raise ValueError(f"`roll_out` must be a policy for {family.name!r}, got None")
            trajectories = _asked_again(
                start, donors, family=family, strength=strength, seed=seed, roll_out=roll_out
            )
        parts.append(
            RankedDemonstrations(trajectories, start.epsilon, making=making, partner=partner)
        )
    return RankedDemonstrations.concatenate(parts)


def chosen_families(
    base: RankedDemonstrations, *, n_families: int, n_chosen: int, seed: int
) -> BoolArray:
    """Draw which families damage which row, a row's choice depending on nothing but itself.

    Returns:
        Bool, shape (N, n_families), `n_chosen` of them True in each row.
    """
    chosen = np.zeros((len(base), n_families), dtype=np.bool_)
    keys = zip(base.utterance.tolist(), base.making.sample.tolist(), strict=True)
    for row, (utterance, sample) in enumerate(keys):
        rng = row_rng(seed, utterance=utterance, sample=sample, family="which families")
        chosen[row, rng.permutation(n_families)[:n_chosen]] = True
    return chosen


def _possible(family: Family, base: RankedDemonstrations, row: int, donors: Donors) -> bool:
    if isinstance(family, PolicyFamily) and base.making.origin[row] != POLICY:
        return False
    return not family.donor or donors.has(family.donor, int(base.utterance[row]))


def _rng(family: Family, base: RankedDemonstrations, row: int, seed: int) -> np.random.Generator:
    return row_rng(
        seed,
        utterance=int(base.utterance[row]),
        sample=int(base.making.sample[row]),
        family=family.name,
    )


def _partner(
    family: Family, base: RankedDemonstrations, row: int, donors: Donors, seed: int
) -> int:
    """Return the row whose animation `row` takes from; -1 if there is none."""
    # Apart from the generator of the damage, whose first number says where it happens.
    rng = _rng(family, base, row, seed).spawn(1)[0]
    if family.needs_partner:
        found = _worse(base, row)
    else:
        found = _same_kind(base, row)
        among = base.utterance[found]
        try:
            wanted = donors.draw(family.donor, int(base.utterance[row]), rng, among=among)
        except ValueError:
            return -1
        found = found[among == wanted]
    return int(found[rng.integers(len(found))]) if len(found) else -1


def _worse(base: RankedDemonstrations, row: int) -> IntArray:
    """Return the rows with other animations to the same audio and condition that rank lower."""
    given = base.trajectories
    same = given.utterance == given.utterance[row]
    same &= (given.condition == given.condition[row]).all(axis=1)
    return np.flatnonzero(same & (base.making.rank > base.making.rank[row]))


def _same_kind(base: RankedDemonstrations, row: int) -> IntArray:
    """Return the rows that were made as `row` was, of whichever utterance."""
    making = base.making
    same = base.epsilon == base.epsilon[row]
    for column in (making.origin, making.iteration, making.temperature):
        same &= column == column[row]
    return np.flatnonzero(same)


def _asked_again(
    base: RankedDemonstrations,
    donors: Donors,
    *,
    family: PolicyFamily,
    strength: float,
    seed: int,
    roll_out: RollOut,
) -> Trajectories:
    """Return the policy's animations under the family's settings, all of a temperature at once."""
    settings: list[Setting] = []
    seeds = np.zeros((len(base), 1), dtype=np.int64)
    for row in range(len(base)):
        rng = _rng(family, base, row, seed)
        given = base.trajectories
        context = Context(
            donors.task, int(given.utterance[row]), donors, condition=given.condition[row]
        )
        settings.append(family.act(strength, rng, context))
        seeds[row] = draw_seed(rng)
    temperatures = np.array([setting.temperature for setting in settings])
    longest = int(donors.task.lengths[base.utterance].max())
    # The rows may all be shorter than the widest of those that they were selected from.
    tokens = padded(base.trajectories.tokens, max(longest, base.trajectories.tokens.shape[1]))
    slots = damaged_slots(tokens.shape[1], family.damages, token_streams=donors.task.token_streams)
    for temperature in np.unique(temperatures):
        rows = np.flatnonzero(temperatures == temperature)
        made = roll_out(
            base.utterance[rows],
            condition=np.stack([settings[row].condition for row in rows]),
            temperature=float(temperature),
            epsilon=0.0,
            seeds=seeds[rows],
        )
        width = made.tokens.shape[1]
        tokens[rows, :width] = np.where(slots[:width], made.tokens, tokens[rows, :width])
    # The condition stays the right one: it is what the animation is judged under.
    return replace(base.trajectories, tokens=tokens)
