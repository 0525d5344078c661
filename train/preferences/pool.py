"""Pool of animations of a run's utterances, for raters to judge.

By policies, in several decodings and samples, and the recordings. Utterances are those of training
and validation: results are measured on the others.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from agents.rollout.animation import animate_utterances
from agents.rollout.decoding import BY_DISTANCE, GREEDILY, SAMPLED, Decoding
from agents.rollout.named_decoding import deterministic_decoding
from agents.weights import load_policy
from esarm_env.core.errors import InputError
from esarm_env.core.run_layout import (
    CLONE_FILE,
    experiment_policies,
    improved_policies,
    need_file,
)
from esarm_env.core.seeds import FirstSample
from esarm_env.task.opening import open_task
from reward.judging.pool import NewAnimation, Pool, write_pool
from reward.plugins.heads import open_whole_model
from reward.plugins.learned import LearnedReward
from reward.preference import CorrectedModel, PreferredAlone
from reward.scoring import score_with
from train.stages.demonstrate import evenly

if TYPE_CHECKING:
    from agents.network.transformer import MotionTransformer
    from esarm_env.core.types import FloatArray, IntArray
    from esarm_env.task.animation_task import AnimationTask
    from reward.scoring import RewardModel

RECORDING = "recording"
DECODINGS = (GREEDILY, BY_DISTANCE, SAMPLED)
JUDGED_SPLITS = ("train", "validation")


def policies_of(run_path: Path) -> dict[str, Path]:
    """Return the weights of all policies of a run and its experiments, by name, the clone first."""
    clone = {"clone": need_file(run_path, CLONE_FILE)}
    return clone | improved_policies(run_path) | experiment_policies(run_path)


def make_pool(
    run_path: Path,
    folder: Path,
    *,
    policies: Sequence[str] = ("clone",),
    decodings: Sequence[str] = (SAMPLED,),
    samples: int = 2,
    recordings: bool = False,
    utterances: int = 60,
    splits: Sequence[str] = JUDGED_SPLITS,
    seed: int = 0,
) -> Pool:
    """Write a pool of animations to judge into `folder`.

    Args:
        run_path: A run with a clone.
        folder: For the motions, the list of them and, later, the answers.
        policies: Names as of `policies_of`.
        decodings: Of `greedy`, `expected-distance` and `sampled`.
        samples: Sampled animations of each policy and utterance.
        recordings: Whether recordings are among what is judged.
        utterances: Number of utterances, evenly spaced; 0 means all.
        splits: Of the corpus, among `JUDGED_SPLITS`.
        seed: Of sampling.

    Raises:
        InputError: If a policy, decoding or split is none, or nothing is left to compare.
    """
    if utterances < 0:
        raise InputError(f"`utterances` must be at least 0, got {utterances}")
    known = policies_of(run_path)
    _check_names("policies", policies, known)
    _check_names("decodings", decodings, DECODINGS)
    _check_names("splits", splits, JUDGED_SPLITS)
    task = open_task(run_path)
    chosen = evenly(np.sort(np.concatenate([task.corpus.split(s) for s in splits])), utterances)
    made: list[NewAnimation] = list(_recordings(task, chosen)) if recordings else []
    for name in policies:
        model = load_policy(known[name])
        for source, decoding, number in _ways(model, decodings, samples):
            made += _written(
                task, model, chosen, decoding, source=f"{name}, {source}", sample=number, seed=seed
            )
    return write_pool(made, folder)


def member_scores(run_path: Path, pool: Pool) -> FloatArray:
    """Return the scores of a pool's animations by every member of a run's reward, (M, N).

    Where it learned from raters, by the members of that part: their disagreement is what another
    answer settles. For `reward.judging.ActivePairs`.

    Args:
        run_path: A run, or an experiment, with a reward model.
        pool: Of its corpus.

    Raises:
        InputError: If an utterance is not of the corpus, or a motion is damaged.
    """
    task, model = _opened(run_path)
    if isinstance(model, CorrectedModel):
        model = PreferredAlone(model)
    utterances, motions = _given(task, pool)
    return score_with([model], task, utterances, motions=motions)


def scores_of_pool(run_path: Path, pool: Pool) -> dict[tuple[str, str], float]:
    """Return the score of each animation by utterance and digest, for `agreement_with_scores`.

    Args:
        run_path: A run, or an experiment, with a reward model.
        pool: Of its corpus.

    Raises:
        InputError: As of `member_scores`.
    """
    task, model = _opened(run_path)
    utterances, motions = _given(task, pool)
    scores = LearnedReward(task, model).score_motion(utterances, motions)
    return dict(zip(pool.row_of, map(float, scores), strict=True))


def _opened(run_path: Path) -> tuple[AnimationTask, RewardModel]:
    task = open_task(run_path)
    return task, open_whole_model(run_path, task)


def _given(task: AnimationTask, pool: Pool) -> tuple[IntArray, list[FloatArray]]:
    unknown = [name for name in pool.rows_of if name not in task.index_of]
    if unknown:
        raise InputError(
            f"{pool.folder}: must be of utterances of the run's corpus, got {unknown[0]!r} "
            f"({len(unknown)} such)"
        )
    utterances = np.array([task.index_of[each.utterance] for each in pool.animations])
    return utterances, [pool.motion(each) for each in pool.animations]


def _ways(
    model: MotionTransformer, decodings: Sequence[str], samples: int
) -> Iterator[tuple[str, Decoding, int]]:
    for name in decodings:
        if name == SAMPLED:
            for number in range(samples):
                yield f"{name} {number + 1}", Decoding(temperature=1.0), FirstSample.JUDGED + number
        else:
            yield name, deterministic_decoding(model, name), FirstSample.JUDGED


def _written(
    task: AnimationTask,
    model: MotionTransformer,
    utterances: IntArray,
    decoding: Decoding,
    *,
    source: str,
    sample: int,
    seed: int,
) -> Iterator[NewAnimation]:
    """Yield one animation of each utterance."""
    written = animate_utterances(
        model, task, utterances, decoding=decoding, seed=seed, sample=sample
    )
    motions = task.decode_chunks(written)
    for name, index, motion in zip(task.ids_of(utterances), utterances, motions, strict=True):
        yield NewAnimation(name, source, motion[: int(task.n_frames[index])])


def _recordings(task: AnimationTask, utterances: IntArray) -> Iterator[NewAnimation]:
    for name, index in zip(task.ids_of(utterances), utterances, strict=True):
        yield NewAnimation(name, RECORDING, task.recorded_motion(int(index)))


def _check_names(
    setting: str, given: Sequence[str], known: Sequence[str] | dict[str, Path]
) -> None:
    unknown = [name for name in given if name not in known]
    if unknown or not given:
        got = ", ".join(map(repr, unknown)) or "none"
        raise InputError(f"`{setting}` must be among {', '.join(known)}, got {got}")
