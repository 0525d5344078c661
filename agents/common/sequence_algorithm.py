"""Stable-Baselines3's on-policy algorithm, but with whole episodes of tokens.

Roll-outs go through the KV cache, episodes are scored in one batch when they end, and an update
sees whole sequences: one forward pass gives every log-probability and value. A subclass says what
its advantages are and what its policy loss is.

What differs from SB3's manners: `num_timesteps` counts tokens, and a roll-out ends with the last
token of `n_episodes` episodes. `callback.on_step()` is called once per token column, after the
episodes are written, with all their results in place.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
import torch
from stable_baselines3.common.buffers import RolloutBuffer
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm
from stable_baselines3.common.policies import BasePolicy
from stable_baselines3.common.type_aliases import GymEnv, Schedule
from stable_baselines3.common.vec_env import VecEnv
from torch import Tensor
from torch.nn import functional

from agents.common.buffer import EpisodeBatch
from agents.common.protocols import FloatArray, IntArray, ScoreFunction, SequenceTask, find_in_env
from agents.common.rollout import Decoding, generate, sequence_seeds
from agents.policy import MotionPolicy
from agents.transformer import MotionTransformer


class SequenceAlgorithm(OnPolicyAlgorithm):
    """Collect whole episodes, then update on whole sequences."""

    policy_aliases: ClassVar[dict[str, type[BasePolicy]]] = {"MotionPolicy": MotionPolicy}
    policy: MotionPolicy  # type: ignore[assignment]

    def __init__(
        self,
        policy: str | type[MotionPolicy],
        env: GymEnv | str,
        *,
        learning_rate: float | Schedule = 1e-4,
        n_episodes: int = 64,
        batch_size: int = 16,
        n_epochs: int = 1,
        gamma: float = 1.0,
        gae_lambda: float = 1.0,
        ent_coef: float = 0.0,
        vf_coef: float = 0.5,
        max_grad_norm: float = 1.0,
        kl_coef: float = 0.3,
        samples_per_utterance: int = 4,
        stats_window_size: int = 100,
        tensorboard_log: str | None = None,
        policy_kwargs: dict[str, Any] | None = None,
        verbose: int = 0,
        seed: int | None = None,
        device: str = "cpu",
        _init_setup_model: bool = True,
    ) -> None:
        """Set up the policy and, if `env` is given, find its task and its score function.

        Args:
            policy: `"MotionPolicy"` or a subclass of it.
            env: `ESARM-v0`, wrapped or vectorised in this process.
            learning_rate: Of AdamW; a schedule gets the remaining progress (1 to 0).
            n_episodes: Episodes per iteration.
            batch_size: Episodes per minibatch.
            n_epochs: Passes over an iteration's episodes.
            gamma: Discount; 1 because the only reward comes at the end.
            gae_lambda: See `terminal_gae`.
            ent_coef: Weight of the entropy bonus.
            vf_coef: Weight of the value loss.
            max_grad_norm: Gradients are clipped to this norm.
            kl_coef: Weight of the mean divergence per token from the reference (warm start).
            samples_per_utterance: Episodes of one iteration that share an utterance.
            stats_window_size: Episodes in the running means that the logger prints.
            tensorboard_log: Folder for TensorBoard, or None.
            policy_kwargs: For `MotionPolicy`.
            verbose: 0 silent, 1 a table per iteration.
            seed: Fixes utterances, samples and minibatches; None draws one.
            device: "cpu"; other devices are not supported yet.

        Raises:
            ValueError: If `n_episodes` is no multiple of `samples_per_utterance`, or `env` offers
                no task.
        """
        if samples_per_utterance < 1:
            raise ValueError(
                f"`samples_per_utterance` must be at least 1, got {samples_per_utterance}"
            )
        if n_episodes < 1 or n_episodes % samples_per_utterance:
            raise ValueError(
                "`n_episodes` must be a positive multiple of `samples_per_utterance` "
                f"({samples_per_utterance}), got {n_episodes}"
            )
        for name, value in (("n_epochs", n_epochs), ("batch_size", batch_size)):
            if value < 1:
                raise ValueError(f"`{name}` must be at least 1, got {value}")
        for name, share in (("gamma", gamma), ("gae_lambda", gae_lambda)):
            if not 0 <= share <= 1:
                raise ValueError(f"`{name}` must be in [0, 1], got {share}")
        self.n_episodes, self.batch_size, self.n_epochs = n_episodes, batch_size, n_epochs
        self.kl_coef, self.samples_per_utterance = kl_coef, samples_per_utterance
        self.n_iterations = 0
        super().__init__(
            policy,  # type: ignore[arg-type]  # SB3 wants its own MLP policy's class
            env,
            learning_rate=learning_rate,
            n_steps=n_episodes,
            gamma=gamma,
            gae_lambda=gae_lambda,
            ent_coef=ent_coef,
            vf_coef=vf_coef,
            max_grad_norm=max_grad_norm,
            use_sde=False,
            sde_sample_freq=-1,
            stats_window_size=stats_window_size,
            tensorboard_log=tensorboard_log,
            policy_kwargs=policy_kwargs,
            verbose=verbose,
            seed=seed,
            device=device,
            _init_setup_model=_init_setup_model,
        )

    @abstractmethod
    def compute_advantages(self, batch: EpisodeBatch) -> EpisodeBatch:
        """Return `batch` with `advantages` and `returns` filled in, both (N, L)."""

    @abstractmethod
    def policy_loss(self, batch: EpisodeBatch, log_probs: Tensor) -> Tensor:
        """Return the loss of every token, (N, L), given its `log_probs` (N, L) now."""

    @property
    def task(self) -> SequenceTask:
        """The task behind the environment."""
        task: SequenceTask = find_in_env(self.env, "sequence_task")
        return task

    @property
    def model(self) -> MotionTransformer:
        """The network being trained."""
        return self.policy.transformer

    def warm_start(self, weights: dict[str, Tensor]) -> None:
        """Start from cloned `weights`, and keep a frozen copy as the reference of the KL term."""
        self.model.load_state_dict(weights)
        self.reference.load_state_dict(weights)

    def _setup_model(self) -> None:
        self._setup_lr_schedule()
        if self.env is not None:  # a loaded algorithm may get its environment later
            for name in ("sequence_task", "score_tokens", "utterances"):
                find_in_env(self.env, name)
        if self.seed is None:
            self.seed = int(np.random.SeedSequence().generate_state(1)[0] >> 1)
        self.set_random_seed(self.seed)
        self.policy = self.policy_class(  # type: ignore[assignment]
            self.observation_space, self.action_space, self.lr_schedule, **self.policy_kwargs
        )
        self.reference = MotionTransformer(self.model.config).requires_grad_(False).eval()
        self.reference.load_state_dict(self.model.state_dict())
        self.batch: EpisodeBatch | None = None
        self.rollout_buffer = None  # type: ignore[assignment]  # `batch` takes its place

    def _update_current_progress_remaining(self, num_timesteps: int, total_timesteps: int) -> None:
        super()._update_current_progress_remaining(num_timesteps, total_timesteps)
        # Whole episodes overshoot the total, and a schedule must not see less than nothing left.
        self._current_progress_remaining = max(0.0, self._current_progress_remaining)

    def _excluded_save_params(self) -> list[str]:
        return [*super()._excluded_save_params(), "reference", "batch"]

    def _get_torch_save_params(self) -> tuple[list[str], list[str]]:
        return ["policy", "policy.optimizer", "reference"], []

    def collect_rollouts(
        self,
        env: VecEnv,
        callback: BaseCallback,
        rollout_buffer: RolloutBuffer,
        n_rollout_steps: int,
    ) -> bool:
        """Write and score `n_episodes` whole episodes; return whether to go on."""
        assert self.seed is not None, "drawn in _setup_model"
        callback.on_rollout_start()
        utterances = np.repeat(self._draw_utterances(), self.samples_per_utterance)
        samples = occurrence_numbers(utterances)
        self.batch = self.compute_advantages(self._sample(utterances, samples))
        self._note_episodes(self.batch)
        for active in self.batch.inside.sum(axis=0):
            self.num_timesteps += int(active)
            callback.update_locals(locals())
            if not callback.on_step():
                return False
        callback.on_rollout_end()
        return True

    def _draw_utterances(self) -> IntArray:
        assert self.seed is not None, "drawn in _setup_model"
        pool: IntArray = find_in_env(self.env, "utterances")
        rng = np.random.default_rng([self.seed, self.n_iterations, 0])
        wanted = self.n_episodes // self.samples_per_utterance
        return rng.choice(pool, size=wanted, replace=wanted > len(pool))

    def _sample(self, utterances: IntArray, samples: IntArray) -> EpisodeBatch:
        assert self.seed is not None, "drawn in _setup_model"
        condition = self.task.condition_of(utterances)
        seeds = sequence_seeds(
            run=self.seed, iteration=self.n_iterations, utterances=utterances, samples=samples
        )
        rollout = generate(
            self.model,
            self.task,
            utterances,
            condition=condition,
            decoding=Decoding(temperature=1.0),
            seeds=seeds,
        )
        score: ScoreFunction = find_in_env(self.env, "score_tokens")
        scores = score(utterances, rollout.tokens, rollout.lengths, condition)
        if not np.isfinite(scores).all():
            bad = utterances[~np.isfinite(scores)]
            raise RuntimeError(f"scores must be finite, got NaN for utterances {bad.tolist()}")
        empty = np.zeros_like(rollout.log_probs)
        return EpisodeBatch(
            utterances=utterances,
            condition=condition,
            tokens=rollout.tokens,
            lengths=rollout.lengths,
            log_probs=rollout.log_probs,
            values=rollout.values,
            scores=scores,
            advantages=empty,
            returns=empty,
        )

    def _note_episodes(self, batch: EpisodeBatch) -> None:
        assert self.ep_info_buffer is not None, "made by learn"
        for score, length in zip(batch.scores.tolist(), batch.lengths.tolist(), strict=True):
            self.ep_info_buffer.append({"r": score, "l": length, "t": 0.0})

    def train(self) -> None:
        """Update the policy on the episodes of the last roll-out."""
        assert self.batch is not None and self.seed is not None, "`collect_rollouts` comes first"
        self.policy.set_training_mode(False)  # dropout would change the ratio
        self._update_learning_rate(self.policy.optimizer)
        rng = np.random.default_rng([self.seed, self.n_iterations, 1])
        advantages = scaled_advantages(self.batch)
        rows = [
            self._update(minibatch)
            for _ in range(self.n_epochs)
            for minibatch in advantages.minibatches(self.batch_size, rng=rng)
        ]
        self.n_iterations += 1
        self._n_updates = self.n_iterations
        for name in rows[0]:
            self.logger.record(f"train/{name}", float(np.mean([row[name] for row in rows])))
        self.logger.record("train/first_ratio_error", rows[0]["ratio_error"])
        self.logger.record("rollout/score", float(self.batch.scores.mean()))

    def _update(self, batch: EpisodeBatch) -> dict[str, float]:
        windows = torch.from_numpy(self.task.audio_windows(batch.utterances))
        condition, tokens = torch.from_numpy(batch.condition), torch.from_numpy(batch.tokens)
        logits, values = self.model(windows, condition, tokens)  # (N, L, K), (N, L)
        with torch.no_grad():
            reference, _ = self.reference(windows, condition, tokens)
        now = logits.log_softmax(-1)
        log_probs = now.gather(2, tokens.clamp(min=0)[..., None])[..., 0]  # (N, L)
        # The exact divergence over all tokens: no sampling noise, and never negative.
        kl = functional.kl_div(reference.log_softmax(-1), now, reduction="none", log_target=True)
        entropy = -(now.exp() * now).sum(-1)
        inside = torch.from_numpy(batch.inside)
        value_error = (values - torch.from_numpy(batch.returns)).square()
        policy_loss = self.policy_loss(batch, log_probs)[inside].mean()
        loss = (
            policy_loss
            + self.vf_coef * value_error[inside].mean()
            + self.kl_coef * kl.sum(-1)[inside].mean()
            - self.ent_coef * entropy[inside].mean()
        )
        if not torch.isfinite(loss):
            bad = batch.utterances.tolist()
            raise RuntimeError(
                f"loss must be finite, got {loss} in iteration {self.n_iterations}, "
                f"utterances {bad}"
            )
        self.policy.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.max_grad_norm)
        ratio = (log_probs.detach() - torch.from_numpy(batch.log_probs)).exp()[inside]
        self.policy.optimizer.step()
        return {
            "policy_loss": policy_loss.item(),
            "value_loss": value_error[inside].mean().item(),
            "kl": kl.sum(-1)[inside].mean().item(),
            "entropy": entropy[inside].mean().item(),
            "ratio_error": (ratio - 1).abs().max().item(),
        }


def scaled_advantages(batch: EpisodeBatch) -> EpisodeBatch:
    """Return `batch` with advantages divided by their root mean square over all tokens.

    Their mean is left alone: what to take off is the baseline's business, not the scale's. Where
    all are as good as zero there is nothing to learn, and rounding must not be blown up.
    """
    inside = batch.advantages[batch.inside].astype(np.float64)
    size = np.sqrt(np.mean(inside**2))
    noise = 1e-5 * (1.0 + np.abs(batch.scores).max())
    factor = 1.0 / size if size > noise else 0.0
    return replace(batch, advantages=(batch.advantages * factor).astype(np.float32))


def occurrence_numbers(values: IntArray) -> IntArray:
    """Return how often each of `values` (N,) has come before, so that repeats can differ."""
    order = np.argsort(values, kind="stable")
    ordered = values[order]
    first = np.searchsorted(ordered, ordered, side="left")
    numbers = np.empty(len(values), dtype=np.int64)
    numbers[order] = np.arange(len(values)) - first
    return numbers


def spread(per_episode: FloatArray, batch: EpisodeBatch) -> FloatArray:
    """Return `per_episode` (N,) at every token of its episode, (N, L), 0 in padding."""
    return np.where(batch.inside, per_episode[:, None], 0).astype(np.float32)
