"""Settings of the speech encoder and its training."""

from __future__ import annotations

from dataclasses import dataclass, fields

from esarm_env.core.errors import InputError
from esarm_env.core.training.ranges import (
    ABOVE_0,
    AT_LEAST_2,
    BELOW_1,
    MAY_BE_0,
    SHARE,
    check_ranges,
    ranges,
)
from esarm_env.encoder.shape import N_PROSODY, EncoderShape


@ranges(
    head_layers=MAY_BE_0,
    dropout=BELOW_1,
    look_ahead_frames=MAY_BE_0,
    epochs=MAY_BE_0,
    finetune_layers=MAY_BE_0,
    finetune_after=MAY_BE_0,
    batch_utterances=AT_LEAST_2,
    learning_rate=ABOVE_0,
    speaker_dropout=SHARE,
    read_share=SHARE,
    voice_variety=SHARE,
    voice_bars=SHARE,
)
@dataclass(frozen=True)
class EncoderConfig:
    """Settings of the speech encoder and its training.

    Attributes:
        content_dim: Width of the content stream, per frame.
        emotion_dim: Width of the emotion stream.
        width: Width of the network.
        n_layers: Transformer blocks that hear no condition.
        head_layers: Transformer blocks of the regressor behind them.
        n_heads: Attention heads.
        dropout: Dropout while training.
        streaming: Whether audio is heard as it comes; else the whole utterance.
        look_ahead_frames: Number of frames at 30 fps by which a streaming encoder answers late,
            even.
        level_content: Whether the content loses its mean and spread over the utterance, in which
            an emotion would be told.
        cut_voice_bar: Whether `logmel` features are heard without the voice bar, which recorded
            voices have and synthetic ones lack; other features stay as they are.
        hide_emotion: Whether regressor and policy do without the emotion stream. The condition
            tells the emotion; where nobody names one, it is read from the stream. Training voices
            are told apart in it, and a new speaker gets the face of whom he sounds like.
        epochs: At most this many passes over the training utterances; 0 does without an encoder,
            and the policy hears the audio features themselves.
        patience: Stop after this many epochs without a better validation loss.
        batch_utterances: Utterances per update, even.
        learning_rate: Highest learning rate of a one-cycle schedule (Smith 2018).
        weight_decay: Weight decay (AdamW).
        finetune_layers: How many of the transformer layers of WavLM that are heard learn, from the
            topmost down, and with them the mixture of its hidden states; 0 keeps it frozen, and is
            a must with other audio features.
        finetune_after: Epochs before that, in which all of WavLM is frozen.
        finetune_learning_rate: Highest rate of what learns in WavLM; it rises and falls with the
            other.
        feature_noise: Spread of the noise added to audio features.
        voice_variety: With `cut_voice_bar`, share of the utterances that are heard, while training,
            as other voices may say them: loudness, voicing or pitch hidden, pitch shifted.
        voice_bars: Share of these whose low bands go on while lips are shut. Recorded voices gain,
            synthetic ones lose.
        speaker_dropout: How often the speaker is hidden, so that "unknown" means "average".
        read_share: How often the condition is what the encoder hears from the voice, not the label.
        emotion_coef: Weight of the cross-entropy of emotion and intensity, from the emotion stream.
        cross_coef: Weight of cross-reconstruction: content of one utterance, emotion of a parallel
            one, whose motion is the target.
        adversary_coef: Weight of a classifier of emotion on the content stream, whose gradient is
            reversed.
    """

    content_dim: int = 48
    emotion_dim: int = 16
    width: int = 128
    n_layers: int = 3
    head_layers: int = 1
    n_heads: int = 4
    dropout: float = 0.1
    streaming: bool = False
    look_ahead_frames: int = 0
    level_content: bool = False
    cut_voice_bar: bool = True
    hide_emotion: bool = True
    epochs: int = 10
    patience: int = 4
    batch_utterances: int = 8
    learning_rate: float = 1e-3
    weight_decay: float = 0.05
    finetune_layers: int = 0
    finetune_after: int = 3
    finetune_learning_rate: float = 1e-5
    feature_noise: float = 0.1
    voice_variety: float = 1.0
    voice_bars: float = 0.0
    speaker_dropout: float = 0.2
    read_share: float = 0.2
    emotion_coef: float = 1.0
    cross_coef: float = 0.25
    adversary_coef: float = 0.1

    def shape(self, *, feature_dim: int, condition_dim: int, prosody: bool = False) -> EncoderShape:
        """Return the sizes of the network for audio features and conditions of these widths.

        With `prosody` the last features are those of `LogMel`; with no others, they have a voice
        bar.
        """
        sizes = {field.name for field in fields(EncoderShape)} & {f.name for f in fields(self)}
        settings = {name: getattr(self, name) for name in sizes}
        settings["cut_voice_bar"] = self.cut_voice_bar and prosody and feature_dim == N_PROSODY
        return EncoderShape(
            feature_dim=feature_dim, condition_dim=condition_dim, prosody=prosody, **settings
        )

    def check(self) -> None:
        """Check the ranges of all settings.

        Raises:
            ValueError: If a setting is out of its range.
        """
        check_ranges(self)
        if self.batch_utterances % 2:
            raise InputError(
                f"`batch_utterances` must be even (pairs), got {self.batch_utterances}"
            )
        if self.finetune_layers and self.finetune_after >= self.epochs:
            raise InputError(
                f"`finetune_after` must be below `epochs` ({self.epochs}) for WavLM to learn, got "
                f"{self.finetune_after}; `finetune_layers=0` keeps it frozen"
            )
