"""Streaming encoder: the streams of an utterance while its features come, frame by frame.

It computes what `SpeechEncoder.encode` gives for an encoder trained with `streaming`, from
convolution histories and key-value caches. Work is done in units of one size, whatever the size of
what is pushed: the same numbers come out bit for bit.

Shape letters: F frames of a unit, N steps of a unit, D audio features, H width, A heads.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from esarm_env.audio.features import FEATURE_BOUND
from esarm_env.core.errors import InputError
from esarm_env.encoder.block import EncoderBlock
from esarm_env.encoder.network import SpeechEncoder, mean_and_spread
from esarm_env.encoder.prosody import RunningProsody
from esarm_env.encoder.shape import STRIDE

if TYPE_CHECKING:
    from esarm_env.core.types import FloatArray

_ROOM = 64  # steps that a cache has room for at first; it doubles


class StreamingEncoder:
    """What a policy hears of one utterance, as far as its features have come.

    Attributes:
        unit: Frames that become ready together.
        look_ahead: Frames after a unit that it waits for.
    """

    def __init__(self, encoder: SpeechEncoder, *, frames_per_chunk: int) -> None:
        """Begin an utterance.

        Args:
            encoder: One that hears no further ahead than it states.
            frames_per_chunk: Frames that are asked for together; the unit is a multiple.

        Raises:
            InputError: If the encoder hears whole utterances.
        """
        shape = encoder.shape
        if not shape.streaming:
            raise InputError(
                "the speech encoder must hear audio as it comes, got one that hears whole "
                "utterances; train it with `encoder.streaming=true`"
            )
        self._encoder = encoder
        self.unit = math.lcm(frames_per_chunk, STRIDE)
        self.look_ahead = shape.look_ahead_frames
        self._features = np.zeros((0, shape.feature_dim), np.float32)  # from the next unit on
        self._n_heard, self._n_done = 0, 0
        self._content = _Convolutions([encoder.hear_frames, encoder.hear_steps, encoder.place])
        self._voice = _Convolutions(list(encoder.hear_voice))
        self._caches = [_Cache(encoder.shape.n_heads) for _ in encoder.blocks]
        self._n_steps = 0.0
        self._sums: list[Tensor] = []  # of the voice and of its squares over the steps so far
        self._prosody = RunningProsody()
        self._spoken: list[Tensor] = []  # sums that content is levelled by, over the steps so far

    def push(self, features: FloatArray) -> FloatArray:
        """Return what is heard of the frames that are ready after `features` (T, D), (T', dim)."""
        self._n_heard += len(features)
        return self._advance(features)

    def finish(self) -> FloatArray:
        """Return the rest, as if nothing followed; then the utterance has ended."""
        missing = self._n_heard - self._n_done
        if missing == 0:
            return np.zeros((0, self._encoder.dim), np.float32)
        needed = -(-missing // self.unit) * self.unit + self.look_ahead
        silence = np.zeros((needed - len(self._features), self._features.shape[1]), np.float32)
        return self._advance(silence)[:missing]

    @torch.inference_mode()
    def _advance(self, features: FloatArray) -> FloatArray:
        self._features = np.concatenate([self._features, features])
        ready = [np.zeros((0, self._encoder.dim), np.float32)]
        while len(self._features) >= self.unit + self.look_ahead:
            ready.append(self._unit(self._features[: self.unit + self.look_ahead]))
            self._features = self._features[self.unit :]
            self._n_done += self.unit
        return np.concatenate(ready)

    def _unit(self, features: FloatArray) -> FloatArray:
        """Return what is heard of the next unit, (F, dim), from it and its look-ahead."""
        encoder = self._encoder
        own, ahead = features[: self.unit], torch.from_numpy(features[self.look_ahead :].copy())
        inside = torch.arange(self._n_done, self._n_done + self.unit) < self._n_heard
        frames, steps = inside.float(), inside[::STRIDE].float()  # 0 past the end
        content = self._hear_content(encoder.shown(ahead), frames, steps)
        if encoder.shape.level_content:
            speech = encoder.speech_steps(ahead[None], inside[None])
            content, self._spoken = encoder.levelled(content[None], speech, before=self._spoken)
            content = content[0]  # (N, STRIDE * content_dim)
        emotion = self._hear_emotion(ahead, frames, steps)  # (N, emotion_dim)
        by_frame = content.reshape(self.unit, encoder.shape.content_dim)
        both = torch.cat([by_frame, emotion.repeat_interleave(STRIDE, dim=0)], dim=-1)
        heard = (both - encoder.stream_mean) / encoder.stream_scale
        heard = encoder.shown_streams(heard)
        full = torch.cat([heard, encoder.shown(torch.from_numpy(own.copy()))], dim=-1)
        return full.clamp(-FEATURE_BOUND, FEATURE_BOUND).numpy()

    def _hear_content(self, ahead: Tensor, frames: Tensor, steps: Tensor) -> Tensor:
        encoder, layers = self._encoder, self._content
        x = (encoder.norm_input(ahead) * frames[:, None]).t()[None]  # (1, D, F)
        x = functional.gelu(layers(0, x)) * frames
        x = functional.gelu(layers(1, x)) * steps
        x = x + layers(2, x) * steps
        x = x[0].t()  # (N, H)
        for block, cache in zip(encoder.blocks, self._caches, strict=True):
            assert isinstance(block, EncoderBlock), "only these are put in"
            x = _attended(block, x, cache)
        content: Tensor = encoder.to_content(encoder.norm(x))
        return content

    def _hear_emotion(self, ahead: Tensor, frames: Tensor, steps: Tensor) -> Tensor:
        x = (ahead * frames[:, None]).t()[None]
        x = functional.gelu(self._voice(0, x)) * frames
        x = functional.gelu(self._voice(1, x)) * steps
        x = x[0].t()  # (N, V)
        sums = [part.cumsum(0) for part in (x, x.square())]
        if self._sums:
            sums = [part + before for part, before in zip(sums, self._sums, strict=True)]
        self._sums = [part[-1] for part in sums]
        count = (self._n_steps + steps.cumsum(0))[:, None].clamp(min=1)
        self._n_steps += float(steps.sum())
        encoder = self._encoder
        hidden = encoder.to_emotion[:2](mean_and_spread(sums[0], sums[1], count))
        if encoder.shape.prosody:
            first = self._n_done + self.look_ahead
            heard = torch.arange(first, first + self.unit) < self._n_heard
            statistics = self._prosody.push(ahead[None], heard[None])[0, STRIDE - 1 :: STRIDE]
            hidden = hidden + encoder.hear_prosody(encoder.voice.standardised(statistics))
        pooled: Tensor = encoder.to_emotion[2:](hidden)
        return pooled


class _Convolutions:
    """Causal convolutions of one utterance, each with the end of what it has heard."""

    def __init__(self, layers: list[nn.Module]) -> None:
        self._layers = [layer for layer in layers if isinstance(layer, nn.Conv1d)]
        self._before = [
            torch.zeros(1, layer.in_channels, layer.kernel_size[0] - layer.stride[0])
            for layer in self._layers
        ]

    def __call__(self, number: int, x: Tensor) -> Tensor:
        """Return what layer `number` makes of the frames x (1, C, F) that follow."""
        layer, width = self._layers[number], self._before[number].shape[2]
        along = torch.cat([self._before[number], x], dim=2)
        self._before[number] = along[:, :, along.shape[2] - width :]
        out: Tensor = layer(along)
        return out


class _Cache:
    """Keys and values of the steps so far of one block, (2, A, steps, H / A)."""

    def __init__(self, n_heads: int) -> None:
        self.n_heads, self.n_steps = n_heads, 0
        self._room: Tensor | None = None

    def add(self, keys_and_values: Tensor) -> Tensor:
        """Return all of them, those of the next N steps (2, A, N, H / A) included."""
        first, self.n_steps = self.n_steps, self.n_steps + keys_and_values.shape[2]
        if self._room is None or self.n_steps > self._room.shape[2]:
            shape = list(keys_and_values.shape)
            shape[2] = max(_ROOM, 2 * self.n_steps)
            room = keys_and_values.new_zeros(shape)
            if self._room is not None:
                room[:, :, :first] = self._room[:, :, :first]
            self._room = room
        self._room[:, :, first : self.n_steps] = keys_and_values
        return self._room[:, :, : self.n_steps]


def _attended(block: EncoderBlock, x: Tensor, cache: _Cache) -> Tensor:
    """Return what a block makes of the next steps x (N, H), which see those before and themselves.

    Steps past the end of the utterance come last, so nothing that counts ever sees them.
    """
    n_steps, width = x.shape
    qkv = block.to_qkv(block.norm_attention(x)).view(n_steps, 3, cache.n_heads, -1)
    q, k, v = qkv.permute(1, 2, 0, 3)  # each (A, N, H / A)
    keys, values = cache.add(torch.stack([k, v]))
    scores = (q * q.shape[-1] ** -0.5) @ keys.transpose(1, 2)  # (A, N, steps so far)
    unseen = torch.full((n_steps, n_steps), -torch.inf).triu(1)
    scores[:, :, -n_steps:] += unseen
    mixed = (scores.softmax(-1) @ values).transpose(0, 1).reshape(n_steps, width)
    x = x + block.to_output(mixed)
    hidden = functional.gelu(block.expand(block.norm_feedforward(x)))
    further: Tensor = block.contract(hidden)
    return x + further
