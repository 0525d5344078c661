"""Speech of any length as a task of short pieces, which a policy animates and `join` puts together.

A policy was trained on utterances of some seconds. A recording is therefore cut at pauses; pieces
overlap, because the first half second of an animation has no emotion yet, and are cross-faded.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from esarm_env.audio import cut_at_pauses, read_audio
from esarm_env.audio.encoders.frames import StreamingAudioEncoder, finite
from esarm_env.core.errors import InputError
from esarm_env.core.hub.folders import local_folder
from esarm_env.core.run_layout import TOKENIZER_FILE, need_file
from esarm_env.core.shipped import shipped_run
from esarm_env.core.types import FRAME_RATE_HZ, SAMPLE_RATE_HZ, FloatArray, IntArray
from esarm_env.task.animation_task import audio_windows, pad_stack
from esarm_env.task.conditions import ConditionEncoder
from esarm_env.task.emotion_choice import (
    AUTO,
    ShownEmotion,
    check_trained,
    chosen_mix,
    heard_emotion,
)
from esarm_env.task.emotion_curve import EmotionCurve, chosen_emotion
from esarm_env.task.opening import (
    context_of,
    emotions_of_run,
    find_speech_encoder,
    open_audio_encoder,
    read_corpus_file,
)
from esarm_env.task.streaming import (
    LONGEST_PIECE_S,
    OVERLAP_CHUNKS,
    SHORTEST_PIECE_S,
    SpeechStream,
    StreamParts,
    fade_weights,
)
from esarm_env.tokenizer import load_tokenizer

if TYPE_CHECKING:
    from esarm_env.core.types import MotionTokenizer


@dataclass(frozen=True)
class AnimationCondition:
    """How to say it.

    Attributes:
        emotion: One of the nine emotions, a blend (`happy:0.5,surprised:0.5`), a curve over time
            (also by the path of its `.csv` file), or `auto`: what the voice tells.
        intensity: 1 to 3; None is 2, or what the voice tells with `auto`, or what a curve says.
        speaker: A training speaker, or None for the average.
    """

    emotion: str | Path | EmotionCurve = "neutral"
    intensity: int | None = None
    speaker: str | None = None


@dataclass(frozen=True)
class SpeechRecording:
    """One recording, cut into pieces: utterance `i` of this task is piece `i`.

    Attributes:
        windows: Audio windows of each piece, (n_chunks_i, window_dim).
        begins: First chunk of each piece, shape (N,), ascending, the first 0.
        condition: Of the whole, shape (condition_dim,); under a curve that of each chunk, shape
            (n_chunks, condition_dim).
        tokenizer: Turns tokens into motion.
        n_frames: Frames of the whole recording at 30 fps.
        emotion: What is shown, in words; of `auto`, what was heard and how sure that is.
        shown: The same in numbers.
    """

    windows: Sequence[FloatArray]
    begins: IntArray
    condition: FloatArray
    tokenizer: MotionTokenizer
    n_frames: int
    emotion: str = ""
    shown: ShownEmotion | None = None

    @property
    def lengths(self) -> IntArray:
        """Tokens of every piece, shape (N,)."""
        return np.array([len(piece) for piece in self.windows]) * self.tokenizer.tokens_per_chunk

    def audio_windows(self, utterances: IntArray) -> FloatArray:
        """Return audio windows of pieces, zero-padded, shape (N, n_chunks, window_dim)."""
        return pad_stack([self.windows[int(index)] for index in utterances])

    def condition_of(self, utterances: IntArray) -> FloatArray:
        """Return the condition of each piece, its mean under a curve, shape (N, condition_dim)."""
        if self.condition.ndim == 1:
            return np.repeat(self.condition[None], len(utterances), axis=0)
        return np.stack([rows.mean(axis=0) for rows in self._curves(utterances)])

    def conditions_over_time(self, utterances: IntArray) -> FloatArray | None:
        """Return the condition of each chunk of pieces, (N, n_chunks, condition_dim).

        Padded with each piece's last one. None where the condition never changes.
        """
        return None if self.condition.ndim == 1 else pad_stack(self._curves(utterances), edge=True)

    def _curves(self, utterances: IntArray) -> list[FloatArray]:
        """Return the conditions of each piece's own chunks, (n_chunks_i, condition_dim) each."""
        pieces = [(int(self.begins[i]), len(self.windows[i])) for i in utterances.tolist()]
        return [self.condition[begin : begin + count] for begin, count in pieces]

    def median_tokens(self, utterances: IntArray, tokens: IntArray) -> IntArray:
        """Return tokens (N, L) of the medians of animations (N, n, L) of pieces."""
        from esarm_env.tokenizer.medians import median_tokens

        return median_tokens(self.tokenizer, tokens, self.lengths[utterances])

    def join(self, tokens: Sequence[IntArray]) -> FloatArray:
        """Return the motion of the recording, shape (n_frames, 52).

        Args:
            tokens: Of every piece, (length_i,).
        """
        motions = [self.tokenizer.decode(piece) for piece in tokens]
        return crossfade(motions, self.begins * self.tokenizer.frames_per_chunk)[: self.n_frames]


