"""Trainer of the speech encoder: vertex loss, emotion, and cross-reconstruction, epoch by epoch.

What the tokens are predicted from shall know at least what a regressor knows: cross-entropy on
tokens does not teach an encoder that. Emotion and content are pulled apart by three terms: the
emotion stream names emotion and intensity; the content of one utterance with the emotion of a
parallel one gives the motion of the latter (EVP, Ji et al. 2021); and an adversary on the content
stream must not find the emotion there.
"""

from __future__ import annotations

import copy
import math
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

from esarm_env.core.errors import InputError
from esarm_env.core.types import EMOTIONS, N_INTENSITIES
from esarm_env.encoder.losses import VertexLoss
from esarm_env.encoder.network import SpeechEncoder, Streams
from esarm_env.encoder.parallel import Pair, Warps, draw_pairs
from esarm_env.encoder.voice_bar import other_voices

if TYPE_CHECKING:
    from esarm_env.core.types import IntArray
    from esarm_env.encoder.config import EncoderConfig
    from esarm_env.encoder.data import Minibatch, SpeechData
    from esarm_env.face.head import Head

_LABELS = len(EMOTIONS) + N_INTENSITIES  # first columns of a condition
_RAMP_EPOCHS = 4.0
_SPREAD_FRAMES = 20_000  # that the spread of the streams is taken from


