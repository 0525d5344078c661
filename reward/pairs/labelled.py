"""Labelled pairs of animations: the probability that the first is better, from any source.

Automatic ranks, numeric scores and human choices all end up as these, so that a reward model trains
on any of them, or on all, in the same way.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from esarm_env.core.errors import InputError
from esarm_env.core.types import (
    FRAME_RATE_HZ,
    MOUTH,
    N_CHANNELS,
    UPPER,
    BoolArray,
    FloatArray,
    IntArray,
)

StreamArray = npt.NDArray[np.int8]
# What a pair judges; 3 is both, and the flags add up.
STREAM_FLAGS = {MOUTH: 1, UPPER: 2}
BOTH_STREAMS = 3


@dataclass(frozen=True)
class LabelledPairs:
    """P comparisons of rows of one list of animations.

    Attributes:
        a: Shape (P,), rows.
        b: Shape (P,), rows, each another one than in `a`.
        probability: Shape (P,), that `a` is the better, 0 to 1; 0.5 is a tie.
        weight: Shape (P,), at least 0.
        stream: Shape (P,), what is compared: 1 the mouth, 2 the upper face, 3 both.
    """

    a: IntArray
    b: IntArray
    probability: FloatArray
    weight: FloatArray
    stream: StreamArray

    def __post_init__(self) -> None:
        """Check shapes and ranges."""
        n = len(self.a)
        for name, values in vars(self).items():
            if values.shape != (n,):
                raise ValueError(f"`{name}` must have shape ({n},), got {values.shape}")
        if (self.a == self.b).any():
            row = int(self.a[self.a == self.b][0])
            raise ValueError(f"`a` and `b` must be different rows, got {row} twice")
        if not ((self.probability >= 0) & (self.probability <= 1)).all():
            raise ValueError(f"`probability` must be in [0, 1], got {_range(self.probability)}")
        if not ((self.weight >= 0) & np.isfinite(self.weight)).all():
            raise ValueError(f"`weight` must be finite and at least 0, got {_range(self.weight)}")
        if not np.isin(self.stream, (1, 2, 3)).all():
            raise ValueError(f"`stream` must be 1, 2 or 3, got {_range(self.stream)}")

    @classmethod
    def of(
        cls,
        a: IntArray,
        b: IntArray,
        probability: FloatArray,
        *,
        weight: float = 1.0,
        stream: int = BOTH_STREAMS,
    ) -> LabelledPairs:
        """Return pairs of one weight and stream."""
        return cls(
            np.asarray(a, dtype=np.int64),
            np.asarray(b, dtype=np.int64),
            np.asarray(probability, dtype=np.float32),
            np.full(len(a), weight, dtype=np.float32),
            np.full(len(a), stream, dtype=np.int8),
        )

    def __len__(self) -> int:
        """Return the number of pairs."""
        return len(self.a)

    def __getitem__(self, rows: Any) -> LabelledPairs:
        """Return the selected pairs (slice, index array or mask)."""
        return LabelledPairs(**{name: values[rows] for name, values in vars(self).items()})

    def concerning(self, stream: str) -> BoolArray:
        """Return which pairs judge `mouth` or `upper`, shape (P,)."""
        concerned: BoolArray = (self.stream & STREAM_FLAGS[stream]) > 0
        return concerned

    def shifted(self, by: int) -> LabelledPairs:
        """Return the same pairs of a list that has `by` other animations in front."""
        return LabelledPairs(self.a + by, self.b + by, self.probability, self.weight, self.stream)

    def check_within(self, utterances: IntArray) -> None:
        """Refuse pairs that compare different utterances.

        Args:
            utterances: Shape (N,), of every animation.

        Raises:
            ValueError: If a pair spans two utterances, or names a row that is not there.
        """
        highest = max(self.a.max(initial=-1), self.b.max(initial=-1))
        if highest >= len(utterances) or min(self.a.min(initial=0), self.b.min(initial=0)) < 0:
            raise ValueError(f"pairs must be of {len(utterances)} animations, got row {highest}")
        apart = utterances[self.a] != utterances[self.b]
        if apart.any():
            first = int(np.flatnonzero(apart)[0])
            got = f"{utterances[self.a[first]]} and {utterances[self.b[first]]}"
            raise ValueError(
                f"pairs must be of the same utterance, got utterances {got} in pair {first} "
                f"({int(apart.sum())} such pairs); a model would learn which sentence is easy"
            )

    @staticmethod
    def concatenate(parts: list[LabelledPairs]) -> LabelledPairs:
        """Join `parts`, all of one list of animations."""
        names = list(vars(parts[0]))
        return LabelledPairs(**{n: np.concatenate([getattr(p, n) for p in parts]) for n in names})


def pairs_of_scores(
    utterances: IntArray,
    scores: FloatArray,
    *,
    scale: float,
    least: float = 0.0,
    weight: float = 1.0,
    stream: int = BOTH_STREAMS,
) -> LabelledPairs:
    """Return all pairs within an utterance that numeric scores tell apart.

    The first is the better with probability sigmoid(difference / scale), Bradley-Terry.

    Args:
        utterances: Shape (N,).
        scores: Shape (N,), higher is better.
        scale: Difference at which 73 % of raters would agree, above 0.
        least: Pairs that differ by this or less are left out.
        weight: Of every pair.
        stream: What the scores judge: 1 the mouth, 2 the upper face, 3 both.

    Raises:
        ValueError: If shapes differ, a score is nan, or no pair differs.
    """
    if scores.shape != utterances.shape:
        raise ValueError(f"`scores` must have shape {utterances.shape}, got {scores.shape}")
    if not np.isfinite(scores).all():
        row = int(np.flatnonzero(~np.isfinite(scores))[0])
        raise ValueError(f"`scores` must be finite, got {scores[row]} in row {row}")
    if not scale > 0:
        raise ValueError(f"`scale` must be above 0, got {scale}")
    firsts, seconds = [], []
    for utterance in np.unique(utterances):
        mine = np.flatnonzero(utterances == utterance)
        first, second = np.triu_indices(len(mine), 1)
        firsts.append(mine[first])
        seconds.append(mine[second])
    one, other = np.concatenate(firsts), np.concatenate(seconds)
    difference = scores[one].astype(np.float64) - scores[other]
    kept = np.abs(difference) > least
    if not kept.any():
        raise ValueError(
            f"`scores` must differ by more than {least} within some utterance, got equal ones only"
        )
    better = np.where(difference > 0, one, other)[kept]
    worse = np.where(difference > 0, other, one)[kept]
    probability = (1 / (1 + np.exp(-np.abs(difference[kept]) / scale))).astype(np.float32)
    return LabelledPairs.of(better, worse, probability, weight=weight, stream=stream)


def _range(values: np.ndarray) -> str:
    return f"{values.min()} to {values.max()}"


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