class SpeechReader:
    """The audio encoder, the tokenizer and the conditions of a run, for recordings of any length.

    Attributes:
        dim: Width of the audio features of one chunk.
    """

    def __init__(self, run: str | Path | None = None) -> None:
        """Load what a run folder says; None stands for the shipped one.

        Raises:
            InputError: If a stage is missing.
        """
        folder = shipped_run() if run is None else local_folder(run)
        source = read_corpus_file(folder)
        self._encoder_name = str(source["encoder"])
        self._speech_encoder = find_speech_encoder(folder)
        self._encoder = open_audio_encoder(folder, self._speech_encoder)
        self._tokenizer = load_tokenizer(need_file(folder, TOKENIZER_FILE))
        self._conditions = ConditionEncoder(tuple(source["speakers"]))
        self._emotions = emotions_of_run(folder)
        heard = self._encoder if self._speech_encoder is None else self._speech_encoder
        self.dim: int = heard.dim * self._tokenizer.frames_per_chunk

    def read(
        self, audio: FloatArray, how: AnimationCondition, *, context: int | None = None
    ) -> SpeechRecording:
        """Return a recording as a task.

        Args:
            audio: Shape (n_samples,), at 16 kHz.
            how: Emotion, intensity and speaker.
            context: Chunks of audio before and after the current one that the policy hears; by
                default as many as in the run's task.

        Raises:
            InputError: If emotion, intensity or speaker is unknown, the emotion is one that the run
                was not trained on, a curve does not cover the recording, or a sample or feature is
                not finite.
        """
        if not np.isfinite(audio).all():
            raise InputError("`audio` must be finite, got nan or infinity")
        self._check_speaker(how.speaker)
        chosen = self._chosen(how)
        if isinstance(chosen, EmotionCurve):
            chosen.check_covers(len(audio) / SAMPLE_RATE_HZ)
        features = self._encoder.encode(audio)
        finite(features, whose="the recording")
        step = self._tokenizer.frames_per_chunk
        n_chunks = self._tokenizer.n_chunks(len(features))
        if isinstance(chosen, EmotionCurve):
            mix = chosen.at((np.arange(n_chunks) + 0.5) * step / FRAME_RATE_HZ)
            shown = ShownEmotion(chosen.label, mix, source="curve")
        else:
            shown = chosen or self._hear_emotion(features, how)
        condition = _once(self._conditions.encode_mix(shown.mix, how.speaker))
        edges = _chunk_edges(audio, n_chunks, step)
        begins = np.maximum(edges[:-1] - OVERLAP_CHUNKS, 0)
        width = context_of(self._speech_encoder) if context is None else context
        pieces = self._windows(features, begins, edges[1:], context=width)
        n_frames, said = len(features), (shown.words, shown)
        return SpeechRecording(pieces, begins, condition, self._tokenizer, n_frames, *said)

    def stream(
        self,
        how: AnimationCondition,
        *,
        audio: FloatArray | None = None,
        context: int | None = None,
    ) -> SpeechStream:
        """Return a recording that is still to be spoken, as a task.

        Args:
            how: Emotion, intensity and speaker.
            audio: The whole of it, (n_samples,), where it is at hand: only then may the emotion be
                `auto`.
            context: As of `read`.

        Raises:
            InputError: If the run hears whole recordings alone, or as `read`.
        """
        parts = self._stream_parts(context_of(self._speech_encoder) if context is None else context)
        self._check_speaker(how.speaker)
        chosen = self._chosen(how)
        if isinstance(chosen, EmotionCurve):
            raise InputError(
                "`emotion` must not be a curve for speech that is still to come: name one or a "
                "blend, or animate the recording as a whole"
            )
        if chosen is None and audio is not None:
            chosen = self._hear_emotion(self._encoder.encode(audio), how)
        if chosen is None:
            raise InputError(
                f"`emotion` must be named for speech that is still to come, got {AUTO!r}, which "
                "hears the whole recording"
            )
        condition = self._conditions.encode_mix(chosen.mix, how.speaker)
        return SpeechStream(parts, condition, emotion=chosen.words, shown=chosen)

    def can_stream(self) -> bool:
        """Return whether the run animates speech while it is spoken."""
        try:
            self._stream_parts(0)
        except InputError:
            return False
        return True

    def _stream_parts(self, context: int) -> StreamParts:
        """Return what a stream needs of the run.

        Raises:
            InputError: If features or speech encoder hear whole recordings alone.
        """
        encoder, heard = self._encoder, self._speech_encoder
        if not isinstance(encoder, StreamingAudioEncoder):
            raise InputError(
                f"`corpus.encoder` of the run must be one whose features stream, got "
                f"{self._encoder_name!r}, which hears the whole recording; train a run with "
                "`corpus.encoder=logmel-running` and `encoder.streaming=true`"
            )
        if heard is not None and not heard.shape.streaming:
            raise InputError(
                "`encoder.streaming` of the run must be true, got false: its speech encoder hears "
                "the whole utterance; train a run with `encoder.streaming=true` and "
                "`encoder.look_ahead_frames=6`"
            )
        return StreamParts(encoder, heard, self._tokenizer, context)

    def _chosen(self, how: AnimationCondition) -> ShownEmotion | EmotionCurve | None:
        """Return the emotion that was asked for, which the run was trained on; None for `auto`."""
        chosen = chosen_emotion(how.emotion, how.intensity)
        if chosen is None:
            return None
        check_trained(chosen.emotions, self._emotions)
        return chosen if isinstance(chosen, EmotionCurve) else ShownEmotion(chosen.label, chosen)

    def _check_speaker(self, speaker: str | None) -> None:
        known = self._conditions.speakers
        if speaker is not None and speaker not in known:
            raise InputError(
                f"`speaker` must be one of {', '.join(known)} (leave out for the average), "
                f"got {speaker!r}"
            )

    def _hear_emotion(self, features: FloatArray, how: AnimationCondition) -> ShownEmotion:
        """Return what the voice tells; neutral where the run cannot hear it."""
        if self._speech_encoder is None:
            mix = chosen_mix("neutral", how.intensity or 2)
            check_trained(mix.emotions, self._emotions)
            words = f"{mix.label}; this run has no speech encoder that hears emotion"
            return ShownEmotion(words, mix)
        emotions, intensities = self._speech_encoder.read_emotion(features)
        if how.intensity is not None:
            intensities = chosen_mix("neutral", how.intensity).intensities
        return heard_emotion(emotions, intensities, trained=self._emotions)

    def _windows(
        self, features: FloatArray, begins: IntArray, ends: IntArray, *, context: int
    ) -> list[FloatArray]:
        """Return the audio windows of each piece, chunks `begins` to `ends`.

        A speech encoder hears piece by piece: it was trained on sentences, and its attention over
        ten minutes would take gigabytes.
        """
        step, encoder = self._tokenizer.frames_per_chunk, self._speech_encoder
        if encoder is None:
            windows = audio_windows(features, frames_per_chunk=step, context=context)
            return [windows[a:b] for a, b in zip(begins, ends, strict=True)]
        return [
            audio_windows(
                encoder.encode(features[a * step : b * step]),
                frames_per_chunk=step,
                context=context,
            )
            for a, b in zip(begins.tolist(), ends.tolist(), strict=True)
        ]


