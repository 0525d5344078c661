"""Animation of speech of any length with a trained run; `train.clips` writes it to files."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from agents.rollout.animation import animate_utterances, check_speech, joined
from agents.rollout.best_of_n import Score, best_of_n
from agents.rollout.decoding import SAMPLED, Decoding
from agents.rollout.named_decoding import NamedDecoding
from agents.rollout.streaming import StreamingAnimator
from agents.weights import load_policy
from esarm_env.core.errors import InputError
from esarm_env.core.types import Trajectories
from esarm_env.rewards.registry import WITH_MODEL, needs_recordings, resolve_reward
from esarm_env.task.emotion_curve import EmotionCurve, chosen_emotion
from esarm_env.task.extended import with_recording
from esarm_env.task.opening import open_speech_task
from esarm_env.task.recording import AnimationCondition, SpeechReader, SpeechRecording
from train.experiments.policy_files import load_fitting_policy
from train.run.named_policies import check_animates, named_policy

if TYPE_CHECKING:
    from agents.network.transformer import MotionTransformer
    from esarm_env.core.types import FloatArray
    from esarm_env.task.animation_task import AnimationTask
    from esarm_env.task.emotion_choice import ShownEmotion


_BY_DEFAULT = NamedDecoding()


@dataclass(frozen=True)
class Writing:
    """How the motion of a recording is written.

    Attributes:
        decoding: How tokens are chosen.
        best_of: Animations of each piece of which the reward's favourite is taken; 1 takes the
            first unseen.
        reward: Name of the reward that chooses, one that needs no ground truth; None stands for
            the run's reward model.
        seed: Of sampling, at least 0.
    """

    decoding: NamedDecoding = _BY_DEFAULT
    best_of: int = 1
    reward: str | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        """Check ranges, and that a reward is named where it chooses."""
        if self.seed < 0:
            raise InputError(f"`seed` must be at least 0, got {self.seed}")
        if self.best_of < 1:
            raise InputError(f"`best_of` must be at least 1, got {self.best_of}")
        if self.best_of == 1 and self.reward is not None:
            raise InputError(
                f"`reward` must be left out where nothing is chosen, got {self.reward!r}; draw "
                "several animations with --best-of"
            )

    def decoding_of(self, policy: MotionTransformer) -> Decoding:
        """Return the decoding of `policy`; where several are drawn, by default sampled."""
        many = self.best_of > 1 and self.decoding == _BY_DEFAULT
        return (NamedDecoding(SAMPLED) if many else self.decoding).of(policy)

    @property
    def chosen_by(self) -> str | None:
        """Name of the reward that chooses; None where nothing is chosen."""
        return None if self.best_of == 1 else self.reward or WITH_MODEL


PLAINLY = Writing()


@dataclass(frozen=True)
class Manner:
    """How recordings are animated, one or many.

    Attributes:
        voice: How they are to be said.
        writing: How the motion is written.
        alive: Whether the policy's blinks are replaced by others, and eye movements added where it
            wrote none, drawn from the seed.
    """

    voice: AnimationCondition
    writing: Writing = PLAINLY
    alive: bool = True


class SpeechAnimator:
    """A policy, a tokenizer and an audio encoder of one run, ready for any recording."""

    def __init__(self, run_path: Path, *, policy: str = "auto") -> None:
        """Load from a run folder.

        Args:
            run_path: A run folder, finished at least up to `clone`.
            policy: `clone`, an algorithm of `improve`, an experiment, the path of a policy file,
                or `auto`: the run's own whose true error on validation utterances was least.

        Raises:
            InputError: If a stage or the policy is missing, or a file does not fit the run.
        """
        self.run_path = run_path
        self._reader = SpeechReader(run_path)
        self._policy, self.policy_name = find_policy(run_path, policy)
        self.emotion: ShownEmotion | None = None  # of the latest animation

    def animate(
        self,
        audio: FloatArray,
        voice: AnimationCondition,
        writing: Writing = PLAINLY,
    ) -> FloatArray:
        """Return motion (T, 52) at 30 fps for `audio` (n_samples,) at 16 kHz.

        Raises:
            InputError: If emotion, intensity or speaker is unknown, or the policy cannot be decoded
                or the motion not be scored in this way.
        """
        context = self._context
        if self._streams(voice, writing):
            return self._animate_stream(audio, voice, writing, context=context)
        speech = self._reader.read(audio, voice, context=context)
        self.emotion = speech.shown
        check_speech(self._policy, speech)
        pieces, decoding = np.arange(len(speech.lengths)), self.decoding_of(writing)
        if writing.best_of == 1:
            written = animate_utterances(
                self._policy, speech, pieces, decoding=decoding, seed=writing.seed
            )
        else:
            written, _ = best_of_n(
                self._policy,
                speech,
                pieces,
                score=self._score(speech, audio, voice, writing.reward),
                n=writing.best_of,
                decoding=decoding,
                seed=writing.seed,
            )
        return joined(speech, written)

    @property
    def _context(self) -> int:
        """Chunks of audio on either side that the policy hears."""
        return (self._policy.config.window_dim // self._reader.dim - 1) // 2

    def _streams(self, voice: AnimationCondition, writing: Writing) -> bool:
        """Return whether a recording is animated as if it were still being spoken.

        Wherever the run can, so that a file gives what a microphone would; a curve is drawn over
        the whole of it.
        """
        decoding = self.decoding_of(writing)
        token_by_token = writing.best_of == 1 and not (decoding.beam or decoding.median_of)
        if not (token_by_token and self._reader.can_stream()):
            return False  # before a curve is read: whoever animates reads it anyway
        return not isinstance(chosen_emotion(voice.emotion, voice.intensity), EmotionCurve)

    def _animate_stream(
        self, audio: FloatArray, voice: AnimationCondition, writing: Writing, *, context: int
    ) -> FloatArray:
        speech = self._reader.stream(voice, audio=audio, context=context)
        self.emotion = speech.shown
        decoding = self.decoding_of(writing)
        animator = StreamingAnimator(self._policy, speech, decoding=decoding, seed=writing.seed)
        return np.concatenate([animator.push(audio), animator.finish()])

    def decoding_of(self, writing: Writing) -> Decoding:
        """Return how the policy is decoded.

        Raises:
            InputError: If it cannot be in this way.
        """
        return writing.decoding_of(self._policy)

    def learned_score(
        self,
        motion: FloatArray,
        audio: FloatArray,
        voice: AnimationCondition,
        *,
        task: AnimationTask | None = None,
    ) -> float:
        """Return what the run's reward model says of motion (T, 52) to `audio` (n_samples,).

        Motion is scored through the tokenizer, piece by piece; the mean counts each by its length.

        Args:
            motion: Any to this audio, 30 fps.
            audio: At 16 kHz.
            voice: What it is to show.
            task: Of the run (`open_speech_task`), if it is open already.

        Raises:
            InputError: If the run has no reward model.
        """
        speech = self._reader.read(audio, voice, context=self._context)
        step, lengths = speech.tokenizer.frames_per_chunk, speech.lengths
        tokens = np.full((len(lengths), int(lengths.max())), -1, dtype=np.int64)
        for piece, (begin, length) in enumerate(zip(speech.begins, lengths, strict=True)):
            end = begin + length // speech.tokenizer.tokens_per_chunk
            tokens[piece, :length] = speech.tokenizer.encode(motion[begin * step : end * step])
        pieces = np.arange(len(lengths))
        written = Trajectories(pieces, tokens, lengths, speech.condition_of(pieces))
        scores = self._score(speech, audio, voice, None, task)(written)
        return float(np.average(scores, weights=lengths))

    def _score(
        self,
        speech: SpeechRecording,
        audio: FloatArray,
        voice: AnimationCondition,
        reward: str | None,
        task: AnimationTask | None = None,
    ) -> Score:
        """Return what scores animations of the pieces of `speech` by `reward`."""
        whole = open_speech_task(self.run_path) if task is None else task
        task, indices = with_recording(whole, speech, audio, voice)
        chosen = resolve_reward(reward or WITH_MODEL, task, self.run_path)
        if chosen.needs_ground_truth:
            raise needs_recordings(reward, lacking="a recording of speech")

        def score(written: Trajectories) -> FloatArray:
            return chosen.score(replace(written, utterance=indices[written.utterance]))

        return score


def open_animator(run_path: Path, policy: str) -> SpeechAnimator:
    """Return the animator of a run.

    Raises:
        InputError: As `SpeechAnimator` and `check_animates`.
    """
    check_animates(run_path)
    return SpeechAnimator(run_path, policy=policy)


def find_policy(run_path: Path, policy: str) -> tuple[MotionTransformer, str]:
    """Return a policy of a run by name, and its name; `auto` is the best on validation.

    Args:
        run_path: A run folder, finished at least up to `clone`.
        policy: As of `named_policy`.

    Raises:
        InputError: If there is none of that name, or a file does not fit the run.
    """
    name, file = named_policy(run_path, policy)
    if file is None:
        return load_fitting_policy(Path(name), run_path), name
    return load_policy(file), name
