"""Roll-outs by several numbers of workers, which take turns, and the learner's update.

The same plans are written by all, so that equality to the last bit is checked on what was timed.
"""

from __future__ import annotations

import contextlib
import hashlib
import pickle
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from agents.collectors.parts import ROWS_ON_CPU, rows_of_parts
from agents.collectors.problem import Problem
from agents.collectors.ray_collector import RayCollector
from agents.ppo import SequencePPO
from agents.rollout.buffer import EpisodeBatch, EpisodeBuffer
from agents.weights import load_policy
from esarm_env.core.errors import InputError
from esarm_env.core.processors import n_processors
from esarm_env.core.run_layout import POLICY_FILE, need_stage
from esarm_env.envs.scalar import SpeechAnimationEnv
from train.bench.workers.model import Iteration
from train.run.loop import save_checkpoint

MODELLED = (1, 2, 4, 8, 16, 32, 64)
_HASHED = ("utterances", "tokens", "lengths", "log_probs", "values", "scores")


def bench_workers(
    run: Path | None, *, workers: Sequence[int], episodes: int, repetitions: int
) -> dict[str, Any]:
    """Measure an iteration of `episodes` with each number of workers.

    Args:
        run: Whose clone and reward are measured; None for those that ship with the package.
        workers: Numbers of them, 1 among them; 0 is this process with one torch thread.
        episodes: Of an iteration, a multiple of 4.
        repetitions: Of which the median is taken, after a warm-up.

    Raises:
        InputError: If a number is out of range.
        MissingExtraError: If there are to be workers, and Ray is not installed.
    """
    if episodes < 4 or episodes % 4:
        raise InputError(f"`episodes` must be a multiple of 4 and at least 4, got {episodes}")
    if repetitions < 1:
        raise InputError(f"`repetitions` must be at least 1, got {repetitions}")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with contextlib.ExitStack() as stack:
            collectors = {n: stack.enter_context(_open(n)) for n in dict.fromkeys(workers)}
            return _measured(_trainer(run, episodes), collectors, repetitions)
    finally:
        torch.set_num_threads(threads)


def _open(n_workers: int) -> contextlib.closing[RayCollector]:
    return contextlib.closing(RayCollector(n_workers))


def _trainer(run: Path | None, episodes: int) -> SequencePPO:
    env = SpeechAnimationEnv(run, metrics=False)
    clone = load_policy(None if run is None else need_stage(run, "clone") / POLICY_FILE)
    made = SequencePPO.from_clone(clone, env, n_episodes=episodes, seed=0)
    made._setup_learn(1)
    return made


def _measured(
    trainer: SequencePPO, collectors: dict[int, RayCollector], repetitions: int
) -> dict[str, Any]:
    seconds: dict[int, list[float]] = {n: [] for n in collectors}
    digests: dict[int, list[str]] = {n: [] for n in collectors}
    batch: EpisodeBatch | None = None
    for repetition in range(repetitions + 1):  # the first is the warm-up
        for n, collector in collectors.items():
            trainer.collector, trainer.n_iterations = collector, repetition
            begin = time.perf_counter()
            batch = trainer._write_episodes()
            seconds[n].append(time.perf_counter() - begin)
            digests[n].append(_digest(batch))
    assert batch is not None, "there is a warm-up"
    rollouts = {n: statistics.median(each[1:]) for n, each in seconds.items()}
    first = next(iter(digests.values()))
    learner_s = _median_s(lambda: _update(trainer, batch), repetitions)
    sent = _bytes(trainer, batch)
    figures: dict[str, Any] = {
        "processors": n_processors(),
        "episodes": len(batch),
        "tokens": int(batch.lengths.sum()),
        "repetitions": repetitions,
        "rollouts": [
            {
                "workers": n,
                "rollout_s": rollouts[n],
                "episodes_per_s": len(batch) / rollouts[n],
                "all_s": seconds[n][1:],
                "equal": digests[n] == first,
            }
            for n in collectors
        ],
        "bytes": sent,
        "learner_s": learner_s,
        "checkpoint_s": _checkpoint_s(trainer, repetitions),
    }
    return figures | _compared(rollouts) | _modelled(trainer, batch, rollouts, learner_s, sent)


def _compared(rollouts: dict[int, float]) -> dict[str, float]:
    found = {}
    if {1, 2} <= set(rollouts):
        found["two_workers_times_faster"] = rollouts[1] / rollouts[2]
    if {0, 1} <= set(rollouts):
        found["overhead_of_one_worker"] = rollouts[1] / rollouts[0] - 1
    return found


def _modelled(
    trainer: SequencePPO,
    batch: EpisodeBatch,
    rollouts: dict[int, float],
    learner_s: float,
    sent: dict[str, int],
) -> dict[str, Any]:
    """Return the model and its rows; what the driver does alone is what one worker adds to none."""
    one_s = rollouts.get(1, next(iter(rollouts.values())))
    alone_s = max(0.0, one_s - rollouts[0]) if {0, 1} <= set(rollouts) else 0.0
    rows = rows_of_parts(batch.lengths, ROWS_ON_CPU)
    made = Iteration(
        part_costs=tuple(float(batch.lengths[each].max() * len(each)) for each in rows),
        work_s=one_s - alone_s,
        alone_s=alone_s,
        learner_s=learner_s,
        weight_bytes=sent["weights"],
        other_bytes=sent["parts"] + sent["episodes"],
    )
    return {
        "model": asdict(made) | {"parts": len(rows), "enough_workers": made.enough()},
        "modelled": [made.row(n) for n in MODELLED],
    }


def _update(trainer: SequencePPO, batch: EpisodeBatch) -> None:
    trainer.rollout_buffer = EpisodeBuffer.pack(trainer._filled(batch))
    trainer.train()


def _bytes(trainer: SequencePPO, batch: EpisodeBatch) -> dict[str, int]:
    """Return the bytes that are sent once and in every iteration."""
    assert trainer.env is not None, "made with one"
    state = trainer.model.state_dict()
    # Of every episode: an index, four numbers of its seed, and Python's wrapping of a part.
    parts = batch.utterances.nbytes * 5 + 1000 * -(-len(batch) // 32)
    packed = EpisodeBuffer.pack(batch).nbytes
    return {
        "once": len(pickle.dumps(Problem.of(trainer.env), protocol=5)),
        "weights": sum(each.numel() * each.element_size() for each in state.values()),
        "parts": parts,
        "episodes": packed,
    }


def _checkpoint_s(trainer: SequencePPO, repetitions: int) -> float:
    state = {
        "model": trainer.model.state_dict(),
        "optimizer": trainer.policy.optimizer.state_dict(),
    }
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "checkpoint"
        return _median_s(lambda: save_checkpoint(state, [], path), repetitions)


def _median_s(work: Callable[[], object], repetitions: int) -> float:
    seconds = []
    for _ in range(repetitions):
        begin = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - begin)
    return statistics.median(seconds)


def _digest(batch: EpisodeBatch) -> str:
    digest = hashlib.sha256()
    for name in _HASHED:
        digest.update(np.ascontiguousarray(getattr(batch, name)).tobytes())
    return digest.hexdigest()
