"""Trainer of the paper's rivals: one loop, one measure and the same augmentation for all.

Utterances come in pairs of one speaker and sentence where a corpus has such, as our speech encoder
gets them; most rivals take no notice of it. A rival of several stages trains them one after the
other, each from the best weights of the one before, and each stops early by itself.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from esarm_env.core.errors import InputError
from esarm_env.core.training.epochs import EpochTrainer
from esarm_env.core.training.minibatches import (
    batches_of_like_length,
    means_of_terms,
    one_cycle,
    step_down,
)
from esarm_env.core.training.ranges import ABOVE_0, AT_LEAST_2, SHARE, check_ranges, ranges

if TYPE_CHECKING:
    from agents.baselines.rivals.base import Rival, RivalBatch
    from agents.baselines.rivals.data import Couple, RivalData

_VALIDATION_ROWS = 50  # utterances that are animated together


@ranges(batch_utterances=AT_LEAST_2, learning_rate=ABOVE_0, speaker_dropout=SHARE)
@dataclass(frozen=True)
class RivalSettings:
    """Settings of a rival's training, the same for all rivals.

    Attributes:
        epochs: At most this many passes over the training utterances, in each stage.
        patience: A stage stops after this many epochs without a better validation loss.
        learning_rate: Highest value of a one-cycle rate (Smith 2018).
        batch_utterances: Utterances per update, even.
        width: Of the network's layers, a multiple of 16.
        weight_decay: Of AdamW.
        speaker_dropout: How often the speaker is hidden, so that "unknown" means "average": test
            speakers are unknown.
        feature_noise: Spread of the noise added to audio features.
    """

    epochs: int = 8
    patience: int = 4
    learning_rate: float = 1e-3
    batch_utterances: int = 8
    width: int = 128
    weight_decay: float = 0.05
    speaker_dropout: float = 0.2
    feature_noise: float = 0.1

    def check(self) -> None:
        """Check the ranges of all settings.

        Raises:
            InputError: If one is out of its range.
        """
        check_ranges(self)
        if self.batch_utterances % 2:
            raise InputError(
                f"`batch_utterances` must be even (pairs), got {self.batch_utterances}"
            )
        if self.width % 16:
            raise InputError(f"`width` must be a multiple of 16, got {self.width}")


class RivalTrainer(EpochTrainer):
    """Trains a rival, one epoch a call of `advance`; resumes bit for bit.

    Losses are in mm wherever they are of curves.

    Attributes:
        stage: The one that is being trained, from 0.
    """

    def __init__(
        self,
        build: Callable[[], Rival],
        data: RivalData,
        *,
        parts: tuple[str, ...],
        settings: RivalSettings,
        seed: int,
    ) -> None:
        """Build an untrained rival.

        Args:
            build: Makes the rival, with the trainer's random numbers.
            data: Utterances.
            parts: Of a condition that the rival sees.
            settings: Settings.
            seed: Fixes weights, order and noise.

        Raises:
            InputError: If a split is empty, or a setting is out of its range.
        """
        settings.check()
        super().__init__(seed=seed, epochs=settings.epochs, patience=settings.patience)
        for name, part in (("train", data.train), ("validation", data.validation)):
            if len(part) == 0:
                raise InputError(f"`{name}` must hold at least one utterance, got none")
        self._data, self._parts, self._settings = data, parts, settings
        with self.own_randomness():
            self.rival = build()
        self._enter(0)

    def _enter(self, stage: int) -> None:
        """Begin a stage from the weights that there are."""
        self.stage, self._begun = stage, self.n_done
        self._best_loss, self._best_epoch = math.inf, self.n_done
        learnt = self.rival.begin_stage(stage)
        self.rival.requires_grad_(False)
        for weight in learnt:
            weight.requires_grad_(True)
        optimizer = torch.optim.AdamW(
            learnt,
            lr=self._settings.learning_rate,
            weight_decay=self._settings.weight_decay,
            fused=True,
        )
        self.begin(optimizer, rival=self.rival)

    @property
    def _stage_end(self) -> int:
        """Epochs to the end of this stage; shrinks when patience is spent."""
        spent = self.n_done - self._best_epoch >= self._patience
        return self.n_done if spent else self._begun + self._epochs

    @property
    def n_total(self) -> int:
        """Epochs to the end of the last stage."""
        return self._stage_end + (self.rival.stages - 1 - self.stage) * self._epochs

    def advance(self) -> dict[str, float]:
        """Train one epoch; return its figures, with the number of the stage."""
        if self.n_done >= self._stage_end and self.stage < self.rival.stages - 1:
            self.rival.load_state_dict(self.best_weights)
            self._enter(self.stage + 1)
        return {"stage": float(self.stage), **super().advance()}

    def finish(self) -> Rival:
        """Return the rival with its best weights, ready to animate."""
        self.rival.load_state_dict(self.best_weights)
        return self.rival.requires_grad_(False).eval()

    def state_dict(self) -> dict[str, Any]:
        """Return everything needed to go on after an interruption."""
        return super().state_dict() | {"stage": self.stage, "begun": self._begun}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state_dict` returned.

        Raises:
            ValueError: As of `EpochTrainer`, or if there is no such stage.
        """
        stage, begun = state["stage"], state["begun"]
        if stage not in range(self.rival.stages) or begun not in range(state["n_done"] + 1):
            raise ValueError(f"`stage` and `begun` must be counts, got {stage!r} and {begun!r}")
        self._enter(int(stage))
        super().load_state_dict(state)
        self._begun = int(begun)

    def train_epoch(self) -> dict[str, float]:
        """Train on every pair of utterances once; return the terms of the loss."""
        self.rival.train()
        batches = self._batches()
        rows = []
        for number, couples in enumerate(batches):
            done = self.n_done - self._begun + number / len(batches)
            self._set_rate(done / self._epochs)
            terms = self.rival.losses(self._heard(couples), self.stage)
            loss = torch.stack(list(terms.values())).sum()
            if not math.isfinite(loss.item()):
                raise InputError(
                    f"loss must be finite, got {loss.item()} in epoch {self.n_done + 1}: audio "
                    "features or motion hold NaN, or `learning_rate` is too high"
                )
            step_down(self._optimizer, loss)
            rows.append({name: term.item() for name, term in terms.items()})
        return means_of_terms(rows)

    def _heard(self, couples: Sequence[Couple]) -> RivalBatch:
        """Return pairs as a minibatch, with noise on what is heard and some speakers hidden."""
        settings = self._settings
        members = [index for couple in couples for index in (couple.first, couple.second)]
        batch = self._data.batch(members, self._parts, speaker_dropout=settings.speaker_dropout)
        noise = settings.feature_noise * torch.randn(batch.features.shape)
        return batch._replace(
            features=batch.features + noise * batch.inside[..., None],
            parallel=self._data.parallel(couples, batch.features.shape[1]),
        )

    def _batches(self) -> list[list[Couple]]:
        """Return the pairs of an epoch, those of like length together, batches in random order."""
        couples = self._data.couples(self._rng)
        longest = [max(len(self._data.curves[i]) for i in couple[:2]) for couple in couples]
        batches = batches_of_like_length(longest, self._settings.batch_utterances // 2, self._rng)
        return [[couples[row] for row in rows] for rows in batches]

    def _set_rate(self, progress: float) -> None:
        for group in self._optimizer.param_groups:
            group["lr"] = self._settings.learning_rate * one_cycle(progress)

    @torch.no_grad()
    def validate(self) -> dict[str, float]:
        """Return the loss of what it animates; of stages before the last, the stage's own loss.

        Whatever is drawn, is drawn alike after each epoch.
        """
        self.rival.eval()
        losses, weights = [], []
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self._seed)
            for batch in self._validation_batches():
                losses.append(self._validation_loss(batch).item())
                weights.append(int(batch.inside.sum()))
        return {"validation_loss": float(np.average(losses, weights=weights))}

    def _validation_loss(self, batch: RivalBatch) -> Tensor:
        if self.stage < self.rival.stages - 1:
            return torch.stack(list(self.rival.losses(batch, self.stage).values())).sum()
        curves = self.rival.generate(batch.features, batch.condition, batch.inside)
        return self._data.loss(curves, batch.curves, batch.inside)

    def _validation_batches(self) -> Iterator[RivalBatch]:
        data = self._data
        order = sorted(data.validation.tolist(), key=lambda index: len(data.curves[index]))
        for begin in range(0, len(order), _VALIDATION_ROWS):
            yield data.batch(order[begin : begin + _VALIDATION_ROWS], self._parts)