def open_speech(
    speech: str | Path | FloatArray,
    run: str | Path | None = None,
    *,
    emotion: str | Path | EmotionCurve = "neutral",
    intensity: int | None = None,
    speaker: str | None = None,
) -> SpeechRecording:
    """Open a recording for `agents.animate`.

    Args:
        speech: A sound file of 0.2 s to 10 min, or samples (n_samples,) at 16 kHz.
        run: The run folder of the policy, or `hf://user/name`; None stands for what ships.
        emotion: One of the nine emotions, a blend (`happy:0.5,surprised:0.5`), a curve over time
            (also by the path of its `.csv` file), or `auto`: what the voice tells.
        intensity: 1 to 3; None is 2, or what the voice tells with `auto`, or what a curve says.
        speaker: A training speaker, or None for the average.

    Raises:
        InputError: If the file, the run or the condition cannot be used.
    """
    audio = read_audio(Path(speech)) if isinstance(speech, str | Path) else speech
    return SpeechReader(run).read(audio, AnimationCondition(emotion, intensity, speaker))


def open_speech_stream(
    run: str | Path | None = None,
    *,
    emotion: str = "neutral",
    intensity: int | None = None,
    speaker: str | None = None,
) -> SpeechStream:
    """Open speech that is still to come for `agents.StreamingAnimator`.

    Args:
        run: The run folder of the policy, one trained to stream; None stands for what ships.
        emotion: One of the nine emotions, or a blend (`happy:0.5,surprised:0.5`).
        intensity: 1 to 3; None is 2.
        speaker: A training speaker, or None for the average.

    Raises:
        InputError: If the run hears whole recordings alone (the message names the setting to train
            with instead), or the condition cannot be used.
    """
    return SpeechReader(run).stream(AnimationCondition(emotion, intensity, speaker))


