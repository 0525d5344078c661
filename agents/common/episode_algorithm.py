"""Collecting half of an on-policy algorithm: whole episodes of tokens, batched, with a KV cache.

Roll-outs go through the KV cache, and episodes are scored in batches when they end. What differs
from SB3's manners: `num_timesteps` counts tokens, and a roll-out ends with the last token of
`n_episodes` episodes.

Callbacks are called after the episodes are written, as if the environments had played them just
now: `on_step()` once per step of the `VecEnv`, which is one token in each environment, with
`rewards`, `dones` and `infos` among the `locals`, and all episodes as `batch`. With one environment
a call is a token, so `EvalCallback(eval_freq=5_000)` evaluates every 5,000 tokens and
`CheckpointCallback(save_freq=5_000)` saves as often; with more, divide by their number, as with
every algorithm of SB3.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar, cast

import numpy as np
import torch
from stable_baselines3.common.buffers import RolloutBuffer
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm
from stable_baselines3.common.policies import BasePolicy
from stable_baselines3.common.type_aliases import GymEnv, MaybeCallback, TensorDict
from stable_baselines3.common.vec_env import VecEnv
from torch import Tensor

from agents.collectors.collector import LOCAL, Collector, check_collector
from agents.common.advantages import (
    check_streams,
    check_terms,
    filled_by_stream,
    normalised_sum,
)
from agents.common.callback_frequencies import Plan
from agents.common.checks import check_env, check_n_episodes, check_reward_timing
from agents.common.credit import (
    CHUNK,
    TERMINAL,
    ChunkCredit,
    check_chunks,
    check_parts,
    filled_by_chunk,
)
from agents.common.spread import check_spread, measured, with_spread
from agents.faults import TrainingFault, where_to_go_on
from agents.network.transformer import MotionTransformer
from agents.policy import MotionPolicy
from agents.protocols import SequenceTask, StreamedTask, find_in_env, utterance_shares
from agents.rollout.buffer import EpisodeBatch, EpisodeBuffer
from agents.rollout.decoding import Decoding
from agents.rollout.episodes import draw_utterances, episode_info, vec_env_steps
from agents.rollout.wrapped_episodes import RolloutPlan
from agents.rollout.wrappers import Wrapping, survey
from agents.weights import check_fits
from esarm_env.core.errors import InputError
from esarm_env.core.types import WHOLE_FACE

if TYPE_CHECKING:
    from agents.common.update import Forward
    from agents.network.acceleration import Acceleration

Self = TypeVar("Self", bound="EpisodeAlgorithm")


class EpisodeAlgorithm(OnPolicyAlgorithm):
    """Collects whole episodes; the class to subclass is `SequenceAlgorithm`.

    It adds the update, and what checks environments and files (`CheckedAlgorithm`).
    """

    policy_aliases: ClassVar[dict[str, type[BasePolicy]]] = {"MotionPolicy": MotionPolicy}
    policy: MotionPolicy  # type: ignore[assignment]
    rollout_buffer: EpisodeBuffer | None  # type: ignore[assignment]
    renamed_settings: ClassVar[dict[str, str]] = {}
    last_checkpoint: str | None = None
    credit: str = TERMINAL
    chunk_discount: float = 0.7
    look_ahead_chunks: int = 1
    spread_coef: float = 0.0
    normalise_terms: bool = False
    collector: Collector = LOCAL
    stopped = False  # whether the algorithm itself has ended training
    _has_random_reference = False  # of a fresh algorithm, until `warm_start`

    def __init__(
        self,
        policy: str | type[MotionPolicy],
        env: GymEnv | str,
        *,
        n_episodes: int,
        samples_per_utterance: int,
        temperature: float,
        stream_advantages: bool,
        acceleration: Acceleration,
        collector: Collector | None,
        **settings: Any,
    ) -> None:
        """Set up the policy and, if `env` is given, find its task and its score function.

        Args:
            policy: `"MotionPolicy"` or a subclass of it.
            env: `ESARM-v0`, wrapped or vectorised in this process.
            n_episodes: Episodes per iteration, a multiple of `samples_per_utterance`.
            samples_per_utterance: Episodes of one iteration that share an utterance.
            temperature: At which tokens are sampled.
            stream_advantages: Whether each stream of tokens answers for its own score alone.
            acceleration: What may be traded for speed.
            collector: Who writes the episodes; None for this process.
            **settings: Of SB3's `OnPolicyAlgorithm`.

        Raises:
            ValueError: If `env` offers no task.
        """
        self.n_episodes, self.samples_per_utterance = n_episodes, samples_per_utterance
        self.temperature, self.stream_advantages = temperature, stream_advantages
        self.acceleration, self.collector = acceleration, check_collector(collector)
        self._compiled: Forward | None = None
        self.n_iterations = 0
        self._untrained_timesteps = 0
        self._has_random_reference = True
        super().__init__(
            policy,  # type: ignore[arg-type]
            env,
            n_steps=n_episodes,
            use_sde=False,
            sde_sample_freq=-1,
            **settings,
        )

    @abstractmethod
    def compute_advantages(self, batch: EpisodeBatch) -> EpisodeBatch:
        """Return `batch` with `advantages` and `returns` filled in, both (N, L).

        `batch` holds scores and, from the time of writing, log-probabilities and values. Advantages
        reach `policy_loss`; the value head is fitted to returns, with weight `vf_coef`.

        With `stream_advantages` it is called once per stream (`batch.stream`), and `batch` holds
        that stream's tokens and scores alone; with `credit="chunk"` once per chunk (`batch.chunk`)
        and stream, with their tokens alone, and their reward-to-go as scores.
        """

    @abstractmethod
    def check_settings(self) -> None:
        """Check all settings against each other, as they are now."""

    @property
    def batch(self) -> EpisodeBatch | None:
        """The episodes of `rollout_buffer`, padded, a fresh copy; None before the first."""
        return None if self.rollout_buffer is None else self.rollout_buffer.episodes()

    @property
    def task(self) -> SequenceTask:
        """The task behind the environment."""
        task: SequenceTask = find_in_env(self.env, "sequence_task")
        return task

    @property
    def model(self) -> MotionTransformer:
        """The network being trained."""
        return self.policy.transformer

    @property
    def forward(self) -> Forward:
        """The network's pass over whole sequences, compiled if so asked for."""
        if not self.acceleration.compile:
            return self.model
        if self._compiled is None:
            self._compiled = torch.compile(self.model, dynamic=True)
        return self._compiled

    def learn(
        self: Self,
        total_timesteps: int,
        callback: MaybeCallback = None,
        log_interval: int = 1,
        tb_log_name: str | None = None,
        reset_num_timesteps: bool = True,
        progress_bar: bool = False,
    ) -> Self:
        """As Stable-Baselines3's; a step is a token, and iterations are never cut.

        Args:
            total_timesteps: Stop after the iteration in which this many tokens are written.
            callback: One, or a list of them.
            log_interval: Iterations between two tables.
            tb_log_name: Name of the run for TensorBoard; by default that of the class.
            reset_num_timesteps: Count tokens anew.
            progress_bar: Show Stable-Baselines3's progress bar.
        """
        name = type(self).__name__ if tb_log_name is None else tb_log_name
        return super().learn(
            total_timesteps, callback, log_interval, name, reset_num_timesteps, progress_bar
        )

    def warm_start(self, clone: MotionTransformer | Mapping[str, Tensor]) -> None:
        """Start from a cloned network, and keep a frozen copy as the reference of the KL term.

        Args:
            clone: The network, or its weights by name.

        Raises:
            InputError: If it has other sizes than the policy; the message names them.
        """
        check_fits(clone, self.model, task=getattr(self, "task_fingerprint", None))
        weights = clone.state_dict() if isinstance(clone, MotionTransformer) else dict(clone)
        self.model.load_state_dict(weights)
        self.reference.load_state_dict(weights)
        self._has_random_reference = False

    def further_state(self) -> dict[str, Any]:
        """Return what a run goes on from beside weights and optimiser; nothing, unless overridden.

        For whoever saves states by parts, as the stages of a run do; `save` keeps all by itself.
        """
        return {}

    def load_further_state(self, state: Mapping[str, Any]) -> None:
        """Go on from what `further_state` returned."""

    def set_parameters(
        self,
        load_path_or_dict: str | TensorDict,
        exact_match: bool = True,
        device: torch.device | str = "auto",
        **how: Any,
    ) -> None:
        """As Stable-Baselines3's; they hold the reference of the KL term, too."""
        super().set_parameters(load_path_or_dict, exact_match, device, **how)
        self._has_random_reference = False

    def _setup_model(self) -> None:
        # Of a file that an older version saved.
        for old, new in self.renamed_settings.items():
            if old in self.__dict__:
                self.__dict__[new] = self.__dict__.pop(old)
        self.check_settings()
        self._setup_lr_schedule()
        self.acceleration.check_for(self.device)
        self._check_env()
        if self.seed is None:
            self.seed = int(np.random.SeedSequence().generate_state(1)[0] >> 1)
        self.set_random_seed(self.seed)
        self.policy = self.policy_class(  # type: ignore[assignment]
            self.observation_space, self.action_space, self.lr_schedule, **self.policy_kwargs
        ).to(self.device)
        frozen = MotionTransformer(self.model.config).requires_grad_(False).eval()
        self.reference = frozen.to(self.device)
        self.reference.load_state_dict(self.model.state_dict())
        self.rollout_buffer = None

    def _check_env(self) -> None:
        """Check that `env` suits the settings; `CheckedAlgorithm` checks its task."""
        if self.env is None:  # a loaded algorithm may get its environment later
            return
        check_env(self.env, action_space=self.action_space, obs_space=self.observation_space)
        check_reward_timing(self.env)
        check_n_episodes(self.n_episodes, n_envs=self.n_envs)
        if self.credit == CHUNK:
            check_chunks(self.env, by_stream=self.stream_advantages)
        elif self.stream_advantages:
            check_streams(self.env)
        if self.normalise_terms:
            check_terms(self.env)
        self._wrapping()

    def _setup_learn(
        self,
        total_timesteps: int,
        callback: MaybeCallback = None,
        reset_num_timesteps: bool = True,
        tb_log_name: str = "run",
        progress_bar: bool = False,
    ) -> tuple[int, BaseCallback]:
        base: Any = None if self.env is None else self.env.unwrapped
        options: list[Any] = getattr(base, "_options", [])
        if any(options):
            raise InputError(
                f"`set_options` must not be used before `learn`, got {options[0]}: it is for the "
                "next reset alone, and every episode of a roll-out is reset; pass options to "
                "`reset` in a wrapper of each environment"
            )
        total, ready = super()._setup_learn(
            total_timesteps, callback, reset_num_timesteps, tb_log_name, progress_bar
        )
        # A roll-out that was cut short is written again, and its tokens must not count twice.
        if not reset_num_timesteps:
            self.num_timesteps -= self._untrained_timesteps
            self._num_timesteps_at_start = self.num_timesteps
        self._untrained_timesteps = 0
        return total, ready

    def _plan(self, n_steps: int) -> Plan:
        lengths = self.task.lengths[find_in_env(self.env, "utterances")]
        per_iteration = self.n_episodes * float(lengths.mean())
        steps = round(-(-n_steps // per_iteration) * per_iteration)  # iterations are never cut
        call = "token" if self.n_envs == 1 else f"token in each of {self.n_envs} environments"
        return Plan(steps // self.n_envs, call, self.num_timesteps, steps)

    def _update_current_progress_remaining(self, num_timesteps: int, total_timesteps: int) -> None:
        super()._update_current_progress_remaining(num_timesteps, total_timesteps)
        # Whole episodes overshoot the total, and a schedule must not see less than nothing left.
        self._current_progress_remaining = max(0.0, self._current_progress_remaining)

    def _excluded_save_params(self) -> list[str]:
        return [*super()._excluded_save_params(), "reference", "_compiled", "collector"]

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
        callback.on_rollout_start()
        try:
            batch = self._filled(self._write_episodes())
        except TrainingFault as fault:
            raise self._located(fault) from fault
        self.rollout_buffer = EpisodeBuffer.pack(batch)
        callback.update_locals({"self": self, "env": env, "batch": batch})
        for rewards, dones, infos in vec_env_steps(batch, n_envs=env.num_envs):
            self.num_timesteps += len(dones)
            self._untrained_timesteps += len(dones)
            callback.update_locals({"rewards": rewards, "dones": dones, "infos": infos})
            if not callback.on_step():
                return False
        self._note_episodes(batch)
        callback.on_rollout_end()
        return True

    def _located(self, fault: TrainingFault) -> TrainingFault:
        """Return `fault` with where it happened, and from where to go on."""
        place = f"at step {self.num_timesteps} (iteration {self.n_iterations})"
        return TrainingFault(f"{fault}, {place}; {where_to_go_on(self.last_checkpoint)}")

    def _write_episodes(self) -> EpisodeBatch:
        assert self.seed is not None, "drawn in _setup_model"
        assert self.env is not None, "checked by `learn`"
        rng = np.random.default_rng([self.seed, self.n_iterations, 0])
        wanted = self.n_episodes // self.samples_per_utterance
        pool, shares = find_in_env(self.env, "utterances"), utterance_shares(self.env)
        drawn = draw_utterances(pool, size=wanted, rng=rng, shares=shares)
        plan = RolloutPlan(
            utterances=np.repeat(drawn, self.samples_per_utterance),
            samples_per_utterance=self.samples_per_utterance,
            run_seed=self.seed,
            iteration=self.n_iterations,
            decoding=Decoding(temperature=self.temperature),
            by_stream=self.stream_advantages,
            by_chunk=self.credit == CHUNK,
            by_term=self.normalise_terms,
            acceleration=self.acceleration,
        )
        batch = self.collector.collect(self.model, self.env, plan, self._wrapping())
        return measured(batch, self.task) if self.spread_coef else batch

    def _wrapping(self) -> Wrapping:
        """Return what wrappers there are now; they may have been switched since the last time."""
        assert self.env is not None, "checked by `learn`"
        lengths = self.task.lengths[find_in_env(self.env, "utterances")]
        found = survey(self.env, longest=int(lengths.max()))
        parts = (self.credit, self.stream_advantages, self.normalise_terms)
        check_parts(self.env, found.names, *parts)
        if self.spread_coef:
            check_spread(self.env, found.names)
        return found

    def _filled(self, batch: EpisodeBatch) -> EpisodeBatch:
        """Return `batch` with advantages and returns, by stream and by chunk if so asked for."""
        paid = batch
        if self.spread_coef:
            streams = cast(StreamedTask, self.task).token_streams
            paid = with_spread(batch, streams, spread_coef=self.spread_coef)
        elif self.normalise_terms:
            weights = find_in_env(self.env, "reward_weights")
            scores = normalised_sum(batch.term_scores, weights, batch.utterances)
            paid = replace(batch, scores=scores)
        task, by_stream = cast(StreamedTask, self.task), self.stream_advantages
        if self.credit == CHUNK:
            rule = ChunkCredit(self.chunk_discount, self.look_ahead_chunks, by_stream)
            streams = getattr(task, "token_streams", (WHOLE_FACE,) * task.tokens_per_chunk)
            filled = filled_by_chunk(paid, streams, rule, self.compute_advantages)
        elif by_stream:
            filled = filled_by_stream(paid, task.token_streams, self.compute_advantages)
        else:
            filled = self.compute_advantages(paid)
        return replace(batch, advantages=filled.advantages, returns=filled.returns)

    def _note_episodes(self, batch: EpisodeBatch) -> None:
        assert self.ep_info_buffer is not None, "made by learn"
        self.ep_info_buffer.extend(episode_info(batch, number) for number in range(len(batch)))
