"""Training data of the naturalness model: tokenized recordings, and what policies wrote.

A raw recording is told from anything decoded by detail that no token can say. So recordings are
encoded and decoded first: what is left to learn is what a policy could have written and did not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from esarm_env.core.errors import InputError
from reward.chunks import make_chunks

if TYPE_CHECKING:
    from esarm_env.core.types import IntArray, Trajectories
    from esarm_env.task.animation_task import AnimationTask


@dataclass(frozen=True)
class Drawn:
    """For each of some utterances the recording and one animation of each way of writing.

    Attributes:
        audio: Shape (B, C, A).
        condition: Shape (B, D).
        n_chunks: Shape (B,).
        motion: Shape (B, 1 + K, C, F * 52), the recording first.
        present: Shape (B, 1 + K), bool.
    """

    audio: Tensor
    condition: Tensor
    n_chunks: Tensor
    motion: Tensor
    present: Tensor


@dataclass(frozen=True)
class NaturalnessData:
    """N utterances with their recordings and animations.

    Attributes:
        utterances: Shape (N,).
        audio: Shape (N, C, A), 0 past the end.
        condition: Shape (N, D).
        n_chunks: Shape (N,).
        recorded: Recordings through the tokenizer, shape (N, C, F * 52), float16.
        written: A tensor like `recorded` for each animation, by the way it was written (greedily,
            sampled, by which policy).
        present: Bool (N,) for each tensor of `written`: whether the utterance has that animation.
    """

    utterances: IntArray
    audio: Tensor
    condition: Tensor
    n_chunks: Tensor
    recorded: Tensor
    written: dict[str, tuple[Tensor, ...]]
    present: dict[str, tuple[Tensor, ...]]

    def __len__(self) -> int:
        """Return the number of utterances."""
        return len(self.utterances)

    @property
    def inside(self) -> Tensor:
        """Shape (N, C), bool, chunks that are not padding."""
        return torch.arange(self.audio.shape[1]) < self.n_chunks[:, None]

    def draw(self, rows: IntArray, rng: np.random.Generator) -> Drawn:
        """Return one animation of each way for some `rows`, chosen at random where it has more."""
        width = int(self.n_chunks[rows].max())
        motion, present = [self.recorded[rows, :width]], [torch.ones(len(rows), dtype=torch.bool)]
        for name, animations in self.written.items():
            number = int(rng.integers(len(animations)))
            motion.append(animations[number][rows, :width])
            present.append(self.present[name][number][rows])
        return Drawn(
            self.audio[rows, :width],
            self.condition[rows],
            self.n_chunks[rows],
            motion=torch.stack(motion, dim=1).float(),
            present=torch.stack(present, dim=1),
        )


def collect_naturalness(
    task: AnimationTask, utterances: IntArray, written: Mapping[str, Sequence[Trajectories]]
) -> NaturalnessData:
    """Decode recordings and animations of `utterances`.

    Args:
        task: Gives speech, recordings and the tokenizer.
        utterances: Shape (N,), different ones.
        written: Animations by the way they were written, such as `greedy` and `sampled`: one
            `Trajectories` or more of each, of these utterances or some of them, each at most once.
            Several of one way are taken in turn; ways weigh alike.

    Raises:
        InputError: If nothing is written, or it is of other utterances or of one of them twice.
    """
    if not written or not all(written.values()):
        empty = [name for name, parts in written.items() if not parts]
        raise InputError(
            "`written` must hold animations to tell recordings from, got none"
            + (f" for {', '.join(empty)}" if empty else "")
        )
    recorded = task.recorded(utterances)
    n_chunks = torch.from_numpy(recorded.lengths // task.tokens_per_chunk)
    condition, width = task.condition_of(utterances), int(n_chunks.max())
    motion: dict[str, tuple[Tensor, ...]] = {}
    present: dict[str, tuple[Tensor, ...]] = {}
    for name, parts in written.items():
        placed = [_placed(task, utterances, part, width, name=name) for part in parts]
        motion[name] = tuple(animations for animations, _ in placed)
        present[name] = tuple(there for _, there in placed)
    truth, _ = _placed(task, utterances, recorded, width, name="recorded")
    return NaturalnessData(
        utterances,
        torch.from_numpy(task.audio_chunks(utterances)),
        torch.from_numpy(condition),
        n_chunks,
        recorded=truth,
        written=motion,
        present=present,
    )


def with_animations(
    data: NaturalnessData, name: str, motion: Tensor, present: Tensor
) -> NaturalnessData:
    """Return `data` with another way of writing, decoded already.

    Args:
        data: Of N utterances.
        name: Of the way.
        motion: K animations of each, shape (N, K, C, F * 52), with the chunks of `data.recorded`.
        present: Shape (N, K), bool.
    """
    return replace(
        data,
        written={**data.written, name: motion.unbind(1)},
        present={**data.present, name: present.unbind(1)},
    )


def _placed(
    task: AnimationTask, utterances: IntArray, part: Trajectories, width: int, *, name: str
) -> tuple[Tensor, Tensor]:
    """Return decoded motion in the rows of `utterances`, (N, C, F * 52), and which are there."""
    place = {int(utterance): row for row, utterance in enumerate(utterances)}
    found = [int(utterance) for utterance in part.utterance]
    if len(set(found)) < len(found) or not place.keys() >= set(found):
        raise InputError(
            f"`written[{name!r}]` must hold each of `utterances` at most once and no other, got "
            f"{len(found)} animations of {len(set(found))} utterances, "
            f"{len(set(found) - place.keys())} of them others"
        )
    batch = make_chunks(task, part.utterance, task.decode_chunks(part), cut=True)
    rows = torch.tensor([place[utterance] for utterance in found])
    motion = torch.zeros(len(utterances), width, batch.motion.shape[-1], dtype=torch.float16)
    motion[rows, : batch.motion.shape[1]] = batch.motion.half()
    present = torch.zeros(len(utterances), dtype=torch.bool)
    present[rows] = True
    return motion, present
