"""Ranked demonstrations in memory and on disk: token sequences with provenance and rank.

On disk: one `.npz` file, no pickle, every token sequence once, in 16 bits.

An animation that is damaged is kept as what it was before, with family, strength and seed; its
motion is made again when it is asked for (`reward.demonstrations.motions`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from esarm_env.core.cache import new_file
from esarm_env.core.errors import InputError
from esarm_env.core.seeds import occurrence_numbers
from esarm_env.core.types import BoolArray, FloatArray, IntArray, Trajectories
from esarm_env.formats.archives import read_npz
from esarm_env.formats.files import reading
from reward.demonstrations.provenance import GROUND_TRUTH_RANK, POLICY, RECORDING, Making

# 1, written without a number, had tokens and epsilon only.
FORMAT = 2
LARGEST_TOKEN = int(np.iinfo(np.int16).max)
_PREFIX = "making_"


def save_demonstrations(demonstrations: RankedDemonstrations, path: Path) -> None:
    """Write everything to one `.npz` file.

    Raises:
        ValueError: If a token does not fit 16 bits.
    """
    parts = demonstrations.trajectories
    largest = parts.tokens.max(initial=0)
    if largest > LARGEST_TOKEN:
        raise ValueError(f"`tokens` must be at most {LARGEST_TOKEN}, got {largest}")
    width = max(parts.tokens.shape[1], demonstrations.partner.shape[1])
    both = np.concatenate([padded(parts.tokens, width), padded(demonstrations.partner, width)])
    table, place = np.unique(both.astype(np.int16), axis=0, return_inverse=True)
    place = place.reshape(-1).astype(np.int32)
    n = len(demonstrations)
    making = {_PREFIX + name: values for name, values in demonstrations.making.columns().items()}
    with new_file(path) as draft, draft.open("wb") as file:
        np.savez_compressed(
            file,
            allow_pickle=False,
            format=np.array(FORMAT),
            table=table,
            tokens_at=place[:n],
            partner_at=place[n:],
            utterance=parts.utterance,
            lengths=parts.lengths,
            condition=parts.condition,
            epsilon=demonstrations.epsilon,
            **making,
        )


def load_demonstrations(path: Path) -> RankedDemonstrations:
    """Read what `RankedDemonstrations.save` wrote, now or before it knew of corruptions.

    Raises:
        InputError: If the file is missing, damaged, of a newer version, or something else.
    """
    what, remedy = "a whole demonstrations file", "delete the stage and run it again"
    file = read_npz(path, what, remedy=remedy)
    with reading(path, what, remedy=remedy):
        version = int(file["format"]) if "format" in file else 1
        if version > FORMAT:
            raise InputError(
                f"{path}: must be a demonstrations file of format {FORMAT} or older, "
                f"got {version}; install the newer ESARM that wrote it"
            )
        return _read_first(file) if version == 1 else _read(file)


def _read_first(file: Mapping[str, np.ndarray]) -> RankedDemonstrations:
    return RankedDemonstrations(
        _trajectories(file, file["tokens"].astype(np.int64)), file["epsilon"]
    )


def _read(file: Mapping[str, np.ndarray]) -> RankedDemonstrations:
    table = file["table"].astype(np.int64)
    making = {name.removeprefix(_PREFIX): file[name] for name in file if name.startswith(_PREFIX)}
    return RankedDemonstrations(
        _trajectories(file, _trimmed(table[file["tokens_at"]], 1)),
        file["epsilon"],
        making=Making(**making),
        partner=_trimmed(table[file["partner_at"]], 0),
    )


def _trajectories(file: Mapping[str, np.ndarray], tokens: IntArray) -> Trajectories:
    return Trajectories(file["utterance"], tokens, file["lengths"], file["condition"])


def _trimmed(tokens: IntArray, least: int) -> IntArray:
    """Return `tokens` (N, L) without columns at the end that hold -1 alone."""
    used = np.flatnonzero((tokens >= 0).any(axis=0))
    return tokens[:, : max(least, used[-1] + 1 if len(used) else 0)]


@dataclass(frozen=True, init=False)
class RankedDemonstrations:
    """N animations, of which less noise ranks higher.

    Attributes:
        trajectories: N animations; where there is a corruption, before it. Those of origin
            `recording` hold the tokens nearest to them, and are not decoded.
        epsilon: Shape (N,), share of random actions in the roll-out; 0 for ground truth.
        making: How each was made.
        partner: Shape (N, W), tokens of the other animation that a corruption takes from, padded
            with -1; all -1 where there is none.
    """

    trajectories: Trajectories
    epsilon: FloatArray
    making: Making
    partner: IntArray

    def __init__(
        self,
        trajectories: Trajectories,
        epsilon: FloatArray,
        *,
        making: Making | None = None,
        partner: IntArray | None = None,
    ) -> None:
        """Put the parts together.

        Args:
            trajectories: N animations.
            epsilon: Shape (N,).
            making: By default greedy roll-outs of one policy, ranked by `epsilon`.
            partner: Shape (N, W); by default none has one.

        Raises:
            ValueError: If there is not one entry of each per trajectory.
        """
        n = len(trajectories)
        if epsilon.shape != (n,):
            raise ValueError(f"`epsilon` must have shape ({n},), got {epsilon.shape}")
        if making is None:
            making = Making.of(n, rank=epsilon, sample=occurrence_numbers(trajectories.utterance))
        if partner is None:
            partner = np.full((n, 0), -1, dtype=np.int64)
        for name, part in (("making", making), ("partner", partner)):
            if len(part) != n:
                raise ValueError(
                    f"`{name}` must have {n} rows like `trajectories`, got {len(part)}"
                )
        self.__dict__.update(
            trajectories=trajectories, epsilon=epsilon, making=making, partner=partner
        )

    def __len__(self) -> int:
        """Return the number of demonstrations."""
        return len(self.trajectories)

    def __getitem__(self, rows: Any) -> RankedDemonstrations:
        """Return the selected `rows` (slice, index array or mask)."""
        return RankedDemonstrations(
            self.trajectories[rows],
            self.epsilon[rows],
            making=self.making[rows],
            partner=self.partner[rows],
        )

    @property
    def levels(self) -> FloatArray:
        """The noise levels of the roll-outs, ascending."""
        return np.unique(self.epsilon[self.roll_outs])

    @property
    def roll_outs(self) -> BoolArray:
        """Shape (N,), True for a policy's animations without a corruption."""
        plain: BoolArray = (self.making.origin == POLICY) & self.making.untouched
        return plain

    @property
    def utterance(self) -> IntArray:
        """Shape (N,), index of each one's utterance."""
        return self.trajectories.utterance

    def partner_of(self, row: int) -> IntArray | None:
        """Return the partner's tokens (L,) of one row, or None."""
        tokens = self.partner[row][self.partner[row] >= 0]
        return tokens if len(tokens) else None

    @staticmethod
    def concatenate(parts: Sequence[RankedDemonstrations]) -> RankedDemonstrations:
        """Join `parts` row-wise.

        Raises:
            ValueError: If there are none.
        """
        trajectories = Trajectories.concatenate([part.trajectories for part in parts])
        width = max(part.partner.shape[1] for part in parts)
        return RankedDemonstrations(
            trajectories,
            np.concatenate([part.epsilon for part in parts]),
            making=Making.concatenate([part.making for part in parts]),
            partner=np.concatenate([padded(part.partner, width) for part in parts]),
        )

    def save(self, path: Path) -> None:
        """Write everything to one `.npz` file, without pickle; equal token rows only once."""
        from reward.demonstrations.ranked import save_demonstrations

        save_demonstrations(self, path)


def padded(tokens: IntArray, width: int) -> IntArray:
    """Return `tokens` (N, L) with -1 up to `width`."""
    return np.pad(tokens, ((0, 0), (0, width - tokens.shape[1])), constant_values=-1)


def ground_truth(trajectories: Trajectories, *, origin: str = RECORDING) -> RankedDemonstrations:
    """Return recorded motions as top-ranked demonstrations.

    Args:
        trajectories: As from `AnimationTask.recorded`.
        origin: `recording` for the motion itself, `reconstruction` for what the tokenizer makes of
            it, which is all that a policy can reach.
    """
    n = len(trajectories)
    making = Making.of(n, rank=GROUND_TRUTH_RANK, origin=origin)
    return RankedDemonstrations(trajectories, np.zeros(n, dtype=np.float32), making=making)
