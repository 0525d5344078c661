"""Other backends of `esarm bench agents`: stock PPO, RecurrentPPO, GPT-2's `generate`.

Where a choice is open they get the one that suits them: one LSTM instead of two, minibatches as
large as ours, and a GPT-2 that neither hears audio nor keeps log-probabilities.
"""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from stable_baselines3 import PPO
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm

from esarm_env.core.errors import MissingExtraError
from train.bench.agents.cases import Case, phase, settle
from train.bench.agents.ours import array_bytes, parameters_of
from train.bench.agents.problem import N_TOKENS, make_env, make_task

STOCK_BATCH_SIZE = 64  # tokens, the default of Stable-Baselines3's PPO
RECURRENT_BATCH_SIZE = 128  # tokens, the default of sb3-contrib's RecurrentPPO


class Stock:
    """Stock SB3 PPO over full-sequence observations; implements `Backend`.

    Its loops run in full and as they are. Only calls of the network are left out at long lengths,
    and count with the mean of those that are run.
    """

    def __init__(self, case: Case) -> None:
        """Make the task, the environments and the algorithm."""
        from agents.stock import TransformerActorCriticPolicy

        env = make_env(make_task(case.length), case.n_episodes, observation="full_sequence")
        self._case = case
        self._algorithm = PPO(
            TransformerActorCriticPolicy,
            env,
            n_steps=case.length,
            batch_size=min(STOCK_BATCH_SIZE, case.n_tokens),
            n_epochs=1,
            seed=0,
            device=case.device,
            policy_kwargs={"network": case.sizes.network},
        )
        _, self._callback = self._algorithm._setup_learn(1)
        self.parameters = parameters_of(self._algorithm.policy)

    def window(self) -> dict[str, Any]:
        """As of `Backend`."""
        most, device = self._case.sizes.n_minibatches, self._case.device
        return {"rollout": self._collect(), "update": timed_update(self._algorithm, most, device)}

    def buffer_bytes(self) -> int:
        """As of `Backend`."""
        return array_bytes(self._algorithm.rollout_buffer)

    def _collect(self) -> dict[str, float]:
        policy, case = self._algorithm.policy, self._case
        calls = SampledCalls(
            policy.forward,
            self._stand_in(),
            chosen=spread_indices(case.length, case.sizes.n_forwards),
            device=case.device,
        )
        policy.forward = calls  # type: ignore[method-assign]
        try:
            seconds = timed_collect(self._algorithm, self._callback, case.device)
        finally:
            del policy.forward
        left_out = case.length - len(calls.seconds)
        seconds += left_out * float(np.mean(calls.seconds))
        return phase(seconds, case.n_tokens, measured=len(calls.seconds) / case.length)

    def _stand_in(self) -> Callable[..., Any]:
        """Return what acts in place of the network: random tokens."""
        n_envs, chance = self._case.n_episodes, -math.log(N_TOKENS)
        device = self._case.device

        def act(*args: Any, **kwargs: Any) -> tuple[torch.Tensor, ...]:
            actions = torch.randint(N_TOKENS, (n_envs,), device=device)
            values = torch.zeros(n_envs, 1, device=device)
            return actions, values, torch.full((n_envs,), chance, device=device)

        return act


class Recurrent:
    """sb3-contrib's RecurrentPPO, one LSTM of as many parameters, flat observations."""

    def __init__(self, case: Case, *, parameters: int, batch_size: int) -> None:
        """Make the algorithm.

        Args:
            case: Which.
            parameters: How many there may be in all; the LSTM is as wide as they allow.
            batch_size: Tokens per minibatch.
        """
        from sb3_contrib import RecurrentPPO

        task = make_task(case.length)

        def make(hidden: int) -> Any:
            return RecurrentPPO(
                "MlpLstmPolicy",
                env,
                n_steps=case.length,
                batch_size=min(batch_size, case.n_tokens),
                n_epochs=1,
                seed=0,
                device=case.device,
                policy_kwargs={
                    "lstm_hidden_size": hidden,
                    "shared_lstm": True,
                    "enable_critic_lstm": False,
                },
            )

        env = make_env(task, 1, observation="flat")
        hidden = largest_within(lambda size: parameters_of(make(size).policy), parameters)
        env = make_env(task, case.n_episodes, observation="flat")
        self._case, self._algorithm = case, make(hidden)
        _, self._callback = self._algorithm._setup_learn(1)
        self.parameters = parameters_of(self._algorithm.policy)

    def window(self) -> dict[str, Any]:
        """As of `Backend`."""
        case = self._case
        seconds = timed_collect(self._algorithm, self._callback, case.device)
        return {
            "rollout": phase(seconds, case.n_tokens),
            "update": timed_update(self._algorithm, case.sizes.n_minibatches, case.device),
        }

    def buffer_bytes(self) -> int:
        """As of `Backend`."""
        return array_bytes(self._algorithm.rollout_buffer)


