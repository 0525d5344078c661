"""Features of training recordings that several rewards learn from.

Nothing here looks at the recorded motion of the animation that is scored.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from esarm_env.core.errors import InputError

if TYPE_CHECKING:
    from esarm_env.core.types import IntArray
    from esarm_env.task.animation_task import AnimationTask

MOST_RECORDINGS = 256  # a few thousand frames of each emotion; more change no figure noticeably
_MOST_KEPT = 4096  # curves of about 1 kB

Curve = npt.NDArray[np.float64]


def training_sample(task: AnimationTask, *, reward: str, most: int = MOST_RECORDINGS) -> IntArray:
    """Return at most `most` utterances of the training split, spread evenly over it.

    Args:
        task: Whose corpus is asked.
        reward: What messages call the reward that needs them.
        most: At least 1.

    Raises:
        InputError: If the training split is empty.
    """
    indices = task.corpus.split("train")
    if not len(indices):
        raise InputError(
            f"the corpus must have training recordings for the reward `{reward}`, "
            f"got none in {task.corpus.name!r}"
        )
    places = np.linspace(0, len(indices) - 1, min(most, len(indices)))
    return np.asarray(indices[places.round().astype(np.int64)], dtype=np.int64)


class HeardLoudness:
    """The loudness of utterances at the frames of their motion, kept once computed."""

    def __init__(self, task: AnimationTask) -> None:
        """Listen to the corpus of `task`, whatever audio features it has."""
        self._task = task
        self._kept: dict[int, tuple[Curve, npt.NDArray[np.bool_]]] = {}

    def of(self, utterance: int) -> tuple[Curve, npt.NDArray[np.bool_]]:
        """Return log-loudness in dB and which frames belong to speech, each (T,); do not write."""
        from esarm_env.corpus.realism.signals import loudness_db, speech_frames

        heard = self._kept.get(utterance)
        if heard is None:
            n_frames = int(self._task.n_frames[utterance])
            loudness = loudness_db(self._task.corpus[utterance].audio, n_frames)
            heard = loudness, speech_frames(loudness)
            if len(self._kept) < _MOST_KEPT:
                self._kept[utterance] = heard
        return heard


def need_opening(task: AnimationTask, *, reward: str) -> None:
    """Refuse a corpus that did not capture what opens the mouth.

    Raises:
        InputError: If it did not.
    """
    from esarm_env.metrics.mouth import mouth_opening

    rest = np.zeros((1, len(task.corpus.captured)), dtype=np.float32)
    if np.isnan(mouth_opening(rest, head=task.head, captured=task.corpus.captured)).any():
        raise InputError(
            f"the corpus must have captured the opening of the mouth for the reward `{reward}`, "
            f"got none of it in {task.corpus.name!r}"
        )
