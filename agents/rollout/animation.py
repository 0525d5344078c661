"""Animation of recordings and utterances with a policy network.

The median of several samples, frame by frame and curve by curve, is the animation with the least
mean absolute distance of all curves to what the policy would draw: minimum Bayes risk (Kumar and
Byrne 2004; sampled, Eikema and Aziz 2022) over whole animations. Decoding by expected distance is
the same token by token, after tokens that are decided; the median is taken over all ways to begin,
so that a policy that could go on in several styles does not settle for the first.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from agents.collectors.parts import rows_of_parts
from agents.protocols import CurvedSpeech, MedianTask
from agents.rollout.decoding import Decoding
from agents.rollout.generation import generate
from agents.rollout.named_decoding import AUTO, NamedDecoding
from esarm_env.core.errors import InputError
from esarm_env.core.seeds import sequence_seeds
from esarm_env.core.types import FloatArray, IntArray, Trajectories

if TYPE_CHECKING:
    from agents.network.transformer import MotionTransformer
    from agents.protocols import RecordedSpeech, SequenceTask, SpeechTask
    from esarm_env.core.workers import Pool

_ROLL_OUTS = itertools.count()  # numbers, so that workers take none for another
_TOGETHER = 32  # utterances whose samples are held at once


def animate(
    model: MotionTransformer,
    speech: RecordedSpeech,
    *,
    temperature: float | None = None,
    decoding: str | Decoding = AUTO,
    seed: int = 0,
) -> FloatArray:
    """Return the animation of a recording of any length: curves (T, 52) at 30 fps.

    Args:
        model: The policy, for instance `load_policy()`.
        speech: Of `esarm_env.open_speech`, with the run that the policy comes from.
        temperature: 1 samples, less is closer to the most likely tokens, and 0 takes these; None
            leaves it to `decoding`.
        decoding: `"greedy"` for the most likely tokens, `"expected-distance"` for those of least
            expected distance in mm, `"median"` for the median of 32 samples, which comes nearest
            to recordings, `"sampled"`, `"beam"`, or a `Decoding` with all settings;
            `"auto"` samples at a `temperature` above 0, is greedy at 0, and else decodes by
            expected distance where the policy knows distances (as clones of recorded motion do),
            or greedily.
        seed: Of sampling, at least 0.

    Raises:
        InputError: If the recording was read for a policy of another run, or `decoding` is not
            possible.
    """
    check_speech(model, speech)
    if isinstance(decoding, str):
        decoding = NamedDecoding(decoding, temperature).of(model)
    pieces = np.arange(len(speech.lengths))
    return joined(speech, animate_utterances(model, speech, pieces, decoding=decoding, seed=seed))


def check_speech(model: MotionTransformer, speech: RecordedSpeech) -> None:
    """Check that a recording was read for the run of `model`.

    Raises:
        InputError: If its windows or its condition have other widths.
    """
    first = np.arange(1)
    widths = {
        "window_dim": speech.audio_windows(first).shape[-1],
        "condition_dim": speech.condition_of(first).shape[-1],
    }
    for name, width in widths.items():
        if getattr(model.config, name) != width:
            raise InputError(
                f"`speech` must have the `{name}` of the policy ({getattr(model.config, name)}), "
                f"got {width}; open it with the run that the policy comes from"
            )


def joined(speech: RecordedSpeech, written: Trajectories) -> FloatArray:
    """Return the motion (T, 52) of a recording of which all pieces are `written`, in order."""
    rows = zip(written.tokens, written.lengths, strict=True)
    return speech.join([tokens[:length] for tokens, length in rows])


def animate_utterances(
    model: MotionTransformer,
    task: SequenceTask | RecordedSpeech,
    utterances: IntArray,
    *,
    decoding: Decoding,
    seed: int,
    sample: IntArray | int = 0,
) -> Trajectories:
    """Return one animation of each utterance under its recorded condition.

    Args:
        model: The policy.
        task: Gives audio and conditions; the policy is shown one that changes over time as it does,
            and rewards its mean.
        utterances: Shape (N,).
        decoding: How tokens are chosen.
        seed: Of the run.
        sample: Number of the sample, or of each one's, shape (N,); another number gives other
            random choices.
    """
    if decoding.median_of:
        return medians(model, task, utterances, decoding=decoding, seed=seed, sample=sample)
    condition = task.condition_of(utterances)
    curve = task.conditions_over_time(utterances) if isinstance(task, CurvedSpeech) else None
    shown = condition if curve is None else curve
    seeds = sequence_seeds(run_seed=seed, iteration=0, utterances=utterances, samples=sample)
    rollout = generate(model, task, utterances, condition=shown, decoding=decoding, seeds=seeds)
    return Trajectories(utterances, rollout.tokens, rollout.lengths, condition)


def draw_samples(
    model: MotionTransformer,
    task: SequenceTask | RecordedSpeech,
    utterances: IntArray,
    n_samples: int,
    *,
    decoding: Decoding,
    seed: int,
) -> list[Trajectories]:
    """Return several animations of each utterance, the samples 0 to `n_samples` - 1, in order.

    All are written together: few utterances would leave most rows of a batch empty. The other
    arguments are those of `animate_utterances`.
    """
    numbers = np.repeat(np.arange(n_samples), len(utterances))
    together = animate_utterances(
        model, task, np.tile(utterances, n_samples), decoding=decoding, seed=seed, sample=numbers
    )
    return [together[numbers == number] for number in range(n_samples)]


def medians(
    model: MotionTransformer,
    task: SequenceTask | RecordedSpeech,
    utterances: IntArray,
    *,
    decoding: Decoding,
    seed: int,
    sample: IntArray | int = 0,
) -> Trajectories:
    """Return the median of `decoding.median_of` samples of each utterance.

    Args:
        model: The policy.
        task: Gives audio and conditions, and is a `MedianTask`.
        utterances: Shape (N,).
        decoding: How samples are drawn, and of how many the median is taken.
        seed: Of the run.
        sample: Another number gives the median of other samples.

    Raises:
        InputError: If `task` cannot say which tokens write a median.
    """
    if not isinstance(task, MedianTask):
        raise InputError(
            f"`task` must offer `median_tokens` for a median of samples, got {type(task).__name__}"
        )
    n, each = decoding.median_of, replace(decoding, median_of=0)
    first = np.broadcast_to(sample, len(utterances)) * n
    written = np.full((len(utterances), int(task.lengths[utterances].max())), -1, dtype=np.int64)
    for begin in range(0, len(utterances), _TOGETHER):
        rows = slice(begin, begin + _TOGETHER)
        part, numbers = utterances[rows], (first[rows, None] + np.arange(n)).reshape(-1)
        drawn = animate_utterances(
            model, task, np.repeat(part, n), decoding=each, seed=seed, sample=numbers
        )
        found = task.median_tokens(part, drawn.tokens.reshape(len(part), n, -1))
        written[rows, : found.shape[1]] = found
    lengths = task.lengths[utterances]
    return Trajectories(utterances, written, lengths, task.condition_of(utterances))


def roll_out_with(
    model: MotionTransformer, task: SpeechTask, *, batch_size: int = 64, pool: Pool | None = None
) -> Callable[..., Trajectories]:
    """Return `model` as what collects demonstrations (a `RollOut` of `reward.demonstrations`).

    Args:
        model: The policy.
        task: Gives audio and lengths.
        batch_size: Sequences that are stepped together; rows depend on nothing but their seeds.
        pool: Workers that are given such batches, and step the same sequences together; model and
            task are sent to them once, so that changes to either go unseen.
    """
    if pool is not None and pool.n_workers:
        return _roll_out_by_workers(model, task, batch_size=batch_size, pool=pool)

    def roll_out(
        utterances: IntArray,
        *,
        condition: FloatArray,
        temperature: float,
        epsilon: float,
        seeds: IntArray,
    ) -> Trajectories:
        rollout = generate(
            model,
            task,
            utterances,
            condition=condition,
            decoding=Decoding(temperature=temperature, epsilon=epsilon),
            seeds=seeds,
            batch_size=batch_size,
        )
        return Trajectories(utterances, rollout.tokens, rollout.lengths, condition)

    return roll_out


def _roll_out_by_workers(
    model: MotionTransformer, task: SpeechTask, *, batch_size: int, pool: Pool
) -> Callable[..., Trajectories]:
    """Return a roll-out whose batches, those of `generate`, are written by workers."""
    roll_out = roll_out_with(deepcopy(model).cpu(), task, batch_size=batch_size)
    name = f"roll-out {next(_ROLL_OUTS)}"
    pool.share(name, roll_out)

    def shared_out(utterances: IntArray, **options: Any) -> Trajectories:
        lengths = task.lengths[utterances]
        rows = rows_of_parts(lengths, batch_size)[::-1]  # the longest are begun first
        per_row = {key: options.pop(key) for key in ("condition", "seeds")}
        parts = [
            (name, utterances[here], {key: each[here] for key, each in per_row.items()} | options)
            for here in rows
        ]
        tokens = np.full((len(utterances), int(lengths.max())), -1, dtype=np.int64)
        for here, found in zip(rows, pool.map(_rolled, parts, using=[name]), strict=True):
            tokens[here, : found.shape[1]] = found
        return Trajectories(utterances, tokens, lengths, per_row["condition"])

    return shared_out


def _rolled(part: tuple[str, IntArray, dict[str, Any]], **shared: Any) -> IntArray:
    """Return the tokens of a part, in a worker."""
    name, utterances, options = part
    tokens: IntArray = shared[name](utterances, **options).tokens
    return tokens
