"""Our backend of `esarm bench agents`: cached roll-outs, updates on whole sequences."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import torch

from agents.common.update import token_terms
from agents.network.acceleration import PLAIN
from agents.network.transformer import MotionTransformer, PolicyConfig
from agents.ppo import SequencePPO
from agents.protocols import find_in_env
from train.bench.agents.cases import Case, phase, settle
from train.bench.agents.problem import make_env, make_task

MATMUL_SIZE = 1024


class Ours:
    """`SequencePPO`: one epoch per iteration; implements `Backend`."""

    def __init__(self, case: Case) -> None:
        """Make the task, the environments and the algorithm."""
        env = make_env(make_task(case.length), case.n_episodes)
        self._case = case
        self.algorithm = SequencePPO(
            "MotionPolicy",
            env,
            n_episodes=case.n_episodes,
            batch_tokens=min(case.sizes.batch_size, case.n_episodes) * case.length,
            n_epochs=1,
            samples_per_utterance=1,
            kl_coef=0.0,
            seed=0,
            device=case.device,
            acceleration=case.acceleration if case.backend == "accelerated" else PLAIN,
            policy_kwargs={"network": case.sizes.network},
        )
        _, self._callback = self.algorithm._setup_learn(1)
        self.parameters = parameters_of(self.algorithm.model)

    def collect(self) -> None:
        """Write and score `n_episodes` episodes."""
        algorithm = self.algorithm
        assert algorithm.env is not None, "made with one"
        buffer: Any = algorithm.rollout_buffer
        algorithm.collect_rollouts(algorithm.env, self._callback, buffer, algorithm.n_steps)

    def window(self) -> dict[str, Any]:
        """As of `Backend`; a roll-out holds its scoring, which is measured once more alone."""
        begin = self._now()
        self.collect()
        collected = self._now()
        self._score()
        scored = self._now()
        self.algorithm.train()
        updated = self._now()
        n_tokens = self._case.n_tokens
        return {
            "rollout": phase(collected - begin, n_tokens),
            "score": phase(scored - collected, n_tokens),
            "update": phase(updated - scored, n_tokens),
            "matmul_gflops": matmul_gflops(device=self._case.device),
        }

    def buffer_bytes(self) -> int:
        """As of `Backend`."""
        return array_bytes(self.algorithm.rollout_buffer)

    def log_prob_error(self) -> float:
        """Largest deviation of roll-out or update log-probabilities from the plain network."""
        self.collect()
        algorithm, batch = self.algorithm, self.algorithm.batch
        assert batch is not None, "collected"
        plain, used = (
            token_terms(
                forward, None, algorithm.task, batch, device=algorithm.device, acceleration=options
            )
            for forward, options in (
                (algorithm.model, PLAIN),
                (algorithm.forward, algorithm.acceleration),
            )
        )
        exact = plain.log_probs.detach().cpu().numpy()
        others = (batch.log_probs, used.log_probs.detach().cpu().numpy())
        return float(max(np.abs(other - exact)[batch.inside].max() for other in others))

    def _now(self) -> float:
        settle(self._case.device)
        return time.perf_counter()

    def _score(self) -> None:
        batch = self.algorithm.batch
        assert batch is not None, "collected before"
        score = find_in_env(self.algorithm.env, "score_tokens")
        score(batch.utterances, batch.tokens, batch.lengths, batch.condition)


def make_model(case: Case) -> MotionTransformer:
    """Return our network, of random weights, at the sizes of `case`."""
    task = make_task(case.length, n_utterances=1)
    names = ("n_tokens", "tokens_per_chunk", "window_dim", "condition_dim")
    of_task = {name: getattr(task, name) for name in names}
    return MotionTransformer(PolicyConfig(**of_task, **case.sizes.network))


def array_bytes(holder: Any) -> int:
    """Return the size of all arrays among the attributes of `holder`, in dicts and tuples, too."""
    waiting, total = list(vars(holder).values()), 0
    while waiting:
        value = waiting.pop()
        if isinstance(value, np.ndarray):
            total += value.nbytes
        elif isinstance(value, dict):
            waiting += value.values()
        elif isinstance(value, tuple):
            waiting += value
    return total


def parameters_of(module: torch.nn.Module) -> int:
    """Return how many parameters a network has."""
    return sum(parameter.numel() for parameter in module.parameters())


def matmul_gflops(size: int = MATMUL_SIZE, *, device: str = "cpu") -> float:
    """Return how fast this process multiplies big matrices right now, in GFLOP/s, best of 3."""
    left, right = torch.rand(2, size, size, device=device)
    seconds = []
    for _ in range(3):
        settle(device)
        begin = time.perf_counter()
        torch.mm(left, right)
        settle(device)
        seconds.append(time.perf_counter() - begin)
    return 2e-9 * size**3 / min(seconds)


def flops_per_token(model: MotionTransformer, *, length: int) -> float:
    """Return what the matrix products of one token's forward pass take, causal, with a cache.

    An update takes three times that: forward, and backward to inputs and to weights.

    Args:
        model: The network.
        length: Tokens of an episode; a token attends to half of them on average.
    """
    config = model.config
    inside = sum(p.numel() for p in model.blocks.parameters() if p.ndim == 2)
    heads = config.width * config.n_tokens + config.width**2
    chunk = sum(
        p.numel()
        for part in (model.style, model.content, model.emotion, model.mix)
        for p in part.parameters()
        if p.ndim == 2
    )
    attention = 2 * config.n_layers * config.width * length / 2
    return 2 * (inside + heads + chunk / config.tokens_per_chunk + attention)
