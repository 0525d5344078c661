"""Measurement of all curves of a run, each in a folder of its own; finished ones are kept.

| under `RUN/overoptimise` | holds |
|---|---|
| `settings.json` | what the curves have in common |
| `kl-0.3-seed-0/`, `best-of-n/` | `curve.npz`, `metrics.csv`, `alarms.json`; first a checkpoint |
| `overoptimise.csv`, `.json`, `.md`, `.png` | the results |
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from agents.weights import load_policy
from esarm_env.core.cache import write_text
from esarm_env.core.errors import InputError
from esarm_env.core.run_layout import (
    ALARMS_FILE,
    CHECKPOINT_FILE,
    CURVE_FILE,
    OVEROPTIMISE_FOLDER,
    POLICY_FILE,
)
from esarm_env.envs.scalar import SpeechAnimationEnv
from train.overoptimise.best_of_n import BestOfNTrainer
from train.overoptimise.climb import ClimbTrainer
from train.overoptimise.curve import Curve, OveroptimiseConfig, load_curve
from train.run.kept_settings import keep_settings
from train.run.lock import locked
from train.run.loop import drive
from train.stages.demonstrate import evenly
from train.stages.improve import make_algorithm

if TYPE_CHECKING:
    from agents.network.transformer import MotionTransformer
    from esarm_env.core.types import IntArray
    from train.run.run_folder import RunFolder
    from train.run.settings.reward_setting import RewardSetting


@dataclass(frozen=True)
class Measured:
    """All curves.

    Attributes:
        rl: By KL strength and seed.
        alarms: What `RewardHackingCallback` said, likewise.
        best_of_n: Of the clone.
    """

    rl: dict[float, dict[int, Curve]]
    alarms: dict[float, dict[int, list[str]]]
    best_of_n: Curve


def measure_all(run: RunFolder, config: OveroptimiseConfig, *, reward: RewardSetting) -> Measured:
    """Measure what is not measured yet, and return everything.

    Args:
        run: With a finished clone, and a reward model if `reward` needs it.
        config: Which curves.
        reward: A registered reward or a weighted sum, the proxy.

    Raises:
        InputError: If a stage is missing, or the folder holds curves of other settings.
    """
    clone = load_policy(run.stage("clone") / POLICY_FILE)
    env = SpeechAnimationEnv(run.path, reward=reward, metrics=False)
    utterances = evenly(env.sequence_task.corpus.split("test"), config.utterances)
    if len(utterances) < 2:
        raise InputError(f"{run.path}: must hold at least 2 test utterances, got {len(utterances)}")
    work = _Work(run, config, env, clone, utterances)
    folder = run.path / OVEROPTIMISE_FOLDER
    with locked(run.path):
        keep_settings(
            folder,
            {"reward": reward, **config.shared()},
            what="curves",
            remedy="give the same options, or delete the folder to measure anew",
        )
        measured = Measured({}, {}, work.best_of_n(folder / "best-of-n"))
        for kl_coef in config.kl_coefs:
            for seed in config.seeds:
                place = folder / f"kl-{kl_coef:g}-seed-{seed}"
                curve, alarms = work.climb(place, kl_coef=kl_coef, seed=seed)
                measured.rl.setdefault(kl_coef, {})[seed] = curve
                measured.alarms.setdefault(kl_coef, {})[seed] = alarms
    return measured


@dataclass(frozen=True)
class _Work:
    """What every curve needs."""

    run: RunFolder
    config: OveroptimiseConfig
    env: SpeechAnimationEnv
    clone: MotionTransformer
    utterances: IntArray

    def best_of_n(self, folder: Path) -> Curve:
        if not (folder / CURVE_FILE).is_file():
            trainer = BestOfNTrainer(
                self.clone,
                self.env.sequence_task,
                self.env.reward_function,
                utterances=self.utterances,
                config=self.config,
                seed=self.run.config.seed,
            )
            drive(trainer, folder, title="Best of n", shown="proxy", keep_checkpoint=True)
            trainer.curve().save(folder / CURVE_FILE)
        (folder / CHECKPOINT_FILE).unlink(missing_ok=True)
        return load_curve(folder / CURVE_FILE)

    def climb(self, folder: Path, *, kl_coef: float, seed: int) -> tuple[Curve, list[str]]:
        if not (folder / CURVE_FILE).is_file():
            config = self.run.config.improve
            improve = dataclasses.replace(config, kl_coef=kl_coef, reference_kl_target=0.0)
            trainer = ClimbTrainer(
                make_algorithm("ppo", self.env, self.clone, improve, seed=seed),
                self.clone,
                utterances=self.utterances,
                config=self.config,
                seed=self.run.config.seed,
            )
            title = f"PPO, KL {kl_coef:g}, seed {seed}"
            drive(trainer, folder, title=title, shown="score", keep_checkpoint=True)
            write_text(folder / ALARMS_FILE, json.dumps(trainer.alarms(), indent=1) + "\n")
            trainer.curve().save(folder / CURVE_FILE)
        (folder / CHECKPOINT_FILE).unlink(missing_ok=True)
        return load_curve(folder / CURVE_FILE), _read_alarms(folder / ALARMS_FILE)


def _read_alarms(path: Path) -> list[str]:
    try:
        alarms = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(alarms, list) or not all(isinstance(each, str) for each in alarms):
            raise ValueError(f"{alarms!r:.40}")
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(
            f"{path}: must be a list of alarms, got {error}; delete {path.parent} to measure anew"
        ) from error
    return alarms
