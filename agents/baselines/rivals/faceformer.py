"""FaceFormer (Fan et al., CVPR 2022), re-built from its description on 52 face curves.

An autoregressive transformer decoder of one layer: frame t is regressed from the frames before it,
by attention that is causal and biased to the near past in whole periods, and from the audio of
frame t alone (alignment mask). Its only condition is the speaker, a vector added to every input.

What differs from the paper:

- A stack that is trained from nothing hears our audio features, in place of wav2vec 2.0.
- The paper trains on the full roll-out with its gradient, without teacher forcing, which takes one
  pass of the decoder for each frame. Here, too, no recorded frame is ever an input: the roll-out is
  approached by `N_PASSES` parallel passes (Jacobi iteration), the first from the mean pose, each
  next from the clipped output of the one before; the last alone has a gradient. After n passes the
  first n frames are those of the roll-out; of later ones the history is one that was written, too,
  but not yet to the end.
- The loss is the vertex loss that all systems here are trained with, not the mean square.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from agents.baselines.rivals.base import SPEAKER, CurveLoss, Rival, RivalBatch, RivalSizes
from agents.baselines.rivals.layers import (
    AlignedDecoderLayer,
    AudioStack,
    biased_causal_mask,
    periodic_code,
)

N_PASSES = 3
_AUDIO_LAYERS = 5


class FaceFormer(Rival):
    """Autoregressive regression of curves, with biased causal attention and aligned audio."""

    paper: ClassVar[str] = "FaceFormer: Fan et al., CVPR 2022, arXiv:2112.05329"
    sees: ClassVar[tuple[str, ...]] = (SPEAKER,)

    def __init__(self, sizes: RivalSizes, loss: CurveLoss) -> None:
        """Build an untrained network, whose output is the mean pose."""
        super().__init__(sizes, loss)
        width, n_curves = sizes.width, len(sizes.mean_pose)
        self.hear = AudioStack(sizes.feature_dim, width, n_layers=_AUDIO_LAYERS)
        self.style = nn.Linear(sizes.condition_dim, width, bias=False)
        self.embed = nn.Linear(n_curves, width)
        self.layer = AlignedDecoderLayer(width, hidden=2 * width)
        self.to_curves = nn.Linear(width, n_curves)
        nn.init.zeros_(self.to_curves.weight)
        nn.init.zeros_(self.to_curves.bias)

    def decode(self, audio: Tensor, condition: Tensor, before: Tensor) -> Tensor:
        """Return curves (B, T, 52), not clipped, from the frame before each.

        Args:
            audio: Shape (B, T, H), a token a frame.
            condition: Shape (B, K).
            before: Shape (B, T - 1, 52), frames 0 to T - 2.
        """
        n_frames = audio.shape[1]
        style = self.style(condition)[:, None]
        start = torch.zeros_like(style)
        given = torch.cat([start, self.embed(before - self.mean_pose)], dim=1) + style
        given = given + periodic_code(n_frames, given.shape[-1])
        return self._curves(self.layer(given, audio, biased_causal_mask(n_frames)))

    def losses(self, batch: RivalBatch, stage: int) -> dict[str, Tensor]:
        """Return the loss of the last pass of the roll-out."""
        del stage
        audio = self.hear(batch.features, batch.inside)
        curves = self.mean_pose.expand(*batch.inside.shape, -1)
        with torch.no_grad():
            for _ in range(N_PASSES - 1):
                curves = self.decode(audio, batch.condition, curves[:, :-1].clamp(0, 1))
        curves = self.decode(audio, batch.condition, curves[:, :-1].clamp(0, 1))
        return {"loss": self.curve_loss(curves, batch.curves, batch.inside)}

    @torch.no_grad()
    def generate(self, features: Tensor, condition: Tensor, inside: Tensor) -> Tensor:
        """Return curves (B, T, 52) in [0, 1], frame by frame, each from those before."""
        audio = self.hear(features, inside)
        n_frames, width = audio.shape[1:]
        style, code = self.style(condition)[:, None], periodic_code(n_frames, width)
        mask, past = biased_causal_mask(n_frames), list[Tensor]()
        given, written = style, list[Tensor]()
        for t in range(n_frames):
            now = slice(t, t + 1)
            bias = mask[:, :, now, : t + 1]
            hidden = self.layer(given + code[now], audio[:, now], bias, past)
            written.append(self._curves(hidden).clamp(0, 1))
            given = self.embed(written[-1] - self.mean_pose) + style
        return torch.cat(written, dim=1)

    def _curves(self, hidden: Tensor) -> Tensor:
        curves: Tensor = self.to_curves(hidden) + self.mean_pose
        return curves
