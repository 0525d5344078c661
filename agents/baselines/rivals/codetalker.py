"""CodeTalker (Xing et al., CVPR 2023) on face curves: regression into a discrete motion prior.

First, a VQ-VAE learns which motion there is: every frame becomes a few codes. Then a causal decoder
as FaceFormer's, given the audio and the frames before, regresses the continuous latents of each
frame; these are snapped to the nearest codes, and the decoder of the VQ-VAE, frozen by now, makes
curves of them. Its losses are distances, of the curves and of the latents; there is no
cross-entropy. It learns under teacher forcing.

What differs from the paper:

- A stack that is trained from nothing hears our audio features, in place of wav2vec 2.0.
- 8 tokens of 32 dimensions a frame (16 of 64, or 8 of 128, for thousands of vertices), and two
  layers each instead of six.
- Layer norm in place of instance norm over time in the VQ-VAE: that takes the mean of every channel
  over the utterance away, and with it the emotion; the paper's faces are neutral.
- The past is given as the codes of the frames before, not as the curves that they decode to: so a
  frame costs one step of the decoder and not a decoding of all that was written, and what is
  generated is what is trained.
- Losses of curves are the vertex loss that all systems here are trained with.
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
from agents.baselines.rivals.motion_codes import N_TOKENS, TOKEN_DIM, MotionCodes

_AUDIO_LAYERS, _LAYERS = 4, 2


class CodeTalker(Rival):
    """Regression into a codebook of motion, frame by frame."""

    paper: ClassVar[str] = "CodeTalker: Xing et al., CVPR 2023, arXiv:2301.02379"
    sees: ClassVar[tuple[str, ...]] = (SPEAKER,)
    stages = 2

    def __init__(self, sizes: RivalSizes, loss: CurveLoss) -> None:
        """Build untrained networks of both stages."""
        super().__init__(sizes, loss)
        width = sizes.width
        self.motion = MotionCodes(len(self.mean_pose), width)
        self.hear = AudioStack(sizes.feature_dim, width, n_layers=_AUDIO_LAYERS)
        self.style = (
            nn.Linear(sizes.condition_dim, width, bias=False) if sizes.condition_dim else None
        )
        self.embed = nn.Linear(N_TOKENS * TOKEN_DIM, width)
        self.layers = nn.ModuleList(
            AlignedDecoderLayer(width, hidden=2 * width) for _ in range(_LAYERS)
        )
        self.to_latents = nn.Linear(width, N_TOKENS * TOKEN_DIM)

    def begin_stage(self, stage: int) -> list[nn.Parameter]:
        """Return the weights of the VQ-VAE (stage 0), or all others (stage 1)."""
        motion = list(self.motion.parameters())
        if stage == 0:
            return motion
        frozen = {id(weight) for weight in motion}
        return [weight for weight in self.parameters() if id(weight) not in frozen]

    def losses(self, batch: RivalBatch, stage: int) -> dict[str, Tensor]:
        """Return reconstruction and quantisation (stage 0), or motion and latents (stage 1)."""
        motion = batch.curves - self.mean_pose
        if stage == 0:
            snapped = self.motion.snap(self.motion.encode(motion, batch.inside), batch.inside)
            made = self._curves(snapped.latents, batch.inside)
            return {
                "reconstruction": self.curve_loss(made, batch.curves, batch.inside),
                "quantisation": snapped.loss,
            }
        with torch.no_grad():
            recorded = self.motion.snap(self.motion.encode(motion, batch.inside), batch.inside)
        audio = self.hear(batch.features, batch.inside)
        latents = self.regress(audio, batch.condition, recorded.latents[:, :-1])
        made = self._curves(self.motion.snap(latents, batch.inside).latents, batch.inside)
        apart = (latents - recorded.latents).square()
        return {
            "motion": self.curve_loss(made, batch.curves, batch.inside),
            "latents": apart[batch.inside].mean(),
        }

    def regress(self, audio: Tensor, condition: Tensor, before: Tensor) -> Tensor:
        """Return latents (B, T, N * C), not snapped, of every frame from those before it.

        Args:
            audio: Shape (B, T, H), a token a frame.
            condition: Shape (B, K).
            before: Shape (B, T - 1, N * C), snapped latents of frames 0 to T - 2.
        """
        n_frames, width = audio.shape[1:]
        given = torch.cat([torch.zeros_like(audio[:, :1]), self.embed(before)], dim=1)
        x = given + self._style(condition) + periodic_code(n_frames, width)
        mask = biased_causal_mask(n_frames)
        for layer in self.layers:
            x = layer(x, audio, mask)
        latents: Tensor = self.to_latents(x)
        return latents

    def write(self, features: Tensor, condition: Tensor, inside: Tensor) -> Tensor:
        """Return codes (B, T, N), frame by frame, each from those before."""
        audio = self.hear(features, inside)
        n_frames, width = audio.shape[1:]
        style, place = self._style(condition), periodic_code(n_frames, width)
        mask = biased_causal_mask(n_frames)
        pasts: list[list[Tensor]] = [[] for _ in self.layers]
        given, codes = torch.zeros_like(audio[:, :1]), list[Tensor]()
        for t in range(n_frames):
            now = slice(t, t + 1)
            x = given + style + place[now]
            for layer, past in zip(self.layers, pasts, strict=True):
                x = layer(x, audio[:, now], mask[:, :, now, : t + 1], past)
            codes.append(self.motion.nearest(self.to_latents(x)))
            given = self.embed(self.motion.entries(codes[-1]).flatten(2))
        return torch.cat(codes, dim=1)

    @torch.no_grad()
    def generate(self, features: Tensor, condition: Tensor, inside: Tensor) -> Tensor:
        """Return curves (B, T, 52) in [0, 1], decoded from the codes of all frames."""
        latents = self.motion.entries(self.write(features, condition, inside)).flatten(2)
        return self._curves(latents, inside).clamp(0, 1)

    def _curves(self, latents: Tensor, inside: Tensor) -> Tensor:
        return self.motion.decode(latents, inside) + self.mean_pose

    def _style(self, condition: Tensor) -> Tensor | float:
        """Return what a condition (B, K) adds to every input, (B, 1, H)."""
        if self.style is None:
            return 0.0
        style: Tensor = self.style(condition)[:, None]
        return style
