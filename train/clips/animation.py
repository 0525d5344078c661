"""`esarm animate`: a recording is read, animated, and written in the format of each output."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agents.rollout.decoding import GREEDY, Decoding
from esarm_env.audio import read_audio
from esarm_env.core.errors import InputError
from esarm_env.core.types import FRAME_RATE_HZ, SAMPLE_RATE_HZ, FloatArray
from esarm_env.face.exporters import Sound
from esarm_env.liveliness import add_liveliness
from train.animate import Manner, SpeechAnimator, open_animator
from train.clips.outputs import Outputs

if TYPE_CHECKING:
    from collections.abc import Sequence

    from train.clips.card.maker import CardMaker


@dataclass(frozen=True, eq=False)
class AnimatedClip:
    """A clip as it was animated.

    Attributes:
        name: Of the recording.
        audio: Shape (n_samples,) at 16 kHz.
        motion: Shape (T, 52), 30 fps, as it is written.
        manner: How it was animated.
        seconds: That it took.
    """

    name: str
    audio: FloatArray
    motion: FloatArray
    manner: Manner
    seconds: float

    @property
    def duration_s(self) -> float:
        """Of the recording."""
        return len(self.audio) / SAMPLE_RATE_HZ


def animate_file(
    speech: Path,
    output: Path | Sequence[Path],
    *,
    run_path: Path,
    manner: Manner,
    policy: str = "auto",
    rate_hz: int = 30,
    formats: Sequence[str] = (),
    head: str | None = None,
    card: Path | None = None,
) -> dict[str, Any]:
    """Read `speech`, animate it, write it in the format of each `output`; return what was done.

    Args:
        speech: A sound file.
        output: One file or several, all of one animation.
        run_path: A run folder.
        manner: How it is animated.
        policy: As of `find_policy`.
        rate_hz: Frames per second, 30 or 60.
        formats: Names of exporters, for suffixes that several share.
        head: As of `open_head`, for formats that show one; None for the one that ships.
        card: Where the quality card is written; None for none.

    Raises:
        InputError: If an input is not usable; every output is then left as it was.
        MissingExtraError: If a package is absent that an output needs.
    """
    if rate_hz not in (30, 60):
        raise InputError(f"`rate` must be 30 or 60 frames per second, got {rate_hz}")
    paths = [output] if isinstance(output, Path) else list(output)
    outputs = Outputs.planned(paths, source=speech, formats=formats, rate_hz=rate_hz, head=head)
    audio = read_audio(speech)
    animator = open_animator(run_path, policy)
    done, clip = animated_clip(animator, speech, audio, outputs, manner)
    if head is not None:
        done["head"] = head
    if card is not None:
        from train.clips.card.maker import CardMaker

        done["card"] = written_card(CardMaker(animator, head=outputs.head), clip, card)
    return done


def written_card(maker: CardMaker, clip: AnimatedClip, path: Path) -> dict[str, Any]:
    """Write the quality card of a clip; return its figures, and where it is."""
    card = maker.make(clip)
    maker.write(card, path)
    return {"path": str(path), **card.to_dict()}


def animated_clip(
    animator: SpeechAnimator,
    speech: Path,
    audio: FloatArray,
    outputs: Outputs,
    manner: Manner,
) -> tuple[dict[str, Any], AnimatedClip]:
    """Animate a recording and write all of its outputs; return what was done, and the clip.

    Args:
        animator: Of the run.
        speech: The file, for its name.
        audio: What it holds, (n_samples,) at 16 kHz.
        outputs: Where it is written to.
        manner: How.

    Raises:
        InputError: If it cannot be animated in this way, or an output not be written.
    """
    voice, writing = manner.voice, manner.writing
    begun = time.perf_counter()
    motion = animator.animate(audio, voice, writing)
    seconds = time.perf_counter() - begun
    if manner.alive:
        # Sampled ones, too: one clip in six half shuts its eyes, and with ours they are too many.
        motion = add_liveliness(motion, seed=writing.seed, own_blinks=False)
    sound = Sound(audio, SAMPLE_RATE_HZ, speech.name)
    outputs.write(motion, speech=sound, name=speech.stem)
    rate_hz = outputs.rate_hz
    done = {
        "speech": str(speech),
        "output": str(outputs.paths[0]),
        "outputs": [str(path) for path in outputs.paths],
        "run": str(animator.run_path),
        "policy": animator.policy_name,
        **_settings_of(animator.decoding_of(writing)),
        "best_of": writing.best_of,
        "reward": writing.chosen_by,
        "seed": writing.seed,
        "emotion": None if animator.emotion is None else animator.emotion.to_dict(),
        "speaker": voice.speaker,
        "alive": manner.alive,
        "duration_s": round(len(audio) / SAMPLE_RATE_HZ, 2),
        "rate_hz": rate_hz,
        "frames": (len(motion) - 1) * rate_hz // FRAME_RATE_HZ + 1,  # none behind the last one
    }
    return done, AnimatedClip(speech.name, audio, motion, manner, seconds)


def _settings_of(decoding: Decoding) -> dict[str, Any]:
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
