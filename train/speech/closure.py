"""Reward of lips that shut at p, b and m, by the phones that are heard in any speech.

The phones come from the extra `phones`; nobody recorded these lips.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from esarm_env.audio.encoders.phone_classes import BILABIALS, PHONE_CLASSES
from esarm_env.core.types import FRAME_RATE_HZ, MOUTH
from esarm_env.metrics.closure import CLOSED_MM
from esarm_env.metrics.mouth import mouth_opening
from reward.plugins.recordings import need_opening

if TYPE_CHECKING:
    from esarm_env.audio.encoders.phone_spans import PhoneSpan
    from esarm_env.core.types import DoubleArray, FloatArray, IntArray, Trajectories
    from esarm_env.task.animation_task import AnimationTask

OPEN_MM = 6.0  # lips that far apart at a p, b or m earn nothing; at `CLOSED_MM`, all
PRESSED_MM = 1.0  # at a vowel, lips that close are shut beyond doubt
_MARGIN_FRAMES = 1  # the times of phones are no better
VOWELS = frozenset(
    symbol
    for name in (
        "mid front, mid front diphthong, near-open front, open, mid back rounded, central, "
        "rhotic vowel, open to front, open to back, back to front"
    ).split(", ")
    for symbol in PHONE_CLASSES[name].split()
)


@dataclass(frozen=True)
class LipTimes:
    """When lips are to be shut, and when open, in the frames of an utterance.

    Attributes:
        shut: First frame and one past the last of each p, b and m with its margin, (n, 2).
        open: Middle frame of each vowel that no lips shut, (m,).
    """

    shut: IntArray
    open: IntArray

    @staticmethod
    def of(spans: Sequence[PhoneSpan], n_frames: int) -> LipTimes:
        """Return those of phones heard in an utterance of `n_frames`."""
        shut = [
            (
                max(0, int(np.floor(span.start_s * FRAME_RATE_HZ)) - _MARGIN_FRAMES),
                min(n_frames, int(np.ceil(span.end_s * FRAME_RATE_HZ)) + 1 + _MARGIN_FRAMES),
            )
            for span in spans
            if span.label in BILABIALS
        ]
        middles = [
            round((span.start_s + span.end_s) / 2 * FRAME_RATE_HZ)
            for span in spans
            if span.label in VOWELS
        ]
        return LipTimes(
            np.array([pair for pair in shut if pair[0] < pair[1]], dtype=np.int64).reshape(-1, 2),
            np.array([frame for frame in middles if frame < n_frames], dtype=np.int64),
        )


class PhoneClosureReward:
    """How far lips shut at p, b and m, and stay open at vowels; implements `ChunkedReward`.

    `mean over p, b, m of clip((6 - o) / 4, 0, 1) - mean over vowels of clip(2 - v, 0, 1)`, where o
    is the smallest opening in mm within the phone and a frame around it, v the opening in the
    middle of a vowel; no unit, in [-1, 1]. Lips that are always shut earn 0, and so do lips that
    are never. Without a p, b or m an utterance earns at most 0, without a vowel at least 0.

    Phones are heard by the extra `phones` when an utterance is first scored, and kept.
    """

    needs_ground_truth = False
    chunk_streams = (MOUTH,)

    def __init__(self, task: AnimationTask) -> None:
        """Score animations of `task`.

        Raises:
            MissingExtraError: If the extra `phones` is missing.
            InputError: If the opening of the mouth was not captured.
        """
        from esarm_env.audio.encoders.phone_network import hama_version

        hama_version(purpose="The reward `phone-closure`")
        need_opening(task, reward="phone-closure")
        self._task = task
        self._times: dict[int, LipTimes] = {}

    def times_of(self, utterance: int) -> LipTimes:
        """Return when lips are to be shut and open in an utterance."""
        if utterance not in self._times:
            from esarm_env.audio.encoders.phone_spans import phone_spans

            spans = phone_spans(self._task.corpus[utterance].audio)
            self._times[utterance] = LipTimes.of(spans, int(self._task.n_frames[utterance]))
        return self._times[utterance]

    def score(self, trajectories: Trajectories) -> FloatArray:
        """Return scores, shape (N,), in [-1, 1]."""
        scores: FloatArray = self.score_chunks(trajectories).sum(axis=(1, 2))
        return scores

    def score_chunks(self, trajectories: Trajectories) -> FloatArray:
        """Return what the chunk in the middle of each phone earned, (N, C, 1)."""
        task = self._task
        openings = mouth_opening(
            task.decode(trajectories), head=task.head, captured=task.corpus.captured
        )  # (N, T)
        n_chunks = -(-int(trajectories.lengths.max(initial=0)) // task.tokens_per_chunk)
        earned = np.zeros((len(trajectories), n_chunks), dtype=np.float64)
        step = task.tokenizer.frames_per_chunk
        for row, utterance in enumerate(trajectories.utterance.tolist()):
            times = self.times_of(utterance)
            shut = _shares(openings[row], times)
            middles = (times.shut[:, 0] + times.shut[:, 1] - 1) // 2
            np.add.at(earned[row], middles // step, shut / max(1, len(shut)))
            pressed = np.clip(CLOSED_MM - openings[row, times.open], 0, CLOSED_MM - PRESSED_MM)
            pressed = pressed / (CLOSED_MM - PRESSED_MM)
            np.add.at(earned[row], times.open // step, -pressed / max(1, len(pressed)))
        return earned[:, :, None].astype(np.float32)


def _shares(opening: DoubleArray, times: LipTimes) -> DoubleArray:
    """Return how far lips shut at each p, b and m, (n,), in [0, 1]."""
    least = np.array([opening[begin:end].min() for begin, end in times.shut.tolist()])
    return np.clip((OPEN_MM - least) / (OPEN_MM - CLOSED_MM), 0, 1)
