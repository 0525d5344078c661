"""An episode as it is now, for a picture of it: what the environments tell."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from esarm_env.conditions import EMOTION_SLICE, INTENSITY_SLICE, SPEAKER_START, ConditionEncoder
from esarm_env.rendering.caption import Caption
from esarm_env.rendering.timing import Timing
from esarm_env.types import EMOTIONS, FRAME_RATE_HZ, FloatArray, IntArray

if TYPE_CHECKING:
    from esarm_env.task import AnimationTask  # loads torch

_ERRORS = ("lve", "eve")


@dataclass(frozen=True, eq=False)
class EpisodeView:
    """All that a picture of an episode needs to know.

    Attributes:
        task: The task of the environment.
        utterance: Index in the task's corpus.
        tokens: Written so far, shape (step,), int64.
        length: Tokens of the whole episode, at least 1.
        condition: Shape (condition_dim,), float32, as the policy sees it.
        info: The `info` of the last step; its `rewards`, `lve` and `eve` are shown, if it has any.
    """

    task: AnimationTask
    utterance: int
    tokens: IntArray
    length: int
    condition: FloatArray
    info: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check the shapes."""
        if self.tokens.ndim != 1 or len(self.tokens) > self.length:
            got = self.tokens.shape
            raise ValueError(f"`tokens` must have shape (0 to {self.length},), got {got}")
        if self.condition.shape != (self.task.condition_dim,):
            rule = f"have shape ({self.task.condition_dim},)"
            raise ValueError(f"`condition` must {rule}, got {self.condition.shape}")

    @property
    def step(self) -> int:
        """Tokens written so far."""
        return len(self.tokens)

    @property
    def timing(self) -> Timing:
        """How steps and frames of motion stand to each other."""
        return Timing.of(self.task.tokenizer)

    @property
    def is_over(self) -> bool:
        """Whether all tokens are written."""
        return self.step == self.length

    @property
    def frame(self) -> int | None:
        """The frame of motion that is seen, or None while the face is at rest."""
        n_frames = int(self.task.n_frames[self.utterance])
        return self.timing.frame_at(self.step, length=self.length, n_frames=n_frames)

    @property
    def whole_chunks(self) -> IntArray:
        """The tokens of all complete chunks."""
        per_chunk = self.task.tokens_per_chunk
        return self.tokens[: self.step // per_chunk * per_chunk]


def labels_of(condition: FloatArray, encoder: ConditionEncoder) -> tuple[str, int, str | None]:
    """Return emotion, intensity and speaker (None: the average) of a condition (C,)."""
    emotion = EMOTIONS[int(condition[EMOTION_SLICE].argmax())]
    intensity = int(condition[INTENSITY_SLICE].argmax()) + 1
    columns = condition[SPEAKER_START:]
    speaker = encoder.speakers[int(columns.argmax())] if columns.any() else None
    return emotion, intensity, speaker


def caption_of(view: EpisodeView) -> Caption:
    """Return what is written round the head of `view`."""
    record = view.task.corpus.records[view.utterance]
    emotion, intensity, speaker = labels_of(view.condition, view.task.conditions)
    frames_seen = record.n_frames if view.is_over else view.frame or 0
    return Caption(
        record.id,
        record.text,
        emotion,
        intensity,
        speaker,
        step=view.step,
        n_steps=view.length,
        time_s=frames_seen / FRAME_RATE_HZ,
        duration_s=record.n_frames / FRAME_RATE_HZ,
        scores=tuple((name, float(score)) for name, score in view.info.get("rewards", {}).items()),
        errors_mm=tuple((name, float(view.info[name])) for name in _ERRORS if name in view.info),
    )
