"""Stage 6: reinforcement learning from the clone, on the terminal reward."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from stable_baselines3.common.logger import Logger

from agents.common.decoding import Decoding
from agents.common.sequence_algorithm import SequenceAlgorithm
from agents.ppo import SequencePPO
from agents.reinforce import SequenceReinforce
from agents.transformer import MotionTransformer
from esarm_env.env import SpeechAnimationEnv
from esarm_env.errors import InputError
from esarm_env.task import AnimationTask
from esarm_env.types import IntArray
from train.config import ImproveConfig
from train.loop import drive
from train.policies import POLICY_FILE, animate_utterances, load_policy, save_policy
from train.run_folder import RunFolder


def run_improve(run: RunFolder) -> dict[str, Any]:
    """Improve the clone with each configured algorithm; note the true errors along the way."""
    unknown = [name for name in run.config.improve.algorithms if name not in ALGORITHMS]
    if unknown:
        raise InputError(
            f"`improve.algorithms` must be among {', '.join(ALGORITHMS)}, got {unknown}"
        )
    return run.perform("improve", lambda folder: _improve_all(run, folder))


def make_ppo(
    env: SpeechAnimationEnv, clone: MotionTransformer, run: RunFolder
) -> SequenceAlgorithm:
    """Return PPO with the run's settings."""
    config = run.config.improve
    common = _common(env, clone, config, run.config.seed)
    return SequencePPO("MotionPolicy", env, batch_size=config.batch_size, **common)


def make_reinforce(
    env: SpeechAnimationEnv, clone: MotionTransformer, run: RunFolder
) -> SequenceAlgorithm:
    """Return REINFORCE with the run's settings."""
    common = _common(env, clone, run.config.improve, run.config.seed)
    return SequenceReinforce("MotionPolicy", env, **common)


ALGORITHMS = {"ppo": make_ppo, "reinforce": make_reinforce}


def _common(
    env: SpeechAnimationEnv, clone: MotionTransformer, config: ImproveConfig, seed: int
) -> dict[str, Any]:
    sizes = clone.config
    network = {"n_layers": sizes.n_layers, "n_heads": sizes.n_heads, "width": sizes.width}
    return {
        "learning_rate": config.learning_rate,
        "n_episodes": config.n_episodes,
        "samples_per_utterance": config.samples_per_utterance,
        "kl_coef": config.kl_coef,
        "stream_advantages": config.by_stream and hasattr(env, "score_streams"),
        "seed": seed,
        "policy_kwargs": {"network": {**network, "dropout": 0.0}},
    }


def _improve_all(run: RunFolder, folder: Path) -> dict[str, Any]:
    env = SpeechAnimationEnv(run.path, reward=run.config.improve.reward, metrics=False)
    clone = load_policy(run.stage("clone") / POLICY_FILE)
    summary: dict[str, Any] = {"reward": run.config.improve.reward}
    for name in run.config.improve.algorithms:
        trainer = ImproveTrainer(ALGORITHMS[name](env, clone, run), clone, run)
        path = folder / name
        if not (path / POLICY_FILE).is_file():
            rows = drive(trainer, path, title=f"Improve ({name})", shown="score")
            algorithm = trainer.algorithm
            save_policy(algorithm.model, algorithm.model.state_dict(), path / POLICY_FILE)
            summary[name] = {"first": rows[0], "last": rows[-1]}
    summary["best_on_validation"] = _best_on_validation(run, folder, env.sequence_task)
    return summary


def _best_on_validation(run: RunFolder, folder: Path, task: AnimationTask) -> dict[str, Any]:
    """Return the policy of least true error, decoded greedily, and every one's errors.

    A learned reward can be climbed while faces get worse; who only wants a face takes this one.
    """
    files = {"clone": run.stage("clone") / POLICY_FILE}
    files |= {name: folder / name / POLICY_FILE for name in run.config.improve.algorithms}
    validation = task.corpus.split("validation")
    errors: dict[str, dict[str, float]] = {}
    for name, file in files.items():
        written = animate_utterances(
            load_policy(file), task, validation, decoding=Decoding(), seed=run.config.seed
        )
        errors[name] = {key: float(np.mean(e)) for key, e in task.errors(written).items()}
    # Each error in units of the clone's; one that the corpus never captured is nan for all.
    clone = np.array(list(errors["clone"].values()))
    relative = {name: np.nanmean(np.array(list(e.values())) / clone) for name, e in errors.items()}
    return {"policy": min(relative, key=lambda name: relative[name]), "errors_mm": errors}


class ImproveTrainer:
    """One iteration of an algorithm a call of `advance`, with true errors now and then."""

    def __init__(
        self, algorithm: SequenceAlgorithm, clone: MotionTransformer, run: RunFolder
    ) -> None:
        """Warm-start `algorithm` from `clone`."""
        self.algorithm, self._config = algorithm, run.config.improve
        self._seed = run.config.seed
        algorithm.warm_start(clone.state_dict())
        algorithm.set_logger(Logger(folder=None, output_formats=[]))
        env: SpeechAnimationEnv = algorithm.env.envs[0].unwrapped  # type: ignore[union-attr]
        self._env = env
        validation = env.sequence_task.corpus.split("validation")
        self._watched: IntArray = validation[: self._config.evaluate_utterances]

    @property
    def n_done(self) -> int:
        """Iterations so far."""
        return self.algorithm.n_iterations

    @property
    def n_total(self) -> int:
        """Iterations to run."""
        return self._config.iterations

    def advance(self) -> dict[str, float]:
        """Run one iteration; return score and divergence, and every few the validation errors."""
        measured = self._measure() if self.n_done == 0 else {}
        self.algorithm.learn(1, reset_num_timesteps=False)
        logged = self.algorithm.logger.name_to_value
        names = ("rollout/score", "train/kl", "train/entropy", "train/policy_loss")
        row = {name.split("/")[1]: float(logged[name]) for name in names}
        row["ratio_error"] = float(logged["train/first_ratio_error"])
        logged.clear()
        last = self.n_done == self.n_total
        if last or self.n_done % self._config.evaluate_every == 0:
            measured = self._measure()
        return row | measured

    def state_dict(self) -> dict[str, Any]:
        """Return everything needed to go on; random choices follow from the iteration's number."""
        return {
            "model": self.algorithm.model.state_dict(),
            "optimizer": self.algorithm.policy.optimizer.state_dict(),
            "n_iterations": self.algorithm.n_iterations,
            "num_timesteps": self.algorithm.num_timesteps,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what `state_dict` returned."""
        self.algorithm.model.load_state_dict(state["model"])
        self.algorithm.policy.optimizer.load_state_dict(state["optimizer"])
        self.algorithm.n_iterations = state["n_iterations"]
        self.algorithm.num_timesteps = state["num_timesteps"]

    def _measure(self) -> dict[str, float]:
        """Return score, LVE and EVE on validation utterances, sampled as in training."""
        task = self._env.sequence_task
        written = animate_utterances(
            self.algorithm.model,
            task,
            self._watched,
            decoding=Decoding(temperature=1.0),
            seed=self._seed,
        )
        errors = task.errors(written)
        score = self._env.reward_function.score(written)
        figures = {"score": score, "lve_mm": errors["lve"], "eve_mm": errors["eve"]}
        return {f"validation_{name}": float(np.mean(value)) for name, value in figures.items()}
