"""Animation of a speech file of any length with a trained run."""

from __future__ import annotations

import difflib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from agents.rollout.animation import animate_utterances, check_speech, joined
from agents.rollout.best_of_n import Score, best_of_n
from agents.rollout.decoding import GREEDY, SAMPLED, Decoding
from agents.rollout.named_decoding import NamedDecoding
from agents.rollout.streaming import StreamingAnimator
from agents.weights import load_policy
from esarm_env.audio import read_audio
from esarm_env.core.cache import new_file
from esarm_env.core.errors import InputError
from esarm_env.core.run_layout import (
    CLONE_FILE,
    CORPUS_FILE,
    TOKENIZER_FILE,
    experiment_policies,
    improved_policies,
    is_file,
    is_finished,
    need_file,
    speech_policies,
)
from esarm_env.core.shipped import MANIFEST_FILE
from esarm_env.core.types import FRAME_RATE_HZ, SAMPLE_RATE_HZ, FloatArray, Trajectories
from esarm_env.face.exporters import exporter_to
from esarm_env.liveliness import add_liveliness
from esarm_env.rewards.registry import WITH_MODEL, resolve_reward
from esarm_env.task.emotion_curve import EmotionCurve, chosen_emotion
from esarm_env.task.extended import with_recording
from esarm_env.task.opening import open_speech_task
from esarm_env.task.recording import AnimationCondition, SpeechReader, SpeechRecording
from train.experiments.policy_files import load_fitting_policy
from train.run.run_folder import RunFolder

if TYPE_CHECKING:
    from agents.network.transformer import MotionTransformer
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
        self._run_path = run_path
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
        context = (self._policy.config.window_dim // self._reader.dim - 1) // 2
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

    def _score(
        self,
        speech: SpeechRecording,
        audio: FloatArray,
        voice: AnimationCondition,
        reward: str | None,
    ) -> Score:
        """Return what scores animations of the pieces of `speech` by `reward`."""
        task, indices = with_recording(open_speech_task(self._run_path), speech, audio, voice)
        chosen = resolve_reward(reward or WITH_MODEL, task, self._run_path)
        if chosen.needs_ground_truth:
            raise InputError(
                f"`reward` must not need the recorded motion, which a recording of speech lacks, "
                f"got {reward!r}; `esarm plugins` lists rewards that need none"
            )

        def score(written: Trajectories) -> FloatArray:
            return chosen.score(replace(written, utterance=indices[written.utterance]))

        return score


def animate_file(
    speech: Path,
    output: Path,
    *,
    run_path: Path,
    voice: AnimationCondition,
    policy: str = "auto",
    rate_hz: int = 30,
    writing: Writing = PLAINLY,
    alive: bool = True,
) -> dict[str, object]:
    """Read `speech`, animate it, write it in the format of `output`; return what was done.

    With `alive` the policy's blinks are replaced by others, and eye movements added where it wrote
    none, drawn from `seed`.

    Raises:
        InputError: If an input is not usable; `output` is then left as it was.
    """
    if rate_hz not in (30, 60):
        raise InputError(f"`rate` must be 30 or 60 frames per second, got {rate_hz}")
    exporter = exporter_to(output, speech=speech)
    audio = read_audio(speech)
    animator = _open_animator(run_path, policy)
    motion = animator.animate(audio, voice, writing)
    if alive:
        # Sampled ones, too: one clip in six half shuts its eyes, and with ours they are too many.
        motion = add_liveliness(motion, seed=writing.seed, own_blinks=False)
    # Whatever an exporter does, the file appears whole or not at all, and devices stay devices.
    with new_file(output, keep_suffix=True, make_folder=False) as draft:
        exporter.write(draft, motion, rate_hz=rate_hz)
    return {
        "speech": str(speech),
        "output": str(output),
        "run": str(run_path),
        "policy": animator.policy_name,
        **_settings_of(animator.decoding_of(writing)),
        "best_of": writing.best_of,
        "reward": writing.chosen_by,
        "seed": writing.seed,
        "emotion": None if animator.emotion is None else animator.emotion.to_dict(),
        "speaker": voice.speaker,
        "alive": alive,
        "duration_s": round(len(audio) / SAMPLE_RATE_HZ, 2),
        "rate_hz": rate_hz,
        "frames": (len(motion) - 1) * rate_hz // FRAME_RATE_HZ + 1,  # none behind the last one
    }


def _open_animator(run_path: Path, policy: str) -> SpeechAnimator:
    """Return the animator of a run.

    Raises:
        InputError: As `SpeechAnimator`. Where a stage of the run is missing, training it is one
            remedy; what ships with the package is the other.
    """
    try:
        return SpeechAnimator(run_path, policy=policy)
    except InputError as error:
        if all(is_file(run_path / name) for name in (CORPUS_FILE, TOKENIZER_FILE, CLONE_FILE)):
            raise
        remedy = "or leave out `--run`: the policy that ships with the package animates"
        raise InputError(f"{error}; {remedy}") from error


def _settings_of(decoding: Decoding) -> dict[str, object]:
    """Return a decoding's name and what it was set to, None of what it does not heed."""
    sampled = decoding.temperature if decoding.temperature != GREEDY else None
    return {
        "decoding": decoding.name,
        "temperature": sampled,
        "top_k": decoding.top_k or None,
        "top_p": decoding.top_p if decoding.top_p != 1 else None,
        "beam": decoding.beam or None,
        "median_of": decoding.median_of or None,
    }


def _best_policy(run_path: Path) -> str:
    """Return the policy that had the least true error on validation; the clone before that."""
    if not is_finished(run_path, "improve"):
        return "clone"
    best = RunFolder.open(run_path).summary("improve").get("best_on_validation")
    name = best.get("policy") if isinstance(best, dict) else None
    if not isinstance(name, str):
        raise InputError(
            f"{run_path}: the summary of `improve` must name the best policy, got {best!r:.40}; "
            "say which with --policy"
        )
    return name


def find_policy(run_path: Path, policy: str) -> tuple[MotionTransformer, str]:
    """Return a policy of a run by name, and its name; `auto` is the best on validation.

    Args:
        run_path: A run folder, finished at least up to `clone`.
        policy: Of the run, of its experiments or its speech; or the path of a policy file.

    Raises:
        InputError: If there is none of that name, or a file does not fit the run.
    """
    found = experiment_policies(run_path) | improved_policies(run_path) | speech_policies(run_path)
    if is_file(run_path / CLONE_FILE) or not found:
        found["clone"] = need_file(run_path, CLONE_FILE)
    name = _best_policy(run_path) if policy == "auto" else policy
    path = Path(name)
    if name not in found and (path.exists() or path.name != name or path.suffix):
        return load_fitting_policy(path, run_path), name
    if name not in found:
        near = difflib.get_close_matches(name, found, n=1)
        remedy = f"did you mean {near[0]}?" if near else _more_policies(run_path)
        raise InputError(f"`policy` must be one of {', '.join(found)}, got {policy!r}; {remedy}")
    return load_policy(found[name]), name


def _more_policies(run_path: Path) -> str:
    """Return where policies come from that a run does not have."""
    if (run_path / MANIFEST_FILE).is_file():
        return "what ships with the package has no others, a finished run (--run RUN) may"
    return "stage `improve` trains what its setting `improve.algorithms` names"
