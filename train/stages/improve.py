"""Stage 7: reinforcement learning from the clone, on the terminal reward."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import math
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from agents.collectors.ray_collector import RayCollector
from agents.distillation import SequenceDistillation
from agents.interpolation import interpolated
from agents.monitoring.hacking import RewardHackingCallback
from agents.monitoring.held_out import HeldOut
from agents.registry import ALGORITHMS, takes
from agents.rollout.animation import animate_utterances
from agents.rollout.decoding import Decoding
from agents.rollout.named_decoding import deterministic_decoding
from agents.weights import load_policy, save_policy
from esarm_env.core.cache import read_json, write_text
from esarm_env.core.errors import InputError
from esarm_env.core.run_layout import CLOCK_FILE, POLICY_FILE, SUMMARY_FILE
from esarm_env.envs.scalar import SpeechAnimationEnv
from esarm_env.task.episode_metrics import EVE, LVE
from reward.plugins.heads import scores_by_head
from train.likelihood import LikelihoodReward
from train.parallel.stage_pool import stage_pool
from train.run.loop import drive
from train.run.own_code import trust_own_code
from train.run.run_folder import without_nan
from train.run.settings.reward_setting import reward_text
from train.run.stage_work import StageClock
from train.run.warm_start import WarmStarted
from train.stages.signals import MotionSignals
from train.stages.way_back import OFF, REPORT, Judge, stopping, way_back

if TYPE_CHECKING:
    from agents.common.sequence_algorithm import SequenceAlgorithm
    from agents.distillation.config import DistillationConfig
    from agents.network.transformer import MotionTransformer
    from esarm_env.core.types import IntArray, Trajectories
    from esarm_env.task.animation_task import AnimationTask
    from train.run.run_folder import RunFolder
    from train.run.settings.sections import ImproveConfig

INTERPOLATION_FILE = "interpolation.json"
_RISE = 3  # iterations in which distillation's learning rate rises


def run_improve(run: RunFolder) -> dict[str, Any]:
    """Improve the clone with each configured algorithm; note the true errors along the way."""
    return run.perform("improve", lambda folder: _improve_all(run, folder))


def make_algorithm(
    name: str,
    env: SpeechAnimationEnv,
    clone: MotionTransformer,
    config: ImproveConfig,
    *,
    seed: int,
) -> SequenceAlgorithm:
    """Return the algorithm that is registered as `name`, with those settings that it takes.

    Raises:
        InputError: If there is none of that name, or it cannot be imported.
    """
    kind = ALGORITHMS.load(name, setting="improve.algorithms")
    own: dict[str, Any] = {
        "batch_tokens": config.batch_tokens,
        "value_warmup": config.value_warmup,
        "stream_advantages": _by_stream(env, config.stream_advantages),
    }
    common = _common(config, seed)
    if issubclass(kind, SequenceDistillation):
        common |= dataclasses.asdict(config.distillation)
        del common["iterations"]
    if name in config.chunk_credit and env.reward_chunk_streams:
        common |= {
            "credit": "chunk",
            "chunk_discount": config.chunk_discount,
            "look_ahead_chunks": config.look_ahead_chunks,
            "spread_coef": config.spread_coef,
        }
    taken: dict[str, Any] = {
        setting: value for setting, value in own.items() if takes(kind, setting)
    }
    return kind.from_clone(clone, env, **(taken | common))


def _common(config: ImproveConfig, seed: int) -> dict[str, Any]:
    return {
        "learning_rate": config.learning_rate,
        "n_episodes": config.n_episodes,
        "samples_per_utterance": config.samples_per_utterance,
        "kl_coef": config.kl_coef,
        "reference_kl_target": config.reference_kl_target or None,
        "reference_averaging": config.reference_averaging,
        "temperature": config.temperature,
        "seed": seed,
    }


def _by_stream(env: SpeechAnimationEnv, choice: str) -> bool:
    """Return whether advantages are to be by stream; where the reward cannot, `on` fails later."""
    return bool(env.reward_streams) if choice == "auto" else choice == "on"


def _improve_all(run: RunFolder, folder: Path) -> dict[str, Any]:
    env = SpeechAnimationEnv(run.path, reward=run.config.improve.reward, metrics=False)
    clone = load_policy(run.stage("clone") / POLICY_FILE)
    summary: dict[str, Any] = {"reward": reward_text(run.config.improve.reward)}
    with contextlib.closing(_collector(run.config.improve.workers)) as collector:
        for name in run.config.improve.algorithms:
            algorithm = make_algorithm(name, env, clone, run.config.improve, seed=run.config.seed)
            algorithm.collector = collector
            summary[name] = _improve(run, folder / name, name, algorithm, clone)
    summary["best_on_validation"] = _best_on_validation(run, folder, env.sequence_task)
    return summary


def _collector(n_workers: int) -> RayCollector:
    """Return a collector of its own workers, or of those of all stages if it is to have none."""
    pool = stage_pool()
    return RayCollector(n_workers) if n_workers else RayCollector(pool.n_workers, pool=pool)


def _improve(
    run: RunFolder, path: Path, name: str, algorithm: SequenceAlgorithm, clone: MotionTransformer
) -> dict[str, Any]:
    """Train with one algorithm, unless it has been done; return its summary."""
    trainer = ImproveTrainer(algorithm, clone, run)
    # The summary comes last, so that where it is, the policy is: interrupted after one
    # algorithm, the stage still reports it.
    if not (path / SUMMARY_FILE).is_file():
        path.mkdir(exist_ok=True)
        clock = StageClock(path / CLOCK_FILE)
        title = f"Improve ({name})"
        try:
            rows = drive(
                trainer,
                path,
                title=title,
                shown="score",
                keep_checkpoint=True,
                checkpoint_every_s=0,
                elsewhere=partial(_trainer, run, name),
            )
        finally:
            clock.stop()
        figures = {"first": rows[0], "last": rows[-1]} | trainer.heard()
        figures["wall_s"] = round(clock.total_s, 1)
        policy = algorithm.model
        if run.config.improve.interpolation != OFF:
            policy, figures["interpolation"] = _way_back(run, path, trainer.env, clone, policy)
            from_clone = run.config.improve.evaluate_every > 1 and len(rows) > 1
            figures["stopping"] = stopping(rows, from_clone=from_clone)
        save_policy(policy, path / POLICY_FILE)
        text = json.dumps(without_nan(figures), indent=1, allow_nan=False)
        write_text(path / SUMMARY_FILE, text)
        (path / CLOCK_FILE).unlink(missing_ok=True)
    return read_json(path / SUMMARY_FILE, "an algorithm's summary")


def _trainer(run: RunFolder, name: str) -> ImproveTrainer:
    """Return what another process of a training makes of one that this run's process checked."""
    trust_own_code(run.config.improve.code)
    env = SpeechAnimationEnv(run.path, reward=run.config.improve.reward, metrics=False)
    clone = load_policy(run.stage("clone") / POLICY_FILE)
    algorithm = make_algorithm(name, env, clone, run.config.improve, seed=run.config.seed)
    return ImproveTrainer(algorithm, clone, run)


