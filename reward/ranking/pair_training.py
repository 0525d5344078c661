"""Trainer of reward models on labelled pairs: ranks, scores, human preferences, or all.

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

from esarm_env.core.errors import InputError
from reward.chunks import ChunkBatch, make_chunks
from reward.nets.checks import check_net, net_for
from reward.pairs.from_ranks import crop_windows
from reward.ranking.network import RewardTransformer
from reward.ranking.settings import RewardConfig
from reward.resumable import ResumableTrainer
from reward.scoring import score_with

if TYPE_CHECKING:
    from esarm_env.core.types import IntArray
    from esarm_env.task.animation_task import AnimationTask
    from reward.nets.base import RewardNet
    from reward.pairs.labelled import LabelledPairs, PairSource


_USUAL = RewardConfig()
# Settings of `RewardConfig` that are the built-in model's, not those of training.
_OF_TRANSFORMER = ("n_layers", "n_heads", "width", "dropout", "pooling", "chunk_credit")


class PairTrainer(ResumableTrainer):
    """Trains a reward model on a `PairSource`, one pass over its pairs a call of `advance`.

    The model gives one score, so a pair that judges the mouth or the upper face alone counts as one
    of the whole face.
    """

    model: RewardNet

    def __init__(
        self,
        task: AnimationTask,
        *,
        train: PairSource,
        validation: PairSource | None = None,
        config: RewardConfig = _USUAL,
        seed: int,
        model: RewardNet | type[RewardNet] | None = None,
        batch_pairs: int | None = None,
    ) -> None:
        """Prepare to learn from `train`.

        Args:
            task: Gives speech.
            train: Animations and pairs.
            validation: Of other utterances; what accuracy is watched on.
            config: Settings, and the sizes of a `RewardTransformer`.
            seed: Fixes weights, order and crops; not the weights of a `model` that has them.
            model: What learns: a `RewardNet`, or a class of them, which is built for `task`; by
                default a `RewardTransformer` of the sizes in `config`.
            batch_pairs: Pairs per update; by default as many as `config.batch_utterances` says.

        Raises:
            ValueError: If `train` has no pair, `validation` has an utterance of it, or
                `batch_pairs` is below 1.
            InputError: If `model` cannot learn or score (see `reward.nets.checks`), or `config` has
                sizes of another model.
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
        if model is None:
            made: RewardNet = RewardTransformer.for_task(task, config=config)
        else:
            made = self._own(model)
        self._begin(
            made,
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

    def finish(self) -> RewardNet:
        """Standardise the score on the training animations, and return the model."""
        self.model.eval()
        given = self._train.utterance, self._train.motions
        scores = score_with([self.model], self._task, given[0], motions=given[1])[0]
        self.model.standardise(torch.from_numpy(scores))
        return self.model

    def _update(self, pairs: LabelledPairs) -> float:
        rows = np.concatenate([pairs.a, pairs.b])
        first, second = self.model.scores(self._crop(self._chunks(self.model, rows))).chunk(2)
        loss = functional.binary_cross_entropy_with_logits(
            first - second,
            torch.from_numpy(pairs.probability),
            weight=torch.from_numpy(pairs.weight),
        )
        if not torch.isfinite(loss):
            raise FloatingPointError(
                f"the loss of {type(self.model).__name__} is {loss.item()} in epoch "
                f"{self.n_done + 1}; a lower `learning_rate` may help"
            )
        return self._step(loss)

    def _own(self, model: RewardNet | type[RewardNet]) -> RewardNet:
        """Return a model of the caller's own, checked on the animations of the first pair."""
        given, usual = vars(self._config), vars(_USUAL)
        others = [name for name in _OF_TRANSFORMER if given[name] != usual[name]]
        if others:
            raise InputError(
                f"`config` must leave {', '.join(others)} as they are beside `model`, which has "
                f"sizes of its own, got {given[others[0]]!r}"
            )
        made = net_for(self._task, model)
        lengths = [len(motion) for motion in self._train.motions]
        rows = np.unique([np.argmin(lengths), np.argmax(lengths)])
        check_net(made, self._chunks(made, rows))
        return made

    def _chunks(self, net: RewardNet, rows: IntArray) -> ChunkBatch:
        """Return the animations in `rows` (B,) as `net` gets them when it scores."""
        utterances, motions = self._train.utterance[rows], [self._train.motions[i] for i in rows]
        if not net.needs_condition:
            return make_chunks(self._task, utterances, motions)
        condition = self._task.condition_of(utterances)
        return make_chunks(self._task, utterances, motions, condition=condition, cut=True)

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
        return ChunkBatch(take(batch.audio), take(batch.motion), count, batch.condition)


def _places(begin: IntArray, width: int, n_chunks: int) -> Tensor:
    """Return chunk numbers from each `begin` (B,) on, shape (B, width, 1)."""
    numbers = torch.from_numpy(begin[:, None] + np.arange(width))
    return numbers.clamp(max=n_chunks - 1)[..., None]
