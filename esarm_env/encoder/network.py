"""Speech encoder: audio features of a whole utterance to a content stream and an emotion stream.

The front half hears no condition: convolutions to 15 steps a second and transformer blocks give
content (what is said, and when) and emotion (how; pooled, hence slow). The back half is a regressor
to face curves from `[content | emotion | S(c)]`, with S linear as in the paper (Fig. 3; after EVP,
Ji et al. 2021, and EmoTalk, Peng et al. 2023). A policy hears the two streams.

Shape letters: B batch, T frames at 30 fps, S steps at 15 a second, D audio features, H width,
K condition columns.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from esarm_env.audio.features import FEATURE_BOUND
from esarm_env.core.types import EMOTIONS, N_CHANNELS, N_INTENSITIES
from esarm_env.core.weights import from_sizes, load_module, save_weights, weights_digest

if TYPE_CHECKING:
    from esarm_env.core.types import FloatArray

KIND = "speech encoder"
STRIDE = 2  # frames a step: attention costs a quarter, and lips lose nothing measurable
_VOICE = 64  # width of the layers that hear the emotion
_FAR = -1e9  # a score that softmax makes zero, and that stays finite where a whole row has it


@dataclass(frozen=True)
class EncoderShape:
    """Network sizes of a speech encoder.

    Attributes:
        feature_dim: Audio features a frame.
        condition_dim: Columns of a condition.
        content_dim: Width of the content stream, per frame.
        emotion_dim: Width of the emotion stream.
        style_dim: Width of the style vector S(c).
        width: Width of the residual stream, a multiple of `n_heads`.
        n_heads: Attention heads.
        n_layers: Transformer blocks of the front half.
        head_layers: Transformer blocks of the regressor behind it.
        dropout: While training.
        streaming: Whether audio is heard as it comes; else the whole utterance, before and after.
        look_ahead_frames: Of streaming, frames that the answer waits for: a multiple of `STRIDE`.
    """

    feature_dim: int
    condition_dim: int
    content_dim: int = 48
    emotion_dim: int = 16
    style_dim: int = 32
    width: int = 128
    n_heads: int = 4
    n_layers: int = 3
    head_layers: int = 1
    dropout: float = 0.1
    streaming: bool = False
    look_ahead_frames: int = 0

    def __post_init__(self) -> None:
        """Check that all sizes are possible."""
        for name, value in asdict(self).items():
            least = 0 if name in ("head_layers", "look_ahead_frames") else 1
            if isinstance(value, int) and not isinstance(value, bool) and value < least:
                raise ValueError(f"`{name}` must be at least {least}, got {value}")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"`dropout` must be in [0, 1), got {self.dropout}")
        if self.width % self.n_heads:
            raise ValueError(
                f"`width` must be a multiple of `n_heads` ({self.n_heads}), got {self.width}"
            )
        if self.look_ahead_frames % STRIDE or (self.look_ahead_frames and not self.streaming):
            raise ValueError(
                f"`look_ahead_frames` must be a multiple of {STRIDE}, and 0 without `streaming`, "
                f"got {self.look_ahead_frames}"
            )


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

    def streams(self, features: Tensor, inside: Tensor) -> Streams:
        """Return the streams of audio features.

        Args:
            features: Shape (B, T, D).
            inside: Shape (B, T), False in padding, which changes nothing.
        """
        odd = -features.shape[1] % STRIDE
        features = functional.pad(self._ahead(features), (0, 0, 0, odd))
        frames = functional.pad(inside, (0, odd))
        steps = frames[:, ::STRIDE]  # (B, S)
        x = (self.norm_input(features) * frames[..., None]).transpose(1, 2)  # (B, D, T)
        x = functional.gelu(self._along(self.hear_frames, x)) * frames[:, None]
        x = functional.gelu(self._along(self.hear_steps, x)) * steps[:, None]
        x = x + self._along(self.place, x) * steps[:, None]
        x = x.transpose(1, 2)  # (B, S, H)
        bias = self._bias(steps)
        for block in self.blocks:
            x = block(x, bias)
        x = self.norm(x)
        return Streams(self.to_content(x), self._emotion(features, frames, steps), steps)

    def regress(self, streams: Streams, condition: Tensor, *, n_frames: int) -> Tensor:
        """Return face curves (B, n_frames, 52) of streams under a condition (B, K)."""
        n_steps = streams.content.shape[1]
        style = self.style(condition)[:, None].expand(-1, n_steps, -1)
        x = self.mix(torch.cat([streams.content, streams.emotion, style], dim=-1))
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
        return self.regress(self.streams(features, inside), condition, n_frames=features.shape[1])

    def hear(self, features: Tensor, inside: Tensor) -> Tensor:
        """Return content and emotion by frame, each of unit spread, (B, T, n_streams)."""
        n_frames = features.shape[1]
        content, emotion, _ = self.streams(features, inside)
        by_frame = content.reshape(len(content), -1, self.shape.content_dim)[:, :n_frames]
        slow = emotion.repeat_interleave(STRIDE, dim=1)[:, :n_frames]
        return (torch.cat([by_frame, slow], dim=-1) - self.stream_mean) / self.stream_scale

    @torch.inference_mode()
    def encode(self, features: FloatArray) -> FloatArray:
        """Return what a policy hears of one utterance, (T, dim), from its features (T, D).

        The features stand beside the streams: what cannot be regressed, such as when a brow goes
        up, leaves little in the streams, and a policy that samples may still hear it coming.
        """
        frames = torch.from_numpy(features)[None]
        heard = self.hear(frames, torch.ones(frames.shape[:2], dtype=torch.bool))[0]
        both = torch.cat([heard, frames[0]], dim=-1)
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
        pooled = self._emotion(self._ahead(heard), frames, frames[:, ::STRIDE])
        emotion, intensity = self.emotion_logits(pooled[0, -1])
        return emotion.softmax(-1).numpy(), intensity.softmax(-1).numpy()

    def emotion_logits(self, emotion: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits of emotion (..., 9) and intensity (..., 3) from an emotion stream."""
        logits: Tensor = self.name_emotion(emotion)
        return logits[..., : len(EMOTIONS)], logits[..., len(EMOTIONS) :]

    def content_hash(self) -> str:
        """Return a hexadecimal digest of weights and sizes: equal ones mean equal streams."""
        return weights_digest(self.state_dict(), asdict(self.shape))

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

    def _emotion(self, features: Tensor, frames: Tensor, steps: Tensor) -> Tensor:
        """Return the emotion stream, (B, S, emotion_dim), from mean and spread of the voice.

        A voice's colour needs no words: it has layers of its own, so that what takes the emotion
        out of the content does not take it from here. Pooled over all steps, or those so far.
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
        mean = total / n.clamp(min=1)
        spread = ((squares / n.clamp(min=1) - mean.square()).clamp(min=0) + 1e-5).sqrt()
        pooled: Tensor = self.to_emotion(torch.cat([mean, spread], dim=-1))
        return pooled.expand(-1, steps.shape[1], -1)


class EncoderBlock(nn.Module):
    """Pre-norm attention over all steps and feed-forward, with residual connections."""

    def __init__(self, shape: EncoderShape) -> None:
        """Build the two sub-layers."""
        super().__init__()
        width = shape.width
        self.n_heads = shape.n_heads
        self.norm_attention = nn.LayerNorm(width)
        self.to_qkv = nn.Linear(width, 3 * width, bias=False)
        self.to_output = nn.Linear(width, width, bias=False)
        self.norm_feedforward = nn.LayerNorm(width)
        self.expand = nn.Linear(width, 4 * width)
        self.contract = nn.Linear(4 * width, width)
        self.dropout = nn.Dropout(shape.dropout)

    def forward(self, x: Tensor, bias: Tensor) -> Tensor:
        """Return (B, S, H) from x (B, S, H) and what is added to scores, (B, 1, 1 or S, S)."""
        batch, length, width = x.shape
        qkv = self.to_qkv(self.norm_attention(x))
        q, k, v = qkv.view(batch, length, 3, self.n_heads, -1).permute(2, 0, 3, 1, 4)
        mixed = functional.scaled_dot_product_attention(q, k, v, attn_mask=bias)
        x = x + self.dropout(self.to_output(mixed.transpose(1, 2).reshape(batch, length, width)))
        hidden = functional.gelu(self.expand(self.norm_feedforward(x)))
        further: Tensor = self.dropout(self.contract(hidden))
        return x + further


def load_speech_encoder(path: Path) -> SpeechEncoder:
    """Read an encoder that `SpeechEncoder.save` wrote, ready to use.

    Raises:
        InputError: If the file is missing, damaged, or something else.
    """

    def build(**sizes: int) -> SpeechEncoder:
        return SpeechEncoder(from_sizes(EncoderShape, sizes))

    return load_module(path, build, kind=KIND)
