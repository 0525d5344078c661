"""A sampling temperature: one policy in sampling, ratio, divergence and entropy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch

from agents.common.sequence_algorithm import SequenceAlgorithm
from agents.common.update import token_terms
from agents.grpo import SequenceGRPO
from agents.network.transformer import MotionTransformer
from agents.ppo import SequencePPO
from agents.protocols import SequenceTask
from agents.reinforce import SequenceReinforce
from agents.rollout.buffer import EpisodeBatch

Env = gymnasium.Env[Any, Any]
MakeModel = Callable[..., MotionTransformer]
MakeAlgorithm = Callable[..., SequenceAlgorithm]
Learn = Callable[..., dict[str, float]]

every = pytest.mark.parametrize("kind", [SequencePPO, SequenceReinforce, SequenceGRPO])


@pytest.fixture
def clone(task: SequenceTask, make_model: MakeModel, network: dict[str, Any]) -> MotionTransformer:
    """Return far-off weights: at fresh ones all temperatures are nearly one."""
    return make_model(task, seed=5, **network["network"])


@every
@pytest.mark.parametrize("temperature", [0.7, 1.0, 1.5])
def test_the_first_ratio_is_one_at_any_temperature(
    env: Env,
    make_algorithm: MakeAlgorithm,
    learn: Learn,
    clone: MotionTransformer,
    kind: type[SequenceAlgorithm],
    temperature: float,
) -> None:
    """Tempered in the roll-out alone, every ratio is off, and PPO clips what it should learn."""
    algorithm = make_algorithm(kind, env, temperature=temperature)
    algorithm.warm_start(clone.state_dict())
    for _ in range(2):
        assert learn(algorithm)["train/first_ratio_error"] < 1e-5


def test_terms_are_those_of_the_tempered_policy(
    task: SequenceTask, env: Env, make_algorithm: MakeAlgorithm, clone: MotionTransformer
) -> None:
    """Against the definition with logits over 0.7, for the policy and for its reference."""
    algorithm = make_algorithm(SequencePPO, env, temperature=0.7)
    algorithm.warm_start(clone.state_dict())
    with torch.no_grad():
        algorithm.model.to_logits.mul_(1.3)
    batch: EpisodeBatch = algorithm._write_episodes()
    found = token_terms(algorithm.model, clone, task, batch, temperature=0.7)
    inputs = (
        torch.from_numpy(task.audio_windows(batch.utterances)),
        torch.from_numpy(batch.condition),
        torch.from_numpy(batch.tokens),
    )
    with torch.no_grad():
        p, q = (each(*inputs)[0].double().div(0.7).softmax(-1) for each in (algorithm.model, clone))
    chosen = p.gather(2, inputs[2].clamp(min=0)[..., None])[..., 0].log()
    inside = batch.inside
    expected = {
        "log_probs": chosen,
        "kl": (p * (p / q).log()).sum(-1),
        "entropy": -(p * p.log()).sum(-1),
    }
    for name, values in expected.items():
        ours = getattr(found, name).detach().numpy()[inside]
        np.testing.assert_allclose(ours, values.numpy()[inside], atol=1e-5, err_msg=name)
    np.testing.assert_allclose(batch.log_probs[inside], chosen.numpy()[inside], atol=1e-5)


def test_a_low_temperature_samples_likely_tokens(
    env: Env, make_algorithm: MakeAlgorithm, learn: Learn, clone: MotionTransformer
) -> None:
    """A setting that is accepted and ignored is believed to have been tuned."""
    entropies = []
    for temperature in (0.3, 1.0, 3.0):
        algorithm = make_algorithm(SequencePPO, env, temperature=temperature)
        algorithm.warm_start(clone.state_dict())
        entropies.append(learn(algorithm)["train/entropy"])
    assert entropies == sorted(entropies)
    assert entropies[2] > 2 * entropies[0]


def test_the_greedy_baseline_has_no_temperature(
    env: Env, make_algorithm: MakeAlgorithm, clone: MotionTransformer
) -> None:
    """The likeliest tokens are the same at any; so must be what is taken off."""
    offsets = []
    for temperature in (0.5, 2.0):
        algorithm = make_algorithm(
            SequenceReinforce, env, baseline="greedy", temperature=temperature, n_episodes=48
        )
        algorithm.warm_start(clone.state_dict())
        batch = algorithm._write_episodes()
        filled = algorithm.compute_advantages(batch)
        order = np.argsort(batch.utterances, kind="stable")
        offsets.append((batch.scores - filled.advantages[:, 0])[order])
    np.testing.assert_allclose(offsets[0], offsets[1], atol=1e-6)
