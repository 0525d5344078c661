"""Trainer of the speech encoder: vertex loss, emotion, and cross-reconstruction, epoch by epoch.

What the tokens are predicted from shall know at least what a regressor knows: cross-entropy on
tokens does not teach an encoder that. Emotion and content are pulled apart by three terms: the
emotion stream names emotion and intensity; the content of one utterance with the emotion of a
parallel one gives the motion of the latter (EVP, Ji et al. 2021); and an adversary on the content
stream must not find the emotion there.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from esarm_env.audio.encoders.voice_bar import other_voices
from esarm_env.core.errors import InputError
from esarm_env.core.training.epochs import EpochTrainer
from esarm_env.core.training.minibatches import (
    batches_of_like_length,
    means_of_terms,
    one_cycle,
    step_down,
)
from esarm_env.core.training.states import check_states
from esarm_env.core.types import EMOTIONS, N_INTENSITIES
from esarm_env.encoder.adversary import Adversary
from esarm_env.encoder.losses import VertexLoss
from esarm_env.encoder.network import SpeechEncoder, Streams
from esarm_env.encoder.parallel import Pair, Warps, draw_pairs
from esarm_env.encoder.prosody import prosody_statistics
from esarm_env.encoder.shape import STRIDE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from esarm_env.audio.encoders.tuned_wavlm import LearningWavLM, TunedWavLM
    from esarm_env.core.types import IntArray
    from esarm_env.encoder.config import EncoderConfig
    from esarm_env.encoder.data import Minibatch, SpeechData
    from esarm_env.face.head import Head

_LABELS = len(EMOTIONS) + N_INTENSITIES  # first columns of a condition
_RAMP_EPOCHS = 4.0
_SECOND = "adversary_optimizer"  # in a saved state
_WAVLM = "wavlm_origin"  # likewise
_SPREAD_FRAMES = 20_000  # that the spread of the streams is taken from


class EncoderTrainer(EpochTrainer):
    """Trains a `SpeechEncoder`, one epoch a call of `advance`; resumes bit for bit.

    Vertex losses are in mm, cross-entropies in nats. Where WavLM learns, too, features come from
    the audio of the minibatch after the epochs of warm-up, and from the frozen ones until then.
    """

    def __init__(
        self,
        data: SpeechData,
        head: Head,
        *,
        train: IntArray,
        validation: IntArray,
        config: EncoderConfig,
        seed: int,
        wavlm: LearningWavLM | None = None,
    ) -> None:
        """Build an untrained encoder.

        Args:
            data: Features, motion and conditions by utterance.
            head: Where errors are measured.
            train: Utterances to learn from.
            validation: Utterances that choose the epoch.
            config: Settings.
            seed: Fixes weights, order and noise.
            wavlm: What learns of it, where `config.finetune_layers` says so; `data` then holds its
                frozen features, and the audio.

        Raises:
            ValueError: If a split is empty, or a setting is out of range.
        """
        config.check()
        if (config.finetune_layers > 0) != (wavlm is not None and data.audio is not None):
            raise InputError(
                "`finetune_layers` must be 0 without a WavLM and the audio that it hears, and "
                f"above 0 with them, got {config.finetune_layers}"
            )
        super().__init__(seed=seed, epochs=config.epochs, patience=config.patience)
        for name, part in (("train", train), ("validation", validation)):
            if len(part) == 0:
                raise ValueError(f"`{name}` must hold at least one utterance, got none")
        self._data, self._config, self._wavlm = data, config, wavlm
        self._train, self._validation = train, validation
        self._loss = VertexLoss(head, data.captured)
        self._warps = Warps(data.features)
        with self.own_randomness():
            shape = config.shape(
                feature_dim=data.features[0].shape[1],
                condition_dim=data.conditions.shape[1],
                prosody=data.prosody,
            )
            self.encoder = SpeechEncoder(shape)
            self._adversary = Adversary(STRIDE * config.content_dim)
        frames = np.concatenate([data.curves[index] for index in train.tolist()])
        self.encoder.mean_pose.copy_(torch.from_numpy(frames.mean(axis=0)))
        if data.prosody:
            fit_voice(self.encoder, data, train)
        self._rates = [config.learning_rate]
        groups: list[dict[str, Any]] = [{"params": list(self.encoder.parameters())}]
        kept: nn.Module = self.encoder
        if wavlm is not None:
            self._rates.append(config.finetune_learning_rate)
            # Decay would pull pretrained weights to 0, where nothing has been learnt.
            groups.append({"params": list(wavlm.parameters()), "weight_decay": 0.0})
            kept = nn.ModuleDict({"encoder": self.encoder, "wavlm": wavlm})
        optimizer = torch.optim.AdamW(
            groups, lr=config.learning_rate, weight_decay=config.weight_decay, fused=True
        )
        self.begin(optimizer, encoder=kept, adversary=self._adversary)

    @property
    def n_total(self) -> int:
        """Epochs to the end; patience begins with the epochs in which WavLM learns, if any do."""
        warm_up = self._config.finetune_after if self._wavlm is not None else 0
        spent = self.n_done - max(self._best_epoch, warm_up) >= self._patience
        return self.n_done if spent else self._epochs

    def finish(self) -> SpeechEncoder:
        """Return the encoder with its best weights; its streams have unit spread over training."""
        encoder = self.encoder
        self._kept.load_state_dict(self.best_weights)
        encoder.eval()
        heard: list[Tensor] = []
        n_frames = 0
        with torch.inference_mode():
            for index in self._rng.permutation(self._train).tolist():
                batch = self._rows([index], epoch=self._best_epoch)
                heard.append(encoder.hear(batch.features, batch.inside)[0])
                n_frames += len(heard[-1])
                if n_frames > _SPREAD_FRAMES:
                    break
        frames = torch.cat(heard)
        encoder.stream_mean += encoder.stream_scale * frames.mean(0)
        encoder.stream_scale *= frames.std(0) + 1e-3
        if self._data.prosody:
            self._calibrate()
        return encoder

    def tuned_wavlm(self) -> TunedWavLM | None:
        """Return WavLM with the weights of the best epoch; None if it was frozen in that.

        To be called after `finish`.
        """
        if self._wavlm is None or not self._tunes(self._best_epoch):
            return None
        return self._wavlm.finished()

    def _tunes(self, epoch: int) -> bool:
        """Return whether WavLM learns in an epoch, counted from 1."""
        return self._wavlm is not None and epoch > self._config.finetune_after

    def _rows(self, utterances: list[int], *, epoch: int) -> Minibatch:
        """Return utterances as a minibatch, as they are heard in an epoch, counted from 1."""
        batch = self._data.rows(utterances)
        if self._wavlm is None or self._data.audio is None or not self._tunes(epoch):
            return batch
        audio = [self._data.audio(index) for index in utterances]
        return batch._replace(features=self._wavlm(audio, batch.inside.sum(1).tolist()))

    @torch.inference_mode()
    def _calibrate(self) -> None:
        logits, labels = [], []
        for index in self._validation.tolist():
            batch = self._rows([index], epoch=self._best_epoch)
            streams = self.encoder.streams(batch.features, batch.inside)
            logits.append(self.encoder.emotion_logits(streams.emotion[:, -1])[0])
            labels.append(batch.condition[:, : len(EMOTIONS)].argmax(-1))
        self.encoder.voice.calibrate(torch.cat(logits), torch.cat(labels))

    def state_dict(self) -> dict[str, Any]:
        """Return everything needed to go on after an interruption."""
        state = super().state_dict() | {_SECOND: self._adversary.optimizer.state_dict()}
        return state if self._wavlm is None else state | {_WAVLM: self._wavlm.origin}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state_dict` returned.

        Raises:
            ValueError: As of `EpochTrainer`, or if WavLM's frozen layers were others.
        """
        if self._wavlm is not None and state[_WAVLM] != self._wavlm.origin:
            raise ValueError(
                f"`{_WAVLM}` must be {self._wavlm.origin}, the weights that WavLM has now, got "
                f"{state[_WAVLM]!r}"
            )
        second, owner = {_SECOND: state[_SECOND]}, {_SECOND: self._adversary.optimizer}
        check_states(second, owner, label="state of a training")
        super().load_state_dict(state)
        self._adversary.optimizer.load_state_dict(state[_SECOND])

    def train_epoch(self) -> dict[str, float]:
        """Train on every pair of utterances once; return the terms of the loss."""
        self.encoder.train()
        batches = self._batches()
        rows = []
        for number, pairs in enumerate(batches):
            self._set_rate((self.n_done + number / len(batches)) / self._config.epochs)
            # What pulls the streams apart comes in slowly: at first there is nothing to pull apart.
            ramp = min(1.0, (self.n_done + number / len(batches)) / _RAMP_EPOCHS)
            weights = {
                "loss": 1.0,
                "cross_loss": ramp * self._config.cross_coef,
                "emotion_loss": self._config.emotion_coef,
                "adversary_loss": ramp * self._config.adversary_coef,
            }
            terms = self._terms(pairs, read_share=ramp * self._config.read_share)
            loss = torch.stack([weights[name] * term for name, term in terms.items()]).sum()
            if not math.isfinite(loss.item()):
                raise InputError(
                    f"loss must be finite, got {loss.item()} in epoch {self.n_done + 1}: audio "
                    "features or motion hold NaN, or `encoder.learning_rate` is too high"
                )
            step_down(self._optimizer, loss)
            rows.append({name: term.item() for name, term in terms.items()})
        return means_of_terms(rows)

    def _terms(self, pairs: list[Pair], *, read_share: float) -> dict[str, Tensor]:
        """Return the terms of the loss on one minibatch."""
        config, encoder = self._config, self.encoder
        members = [index for pair in pairs for index in (pair.first, pair.second)]
        batch = self._rows(members, epoch=self.n_done + 1)
        spoken = encoder.shown(batch.features)
        if encoder.shape.cut_voice_bar and config.voice_variety > 0:
            spoken = other_voices(
                spoken, batch.inside, share=config.voice_variety, bars=config.voice_bars
            )
        labels = batch.condition[:, :_LABELS].clone()
        streams = encoder.streams(
            batch.features, batch.inside, noise=config.feature_noise, spoken=spoken
        )
        emotion = streams.emotion.mean(1)
        terms = {"emotion_loss": _naming_loss(encoder, emotion, labels)}
        condition = self._shown(batch.condition, emotion, read_share=read_share)
        n_frames = batch.features.shape[1]
        curves = encoder.regress(streams, condition, n_frames=n_frames)
        terms["loss"] = self._loss(curves, batch.curves, batch.inside)
        if config.adversary_coef > 0:
            named = labels[:, : len(EMOTIONS)]
            self._adversary.learn(streams, named)
            terms["adversary_loss"] = self._adversary(streams, named)
        crossed = self._cross(pairs, streams) if config.cross_coef > 0 else None
        if crossed is not None:
            mixed, rows = crossed
            curves = encoder.regress(mixed, condition[rows], n_frames=n_frames)
            terms["cross_loss"] = self._loss(curves, batch.curves[rows], batch.inside[rows])
        return terms

    def _shown(self, condition: Tensor, emotion: Tensor, *, read_share: float) -> Tensor:
        """Return conditions as shown: some speakers hidden, some emotions read from the voice."""
        n_rows = len(condition)
        hidden = torch.rand(n_rows, 1) < self._config.speaker_dropout
        condition[:, _LABELS:] *= ~hidden
        read = torch.rand(n_rows, 1) < read_share
        heard = [part.softmax(-1) for part in self.encoder.emotion_logits(emotion.detach())]
        guessed = torch.cat(heard, dim=-1).detach()
        shown = torch.where(read, guessed, condition[:, :_LABELS])
        return torch.cat([shown, condition[:, _LABELS:]], dim=-1)

    def _cross(self, pairs: list[Pair], streams: Streams) -> tuple[Streams, Tensor] | None:
        """Return streams of second utterances with the content of first ones, and their rows.

        None if no pair is parallel.
        """
        n_steps = streams.content.shape[1]
        rows, sources, places = [], [], []
        for number, pair in enumerate(pairs):
            if pair.parallel:  # one way round: who comes first in a pair is by chance
                place = self._warps(pair.first, pair.second)
                places.append(np.pad(place, (0, n_steps - len(place))))
                sources.append(2 * number)
                rows.append(2 * number + 1)
        if not rows:
            return None
        where = torch.from_numpy(np.stack(places))[..., None]
        where = where.expand(-1, -1, streams.content.shape[2])
        content = streams.content[sources].gather(1, where)
        own = torch.tensor(rows)
        return Streams(content, streams.emotion[own], streams.inside[own]), own

    def _batches(self) -> list[list[Pair]]:
        """Return the pairs of an epoch, those of like length together, batches in random order."""
        data = self._data
        pairs = draw_pairs(self._train, data.groups, data.emotions, rng=self._rng)
        longest = [max(data.length(pair.first), data.length(pair.second)) for pair in pairs]
        batches = batches_of_like_length(longest, self._config.batch_utterances // 2, self._rng)
        return [[pairs[row] for row in rows] for rows in batches]

    def _set_rate(self, progress: float) -> None:
        share = one_cycle(progress)
        for group, rate in zip(self._optimizer.param_groups, self._rates, strict=True):
            group["lr"] = rate * share

    @torch.inference_mode()
    def validate(self) -> dict[str, float]:
        """Return the regressor's loss, and how often the emotion is heard."""
        self.encoder.eval()
        losses, hits, weights = [], [], []
        size = self._config.batch_utterances
        for begin in range(0, len(self._validation), size):
            rows = self._validation[begin : begin + size].tolist()
            batch = self._rows(rows, epoch=self.n_done)
            streams = self.encoder.streams(batch.features, batch.inside)
            curves = self.encoder.regress(
                streams, batch.condition, n_frames=batch.features.shape[1]
            )
            losses.append(self._loss(curves, batch.curves, batch.inside).item())
            hits.append(_share_named(self.encoder, streams, batch))
            weights.append(int(batch.inside.sum()))
        return {
            "validation_loss": float(np.average(losses, weights=weights)),
            "validation_emotion_accuracy": float(np.average(hits, weights=weights)),
        }


@torch.inference_mode()
def fit_voice(encoder: SpeechEncoder, data: SpeechData, utterances: IntArray) -> None:
    """Let the reader of the voice learn from the prosody of `utterances`."""
    heard = []
    for index in utterances.tolist():
        features = torch.from_numpy(np.asarray(data.features[index], dtype=np.float32))[None]
        inside = torch.ones(features.shape[:2], dtype=torch.bool)
        heard.append(prosody_statistics(features, inside)[0, 0])
    labels = data.conditions[utterances, :_LABELS]
    encoder.voice.fit(
        torch.stack(heard).numpy(),
        labels[:, : len(EMOTIONS)].argmax(1),
        labels[:, len(EMOTIONS) :].argmax(1),
    )


def _naming_loss(encoder: SpeechEncoder, emotion: Tensor, labels: Tensor) -> Tensor:
    """Return the cross-entropy of emotion and intensity, (B, 12) one-hot labels."""
    named, strength = encoder.emotion_logits(emotion)
    return functional.cross_entropy(named, labels[:, : len(EMOTIONS)]) + functional.cross_entropy(
        strength, labels[:, len(EMOTIONS) :]
    )


def _share_named(encoder: SpeechEncoder, streams: Streams, batch: Minibatch) -> float:
    """Return the share of utterances whose emotion the encoder hears."""
    named, _ = encoder.emotion_logits(streams.emotion.mean(1))
    truth = batch.condition[:, : len(EMOTIONS)].argmax(-1)
    return float((named.argmax(-1) == truth).float().mean())
