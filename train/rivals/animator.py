"""Animator by a trained rival: curves of a task's utterances, in batches."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from agents.baselines.rivals.base import see
from train.rivals.data import PlainFeatures, condition_slices

if TYPE_CHECKING:
    from agents.baselines.rivals.base import Rival
    from esarm_env.core.types import FloatArray, IntArray
    from esarm_env.task.animation_task import AnimationTask

_ROWS = 50  # animated together


class RivalAnimator:
    """Animates utterances of a task by a rival, from audio features and recorded conditions.

    Attributes:
        rival: The network.
        parts: Of a condition that it sees.
        n_parameters: Of the network.
        samples: Whether two calls with two values of `sample` give two animations.
    """

    def __init__(self, rival: Rival, task: AnimationTask, *, parts: tuple[str, ...]) -> None:
        """Let a trained rival animate utterances of `task`."""
        self.rival, self.parts, self._task = rival, parts, task
        self.n_parameters = sum(weight.numel() for weight in rival.parameters())
        self.samples = rival.samples
        self._features, self._slices = PlainFeatures(task), condition_slices(task)

    def animate_many(
        self, utterances: IntArray, *, conditions: FloatArray | None = None, sample: int = 0
    ) -> list[FloatArray]:
        """Return the motion of utterances, (T, 52) each, in [0, 1] at 30 fps.

        Args:
            utterances: Shape (N,), indices.
            conditions: Shape (N, K), whole conditions, of which it sees its parts; by default the
                recorded ones. A speaker whom training did not hear is all zeros.
            sample: Of rivals that draw: equal numbers give equal animations.
        """
        if conditions is None:
            conditions = self._task.condition_of(utterances)
        # Rows of like length together: autoregressive ones take as many passes as the longest.
        order = sorted(range(len(utterances)), key=lambda row: self._length(int(utterances[row])))
        motions: dict[int, FloatArray] = {}
        with torch.inference_mode(), torch.random.fork_rng(devices=[]):
            torch.manual_seed(sample)
            for begin in range(0, len(order), _ROWS):
                rows = order[begin : begin + _ROWS]
                found = self._animate([int(utterances[row]) for row in rows], conditions[rows])
                motions |= dict(zip(rows, found, strict=True))
        return [motions[row] for row in range(len(utterances))]

    def _length(self, utterance: int) -> int:
        return int(self._task.n_frames[utterance])

    def _animate(self, utterances: list[int], conditions: FloatArray) -> list[FloatArray]:
        rows = [torch.from_numpy(self._features[index].copy()) for index in utterances]
        features = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)
        lengths = [len(row) for row in rows]
        inside = torch.arange(features.shape[1]) < torch.tensor(lengths)[:, None]
        shown = see(torch.from_numpy(conditions), self.parts, self._slices)
        curves = self.rival.generate(features, shown, inside).numpy()
        return [motion[:length].copy() for motion, length in zip(curves, lengths, strict=True)]
