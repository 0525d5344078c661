"""Behaviour cloning as a Stable-Baselines3 algorithm: `BehaviourCloning(policy, env).learn()`.

`num_timesteps` counts demonstrated tokens, and one epoch is one step to a callback. The policy
always holds the best weights so far; what is being trained is a copy of it.
"""

from __future__ import annotations

import copy
import io
import pathlib
from collections.abc import Iterable
from typing import Any, ClassVar

import numpy as np
import torch
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.policies import BasePolicy
from stable_baselines3.common.type_aliases import GymEnv, MaybeCallback
from torch import Tensor

from agents.cloning.config import CloneConfig
from agents.cloning.demonstrations import Demonstrations
from agents.cloning.trainer import CloneTrainer
from agents.common.callback_frequencies import Plan
from agents.common.checked_algorithm import CheckedAlgorithm
from agents.common.checks import check_env
from agents.faults import TrainingFault, where_to_go_on
from agents.network.geometry import start_from_looks
from agents.network.transformer import DISTANCES
from agents.policy import MotionPolicy
from agents.protocols import SequenceTask, find_in_env
from esarm_env.core.deprecation import renamed_arguments
from esarm_env.core.errors import InputError


class BehaviourCloning(CheckedAlgorithm):
    """Learn from demonstrations instead of rewards; `SequencePPO.warm_start` takes the result."""

    policy_aliases: ClassVar[dict[str, type[BasePolicy]]] = {"MotionPolicy": MotionPolicy}
    saved_types: ClassVar[tuple[type, ...]] = (CloneConfig, Demonstrations)
    policy: MotionPolicy

    @renamed_arguments(batch_size="batch_sequences")
    def __init__(
        self,
        policy: str | type[MotionPolicy],
        env: GymEnv | str | None,
        *,
        demonstrations: Demonstrations | None = None,
        validation: Demonstrations | None = None,
        learning_rate: float = 1.5e-3,
        batch_sequences: int = 8,
        n_epochs: int = 12,
        patience: int = 4,
        weight_decay: float = 0.05,
        start_from_looks: bool = True,
        label_smoothing: float = 0.0,
        scheduled_sampling: float = 0.0,
        feature_noise: float = 0.0,
        token_noise: float = 0.0,
        tensorboard_log: str | None = None,
        policy_kwargs: dict[str, Any] | None = None,
        verbose: int = 0,
        seed: int | None = None,
        device: str = "cpu",
        _init_setup_model: bool = True,
    ) -> None:
        """Set up the policy and split the demonstrations.

        Args:
            policy: `"MotionPolicy"` or a subclass of it.
            env: `ESARM-v0`, wrapped or vectorised in this process; gives spaces, audio, recordings.
            demonstrations: What to clone; by default the recordings of the utterances of `env`.
            validation: What chooses when to stop; by default a tenth of the utterances that were
                to be cloned.
            learning_rate: Highest value; warmed up over an epoch, then falling to 2 % of it.
            batch_sequences: Sequences per update.
            n_epochs: At most this many passes over the demonstrations.
            patience: Stop after this many epochs without a better validation loss.
            weight_decay: Of AdamW.
            start_from_looks: Whether the weights of tokens begin alike for codes that look alike,
                where `env` knows how far apart codes look.
            label_smoothing: Share of probability spread over all tokens.
            scheduled_sampling: Share of past tokens that are the model's own at the end; it rises
                from 0 in a straight line.
            feature_noise: Spread of the noise added to audio features.
            token_noise: Share of past tokens replaced at random.
            tensorboard_log: Folder for TensorBoard, or None.
            policy_kwargs: For `MotionPolicy`; its dropout is active while cloning.
            verbose: 0 silent, 1 a table per epoch.
            seed: Fixes weights, split, order and noise; None draws one.
            device: Where the network is: `"cpu"`, `"cuda"`, ...

        Raises:
            ValueError: If a setting is out of range, or the demonstrations do not fit `env`.
        """
        self.config = CloneConfig(
            epochs=n_epochs,
            patience=patience,
            batch_sequences=batch_sequences,
            learning_rate=learning_rate,
            weight_decay=weight_decay,
            start_from_looks=start_from_looks,
            label_smoothing=label_smoothing,
            scheduled_sampling=scheduled_sampling,
            speaker_dropout=0.0,
            feature_noise=feature_noise,
            token_noise=token_noise,
        )
        self.config.check()
        self.demonstrations, self.validation = demonstrations, validation
        self.trainer: CloneTrainer | None = None
        self._progress: dict[str, Any] | None = None
        super().__init__(
            policy,
            env,
            learning_rate,
            policy_kwargs=policy_kwargs,
            tensorboard_log=tensorboard_log,
            verbose=verbose,
            device=device,
            support_multi_env=True,
            seed=seed,
        )
        if _init_setup_model:
            self._setup_model()
            self._split_demonstrations()
            self._start_from_looks()

    def check_settings(self) -> None:
        """Check all settings, as they are now.

        Raises:
            ValueError: If one is out of range.
        """
        self.config.check()

    @property
    def best_weights(self) -> dict[str, Tensor]:
        """Weights of the policy's transformer: those of the best epoch so far."""
        weights: dict[str, Tensor] = self.policy.transformer.state_dict()
        return weights

    @property
    def n_epochs_done(self) -> int:
        """Epochs trained so far, those before a `save` included."""
        if self.trainer is not None:
            return self.trainer.n_done
        return 0 if self._progress is None else int(self._progress["n_done"])

    def learn(
        self,
        total_timesteps: int | None = None,
        callback: MaybeCallback = None,
        log_interval: int = 1,
        tb_log_name: str = "BehaviourCloning",
        reset_num_timesteps: bool = False,
        progress_bar: bool = False,
    ) -> BehaviourCloning:
        """Train until `n_epochs`, or until `patience` is spent; a second call goes on.

        Args:
            total_timesteps: Stop after the epoch in which this many tokens were learnt from in
                this call; by default when training ends.
            callback: Called at every epoch; returning False stops after that epoch.
            log_interval: Epochs between two tables.
            tb_log_name: Name of the run for TensorBoard.
            reset_num_timesteps: Count tokens anew; epochs are never counted anew.
            progress_bar: Show Stable-Baselines3's progress bar.
        """
        if self.env is None:
            raise ValueError("`env` must be set before `learn` (`set_env`), got None")
        trainer = self._trainer()
        left = (self.config.epochs - trainer.n_done) * trainer.tokens_per_epoch
        total, callback = self._setup_learn(
            left if total_timesteps is None else total_timesteps,
            callback,
            reset_num_timesteps,
            tb_log_name,
            progress_bar,
        )
        callback.on_training_start({"total_timesteps": total, "self": self}, {})
        going = True
        while going and trainer.n_done < trainer.n_total and self.num_timesteps < total:
            going = self._epoch(trainer, callback, log_interval)
        callback.on_training_end()
        return self

    def save(
        self,
        path: str | pathlib.Path | io.BufferedIOBase,
        exclude: Iterable[str] | None = None,
        include: Iterable[str] | None = None,
    ) -> None:
        """Save the policy, the demonstrations and all that `learn` needs to go on bit for bit."""
        if self.trainer is not None:
            self._progress = self.trainer.state_dict()
        super().save(path, exclude, include)

    def _check_env(self) -> None:
        if self.env is not None:
            check_env(self.env, action_space=self.action_space, obs_space=self.observation_space)
            super()._check_env()

    def _setup_model(self) -> None:
        self._check_env()
        if self.seed is None:
            self.seed = int(np.random.SeedSequence().generate_state(1)[0] >> 1)
        self.set_random_seed(self.seed)
        self.policy = self.policy_class(  # type: ignore[assignment]
            self.observation_space,
            self.action_space,
            lambda _: float(self.learning_rate),  # type: ignore[arg-type]  # never a schedule
            **self.policy_kwargs,
        ).to(self.device)

    def _split_demonstrations(self) -> None:
        """Fill in what was left out, and check that all of it fits the environment's task."""
        task: SequenceTask = find_in_env(self.env, "sequence_task")
        if self.demonstrations is None:
            recorded = find_in_env(self.env, "utterances")
            self.demonstrations = Demonstrations.recorded(task, recorded)
        self.demonstrations.check_for(task)
        if self.validation is None:
            rng = np.random.default_rng(self.seed)
            self.demonstrations, self.validation = self.demonstrations.hold_out(rng=rng)
        self.validation.check_for(task)

    def _start_from_looks(self) -> None:
        """Let an untrained network begin from how codes look, where the task can tell."""
        task = None if self.env is None else find_in_env(self.env, "sequence_task")
        distances = getattr(task, DISTANCES, None)
        if distances is not None and self.config.start_from_looks:
            network = self.policy.transformer
            network.set_code_distances(distances)
            assert self.seed is not None, "drawn in _setup_model"
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(self.seed)
                start_from_looks(network)

    def _trainer(self) -> CloneTrainer:
        if self.trainer is None:
            assert self.demonstrations is not None and self.validation is not None, "split"
            assert self.seed is not None, "drawn in _setup_model"
            task: SequenceTask = find_in_env(self.env, "sequence_task")
            self.demonstrations.check_for(task)  # a file's need not be of this task
            self.validation.check_for(task)
            self.trainer = CloneTrainer(
                task,
                train=self.demonstrations,
                validation=self.validation,
                config=self.config,
                speaker_start=task.condition_dim,
                seed=self.seed,
                model=copy.deepcopy(self.policy.transformer),
            )
            if self._progress is not None:
                self._go_on(self.trainer, self._progress)
        return self.trainer

    def _go_on(self, trainer: CloneTrainer, progress: dict[str, Any]) -> None:
        """Bring a fresh trainer to where the one was that was saved."""
        try:
            trainer.load_state_dict(progress)
        except (ValueError, KeyError, TypeError, AttributeError, IndexError, RuntimeError) as error:
            self.trainer = None
            reason = f"{type(error).__name__}: {error}".splitlines()[0]
            raise InputError(
                f"{self.last_checkpoint or 'the checkpoint'}: `_progress` must be that of a "
                f"cloning of these sizes, got one that does not fit ({reason})"
            ) from error

    def _plan(self, n_steps: int) -> Plan:
        trainer = self._trainer()
        epochs = min(-(-n_steps // trainer.tokens_per_epoch), trainer.n_total - trainer.n_done)
        steps = epochs * trainer.tokens_per_epoch
        return Plan(epochs, "epoch", self.num_timesteps, steps)

    def _epoch(self, trainer: CloneTrainer, callback: BaseCallback, log_interval: int) -> bool:
        callback.on_rollout_start()
        try:
            row = trainer.advance()
        except TrainingFault as fault:
            raise TrainingFault(f"{fault}; {where_to_go_on(self.last_checkpoint)}") from fault
        self.policy.transformer.load_state_dict(trainer.best_weights)
        self.policy.set_training_mode(False)
        self.num_timesteps += trainer.tokens_per_epoch
        self._n_updates = trainer.n_done
        for name, value in row.items():
            self.logger.record(f"clone/{name}", value)
        if trainer.n_done % log_interval == 0:
            self.logger.record("time/epochs", trainer.n_done)
            self.logger.dump(step=self.num_timesteps)
        callback.update_locals({"row": row})
        going = callback.on_step()
        callback.on_rollout_end()
        return going

    def _excluded_save_params(self) -> list[str]:
        return [*super()._excluded_save_params(), "trainer"]

    def _get_torch_save_params(self) -> tuple[list[str], list[str]]:
        return ["policy"], []
