"""The ceiling: the same network, taught the true error of the policy's samples.

It needs the recordings, so it is no reward model; it bounds what any model could know from the same
inputs, and stands beside the reward in the report.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from esarm_env.task import AnimationTask
from esarm_env.types import N_CHANNELS
from reward.consensus.data import Animations, ConsensusData
from reward.consensus.errors import ExpectedErrors


def with_true_errors(task: AnimationTask, data: ConsensusData) -> ConsensusData:
    """Return `data` with the true LVE and EVE of every chunk in place of the expected ones.

    Args:
        task: Theirs.
        data: From `collect_consensus`; its recordings are the truth.
    """
    errors = ExpectedErrors(task)
    truth = data.recorded.motion[:, :1]  # (N, 1, C, F * 52)

    def against_truth(animations: Animations) -> Animations:
        if animations.motion.shape[1] == 0:
            return animations
        rows = [
            errors.between(
                _frames(animations.motion[row]),
                _frames(truth[row]),
                n_frames=int(task.n_frames[utterance]),
            )[:, 0]
            for row, utterance in enumerate(data.utterances)
        ]
        return replace(animations, errors=torch.stack(rows))

    return replace(
        data,
        samples=against_truth(data.samples),
        recorded=against_truth(data.recorded),
        others=against_truth(data.others),
    )


def _frames(motion: Tensor) -> Tensor:
    """Return motion in chunks (K, C, F * 52) as frames (K, T, 52)."""
    return motion.float().reshape(len(motion), -1, N_CHANNELS)