def crossfade(motions: Sequence[FloatArray], begins: IntArray) -> FloatArray:
    """Join overlapping pieces of motion into one.

    Where a piece overlaps the one before, the old one holds for the first half and fades into the
    new one over the second.

    Args:
        motions: Each (T_i, 52).
        begins: First frame of each piece, ascending, the first 0; pieces leave no gap.

    Returns:
        Shape (T, 52).
    """
    joined = motions[0]
    for motion, begin in zip(motions[1:], begins[1:], strict=True):
        overlap = len(joined) - int(begin)
        weight = fade_weights(overlap)
        faded = (1 - weight) * joined[begin:] + weight * motion[:overlap]
        joined = np.concatenate([joined[:begin], faded, motion[overlap:]])
    return joined


def _once(condition: FloatArray) -> FloatArray:
    """Return a condition without the axis of chunks where all chunks have the same.

    So that a curve that never changes gives the same bits as its emotion by name.
    """
    same = condition.ndim == 2 and bool((condition == condition[0]).all())
    return condition[0] if same else condition


def _chunk_edges(audio: FloatArray, n_chunks: int, frames_per_chunk: int) -> IntArray:
    """Return chunk indices that bound the pieces, shape (n_pieces + 1,)."""
    pieces = cut_at_pauses(audio, shortest_s=SHORTEST_PIECE_S, longest_s=LONGEST_PIECE_S)
    per_chunk = SAMPLE_RATE_HZ * frames_per_chunk / FRAME_RATE_HZ
    edges = np.round(np.append(pieces[:, 0], len(audio)) / per_chunk).astype(np.int64)
    edges[-1] = n_chunks
    return edges
