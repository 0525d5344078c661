"""Climbs: short trainings on a reward, measured all along; finished ones are kept.

`FOLDER/REWARD-seed-0/climb.npz` holds what was measured, all that detectors look at, so that
another threshold needs no training.
"""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from agents.monitoring.hacking import RewardHackingCallback, RewardHackingWarning
from agents.monitoring.held_out import HeldOut, Measurement
from agents.rollout.animation import animate_utterances
from agents.rollout.decoding import Decoding
from esarm_env.core.cache import new_file
from esarm_env.core.errors import InputError
from esarm_env.core.types import STREAMS
from esarm_env.envs.scalar import SpeechAnimationEnv
from esarm_env.formats.archives import read_npz
from esarm_env.formats.files import reading
from train.bench.hacking.rewards import ENSEMBLES, HOLES, HONEST, PlantedReward
from train.run.warm_start import WarmStarted
from train.stages.demonstrate import evenly
from train.stages.improve import make_algorithm

if TYPE_CHECKING:
    from agents.network.transformer import MotionTransformer
    from esarm_env.core.types import DoubleArray, IntArray, Trajectories
    from esarm_env.task.animation_task import AnimationTask
    from train.run.settings.sections import ImproveConfig
    from train.stages.signals import MotionSignals

CLIMB_FILE = "climb.npz"
TRAINER = "reinforce"
_CLONE_SAMPLES = 64


@dataclass(frozen=True)
class HackingConfig:
    """Settings of `esarm bench hacking`.

    Attributes:
        seeds: Of training; each reward is climbed once per seed.
        iterations: Roll-outs and updates, with a measurement after each.
        n_episodes: Episodes per iteration, in groups of 8 of an utterance.
        utterances: Validation utterances measured on, evenly spaced; 0 means all. With few, small
            drifts are not sure.
        samples: Animations of each utterance per measurement; figures are their means.
        learning_rate: Of AdamW. Tokens answer for what their own and the next chunks earn, so that
            holes are found at small steps; at 3e-4 the first one into `blinking` does harm before
            anything can ring.
        kl_coef: Weight of the divergence from the clone; small, so that holes are found.
    """

    seeds: tuple[int, ...] = (0, 1, 2)
    iterations: int = 24
    n_episodes: int = 32
    utterances: int = 64
    samples: int = 2
    learning_rate: float = 1.5e-4
    kl_coef: float = 0.01

    def __post_init__(self) -> None:
        """Check every setting.

        Raises:
            InputError: If one is out of range, or a seed is there twice.
        """
        if not self.seeds or len(set(self.seeds)) < len(self.seeds) or min(self.seeds) < 0:
            raise InputError(
                f"`seeds` must be different numbers of at least 0, got {list(self.seeds)}"
            )
        if self.iterations < 1 or self.utterances < 0 or self.utterances == 1:
            raise InputError(
                "`iterations` must be at least 1 and `utterances` 0 (all) or at least 2, got "
                f"{self.iterations} and {self.utterances}"
            )
        if self.samples < 1:
            raise InputError(f"`samples` must be at least 1, got {self.samples}")
        if self.n_episodes < 2 or self.n_episodes % 2:
            raise InputError(f"`n_episodes` must be even, at least 2, got {self.n_episodes}")

    def of(self, improve: ImproveConfig, chunk_streams: tuple[str, ...]) -> ImproveConfig:
        """Return the settings of the trainer for a reward whose chunks have these columns."""
        group = next(size for size in (8, 4, 2) if self.n_episodes % size == 0)
        return dataclasses.replace(
            improve,
            n_episodes=self.n_episodes,
            samples_per_utterance=group,
            learning_rate=self.learning_rate,
            kl_coef=self.kl_coef,
            reference_kl_target=0.0,
            temperature=1.0,
            stream_advantages="on" if set(STREAMS) & set(chunk_streams) else "off",
            chunk_credit=(TRAINER,),
            spread_coef=0.0,
        )


@dataclass(frozen=True)
class Climb:
    """What was measured along a climb at P points, the clone first.

    Attributes:
        reward: One of `HOLES` or `HONEST`.
        seed: Of training.
        measured: The measurements; `gold` is for the one detector that says so, and for judging.
        divergence: Shape (P,), nats per token from the clone; nan where the trainer says none.
        trained_score: Shape (P,), mean score of the training roll-outs before; nan at the clone.
    """

    reward: str
    seed: int
    measured: list[Measurement]
    divergence: DoubleArray
    trained_score: DoubleArray

    @property
    def planted(self) -> bool:
        """Whether the reward has a hole."""
        return self.reward in HOLES


@dataclass(frozen=True)
class Ground:
    """What all climbs share.

    Attributes:
        run_path: Of the run.
        task: Of the run.
        clone: Where they start.
        signals: Off-target signals.
        improve: Settings of the run's trainers.
        config: Of the bench.
    """

    run_path: Path
    task: AnimationTask
    clone: MotionTransformer
    signals: MotionSignals
    improve: ImproveConfig
    config: HackingConfig

    def animate(
        self,
        model: MotionTransformer,
        utterances: IntArray,
        seed: int,
        *,
        temperature: float = 1.0,
        sample: int = 0,
    ) -> Trajectories:
        """Return one sample of each utterance; at temperature 0 the likeliest animation."""
        decoding = Decoding(temperature=temperature)
        return animate_utterances(
            model, self.task, utterances, decoding=decoding, seed=seed, sample=sample
        )

    def env(self, reward: str) -> SpeechAnimationEnv:
        """Return the environment that pays `reward`."""
        honest = SpeechAnimationEnv(
            self.run_path,
            task=self.task,
            reward=reward if reward in HONEST else "learned",
            metrics=False,
        )
        if reward in HONEST:
            return honest
        planted = PlantedReward(
            reward,
            task=self.task,
            honest=honest.reward_function,
            signals=self.signals,
            samples=self.animate(
                self.clone, evenly(self.task.corpus.split("train"), _CLONE_SAMPLES), 0
            ),
        )
        return SpeechAnimationEnv(self.run_path, task=self.task, reward=planted, metrics=False)


