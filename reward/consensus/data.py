"""Training data of the consensus reward: animations with their expected error.

Samples of the policy (the band in which reinforcement learning moves), the recording, noisy
roll-outs, and damaged samples. Recordings serve as demonstrations; no true error is computed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from esarm_env.core.errors import InputError
from esarm_env.core.seeds import FirstSample
from esarm_env.core.types import N_CHANNELS, FloatArray, IntArray
from reward.consensus.errors import ExpectedErrors
from reward.demonstrations import (
    RECONSTRUCTION,
    RECORDING,
    RankedDemonstrations,
    RollOut,
    collect,
    damaged,
    ground_truth,
    motions_of,
)
from reward.demonstrations.corruptions import Donors, family_named

if TYPE_CHECKING:
    from esarm_env.task.animation_task import AnimationTask
    from reward.consensus.settings import ConsensusConfig

_BLOCK = 64  # utterances whose motion is held in full precision at a time


@dataclass(frozen=True)
class Animations:
    """K animations of each of N utterances.

    Attributes:
        motion: Shape (N, K, C, F * 52), float16; the last frame that counts fills up the end.
        errors: Expected error per chunk, shape (N, K, C, 2), mm.
        noise: Shape (N, K), the noise level of a roll-out; nan for all else.
        present: Shape (N, K), bool; False where an utterance has fewer.
    """

    motion: Tensor
    errors: Tensor
    noise: Tensor
    present: Tensor

    def __getitem__(self, utterances: IntArray) -> Animations:
        """Return those of some utterances."""
        chosen = torch.from_numpy(np.asarray(utterances))
        return Animations(*(getattr(self, field.name)[chosen] for field in fields(self)))


@dataclass(frozen=True)
class ConsensusData:
    """Everything that is learned from, by utterance.

    Attributes:
        utterances: Shape (N,).
        n_chunks: Shape (N,).
        audio: Shape (N, C, A).
        condition: Shape (N, D).
        samples: Of the policy.
        recorded: Ground truth: the recording, and the recording through the tokenizer.
        others: Noisy roll-outs and damaged samples.
    """

    utterances: IntArray
    n_chunks: Tensor
    audio: Tensor
    condition: Tensor
    samples: Animations
    recorded: Animations
    others: Animations

    def __len__(self) -> int:
        """Return the number of utterances."""
        return len(self.utterances)


def collect_consensus(
    task: AnimationTask,
    roll_out: RollOut,
    utterances: IntArray,
    *,
    levels: RankedDemonstrations | None,
    config: ConsensusConfig,
    seed: int,
    after_sample: Callable[[], None] | None = None,
) -> ConsensusData:
    """Draw samples of a policy, damage some, and work out what error it expects of each.

    Args:
        task: Gives speech, recordings and the head.
        roll_out: The policy.
        utterances: Shape (N,), different ones.
        levels: Noisy roll-outs of (some of) them; None for none.
        config: How many of what.
        seed: Of all random choices.
        after_sample: Called after each of `config.samples` rounds of samples.

    Raises:
        InputError: If fewer than two samples are asked for, or a family is unknown.
    """
    if config.samples < 2:
        raise InputError(f"`consensus.samples` must be at least 2, got {config.samples}")
    samples = collect(
        roll_out,
        task,
        utterances,
        epsilons=(0.0,),
        rollouts=config.samples,
        seed=seed,
        temperature=1.0,
        first_sample=FirstSample.CONSENSUS,
        after_level=after_sample,
    )
    recorded = task.recorded(utterances)
    truth = [ground_truth(recorded, origin=origin) for origin in (RECORDING, RECONSTRUCTION)]
    others = [] if levels is None else [levels[np.isin(levels.utterance, utterances)]]
    families = _possible_families(config.families, task, utterances) if config.damages else ()
    if families:
        made = damaged(
            samples,
            task,
            families=families,
            strengths=config.strengths,
            seed=seed,
            rows=samples.making.sample == FirstSample.CONSENSUS,
            families_per_row=min(config.damages, len(families)),
            roll_out=roll_out,
            own_donors=True,
        )
        others.append(made)
    return _labelled(
        task,
        utterances,
        samples=samples,
        recorded=RankedDemonstrations.concatenate(truth),
        others=RankedDemonstrations.concatenate(others) if others else samples[:0],
    )


def _possible_families(
    families: tuple[str, ...], task: AnimationTask, utterances: IntArray
) -> tuple[str, ...]:
    """Leave out families that need another emotion (say) in a corpus that has but one."""
    donors = Donors(task)

    def possible(name: str) -> bool:
        kind = family_named(name).donor
        return not kind or any(donors.has(kind, int(utterance)) for utterance in utterances)

    return tuple(name for name in families if possible(name))


def _labelled(
    task: AnimationTask,
    utterances: IntArray,
    *,
    samples: RankedDemonstrations,
    recorded: RankedDemonstrations,
    others: RankedDemonstrations,
) -> ConsensusData:
    """Decode everything, block by block, with the expected errors."""
    n_chunks = task.lengths[utterances] // task.tokens_per_chunk
    errors, donors = ExpectedErrors(task), Donors(task)
    rows = [_rows_of(part, utterances) for part in (samples, recorded, others)]
    parts = [
        _empty(part, row, width=int(n_chunks.max()), step=task.tokenizer.frames_per_chunk)
        for part, row in zip((samples, recorded, others), rows, strict=True)
    ]
    for begin in range(0, len(utterances), _BLOCK):
        block = range(begin, min(begin + _BLOCK, len(utterances)))
        motions = [
            _motions(part, [row[i] for i in block], task, donors)
            for part, row in zip((samples, recorded, others), rows, strict=True)
        ]
        for number, i in enumerate(block):
            mine = [group[number] for group in motions]
            _fill(parts, i, mine, errors, n_frames=int(task.n_frames[utterances[i]]))
    return ConsensusData(
        utterances,
        torch.from_numpy(n_chunks),
        torch.from_numpy(task.audio_chunks(utterances)),
        torch.from_numpy(task.condition_of(utterances)),
        *parts,
    )


def _rows_of(part: RankedDemonstrations, utterances: IntArray) -> list[IntArray]:
    """Return the rows of each utterance."""
    order = np.argsort(part.utterance, kind="stable")
    known = part.utterance[order]
    begin = np.searchsorted(known, utterances, side="left")
    end = np.searchsorted(known, utterances, side="right")
    return [order[a:b] for a, b in zip(begin, end, strict=True)]


def _empty(
    part: RankedDemonstrations, rows: list[IntArray], *, width: int, step: int
) -> Animations:
    n, most = len(rows), max((len(row) for row in rows), default=0)
    noise, present = np.full((n, most), np.nan, np.float32), np.zeros((n, most), np.bool_)
    for i, row in enumerate(rows):
        present[i, : len(row)] = True
        plain = part.roll_outs[row] & (part.making.temperature[row] == 0)
        noise[i, : len(row)] = np.where(plain, part.epsilon[row], np.nan)
    return Animations(
        torch.zeros(n, most, width, step * N_CHANNELS, dtype=torch.float16),
        torch.zeros(n, most, width, 2),
        torch.from_numpy(noise),
        torch.from_numpy(present),
    )


def _motions(
    part: RankedDemonstrations, rows: list[IntArray], task: AnimationTask, donors: Donors
) -> list[list[FloatArray]]:
    """Return the motions of each list of rows, each (T, 52)."""
    flat = np.concatenate(rows).astype(np.int64)
    motions = motions_of(part[flat], task, donors=donors) if len(flat) else []
    ends = np.cumsum([len(row) for row in rows])
    return [motions[end - len(row) : end] for end, row in zip(ends, rows, strict=True)]


def _fill(
    parts: list[Animations],
    i: int,
    motions: list[list[FloatArray]],
    errors: ExpectedErrors,
    *,
    n_frames: int,
) -> None:
    """Write utterance `i`: motion in chunks, and the expected errors against its samples."""
    step = parts[0].motion.shape[-1] // N_CHANNELS
    whole = -(-n_frames // step) * step
    samples = _stacked(motions[0], whole)  # (K, T, 52)
    for part, mine in zip(parts, motions, strict=True):
        if not mine:
            continue
        shown = _stacked(mine, whole)
        if part is parts[0]:
            expected = errors.of_samples(shown, n_frames=n_frames)
        else:
            expected = errors.of_motions(shown, samples, n_frames=n_frames)
        n, chunks = len(mine), whole // step
        part.motion[i, :n, :chunks] = shown.view(n, chunks, -1).half()
        part.errors[i, :n, :chunks] = expected


def _stacked(motions: list[FloatArray], n_frames: int) -> Tensor:
    filled = [np.pad(m, ((0, n_frames - len(m)), (0, 0)), mode="edge") for m in motions]
    return torch.from_numpy(np.stack(filled))