def _way_back(
    run: RunFolder,
    folder: Path,
    env: SpeechAnimationEnv,
    clone: MotionTransformer,
    improved: MotionTransformer,
) -> tuple[MotionTransformer, dict[str, Any]]:
    """Write the curve between clone and improved policy; return the policy to take, and the choice.

    Raises:
        InputError: If the choice is by true error, and no validation utterance has one.
    """
    config = run.config.improve
    watched = env.sequence_task.corpus.split("validation")[: config.evaluate_utterances]
    found = way_back(clone, improved, env, watched, seed=run.config.seed)
    text = json.dumps(without_nan(found), indent=1, allow_nan=False)
    write_text(folder / INTERPOLATION_FILE, text)
    if config.interpolation == REPORT:
        return improved, {"chosen": found["chosen"], "taken": 1.0}
    share = found["chosen"][config.interpolation]
    if share is None:
        raise InputError(
            "`improve.interpolation` must not be true-error where the validation utterances have "
            "no true error; choose no-recordings"
        )
    policy = interpolated(clone, improved, share=share)
    return policy, {"chosen": found["chosen"], "taken": share}


def _best_on_validation(run: RunFolder, folder: Path, task: AnimationTask) -> dict[str, Any]:
    """Return the policy of least true error without chance, its decoding, and every one's errors.

    A learned reward can be climbed while faces get worse; who only wants a face takes this one.
    """
    files = {"clone": run.stage("clone") / POLICY_FILE}
    files |= {name: folder / name / POLICY_FILE for name in run.config.improve.algorithms}
    validation = task.corpus.split("validation")
    models = {name: load_policy(file) for name, file in files.items()}
    # One decoding for all, or it would decide.
    known = all(model.knows_distances for model in models.values())
    decoding = deterministic_decoding(models["clone"]) if known else Decoding()
    errors: dict[str, dict[str, float]] = {}
    for name, model in models.items():
        written = animate_utterances(
            model, task, validation, decoding=decoding, seed=run.config.seed
        )
        errors[name] = {key: float(np.mean(e)) for key, e in task.errors(written).items()}
    # Each error in units of the clone's; one that the corpus never captured is nan for all.
    clone = np.array(list(errors["clone"].values()))
    relative = {name: np.nanmean(np.array(list(e.values())) / clone) for name, e in errors.items()}
    best = min(relative, key=lambda name: relative[name])
    return {"policy": best, "decoding": decoding.name, "errors_mm": errors}


