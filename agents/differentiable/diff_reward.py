"""Gradient of a learned reward through decoder and sampled tokens, into the policy (DiffRO).

Instead of asking how good a whole animation was and crediting every token alike, each token is told
by the reward model's own slope what another code in its place would have done (Gao et al. 2025,
arXiv:2507.05911, for speech tokens).
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from stable_baselines3.common.type_aliases import GymEnv
from torch import Tensor
from torch.nn import functional

from agents.common.checks import check_counts
from agents.common.sequence_algorithm import SequenceAlgorithm
from agents.common.update import (
    LossWeights,
    OwnEpisodes,
    combined_loss,
    ratio_figures,
    token_terms,
)
from agents.differentiable.choices import ESTIMATORS, GUMBEL, choose_straight_through
from agents.differentiable.guard import (
    AUTO,
    DISAGREEMENT,
    Look,
    compared,
    guard_figures,
    resolve_guard,
)
from agents.faults import TrainingFault
from agents.network.acceleration import PLAIN
from agents.network.transformer import MotionTransformer
from agents.protocols import find_in_env
from agents.rollout.decoding import Decoding
from agents.rollout.wrapped_episodes import RolloutPlan
from esarm_env.core.errors import InputError
from esarm_env.core.training.replicas import Part, agreed
from esarm_env.core.types import Trajectories

if TYPE_CHECKING:
    from stable_baselines3.common.buffers import RolloutBuffer
    from stable_baselines3.common.callbacks import BaseCallback
    from stable_baselines3.common.vec_env import VecEnv

    from agents.policy import MotionPolicy
    from agents.rollout.buffer import EpisodeBatch
    from agents.rollout.wrappers import Wrapping
    from esarm_env.core.types import DoubleArray

TOLERANCE = 1e-3  # between `score` and its differentiable twin, relative to 1 + |score|


class SequenceDiffReward(SequenceAlgorithm):
    """Reward gradient through straight-through choices; see `SequenceAlgorithm`.

    Episodes are sampled as by every algorithm here. One pass over them gives the logits; choices
    among tokens (`agents.differentiable.choices`) go through the environment's reward, which must
    have `differentiable_score` in every term that counts, and its slope goes back into the logits.
    An episode's score is spread over its tokens, so `kl_coef` weighs as in the other algorithms.

    A slope finds the holes of a reward faster than samples do. Against that stand the divergence
    from the reference; a lower bound, the score less `caution` times the ensemble's spread; and the
    `guard`, which is looked at and not climbed. Where it says stop, the weights of its last good
    look are put back and training ends (`stopped`).

    Attributes:
        kept: The network at the guard's last good look.
        stopped: Whether the guard has ended training; set False to go on all the same.
        looks: What the guard has said in this process, oldest first.
    """

    scale_advantages: ClassVar[bool] = False  # nothing is made of them
    fixed_settings: ClassVar[frozenset[str]] = frozenset(
        {"vf_coef", "gamma", "gae_lambda", "n_epochs", "target_kl"}
    )

    def __init__(
        self,
        policy: str | type[MotionPolicy],
        env: GymEnv | str,
        *,
        estimator: str = GUMBEL,
        relaxation: float = 1.0,
        caution: float = 1.0,
        guard: str | None = AUTO,
        guard_every: int = 5,
        guard_utterances: int = 32,
        guard_tolerance: float = 0.25,
        kl_coef: float = 0.03,
        samples_per_utterance: int = 1,
        **kwargs: Any,
    ) -> None:
        """Add what the gradient is made of and what guards it to the base's arguments.

        Args:
            policy: `"MotionPolicy"` or a subclass of it.
            env: `ESARM-v0`, wrapped or vectorised in this process.
            estimator: `"gumbel"`, `"straight-through"` or `"reinmax"`; see
                `agents.differentiable.choices`.
            relaxation: Temperature of the soft choices of `gumbel`, above 0.
            caution: Weight of the ensemble's standard deviation that is taken off the score, at
                least 0; a reward of one member has none.
            guard: `"disagreement"` (of the ensemble), the name of a term of the reward (one of
                weight 0 is watched alone), `"recorded"` (the log-odds, by a head of the reward, of
                being a recording and no sample), or `"auto"`, see `resolve_guard`; None looks at
                nothing.
            guard_every: Iterations between two looks.
            guard_utterances: Utterances that it looks at, at least 2, drawn once.
            guard_tolerance: How far the guard may fall below the reference, in units of its spread
                among utterances, at least 0: what matters is that the interval of the change lies
                below.
            kl_coef: As of the base; a slope is less noisy than samples, and is held back too much
                by their 0.3.
            samples_per_utterance: Episodes of one iteration that share an utterance: no baseline
                needs them, and more utterances tell more.
            **kwargs: Of `SequenceAlgorithm`, without `vf_coef`, `gamma`, `gae_lambda`, `n_epochs`
                and `target_kl`, which one pass without a value head has no use for. With
                `stream_advantages` scores are logged by stream; whose token earned what, the
                gradient knows by itself.

        Raises:
            ValueError: If a setting is out of range, or the reward of `env` has no gradient.
        """
        self.estimator, self.relaxation, self.caution = estimator, relaxation, caution
        self.guard, self.guard_every = guard, guard_every
        self.guard_utterances, self.guard_tolerance = guard_utterances, guard_tolerance
        self.stopped = False
        self.looks: list[Look] = []
        self._before: DoubleArray | None = None  # the guard's figures of the reference
        super().__init__(
            policy,
            env,
            kl_coef=kl_coef,
            samples_per_utterance=samples_per_utterance,
            n_epochs=1,
            vf_coef=0.0,
            gamma=1.0,
            gae_lambda=1.0,
            target_kl=None,
            **kwargs,
        )

    def check_settings(self) -> None:
        """Check all settings, as they are now.

        Raises:
            ValueError: If one is out of range.
        """
        if self.estimator not in ESTIMATORS:
            raise ValueError(
                f"`estimator` must be one of {', '.join(ESTIMATORS)}, got {self.estimator!r}"
            )
        if not self.relaxation > 0:
            raise ValueError(f"`relaxation` must be above 0, got {self.relaxation}")
        for name in ("caution", "guard_tolerance"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"`{name}` must be at least 0, got {getattr(self, name)}")
        check_counts(guard_every=self.guard_every)
        if self.guard_utterances < 2:
            raise ValueError(f"`guard_utterances` must be at least 2, got {self.guard_utterances}")
        super().check_settings()

    def warm_start(self, clone: MotionTransformer | Mapping[str, Tensor]) -> None:
        """As of the base; the guard compares with this clone from here on."""
        super().warm_start(clone)
        self.kept.load_state_dict(self.model.state_dict())
        self.stopped, self._before = False, None

    def policy_loss(self, batch: EpisodeBatch, log_probs: Tensor) -> Tensor:
        """Refuse: the loss comes from the choices among tokens, not from log-probabilities.

        Raises:
            TypeError: Always; override `choice_loss` in an algorithm of your own.
        """
        raise TypeError("`SequenceDiffReward` has `choice_loss` in place of `policy_loss`")

    def choice_loss(self, batch: EpisodeBatch, choices: Tensor) -> tuple[Tensor, dict[str, float]]:
        """Return the loss of every token, (N, L), and figures for the log.

        Args:
            batch: Episodes.
            choices: Shape (N, L, n_tokens), on the CPU, one-hot at their tokens.

        Raises:
            TrainingFault: If the reward scores the same tokens otherwise than `score` did.
        """
        reward = find_in_env(self.env, "reward_function")
        told = reward.differentiable_score(
            choices, batch.utterances, batch.lengths, batch.condition
        )
        _check_alike(told.score.detach().numpy(), batch.scores)
        bound = told.score - self.caution * told.spread
        # Spread over the tokens, as the divergence is.
        per_token = -(bound / torch.from_numpy(batch.lengths))[:, None]
        figures = {"lower_bound": bound.mean().item(), "spread": told.spread.mean().item()}
        return per_token.expand(batch.tokens.shape), figures

    def train(self) -> None:
        """Update the policy on the episodes of the last roll-out, then ask the guard."""
        super().train()
        if self.n_iterations % self.guard_every == 0:
            self._look()

    def collect_rollouts(
        self,
        env: VecEnv,
        callback: BaseCallback,
        rollout_buffer: RolloutBuffer,
        n_rollout_steps: int,
    ) -> bool:
        """Write `n_episodes` whole episodes; return whether to go on, not after a stop."""
        if self.stopped:
            return False
        return super().collect_rollouts(env, callback, rollout_buffer, n_rollout_steps)

    def further_state(self) -> dict[str, Any]:
        """Return what `load_further_state` goes on from beside weights and optimiser."""
        return {"kept": self.kept.state_dict(), "stopped": self.stopped}

    def load_further_state(self, state: Mapping[str, Any]) -> None:
        """Go on from what `further_state` returned; older states have none."""
        if not state:
            return
        self.kept.load_state_dict(state["kept"])
        self.stopped = state["stopped"]

    def _setup_model(self) -> None:
        super()._setup_model()
        kept = MotionTransformer(self.model.config).requires_grad_(False).eval()
        self.kept = kept.to(self.device)
        self.kept.load_state_dict(self.model.state_dict())

    def _check_env(self) -> None:
        super()._check_env()
        self._before = None
        if self.env is None:
            return
        reward = find_in_env(self.env, "reward_function")
        silent = getattr(reward, "without_gradient", ())
        if silent or not hasattr(reward, "differentiable_score"):
            raise InputError(
                "`env` must have a reward with a gradient to the tokens, got "
                f"{', '.join(silent) or reward} without `differentiable_score`; take `learned`, "
                "`ensemble`, `accuracy`, `lve` or `eve`, give such a term the weight 0 to watch it "
                "only, or use another algorithm, such as `SequencePPO`"
            )
        resolve_guard(self.guard, reward)

    def _setup_learn(self, *args: Any, **kwargs: Any) -> tuple[int, BaseCallback]:
        if self.stopped:
            warnings.warn(
                f"the guard stopped training at iteration {self.n_iterations}; set `stopped` to "
                "False to go on all the same",
                stacklevel=4,
            )
        return super()._setup_learn(*args, **kwargs)

    def _wrapping(self) -> Wrapping:
        found = super()._wrapping()
        if found.names:
            raise InputError(
                "`env` must have no wrappers that may change the score, whose gradient they do not "
                f"know, got {found.names}; use another algorithm, such as `SequencePPO`"
            )
        return found

    def _excluded_save_params(self) -> list[str]:
        return [*super()._excluded_save_params(), "kept", "looks", "_before"]

    def _get_torch_save_params(self) -> tuple[list[str], list[str]]:
        states, variables = super()._get_torch_save_params()
        return [*states, "kept"], variables

    def _update(self, batch: EpisodeBatch) -> dict[str, float]:
        """Take one step on `batch`; return the figures."""
        own = OwnEpisodes(batch)
        heard: list[Tensor] = []

        def forward(windows: Tensor, condition: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor]:
            logits, values = self.forward(windows, condition, tokens)
            heard.append(logits)
            return logits, values

        terms = token_terms(
            forward,
            self.reference if self.kl_coef > 0 else None,
            self.task,
            own.batch,
            temperature=self.temperature,
            device=self.device,
            acceleration=self.acceleration,
        )
        policy_loss, told = self.choice_loss(own.batch, self._choices(heard[0], batch, own.part))
        weights = LossWeights(
            vf_coef=0.0, kl_coef=self.kl_coef, ent_coef=self.ent_coef, loss_mean=self.loss_mean
        )
        loss, means = combined_loss(own.batch, terms, policy_loss.to(self.device), weights)
        share, by_row = own.share_of_mean(self.loss_mean), own.share_of_mean("sequence")
        shares = {name: share * mean for name, mean in means.items()}
        shares |= {name: by_row * mean for name, mean in told.items()}
        total, figures = own.summed(loss * share, shares)
        self._check_finite(total, batch, name="loss")
        self._step(loss * share, batch, own)
        return figures | ratio_figures(own.batch, terms.log_probs, part=own.part)

    def _choices(self, logits: Tensor, batch: EpisodeBatch, part: Part | None = None) -> Tensor:
        """Return choices (N, L, n_tokens) on the CPU, where the reward is.

        `logits` are of the episodes of `batch` that `part` has; None has all.
        """
        assert self.seed is not None, "drawn in _setup_model"
        # By what the minibatch is, so that a resumed run draws the same.
        entropy = [self.seed, self.n_iterations, 2, *batch.utterances.tolist()]
        part = part or Part(len(batch))
        width, longest = logits.shape[1], batch.tokens.shape[1]
        wide = functional.pad(logits, (0, 0, 0, longest - width))  # noise is drawn for all rows
        with part.drawn_as_whole():
            choices = choose_straight_through(
                (wide.float() / self.temperature).cpu(),
                torch.from_numpy(batch.tokens[part.rows]),
                estimator=self.estimator,
                relaxation=self.relaxation,
                seed=int(np.random.default_rng(entropy).integers(2**63)),
            )
        return choices[:, :width]

    def _look(self) -> None:
        """Ask the guard; keep the weights if it is content, else put the kept ones back."""
        name = resolve_guard(self.guard, find_in_env(self.env, "reward_function"))
        if name is None:
            return
        if self._before is None:
            self._before = self._guard_figures(name, self.reference)
            self._check_told(name, self._before)
        after = self._guard_figures(name, self.model)
        look = compared(name, self._before, after, tolerance=self.guard_tolerance)
        look = agreed(look)
        self.looks.append(look)
        self.logger.record(f"guard/{name}", float(after.mean()))
        self.logger.record(f"guard/{name}_change", look.change.mean)
        if not look.says_stop:
            self.kept.load_state_dict(self.model.state_dict())
            return
        self.model.load_state_dict(self.kept.state_dict())
        self.stopped = True
        text = f"training stops at iteration {self.n_iterations}: {look}"
        self.logger.warn(text)
        warnings.warn(
            f"{text}; the weights are those of the last look at which it had not", stacklevel=2
        )

    def _guard_figures(self, name: str, network: MotionTransformer) -> DoubleArray:
        """Return what the guard says of the animations of `network`, (N,)."""
        assert self.seed is not None, "drawn in _setup_model"
        pool = find_in_env(self.env, "utterances")
        rng = np.random.default_rng([self.seed, 3])
        size = min(self.guard_utterances, len(pool))
        utterances = np.sort(rng.choice(pool, size=size, replace=False))
        assert self.env is not None, "checked by `learn`"
        plan = RolloutPlan(
            utterances=utterances,
            samples_per_utterance=1,
            run_seed=self.seed,
            iteration=0,
            decoding=Decoding(temperature=self.temperature),
            by_stream=False,
            acceleration=PLAIN,
        )
        written = self.collector.write(network, self.env, plan)
        animations = Trajectories(utterances, written.tokens, written.lengths, written.condition)
        reward = find_in_env(self.env, "reward_function")
        return guard_figures(name, reward, animations, n_tokens=self.task.n_tokens)

    def _check_told(self, name: str, before: DoubleArray) -> None:
        """Say if the guard is blind: an ensemble of one never disagrees."""
        if name == DISAGREEMENT and not before.any():
            blind = f"the guard `{name}` sees nothing: the reward is an ensemble of one"
            remedy = "train one of several members, name a term of the reward, or set it to None"
            if self.guard == DISAGREEMENT:
                raise InputError(f"{blind}; {remedy}")
            warnings.warn(f"`guard` is {self.guard!r}, and {blind}; {remedy}", stacklevel=2)


def _check_alike(ours: np.ndarray, scores: np.ndarray) -> None:
    off = np.abs(ours - scores)
    if (off > TOLERANCE * (1 + np.abs(scores))).any():
        row = int(off.argmax())
        raise TrainingFault(
            "`differentiable_score` must give the same tokens the same score as `score_tokens`, "
            f"got {ours[row]:.6g} instead of {scores[row]:.6g}"
        )