class Generate:
    """Hugging Face GPT-2 that samples tokens: no audio, values, or scores; implements `Backend`."""

    def __init__(self, case: Case, *, parameters: int) -> None:
        """Make a network of random weights with about `parameters` parameters."""
        try:
            from transformers import GPT2Config, GPT2LMHeadModel
            from transformers.utils import logging
        except ImportError as error:
            raise MissingExtraError(
                "transformers", extra="wavlm", purpose="The benchmark's rival GPT-2"
            ) from error

        logging.set_verbosity_error()  # type: ignore[no-untyped-call]  # by transformers

        def make(per_head: int) -> Any:
            return GPT2LMHeadModel(
                GPT2Config(
                    vocab_size=N_TOKENS + 1,  # and one to begin with
                    n_positions=case.length + 1,
                    n_embd=per_head * case.sizes.n_heads,
                    n_layer=case.sizes.n_layers,
                    n_head=case.sizes.n_heads,
                    bos_token_id=N_TOKENS,
                    eos_token_id=None,
                    pad_token_id=N_TOKENS,
                )
            )

        self._case = case
        size = largest_within(lambda width: parameters_of(make(width)), parameters)
        self._model = make(size).eval().to(case.device)
        self.parameters = parameters_of(self._model)

    def window(self) -> dict[str, Any]:
        """As of `Backend`; there is no update."""
        case = self._case
        start = torch.full((case.n_episodes, 1), N_TOKENS, device=case.device)
        begin = time.perf_counter()
        with torch.inference_mode():
            written = self._model.generate(
                start,
                attention_mask=torch.ones_like(start),
                max_new_tokens=case.length,
                do_sample=True,
                top_k=0,
                use_cache=True,
            )
        settle(case.device)
        seconds = time.perf_counter() - begin
        assert written.shape[1] == case.length + 1, "nothing ends a sequence early"
        return {"rollout": phase(seconds, case.n_tokens)}

    def buffer_bytes(self) -> int:
        """As of `Backend`: what is written is all there is."""
        return 0


class SampledCalls:
    """Runs a function at chosen calls and times it; a stand-in answers the others."""

    def __init__(
        self,
        run: Callable[..., Any],
        stand_in: Callable[..., Any],
        *,
        chosen: list[int],
        device: str = "cpu",
    ) -> None:
        """Take over; `chosen` are numbers of calls, from 0, to networks on `device`."""
        self._run, self._stand_in, self._chosen = run, stand_in, set(chosen)
        self._device = device
        self._n_calls = 0
        self.seconds: list[float] = []

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Answer one call."""
        self._n_calls += 1
        if self._n_calls - 1 not in self._chosen:
            return self._stand_in(*args, **kwargs)
        settle(self._device)
        begin = time.perf_counter()
        answer = self._run(*args, **kwargs)
        settle(self._device)
        self.seconds.append(time.perf_counter() - begin)
        return answer


class Marks:
    """Notes when the first of some things was handed out."""

    first = 0.0

    def note(self, things: Iterator[Any]) -> Iterator[Any]:
        """Yield `things`."""
        for number, each in enumerate(things):
            if number == 0:
                self.first = time.perf_counter()
            yield each


def timed_collect(algorithm: OnPolicyAlgorithm, callback: Any, device: str) -> float:
    """Collect one buffer of steps as `learn` would, and return how many seconds it took."""
    assert algorithm.env is not None, "made with one"
    begin = time.perf_counter()
    algorithm.collect_rollouts(
        algorithm.env, callback, algorithm.rollout_buffer, n_rollout_steps=algorithm.n_steps
    )
    settle(device)
    return time.perf_counter() - begin


def timed_update(algorithm: PPO, most: int, device: str = "cpu") -> dict[str, float]:
    """Train for one epoch, but on at most `most` of its minibatches, and return the phase."""
    buffer, marks = algorithm.rollout_buffer, Marks()
    n_tokens = buffer.buffer_size * buffer.n_envs
    n_all = math.ceil(n_tokens / algorithm.batch_size)
    n_run, get = min(n_all, most), buffer.get

    def first_of(batch_size: int | None = None) -> Iterator[Any]:
        return marks.note(itertools.islice(get(batch_size), n_run))

    buffer.get = first_of  # type: ignore[assignment, method-assign]
    begin = time.perf_counter()
    try:
        algorithm.train()
    finally:
        del buffer.get
    settle(device)
    end = time.perf_counter()
    # What comes before the first minibatch (flattening the buffer) is paid once.
    seconds = marks.first - begin + (end - marks.first) * n_all / n_run
    return phase(seconds, n_tokens, measured=n_run / n_all)


def spread_indices(n: int, most: int) -> list[int]:
    """Return up to `most` of 0..n-1, the middles of equal parts: their mean is that of all."""
    if n <= most:
        return list(range(n))
    return [int((number + 0.5) * n / most) for number in range(most)]


def largest_within(count: Callable[[int], int], limit: int) -> int:
    """Return the largest size whose `count` is at most `limit`; it grows with the size.

    Raises:
        ValueError: If a size of 1 counts more already.
    """
    if count(1) > limit:
        raise ValueError(f"`limit` must be at least {count(1)}, got {limit}")
    size = 1
    while count(2 * size) <= limit:
        size *= 2
    step = size // 2
    while step:
        size, step = (size + step if count(size + step) <= limit else size), step // 2
    return size
