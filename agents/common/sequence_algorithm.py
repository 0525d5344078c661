"""On-policy algorithm on whole sequences: the base class of PPO, REINFORCE, GRPO and your own.

An update sees whole sequences: one forward pass gives every log-probability and value. A subclass
says what its advantages are and what its policy loss is.
"""

from __future__ import annotations

import warnings
from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

import numpy as np
import torch
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.type_aliases import GymEnv, Schedule
from torch import Tensor

from agents.common.advantages import leave_one_out, per_token, scaled_advantages
from agents.common.checked_algorithm import CheckedAlgorithm
from agents.common.checkpoint_values import check_learning_rate
from agents.common.checks import (
    check_counts,
    check_divergence,
    check_episodes,
    check_shares,
    check_temperature,
    check_term_settings,
)
from agents.common.credit import TERMINAL, check_credit
from agents.common.episode_algorithm import EpisodeAlgorithm
from agents.common.spread import check_spread_coef
from agents.common.update import (
    LossWeights,
    OwnEpisodes,
    adapted_kl_coef,
    combined_loss,
    has_moved_too_far,
    ratio_figures,
    token_terms,
)
from agents.faults import TrainingFault, names_of
from agents.interpolation import move_towards
from agents.network.acceleration import PLAIN, Acceleration
from agents.network.transformer import MotionTransformer
from agents.weights import load_policy, sizes_like
from esarm_env.core.deprecation import renamed_arguments, renamed_attribute
from esarm_env.core.training.replicas import agreed

if TYPE_CHECKING:
    from agents.collectors.collector import Collector
    from agents.policy import MotionPolicy
    from agents.rollout.buffer import EpisodeBatch, EpisodeBuffer

RENAMED = {"batch_size": "batch_tokens", "kl_target": "reference_kl_target"}
Self = TypeVar("Self", bound="SequenceAlgorithm")


