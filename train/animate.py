"""Animation of a speech file of any length with a trained run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from agents.rollout.animation import animate
from agents.rollout.decoding import Decoding
from agents.weights import load_policy
from esarm_env.audio import read_audio
from esarm_env.core.cache import goes_through, new_file
from esarm_env.core.errors import InputError
from esarm_env.core.run_layout import CLONE_FILE, improved_policies, is_file, is_finished, need_file
from esarm_env.core.types import SAMPLE_RATE_HZ, FloatArray
from esarm_env.face.exporters import exporter_for
from esarm_env.liveliness import add_liveliness
from esarm_env.task.recording import AnimationCondition, SpeechReader
from train.run.run_folder import RunFolder

if TYPE_CHECKING:
    from agents.network.transformer import MotionTransformer


class SpeechAnimator:
    """A policy, a tokenizer and an audio encoder of one run, ready for any recording."""

    def __init__(self, run_path: Path, *, policy: str = "auto") -> None:
        """Load from a run folder.

        Args:
            run_path: A run folder, finished at least up to `clone`.
            policy: `clone`, an algorithm of `improve`, or `auto`: the one whose true error on the
                validation utterances was least.

        Raises:
            InputError: If a stage or the policy is missing.
        """
        self._reader = SpeechReader(run_path)
        self._policy, self.policy_name = _find_policy(run_path, policy)

    def animate(
        self,
        audio: FloatArray,
        voice: AnimationCondition,
        *,
        temperature: float = 0.0,
        seed: int = 0,
    ) -> FloatArray:
        """Return motion (T, 52) at 30 fps for `audio` (n_samples,) at 16 kHz.

        Raises:
            InputError: If emotion, intensity or speaker is unknown.
        """
        context = (self._policy.config.window_dim // self._reader.dim - 1) // 2
        speech = self._reader.read(audio, voice, context=context)
        return animate(self._policy, speech, temperature=temperature, seed=seed)


def animate_file(
    speech: Path,
    output: Path,
    *,
    run_path: Path,
    voice: AnimationCondition,
    policy: str = "auto",
    rate_hz: int = 30,
    temperature: float = 0.0,
    seed: int = 0,
    alive: bool = True,
) -> dict[str, object]:
    """Read `speech`, animate it, write it in the format of `output`; return what was done.

    With `alive` blinks and eye movements are added, drawn from `seed`, where the policy wrote none.

    Raises:
        InputError: If an input is not usable; `output` is then left as it was.
    """
    if rate_hz not in (30, 60):
        raise InputError(f"`rate` must be 30 or 60 frames per second, got {rate_hz}")
    try:
        Decoding(temperature=temperature)
    except ValueError as error:
        raise InputError(str(error)) from error
    if seed < 0:
        raise InputError(f"`seed` must be at least 0, got {seed}")
    if output.exists() and speech.exists() and output.samefile(speech):
        raise InputError(f"`output` must be another file than the recording, got {output}")
    exporter = exporter_for(_format_of(output))
    audio = read_audio(speech)
    animator = SpeechAnimator(run_path, policy=policy)
    motion = animator.animate(audio, voice, temperature=temperature, seed=seed)
    if alive:
        motion = add_liveliness(motion, seed=seed)
    # Whatever an exporter does, the file appears whole or not at all, and devices stay devices.
    with new_file(output, keep_suffix=True, make_folder=False) as draft:
        exporter.write(draft, motion, rate_hz=rate_hz)
    return {
        "output": str(output),
        "policy": animator.policy_name,
        "duration_s": round(len(audio) / SAMPLE_RATE_HZ, 2),
        "frames_at_30_fps": len(motion),
    }


def _format_of(output: Path) -> Path:
    """Return a path whose suffix tells the format: CSV through a device or FIFO without one."""
    try:
        through = not output.suffix and goes_through(output)
    except OSError:
        through = False  # said where it is written
    return output.with_suffix(".csv") if through else output


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


def _find_policy(run_path: Path, policy: str) -> tuple[MotionTransformer, str]:
    found = improved_policies(run_path)
    if is_file(run_path / CLONE_FILE) or not found:
        found["clone"] = need_file(run_path, CLONE_FILE)
    name = _best_policy(run_path) if policy == "auto" else policy
    if name not in found:
        raise InputError(f"`policy` must be one of {', '.join(found)}, got {policy!r}")
    return load_policy(found[name]), name
