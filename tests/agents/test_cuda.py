"""The same on a GPU, within the stated tolerances; skipped where there is none."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch

from agents.cloning import BehaviourCloning
from agents.common.sequence_algorithm import SequenceAlgorithm
from agents.common.update import token_terms
from agents.grpo import SequenceGRPO
from agents.network.acceleration import Acceleration
from agents.network.transformer import MotionTransformer
from agents.ppo import SequencePPO
from agents.protocols import SequenceTask
from agents.reinforce import SequenceReinforce
from agents.rollout.decoding import Decoding
from agents.rollout.generation import generate
from esarm_env.core.seeds import sequence_seeds

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU"),
]

Env = gymnasium.Env[Any, Any]
MakeAlgorithm = Callable[..., SequenceAlgorithm]
Learn = Callable[..., dict[str, float]]

_OPTIONS = [
    Acceleration(),
    Acceleration(cuda_graphs=True),
    Acceleration(compile=True),
    Acceleration(bf16=True, compile=True, cuda_graphs=True),
]


def _write(model: MotionTransformer, task: SequenceTask, **options: Any) -> Any:
    utterances = np.arange(len(task.lengths))
    seeds = sequence_seeds(run_seed=0, iteration=0, utterances=utterances, samples=0)
    given = {"condition": task.condition_of(utterances), "decoding": Decoding(1.0), "seeds": seeds}
    return generate(model, task, utterances, **(given | options))


_DECODINGS = [Decoding(1.0), Decoding(expected_distance=True), Decoding(1.0, top_k=3, top_p=0.9)]


@pytest.mark.parametrize("decoding", _DECODINGS)
@pytest.mark.parametrize("graphs", [False, True])
def test_a_gpu_writes_what_a_cpu_writes(
    model: MotionTransformer, task: SequenceTask, graphs: bool, decoding: Decoding
) -> None:
    """Equal random numbers must choose equal tokens wherever the network is."""
    numbers = np.arange(task.n_tokens)
    apart = np.abs(np.subtract.outer(numbers, numbers))
    model.set_code_distances(np.repeat(apart[None], task.tokens_per_chunk, axis=0))
    here = _write(model, task, decoding=decoding)
    graph = Acceleration(cuda_graphs=graphs)
    there = _write(model.cuda(), task, acceleration=graph, decoding=decoding)
    np.testing.assert_array_equal(there.tokens, here.tokens)
    np.testing.assert_allclose(there.log_probs, here.log_probs, atol=1e-4)
    np.testing.assert_allclose(there.values, here.values, atol=1e-4)


@pytest.mark.parametrize("acceleration", _OPTIONS)
@pytest.mark.parametrize("kind", [SequencePPO, SequenceReinforce, SequenceGRPO])
def test_algorithms_learn_on_a_gpu(
    env: Env,
    make_algorithm: MakeAlgorithm,
    learn: Learn,
    kind: type[SequenceAlgorithm],
    acceleration: Acceleration,
) -> None:
    """One tensor left on the CPU stops the first update; a stale graph stops learning."""
    algorithm = make_algorithm(
        kind, env, n_episodes=64, learning_rate=1e-2, device="cuda", acceleration=acceleration
    )
    first = learn(algorithm)
    assert first["train/first_ratio_error"] < (0.2 if acceleration.bf16 else 1e-4)
    last = learn(algorithm, n_iterations=25)
    assert last["rollout/score"] > first["rollout/score"] + 0.2


@pytest.mark.parametrize("acceleration", _OPTIONS)
def test_updates_stay_within_the_stated_tolerance(
    env: Env, make_algorithm: MakeAlgorithm, learn: Learn, acceleration: Acceleration
) -> None:
    """What is traded for speed is stated in nats, and must be kept."""
    algorithm = make_algorithm(SequencePPO, env, device="cuda", acceleration=acceleration)
    learn(algorithm)
    batch, task, device = algorithm.batch, algorithm.task, algorithm.device
    assert batch is not None
    used = token_terms(
        algorithm.forward, None, task, batch, device=device, acceleration=acceleration
    )
    plain = token_terms(algorithm.model, None, task, batch, device=device)
    tolerance = acceleration.tolerance
    torch.testing.assert_close(used.log_probs, plain.log_probs, atol=tolerance, rtol=0)


def test_what_was_learnt_on_a_gpu_is_used_on_a_cpu(
    env: Env, make_algorithm: MakeAlgorithm, learn: Learn, tmp_path: Path
) -> None:
    """Weights are trained where the GPU is and used where it is not."""
    algorithm = make_algorithm(SequencePPO, env, device="cuda", kl_coef=0.1)
    learn(algorithm, n_iterations=2)
    obs, _ = env.reset(seed=0)
    algorithm.save(tmp_path / "model")
    loaded = SequencePPO.load(tmp_path / "model", env=env, device="cpu")
    there, here = (each.predict(obs, deterministic=True)[0] for each in (algorithm, loaded))
    assert there == here
    learn(loaded)


def test_cloning_learns_on_a_gpu(env: Env, network: dict[str, Any]) -> None:
    """The noise of cloning is drawn on the CPU and must follow the audio."""
    cloning = BehaviourCloning(
        "MotionPolicy",
        env,
        policy_kwargs=network,
        n_epochs=4,
        token_noise=0.1,
        device="cuda",
        seed=0,
    )
    cloning.learn()
    assert next(cloning.policy.parameters()).is_cuda
