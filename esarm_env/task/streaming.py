"""Speech that is still being spoken as a task of short pieces: audio windows out, motion back.

As a recording at hand is (`recording.py`), speech is cut at pauses into pieces that overlap and are
cross-faded; but where to cut is decided on the spot, half an overlap before the new piece is heard
of. Every stage works chunk by chunk with bounded memory, and gives the same bits whatever the size
of the blocks that audio comes in.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from esarm_env.audio.encoders.frames import finite
from esarm_env.audio.pauses import RunningCuts
from esarm_env.core.types import FRAME_RATE_HZ, N_CHANNELS, SAMPLE_RATE_HZ, FloatArray, n_frames_of
from esarm_env.encoder.streaming import StreamingEncoder
from esarm_env.tokenizer.pieces import PieceDecoder

if TYPE_CHECKING:
    from esarm_env.audio.encoders.frames import StreamingAudioEncoder
    from esarm_env.core.types import IntArray
    from esarm_env.encoder.network import SpeechEncoder
    from esarm_env.task.emotion_choice import ShownEmotion
    from esarm_env.tokenizer import VQMotionTokenizer

SHORTEST_PIECE_S, LONGEST_PIECE_S = 2.0, 8.0
OVERLAP_CHUNKS = 8  # as of recordings at hand: half is thrown away, half fades over


@dataclass(frozen=True)
class StreamParts:
    """What a run brings to a stream.

    Attributes:
        features: Audio encoder whose features stream.
        encoder: The speech encoder, one trained with `encoder.streaming`; None where the policy
            hears the features themselves.
        tokenizer: Turns tokens into motion.
        context: Chunks of audio before and after the current one that the policy hears.
    """

    features: StreamingAudioEncoder
    encoder: SpeechEncoder | None
    tokenizer: VQMotionTokenizer
    context: int

    @property
    def look_ahead_samples(self) -> int:
        """Samples after a frame's first that its motion waits for, at most."""
        chunk = self.tokenizer.frames_per_chunk
        unit = chunk if self.encoder is None else math.lcm(chunk, 2)
        ahead = 0 if self.encoder is None else self.encoder.shape.look_ahead_frames
        chunks = 1 + self.tokenizer.look_ahead_chunks + self.context
        n_frames = chunks * chunk + (unit - chunk) + ahead
        stream = self.features.stream()
        block = stream.frames_per_block
        frame_samples = SAMPLE_RATE_HZ / FRAME_RATE_HZ
        # Where a chunk begins within a block of features, the worst case.
        begins = np.arange(0, math.lcm(block, chunk), chunk)
        needed = -(-(begins + n_frames) // block) * block - begins
        return math.ceil(float(needed.max()) * frame_samples) + stream.ahead_samples


@dataclass(frozen=True)
class HeardChunk:
    """An audio window that tokens are to be written for.

    Attributes:
        piece: Number of the piece; tokens of one piece are one sequence.
        window: Shape (window_dim,).
    """

    piece: int
    window: FloatArray


class SpeechStream:
    """One recording while it is spoken.

    Attributes:
        condition: Shape (condition_dim,), how it is said.
        longest_piece: Chunks of a piece at most, hence of a sequence of tokens.
        look_ahead_frames: So many frames after its own time is a frame's motion there, at most.
        emotion: What is shown, in words.
        shown: The same in numbers.
    """

    def __init__(
        self,
        parts: StreamParts,
        condition: FloatArray,
        *,
        emotion: str = "",
        shown: ShownEmotion | None = None,
    ) -> None:
        """Begin a recording."""
        self.condition, self.emotion, self.shown = condition, emotion, shown
        self._parts, self._chunk = parts, parts.tokenizer.frames_per_chunk
        per_second = FRAME_RATE_HZ / self._chunk
        shortest = max(round(SHORTEST_PIECE_S * per_second), OVERLAP_CHUNKS + 1)
        longest = max(round(LONGEST_PIECE_S * per_second), 2 * shortest)
        self._cuts = RunningCuts(shortest, longest)
        self.longest_piece = longest + OVERLAP_CHUNKS + parts.tokenizer.look_ahead_chunks
        self.look_ahead_frames = math.ceil(
            parts.look_ahead_samples * FRAME_RATE_HZ / SAMPLE_RATE_HZ
        )
        self._stream = parts.features.stream()
        self._samples = np.zeros(0, np.float32)  # of the chunks to come
        self._n_samples, self._n_levels = 0, 0  # samples heard, chunks whose level is known
        self._features: FloatArray | None = None  # from frame `_first_frame` on
        self._first_frame = 0
        self._pieces = deque([_Piece(0, 0, parts)])
        self._n_frames_out = 0

    @property
    def oldest_piece(self) -> int:
        """Number of the oldest piece that is still written."""
        return self._pieces[0].number

    def hear(self, audio: FloatArray) -> list[HeardChunk]:
        """Return the windows that are ready after `audio` (n_samples,) at 16 kHz, in order.

        Raises:
            InputError: If a feature is not finite.
        """
        self._n_samples += len(audio)
        self._cut(audio)
        return self._hear(self._stream.push(audio), last=False)

    def finish(self) -> list[HeardChunk]:
        """Return the windows that are left; then the recording has ended."""
        return self._hear(self._stream.finish(), last=True)

    def write(self, piece: int, tokens: IntArray) -> None:
        """Take the tokens (tokens_per_chunk,) of the next window of a piece."""
        self._pieces[piece - self.oldest_piece].write(tokens)

    def take(self, *, last: bool = False) -> FloatArray:
        """Return the motion (T, 52) that is final and was not taken; `last` after `finish`."""
        if last:
            for piece in self._pieces:
                piece.finish_writing()
        ready = [np.zeros((0, N_CHANNELS), np.float32)]
        while (chunk := self._next_chunk()) is not None:
            ready.append(chunk)
        motion = np.concatenate(ready)
        if last:
            motion = motion[: n_frames_of(self._n_samples) - self._n_frames_out]
        self._n_frames_out += len(motion)
        return motion

    def _next_chunk(self) -> FloatArray | None:
        """Return the motion of the next chunk, None if it is not known yet."""
        old = self._pieces[0]
        new = self._pieces[1] if len(self._pieces) > 1 else None
        faded = 0 if new is None else old.n_taken + old.begin - new.begin - OVERLAP_CHUNKS // 2
        if new is None or faded < 0:
            return old.take()
        if not (old.has_motion and new.skip_to(old.n_taken + old.begin)):
            return None
        old_motion, new_motion = old.take(), new.take()
        assert old_motion is not None and new_motion is not None, "both have it"
        first = (OVERLAP_CHUNKS // 2 + faded) * self._chunk
        weight = fade_weights(OVERLAP_CHUNKS * self._chunk)[first : first + self._chunk]
        if faded + 1 == OVERLAP_CHUNKS // 2:
            self._pieces.popleft()
        return (1 - weight) * old_motion + weight * new_motion

    def _cut(self, audio: FloatArray) -> None:
        """Begin a new piece wherever the rule says so."""
        samples = np.concatenate([self._samples, audio])
        place = 0
        while True:
            begin, end = (self._sample_of(self._n_levels + step) for step in (0, 1))
            if len(samples) - place < end - begin:
                break
            cut = self._cuts.cut_after(samples[place : place + end - begin])
            place += end - begin
            self._n_levels += 1
            if cut:
                half = OVERLAP_CHUNKS // 2
                self._pieces[-1].end = self._n_levels + half
                number = self._pieces[-1].number + 1
                self._pieces.append(_Piece(number, self._n_levels - half, self._parts))
        self._samples = samples[place:]

    def _sample_of(self, chunk: int) -> int:
        return round(chunk * self._chunk * SAMPLE_RATE_HZ / FRAME_RATE_HZ)

    def _hear(self, features: FloatArray, *, last: bool) -> list[HeardChunk]:
        """Let all pieces hear what they lack; return their windows."""
        finite(features, whose="the recording")
        held = features if self._features is None else np.concatenate([self._features, features])
        windows = []
        for piece in self._pieces:
            lacking = held[max(0, piece.next_frame - self._first_frame) :]
            heard = piece.hear(lacking)
            heard += piece.finish_hearing() if last else []
            windows += [HeardChunk(piece.number, window) for window in heard]
        # A piece that is still to come begins no earlier.
        keep = max(0, (self._n_levels - OVERLAP_CHUNKS // 2) * self._chunk - self._first_frame)
        # Pieces have heard all of it; only what has not come is left to those that begin later.
        keep = min(keep, len(held))
        self._features, self._first_frame = held[keep:], self._first_frame + keep
        return windows


class _Piece:
    """One piece: what is heard of it becomes windows, and tokens written for it become motion.

    Attributes:
        number: 0 for the first piece.
        begin: First chunk.
        end: The chunk after its last; None while it goes on.
        next_frame: The frame of the recording that it has to hear next.
        n_taken: Chunks of motion that were taken or skipped.
    """

    def __init__(self, number: int, begin: int, parts: StreamParts) -> None:
        self.number, self.begin = number, begin
        self.end: int | None = None
        self._chunk, self._context = parts.tokenizer.frames_per_chunk, parts.context
        self._look_ahead = parts.tokenizer.look_ahead_chunks
        self._encoder = (
            None
            if parts.encoder is None
            else StreamingEncoder(parts.encoder, frames_per_chunk=self._chunk)
        )
        self._decoder = PieceDecoder(parts.tokenizer)
        self.next_frame = begin * self._chunk
        self._heard: FloatArray | None = None  # frames that fill no chunk yet
        self._around: deque[FloatArray] = deque(maxlen=2 * self._context + 1)
        self._n_chunks, self._n_windows, self.n_taken = 0, 0, 0
        self._motion: deque[FloatArray] = deque()

    def hear(self, features: FloatArray) -> list[FloatArray]:
        """Return the windows that are ready after features (T, D)."""
        self.next_frame += len(features)
        return self._windows(features if self._encoder is None else self._encoder.push(features))

    def finish_hearing(self) -> list[FloatArray]:
        """Return the windows that are left: nothing follows."""
        windows = [] if self._encoder is None else self._windows(self._encoder.finish())
        heard = self._heard
        if heard is not None and len(heard):
            missing = self._chunk - len(heard)
            windows += self._windows(np.repeat(heard[-1:], missing, axis=0))
        while self._n_windows_left() and self._around:
            windows += self._add_chunk(np.zeros_like(self._around[-1]), is_speech=False)
        return windows

    def _n_windows_left(self) -> int:
        last = self._n_chunks
        if self.end is not None:
            last = min(last, self.end - self.begin + self._look_ahead)
        return last - self._n_windows

    def _windows(self, heard: FloatArray) -> list[FloatArray]:
        frames = heard if self._heard is None else np.concatenate([self._heard, heard])
        windows = []
        whole = len(frames) - len(frames) % self._chunk
        for first in range(0, whole, self._chunk):
            windows += self._add_chunk(frames[first : first + self._chunk].reshape(-1))
        self._heard = frames[whole:]
        return windows

    def _add_chunk(self, chunk: FloatArray, *, is_speech: bool = True) -> list[FloatArray]:
        """Return the window that is complete with one more chunk, if there is one."""
        if not self._around:  # before the piece there is nothing
            self._around.extend([np.zeros_like(chunk)] * self._context)
        self._around.append(chunk)
        self._n_chunks += is_speech
        complete = len(self._around) == 2 * self._context + 1
        if not complete or self._n_windows_left() <= 0:
            return []
        self._n_windows += 1
        return [np.concatenate(self._around)]

    def write(self, tokens: IntArray) -> None:
        self._take_over(self._decoder.push(tokens))

    def finish_writing(self) -> None:
        self._take_over(self._decoder.finish())

    def _take_over(self, motion: FloatArray) -> None:
        self._motion.extend(np.split(motion, len(motion) // self._chunk) if len(motion) else [])

    @property
    def has_motion(self) -> bool:
        """Whether the next chunk is final."""
        return len(self._motion) > 0

    def skip_to(self, chunk: int) -> bool:
        """Throw away what is before `chunk` of the recording; return whether that one is final."""
        while self.has_motion and self.begin + self.n_taken < chunk:
            self.take()
        return self.has_motion

    def take(self) -> FloatArray | None:
        """Return the motion of the next chunk, (frames_per_chunk, 52), None if it is not final."""
        if not self.has_motion:
            return None
        self.n_taken += 1
        return self._motion.popleft()


def fade_weights(n_frames: int) -> FloatArray:
    """Return the share of the new piece along an overlap, (n_frames, 1); none in its first half."""
    ramp = np.clip(np.linspace(-1, 1, n_frames + 2)[1:-1], 0, 1)[:, None]
    weight: FloatArray = (ramp * ramp * (3 - 2 * ramp)).astype(np.float32)
    return weight
