"""PPO in one file (Schulman et al. 2017), in the manner of CleanRL, for `esarm bench rl`.

It stands for the single-file implementations that researchers change by hand: a flat observation, a
native vector environment, two networks, no library but torch.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.distributions import Categorical, Distribution
from torch.nn import Linear, Sequential, Tanh

if TYPE_CHECKING:
    from gymnasium.vector import VectorEnv

    from esarm_env.core.types import FloatArray, IntArray


@dataclass(frozen=True)
class SingleFileConfig:
    """Settings of `SingleFilePPO`.

    Attributes:
        n_steps: Tokens of each environment per iteration.
        batch_size: Tokens per minibatch.
        n_epochs: Passes over an iteration's tokens.
        learning_rate: Of Adam.
        gamma: Discount per token.
        gae_lambda: Of the advantages.
        clip_range: How far a token's probability ratio counts.
        ent_coef: Weight of the entropy bonus.
        hidden: Width of the networks, one hidden layer each.
    """

    n_steps: int
    batch_size: int
    n_epochs: int
    learning_rate: float
    gamma: float
    gae_lambda: float
    clip_range: float = 0.2
    ent_coef: float = 0.0
    hidden: int = 256


class SingleFilePPO:
    """PPO on flat observations of a vector environment that resets in the same step."""

    def __init__(self, envs: VectorEnv[Any, Any, Any], config: SingleFileConfig, *, seed: int):
        """Make both networks for the spaces of `envs`."""
        self._envs, self._config, self._seed = envs, config, seed
        torch.manual_seed(seed)
        n_in, width = envs.single_observation_space.shape[0], config.hidden  # type: ignore[index]
        n_tokens = int(envs.single_action_space.n)  # type: ignore[attr-defined]
        to_tokens = Linear(width, n_tokens)
        torch.nn.init.orthogonal_(to_tokens.weight, gain=0.01)  # all tokens alike at first
        self._actor = Sequential(Linear(n_in, width), Tanh(), to_tokens)
        self._critic = Sequential(Linear(n_in, width), Tanh(), Linear(width, 1))
        parameters = [*self._actor.parameters(), *self._critic.parameters()]
        self._optimizer = torch.optim.Adam(parameters, lr=config.learning_rate, eps=1e-5)

    def predict(self, obs: FloatArray, *_: Any) -> tuple[IntArray, None]:
        """Return the likeliest tokens, (N,), of flat observations (N, D)."""
        with torch.no_grad():
            tokens = self._actor(torch.from_numpy(obs)).argmax(1)
        return tokens.numpy(), None

    def learn(self, total: int, on_iteration: Callable[[int], None]) -> None:
        """Train on at least `total` tokens; `on_iteration` hears how many before each iteration."""
        n_done, obs = 0, self._envs.reset(seed=self._seed)[0]
        while n_done < total:
            on_iteration(n_done)
            obs, rollout = self._collect(obs)
            self._update(*rollout)
            n_done += self._config.n_steps * self._envs.num_envs
        on_iteration(n_done)

    def _collect(self, obs: FloatArray) -> tuple[FloatArray, tuple[Tensor, ...]]:
        """Return the next observations; observations, tokens, log-probabilities and advantages."""
        steps: list[tuple[Tensor, ...]] = []
        for _ in range(self._config.n_steps):
            now = torch.from_numpy(obs)
            with torch.no_grad():
                choice: Distribution = Categorical(logits=self._actor(now))
                token = choice.sample()
                known = (choice.log_prob(token), self._critic(now)[:, 0])
            obs, paid, terminated, truncated, _ = self._envs.step(token.numpy())
            done = torch.from_numpy(terminated | truncated)
            steps.append((now, token, *known, torch.from_numpy(paid).float(), done))
        with torch.no_grad():
            last = self._critic(torch.from_numpy(obs))[:, 0]
        seen, tokens, log_probs, values, paid_, done_ = map(torch.stack, zip(*steps, strict=True))
        advantages = self._advantages(values, paid_, done_, last)
        parts = (seen, tokens, log_probs, advantages, advantages + values)
        return obs, tuple(part.flatten(0, 1) for part in parts)

    def _advantages(self, values: Tensor, paid: Tensor, done: Tensor, last: Tensor) -> Tensor:
        """Return generalised advantages, (n_steps, num_envs)."""
        config, later = self._config, torch.zeros_like(last)
        advantages = torch.zeros_like(values)
        for t in reversed(range(len(values))):
            goes_on = 1.0 - done[t].float()
            following = last if t + 1 == len(values) else values[t + 1]
            error = paid[t] + config.gamma * following * goes_on - values[t]
            later = error + config.gamma * config.gae_lambda * goes_on * later
            advantages[t] = later
        return advantages

    def _update(
        self, obs: Tensor, tokens: Tensor, before: Tensor, advantages: Tensor, returns: Tensor
    ) -> None:
        """Take the steps of one iteration on (N, ...) tokens."""
        config = self._config
        for _ in range(config.n_epochs):
            order = torch.randperm(len(obs))
            for begin in range(0, len(obs), config.batch_size):
                rows = order[begin : begin + config.batch_size]
                choice: Distribution = Categorical(logits=self._actor(obs[rows]))
                ratio = (choice.log_prob(tokens[rows]) - before[rows]).exp()
                gain = advantages[rows]
                gain = (gain - gain.mean()) / (gain.std() + 1e-8)
                clipped = ratio.clamp(1 - config.clip_range, 1 + config.clip_range)
                surrogate = torch.min(ratio * gain, clipped * gain).mean()
                missed = (self._critic(obs[rows])[:, 0] - returns[rows]).square().mean()
                loss = 0.5 * missed - surrogate - config.ent_coef * choice.entropy().mean()
                self._optimizer.zero_grad()
                loss.backward()
                parameters = self._optimizer.param_groups[0]["params"]
                torch.nn.utils.clip_grad_norm_(parameters, 0.5)
                self._optimizer.step()
