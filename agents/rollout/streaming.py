"""Animation of speech while it is spoken: audio in blocks of any size, motion as soon as it may be.

A policy writes token by token anyway; a KV cache per piece of speech is all the state it needs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from agents.network.session import PolicySession
from agents.rollout.decoding import Decoding, choose, distance_table
from agents.rollout.named_decoding import AUTO, NamedDecoding
from esarm_env.core.errors import InputError
from esarm_env.core.seeds import sequence_seeds
from esarm_env.core.types import FRAME_RATE_HZ, SAMPLE_RATE_HZ

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from agents.network.transformer import MotionTransformer
    from agents.protocols import FloatArray, HeardWindow, IntArray, StreamedSpeech

# A longer block is heard in parts: memory stays that of one.
_MOST_SAMPLES = SAMPLE_RATE_HZ // 2


class StreamingAnimator:
    """Motion of one recording whose audio comes in blocks.

    The same recording gives the same motion bit for bit, whatever the sizes of its blocks.

    Attributes:
        look_ahead_frames: So many frames at 30 fps after its own time a frame is there, at most.
        look_ahead_ms: The same in milliseconds; computing adds to it.
    """

    def __init__(
        self,
        model: MotionTransformer,
        speech: StreamedSpeech,
        *,
        temperature: float = 0.0,
        decoding: str | Decoding = AUTO,
        seed: int = 0,
    ) -> None:
        """Begin a recording.

        Args:
            model: The policy, for instance `load_policy("runs/streaming")`.
            speech: Of `esarm_env.open_speech_stream`, with the run that the policy comes from.
            temperature: 0 leaves nothing to chance, 1 samples.
            decoding: As of `animate`, without a beam or a median.
            seed: Of sampling, at least 0.

        Raises:
            InputError: If `decoding` is not possible, or the speech was opened for a policy of
                another run.
        """
        if isinstance(decoding, str):
            decoding = NamedDecoding(decoding, temperature or None).of(model)
        if decoding.median_of:
            raise InputError(
                f"`decoding` must choose token by token to stream, got the median of "
                f"{decoding.median_of} whole animations; take greedy, expected-distance or sampled"
            )
        if decoding.beam:
            raise InputError(
                f"`decoding` must choose token by token to stream, got beam ({decoding.beam}), "
                "which goes back on what it wrote; take greedy, expected-distance or sampled"
            )
        if len(speech.condition) != model.config.condition_dim:
            raise InputError(
                "`speech` must have the `condition_dim` of the policy "
                f"({model.config.condition_dim}), got {len(speech.condition)}; open it with the "
                "run that the policy comes from"
            )
        model.eval()
        self._model, self._speech, self._decoding, self._seed = model, speech, decoding, seed
        self._writers: dict[int, _Writer] = {}
        self._spare: list[PolicySession] = []
        self._ended = False
        self.look_ahead_frames = speech.look_ahead_frames
        self.look_ahead_ms = round(1000 * speech.look_ahead_frames / FRAME_RATE_HZ)

    def push(self, audio: npt.ArrayLike) -> FloatArray:
        """Return the motion (T, 52) at 30 fps that is final after `audio`, T often 0.

        Args:
            audio: The next samples (n_samples,) at 16 kHz, floating point, full scale 1.

        Raises:
            InputError: If the samples are none, or not finite.
            RuntimeError: If the recording has ended.
        """
        if self._ended:
            raise RuntimeError("the recording has ended; begin another with a new stream")
        samples = _checked(audio)
        ready = []
        for first in range(0, max(1, len(samples)), _MOST_SAMPLES):
            self._write(self._speech.hear(samples[first : first + _MOST_SAMPLES]))
            ready.append(self._speech.take())
        return np.concatenate(ready)

    def finish(self) -> FloatArray:
        """Return the motion that is left, (T, 52): the recording has ended.

        Raises:
            RuntimeError: If it had ended before.
        """
        if self._ended:
            raise RuntimeError("the recording has ended; begin another with a new stream")
        self._ended = True
        self._write(self._speech.finish())
        return self._speech.take(last=True)

    @torch.inference_mode()
    def _write(self, heard: Sequence[HeardWindow]) -> None:
        """Write the tokens of windows, and let go of pieces that have ended."""
        for number in [number for number in self._writers if number < self._speech.oldest_piece]:
            self._spare.append(self._writers.pop(number).session)
        for chunk in heard:
            if chunk.piece not in self._writers:
                self._writers[chunk.piece] = self._begin(chunk.piece)
            self._speech.write(chunk.piece, self._writers[chunk.piece].write(chunk.window))

    def _begin(self, piece: int) -> _Writer:
        if self._spare:
            session = self._spare.pop()
            session.reset()
        else:
            n_tokens = self._speech.longest_piece * self._model.config.tokens_per_chunk
            session = PolicySession(self._model, n_rows=1, max_length=n_tokens)
        seed = sequence_seeds(
            run_seed=self._seed, iteration=0, utterances=np.array([piece]), samples=0
        )[0]
        condition = torch.from_numpy(self._speech.condition)[None]
        return _Writer(self._model, session, condition, self._decoding, seed)


class _Writer:
    """The tokens of one piece, chunk by chunk."""

    def __init__(
        self,
        model: MotionTransformer,
        session: PolicySession,
        condition: torch.Tensor,
        decoding: Decoding,
        seed: IntArray,
    ) -> None:
        self.session = session
        self._model, self._condition, self._decoding = model, condition, decoding
        self._rng = np.random.default_rng(seed.tolist())
        self._previous = torch.full((1,), -1)
        self._distances = distance_table(model) if decoding.expected_distance else None

    def write(self, window: FloatArray) -> IntArray:
        """Return the tokens (tokens_per_chunk,) of the next window (window_dim,)."""
        model = self._model
        if len(window) != model.config.window_dim:
            raise InputError(
                f"`speech` must have the `window_dim` of the policy ({model.config.window_dim}), "
                f"got {len(window)}; open it with the run that the policy comes from"
            )
        n_slots = model.config.tokens_per_chunk
        # As many as `generate` draws for a token, so that a piece has the same random numbers.
        noise = torch.from_numpy(self._rng.random((n_slots, 3))).float()
        chunk = model.conditioning(torch.from_numpy(window)[None, None], self._condition)[0]
        tokens = []
        for slot in range(n_slots):
            x = chunk + model.embed(self._previous, torch.tensor([slot]))
            logits = self.session.advance(x) @ model.to_logits[slot]
            distances = None if self._distances is None else self._distances[slot]
            self._previous = choose(logits, self._decoding, noise[slot][:, None], distances)
            tokens.append(self._previous)
        return torch.cat(tokens).numpy()


def _checked(audio: npt.ArrayLike) -> FloatArray:
    """Return a block of audio as float32, checked."""
    given = np.asarray(audio)
    if given.ndim != 1 or not np.issubdtype(given.dtype, np.floating):
        raise InputError(
            "`audio` must be floating-point samples of shape (n_samples,), full scale 1, got "
            f"{given.dtype} of shape {given.shape}; mix to mono, and divide 16-bit integers by "
            "32768"
        )
    if not np.isfinite(given).all():
        raise InputError("`audio` must be finite, got nan or infinity")
    return given.astype(np.float32)
