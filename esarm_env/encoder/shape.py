"""Sizes of a speech encoder, as they stand beside its weights.

A module of its own, because settings and commands ask for it without torch.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

STRIDE = 2  # frames a step: attention costs a quarter, and lips lose nothing measurable
N_PROSODY = 35  # columns of `LogMel`, which `prosody` needs


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
        level_content: Whether the content loses its mean and spread over the utterance, in which
            an emotion would be told. Encoders of earlier versions kept them.
        prosody: Whether the last features are those of `LogMel`, and the emotion is heard in their
            statistics too. Likewise.
        cut_voice_bar: Whether content and policies hear `LogMel` features without the voice bar;
            earlier versions heard it.
        hide_emotion: Whether regressor and policies do without the emotion stream, since the
            condition tells the emotion; those of earlier versions heard it.
        tuned_features: Key of the fine-tuned WavLM whose features it hears; empty with others.
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
    level_content: bool = False
    prosody: bool = False
    cut_voice_bar: bool = False
    hide_emotion: bool = False
    tuned_features: str = ""

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
        if self.cut_voice_bar and self.feature_dim != N_PROSODY:
            raise ValueError(
                f"`feature_dim` must be {N_PROSODY} (log-mel) with `cut_voice_bar`, "
                f"got {self.feature_dim}"
            )
        if self.prosody and self.feature_dim < N_PROSODY:
            raise ValueError(
                f"`feature_dim` must be at least {N_PROSODY} with `prosody`, got {self.feature_dim}"
            )
