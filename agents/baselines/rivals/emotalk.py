"""EmoTalk (Peng et al., ICCV 2023), re-built from its description on 52 face curves.

Two encoders hear the voice, one for what is said, one for the emotion. The decoder's queries are
content, emotion, level and person side by side; its memory is the emotion alone (emotion-guided
attention), aligned frame by frame; its self-attention is FaceFormer's. All targets are written in
one pass. The emotion is never given, it is heard; level (intensity) and person are.

Cross-reconstruction pulls the two apart: content of one utterance and emotion of a parallel one
must give the face of the latter. The weights of the four losses are those of re-implementations,
since the paper names none: 1, 1, 0.5 and 0.1.

What differs from the paper:

- Stacks that are trained from nothing hear our audio features, in place of two pretrained
  wav2vec 2.0, of which one had learned emotions from labels of other corpora.
- Parallel utterances are aligned by dynamic time warping; where a corpus has none, there is no
  cross-reconstruction.
- Curves are compared by the vertex loss that all systems here are trained with, velocity too.
- No filter and no canned blinks after it.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from agents.baselines.rivals.base import (
    INTENSITY,
    SPEAKER,
    CurveLoss,
    Rival,
    RivalBatch,
    RivalSizes,
)
from agents.baselines.rivals.layers import AlignedDecoderLayer, AudioStack, biased_causal_mask

CROSS, SELF, VELOCITY, EMOTION = 1.0, 1.0, 0.5, 0.1
_CONTENT_LAYERS, _EMOTION_LAYERS = 4, 2


class EmoTalk(Rival):
    """Curves in one pass from content, emotion that is heard, level and person."""

    paper: ClassVar[str] = "EmoTalk: Peng et al., ICCV 2023, arXiv:2303.11089"
    sees: ClassVar[tuple[str, ...]] = (INTENSITY, SPEAKER)

    def __init__(self, sizes: RivalSizes, loss: CurveLoss) -> None:
        """Build an untrained network, whose output is the mean pose."""
        super().__init__(sizes, loss)
        width, n_curves = sizes.width, len(sizes.mean_pose)
        # In the paper 512 + 256 + 2 x 32 of encoders that are 1024 wide.
        said, part, style = width // 2, width // 4, width // 4
        whole = said + part + style
        self.hear_content = AudioStack(sizes.feature_dim, width, n_layers=_CONTENT_LAYERS)
        self.hear_emotion = AudioStack(sizes.feature_dim, width, n_layers=_EMOTION_LAYERS)
        self.to_content = nn.Linear(width, said)
        self.name_emotion = nn.Linear(width, sizes.n_emotions)
        self.to_memory, self.to_emotion = nn.Linear(width, whole), nn.Linear(whole, part)
        self.style = nn.Linear(sizes.condition_dim, style)
        self.layer = AlignedDecoderLayer(whole, hidden=whole)
        self.to_curves = nn.Linear(whole, n_curves)
        nn.init.zeros_(self.to_curves.weight)
        nn.init.zeros_(self.to_curves.bias)

    def decode(self, content: Tensor, emotion: Tensor, condition: Tensor) -> Tensor:
        """Return curves (B, T, 52), not clipped, in one pass.

        Args:
            content: Shape (B, T, H), heard of one voice by `hear_content`.
            emotion: Shape (B, T, H), heard of the same one or another by `hear_emotion`.
            condition: Shape (B, K).
        """
        n_frames = content.shape[1]
        memory = self.to_memory(emotion)
        style = functional.relu(self.style(condition))[:, None].expand(-1, n_frames, -1)
        guide = functional.relu(self.to_emotion(memory))
        query = torch.cat([self.to_content(content), guide, style], dim=-1)
        hidden = self.layer(query, memory, biased_causal_mask(n_frames))
        curves: Tensor = self.to_curves(hidden) + self.mean_pose
        return curves

    def emotion_logits(self, emotion: Tensor, inside: Tensor) -> Tensor:
        """Return logits (B, n_emotions) from the mean over time of what is heard, (B, T, H)."""
        count = inside.sum(1, keepdim=True).clamp(min=1)
        logits: Tensor = self.name_emotion((emotion * inside[..., None]).sum(1) / count)
        return logits

    def losses(self, batch: RivalBatch, stage: int) -> dict[str, Tensor]:
        """Return self-reconstruction, velocity, emotion, and cross-reconstruction of parallels."""
        del stage
        content = self.hear_content(batch.features, batch.inside)
        emotion = self.hear_emotion(batch.features, batch.inside)
        curves = self.decode(content, emotion, batch.condition)
        logits = self.emotion_logits(emotion, batch.inside)
        terms = {
            "self": SELF * self.curve_loss(curves, batch.curves, batch.inside),
            "velocity": VELOCITY * self._velocity(curves, batch.curves, batch.inside),
            "emotion": EMOTION * functional.cross_entropy(logits, batch.emotions),
        }
        if batch.parallel is not None:
            terms["cross"] = CROSS * self._crossed(batch, content, emotion)
        return terms

    def _crossed(self, batch: RivalBatch, content: Tensor, emotion: Tensor) -> Tensor:
        """Return the loss of targets from the sources' content and their own emotion."""
        assert batch.parallel is not None, "called where there are parallels"
        sources, targets, places = batch.parallel
        where = places[..., None].expand(-1, -1, content.shape[-1])
        said = content[sources].gather(1, where)
        curves = self.decode(said, emotion[targets], batch.condition[targets])
        return self.curve_loss(curves, batch.curves[targets], batch.inside[targets])

    def _velocity(self, curves: Tensor, target: Tensor, inside: Tensor) -> Tensor:
        """Return the loss of the change from frame to frame."""
        both = inside[:, 1:] & inside[:, :-1]
        return self.curve_loss(curves.diff(dim=1), target.diff(dim=1), both)

    @torch.no_grad()
    def generate(self, features: Tensor, condition: Tensor, inside: Tensor) -> Tensor:
        """Return curves (B, T, 52) in [0, 1], in one pass."""
        content = self.hear_content(features, inside)
        emotion = self.hear_emotion(features, inside)
        return self.decode(content, emotion, condition).clamp(0, 1)
