"""Expected error of an animation: its mean distance from the policy's own samples, per chunk.

If the policy's samples are faces that the speech might have been spoken with, then the mean LVE
against them is the LVE to be expected against the recording that nobody has yet (minimum Bayes
risk). It is computed per chunk: a mean over frames says how good a sentence is, chunks say where.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from esarm_env.core.types import REGION_OF_STREAM
from esarm_env.metrics.region import region_of

if TYPE_CHECKING:
    from esarm_env.task.animation_task import AnimationTask

# Of each region, evenly spaced: what is compared is animations, not millimetres.
MOST_VERTICES = 96


class ExpectedErrors:
    """Expected LVE and EVE of any motion against samples of a policy.

    Attributes:
        measured: Shape (2,), bool: whether the corpus captured enough of the stream's region; where
            not, its errors are 0.
        planes: Displacements of the compared vertices of both regions, each (52, 3V), mm.
    """

    def __init__(self, task: AnimationTask, *, most_vertices: int | None = None) -> None:
        """Take the head, the captured channels and the chunks from `task`.

        Args:
            task: Whose motions are compared.
            most_vertices: Of each region that are compared; by default `MOST_VERTICES`.
        """
        most_vertices = most_vertices or MOST_VERTICES
        captured = task.corpus.captured
        regions = [region_of(task.head, name) for name in REGION_OF_STREAM.values()]
        self.measured = torch.tensor([region.measured(captured) for region in regions])
        self._step = task.tokenizer.frames_per_chunk
        self.planes: list[Tensor] = []
        for region in regions:
            every = -(-region.n_vertices // most_vertices)
            planes = torch.from_numpy(region.planes).view(len(captured), 3, -1)[:, :, ::every]
            planes = planes * torch.from_numpy(captured)[:, None, None]
            self.planes.append(planes.reshape(len(captured), -1).contiguous())  # (52, 3V)

    @torch.inference_mode()
    def between(self, motions: Tensor, others: Tensor, *, n_frames: int) -> Tensor:
        """Return each motion's error against each other one.

        Args:
            motions: Shape (M, T, 52), whole chunks.
            others: Shape (K, T, 52).
            n_frames: Frames that count, at most T.

        Returns:
            Shape (M, K, C, 2), mm, for lips and upper face: mean over the chunk's frames of the
            largest vertex distance.
        """
        errors = [
            self._chunk_means(_largest_distances(motions, others, planes), n_frames)
            for planes in self.planes
        ]
        return torch.stack(errors, dim=-1) * self.measured

    def of_samples(self, samples: Tensor, *, n_frames: int) -> Tensor:
        """Return the expected error of each sample against the others, shape (K, C, 2), mm.

        Raises:
            ValueError: If there are fewer than two samples.
        """
        if len(samples) < 2:
            raise ValueError(f"`samples` must hold at least 2 animations, got {len(samples)}")
        errors = self.between(samples, samples, n_frames=n_frames)  # 0 against itself
        return errors.sum(dim=1) / (len(samples) - 1)

    def of_motions(self, motions: Tensor, samples: Tensor, *, n_frames: int) -> Tensor:
        """Return the expected error of each motion (M, T, 52), shape (M, C, 2), mm."""
        return self.between(motions, samples, n_frames=n_frames).mean(dim=1)

    def _chunk_means(self, per_frame: Tensor, n_frames: int) -> Tensor:
        """Average (..., T) over the counted frames of each chunk, shape (..., C)."""
        counted = (torch.arange(per_frame.shape[-1]) < n_frames).float()
        sums = torch.unflatten(per_frame * counted, -1, (-1, self._step)).sum(-1)
        return sums / counted.view(-1, self._step).sum(-1).clamp(min=1)


def _largest_distances(motions: Tensor, others: Tensor, planes: Tensor) -> Tensor:
    """Return the largest vertex distance per frame, shape (M, K, T), mm."""
    first, second = motions @ planes, others @ planes  # (M, T, 3V), (K, T, 3V)
    n = planes.shape[1] // 3
    rows = []
    for motion in first:
        squares = (second - motion).square_()  # (K, T, 3V)
        distance = squares[..., :n] + squares[..., n : 2 * n] + squares[..., 2 * n :]
        rows.append(distance.amax(dim=-1).sqrt())
    return torch.stack(rows)
