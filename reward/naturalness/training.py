"""Trainer of the naturalness model: recordings against what policies write, until it is no better.

Recordings are told from each way of writing (greedy, by expected distance, sampled, of which
policy) at equal weight, chunk by chunk and animation by animation. What counts is the loss on
utterances that it does not learn from: the weights of the best epoch are taken.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from esarm_env.task.conditions import SPEAKER_START
from reward.naturalness.network import NaturalnessModel
from reward.resumable import ResumableTrainer

if TYPE_CHECKING:
    from esarm_env.core.types import IntArray
    from esarm_env.task.animation_task import AnimationTask
    from reward.naturalness.data import Drawn, NaturalnessData
    from reward.naturalness.settings import NaturalnessConfig

# Between two animations of an utterance, log-odds are worth this many times their mean over chunks:
# whole animations are told apart with more certainty than chunks.
STEEPNESS = 3.0
_WARM_UP_STEPS = 20
_SCORED_AT_ONCE = 64  # utterances
_LEAST_SPREAD = 0.02  # of a channel: those that never move are not blown up


class NaturalnessTrainer(ResumableTrainer):
    """Trains a `NaturalnessModel`, one epoch a call of `advance`.

    Attributes:
        best_epoch: The epoch with the least validation loss so far; 0 before the first.
    """

    model: NaturalnessModel

    def __init__(
        self,
        task: AnimationTask,
        *,
        train: NaturalnessData,
        validation: NaturalnessData,
        config: NaturalnessConfig,
        measured: Tensor,
        seed: int,
    ) -> None:
        """Prepare to learn from `train`, and to stop by `validation`.

        Args:
            task: Theirs.
            train: To learn from.
            validation: Other utterances; without any, the last epoch is taken.
            config: Sizes and settings.
            measured: Bool (S,), streams whose region the corpus captured; the others score 0.
            seed: Of weights, order and what is drawn.
        """
        torch.manual_seed(seed)
        self._config, self._train, self._validation = config, train, validation
        step = task.tokenizer.frames_per_chunk
        model = NaturalnessModel(
            config,
            audio_dim=task.features.dim * step,
            condition_dim=task.condition_dim,
            frames=step,
        )
        model.measured.copy_(measured)
        _standardise_inputs(model, train)
        self._begin(
            model,
            learning_rate=config.learning_rate,
            weight_decay=config.weight_decay,
            seed=seed,
        )
        self.best_epoch, self._least_loss = 0, float("inf")
        self._best = _copied(model)

    @property
    def n_total(self) -> int:
        """Epochs to train."""
        return self._config.epochs

    def advance(self) -> dict[str, float]:
        """Train one epoch; return its loss, that of validation, and shares of right order."""
        loss = self._epoch(
            self._update,
            n_rows=len(self._train),
            batch_rows=self._config.batch_utterances,
            n_epochs=self.n_total,
            warm_up_steps=_WARM_UP_STEPS,
        )
        row = {"loss": loss}
        if len(self._validation):
            row["validation_loss"] = validation_loss = held_out_loss(self.model, self._validation)
            row |= {
                f"validation_{name}": share
                for name, share in recordings_above(self.model, self._validation).items()
            }
        else:
            validation_loss = -float(self.n_done)  # the last epoch is the best
        if validation_loss < self._least_loss:
            self.best_epoch, self._least_loss = self.n_done, validation_loss
            self._best = _copied(self.model)
        return row

    def finish(self) -> NaturalnessModel:
        """Return the model of the best epoch; what is written scores 0 in the mean, recordings 1.

        On the validation utterances, if there are any: what was learned by heart is too far apart.
        """
        self.model.load_state_dict(self._best)
        self.model.eval()
        data = self._validation if len(self._validation) else self._train
        ways = [
            torch.cat(
                [scores[there] for scores, there in zip(means, data.present[name], strict=True)]
            )
            for name, animations in data.written.items()
            for means in [_means(self.model, data, animations)]
        ]
        self.model.standardise(
            written=torch.stack([way.mean(dim=0) for way in ways]),
            recorded=_means(self.model, data, (data.recorded,))[0],
        )
        return self.model

    def state_dict(self) -> dict[str, Any]:
        """Return everything needed to go on after an interruption."""
        best = {"epoch": self.best_epoch, "loss": self._least_loss, "model": self._best}
        return super().state_dict() | {"best": best}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what `state_dict` returned."""
        super().load_state_dict(state)
        best = state["best"]
        self.best_epoch, self._least_loss, self._best = best["epoch"], best["loss"], best["model"]

    def _update(self, rows: IntArray) -> float:
        drawn = self._train.draw(rows, self._rng)
        hidden = torch.from_numpy(self._rng.random(len(rows)) < self._config.hidden_speakers)
        condition = drawn.condition.clone()
        condition[hidden, SPEAKER_START:] = 0
        return self._step(naturalness_loss(self.model, drawn, condition))


