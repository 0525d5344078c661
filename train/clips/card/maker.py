"""Maker of quality cards: what all cards of a run share, opened once, and what it lacks."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from esarm_env.core.errors import InputError, MissingExtraError
from esarm_env.task.judges import emotion_judge
from esarm_env.task.opening import open_speech_task
from train.clips.card.figures import MEASURES, ClipFigures, measure_clip
from train.clips.card.page import card_page
from train.figure5.quantities import OPENING, quantities_of

if TYPE_CHECKING:
    from pathlib import Path

    from esarm_env.audio.encoders.phone_spans import PhoneSpan
    from esarm_env.core.types import DoubleArray, FloatArray
    from esarm_env.face.head import Head
    from esarm_env.metrics.emotion import EmotionClassifier
    from esarm_env.task.animation_task import AnimationTask
    from train.animate import SpeechAnimator
    from train.clips.animation import AnimatedClip

_MOST_RECORDINGS = 40  # that tell what is usual; more change no range that is looked at
_RANGE = (10, 50, 90)  # percentiles


@dataclass(frozen=True, eq=False)
class Card:
    """What is known of a clip.

    Attributes:
        clip: The clip.
        figures: What is measured.
        usual: 10th, 50th and 90th percentile of the run's recordings, by the names of `MEASURES`.
        about: Run, policy, decoding and emotion in words, by what they are.
        emotion: Shares by name: asked of the policy, heard in the voice, and read from the face, of
            those that are known.
        learned_score: Of the run's reward model; None where it has none.
        curves: In mm by name, shape (T,) each.
        phones: As they are heard.
        notes: What was left out, and why.
    """

    clip: AnimatedClip
    figures: ClipFigures
    usual: dict[str, tuple[float, float, float]]
    about: dict[str, str]
    emotion: dict[str, dict[str, float]]
    learned_score: float | None
    curves: dict[str, DoubleArray]
    phones: tuple[PhoneSpan, ...]
    notes: tuple[str, ...] = field(default=())

    @property
    def real_time_factor(self) -> float:
        """Seconds of work for a second of speech, the run opened already."""
        return self.clip.seconds / self.clip.duration_s

    def to_dict(self) -> dict[str, Any]:
        """Return the figures for JSON."""
        usual = {name: [round(value, 5) for value in each] for name, each in self.usual.items()}
        score = self.learned_score
        return {
            **self.figures.to_dict(),
            "emotion": self.emotion,
            "learned_score": None if score is None else round(score, 4),
            "real_time_factor": round(self.real_time_factor, 4),
            "recordings": usual,
            "notes": list(self.notes),
        }


class CardMaker:
    """Makes the cards of a run's animations; whatever the run lacks is left out and said."""

    def __init__(self, animator: SpeechAnimator, *, head: Head | None = None) -> None:
        """Take the animator of a run.

        Args:
            animator: Of the run.
            head: That is drawn; the run's own by default, on which lengths are always measured.
        """
        self._animator = animator
        self._shown = head

    @cached_property
    def _task(self) -> AnimationTask:
        return open_speech_task(self._animator.run_path)

    @cached_property
    def _judge(self) -> EmotionClassifier | None:
        return emotion_judge(self._task)

    @cached_property
    def _usual(self) -> dict[str, tuple[float, float, float]]:
        """Ranges of training recordings, spread over all of them."""
        corpus = self._task.corpus
        train = corpus.split("train")
        if not len(train) or not corpus.captured.any():
            return {}
        chosen = train[
            np.linspace(0, len(train) - 1, min(len(train), _MOST_RECORDINGS)).astype(int)
        ]
        rows = []
        for index in np.unique(chosen).tolist():
            spoken = corpus[index]
            figures = measure_clip(
                spoken.motion, spoken.audio, head=self._task.head, captured=corpus.captured
            )
            rows.append(figures.values)
        table = {name: np.array([row[name] for row in rows]) for name in MEASURES}
        ranges = {}
        for name, values in table.items():
            known = values[np.isfinite(values)]
            if len(known) >= len(rows) / 2:
                low, middle, high = np.percentile(known, _RANGE).tolist()
                ranges[name] = (low, middle, high)
        return ranges

    def make(self, clip: AnimatedClip) -> Card:
        """Return the card of a clip, the latest that the animator wrote.

        Raises:
            InputError: If the run cannot be opened as a task.
        """
        notes: list[str] = []
        head = self._task.head
        phones = _phones(clip.audio, notes)
        figures = measure_clip(clip.motion, clip.audio, head=head, phones=phones)
        curves = {name: each.of(clip.motion) for name, each in quantities_of(head).items()}
        curves[OPENING] = figures.opening_mm
        if not self._usual:
            notes.append("no range of recordings: the run's recordings are not here")
        return Card(
            clip,
            figures,
            self._usual,
            self._about(clip),
            self._emotion(clip, notes),
            self._score(clip, notes),
            curves,
            phones or (),
            tuple(notes),
        )

    def write(self, card: Card, path: Path) -> None:
        """Write the page of a card.

        Raises:
            InputError: If it cannot be written.
        """
        from esarm_env.core.cache import write_text

        head = self._task.head if self._shown is None else self._shown
        write_text(path, card_page(card, head), make_folder=False)

    def _about(self, clip: AnimatedClip) -> dict[str, str]:
        shown = self._animator.emotion
        told = {
            "duration": f"{clip.duration_s:.2f} s",
            "policy": self._animator.policy_name,
            "decoding": self._animator.decoding_of(clip.manner.writing).name,
            "emotion": str(clip.manner.voice.emotion) if shown is None else shown.words,
            "speaker": clip.manner.voice.speaker or "the average of all",
        }
        return told

    def _emotion(self, clip: AnimatedClip, notes: list[str]) -> dict[str, dict[str, float]]:
        """Return shares that were asked for, heard, and recognised in the face."""
        shares: dict[str, dict[str, float]] = {}
        shown = self._animator.emotion
        if shown is not None:
            told = shown.to_dict()
            shares["asked of the policy"] = told["shares"]
            if "heard" in told:
                shares["heard in the voice"] = told["heard"]
        if self._judge is None:
            notes.append("no emotion read from the face: the run's recordings show one or none")
            return shares
        (row,) = self._judge.probabilities([clip.motion])
        order = np.argsort(-row, kind="stable")
        shares["read from the face"] = {
            self._judge.labels[i]: round(float(row[i]), 3) for i in order if row[i] >= 0.01
        }
        return shares

    def _score(self, clip: AnimatedClip, notes: list[str]) -> float | None:
        voice = clip.manner.voice
        try:
            return self._animator.learned_score(clip.motion, clip.audio, voice, task=self._task)
        except InputError as error:
            notes.append(f"no learned score: {error}")
            return None


def _phones(audio: FloatArray, notes: list[str]) -> tuple[PhoneSpan, ...] | None:
    from esarm_env.audio.encoders.phone_spans import phone_spans

    try:
        return phone_spans(audio)
    except (MissingExtraError, InputError) as error:
        notes.append(f"no closures at p, b and m: {error}")
        return None
