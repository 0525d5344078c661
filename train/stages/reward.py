"""Stage 6: train the reward by one of two recipes, on the demonstrations of all rounds.

Within a round: ground truth on top, then the policy's roll-outs by noise. Its suspicious samples
rank with the second least noise: below its clean roll-outs and the recording, not below random
tokens. Nothing is said of one round's animations against another's.

`paper` ranks the demonstrations' noise levels (Eq. 1). `consensus` learns what error the clone
expects of an animation, from the clone's own samples, and knows better animations from good ones.
Its second head, naturalness, tells recordings from what the newest policy writes.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from agents.rollout.animation import animate_utterances, roll_out_with
from agents.rollout.decoding import BY_DISTANCE, GREEDILY, SAMPLED, Decoding
from agents.weights import load_policy
from esarm_env.core.errors import InputError
from esarm_env.core.run_layout import (
    DEMONSTRATIONS_FILE,
    HACKED_FILE,
    NATURALNESS_WEIGHTS,
    POLICY_FILE,
    REWARD_WEIGHTS,
)
from esarm_env.core.seeds import FirstSample
from esarm_env.task.opening import open_task
from reward.consensus import (
    ConsensusConfig,
    ConsensusData,
    ConsensusTrainer,
    ExpectedErrors,
    collect_consensus,
)
from reward.demonstrations import (
    RECONSTRUCTION,
    RankedDemonstrations,
    ground_truth,
    load_demonstrations,
)
from reward.naturalness import (
    NaturalnessData,
    NaturalnessTrainer,
    collect_naturalness,
    recordings_above,
    with_animations,
)
from reward.plugins.heads import naturalness_beside
from reward.plugins.learned import LearnedReward, open_model
from reward.rank_measures import pair_accuracy
from reward.ranking.training import RewardTrainer
from train.distributed.lockstep import Trainer
from train.parallel.stage_pool import stage_pool
from train.preferences.learning import correct, judged_pairs, raters_of
from train.run.loop import drive, progress_track
from train.stages.demonstrate import evenly

if TYPE_CHECKING:
    from agents.network.transformer import MotionTransformer
    from esarm_env.core.types import IntArray
    from esarm_env.task.animation_task import AnimationTask
    from train.run.run_folder import RunFolder


def demonstrations_of(
    rounds: Sequence[RunFolder], task: AnimationTask, *, with_truth: bool = True
) -> RankedDemonstrations:
    """Return everything that `rounds`, the run itself first, have shown.

    Args:
        rounds: With their demonstrations finished.
        task: Gives the recordings.
        with_truth: Whether ground truth is to be among it.
    """
    parts = []
    for number, folder in enumerate(rounds):
        ladder = load_demonstrations(folder.stage("demonstrate") / DEMONSTRATIONS_FILE)
        parts.append(with_iteration(ladder, number))
        if with_truth:
            truth = ground_truth(task.recorded(np.unique(ladder.utterance)), origin=RECONSTRUCTION)
            parts.append(with_iteration(truth, number))
        file = folder.stage("demonstrate") / HACKED_FILE
        if file.is_file():
            hacked = load_demonstrations(file)
            parts.append(with_rank(with_iteration(hacked, number), float(ladder.levels[1])))
    return RankedDemonstrations.concatenate(parts)


def with_iteration(demonstrations: RankedDemonstrations, number: int) -> RankedDemonstrations:
    """Return them as those of policy `number`."""
    iteration = np.full(len(demonstrations), number)
    return _remade(demonstrations, iteration=iteration)


def with_rank(demonstrations: RankedDemonstrations, rank: float) -> RankedDemonstrations:
    """Return them all at one rank."""
    return _remade(demonstrations, rank=np.full(len(demonstrations), rank, dtype=np.float32))


def _remade(demonstrations: RankedDemonstrations, **columns: np.ndarray) -> RankedDemonstrations:
    return RankedDemonstrations(
        demonstrations.trajectories,
        demonstrations.epsilon,
        making=dataclasses.replace(demonstrations.making, **columns),
        partner=demonstrations.partner,
    )


# Utterances that agreement is watched on while training; the report measures on all.
WATCHED_UTTERANCES = 48
_ROLL_OUT_ROWS = 256


Measuring = Callable[[RewardTrainer | ConsensusTrainer], Trainer]


def run_reward(
    run: RunFolder, *, earlier: Sequence[RunFolder] = (), measured: Measuring | None = None
) -> dict[str, Any]:
    """Train the reward model of the configured recipe.

    Args:
        run: The run, or a later round of one.
        earlier: The rounds before, the run itself first: the weights go on from the last one's, and
            the demonstrations of all are learned from.
        measured: Returns a trainer that measures more of the one it gets; None takes it as it is.
    """
    return run.perform(
        "reward", lambda folder: RECIPES[run.config.recipe](run, folder, earlier, measured)
    )


def _paper(
    run: RunFolder, folder: Path, earlier: Sequence[RunFolder], measured: Measuring | None
) -> dict[str, Any]:
    task = open_task(run.path)
    judged = judged_pairs(run.config.preferences, task)
    demonstrations = load_demonstrations(run.stage("demonstrate") / DEMONSTRATIONS_FILE)
    train = _of_split(demonstrations, task, "train")
    validation = _of_split(demonstrations, task, "validation")
    trainer = _ranking_trainer(run, earlier)
    if earlier:
        continue_from(trainer.model, _model_of(earlier[-1], task))
    drive(
        trainer if measured is None else measured(trainer),
        folder,
        title="Reward model",
        shown="validation_pair_accuracy",
        keep_checkpoint=True,
        elsewhere=partial(_ranking_trainer, run, earlier) if measured is None else None,
    )
    model = trainer.finish()
    model.save(folder / REWARD_WEIGHTS)
    return {
        "recipe": "paper",
        "parameters": sum(weight.numel() for weight in model.parameters()),
        "train_pair_accuracy": float(trainer.accuracy(train).mean()),
        "validation_pair_accuracy": float(trainer.accuracy(validation).mean()),
        **raters_of(run.config.preferences, judged, folder, task, before=None),
    }


def _ranking_trainer(run: RunFolder, earlier: Sequence[RunFolder]) -> RewardTrainer:
    task = open_task(run.path)
    judged = judged_pairs(run.config.preferences, task)
    demonstrations = load_demonstrations(run.stage("demonstrate") / DEMONSTRATIONS_FILE)
    shown = demonstrations_of([*earlier, run], task) if earlier else demonstrations
    return RewardTrainer(
        task,
        train=_of_split(shown, task, "train"),
        validation=_of_split(demonstrations, task, "validation"),
        config=run.config.reward,
        seed=run.config.seed,
        judged=None if judged is None else judged.train,
        judged_share=run.config.preferences.share,
        judged_chance=run.config.preferences.chance,
    )


def _consensus(
    run: RunFolder, folder: Path, earlier: Sequence[RunFolder], measured: Measuring | None
) -> dict[str, Any]:
    """Learn what error the clone expects; in a later round also of what the policy does by then.

    The clone stays the first round's: a policy that has been optimised would vouch for itself.
    """
    task, config = open_task(run.path), run.config.consensus
    judged = judged_pairs(run.config.preferences, task)
    demonstrations = load_demonstrations(run.stage("demonstrate") / DEMONSTRATIONS_FILE)
    first, shown = run, demonstrations
    if earlier:
        first = earlier[0]
        shown = demonstrations_of([*earlier, run], task, with_truth=False)
    train = _collect(
        first,
        task,
        evenly(task.corpus.split("train"), config.train_utterances),
        levels=shown,
        config=config,
    )
    watched = evenly(task.corpus.split("validation"), WATCHED_UTTERANCES)
    watched_config = replace(config, damages=0)
    validation = _collect(first, task, watched, levels=None, config=watched_config)
    trainer = _consensus_trainer(run, train, validation)
    if earlier:
        continue_from(trainer.model, _model_of(earlier[-1], task))
    drive(
        trainer if measured is None else measured(trainer),
        folder,
        title="Reward model",
        shown="validation_agreement_mouth",
        keep_checkpoint=True,
        elsewhere=partial(_consensus_trainer, run, train, validation) if measured is None else None,
    )
    model = trainer.finish()
    model.save(folder / REWARD_WEIGHTS)
    held_out = _of_split(demonstrations, task, "validation")
    scores = LearnedReward(task, model).score(held_out.trajectories)
    accuracy = pair_accuracy(scores, held_out.epsilon, held_out.utterance)
    return {
        "recipe": "consensus",
        "parameters": sum(weight.numel() for weight in model.parameters()),
        "utterances": len(train),
        "samples": config.samples,
        "spread_mm": [round(float(mm), 4) for mm in model.spread],
        **{f"validation_{name}": value for name, value in trainer.agreement(validation).items()},
        "validation_pair_accuracy": float(accuracy.mean()),
        "naturalness": train_naturalness(
            run, folder, task, earlier, train=train, validation=validation
        ),
        **correct(run, judged, folder, task),
    }


def _consensus_trainer(
    run: RunFolder, train: ConsensusData, validation: ConsensusData
) -> ConsensusTrainer:
    config, seed = run.config.consensus, run.config.seed
    task = open_task(run.path)
    return ConsensusTrainer(task, train=train, validation=validation, config=config, seed=seed)


# What a later round's policy samples, beside the samples of the clone that the consensus is of.
NEWEST_SAMPLED = "newest-sampled"


def train_naturalness(
    run: RunFolder,
    folder: Path,
    task: AnimationTask,
    earlier: Sequence[RunFolder],
    *,
    train: ConsensusData,
    validation: ConsensusData,
) -> dict[str, Any]:
    """Train the second head against the newest policy: the clone, or a later round's.

    Args:
        run: The run, or a later round of one, whose clone is the newest policy.
        folder: Gets its weights, and its metrics in a folder of their own.
        task: Of the run.
        earlier: The rounds before; the weights go on from the last one's, if it has any.
        train: Samples of the first round's clone on training utterances, which stay among what
            recordings are told from.
        validation: Likewise on utterances that training stops by.

    Returns:
        Its figures; empty where `naturalness.weight` is 0 and none is trained.
    """
    config = run.config.naturalness
    if config.weight == 0:
        return {}
    policy, seed = load_policy(run.stage("clone") / POLICY_FILE), run.config.seed
    rows = evenly(np.arange(len(train)), config.train_utterances)
    parts = [
        _animations(policy, task, data, chosen, newest=bool(earlier), seed=seed)
        for data, chosen in ((train, rows), (validation, np.arange(len(validation))))
    ]
    trainer = NaturalnessTrainer(
        task,
        train=parts[0],
        validation=parts[1],
        config=config,
        measured=ExpectedErrors(task).measured,
        seed=seed,
    )
    before = naturalness_beside(earlier[-1].path, task) if earlier else None
    if before is not None:
        continue_from(trainer.model, before)
    drive(
        trainer,
        folder / "naturalness",
        title="Naturalness",
        shown="validation_loss",
        keep_checkpoint=True,
    )
    model = trainer.finish()
    model.save(folder / NATURALNESS_WEIGHTS)
    return {
        "weight": config.weight,
        "parameters": sum(weight.numel() for weight in model.parameters()),
        "utterances": len(parts[0]),
        "best_epoch": trainer.best_epoch,
        **{f"validation_{k}": share for k, share in recordings_above(model, parts[1]).items()},
    }


def _animations(
    policy: MotionTransformer,
    task: AnimationTask,
    data: ConsensusData,
    rows: IntArray,
    *,
    newest: bool,
    seed: int,
) -> NaturalnessData:
    """Return what recordings of some rows of `data` are to be told from."""
    utterances = data.utterances[rows]
    ways = {GREEDILY: Decoding()}
    if policy.knows_distances:
        ways[BY_DISTANCE] = Decoding(expected_distance=True)
    if newest:
        ways[NEWEST_SAMPLED] = Decoding(temperature=1.0)
    some = utterances[::2]  # roll-outs take longer than the training
    drawn = {"seed": seed, "sample": FirstSample.NATURALNESS}
    written = {
        name: [animate_utterances(policy, task, some, decoding=decoding, **drawn)]
        for name, decoding in ways.items()
    }
    made = collect_naturalness(task, utterances, written)
    samples = data.samples[rows]
    motion = samples.motion[:, :, : made.recorded.shape[1]]
    return with_animations(made, SAMPLED, motion, samples.present)


RECIPES = {"consensus": _consensus, "paper": _paper}


def continue_from(model: nn.Module, before: nn.Module) -> None:
    """Give `model` the learned weights of `before`; what it was calibrated to stays its own.

    Raises:
        InputError: If their sizes differ.
    """
    mine, theirs = dict(model.named_parameters()), dict(before.named_parameters())
    shapes = [{name: tuple(p.shape) for name, p in each.items()} for each in (mine, theirs)]
    if shapes[0] != shapes[1]:
        different = sorted(name for name, _ in shapes[0].items() ^ shapes[1].items())
        raise InputError(
            f"the reward model to go on from must have the same weights, got others for {different}"
        )
    with torch.no_grad():
        for name, weight in mine.items():
            weight.copy_(theirs[name])


def _model_of(run: RunFolder, task: AnimationTask) -> nn.Module:
    model = open_model(run.path, task)
    assert isinstance(model, nn.Module), "both recipes train networks"
    return model


def _of_split(
    demonstrations: RankedDemonstrations, task: AnimationTask, split: str
) -> RankedDemonstrations:
    return demonstrations[np.isin(demonstrations.utterance, task.corpus.split(split))]


def _collect(
    run: RunFolder,
    task: AnimationTask,
    utterances: IntArray,
    *,
    levels: RankedDemonstrations | None,
    config: ConsensusConfig,
) -> ConsensusData:
    """Let the clone draw its samples, with a progress bar."""
    clone = load_policy(run.stage("clone") / POLICY_FILE)
    with progress_track("Samples of the clone", config.samples) as bar:
        return collect_consensus(
            task,
            roll_out_with(clone, task, batch_size=_ROLL_OUT_ROWS, pool=stage_pool()),
            utterances,
            levels=levels,
            config=config,
            seed=run.config.seed,
            after_sample=lambda: bar.advance(bar.task_ids[0]),
        )
