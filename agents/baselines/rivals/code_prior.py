"""Autoregressive prior of MeshTalk: which codes come next, over time and over the heads of a frame.

A file of its own, because it is a network of its own, trained when the codes' is done. Dilated
convolutions over past frames, as published; over the heads of one frame a running sum of their
embeddings stands for the published masked convolution: the same order, and one small step a head.

Shape letters: B batch, T frames, H heads, C classes, W width.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

_DILATIONS = (1, 2, 4, 8)  # of kernels of two frames: 16 past frames count


class CodePrior(nn.Module):
    """Logits of the code of each head, given audio, earlier frames, and earlier heads."""

    def __init__(self, n_heads: int, n_classes: int, width: int) -> None:
        """Build the network.

        Args:
            n_heads: Codes of a frame.
            n_classes: Classes of a code.
            width: Of its layers, and of what it hears.
        """
        super().__init__()
        self.n_heads, self.n_classes = n_heads, n_classes
        self.to_past = nn.Embedding(n_heads * n_classes, width)
        self.to_earlier = nn.Embedding(n_heads * n_classes, width)
        self.to_head = nn.Embedding(n_heads, width)
        for embedding in (self.to_past, self.to_earlier, self.to_head):
            nn.init.normal_(embedding.weight, std=0.1)
        self.now = nn.ModuleList(nn.Linear(width, width) for _ in _DILATIONS)
        self.before = nn.ModuleList(nn.Linear(width, width, bias=False) for _ in _DILATIONS)
        self.mix = nn.Linear(width, width)
        self.to_logits = nn.Parameter(torch.randn(n_heads, width, n_classes) * width**-0.5)
        self.register_buffer("rows", torch.arange(n_heads) * n_classes, persistent=False)
        self.rows: Tensor

    def forward(self, heard: Tensor, codes: Tensor) -> Tensor:
        """Return logits (B, T, H, C), each from what stands before it.

        Args:
            heard: Shape (B, T, W), audio.
            codes: Shape (B, T, H), of all frames; an entry counts for those after it alone.
        """
        rows = codes + self.rows
        x = heard + _later(self.to_past(rows).sum(2), 1)
        for dilation, now, before in zip(_DILATIONS, self.now, self.before, strict=True):
            x = x + functional.gelu(now(x) + before(_later(x, dilation)))
        written = self.to_earlier(rows)
        earlier = written.cumsum(2) - written + self.to_head.weight
        hidden = functional.gelu(self.mix(x[:, :, None] + earlier))
        return torch.einsum("bthw,hwc->bthc", hidden, self.to_logits)

    def write(self, heard: Tensor, temperature: float) -> Tensor:
        """Return codes (B, T, H), written frame by frame and head by head.

        The layers' past is kept, so that a frame costs the same wherever it stands.

        Args:
            heard: Shape (B, T, W), audio.
            temperature: Of the draw; 0 takes the likeliest class.
        """
        frames: list[Tensor] = []
        pasts: list[list[Tensor]] = [[] for _ in _DILATIONS]
        said = torch.zeros_like(heard[:, 0])
        for x in heard.unbind(1):
            codes = self._frame(self._step(x + said, pasts), temperature)
            said = self.to_past(codes + self.rows).sum(1)
            frames.append(codes)
        return torch.stack(frames, dim=1)

    def _step(self, x: Tensor, pasts: list[list[Tensor]]) -> Tensor:
        """Return the last layer (B, W) of a frame, and note in `pasts` what later ones need."""
        layers = zip(_DILATIONS, self.now, self.before, pasts, strict=True)
        for dilation, now, before, past in layers:
            past.append(x)
            hidden = now(x)
            if len(past) > dilation:
                hidden = hidden + before(past[-1 - dilation])
            x = x + functional.gelu(hidden)
        return x

    def _frame(self, x: Tensor, temperature: float) -> Tensor:
        """Return the codes (B, H) of a frame from its last layer (B, W)."""
        codes = []
        earlier = torch.zeros_like(x)
        for head in range(self.n_heads):
            hidden = functional.gelu(self.mix(x + earlier + self.to_head.weight[head]))
            logits = hidden @ self.to_logits[head]
            if temperature > 0:
                code = torch.multinomial((logits / temperature).softmax(-1), 1)[:, 0]
            else:
                code = logits.argmax(-1)
            codes.append(code)
            earlier = earlier + self.to_earlier(code + self.rows[head])
        return torch.stack(codes, dim=-1)


def _later(x: Tensor, n_frames: int) -> Tensor:
    """Return x (B, T, W) moved later by `n_frames`, 0 in front."""
    return functional.pad(x, (0, 0, n_frames, 0))[:, : x.shape[1]]
