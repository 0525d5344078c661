"""Snapshot of an episode for the renderer (`EpisodeView`), and the delay of its motion (`Timing`).

A frame of motion is seen two chunks behind the tokens. A chunk has no motion before its last token,
and it moves once more when the chunk after it is known, because the decoder joins chunks smoothly:
shown at once, frames are 1 mm (and up to 8 mm) off at the lips, and the face twitches at every
chunk; one chunk later they are 0.1 mm off.

A picture is drawn at the reset and after every step. It shows the frame that stands `delay_steps`
earlier, so that frames follow each other evenly, in real time at `fps` pictures a second; the sound
has to start as many pictures late to match.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from esarm_env.core.types import EMOTIONS, FRAME_RATE_HZ, FloatArray, IntArray, MotionTokenizer
from esarm_env.rendering.caption import Caption
from esarm_env.task.conditions import (
    EMOTION_SLICE,
    INTENSITY_SLICE,
    SPEAKER_START,
    ConditionEncoder,
)
from esarm_env.task.episode_metrics import ERROR_UNITS

if TYPE_CHECKING:
    from esarm_env.task.animation_task import AnimationTask

_CHUNKS_BEHIND = 2


@dataclass(frozen=True)
class Timing:
    """Conversion between steps of an episode, pictures of a video and frames of motion.

    Attributes:
        tokens_per_chunk: Steps that complete a chunk, at least 1.
        frames_per_chunk: Frames of motion that a chunk covers, at least 1.
    """

    tokens_per_chunk: int
    frames_per_chunk: int

    def __post_init__(self) -> None:
        """Check that both are at least 1."""
        for name in ("tokens_per_chunk", "frames_per_chunk"):
            if getattr(self, name) < 1:
                raise ValueError(f"`{name}` must be at least 1, got {getattr(self, name)}")

    @classmethod
    def of(cls, tokenizer: MotionTokenizer) -> Timing:
        """Return the timing of episodes with this `tokenizer`."""
        return cls(tokenizer.tokens_per_chunk, tokenizer.frames_per_chunk)

    @property
    def fps(self) -> float:
        """Pictures a second in real time, `metadata["render_fps"]`; an int if it is whole."""
        rate = FRAME_RATE_HZ * self.tokens_per_chunk / self.frames_per_chunk
        return int(rate) if rate.is_integer() else rate

    @property
    def delay_steps(self) -> int:
        """Delay of motion and sound in pictures: 8 by default, 0.27 s."""
        return _CHUNKS_BEHIND * self.tokens_per_chunk

    def frame_at(self, step: int, *, length: int, n_frames: int) -> int | None:
        """Return the frame of motion that is seen after a step.

        Args:
            step: Tokens so far, 0 right after the reset.
            length: Tokens of the whole episode.
            n_frames: Frames of the utterance, of which the last chunk may hold more.

        Returns:
            Its index, always of a complete chunk; the last one at the end of the episode; None
            before the first.
        """
        return n_frames - 1 if step >= length else self._frame_behind(step, n_frames)

    def frames_left(self, *, length: int, n_frames: int) -> list[int | None]:
        """Return the delayed frames that the last picture skips, because it shows the end.

        Shown between the last two pictures, they let an episode run to its end at an even pace.

        Args:
            length: Tokens of the episode.
            n_frames: Frames of the utterance.

        Returns:
            One index per picture, as `frame_at` returns them.
        """
        left: list[int | None] = []
        step = length
        while (frame := self._frame_behind(step, n_frames)) != n_frames - 1:
            left.append(frame)
            step += 1
        return left

    def _frame_behind(self, step: int, n_frames: int) -> int | None:
        behind = (step - self.delay_steps) * self.frames_per_chunk // self.tokens_per_chunk
        return min(behind, n_frames - 1) if behind >= 0 else None


@dataclass(frozen=True, eq=False)
class EpisodeView:
    """Immutable snapshot of an episode, all that a renderer needs.

    Attributes:
        task: The task of the environment.
        utterance: Index in the task's corpus.
        tokens: Written so far, shape (step,), int64.
        length: Tokens of the whole episode, at least 1.
        condition: Shape (condition_dim,), float32, as the policy sees it.
        info: The `info` of the last step; its `rewards` and metrics are shown, if it has any.
        units: Unit by name of each metric that `info` may hold.
    """

    task: AnimationTask
    utterance: int
    tokens: IntArray
    length: int
    condition: FloatArray
    info: Mapping[str, Any] = field(default_factory=dict)
    units: Mapping[str, str] = field(default_factory=lambda: ERROR_UNITS)

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
        """The timing of the task's tokenizer."""
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
    """Decode a condition (condition_dim,) to emotion, intensity and speaker (None: average)."""
    emotion = EMOTIONS[int(condition[EMOTION_SLICE].argmax())]
    intensity = int(condition[INTENSITY_SLICE].argmax()) + 1
    columns = condition[SPEAKER_START:]
    speaker = encoder.speakers[int(columns.argmax())] if columns.any() else None
    return emotion, intensity, speaker


def caption_of(view: EpisodeView) -> Caption:
    """Return the caption of `view`."""
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
        metrics=tuple(
            (name, float(view.info[name]), unit)
            for name, unit in view.units.items()
            if name in view.info
        ),
    )
