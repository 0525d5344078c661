"""Animate a speech file of any length with a trained run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from agents.rollout.decoding import Decoding
from agents.rollout.generation import generate
from agents.weights import load_policy
from esarm_env.audio import cut_at_pauses, read_audio
from esarm_env.audio.features import make_encoder
from esarm_env.core.errors import InputError
from esarm_env.core.run_layout import (
    CLONE_FILE,
    TOKENIZER_FILE,
    improved_policies,
    is_finished,
    need_file,
)
from esarm_env.core.seeds import sequence_seeds
from esarm_env.core.types import FRAME_RATE_HZ, SAMPLE_RATE_HZ, FloatArray, IntArray
from esarm_env.face.exporters import exporter_for
from esarm_env.task.animation_task import audio_windows, pad_stack
from esarm_env.task.conditions import ConditionEncoder
from esarm_env.task.opening import read_corpus_file
from esarm_env.tokenizer import load_tokenizer
from train.run.run_folder import RunFolder

if TYPE_CHECKING:
    from agents.network.transformer import MotionTransformer

SHORTEST_PIECE_S, LONGEST_PIECE_S = 2.0, 8.0
# A piece starts this much before its cut: the first half is thrown away (a policy needs a moment
# to get into an emotion), the second half fades over from the piece before.
OVERLAP_CHUNKS = 8


@dataclass(frozen=True)
class AnimationCondition:
    """How to say it.

    Attributes:
        emotion: One of the nine emotions.
        intensity: 1 to 3.
        speaker: A training speaker, or None for the average.
    """

    emotion: str = "neutral"
    intensity: int = 2
    speaker: str | None = None


@dataclass(frozen=True)
class _Pieces:
    """Pieces of one recording as a `SpeechTask`: utterance `i` is piece `i`."""

    windows: list[FloatArray]
    tokens_per_chunk: int

    @property
    def lengths(self) -> IntArray:
        return np.array([len(piece) for piece in self.windows]) * self.tokens_per_chunk

    def audio_windows(self, utterances: IntArray) -> FloatArray:
        return pad_stack([self.windows[int(index)] for index in utterances])


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
        source = read_corpus_file(run_path)
        self._encoder = make_encoder(source["encoder"])
        self._tokenizer = load_tokenizer(need_file(run_path, TOKENIZER_FILE))
        self._policy, self.policy_name = _find_policy(run_path, policy)
        self._conditions = ConditionEncoder(tuple(source["speakers"]))

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
        known = self._conditions.speakers
        if voice.speaker is not None and voice.speaker not in known:
            raise InputError(
                f"`speaker` must be one of {', '.join(known)} (leave out for the average), "
                f"got {voice.speaker!r}"
            )
        condition = self._conditions.encode(voice.emotion, voice.intensity, voice.speaker)
        features = self._encoder.encode(audio)
        step = self._tokenizer.frames_per_chunk
        windows = audio_windows(features, frames_per_chunk=step, context=self._context(features))
        edges = _chunk_edges(audio, len(windows), step)
        begins = np.maximum(edges[:-1] - OVERLAP_CHUNKS, 0)
        pieces = _Pieces(
            [windows[a:b] for a, b in zip(begins, edges[1:], strict=True)],
            self._tokenizer.tokens_per_chunk,
        )
        motions = self._write(pieces, condition, Decoding(temperature=temperature), seed=seed)
        return crossfade(motions, begins * step)[: len(features)]

    def _context(self, features: FloatArray) -> int:
        per_chunk: int = features.shape[1] * self._tokenizer.frames_per_chunk
        return (self._policy.config.window_dim // per_chunk - 1) // 2

    def _write(
        self, pieces: _Pieces, condition: FloatArray, decoding: Decoding, *, seed: int
    ) -> list[FloatArray]:
        """Return the motion of each piece."""
        numbers = np.arange(len(pieces.windows))
        rollout = generate(
            self._policy,
            pieces,
            numbers,
            condition=np.repeat(condition[None], len(numbers), axis=0),
            decoding=decoding,
            seeds=sequence_seeds(run_seed=seed, iteration=0, utterances=numbers, samples=0),
        )
        return [
            self._tokenizer.decode(tokens[:length])
            for tokens, length in zip(rollout.tokens, rollout.lengths, strict=True)
        ]


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
) -> dict[str, object]:
    """Read `speech`, animate it, write it in the format of `output`; return what was done.

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
    exporter = exporter_for(output)
    audio = read_audio(speech)
    animator = SpeechAnimator(run_path, policy=policy)
    motion = animator.animate(audio, voice, temperature=temperature, seed=seed)
    exporter.write(output, motion, rate_hz=rate_hz)
    return {
        "output": str(output),
        "policy": animator.policy_name,
        "duration_s": round(len(audio) / SAMPLE_RATE_HZ, 2),
        "frames_at_30_fps": len(motion),
    }


def crossfade(motions: list[FloatArray], begins: IntArray) -> FloatArray:
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
        ramp = np.clip(np.linspace(-1, 1, overlap + 2)[1:-1], 0, 1)[:, None]
        weight = (ramp * ramp * (3 - 2 * ramp)).astype(np.float32)  # no kink at either end
        faded = (1 - weight) * joined[begin:] + weight * motion[:overlap]
        joined = np.concatenate([joined[:begin], faded, motion[overlap:]])
    return joined


def _chunk_edges(audio: FloatArray, n_chunks: int, frames_per_chunk: int) -> IntArray:
    """Return chunk indices that bound the pieces, shape (n_pieces + 1,)."""
    pieces = cut_at_pauses(audio, shortest_s=SHORTEST_PIECE_S, longest_s=LONGEST_PIECE_S)
    per_chunk = SAMPLE_RATE_HZ * frames_per_chunk / FRAME_RATE_HZ
    edges = np.round(np.append(pieces[:, 0], len(audio)) / per_chunk).astype(np.int64)
    edges[-1] = n_chunks
    return edges


def _best_policy(run_path: Path) -> str:
    """Return the policy that had the least true error on validation; the clone before that."""
    if not is_finished(run_path, "improve"):
        return "clone"
    best = RunFolder.open(run_path).summary("improve")["best_on_validation"]
    return str(best["policy"])


def _find_policy(run_path: Path, policy: str) -> tuple[MotionTransformer, str]:
    found = improved_policies(run_path)
    if (run_path / CLONE_FILE).is_file() or not found:
        found["clone"] = need_file(run_path, CLONE_FILE)
    name = _best_policy(run_path) if policy == "auto" else policy
    if name not in found:
        raise InputError(f"`policy` must be one of {', '.join(found)}, got {policy!r}")
    return load_policy(found[name]), name