class EncoderTrainer:
    """Trains a `SpeechEncoder`, one epoch a call of `advance`; resumes bit for bit."""

    def __init__(
        self,
        data: SpeechData,
        head: Head,
        *,
        train: IntArray,
        validation: IntArray,
        config: EncoderConfig,
        seed: int,
    ) -> None:
        """Build an untrained encoder.

        Args:
            data: Features, motion and conditions by utterance.
            head: Where errors are measured.
            train: Utterances to learn from.
            validation: Utterances that choose the epoch.
            config: Settings.
            seed: Fixes weights, order and noise.

        Raises:
            ValueError: If a split is empty, or a setting is out of range.
        """
        config.check()
        for name, part in (("train", train), ("validation", validation)):
            if len(part) == 0:
                raise ValueError(f"`{name}` must hold at least one utterance, got none")
        self._data, self._config = data, config
        self._train, self._validation = train, validation
        self._loss = VertexLoss(head, data.captured)
        self._warps = Warps(data.features)
        self._rng = np.random.default_rng(seed)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            shape = config.shape(
                feature_dim=data.features[0].shape[1],
                condition_dim=data.conditions.shape[1],
                log_mel=data.log_mel,
            )
            self.encoder = SpeechEncoder(shape)
            self._adversary = _Adversary(2 * config.content_dim)
            self._torch_state = torch.get_rng_state()
        frames = np.concatenate([data.curves[index] for index in train.tolist()])
        self.encoder.mean_pose.copy_(torch.from_numpy(frames.mean(axis=0)))
        weights = [*self.encoder.parameters(), *self._adversary.parameters()]
        self._optimizer = torch.optim.AdamW(
            weights, lr=config.learning_rate, weight_decay=config.weight_decay, fused=True
        )
        self.n_done = 0
        self._best_loss, self._best_epoch = math.inf, 0
        self._best = copy.deepcopy(self.encoder.state_dict())

    @property
    def n_total(self) -> int:
        """Epochs to the end; shrinks when patience is spent."""
        spent = self.n_done - self._best_epoch >= self._config.patience
        return self.n_done if spent else self._config.epochs

    def advance(self) -> dict[str, float]:
        """Train one epoch; return its losses: vertex losses in mm, cross-entropies in nats.

        Raises:
            InputError: If a loss is not finite.
        """
        with torch.random.fork_rng(devices=[]):
            torch.set_rng_state(self._torch_state)
            row = self._train_epoch()
            self._torch_state = torch.get_rng_state()
        self.n_done += 1
        figures = self._validate()
        if figures["validation_loss"] < self._best_loss:
            self._best_loss, self._best_epoch = figures["validation_loss"], self.n_done
            self._best = copy.deepcopy(self.encoder.state_dict())
        return row | figures

    def finish(self) -> SpeechEncoder:
        """Return the encoder with its best weights; its streams have unit spread over training."""
        encoder = self.encoder
        encoder.load_state_dict(self._best)
        encoder.eval()
        heard: list[Tensor] = []
        n_frames = 0
        with torch.inference_mode():
            for index in self._rng.permutation(self._train).tolist():
                batch = self._data.rows([index])
                heard.append(encoder.hear(batch.features, batch.inside)[0])
                n_frames += len(heard[-1])
                if n_frames > _SPREAD_FRAMES:
                    break
        frames = torch.cat(heard)
        encoder.stream_mean += encoder.stream_scale * frames.mean(0)
        encoder.stream_scale *= frames.std(0) + 1e-3
        return encoder

    def state_dict(self) -> dict[str, Any]:
        """Return everything needed to go on after an interruption."""
        return {
            "encoder": self.encoder.state_dict(),
            "adversary": self._adversary.state_dict(),
            "best": self._best,
            "best_loss": self._best_loss,
            "best_epoch": self._best_epoch,
            "optimizer": self._optimizer.state_dict(),
            "n_done": self.n_done,
            "numpy": self._rng.bit_generator.state,
            "torch": self._torch_state,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what `state_dict` returned."""
        self.encoder.load_state_dict(state["encoder"])
        self._adversary.load_state_dict(state["adversary"])
        self._best = state["best"]
        self._best_loss, self._best_epoch = state["best_loss"], state["best_epoch"]
        self._optimizer.load_state_dict(state["optimizer"])
        self.n_done = state["n_done"]
        self._rng.bit_generator.state = state["numpy"]
        self._torch_state = state["torch"]

    def _train_epoch(self) -> dict[str, float]:
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
            self._optimizer.zero_grad(set_to_none=True)
            torch.autograd.backward(loss)
            torch.nn.utils.clip_grad_norm_(self.encoder.parameters(), 1.0)
            self._optimizer.step()
            rows.append({name: term.item() for name, term in terms.items()})
        names = {name for row in rows for name in row}
        return {
            f"train_{name}": float(np.mean([row[name] for row in rows if name in row]))
            for name in sorted(names)
        }

    def _terms(self, pairs: list[Pair], *, read_share: float) -> dict[str, Tensor]:
        """Return the terms of the loss on one minibatch."""
        config, encoder = self._config, self.encoder
        batch = self._data.rows([index for pair in pairs for index in (pair.first, pair.second)])
        features = voice = encoder.shown(batch.features)
        if encoder.shape.cut_voice_bar and config.voice_variety > 0:
            features = other_voices(
                features, batch.inside, share=config.voice_variety, bars=config.voice_bars
            )
        labels = batch.condition[:, :_LABELS].clone()
        noise = config.feature_noise * torch.randn(batch.features.shape)
        streams = encoder.streams(features + noise, batch.inside, voice=voice + noise)
        emotion = streams.emotion.mean(1)
        terms = {"emotion_loss": _naming_loss(encoder, emotion, labels)}
        condition = self._shown(batch.condition, emotion, read_share=read_share)
        n_frames = batch.features.shape[1]
        curves = encoder.regress(streams, condition, n_frames=n_frames)
        terms["loss"] = self._loss(curves, batch.curves, batch.inside)
        if config.adversary_coef > 0:
            terms["adversary_loss"] = self._adversary(streams, labels)
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
        order = np.argsort(longest + self._rng.random(len(pairs)) * 12, kind="stable")
        size = self._config.batch_utterances // 2
        batches = [order[begin : begin + size] for begin in range(0, len(order), size)]
        shuffled = self._rng.permutation(len(batches))
        return [[pairs[row] for row in batches[number]] for number in shuffled]

    def _set_rate(self, progress: float) -> None:
        """Set the learning rate: up along a cosine for three tenths of training, then down."""
        up = 0.3
        if progress < up:
            share = 0.04 + 0.96 * 0.5 * (1 - math.cos(math.pi * progress / up))
        else:
            share = 0.5 * (1 + math.cos(math.pi * (progress - up) / (1 - up)))
        for group in self._optimizer.param_groups:
            group["lr"] = self._config.learning_rate * share

    @torch.inference_mode()
    def _validate(self) -> dict[str, float]:
        self.encoder.eval()
        losses, hits, weights = [], [], []
        size = self._config.batch_utterances
        for begin in range(0, len(self._validation), size):
            batch = self._data.rows(self._validation[begin : begin + size].tolist())
            streams = self.encoder.streams(self.encoder.shown(batch.features), batch.inside)
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


class _Adversary(nn.Module):
    """Classifier of emotion on the pooled content of an utterance; its gradient is reversed."""

    def __init__(self, n_inputs: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(2 * n_inputs, 64), nn.GELU(), nn.Linear(64, len(EMOTIONS))
        )

    def forward(self, streams: Streams, labels: Tensor) -> Tensor:
        """Return the cross-entropy in nats; the streams are pushed to raise it."""
        inside, count = streams.inside[..., None], streams.inside.sum(1, keepdim=True)
        mean = (streams.content * inside).sum(1) / count  # (B, D)
        squared = ((streams.content - mean[:, None]) * inside).square().sum(1) / count
        pooled = torch.cat([mean, (squared + 1e-5).sqrt()], dim=-1)
        reversed_: Tensor = _Reversed.apply(pooled)  # type: ignore[no-untyped-call]  # by torch
        return functional.cross_entropy(self.layers(reversed_), labels[:, : len(EMOTIONS)])


class _Reversed(torch.autograd.Function):
    """The identity, whose gradient is turned round (Ganin et al. 2016)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        """Return `x`."""
        return x.view_as(x)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *outputs: Tensor) -> Tensor:
        """Return the negative gradient."""
        return -outputs[0]


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
