"""A reward model with what raters prefer beside what it says itself.

Both parts stay to be seen: the corrected model is neither changed nor hidden by raters.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from esarm_env.core.errors import InputError
from esarm_env.core.types import N_CHANNELS
from reward.naturalness.heads import TwoHeadedModel

if TYPE_CHECKING:
    from torch import Tensor

    from reward.chunks import ChunkBatch
    from reward.preference.network import PreferenceModel
    from reward.scoring import RewardModel

# Name under which it is a term of the reward `learned`.
PREFERENCE = "preference"


def heads_of(base: RewardModel) -> tuple[RewardModel, ...]:
    """Return the heads of a reward model that are told apart."""
    if isinstance(base, TwoHeadedModel):
        return base.expected_error, base.naturalness
    return (base,)


def judged_by(heads: tuple[RewardModel, ...], batch: ChunkBatch) -> tuple[list[Tensor], Tensor]:
    """Return what heads say of chunks: by member, each (M, B, C, S), and their means (B, C, S, H).

    The means are on the scale of an animation's score: their mean over chunks is it.
    """
    said = [head.score_member_chunks(batch) for head in heads]
    means = torch.stack([members.mean(dim=0) for members in said], dim=-1)
    return said, means * batch.n_chunks[:, None, None, None]


class CorrectedModel:
    """The weighted sum of a reward model and of what raters prefer; a `RewardModel`.

    Each member of the corrected model gets the same beside it, so that members are combined as
    before.

    Attributes:
        base: The corrected model: of expected errors, alone or with naturalness.
        preference: What raters prefer.
    """

    def __init__(self, base: RewardModel, preference: PreferenceModel) -> None:
        """Add them up.

        Raises:
            InputError: If they do not belong together.
        """
        self.base, self.preference, self._heads = base, preference, heads_of(base)
        frames = base.motion_dim // N_CHANNELS
        condition = getattr(base, "condition_dim", None)
        found = (len(self._heads), condition, frames, tuple(base.chunk_streams))
        expected = (
            preference.heads,
            preference.condition_dim,
            preference.frames,
            preference.stream_names,
        )
        if found != expected:
            raise InputError(
                "what raters prefer must stand beside the reward model that it was learned with "
                f"(heads, condition, frames, streams: {expected}), got {found}; train it again"
            )
        self.audio_dim, self.motion_dim = base.audio_dim, base.motion_dim
        self.needs_condition = base.needs_condition
        self.condition_dim = preference.condition_dim
        self.stream_names = self.chunk_streams = preference.stream_names

    def score_members(self, batch: ChunkBatch) -> Tensor:
        """Return each member's sum by stream, shape (members, B, S)."""
        return self.score_member_chunks(batch).sum(dim=2)

    def score_member_chunks(self, batch: ChunkBatch) -> Tensor:
        """Return the same by chunk, shape (members, B, C, S), 0 past the end."""
        said, judged = judged_by(self._heads, batch)
        total = said[0]
        if isinstance(self.base, TwoHeadedModel):
            total = total + self.base.weight * said[1]
        return self.preference.kept * total + self.preferred(batch, judged)[0]

    def preferred(self, batch: ChunkBatch, judged: Tensor | None = None) -> Tensor:
        """Return what raters prefer, in units of the sum, by member; the first one counts.

        Args:
            batch: Animations.
            judged: As `judged_by` returns it, where that is known.

        Returns:
            Shape (members, B, C, S), 0 past the end.
        """
        if judged is None:
            judged = judged_by(self._heads, batch)[1]
        assert batch.condition is not None, "`needs_condition` asked for it"
        said: Tensor = self.preference(batch.motion, batch.condition, batch.n_chunks, judged)
        return said

    def member_weights(self, scores: Tensor) -> Tensor:
        """Return what each score (members, B, S) counts, as in the corrected model."""
        return self.base.member_weights(scores)

    def combine(self, scores: Tensor) -> Tensor:
        """Return (B, S) of the members' scores (members, B, S), as the corrected model does."""
        return self.base.combine(scores)


class PreferredAlone:
    """What raters prefer, without the rest, as a `RewardModel` whose first member counts.

    Where its members disagree, another answer teaches most.
    """

    def __init__(self, corrected: CorrectedModel) -> None:
        """Show the preference part of a corrected model."""
        self._corrected = corrected
        self.audio_dim, self.motion_dim = corrected.audio_dim, corrected.motion_dim
        self.needs_condition = corrected.needs_condition
        self.stream_names = self.chunk_streams = corrected.stream_names

    def score_members(self, batch: ChunkBatch) -> Tensor:
        """Return what each member says by stream, shape (members, B, S)."""
        return self.score_member_chunks(batch).sum(dim=2)

    def score_member_chunks(self, batch: ChunkBatch) -> Tensor:
        """Return the same by chunk, shape (members, B, C, S), 0 past the end."""
        return self._corrected.preferred(batch)

    def member_weights(self, scores: Tensor) -> Tensor:
        """Return 1 for the first member's scores (1, B, S), and 0 for the others'."""
        weights = torch.zeros_like(scores)
        weights[0] = 1
        return weights

    def combine(self, scores: Tensor) -> Tensor:
        """Return the first member's scores (B, S) of the members' (members, B, S)."""
        return scores[0]
