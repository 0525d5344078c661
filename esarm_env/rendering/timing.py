"""When a frame of motion is seen: two chunks behind the tokens.

A chunk has no motion before its last token, and it moves once more when the chunk after it is
known, because the decoder joins chunks smoothly: shown at once, frames are 1 mm (and up to 8 mm)
off at the lips, and the face twitches at every chunk; one chunk later they are 0.1 mm off.

A picture is drawn at the reset and after every step. It shows the frame that stands `delay_steps`
earlier, so that frames follow each other evenly, in real time at `fps` pictures a second; the sound
has to start as many pictures late to match.
"""

from __future__ import annotations

from dataclasses import dataclass

from esarm_env.types import FRAME_RATE_HZ, MotionTokenizer

_CHUNKS_BEHIND = 2


@dataclass(frozen=True)
class Timing:
    """Steps of an episode, pictures of a video and frames of motion against each other.

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
        """Return the timing of what `tokenizer` writes."""
        return cls(tokenizer.tokens_per_chunk, tokenizer.frames_per_chunk)

    @property
    def fps(self) -> float:
        """Pictures a second in real time, `metadata["render_fps"]`; an int if it is whole."""
        rate = FRAME_RATE_HZ * self.tokens_per_chunk / self.frames_per_chunk
        return int(rate) if rate.is_integer() else rate

    @property
    def delay_steps(self) -> int:
        """Pictures by which motion, and so the sound, is late: 8 by default, 0.27 s."""
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
        """Return the frames that the last picture skips, because it shows the end.

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
