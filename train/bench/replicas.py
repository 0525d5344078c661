"""Updates by one process and by several: how long an epoch of cloning and a pass of PPO take.

    python -m train.bench.replicas
    torchrun --nproc_per_node 2 -m -- train.bench.replicas

Both train on what ships, with equal minibatches; roll-outs are written before the clock starts.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from contextlib import nullcontext

import torch
from stable_baselines3.common.logger import Logger

from agents.cloning import CloneConfig, CloneTrainer
from agents.ppo import SequencePPO
from esarm_env.core.training.replicas import agreed, replicated
from esarm_env.distributed.processes import join_processes, n_launched
from esarm_env.envs.scalar import SpeechAnimationEnv
from esarm_env.task.conditions import SPEAKER_START


def seconds_of(work: Callable[[], object], repeats: int) -> list[float]:
    """Return how long `work` took, each time; a first time that warms up is left out."""
    taken = []
    for _ in range(repeats + 1):
        agreed(None)  # all begin together
        begin = time.perf_counter()
        work()
        taken.append(time.perf_counter() - begin)
    return taken[1:]


def clone_epoch(env: SpeechAnimationEnv, width: int, batch: int, epochs: int) -> CloneTrainer:
    """Return a trainer whose `advance` is to be timed."""
    split = env.sequence_task.corpus.split
    return CloneTrainer(
        env.sequence_task,
        train=split("train"),
        validation=split("validation"),
        config=CloneConfig(width=width, batch_sequences=batch, epochs=epochs + 1, patience=epochs),
        speaker_start=SPEAKER_START,
        seed=0,
    )


def ppo_pass(env: SpeechAnimationEnv, batch_tokens: int) -> SequencePPO:
    """Return an algorithm with a roll-out, whose `train` is to be timed."""
    model = SequencePPO.from_clone(
        "shipped", env, n_episodes=64, batch_tokens=batch_tokens, n_epochs=1, seed=0
    )
    model.set_logger(Logger(folder=None, output_formats=[]))
    model.learn(1)
    return model


def main() -> None:
    """Measure, and print a line each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1, help="of each process")
    parser.add_argument("--width", type=int, default=128, help="of the cloned network")
    parser.add_argument("--batch-sequences", type=int, default=16)
    parser.add_argument("--batch-tokens", type=int, default=4096)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    processes = join_processes(cpu=True) if n_launched() > 1 else None
    env = SpeechAnimationEnv(metrics=False)
    with nullcontext() if processes is None else replicated(processes):
        cloning = clone_epoch(env, given.width, given.batch_sequences, given.repeats)
        ppo = ppo_pass(env, given.batch_tokens)
        taken = {
            "clone, an epoch": seconds_of(cloning.advance, given.repeats),
            "ppo, a pass over 64 episodes": seconds_of(ppo.train, given.repeats),
        }
    if processes is None or processes.number == 0:
        count = 1 if processes is None else processes.count
        for name, seconds in taken.items():
            middle, least = statistics.median(seconds), min(seconds)
            print(f"{name}: {middle:.3f} s, at best {least:.3f}, by {count} of {given.threads}")
    if processes is not None:
        processes.leave()


if __name__ == "__main__":
    main()
