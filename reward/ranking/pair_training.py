"""Trainer of the reward network on labelled pairs: ranks, scores, human preferences, or all.

`RankedPairs` gives pairs of ranks, `pairs_of_scores` of numbers, `open_preferences` of human
choices; `PairSource.joined` puts them together. The loss is Eq. 1 with soft labels.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from esarm_env.core.types import N_CHANNELS, IntArray
from reward.chunks import ChunkBatch, make_chunks
from reward.pairs.from_ranks import crop_windows
from reward.ranking.network import RewardConfig, RewardTransformer
from reward.resumable import ResumableTrainer
from reward.scoring import score_with

if TYPE_CHECKING:
    from esarm_env.task.animation_task import AnimationTask
    from reward.pairs.labelled import LabelledPairs, PairSource


class PairTrainer(ResumableTrainer):
    """Trains a `RewardTransformer` on a `PairSource`, one pass over its pairs a call of `advance`.

    The model gives one score, so a pair that judges the mouth or the upper face alone counts as one
    of the whole face.
    """

    model: RewardTransformer

    def __init__(
        self,
        task: AnimationTask,
        *,
        train: PairSource,
        validation: PairSource | None = None,
        config: RewardConfig,
        seed: int,
        batch_pairs: int | None = None,
    ) -> None:
        """Prepare to learn from `train`.

        Args:
            task: Gives speech.
            train: Animations and pairs.
            validation: Of other utterances; what accuracy is watched on.
            config: Sizes and settings.
            seed: Fixes weights, order and crops.
            batch_pairs: Pairs per update; by default as many as `config.batch_utterances` says.

        Raises:
            ValueError: If `train` has no pair, `validation` has an utterance of it, or
                `batch_pairs` is below 1.
        """
        if batch_pairs is not None and batch_pairs < 1:
            raise ValueError(f"`batch_pairs` must be at least 1, got {batch_pairs}")
        if len(train.pairs) == 0:
            raise ValueError("`train` must have at least one pair, got none")
        if validation is not None:
            shared = np.intersect1d(train.utterance, validation.utterance)
            if len(shared):
                raise ValueError(
                    "`validation` must have other utterances than `train`, got "
                    f"{shared.tolist()[:8]} in both"
                )
        self._task, self._train, self._validation = task, train, validation
        self._config = config
        self._batch_pairs = config.batch_utterances if batch_pairs is None else batch_pairs
        torch.manual_seed(seed)
        step = task.tokenizer.frames_per_chunk
        model = RewardTransformer(
            config, audio_dim=task.features.dim * step, motion_dim=N_CHANNELS * step
        )
        self._begin(
            model,
            learning_rate=config.learning_rate,
            weight_decay=config.weight_decay,
            seed=seed,
        )

    @property
    def n_total(self) -> int:
        """Epochs to train."""
        return self._config.epochs

    def advance(self) -> dict[str, float]:
        """Train one epoch; return its loss and, where there is validation, its accuracy there."""
        self.model.train()
        order = self._rng.permutation(len(self._train.pairs))
        size, losses = self._batch_pairs, []
        for begin in range(0, len(order), size):
            progress = (self.n_done + begin / len(order)) / self.n_total
            self._set_learning_rate(progress)
            losses.append(self._update(self._train.pairs[order[begin : begin + size]]))
        self.n_done += 1
        self.model.eval()
        row = {"loss": float(np.mean(losses))}
        if self._validation is not None:
            row["validation_accuracy"] = self.accuracy(self._validation)
        return row

    def accuracy(self, source: PairSource) -> float:
        """Return the weighted share of decided pairs whose better one scores more; ties half."""
        scores = score_with([self.model], self._task, source.utterance, motions=source.motions)[0]
        pairs = source.pairs[source.pairs.probability != 0.5]
        margin = np.where(pairs.probability > 0.5, 1, -1) * (scores[pairs.a] - scores[pairs.b])
        right = (margin > 0) + 0.5 * (margin == 0)
        return float(np.average(right, weights=pairs.weight)) if len(pairs) else math.nan

    def finish(self) -> RewardTransformer:
        """Standardise the score on the training animations, and return the model."""
        self.model.eval()
        given = self._train.utterance, self._train.motions
        scores = score_with([self.model], self._task, given[0], motions=given[1])[0]
        self.model.standardise(torch.from_numpy(scores))
        return self.model

    def _update(self, pairs: LabelledPairs) -> float:
        rows = np.concatenate([pairs.a, pairs.b])
        motions = [self._train.motions[row] for row in rows]
        batch = self._crop(make_chunks(self._task, self._train.utterance[rows], motions))
        first, second = self.model(batch.audio, batch.motion, batch.n_chunks).chunk(2)
        loss = functional.binary_cross_entropy_with_logits(
            first - second,
            torch.from_numpy(pairs.probability),
            weight=torch.from_numpy(pairs.weight),
        )
        return self._step(loss)

    def _crop(self, batch: ChunkBatch) -> ChunkBatch:
        """Keep one random stretch per pair, the same of both of its animations."""
        first, second = np.split(batch.n_chunks.numpy(), 2)
        begin, kept = crop_windows(
            first, second, shortest_share=self._config.shortest_crop, rng=self._rng
        )
        places = _places(np.tile(begin, 2), int(kept.max()), batch.audio.shape[1])

        def take(values: Tensor) -> Tensor:
            return values.gather(1, places.expand(-1, -1, values.shape[2]))

        count = torch.from_numpy(np.tile(kept, 2))
        return ChunkBatch(take(batch.audio), take(batch.motion), count)


def _places(begin: IntArray, width: int, n_chunks: int) -> Tensor:
    """Return chunk numbers from each `begin` (B,) on, shape (B, width, 1)."""
    numbers = torch.from_numpy(begin[:, None] + np.arange(width))
    return numbers.clamp(max=n_chunks - 1)[..., None]
