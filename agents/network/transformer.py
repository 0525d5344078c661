"""Policy network: a pre-norm causal transformer with rotary positions over motion tokens.

Per step it reads `[S(c) | content | emotion]` of the current chunk (S linear, as in the paper), the
previous token, and the slot within the chunk; it returns the next token's logits and a value.

Shape letters: B batch, C chunks, L tokens, H width, K tokens to choose from.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt

ROTARY_BASE = 10_000.0
# Queries that are scored together. A block sees no key behind its last query, so smaller blocks
# leave out more of the square of which causality needs half; below 64 calls cost more than that.
BLOCK = 64

DISTANCES = "code_distances"  # the buffer, by its name in a state dict

Rotation = tuple[Tensor, Tensor]


def rotations(positions: Tensor, head_dim: int) -> Rotation:
    """Return cosine and sine of rotary positions (Su et al. 2021), (*positions, head_dim / 2)."""
    frequency = ROTARY_BASE ** (-torch.arange(0, head_dim, 2, device=positions.device) / head_dim)
    angle = positions[..., None] * frequency
    return angle.cos(), angle.sin()


def rotate(x: Tensor, rotation: Rotation) -> Tensor:
    """Rotate the halves of x (..., L, D); positions extrapolate past training."""
    cos, sin = rotation
    first, second = x.chunk(2, dim=-1)
    return torch.cat([first * cos - second * sin, first * sin + second * cos], dim=-1)


def causal_attention(qkv: Tensor, rotation: Rotation, *, dropout: float = 0.0) -> Tensor:
    """Return what every token gathers from itself and those before it.

    Args:
        qkv: Shape (B, L, 3, A, D), queries, keys and values before rotation.
        rotation: Of positions 0 to L - 1, each (L, D / 2).
        dropout: Share of attention weights that are dropped.

    Returns:
        Shape (B, L, A * D).
    """
    plain = qkv.device.type == "cpu" and qkv.dtype in (torch.float32, torch.float64)
    if plain and dropout == 0 and not torch.compiler.is_compiling():
        mixed: Tensor = _BlockwiseAttention.apply(  # type: ignore[no-untyped-call]  # by torch
            qkv, *rotation
        )
        return mixed
    q, k, v = qkv.permute(2, 0, 3, 1, 4)  # each (B, A, L, D)
    q, k = rotate(q, rotation).to(v.dtype), rotate(k, rotation).to(v.dtype)
    mixed = functional.scaled_dot_product_attention(q, k, v, is_causal=True, dropout_p=dropout)
    return mixed.transpose(1, 2).flatten(2)


class _BlockwiseAttention(torch.autograd.Function):
    """The same in plain matrix products, block of queries by block, with its own gradient.

    At the sizes of this project torch's fused kernel takes 1.5 times as long on a CPU: it is made
    for long sequences and wide heads, and autograd adds a copy for every view of `qkv`.
    """

    @staticmethod
    def forward(ctx: Any, qkv: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        """Return mixed values, shape (B, L, A * D)."""
        batch, length, _, n_heads, head_dim = qkv.shape
        rows = (batch * n_heads, length, head_dim)
        turned = _turn(qkv[:, :, :2].permute(2, 0, 3, 1, 4), cos.to(qkv.dtype), sin.to(qkv.dtype))
        turned[0] *= head_dim**-0.5
        q, k = turned.view(2, *rows)
        v = qkv[:, :, 2].transpose(1, 2).reshape(rows)
        mixed = qkv.new_empty(batch, length, n_heads, head_dim)
        by_head = mixed.transpose(1, 2)  # (B, A, L, D)
        ahead = torch.full((BLOCK, BLOCK), -torch.inf, dtype=qkv.dtype).triu(1)
        weights = []
        for begin, end in _blocks(length):
            scores = torch.bmm(q[:, begin:end], k[:, :end].transpose(1, 2))
            scores[:, :, begin:] += ahead[: end - begin, : end - begin]
            weights.append(scores.softmax(-1))
            block = torch.bmm(weights[-1], v[:, :end])
            by_head[:, :, begin:end] = block.view(batch, n_heads, -1, head_dim)
        ctx.save_for_backward(q, k, v, cos, sin, *weights)
        ctx.shape = qkv.shape
        return mixed.flatten(2)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *outputs: Tensor) -> tuple[Tensor, None, None]:
        """Return the gradient of `qkv`."""
        q, k, v, cos, sin, *weights = ctx.saved_tensors
        batch, length, _, n_heads, head_dim = ctx.shape
        by_head = outputs[0].view(batch, length, n_heads, head_dim).transpose(1, 2)
        upstream = by_head.reshape(q.shape)
        to_qkv = q.new_zeros(3, *q.shape)
        to_q, to_k, to_v = to_qkv
        for (begin, end), weight in zip(_blocks(length), weights, strict=True):
            block = upstream[:, begin:end]
            to_v[:, :end] += torch.bmm(weight.transpose(1, 2), block)
            to_weight = torch.bmm(block, v[:, :end].transpose(1, 2))
            to_score = torch._softmax_backward_data(to_weight, weight, -1, weight.dtype)
            to_q[:, begin:end] = torch.bmm(to_score, k[:, :end])
            to_k[:, :end] += torch.bmm(to_score.transpose(1, 2), q[:, begin:end])
        to_q *= head_dim**-0.5
        gradient = q.new_empty(ctx.shape)
        parts = gradient.permute(2, 0, 3, 1, 4)  # (3, B, A, L, D)
        to_parts = to_qkv.view(3, batch, n_heads, length, head_dim)
        _turn(to_parts[:2], cos.to(q.dtype), -sin.to(q.dtype), out=parts[:2])  # a rotation back
        parts[2] = to_parts[2]
        return gradient, None, None


def _turn(x: Tensor, cos: Tensor, sin: Tensor, *, out: Tensor | None = None) -> Tensor:
    """Do as `rotate`, in as few passes over memory as torch allows; no gradient."""
    out = torch.empty(x.shape, dtype=x.dtype) if out is None else out
    (first, second), (to_first, to_second) = x.chunk(2, dim=-1), out.chunk(2, dim=-1)
    torch.mul(first, cos, out=to_first)
    to_first.addcmul_(second, sin, value=-1)
    torch.mul(first, sin, out=to_second)
    to_second.addcmul_(second, cos)
    return out


def _blocks(length: int) -> list[tuple[int, int]]:
    return [(begin, min(begin + BLOCK, length)) for begin in range(0, length, BLOCK)]


@dataclass(frozen=True)
class PolicyConfig:
    """Sizes of a policy network.

    Attributes:
        n_tokens: Tokens to choose from.
        tokens_per_chunk: Tokens per chunk of frames; each slot has its own codebook.
        window_dim: Width of an audio window.
        condition_dim: Width of a condition.
        n_layers: Transformer blocks.
        n_heads: Attention heads per block.
        width: Width of the residual stream, a multiple of `2 * n_heads`.
        content_dim: Width of the content stream.
        emotion_dim: Width of the emotion stream.
        style_dim: Width of the style vector S(c).
        dropout: While cloning; reinforcement learning always runs without.
    """

    n_tokens: int
    tokens_per_chunk: int
    window_dim: int
    condition_dim: int
    n_layers: int = 3
    n_heads: int = 4
    width: int = 128
    content_dim: int = 96
    emotion_dim: int = 32
    style_dim: int = 32
    dropout: float = 0.1

    def __post_init__(self) -> None:
        """Check that heads divide the width into even parts (rotary positions pair them)."""
        for name in ("n_layers", "n_heads", "width", "tokens_per_chunk"):
            if getattr(self, name) < 1:
                raise ValueError(f"`{name}` must be at least 1, got {getattr(self, name)}")
        if self.width % (2 * self.n_heads):
            raise ValueError(
                f"`width` must be a multiple of {2 * self.n_heads} (2 * n_heads), got {self.width}"
            )


class Block(nn.Module):
    """Pre-norm attention and feed-forward with residual connections."""

    def __init__(self, width: int, n_heads: int, dropout: float) -> None:
        """Build the two sub-layers."""
        super().__init__()
        self.n_heads = n_heads
        self.norm_attention = nn.LayerNorm(width)
        self.to_qkv = nn.Linear(width, 3 * width, bias=False)
        self.to_output = nn.Linear(width, width, bias=False)
        self.norm_feedforward = nn.LayerNorm(width)
        self.expand = nn.Linear(width, 4 * width)
        self.contract = nn.Linear(4 * width, width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, rotation: Rotation) -> Tensor:
        """Attend causally over whole sequences x (B, L, H)."""
        batch, length, width = x.shape
        qkv = self.to_qkv(self.norm_attention(x))
        qkv = qkv.view(batch, length, 3, self.n_heads, width // self.n_heads)
        dropout = self.dropout.p if self.training else 0.0
        mixed = causal_attention(qkv, rotation, dropout=dropout)
        x = x + self.dropout(self.to_output(mixed))
        hidden = functional.gelu(self.expand(self.norm_feedforward(x)))
        further: Tensor = self.dropout(self.contract(hidden))
        return x + further


class MotionTransformer(nn.Module):
    """Logits and values of motion tokens given audio and condition.

    Attributes:
        code_distances: Shape (tokens_per_chunk, n_tokens, n_tokens), how far apart the codes of a
            slot look, in mm: what expected-distance decoding weighs. A buffer that is saved with
            the weights; all 0 where it is not known.
        tokenizer_hash: Content hash of the tokenizer whose tokens it writes, where that was told;
            algorithms refuse an environment with another one.
    """

    code_distances: Tensor
    tokenizer_hash: str | None = None

    def __init__(self, config: PolicyConfig) -> None:
        """Build the network; the value head starts at zero, so first baselines are neutral.

        Args:
            config: All sizes.
        """
        super().__init__()
        self.config = config
        width = config.width
        self.content = _encoder(config.window_dim, config.content_dim)
        self.emotion = _encoder(config.window_dim, config.emotion_dim)
        self.style = nn.Linear(config.condition_dim, config.style_dim, bias=False)  # S(c)
        self.mix = nn.Linear(config.style_dim + config.content_dim + config.emotion_dim, width)
        # One row per (slot, token), and a last one for "nothing written yet".
        self.to_token_input = nn.Embedding(config.tokens_per_chunk * config.n_tokens + 1, width)
        self.to_slot_input = nn.Embedding(config.tokens_per_chunk, width)
        self.blocks = nn.ModuleList(
            Block(width, config.n_heads, config.dropout) for _ in range(config.n_layers)
        )
        self.norm = nn.LayerNorm(width)
        self.to_logits = nn.Parameter(
            torch.randn(config.tokens_per_chunk, width, config.n_tokens) * 0.02
        )
        shape = (config.tokens_per_chunk, config.n_tokens, config.n_tokens)
        self.register_buffer(DISTANCES, torch.zeros(shape))
        self.to_value = nn.Sequential(nn.Linear(width, width), nn.GELU(), nn.Linear(width, 1))
        nn.init.normal_(self.to_token_input.weight, std=0.02)
        nn.init.normal_(self.to_slot_input.weight, std=0.02)
        for parameter in self.to_value[2].parameters():
            nn.init.zeros_(parameter)

    @property
    def knows_distances(self) -> bool:
        """Whether `code_distances` are known."""
        return bool(self.code_distances.any())

    def set_code_distances(self, distances: npt.ArrayLike) -> None:
        """Take over the distances of codes, for instance `AnimationTask.code_distances`.

        Args:
            distances: Shape (tokens_per_chunk, n_tokens, n_tokens), in mm.

        Raises:
            ValueError: If the shape is another one, or a distance is negative or not finite.
        """
        given = torch.as_tensor(np.asarray(distances, dtype=np.float32))
        if given.shape != self.code_distances.shape:
            wanted = tuple(self.code_distances.shape)
            raise ValueError(f"`distances` must have shape {wanted}, got {tuple(given.shape)}")
        fine = torch.isfinite(given) & (given >= 0)
        if not bool(fine.all()):
            raise ValueError(
                f"`distances` must be finite and at least 0, got {given[~fine][0].item()}"
            )
        self.code_distances.copy_(given)

    def save_pretrained(self, save_directory: str | Path, **how: Any) -> None:
        """Write it to a folder that is shared, see `agents.shared_policy.SharedPolicy`."""
        from agents.shared_policy import SharedPolicy

        SharedPolicy(self).save_pretrained(save_directory, **how)

    @classmethod
    def from_pretrained(cls, source: str | Path, **how: Any) -> MotionTransformer:
        """Read it from a shared folder or from the Hub (`user/name`), ready to act.

        Args:
            source: A folder, or `user/name` on the Hub; a whole task will do, too.
            **how: `revision`, `cache_dir`, `token`, `local_files_only` and `force_download`, as of
                `huggingface_hub`; and `tokenizer`, one that it must write tokens of.

        Raises:
            InputError: If there is none, or it is damaged, of another kind, version or tokenizer.
        """
        from agents.shared_policy import SharedPolicy

        return SharedPolicy.from_pretrained(source, **how).network

    def push_to_hub(self, repo_id: str, **how: Any) -> str:
        """Push it to the Hub, see `agents.shared_policy.SharedPolicy`; return the commit's URL."""
        from agents.shared_policy import SharedPolicy

        return SharedPolicy(self).push_to_hub(repo_id, **how)

    def _load_from_state_dict(
        self, state_dict: dict[str, Any], prefix: str, *args: Any, **kwargs: Any
    ) -> None:
        # Weights of before there were distances: of these they are not known, whatever was before.
        # A part of the weights (`strict=False`) leaves them alone.
        if prefix + "to_logits" in state_dict:
            state_dict.setdefault(prefix + DISTANCES, torch.zeros_like(self.code_distances))
        super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)

    def conditioning(self, windows: Tensor, condition: Tensor) -> Tensor:
        """Return each chunk's input (B, C, H) from windows (B, C, W) and condition (B, D).

        A condition of shape (B, C, D) holds one for each chunk.
        """
        style = self.style(condition)
        if condition.ndim == 2:
            style = style[:, None].expand(-1, windows.shape[1], -1)
        streams = torch.cat([style, self.content(windows), self.emotion(windows)], dim=-1)
        mixed: Tensor = self.mix(streams)
        return mixed

    def forward(self, windows: Tensor, condition: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits (B, L, K) and values (B, L) of whole sequences in one pass.

        Args:
            windows: Shape (B, C, window_dim), L = C * tokens_per_chunk.
            condition: Shape (B, condition_dim), or (B, C, condition_dim).
            tokens: Shape (B, L); entry t is predicted from those before it; -1 pads.
        """
        positions = torch.arange(tokens.shape[1], device=tokens.device)
        slots = positions % self.config.tokens_per_chunk
        previous = functional.pad(tokens[:, :-1], (1, 0), value=-1)
        chunks = self.conditioning(windows, condition)
        x = chunks.repeat_interleave(self.config.tokens_per_chunk, dim=1)  # (B, L, H)
        x = x + self.embed(previous, slots)
        rotation = rotations(positions, self.head_dim)
        for block in self.blocks:
            x = block(x, rotation)
        return self._heads(x, slots)

    @property
    def head_dim(self) -> int:
        """Width of one attention head."""
        return self.config.width // self.config.n_heads

    def embed(self, previous: Tensor, slots: Tensor) -> Tensor:
        """Return the input (..., H) of a position from the token before it and its own slot.

        Args:
            previous: Shape (...), -1 where nothing was written yet.
            slots: Shape (...) or what broadcasts to it.
        """
        n_slots = self.config.tokens_per_chunk
        row = (slots - 1) % n_slots * self.config.n_tokens + previous
        start = n_slots * self.config.n_tokens
        token: Tensor = self.to_token_input(torch.where(previous < 0, start, row))
        slot: Tensor = self.to_slot_input(slots)
        return token + slot

    def _heads(self, x: Tensor, slots: Tensor) -> tuple[Tensor, Tensor]:
        hidden = self.norm(x)
        batch, length, width = hidden.shape
        by_slot = hidden.view(batch, -1, self.config.tokens_per_chunk, width)
        logits = torch.einsum("bcsh,shk->bcsk", by_slot, self.to_logits)
        return logits.reshape(batch, length, -1), self.value(hidden)

    def value(self, hidden: Tensor) -> Tensor:
        """Return values (...) of hidden states (..., H) behind the last norm."""
        # Detached: at the start the value loss is large, and through a shared trunk it would tear
        # the cloned policy apart long before the reward could improve it.
        value: Tensor = self.to_value(hidden.detach())[..., 0]
        return value


def _encoder(n_inputs: int, n_outputs: int) -> nn.Module:
    return nn.Sequential(
        nn.LayerNorm(n_inputs), nn.Linear(n_inputs, 2 * n_outputs), nn.GELU(),
        nn.Linear(2 * n_outputs, n_outputs),
    )  # fmt: skip
