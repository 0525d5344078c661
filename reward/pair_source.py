"""Animations with labelled pairs among them: the one form in which every source is trained on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from esarm_env.errors import InputError
from esarm_env.types import FRAME_RATE_HZ, N_CHANNELS, FloatArray, IntArray
from reward.labelled_pairs import LabelledPairs


@dataclass(frozen=True)
class PairSource:
    """N animations, and what is known of pairs of them.

    Attributes:
        utterance: Shape (N,), index of each one's utterance.
        motions: N times (T_i, 52).
        pairs: Rows of these.
    """

    utterance: IntArray
    motions: list[FloatArray]
    pairs: LabelledPairs

    def __post_init__(self) -> None:
        """Check that pairs stay within an utterance and compare equal lengths."""
        if len(self.motions) != len(self.utterance):
            raise ValueError(
                f"`motions` must be {len(self.utterance)} like `utterance`, got {len(self.motions)}"
            )
        self.pairs.check_within(self.utterance)
        lengths = np.array([len(motion) for motion in self.motions], dtype=np.int64)
        apart = np.flatnonzero(lengths[self.pairs.a] != lengths[self.pairs.b])
        if len(apart):
            a, b = int(self.pairs.a[apart[0]]), int(self.pairs.b[apart[0]])
            raise ValueError(
                "both animations of a pair must be equally long, "
                f"got {lengths[a]} and {lengths[b]} frames in pair {int(apart[0])}"
            )

    def __len__(self) -> int:
        """Return the number of animations."""
        return len(self.utterance)

    @staticmethod
    def joined(sources: Sequence[PairSource]) -> PairSource:
        """Return the animations of all `sources` behind each other, with all their pairs.

        Raises:
            ValueError: If there are none.
        """
        if not sources:
            raise ValueError("`sources` must hold at least one source of pairs, got none")
        starts = np.cumsum([0, *(len(source) for source in sources)])
        shifted = [s.pairs.shifted(int(by)) for s, by in zip(sources, starts, strict=False)]
        return PairSource(
            np.concatenate([source.utterance for source in sources]),
            [motion for source in sources for motion in source.motions],
            LabelledPairs.concatenate(shifted),
        )


def check_motion(
    motion: FloatArray, *, n_frames: int, rate_hz: float = FRAME_RATE_HZ, name: str
) -> None:
    """Refuse motion that does not answer an utterance frame by frame.

    Args:
        motion: Anything.
        n_frames: Of the utterance, at 30 fps.
        rate_hz: What the motion says its rate is.
        name: Of the motion, for the message.

    Raises:
        InputError: If it has another shape, rate or length, or holds what is no number.
    """
    if motion.ndim != 2 or motion.shape[1] != N_CHANNELS:
        raise InputError(f"{name}: must have shape (T, {N_CHANNELS}), got {motion.shape}")
    if rate_hz != FRAME_RATE_HZ:
        raise InputError(
            f"{name}: must be at {FRAME_RATE_HZ} fps, got {rate_hz:g}; resample it first"
        )
    if len(motion) != n_frames:
        ratio = len(motion) / n_frames * FRAME_RATE_HZ
        raise InputError(
            f"{name}: must have {n_frames} frames like its utterance at {FRAME_RATE_HZ} fps, "
            f"got {len(motion)}; it is that of another utterance, or made at {ratio:.3g} fps"
        )
    if not np.isfinite(motion).all():
        frame = int(np.flatnonzero(~np.isfinite(motion).all(axis=1))[0])
        raise InputError(f"{name}: must be finite, got a value that is not in frame {frame}")
