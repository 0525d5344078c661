"""Trainer of the reward network on ranked demonstrations: one utterance, one crop, all levels."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from esarm_env.core.training.replicas import part_of
from esarm_env.core.types import N_CHANNELS, FloatArray, IntArray
from reward.chunks import ChunkBatch, make_chunks
from reward.plugins.learned import LearnedReward
from reward.rank_measures import pair_accuracy, ranking_loss
from reward.ranking.network import RewardTransformer
from reward.resumable import ResumableTrainer

if TYPE_CHECKING:
    from esarm_env.task.animation_task import AnimationTask
    from reward.demonstrations import RankedDemonstrations
    from reward.pairs.labelled import PairSource
    from reward.ranking.settings import RewardConfig


class RewardTrainer(ResumableTrainer):
    """Trains a `RewardTransformer`, one epoch a call of `advance`."""

    model: RewardTransformer

    def __init__(
        self,
        task: AnimationTask,
        *,
        train: RankedDemonstrations,
        validation: RankedDemonstrations,
        config: RewardConfig,
        seed: int,
        judged: PairSource | None = None,
        judged_share: float = 0.5,
        judged_chance: float = 0.0,
    ) -> None:
        """Prepare to learn the order of `train`.

        Args:
            task: Gives speech.
            train: Demonstrations.
            validation: What accuracy is watched on.
            config: Sizes and settings.
            seed: Fixes weights, order and crops.
            judged: Pairs that raters judged, learned from beside the ranks; None for none.
            judged_share: Their share of the loss.
            judged_chance: Share of these answers that are taken to be chance.

        Raises:
            ValueError: If the demonstrations hold fewer than two noise levels.
        """
        if len(train.levels) < 2:
            raise ValueError(
                f"`train` must hold at least two noise levels, got {train.levels.tolist()}"
            )
        torch.manual_seed(seed)
        self._task, self._train, self._validation, self._config = task, train, validation, config
        self._judged, self._judged_share = judged, judged_share
        self._judged_chance = judged_chance
        self._motions = task.decode_chunks(train.trajectories)
        self._groups = _by_utterance_and_level(train)
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
        """Train one epoch; return its loss and the pair accuracy on the validation utterances."""
        self.model.train()
        order = self._rng.permutation(len(self._groups))
        size = self._config.batch_utterances
        losses = []
        for begin in range(0, len(order), size):
            progress = (self.n_done + begin / len(order)) / self.n_total
            self._set_learning_rate(progress)
            losses.append(self._update([self._groups[int(i)] for i in order[begin : begin + size]]))
        self.n_done += 1
        self.model.eval()
        row = {"loss": float(np.mean(losses))}
        if len(self._validation):
            row["validation_pair_accuracy"] = float(self.accuracy(self._validation).mean())
        return row

    def accuracy(self, demonstrations: RankedDemonstrations) -> FloatArray:
        """Return the pair accuracy of each utterance of `demonstrations`."""
        scores = LearnedReward(self._task, self.model).score(demonstrations.trajectories)
        utterances = demonstrations.trajectories.utterance
        return pair_accuracy(scores, demonstrations.epsilon, utterances)

    def finish(self) -> RewardTransformer:
        """Standardise the score on the least noisy demonstrations, and return the model."""
        ranks = np.where(self._train.roll_outs, self._train.making.rank, np.inf)
        best = self._train[ranks == ranks.min()]
        scores = LearnedReward(self._task, self.model).score(best.trajectories)
        self.model.standardise(torch.from_numpy(scores))
        return self.model.eval()

    def _update(self, groups: list[list[IntArray]]) -> float:
        """Step on one animation per level of each group's utterance."""
        rows = np.array([[self._rng.choice(level) for level in group] for group in groups])
        batch = self._crop(make_chunks(
            self._task,
            self._train.trajectories.utterance[rows.ravel()],
            [self._motions[row] for row in rows.ravel()],
        ), n_levels=rows.shape[1])  # fmt: skip
        part = part_of(len(rows))
        chosen = np.arange(rows.size).reshape(rows.shape)[part.rows]
        with part.drawn_as_whole():
            scores = self._scores(batch, chosen.ravel()).view(chosen.shape)
        ranks = torch.from_numpy(self._train.making.rank[rows[part.rows]])
        # Every utterance has as many pairs.
        loss = ranking_loss(scores, ranks) * part.scale(part.n_own, part.n_rows)
        if self._judged is not None:
            loss = torch.lerp(loss, self._judged_loss(self._judged), self._judged_share)
        return self._step(loss, part)

    def _scores(self, batch: ChunkBatch, rows: IntArray) -> Tensor:
        """Return the scores of some rows of `batch`."""
        scores: Tensor = self.model(batch.audio[rows], batch.motion[rows], batch.n_chunks[rows])
        return scores

    def _judged_loss(self, judged: PairSource) -> Tensor:
        """Return this process's share of the Bradley-Terry loss of pairs drawn by chance."""
        size = min(self._config.batch_utterances, len(judged.pairs))
        pairs = judged.pairs[self._rng.choice(len(judged.pairs), size=size, replace=False)]
        rows = np.concatenate([pairs.a, pairs.b])
        motions = [judged.motions[row] for row in rows]
        batch = make_chunks(self._task, judged.utterance[rows], motions)
        part = part_of(size)
        chosen = np.arange(len(rows)).reshape(2, size)[:, part.rows]
        with part.drawn_as_whole(blocks=2):
            first, second = self._scores(batch, chosen.ravel()).chunk(2)
        asked = pairs.probability * (1 - self._judged_chance) + self._judged_chance / 2
        loss = functional.binary_cross_entropy_with_logits(
            first - second,
            torch.from_numpy(asked.astype(np.float32))[part.rows],
            weight=torch.from_numpy(pairs.weight)[part.rows],
        )
        return loss * part.scale(part.n_own, size)

    def _crop(self, batch: ChunkBatch, *, n_levels: int) -> ChunkBatch:
        """Keep one random stretch per utterance, the same at every level."""
        shares = self._rng.uniform(self._config.shortest_crop, 1, len(batch.n_chunks) // n_levels)
        places = self._rng.random(len(shares))
        total = batch.n_chunks.numpy()
        kept = np.ceil(total * np.repeat(shares, n_levels)).astype(np.int64)
        first = np.floor((total - kept + 1) * np.repeat(places, n_levels)).astype(np.int64)
        index = torch.from_numpy(first[:, None] + np.arange(kept.max()))
        index = index.clamp(max=batch.audio.shape[1] - 1)[..., None]

        def take(values: Tensor) -> Tensor:
            return values.gather(1, index.expand(-1, -1, values.shape[2]))

        return ChunkBatch(take(batch.audio), take(batch.motion), torch.from_numpy(kept))


def _by_utterance_and_level(demonstrations: RankedDemonstrations) -> list[list[IntArray]]:
    """Return, per utterance and policy, the rows of each rank; those lacking one are left out.

    Raises:
        ValueError: If the policies have not the same number of ranks.
    """
    making, utterances = demonstrations.making, demonstrations.utterance
    groups = []
    for iteration in np.unique(making.iteration):
        of_policy = making.iteration == iteration
        levels = [of_policy & (making.rank == rank) for rank in np.unique(making.rank[of_policy])]
        for utterance in np.unique(utterances[of_policy]):
            rows = [np.flatnonzero(level & (utterances == utterance)) for level in levels]
            if all(len(level) for level in rows):
                groups.append(rows)
    counts = {len(group) for group in groups}
    if len(counts) > 1:
        raise ValueError(f"`train` must hold as many ranks of each policy, got {sorted(counts)}")
    return groups