def climb(ground: Ground, reward: str, seed: int) -> Climb:
    """Train on `reward` from the clone; return what was measured along the way."""
    config, env = ground.config, ground.env(reward)
    watched = evenly(ground.task.corpus.split("validation"), config.utterances)
    if len(watched) < 2:
        raise InputError(
            f"{ground.run_path}: must hold at least 2 validation utterances, got {len(watched)}"
        )
    settings = config.of(ground.improve, env.reward_chunk_streams)
    algorithm = make_algorithm(TRAINER, env, ground.clone, settings, seed=seed)
    held_out = HeldOut(
        lambda _: [
            ground.animate(algorithm.model, watched, seed, sample=sample)
            for sample in range(config.samples)
        ],
        proxy=lambda samples: _mean([env.reward_function.score(each) for each in samples]),
        gold=lambda samples: _means([ground.task.errors(each) for each in samples]),
        members=_members(env) if reward in ENSEMBLES else None,
        signals=lambda samples: _means([ground.signals.of(each) for each in samples]),
        sharp=lambda _: [ground.animate(algorithm.model, watched, seed, temperature=0.0)],
    )
    callback = RewardHackingCallback(held_out, every=1, action="warn")
    trainer = WarmStarted(algorithm, ground.clone, callback=callback)
    rows: list[dict[str, float]] = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RewardHackingWarning)  # the bench asks when, not whether
        while trainer.n_done < config.iterations:
            rows.append(trainer.learn_once())
    nan = float("nan")
    return Climb(
        reward,
        seed,
        list(callback.history),
        np.array([0.0, *(row.get("kl", nan) for row in rows)]),
        np.array([nan, *(row.get("score", nan) for row in rows)]),
    )


def _members(env: SpeechAnimationEnv) -> Any:
    """Return what scores samples with each member of a planted ensemble."""
    (function,) = env.reward_function.functions.values()
    assert isinstance(function, PlantedReward), "an ensemble is planted"
    return lambda samples: _mean([function.score_members(each) for each in samples])


def _means(rows: Sequence[Mapping[str, Any]]) -> dict[str, DoubleArray]:
    return {name: _mean([row[name] for row in rows]) for name in rows[0]}


def _mean(rows: list[Any]) -> DoubleArray:
    mean: DoubleArray = np.mean(np.asarray(rows, dtype=np.float64), axis=0)
    return mean


def kept_climb(ground: Ground, reward: str, seed: int, folder: Path) -> Climb:
    """Return a climb, trained unless `folder` has it."""
    path = folder / f"{reward}-seed-{seed}" / CLIMB_FILE
    if not path.is_file():
        save(climb(ground, reward, seed), path)
    return load(path, reward, seed)


def save(climbed: Climb, path: Path) -> None:
    """Write a climb to one `.npz` file, whole or not at all."""
    parts: dict[str, Any] = {
        "iteration": np.array([m.iteration for m in climbed.measured]),
        "num_timesteps": np.array([m.num_timesteps for m in climbed.measured]),
        "divergence": climbed.divergence,
        "trained_score": climbed.trained_score,
    }
    first = climbed.measured[0]
    columns = {"proxy": [m.proxy for m in climbed.measured]}
    columns |= {f"gold:{name}": [m.gold[name] for m in climbed.measured] for name in first.gold}
    columns |= {f"signal:{n}": [m.signals[n] for m in climbed.measured] for n in first.signals}
    columns |= {f"sharp:{name}": [values] for name, values in first.sharp.items()}
    if first.disagreement is not None:
        columns["disagreement"] = [np.asarray(m.disagreement) for m in climbed.measured]
    parts |= {name: np.stack(values) for name, values in columns.items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    with new_file(path) as draft, draft.open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, **parts)


def load(path: Path, reward: str, seed: int) -> Climb:
    """Read what `save` wrote.

    Raises:
        InputError: If the file is damaged or something else.
    """
    what, remedy = "a climb of the hacking bench", f"delete {path.parent} to climb it again"
    parts = read_npz(path, what, remedy=remedy)
    with reading(path, what, remedy=remedy):

        def row(prefix: str, number: int) -> dict[str, DoubleArray]:
            return {
                name.removeprefix(prefix): values[number]
                for name, values in parts.items()
                if name.startswith(prefix)
            }

        measured = [
            Measurement(
                iteration=int(iteration),
                num_timesteps=int(parts["num_timesteps"][number]),
                proxy=parts["proxy"][number],
                gold=row("gold:", number),
                disagreement=parts["disagreement"][number] if "disagreement" in parts else None,
                signals=row("signal:", number),
                sharp=row("sharp:", number) if number == 0 else {},
            )
            for number, iteration in enumerate(parts["iteration"])
        ]
        return Climb(reward, seed, measured, parts["divergence"], parts["trained_score"])