class SequenceAlgorithm(EpisodeAlgorithm, CheckedAlgorithm):
    """Collect whole episodes, then update on whole sequences.

    An algorithm of your own overrides `policy_loss`, called per minibatch, and, if its advantages
    are not those of `compute_advantages`, that method, too, called once per iteration with the
    finished, scored episodes. Value loss, divergence from the reference, entropy bonus, clipping of
    gradients, schedules, logging, saving and resumption come from here. State of your own, set in
    `__init__` before `super().__init__`, is saved with the rest if it is plain data (numbers,
    texts, lists, dictionaries, arrays, tensors, dataclasses among `saved_types`); change it in
    `train`, after `super().train()`, so that a roll-out that a callback cuts short leaves no trace.

    A run is resumed by `load(path, env=env)` and `learn(total - model.num_timesteps,
    reset_num_timesteps=False)`, with the total of the run that was stopped: schedules then see one
    run, and on a CPU its weights are bit for bit those of a run that was never stopped. A roll-out
    that was cut short is written again.

    Attributes:
        scale_advantages: Whether advantages are divided by their root mean square before an update;
            set False where `compute_advantages` gives them their scale.
        fixed_settings: Arguments of this class that a subclass sets itself, and does not take.
        rollout_buffer: The episodes of the last roll-out, or None; `batch` is a padded copy.
        reference: The frozen network of the divergence term.
        n_iterations: Iterations trained so far.
        kl_coef: The coefficient in force; `reference_kl_target` changes it after every iteration.

    Args:
        policy: `"MotionPolicy"` or a subclass of it.
        env: `ESARM-v0`, wrapped or vectorised in this process.
        learning_rate: Of AdamW; a schedule gets the remaining progress (1 to 0).
        n_episodes: Episodes per iteration.
        batch_tokens: Tokens per minibatch: a minibatch holds whole episodes of similar length, and
            their number times the longest is at most this (an episode that is longer is a
            minibatch of its own). None puts all episodes into one.
        n_epochs: Passes over an iteration's episodes.
        gamma: Discount; 1 because the only reward comes at the end.
        gae_lambda: See `terminal_gae`.
        ent_coef: Weight of the entropy bonus.
        vf_coef: Weight of the value loss.
        max_grad_norm: Gradients are clipped to this norm.
        kl_coef: Weight of the mean divergence per token from the reference (warm start); 0 also
            saves the reference's forward pass, and leaves `train/kl` out of the log.
        reference_kl_target: Divergence per token from the reference, in nats, that `kl_coef` is
            adapted to; None keeps it fixed. See `adapted_kl_coef`.
        reference_averaging: Share of the way that the reference moves towards the policy after
            every iteration, as WARP's moving anchor does; 0 keeps the clone.
        target_kl: Where a minibatch's `approx_kl` from the policy that wrote the episodes is over
            1.5 times this, the rest of the iteration's minibatches is skipped; None skips none.
        loss_mean: `"token"` or `"sequence"`, how all losses are averaged; see `mean_of_tokens`.
        samples_per_utterance: Episodes of one iteration that share an utterance.
        temperature: At which tokens are sampled while learning, above 0. Ratio, divergence and
            entropy are those of this tempered policy; `predict` samples at 1.
        stream_advantages: Whether a token's advantage comes from the score of its own stream
            (mouth, upper face) alone; the environment's reward must give scores by stream.
        credit: `"terminal"`: a token answers for the score of its episode. `"chunk"`: for what its
            chunk and later ones earned, compared with the same chunk of other episodes; `gamma` and
            `gae_lambda` act within a chunk then. See `agents.common.credit`.
        chunk_discount: Of later chunks with `credit="chunk"`; 1 is unbiased with the look-ahead.
        look_ahead_chunks: Chunks before its own that a token answers for, since decoding joins
            neighbours: 1 holds all but 2 % of the reach of the shipped tokenizer, 2 all.
        spread_coef: Weight of half the mean distance of an utterance's samples, LVE + EVE in mm,
            beside the score: 1 turns minus LVE + EVE into minus the energy score, 0.5 `accuracy`,
            their mean. See `agents.common.spread`.
        normalise_terms: Whether each term of the reward is normalised within an utterance's samples
            before they are weighed and added up (GDPO); see `normalised_sum`.
        stats_window_size: Episodes in the running means that the logger prints.
        tensorboard_log: Folder for TensorBoard, or None.
        policy_kwargs: For `MotionPolicy`.
        verbose: 0 silent, 1 a table per iteration.
        seed: Fixes utterances, samples and minibatches; None draws one.
        device: Where the networks are: `"cpu"`, `"cuda"`, ... The environment and the buffer stay
            on the CPU. Runs are bit for bit repeatable on a CPU alone.
        acceleration: What may be traded for speed, chiefly on a GPU; by default nothing.
        collector: Who writes the episodes: None for this process, or `agents.RayCollector(2)`.

    Raises:
        ValueError: If a setting is out of range, `n_episodes` is no multiple of
            `samples_per_utterance`, or `env` offers no task.
    """

    scale_advantages: ClassVar[bool] = True
    fixed_settings: ClassVar[frozenset[str]] = frozenset()
    renamed_settings: ClassVar[dict[str, str]] = RENAMED
    saved_types: ClassVar[tuple[type, ...]] = (Acceleration,)

    batch_size = renamed_attribute("batch_size", "batch_tokens")
    kl_target = renamed_attribute("kl_target", "reference_kl_target")

    @renamed_arguments(**RENAMED)
    def __init__(
        self,
        policy: str | type[MotionPolicy],
        env: GymEnv | str,
        *,
        learning_rate: float | Schedule = 1e-4,
        n_episodes: int = 64,
        batch_tokens: int | None = 2048,
        n_epochs: int = 1,
        gamma: float = 1.0,
        gae_lambda: float = 1.0,
        ent_coef: float = 0.0,
        vf_coef: float = 0.5,
        max_grad_norm: float = 1.0,
        kl_coef: float = 0.3,
        reference_kl_target: float | None = None,
        reference_averaging: float = 0.0,
        target_kl: float | None = None,
        loss_mean: str = "token",
        samples_per_utterance: int = 4,
        temperature: float = 1.0,
        stream_advantages: bool = False,
        credit: str = TERMINAL,
        chunk_discount: float = 0.7,
        look_ahead_chunks: int = 1,
        spread_coef: float = 0.0,
        normalise_terms: bool = False,
        stats_window_size: int = 100,
        tensorboard_log: str | None = None,
        policy_kwargs: dict[str, Any] | None = None,
        verbose: int = 0,
        seed: int | None = None,
        device: str = "cpu",
        acceleration: Acceleration = PLAIN,
        collector: Collector | None = None,
        _init_setup_model: bool = True,
    ) -> None:
        """Set up the policy and, if `env` is given, find its task and its score function."""
        self.batch_tokens, self.n_epochs, self.loss_mean = batch_tokens, n_epochs, loss_mean
        self.kl_coef, self.target_kl = kl_coef, target_kl
        self.reference_kl_target = reference_kl_target
        self.reference_averaging = reference_averaging
        self.credit, self.chunk_discount = credit, chunk_discount
        self.look_ahead_chunks, self.spread_coef = look_ahead_chunks, spread_coef
        self.normalise_terms = normalise_terms
        super().__init__(
            policy,
            env,
            n_episodes=n_episodes,
            samples_per_utterance=samples_per_utterance,
            temperature=temperature,
            stream_advantages=stream_advantages,
            acceleration=acceleration,
            collector=collector,
            learning_rate=learning_rate,
            gamma=gamma,
            gae_lambda=gae_lambda,
            ent_coef=ent_coef,
            vf_coef=vf_coef,
            max_grad_norm=max_grad_norm,
            stats_window_size=stats_window_size,
            tensorboard_log=tensorboard_log,
            policy_kwargs=policy_kwargs,
            verbose=verbose,
            seed=seed,
            device=device,
            _init_setup_model=_init_setup_model,
        )

    @classmethod
    def from_clone(
        cls: type[Self],
        clone: MotionTransformer | str | Path | None,
        env: GymEnv | str,
        *,
        policy: str | type[MotionPolicy] = "MotionPolicy",
        policy_kwargs: dict[str, Any] | None = None,
        **settings: Any,
    ) -> Self:
        """Return an algorithm that starts from a cloned network and takes over all its sizes.

        Args:
            clone: A network; a policy file or a run folder (see `load_policy`); `"shipped"` or None
                for the clone that ships with the package.
            env: As of the class.
            policy: As of the class.
            policy_kwargs: As of the class, without `network`.
            **settings: All others of the class.

        Raises:
            InputError: If `policy_kwargs` has sizes of its own, or the clone was made for another
                tokenizer, corpus or observation than those of `env`.
        """
        network = clone if isinstance(clone, MotionTransformer) else load_policy(clone)
        given = sizes_like(network, policy_kwargs)
        made = cls(policy, env, policy_kwargs=given, **settings)
        made.warm_start(network)
        return made

    def check_settings(self) -> None:
        """Check all settings against each other, as they are now; a subclass checks its own, too.

        Raises:
            ValueError: If one is out of range.
        """
        check_learning_rate(self.learning_rate)
        check_episodes(n_episodes=self.n_episodes, samples_per_utterance=self.samples_per_utterance)
        batch_tokens = 1 if self.batch_tokens is None else self.batch_tokens
        check_counts(n_epochs=self.n_epochs, batch_tokens=batch_tokens)
        check_temperature(self.temperature)
        check_shares(gamma=self.gamma, gae_lambda=self.gae_lambda)
        check_shares(reference_averaging=self.reference_averaging)
        check_credit(self.credit, self.chunk_discount, self.look_ahead_chunks)
        check_spread_coef(self.spread_coef, self.samples_per_utterance)
        check_term_settings(vars(self))
        check_divergence(
            kl_coef=self.kl_coef,
            reference_kl_target=self.reference_kl_target,
            target_kl=self.target_kl,
            loss_mean=self.loss_mean,
        )

    def compute_advantages(self, batch: EpisodeBatch) -> EpisodeBatch:
        """Return `batch` with `advantages` and `returns`; see `agents.EpisodeAlgorithm`.

        Unless overridden, an episode's advantage is its score minus the mean of its utterance's
        other samples, or of all episodes where `samples_per_utterance` is 1; the same at every
        token, as its return is the score.
        """
        if self.samples_per_utterance > 1:
            advantage = leave_one_out(batch.scores, batch.utterances)
        else:
            advantage = batch.scores - batch.scores.mean()
        return replace(
            batch, advantages=per_token(advantage, batch), returns=per_token(batch.scores, batch)
        )

    @abstractmethod
    def policy_loss(self, batch: EpisodeBatch, log_probs: Tensor) -> Tensor:
        """Return the loss of every token, (N, L), given its `log_probs` (N, L) now.

        What stands in padding is ignored. `batch` is a minibatch with its advantages.
        """

    @property
    def is_warming_up(self) -> bool:
        """Whether the value head alone learns in this iteration; never, unless overridden."""
        return False

    def train(self) -> None:
        """Update the policy on the episodes of the last roll-out."""
        buffer = self.rollout_buffer = agreed(self.rollout_buffer)
        assert buffer is not None and self.seed is not None, "`collect_rollouts` comes first"
        self.policy.set_training_mode(False)  # dropout would change the ratio
        self._update_learning_rate(self.policy.optimizer)
        rng = np.random.default_rng([self.seed, self.n_iterations, 1])
        is_scaled = self.scale_advantages or self.normalise_terms
        scaled = scaled_advantages(buffer) if is_scaled else buffer
        rows: list[dict[str, float]] = []
        for minibatch in self._minibatches(scaled, rng):
            rows.append(self._update(minibatch))
            if has_moved_too_far(rows[-1]["approx_kl"], self.target_kl):
                break
        means = {name: float(np.mean([row[name] for row in rows])) for name in rows[0]}
        self._log(means, rows)
        target = self.reference_kl_target
        if target is not None and not self.is_warming_up:
            self.kl_coef = adapted_kl_coef(self.kl_coef, kl=means["kl"], target=target)
        if self.reference_averaging and not self.is_warming_up:
            move_towards(self.reference, self.model, share=self.reference_averaging)
        self.n_iterations += 1
        self._n_updates = self.n_iterations
        self._untrained_timesteps = 0

    def _check_env(self) -> None:
        EpisodeAlgorithm._check_env(self)
        CheckedAlgorithm._check_env(self)

    def _setup_learn(self, *args: Any, **kwargs: Any) -> tuple[int, BaseCallback]:
        if self.kl_coef > 0 and self._has_random_reference:
            warnings.warn(
                f"`kl_coef` is {self.kl_coef} and nothing was cloned: the divergence is that from "
                "the random weights the policy began with; make the algorithm with `from_clone`, "
                "call `warm_start`, or set `kl_coef=0`",
                stacklevel=4,
            )
            self._has_random_reference = False  # said once
        return super()._setup_learn(*args, **kwargs)

    def _minibatches(
        self, buffer: EpisodeBuffer, rng: np.random.Generator
    ) -> Iterator[EpisodeBatch]:
        for _ in range(self.n_epochs):
            yield from buffer.minibatches(self.batch_tokens, rng=rng)

    def _log(self, means: dict[str, float], rows: list[dict[str, float]]) -> None:
        assert self.rollout_buffer is not None, "`train` has updated on it"
        for name, value in means.items():
            self.logger.record(f"train/{name}", value)
        self.logger.record("train/first_ratio_error", rows[0]["ratio_error"])
        self.logger.record("train/n_minibatches", len(rows))
        self.logger.record("train/kl_coef", self.kl_coef)
        for name, value in self.rollout_buffer.figures().items():
            self.logger.record(f"rollout/{name}", value)

    def _update(self, batch: EpisodeBatch) -> dict[str, float]:
        """Take one step on `batch`, if the policy has not moved too far; return the figures."""
        own = OwnEpisodes(batch)
        terms = token_terms(
            self.forward,
            self.reference if self.kl_coef > 0 else None,
            self.task,
            own.batch,
            temperature=self.temperature,
            device=self.device,
            acceleration=self.acceleration,
        )
        weights = LossWeights(
            vf_coef=self.vf_coef,
            kl_coef=self.kl_coef,
            ent_coef=self.ent_coef,
            loss_mean=self.loss_mean,
        )
        policy_loss = self.policy_loss(own.batch, terms.log_probs)
        loss, means = combined_loss(own.batch, terms, policy_loss, weights)
        share = own.share_of_mean(self.loss_mean)
        total, figures = own.summed(loss * share, {k: v * share for k, v in means.items()})
        self._check_finite(total, batch, name="loss")
        figures |= ratio_figures(own.batch, terms.log_probs, part=own.part)
        if not has_moved_too_far(figures["approx_kl"], self.target_kl):
            self._step(loss * share, batch, own)
        return figures

    def _check_finite(self, value: Tensor, batch: EpisodeBatch, *, name: str) -> None:
        if not torch.isfinite(value):
            where = names_of(self.task, batch.utterances)
            fault = TrainingFault(f"{name} must be finite, got {value.item()} for {where}")
            raise self._located(fault)

    def _step(self, loss: Tensor, batch: EpisodeBatch, own: OwnEpisodes) -> None:
        part = self.model.to_value if self.is_warming_up else self.model
        trained = [each for each in part.parameters() if each.requires_grad]
        norm = own.step_down(loss, self.policy.optimizer, trained, self.max_grad_norm)
        # A finite loss may have none; after such a step no checkpoint would be good any more.
        self._check_finite(norm, batch, name="gradient norm")