def naturalness_loss(model: NaturalnessModel, drawn: Drawn, condition: Tensor) -> Tensor:
    """Return the loss, a scalar: chunks are told apart, and whole animations of one utterance.

    Args:
        model: Is learning, or not.
        drawn: The recording, and one animation of each way of writing.
        condition: Shape (B, D), which may hide the speaker.
    """
    n_each = drawn.motion.shape[1]
    flat = model.log_odds(
        drawn.audio.repeat_interleave(n_each, dim=0),
        condition.repeat_interleave(n_each, dim=0),
        drawn.motion.flatten(0, 1),
        drawn.n_chunks.repeat_interleave(n_each),
    )
    log_odds = torch.unflatten(flat, 0, (-1, n_each))  # (B, 1 + K, C, S)
    inside = torch.arange(log_odds.shape[2]) < drawn.n_chunks[:, None]
    counted = inside[:, None] * drawn.present[..., None]  # (B, 1 + K, C)
    recorded, written = log_odds[:, :1], log_odds[:, 1:]
    by_chunk = (
        _mean(functional.softplus(-recorded).mean(-1), counted[:, :1])
        + _mean(functional.softplus(written).mean(-1), counted[:, 1:])
    ) / 2  # fmt: skip
    means = log_odds.sum(dim=2) / drawn.n_chunks[:, None, None]  # (B, 1 + K, S)
    apart = functional.softplus(-STEEPNESS * (means[:, :1] - means[:, 1:])).mean(-1)
    return by_chunk + _mean(apart, drawn.present[:, 1:])


@torch.inference_mode()
def held_out_loss(model: NaturalnessModel, data: NaturalnessData) -> float:
    """Return the mean loss over utterances, of the same animations every time."""
    rng, losses = np.random.default_rng(0), []
    for begin in range(0, len(data), _SCORED_AT_ONCE):
        rows = np.arange(begin, min(begin + _SCORED_AT_ONCE, len(data)))
        drawn = data.draw(rows, rng)
        losses.append(len(rows) * naturalness_loss(model, drawn, drawn.condition).item())
    return sum(losses) / len(data)


def recordings_above(model: NaturalnessModel, data: NaturalnessData) -> dict[str, float]:
    """Return in which share of utterances the recording is above, by the way of writing.

    Args:
        model: In evaluation mode.
        data: Other utterances than it learned from, or the share says little.
    """
    truth = _means(model, data, (data.recorded,))[0].sum(-1)
    shares = {}
    for name, animations in data.written.items():
        above = [
            (truth > scores.sum(-1))[there]
            for scores, there in zip(
                _means(model, data, animations), data.present[name], strict=True
            )
        ]
        shares[f"above_{name}"] = float(torch.cat(above).double().mean())
    return shares


@torch.inference_mode()
def _means(
    model: NaturalnessModel, data: NaturalnessData, animations: tuple[Tensor, ...]
) -> list[Tensor]:
    """Return the mean log-odds of each tensor of animations, (N, S) each."""
    means = []
    for motion in animations:
        parts = [
            model.log_odds(data.audio[rows], data.condition[rows], motion[rows].float(),
                           data.n_chunks[rows]).sum(dim=1)
            for begin in range(0, len(data), _SCORED_AT_ONCE)
            for rows in [slice(begin, begin + _SCORED_AT_ONCE)]
        ]  # fmt: skip
        means.append(torch.cat(parts) / data.n_chunks[:, None])
    return means


def _mean(values: Tensor, counted: Tensor) -> Tensor:
    """Return the mean of `values` where `counted`, 0 where nothing is."""
    return (values * counted).sum() / counted.sum().clamp(min=1)


def _standardise_inputs(model: NaturalnessModel, data: NaturalnessData) -> None:
    """Let every value that goes in have mean 0 and spread 1 over the recordings."""
    motion = torch.unflatten(data.recorded[data.inside].float(), -1, (model.frames, -1)).flatten(
        0, 1
    )
    audio = torch.unflatten(data.audio[data.inside], -1, (model.frames, -1)).flatten(0, 1)
    model.motion_mean.copy_(motion.mean(dim=0))
    model.motion_spread.copy_(motion.std(dim=0) + _LEAST_SPREAD)
    model.audio_mean.copy_(audio.mean(dim=0))
    model.audio_spread.copy_(audio.std(dim=0) + 1e-3)


def _copied(model: NaturalnessModel) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in model.state_dict().items()}
