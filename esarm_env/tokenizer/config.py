"""Settings of the motion prior and its training."""

from __future__ import annotations

from dataclasses import dataclass, fields

from esarm_env.core.deprecation import renamed_fields
from esarm_env.core.training.ranges import ABOVE_0, MAY_BE_0, SHARE, ranges
from esarm_env.tokenizer.shape import SHARED_CODEBOOKS, TokenizerShape


@renamed_fields(batch_size="batch_crops", **SHARED_CODEBOOKS)
@ranges(blocks=MAY_BE_0, quantiser_dropout=SHARE, learning_rate=ABOVE_0)
@dataclass(frozen=True)
class PriorConfig:
    """Hyperparameters of the motion prior and its training.

    Attributes:
        n_tokens: Codes per codebook, the size of the action space.
        frames_per_chunk: Frames at 30 fps that one chunk covers.
        mouth_codebooks: Residual codebooks of the mouth.
        upper_codebooks: Residual codebooks of the upper face.
        hidden: Width of the convolutions.
        code_dim: Width of a code vector.
        blocks: Residual blocks of dilated convolutions on each side of the quantiser.
        quantiser: `rvq`, residual vector quantisation, or `fsq`, residual finite scalar
            quantisation, where `n_tokens` must be a product of numbers from 2 to 8.
        causal: Whether the decoder sees no chunk after the one it decodes.
        linear_path: Whether a linear map of each chunk, which begins as the principal components of
            the training motion in millimetres, lies beside the convolutions.
        search_width: Sums of codes that are followed while motion is encoded by `rvq`; 1 takes the
            nearest code of each codebook in turn.
        quantiser_dropout: Share of the updates in which each stream leaves out a random number of
            its finest codebooks, so that fewer codebooks still decode.
        epochs: Number of rounds, each of `steps_per_epoch` updates.
        steps_per_epoch: Updates between two lines of the metrics.
        batch_crops: Crops per update.
        crop_chunks: Length of a crop in chunks.
        learning_rate: Learning rate (AdamW), falling to zero along a cosine.
        velocity_coef: Weight of the frame-to-frame error.
    """

    n_tokens: int = 256
    frames_per_chunk: int = 4
    mouth_codebooks: int = 3
    upper_codebooks: int = 3
    hidden: int = 128
    code_dim: int = 32
    blocks: int = 0
    quantiser: str = "rvq"
    causal: bool = False
    linear_path: bool = True
    search_width: int = 8
    quantiser_dropout: float = 0.0
    epochs: int = 16
    steps_per_epoch: int = 50
    batch_crops: int = 32
    crop_chunks: int = 16
    learning_rate: float = 2e-3
    velocity_coef: float = 1.0

    @property
    def shape(self) -> TokenizerShape:
        """The sizes of the tokenizer this trains."""
        return TokenizerShape(
            **{field.name: getattr(self, field.name) for field in fields(TokenizerShape)}
        )
