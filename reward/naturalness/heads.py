"""A reward model with two heads: expected error, and naturalness, and their weighted sum.

Expected error alone prefers the middle of what the clone would write to what people do; naturalness
alone says nothing of what was spoken when. Each keeps its own network and its own score, so that
neither hides what the other has lost.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from esarm_env.core.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

    from reward.chunks import ChunkBatch
    from reward.naturalness.network import NaturalnessModel
    from reward.scoring import RewardModel

# Names under which each head is a reward of its own.
EXPECTED_ERROR, NATURALNESS = "expected-error", "naturalness"


class TwoHeadedModel:
    """The weighted sum of a model of expected errors and a naturalness model; a `RewardModel`.

    Each member of an ensemble gets the same naturalness on top, so that the members differ, and are
    combined, as without it.

    Attributes:
        expected_error: The first head.
        naturalness: The second.
        weight: Of the second.
    """

    needs_condition = True

    def __init__(
        self, expected_error: RewardModel, naturalness: NaturalnessModel, weight: float
    ) -> None:
        """Add them up.

        Raises:
            InputError: If they read other chunks or conditions, or score other streams.
        """
        self.expected_error, self.naturalness, self.weight = expected_error, naturalness, weight
        shapes = [
            (m.audio_dim, m.motion_dim, getattr(m, "condition_dim", None), m.stream_names)
            for m in (expected_error, naturalness)
        ]
        if shapes[0] != shapes[1]:
            raise InputError(
                "both heads of a reward model must read the same chunks and conditions and score "
                f"the same streams, got {shapes[0]} and {shapes[1]}; train them in one run"
            )
        self.audio_dim, self.motion_dim = naturalness.audio_dim, naturalness.motion_dim
        self.condition_dim = naturalness.condition_dim
        self.stream_names = self.chunk_streams = naturalness.stream_names

    def score_members(self, batch: ChunkBatch) -> Tensor:
        """Return each member's sum of both heads by stream, shape (members, B, S)."""
        natural = self.naturalness.score_members(batch)
        return self.expected_error.score_members(batch) + self.weight * natural

    def score_member_chunks(self, batch: ChunkBatch) -> Tensor:
        """Return the same by chunk, shape (members, B, C, S), 0 past the end."""
        natural = self.naturalness.score_member_chunks(batch)
        return self.expected_error.score_member_chunks(batch) + self.weight * natural

    def member_weights(self, scores: Tensor) -> Tensor:
        """Return what each score (members, B, S) counts, as of the first head."""
        return self.expected_error.member_weights(scores)

    def combine(self, scores: Tensor) -> Tensor:
        """Return (B, S) of the members' scores (members, B, S), as the first head does."""
        return self.expected_error.combine(scores)
