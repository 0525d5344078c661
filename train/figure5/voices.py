"""Methods of the figure on a voice without recorded motion, such as any sound file."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from agents.baselines import MeanFace, Regressor
from agents.rollout.named_decoding import AUTO, NamedDecoding
from esarm_env.core.errors import InputError
from esarm_env.core.run_layout import own_policies, run_policies
from esarm_env.core.types import EMOTIONS
from esarm_env.task.opening import open_audio_encoder
from esarm_env.task.recording import SpeechReader
from train.animate import SpeechAnimator, Writing
from train.figure5.methods import (
    MEAN_FACE,
    REGRESSOR,
    Row,
    check_methods,
    default_methods,
    meant,
    method_label,
    policy_label,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from esarm_env.core.types import FloatArray
    from esarm_env.task.animation_task import AnimationTask
    from esarm_env.task.recording import AnimationCondition


class VoiceMethods:
    """Methods of one run on one voice.

    Attributes:
        emotion: What is shown, in words; of `auto`, what was heard.
        n_frames: Of the voice at 30 fps.
        notes: What the reader must know, a line each.
    """

    def __init__(
        self,
        run_path: Path,
        task: AnimationTask,
        audio: FloatArray,
        voice: AnimationCondition,
        *,
        seed: int = 0,
    ) -> None:
        """Read the voice for the run.

        Args:
            run_path: The run folder.
            task: Of the run.
            audio: Shape (n_samples,) at 16 kHz.
            voice: How it is to be said.
            seed: Of what is sampled.

        Raises:
            InputError: If emotion, intensity or speaker cannot be, as `SpeechReader.read`.
        """
        self._run_path, self._task, self._audio, self._voice = run_path, task, audio, voice
        self._policies, self._own = run_policies(run_path), own_policies(run_path)
        self._seed = seed
        self._speech = SpeechReader(run_path).read(audio, voice)
        self.emotion, self.n_frames = self._speech.emotion, self._speech.n_frames
        self.notes: list[str] = []

    def check(self, asked: Sequence[str]) -> list[str]:
        """Return the methods to show, all that can be where none is asked for.

        Raises:
            InputError: As `check_methods`, or if the mean face of no single emotion is asked for.
        """
        regressor = self._task.speech_encoder is not None
        single = self._voice.emotion in EMOTIONS
        faces = len(self._task.corpus.split("train")) > 0
        if asked:
            if MEAN_FACE in meant(asked, self._policies) and not faces:
                raise InputError(
                    f"`methods` must leave out {MEAN_FACE!r} of an export, which has no recordings"
                )
            if MEAN_FACE in meant(asked, self._policies) and not single:
                raise InputError(
                    f"`methods` must leave out {MEAN_FACE!r} where `emotion` is not one by name, "
                    f"got {self._voice.emotion}"
                )
            return check_methods(asked, self._policies, regressor=regressor, recorded=False)
        names = default_methods(self._own, regressor=regressor, recorded=False)
        if not faces:
            self.notes.append("no row of the mean face: an export has no recordings")
            names.remove(MEAN_FACE)
        elif not single:
            self.notes.append(f"no row of the mean face: {self.emotion} is not one emotion by name")
            names.remove(MEAN_FACE)
        return names

    def animate(self, name: str) -> Row:
        """Return the row of a method.

        Raises:
            InputError: If the policy cannot be decoded in this way.
        """
        if name == MEAN_FACE:
            return Row(name, method_label(name), self._mean_face())
        if name == REGRESSOR:
            return Row(name, method_label(name), self._regressed())
        policy, _, asked = name.partition(":")
        animator = SpeechAnimator(self._run_path, policy=policy)
        writing = Writing(NamedDecoding(asked or AUTO), seed=self._seed)
        motion = animator.animate(self._audio, self._voice, writing)
        label = policy_label(policy, animator.decoding_of(writing).name)
        return Row(name, label, fitted(motion, self._speech.n_frames))

    def _mean_face(self) -> FloatArray:
        """Return the mean training face of the condition, held still."""
        records, corpus = self._task.corpus.records, self._task.corpus
        train = [int(index) for index in corpus.split("train")]
        labels = [(records[index].emotion, records[index].intensity) for index in train]
        face = MeanFace([corpus[index].motion for index in train], labels)
        asked = (str(self._voice.emotion), self._voice.intensity or 2)
        if asked not in labels:
            self.notes.append(f"the mean face is that of all training: none is {asked[0]}")
        return face.animate(asked, n_frames=self._speech.n_frames)

    def _regressed(self) -> FloatArray:
        """Return what the regressor makes of the whole voice at once."""
        encoder = self._task.speech_encoder
        assert encoder is not None  # checked by name
        features = open_audio_encoder(self._run_path, encoder).encode(self._audio)
        condition = self._speech.condition
        mean = condition if condition.ndim == 1 else condition.mean(axis=0).astype(np.float32)
        motion = Regressor(encoder).animate(encoder.encode(features), mean)
        return fitted(motion, self._speech.n_frames)


def fitted(motion: FloatArray, n_frames: int) -> FloatArray:
    """Return motion (T, 52) cut to `n_frames`, or its last frame held up to there."""
    return motion[np.minimum(np.arange(n_frames), len(motion) - 1)]
