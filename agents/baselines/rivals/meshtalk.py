"""MeshTalk (Richard et al., ICCV 2021) on face curves: categorical latents of two modalities.

First, audio and expression are fused into categorical latents, from which a decoder makes the
curves. A cross-modality loss says which modality answers for what: with the audio of one clip and
the expression of another, the mouth must be the first one's and the upper face the second one's.
Then an autoregressive prior learns to write the latents from audio alone, by cross-entropy.

What differs from the publication, for 52 curves instead of 6,000 vertices: 8 heads a frame instead
of 64; features of the audio instead of windows of a spectrogram, heard through convolutions that
reach a second in all, as those windows do; a recurrent decoder without a template mesh; the prior
has an audio encoder of its own, so that it can hear what the latents' needs not (the emotion); and
no smoothing behind it. A condition, where one is given, stands beside the audio.

Shape letters: B batch, T frames, H heads, C classes, W width.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from agents.baselines.rivals.base import CurveLoss, Rival, RivalBatch, RivalSizes
from agents.baselines.rivals.code_prior import CodePrior
from esarm_env.core.errors import InputError

if TYPE_CHECKING:
    from esarm_env.core.types import BoolArray

N_HEADS, N_CLASSES = 8, 128
_DILATIONS = (1, 2, 4, 1, 2, 4)  # of kernels of three frames: 29 frames, about a second


class AudioEncoder(nn.Module):
    """Audio features and condition to one vector a frame: residual dilated convolutions."""

    def __init__(self, n_inputs: int, width: int) -> None:
        """Build the layers."""
        super().__init__()
        self.begin = nn.Linear(n_inputs, width)
        self.layers = nn.ModuleList(
            nn.Conv1d(width, width, 3, dilation=dilation, padding=dilation)
            for dilation in _DILATIONS
        )

    def forward(self, features: Tensor, condition: Tensor, inside: Tensor) -> Tensor:
        """Return (B, T, W) from features (B, T, D), conditions (B, K) and what is `inside`."""
        steady = condition[:, None].expand(-1, features.shape[1], -1)
        x = self.begin(torch.cat([features, steady], dim=-1)).transpose(1, 2)
        frames = inside[:, None]
        for layer in self.layers:
            x = x * frames  # padding sounds like silence before the first frame: not at all
            x = x + functional.leaky_relu(layer(x), 0.2)
        heard: Tensor = (x * frames).transpose(1, 2)
        return heard


class ExpressionEncoder(nn.Module):
    """Curves to one vector a frame, which knows what came before."""

    def __init__(self, n_curves: int, width: int) -> None:
        """Build the layers."""
        super().__init__()
        self.begin = nn.Sequential(
            nn.Linear(n_curves, 2 * width),
            nn.LeakyReLU(0.2),
            nn.Linear(2 * width, width),
            nn.LeakyReLU(0.2),
        )
        self.lstm = nn.LSTM(width, width, batch_first=True)
        self.end = nn.Linear(width, width)

    def forward(self, curves: Tensor) -> Tensor:
        """Return (B, T, W) from curves (B, T, 52) without the mean pose."""
        hidden, _ = self.lstm(self.begin(curves))
        out: Tensor = self.end(hidden)
        return out


class Decoder(nn.Module):
    """Latents to curves: a recurrent network, with a way past it."""

    def __init__(self, n_latents: int, width: int, n_curves: int) -> None:
        """Build the layers."""
        super().__init__()
        self.begin = nn.Linear(n_latents, 2 * width)
        self.lstm = nn.LSTM(2 * width, 3 * width // 2, num_layers=2, batch_first=True)
        self.end = nn.Linear(2 * width + 3 * width // 2, n_curves)

    def forward(self, latents: Tensor) -> Tensor:
        """Return curves (B, T, 52) without the mean pose from one-hot latents (B, T, H * C)."""
        x = functional.leaky_relu(self.begin(latents), 0.2)
        curves: Tensor = self.end(torch.cat([x, self.lstm(x)[0]], dim=-1))
        return curves


class MeshTalk(Rival):
    """Animates by codes that a prior draws one after the other from audio.

    `RivalSizes.width` is that of all encoders and of the prior.

    Attributes:
        temperature: Of the draw of each code; 1 draws from the prior as it is, as published, and 0
            takes the likeliest code each time, hence the same animation each time.
    """

    paper: ClassVar[str] = "MeshTalk: Richard et al., ICCV 2021, arXiv:2104.08223"
    sees: ClassVar[tuple[str, ...]] = ()
    stages = 2
    samples = True

    def __init__(self, sizes: RivalSizes, loss: CurveLoss, *, temperature: float = 1.0) -> None:
        """Build the networks of both stages.

        Args:
            sizes: With `mouth` and `eyelids`.
            loss: Of curves.
            temperature: See the class.

        Raises:
            InputError: If the mouth or the eyelids are not told, or the temperature is negative.
        """
        super().__init__(sizes, loss)
        if not temperature >= 0:
            raise InputError(f"`temperature` must be at least 0, got {temperature}")
        self.temperature = temperature
        self._keep("mouth", sizes.mouth)
        self._keep("eyelids", sizes.eyelids)
        self.mouth: Tensor
        self.eyelids: Tensor
        width, n_curves = sizes.width, len(self.mean_pose)
        n_heard = sizes.feature_dim + sizes.condition_dim
        self.audio = AudioEncoder(n_heard, width)
        self.expression = ExpressionEncoder(n_curves, width)
        self.fusion = nn.Sequential(
            nn.Linear(2 * width, 2 * width),
            nn.LeakyReLU(0.2),
            nn.Linear(2 * width, N_HEADS * N_CLASSES),
        )
        self.decoder = Decoder(N_HEADS * N_CLASSES, width, n_curves)
        self.prior_audio = AudioEncoder(n_heard, width)
        self.prior = CodePrior(N_HEADS, N_CLASSES, width)

    def _keep(self, name: str, curves: BoolArray | None) -> None:
        if curves is None:
            raise InputError(f"`sizes.{name}` must be told to MeshTalk, got None")
        self.register_buffer(name, torch.tensor(curves, dtype=torch.bool), persistent=False)

    def begin_stage(self, stage: int) -> list[nn.Parameter]:
        """Return the weights of the latents (stage 0) or of the prior (stage 1)."""
        prior = [*self.prior_audio.parameters(), *self.prior.parameters()]
        if stage == 1:
            return prior
        others = {id(weight) for weight in prior}
        return [weight for weight in self.parameters() if id(weight) not in others]

    def losses(self, batch: RivalBatch, stage: int) -> dict[str, Tensor]:
        """Return reconstruction, eyelids and cross-modality (stage 0), or cross-entropy."""
        return self._latent_losses(batch) if stage == 0 else self._prior_losses(batch)

    def _latent_losses(self, batch: RivalBatch) -> dict[str, Tensor]:
        curves, inside = batch.curves, batch.inside
        heard, shown = self.audio(batch.features, batch.condition, inside), self._shown(curves)
        foreign = _others(len(curves)).to(curves.device)
        fused = self.logits(
            torch.cat([heard, heard]),
            torch.cat([shown, shown[foreign]]),
        )
        own, crossed = self.decode(self.latents(fused)).chunk(2)
        # A clip with a foreign expression is, seen from there, one with foreign audio: one decoding
        # serves both halves of the loss, and every clip of the minibatch is in either once.
        both = inside & inside[foreign]
        to_audio = self._loss_of(self.mouth, crossed, curves, both)
        to_expression = self._loss_of(~self.mouth, crossed, curves[foreign], both)
        return {
            "reconstruction": self.curve_loss(own, curves, inside),
            "eyelids": self._loss_of(self.eyelids, own, curves, inside),
            "cross_modality": to_audio + to_expression,
        }

    def _loss_of(self, part: Tensor, made: Tensor, curves: Tensor, inside: Tensor) -> Tensor:
        """Return the loss of the curves that are `part` (52,), as if the others were right."""
        return self.curve_loss(torch.where(part, made, curves), curves, inside)

    def _prior_losses(self, batch: RivalBatch) -> dict[str, Tensor]:
        with torch.no_grad():
            codes = self.codes(batch)
        logits = self.prior(self._prior_heard(batch.features, batch.condition, batch.inside), codes)
        wanted, given = codes[batch.inside], logits[batch.inside]  # (F, H), (F, H, C)
        return {"prior": functional.cross_entropy(given.flatten(0, 1), wanted.flatten())}

    @torch.no_grad()
    def generate(self, features: Tensor, condition: Tensor, inside: Tensor) -> Tensor:
        """Return curves (B, T, 52) in [0, 1] of codes that the prior writes; see `temperature`."""
        heard = self._prior_heard(features, condition, inside)
        codes = self.prior.write(heard, self.temperature)
        return self.decode(self.one_hot(codes)).clamp(0, 1)

    def codes(self, batch: RivalBatch) -> Tensor:
        """Return the likeliest code of each head, (B, T, H), of recorded audio and expression."""
        heard = self.audio(batch.features, batch.condition, batch.inside)
        return self.logits(heard, self._shown(batch.curves)).argmax(-1)

    def logits(self, heard: Tensor, shown: Tensor) -> Tensor:
        """Return logits (B, T, H, C) of audio and expression, (B, T, W) each."""
        fused: Tensor = self.fusion(torch.cat([heard, shown], dim=-1))
        return fused.view(*fused.shape[:-1], N_HEADS, N_CLASSES)

    def latents(self, logits: Tensor) -> Tensor:
        """Return one-hot latents (B, T, H, C): drawn in training, with gradients as if soft.

        Straight-through Gumbel-softmax (Jang et al. 2017); out of training the likeliest.
        """
        if self.training:
            return functional.gumbel_softmax(logits, hard=True)
        return self.one_hot(logits.argmax(-1))

    @staticmethod
    def one_hot(codes: Tensor) -> Tensor:
        """Return one-hot latents (B, T, H, C) of codes (B, T, H)."""
        return functional.one_hot(codes, N_CLASSES).float()

    def decode(self, latents: Tensor) -> Tensor:
        """Return curves (B, T, 52) of one-hot latents (B, T, H, C)."""
        curves: Tensor = self.decoder(latents.flatten(2)) + self.mean_pose
        return curves

    def _shown(self, curves: Tensor) -> Tensor:
        encoded: Tensor = self.expression(curves - self.mean_pose)
        return encoded

    def _prior_heard(self, features: Tensor, condition: Tensor, inside: Tensor) -> Tensor:
        heard: Tensor = self.prior_audio(features, condition, inside)
        return heard


def _others(n_rows: int) -> Tensor:
    """Return for each of `n_rows` another row, (B,), none twice; of a single one itself.

    By a random distance: neighbours in a minibatch may be one sentence in two emotions.
    """
    distance = int(torch.randint(1, max(n_rows, 2), ()))
    return (torch.arange(n_rows) + distance) % n_rows
