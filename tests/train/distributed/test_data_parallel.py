"""Two processes by gloo end in the weights of one, whatever they train.

Sums of gradients are added up in another order than one process adds its rows, and AdamW divides
by the gradient's size: weights may differ by `TOLERANCE` after some steps at rates of 1e-3 to 5e-3.
Were a mean of means taken instead, they would differ by a hundred times as much; the last test
holds that.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cloudpickle
import numpy as np
import pytest
import torch

from agents.cloning import CloneConfig, CloneTrainer
from agents.common.sequence_algorithm import SequenceAlgorithm
from agents.differentiable import SequenceDiffReward
from agents.distillation import SequenceDistillation
from agents.grpo import SequenceGRPO
from agents.ppo import SequencePPO
from agents.reinforce import SequenceReinforce
from esarm_env.face import load_head
from esarm_env.task.animation_task import AnimationTask
from esarm_env.tokenizer import PriorConfig
from esarm_env.tokenizer.training import TokenizerTrainer
from reward.consensus import collect_consensus
from reward.consensus.training import ConsensusTrainer
from reward.ranking.settings import RewardConfig
from reward.ranking.training import RewardTrainer
from tests.agents.conftest import ToyEnv, ToyTask, _model_of
from tests.agents.differentiable.test_diff_reward import SlopedReward
from tests.reward.conftest import NoisyRecordings
from tests.reward.consensus.conftest import TINY as CONSENSUS
from tests.train.distributed.member import Iterations, train, trainers_in

ROOT = Path(__file__).parents[3]
TOLERANCE = 1e-4
# Their gradient is 0 but for rounding, which AdamW makes a step of: a shift of all keys changes no
# attention, and one of all scores no order.
OF_NO_USE = ("self_attn.in_proj_bias", "transformer.norm.bias", "to_score.bias")

Trained = dict[str, tuple[dict[str, Any], list[dict[str, float]]]]


class SlopedToyEnv(ToyEnv):
    """The toy environment with a reward that has a slope."""

    def __init__(self, task: ToyTask) -> None:
        super().__init__(task)
        self.reward_function = SlopedReward(task)


def sequence_trainer(kind: type[SequenceAlgorithm], **settings: Any) -> Iterations:
    """Return a trainer of episodes of 2 to 6 tokens from a clone with far-off weights."""
    task = ToyTask()
    env = SlopedToyEnv(task) if kind is SequenceDiffReward else ToyEnv(task)
    clone = _model_of(task, n_layers=1, width=32, seed=5)
    line = np.abs(np.arange(4)[:, None] - np.arange(4)).astype(np.float32)
    clone.set_code_distances(np.stack([line, line]))
    usual = {"learning_rate": 1e-3, "kl_coef": 0.1, "n_episodes": 12, "seed": 0}
    return Iterations(kind.from_clone(clone, env, **{**usual, **settings}), clone)


def clone_trainer(*, liars: Iterable[int] = (), **settings: Any) -> CloneTrainer:
    small = {"n_layers": 1, "n_heads": 2, "width": 16, "batch_sequences": 5, "epochs": 3}
    return CloneTrainer(
        ToyTask(20, liars=liars),
        train=np.arange(17),
        validation=np.arange(17, 20),
        config=CloneConfig(**{**small, **settings}),
        speaker_start=3,
        seed=0,
    )


def noisy_demonstrations(task: AnimationTask, utterances: np.ndarray) -> Any:
    from esarm_env.core.types import Trajectories
    from reward.demonstrations import RankedDemonstrations

    levels, rng, parts = (0.0, 0.5, 1.0), np.random.default_rng(0), []
    for level in levels:
        shown = task.recorded(utterances)
        noisy = (rng.random(shown.tokens.shape) < level) & (shown.tokens >= 0)
        random = rng.integers(task.n_tokens, size=shown.tokens.shape)
        tokens = np.where(noisy, random, shown.tokens)
        parts.append(Trajectories(shown.utterance, tokens, shown.lengths, shown.condition))
    epsilon = np.repeat(levels, len(utterances)).astype(np.float32)
    return RankedDemonstrations(Trajectories.concatenate(parts), epsilon)


def reward_trainers(task: AnimationTask) -> dict[str, Any]:
    """Return one of either recipe, with dropout."""
    train, held_out = task.corpus.split("train"), task.corpus.split("validation")
    ranking = RewardConfig(
        n_layers=1, n_heads=2, width=16, epochs=1, batch_utterances=7, learning_rate=1e-3
    )
    consensus = replace(CONSENSUS, dropout=0.2, epochs=1, batch_utterances=5, learning_rate=1e-3)
    rolled = NoisyRecordings(task)
    levels = noisy_demonstrations(task, train)
    data = collect_consensus(task, rolled, train, levels=levels, config=consensus, seed=0)
    watched = replace(consensus, damages=0)
    held = collect_consensus(task, rolled, held_out, levels=None, config=watched, seed=0)
    return {
        "ranking, minibatches of 7 and 1 utterances": RewardTrainer(
            task,
            train=levels,
            validation=noisy_demonstrations(task, held_out),
            config=ranking,
            seed=0,
        ),
        "consensus": ConsensusTrainer(task, train=data, validation=held, config=consensus, seed=0),
    }


def make_trainers(task: AnimationTask, motions: list[np.ndarray]) -> dict[str, Any]:
    """Return fresh trainers of all families by what is hard about them."""
    prior = PriorConfig(
        n_tokens=8, hidden=16, code_dim=4, epochs=1, steps_per_epoch=4, batch_crops=5, crop_chunks=4
    )
    interrupted = clone_trainer(scheduled_sampling=0.5)
    interrupted.advance()
    # The better it learns, the worse it does on these.
    stops = clone_trainer(patience=1, liars=range(17, 20), learning_rate=5e-3)
    sequence = {
        "ppo, minibatches of few tokens": (SequencePPO, {"batch_tokens": 20, "n_epochs": 2}),
        "ppo, an episode a minibatch": (
            SequencePPO,
            {"batch_tokens": 6, "n_epochs": 1, "n_episodes": 4},
        ),
        "ppo, loss by sequence": (SequencePPO, {"loss_mean": "sequence", "batch_tokens": 40}),
        "ppo, target_kl": (
            SequencePPO,
            {"target_kl": 1e-3, "learning_rate": 5e-3, "batch_tokens": 20, "n_epochs": 4},
        ),
        "ppo, warm-up of values": (SequencePPO, {"value_warmup": 1}),
        "reinforce": (SequenceReinforce, {"n_episodes": 12}),
        "grpo": (SequenceGRPO, {}),
        "distillation": (
            SequenceDistillation,
            {"recordings_coef": 0.2, "risk_coef": 1.0, "entropy_floor": 0.99, "batch_tokens": 20},
        ),
        "distillation, best of n": (
            SequenceDistillation,
            {"teacher": "best-of-n", "samples_per_utterance": 4},
        ),
        "diff-reward": (SequenceDiffReward, {"batch_tokens": 20, "guard": None}),
    }
    return {
        "clone, with all that is drawn": clone_trainer(scheduled_sampling=0.5, token_noise=0.2),
        "clone, gone on with": interrupted,
        "clone, stopped early": stops,
        "prior": TokenizerTrainer(motions, load_head(), config=prior, seed=0),
        "prior, fewer codebooks": TokenizerTrainer(
            motions, load_head(), config=replace(prior, quantiser_dropout=0.7), seed=1
        ),
        "prior, fsq, a crop": TokenizerTrainer(
            motions, load_head(), config=replace(prior, quantiser="fsq", batch_crops=1), seed=0
        ),
        **reward_trainers(task),
        **{name: sequence_trainer(kind, **given) for name, (kind, given) in sequence.items()},
    }


@pytest.fixture(scope="module")
def trainers(
    tiny_task: AnimationTask, tiny_motions: list[np.ndarray], tmp_path_factory: Any
) -> Path:
    """Return a file of fresh trainers."""
    file: Path = tmp_path_factory.mktemp("trainers") / "trainers.pickle"
    file.write_bytes(cloudpickle.dumps(make_trainers(tiny_task, tiny_motions)))
    return file


@pytest.fixture(scope="module")
def alone(trainers: Path) -> Trained:
    """Return what this process makes of the trainers."""
    found = {}
    for name, trainer in trainers_in(trainers).items():
        torch.manual_seed(0)
        found[name] = train(trainer, trainer.advance)
    return found


@pytest.fixture(scope="module")
def together(trainers: Path) -> Trained:
    """Return what two processes make of them, started once for all."""
    out = trainers.with_name("out.pickle")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    launched = {
        "WORLD_SIZE": "2",
        "LOCAL_WORLD_SIZE": "2",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "OMP_NUM_THREADS": "1",
    }
    command = [sys.executable, "-m", "tests.train.distributed.member", str(trainers), str(out)]
    done = subprocess.run(
        command, env={**os.environ, **launched}, cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return trainers_in(out)


NAMES = (
    "clone, with all that is drawn",
    "clone, gone on with",
    "clone, stopped early",
    "prior",
    "prior, fewer codebooks",
    "prior, fsq, a crop",
    "ranking, minibatches of 7 and 1 utterances",
    "consensus",
    "ppo, minibatches of few tokens",
    "ppo, an episode a minibatch",
    "ppo, loss by sequence",
    "ppo, target_kl",
    "ppo, warm-up of values",
    "reinforce",
    "grpo",
    "distillation",
    "distillation, best of n",
    "diff-reward",
)


@pytest.mark.parametrize("name", NAMES)
def test_two_processes_end_in_the_weights_of_one(
    name: str, alone: Trained, together: Trained
) -> None:
    """A mean of the processes' means, or dropout of their own, would look like training all right.

    Episodes and utterances are of different lengths, minibatches of odd numbers of rows, and of
    one, for which the second process has none.
    """
    (ours, rows), (theirs, their_rows) = alone[name], together[name]
    assert len(rows) == len(their_rows)
    for row, other in zip(rows, their_rows, strict=True):
        assert row == pytest.approx(other, abs=1e-3, rel=1e-4)
    weights, others = (each["model" if "model" in each else "best"] for each in (ours, theirs))
    for key, weight in weights.items():
        if key.endswith(OF_NO_USE) and name.startswith(("ranking", "consensus")):
            continue
        np.testing.assert_allclose(others[key], weight, atol=TOLERANCE, rtol=0, err_msg=key)


def test_the_cases_are_those_they_are_called(alone: Trained) -> None:
    """A target that is never reached, or patience that is never spent, would test nothing."""
    assert set(alone) == set(NAMES)
    assert len(alone["clone, stopped early"][1]) < 3
    assert alone["clone, gone on with"][0]["n_done"] == 3