def rate_share(iteration: int, config: DistillationConfig) -> float:
    """Return the share of distillation's learning rate in an iteration, counted from 0.

    Up over three iterations, down along a cosine, in both phases: learning from answers, and from
    the teacher that this has made.
    """
    first = config.answers_iterations
    begin, end = (0, first) if iteration < first else (first, config.iterations)
    done = iteration - begin
    return min(1.0, (done + 1) / _RISE) * 0.5 * (1 + math.cos(math.pi * done / (end - begin)))


class ImproveTrainer(WarmStarted):
    """One iteration of an algorithm a call of `advance`, with true errors now and then.

    Attributes:
        env: The environment itself.
    """

    def __init__(
        self, algorithm: SequenceAlgorithm, clone: MotionTransformer, run: RunFolder
    ) -> None:
        """Warm-start `algorithm` from `clone`."""
        config = self._config = run.config.improve
        self._distillation = (
            config.distillation if isinstance(algorithm, SequenceDistillation) else None
        )
        self._iterations = (self._distillation or config).iterations
        self._seed = run.config.seed
        self.env: SpeechAnimationEnv = algorithm.env.envs[0].unwrapped  # type: ignore[union-attr]
        validation = self.env.sequence_task.corpus.split("validation")
        self._watched: IntArray = validation[: config.evaluate_utterances]
        likelihood = LikelihoodReward(self.env.sequence_task, clone)
        self._judge = Judge(self.env.reward_function, likelihood)
        callback = None
        if config.alarm != "off":
            reward, task = self.env.reward_function, self.env.sequence_task
            held_out = HeldOut(
                lambda _: self._write(),
                proxy=reward.score,
                gold=task.errors,
                terms=scores_by_head(reward),
                signals=MotionSignals(task).of,
                sharp=lambda _: self._write(temperature=0.0),
            )
            callback = RewardHackingCallback(
                held_out, every=config.evaluate_every, action=config.alarm
            )
        super().__init__(algorithm, clone, callback=callback)

    @property
    def n_total(self) -> int:
        """Iterations to run; an alarm may end them."""
        stopped = self.callback is not None and self.callback.stopped
        return self.n_done if stopped or self.algorithm.stopped else self._iterations

    def advance(self) -> dict[str, float]:
        """Run one iteration; return score and divergence, and every few the validation errors."""
        measured = self._measure() if self.n_done == 0 else {}
        if self._distillation is not None:
            rate = self._distillation.learning_rate * rate_share(self.n_done, self._distillation)
            self.algorithm.lr_schedule = lambda _: rate
        row = self.learn_once()
        last = self.n_done == self.n_total
        if last or self.n_done % self._config.evaluate_every == 0:
            measured = self._measure()
        return row | measured

    def heard(self) -> dict[str, Any]:
        """Return the alarms, as text; nothing where none was listened for."""
        if self.callback is None:
            return {}
        alarms = [str(alarm) for alarm in self.callback.alarms]
        return {"alarms": alarms, "stopped": self.callback.stopped}

    def _write(self, *, temperature: float = 1.0) -> Trajectories:
        """Return animations of the validation utterances, sampled as in training or likeliest."""
        return animate_utterances(
            self.algorithm.model,
            self.env.sequence_task,
            self._watched,
            decoding=Decoding(temperature=temperature),
            seed=self._seed,
        )

    def _measure(self) -> dict[str, float]:
        """Return score, LVE and EVE on validation utterances."""
        written = self._write()
        errors = self.env.sequence_task.errors(written)
        if self._config.interpolation == OFF:
            figures = {"score": float(np.mean(self.env.reward_function.score(written)))}
        else:
            figures = self._judge.figures(written)
        figures |= {f"{name}_mm": float(np.mean(errors[name])) for name in (LVE, EVE)}
        return {f"validation_{name}": value for name, value in figures.items()}
