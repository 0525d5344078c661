"""Speech encoder: audio features of a whole utterance to a content stream and an emotion stream.

The front half hears no condition: convolutions to 15 steps a second and transformer blocks give
content (what is said, and when) and emotion (how; pooled, hence slow). The back half is a regressor
to face curves from `[content | emotion | S(c)]`, with S linear as in the paper (Fig. 3; after EVP,
Ji et al. 2021, and EmoTalk, Peng et al. 2023). A policy hears the two streams.

Shape letters: B batch, T frames at 30 fps, S steps at 15 a second, D audio features, H width,
K condition columns.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from esarm_env.audio.encoders.voice_bar import without_voice_bar
from esarm_env.audio.features import FEATURE_BOUND
from esarm_env.core.types import EMOTIONS, N_CHANNELS, N_INTENSITIES
from esarm_env.core.weights import from_sizes, load_module, save_weights, weights_digest
from esarm_env.encoder.block import EncoderBlock
from esarm_env.encoder.prosody import ACTIVE, LOUDNESS, N_STATISTICS, prosody_statistics
from esarm_env.encoder.shape import STRIDE, EncoderShape
from esarm_env.encoder.voice import VoiceReader

if TYPE_CHECKING:
    from collections.abc import Sequence

    from esarm_env.core.types import FloatArray

KIND = "speech encoder"
_VOICE = 64  # width of the layers that hear the emotion
_LATER_SIZES = ("cut_voice_bar", "hide_emotion", "level_content", "prosody", "tuned_features")
_WARM_UP_STEPS = 15
_LEAST_VARIANCE = 0.05  # of content that is levelled: silence alone is not blown up to speech
_FAR = -1e9  # a score that softmax makes zero, and that stays finite where a whole row has it


class Streams(NamedTuple):
    """What is heard of an utterance, at 15 steps a second.

    Attributes:
        content: Shape (B, S, STRIDE * content_dim): the frames of a step side by side.
        emotion: Shape (B, S, emotion_dim); the same at every step where the whole is heard.
        inside: Shape (B, S), False in padding.
    """

    content: Tensor
    emotion: Tensor
    inside: Tensor


class SpeechEncoder(nn.Module):
    """Content and emotion streams of an utterance, and a regressor from them to face curves."""

    mean_pose: Tensor
    stream_mean: Tensor
    stream_scale: Tensor

    def __init__(self, shape: EncoderShape) -> None:
        """Build an untrained encoder; its regressor starts at `mean_pose`."""
        super().__init__()
        self.shape = shape
        width, per_step = shape.width, STRIDE * shape.content_dim
        self.norm_input = nn.LayerNorm(shape.feature_dim)
        self.hear_frames = nn.Conv1d(shape.feature_dim, width, 5)
        self.hear_steps = nn.Conv1d(width, width, 6, stride=STRIDE)
        self.place = nn.Conv1d(width, width, 15, groups=width)
        self.blocks = nn.ModuleList(EncoderBlock(shape) for _ in range(shape.n_layers))
        self.norm = nn.LayerNorm(width)
        self.to_content = nn.Linear(width, per_step)
        self.hear_voice = nn.ModuleList(
            [nn.Conv1d(shape.feature_dim, _VOICE, 5), nn.Conv1d(_VOICE, _VOICE, 6, stride=STRIDE)]
        )
        self.to_emotion = nn.Sequential(
            nn.LayerNorm(2 * _VOICE),
            nn.Linear(2 * _VOICE, _VOICE),
            nn.GELU(),
            nn.Dropout(2 * shape.dropout),
            nn.Linear(_VOICE, shape.emotion_dim),
        )
        if shape.prosody:
            self.hear_prosody = nn.Sequential(
                nn.Dropout(shape.dropout), nn.Linear(N_STATISTICS, _VOICE)
            )
            self.voice = VoiceReader()
        self.name_emotion = nn.Linear(shape.emotion_dim, len(EMOTIONS) + N_INTENSITIES)
        self.style = nn.Linear(shape.condition_dim, shape.style_dim, bias=False)  # S(c)
        self.mix = nn.Linear(per_step + shape.emotion_dim + shape.style_dim, width)
        self.head = nn.ModuleList(EncoderBlock(shape) for _ in range(shape.head_layers))
        self.norm_head = nn.LayerNorm(width)
        self.to_frames = nn.ConvTranspose1d(width, width, STRIDE, stride=STRIDE)
        self.smooth = nn.Conv1d(width, width, 5)
        self.to_curves = nn.Linear(width, N_CHANNELS)
        nn.init.zeros_(self.to_curves.weight)
        nn.init.zeros_(self.to_curves.bias)
        self.register_buffer("mean_pose", torch.zeros(N_CHANNELS))
        self.register_buffer("stream_mean", torch.zeros(self.n_streams))
        self.register_buffer("stream_scale", torch.ones(self.n_streams))

    @property
    def n_streams(self) -> int:
        """Width of both streams together."""
        return self.shape.content_dim + self.shape.emotion_dim

    @property
    def dim(self) -> int:
        """Width of what `encode` gives a frame: content, emotion, then the audio features."""
        return self.n_streams + self.shape.feature_dim

    @property
    def look_ahead(self) -> int:
        """Frames of audio after its own that a frame's streams wait for; of streaming alone.

        A frame's step holds `STRIDE` frames, of which it may be the first.
        """
        return self.shape.look_ahead_frames + STRIDE - 1

    def shown(self, features: Tensor) -> Tensor:
        """Return audio features (B, T, D) as the content and the policies hear them."""
        return without_voice_bar(features) if self.shape.cut_voice_bar else features

    def streams(
        self,
        features: Tensor,
        inside: Tensor,
        *,
        noise: float = 0.0,
        spoken: Tensor | None = None,
    ) -> Streams:
        """Return the streams of audio features.

        Args:
            features: Shape (B, T, D).
            inside: Shape (B, T), False in padding, which changes nothing.
            noise: Spread of what is added to the features while training; statistics of prosody
                are taken before: noise would drown steps of the pitch.
            spoken: Shape (B, T, D), what the content hears; by default as `shown`. The emotion is
                heard from the voice as it is.
        """
        odd = -features.shape[1] % STRIDE
        spoken = self.shown(features) if spoken is None else spoken
        features, spoken = (
            functional.pad(self._ahead(part), (0, 0, 0, odd)) for part in (features, spoken)
        )
        frames = functional.pad(inside, (0, odd))
        steps = frames[:, ::STRIDE]  # (B, S)
        prosody = self._prosody(features, frames) if self.shape.prosody else None
        speech = self.speech_steps(features, frames)
        if noise > 0:
            added = noise * torch.randn(features.shape)
            features, spoken = features + added, spoken + added
        emotion = self._emotion(features, frames, steps, prosody)
        x = (self.norm_input(spoken) * frames[..., None]).transpose(1, 2)  # (B, D, T)
        x = functional.gelu(self._along(self.hear_frames, x)) * frames[:, None]
        x = functional.gelu(self._along(self.hear_steps, x)) * steps[:, None]
        x = x + self._along(self.place, x) * steps[:, None]
        x = x.transpose(1, 2)  # (B, S, H)
        bias = self._bias(steps)
        for block in self.blocks:
            x = block(x, bias)
        content = self.to_content(self.norm(x))
        if self.shape.level_content:
            content, _ = self.levelled(content, speech)
        return Streams(content, emotion, steps)

    def regress(self, streams: Streams, condition: Tensor, *, n_frames: int) -> Tensor:
        """Return face curves (B, n_frames, 52) of streams under a condition (B, K)."""
        n_steps = streams.content.shape[1]
        style = self.style(condition)[:, None].expand(-1, n_steps, -1)
        emotion = streams.emotion * (not self.shape.hide_emotion)
        x = self.mix(torch.cat([streams.content, emotion, style], dim=-1))
        bias = self._bias(streams.inside)
        for block in self.head:
            x = block(x, bias)
        x = self.norm_head(x) * streams.inside[..., None]
        x = functional.gelu(self.to_frames(x.transpose(1, 2)))  # (B, H, STRIDE * S)
        frames = streams.inside.repeat_interleave(STRIDE, dim=1)[:, None]
        x = x + functional.gelu(self._along(self.smooth, x * frames))
        curves: Tensor = self.to_curves(x.transpose(1, 2)) + self.mean_pose
        return curves[:, :n_frames]

    def forward(self, features: Tensor, condition: Tensor, inside: Tensor) -> Tensor:
        """Return face curves (B, T, 52) of features (B, T, D) under a condition (B, K)."""
        streams = self.streams(features, inside)
        return self.regress(streams, condition, n_frames=features.shape[1])

    def hear(self, features: Tensor, inside: Tensor) -> Tensor:
        """Return content and emotion by frame, each of unit spread, (B, T, n_streams)."""
        n_frames = features.shape[1]
        content, emotion, _ = self.streams(features, inside)
        by_frame = content.reshape(len(content), -1, self.shape.content_dim)[:, :n_frames]
        slow = emotion.repeat_interleave(STRIDE, dim=1)[:, :n_frames]
        return (torch.cat([by_frame, slow], dim=-1) - self.stream_mean) / self.stream_scale

    def shown_streams(self, heard: Tensor) -> Tensor:
        """Return streams (..., n_streams) as policies hear them: of a hidden emotion zeros."""
        if not self.shape.hide_emotion:
            return heard
        return functional.pad(heard[..., : self.shape.content_dim], (0, self.shape.emotion_dim))

    @torch.inference_mode()
    def encode(self, features: FloatArray) -> FloatArray:
        """Return what a policy hears of one utterance, (T, dim), from its features (T, D).

        The features stand beside the streams: what cannot be regressed, such as when a brow goes
        up, leaves little in the streams, and a policy that samples may still hear it coming.
        """
        frames = torch.from_numpy(features)[None]
        heard = self.hear(frames, torch.ones(frames.shape[:2], dtype=torch.bool))[0]
        both = torch.cat([self.shown_streams(heard), self.shown(frames)[0]], dim=-1)
        return both.clamp(-FEATURE_BOUND, FEATURE_BOUND).numpy()

    @torch.inference_mode()
    def curves_of(self, heard: FloatArray, condition: FloatArray) -> FloatArray:
        """Return the regressor's curves (T, 52), in [0, 1], of what `encode` gave, (T, dim).

        Args:
            heard: Shape (T, dim).
            condition: Shape (K,).
        """
        frames = torch.from_numpy(heard[:, : self.n_streams])[None]
        frames = frames * self.stream_scale + self.stream_mean
        odd = -frames.shape[1] % STRIDE
        frames = torch.cat([frames, frames[:, -1:].expand(-1, odd, -1)], dim=1)
        n_steps, n_content = frames.shape[1] // STRIDE, self.shape.content_dim
        streams = Streams(
            frames[..., :n_content].reshape(1, n_steps, -1),
            frames[:, ::STRIDE, n_content:],
            torch.ones(1, n_steps, dtype=torch.bool),
        )
        shown = torch.from_numpy(condition)[None]
        curves = self.regress(streams, shown, n_frames=heard.shape[0])
        return curves[0].clamp(0, 1).numpy()

    @torch.inference_mode()
    def read_emotion(self, features: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return how likely each emotion (9,) and intensity (3,) is, by the voice alone.

        Args:
            features: Shape (T, D), audio features of an utterance.
        """
        heard = torch.from_numpy(features[: len(features) - len(features) % STRIDE or None])[None]
        frames = torch.ones(heard.shape[:2], dtype=torch.bool)
        # The layers that hear the voice alone: attention over ten minutes would take gigabytes.
        heard = self._ahead(heard)
        prosody = self._prosody(heard, frames) if self.shape.prosody else None
        if prosody is not None and self.voice.is_unlike(prosody[0, -1]):
            named, strength = self.voice.read_recorded(prosody[0, -1])
            return named.numpy(), strength.numpy()
        pooled = self._emotion(heard, frames, frames[:, ::STRIDE], prosody)
        emotion, intensity = self.emotion_logits(pooled[0, -1])
        if prosody is not None:
            emotion = emotion / self.voice.temperature
        return emotion.softmax(-1).numpy(), intensity.softmax(-1).numpy()

    def emotion_logits(self, emotion: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits of emotion (..., 9) and intensity (..., 3) from an emotion stream."""
        logits: Tensor = self.name_emotion(emotion)
        return logits[..., : len(EMOTIONS)], logits[..., len(EMOTIONS) :]

    def content_hash(self) -> str:
        """Return a hexadecimal digest of weights and sizes: equal ones mean equal streams."""
        # What encoders of earlier versions lacked must not change their digest: runs note it.
        sizes = {
            name: value
            for name, value in asdict(self.shape).items()
            if value or name not in _LATER_SIZES
        }
        return weights_digest(self.state_dict(), sizes)

    def save(self, path: Path) -> None:
        """Write weights and sizes to one `.safetensors` file."""
        save_weights(path, self.state_dict(), kind=KIND, **asdict(self.shape))

    def _ahead(self, features: Tensor) -> Tensor:
        """Shift features by what is heard ahead; the rest of a causal network looks back alone."""
        frames = self.shape.look_ahead_frames
        return functional.pad(features, (0, 0, 0, frames))[:, frames:] if frames else features

    def _along(self, convolution: nn.Conv1d, x: Tensor) -> Tensor:
        """Convolve (B, C, T) without changing its rate beyond the stride."""
        missing = convolution.kernel_size[0] - convolution.stride[0]
        # A step hears its own frames in full: of a causal one, all padding lies in the past.
        before = missing if self.shape.streaming else missing // 2
        padded = functional.pad(x, (before, missing - before))
        out: Tensor = convolution(padded)
        return out

    def _bias(self, inside: Tensor) -> Tensor:
        """Return what is added to attention scores, (B, 1, 1 or S, S)."""
        bias = torch.zeros(inside.shape, device=inside.device).masked_fill(~inside, _FAR)
        bias = bias[:, None, None]
        if self.shape.streaming:
            n = inside.shape[1]
            ahead = torch.full((n, n), _FAR, device=inside.device).triu(1)
            bias = bias + ahead
        return bias

    def _prosody(self, features: Tensor, frames: Tensor) -> Tensor:
        """Return statistics of prosody, (B, S or 1, N_STATISTICS): of all, or of all so far."""
        ahead = self.shape.look_ahead_frames
        inside = functional.pad(frames, (0, ahead))[:, ahead:]
        running = self.shape.streaming
        statistics = prosody_statistics(features, inside, running=running)
        return statistics[:, STRIDE - 1 :: STRIDE] if running else statistics

    def speech_steps(self, features: Tensor, frames: Tensor) -> Tensor:
        """Return the steps (B, S) that hold speech, as far as the features tell; else all inside.

        Silence around an utterance is as long as chance will have it.
        """
        steps = frames[:, ::STRIDE]
        if not self.shape.prosody:
            return steps
        loud = (features[..., LOUDNESS] > ACTIVE) & frames
        heard = loud.view(len(loud), -1, STRIDE).any(-1)
        return torch.where(heard.any(1, keepdim=True) | self.shape.streaming, heard, steps)

    def levelled(
        self, content: Tensor, speech: Tensor, *, before: Sequence[Tensor] = ()
    ) -> tuple[Tensor, list[Tensor]]:
        """Return content (B, S, C) of mean 0 and spread 1 over `speech` (B, S), or that so far.

        That leaves what is said, and takes how it is said on the whole (instance normalisation,
        Ulyanov et al. 2016; for voices Chou et al. 2019).

        Args:
            content: Shape (B, S, C).
            speech: Shape (B, S), the steps that hold speech.
            before: Of streaming, the sums of the steps before, as returned.

        Returns:
            The content, and the sums up to its last step.
        """
        weights = speech[..., None].float()
        sums = [weights, content * weights, content.square() * weights]
        if self.shape.streaming:
            sums = [part.cumsum(1) for part in sums]
            if before:
                sums = [part + earlier for part, earlier in zip(sums, before, strict=True)]
            n, total, squares = sums
            # At first little is known: as if a second of mean 0 and spread 1 had gone before.
            n, squares = n + _WARM_UP_STEPS, squares + _WARM_UP_STEPS
        else:
            n, total, squares = (part.sum(1, keepdim=True) for part in sums)
            n = n.clamp(min=1)
        mean = total / n
        spread = ((squares / n - mean.square()).clamp(min=0) + _LEAST_VARIANCE).sqrt()
        return (content - mean) / spread, [part[:, -1:] for part in sums]

    def _emotion(
        self, features: Tensor, frames: Tensor, steps: Tensor, prosody: Tensor | None
    ) -> Tensor:
        """Return the emotion stream, (B, S, emotion_dim), from mean and spread of the voice.

        A voice's colour needs no words: it has layers of its own, so that what takes the emotion
        out of the content does not take it from here. Pooled over all steps, or those so far;
        statistics of prosody, if there are any, come beside.
        """
        x = (features * frames[..., None]).transpose(1, 2)
        for convolution, mask in zip(self.hear_voice, (frames, steps), strict=True):
            assert isinstance(convolution, nn.Conv1d), "only these are put in"
            x = functional.gelu(self._along(convolution, x)) * mask[:, None]
        x, count = x.transpose(1, 2), steps[..., None].float()  # (B, S, V), (B, S, 1)
        if self.shape.streaming:
            sums = [part.cumsum(1) for part in (count, x, x.square())]
        else:
            sums = [part.sum(1, keepdim=True) for part in (count, x, x.square())]
        n, total, squares = sums
        hidden = self.to_emotion[:2](mean_and_spread(total, squares, n.clamp(min=1)))
        if prosody is not None:
            hidden = hidden + self.hear_prosody(self.voice.standardised(prosody))
        pooled: Tensor = self.to_emotion[2:](hidden)
        return pooled.expand(-1, steps.shape[1], -1)


def mean_and_spread(total: Tensor, squares: Tensor, count: Tensor) -> Tensor:
    """Return mean and spread side by side, from sums of values and of their squares."""
    mean = total / count
    spread = ((squares / count - mean.square()).clamp(min=0) + 1e-5).sqrt()
    return torch.cat([mean, spread], dim=-1)


def load_speech_encoder(path: Path) -> SpeechEncoder:
    """Read an encoder that `SpeechEncoder.save` wrote, ready to use.

    Raises:
        InputError: If the file is missing, damaged, or something else.
    """

    def build(**sizes: int) -> SpeechEncoder:
        return SpeechEncoder(from_sizes(EncoderShape, sizes))

    return load_module(path, build, kind=KIND)
