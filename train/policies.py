"""Save and load policy networks as `.safetensors`, and write animations with them."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import safetensors
import safetensors.torch
from torch import Tensor

from agents.common.rollout import Decoding, generate, sequence_seeds
from agents.transformer import MotionTransformer, PolicyConfig
from esarm_env.cache import new_file
from esarm_env.errors import InputError
from esarm_env.task import AnimationTask
from esarm_env.types import IntArray, Trajectories

POLICY_FILE = "policy.safetensors"


def save_policy(model: MotionTransformer, weights: dict[str, Tensor], path: Path) -> None:
    """Write `weights` of `model` and its sizes to one file."""
    metadata = {"kind": "esarm-policy", "config": json.dumps(asdict(model.config))}
    tensors = {name: value.contiguous() for name, value in weights.items()}
    with new_file(path) as draft:
        safetensors.torch.save_file(tensors, draft, metadata)


def load_policy(path: Path) -> MotionTransformer:
    """Read a policy that `save_policy` wrote, ready to act.

    Raises:
        InputError: If the file is missing, damaged, or something else.
    """
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}
        if metadata.get("kind") != "esarm-policy":
            raise InputError(f"{path}: must be a policy, got {metadata.get('kind')!r}")
        model = MotionTransformer(PolicyConfig(**json.loads(metadata["config"])))
        model.load_state_dict(tensors)
    except (OSError, safetensors.SafetensorError, RuntimeError, KeyError, TypeError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(
            f"{path}: must be a whole policy file, got {reason}; delete the stage and run it again"
        ) from error
    return model.eval()


def animate_utterances(
    model: MotionTransformer,
    task: AnimationTask,
    utterances: IntArray,
    *,
    decoding: Decoding,
    seed: int,
    sample: int = 0,
) -> Trajectories:
    """Return one animation of each utterance under its recorded condition.

    Args:
        model: The policy.
        task: Gives audio and conditions.
        utterances: Shape (N,).
        decoding: Greedy, sampled or noisy.
        seed: Of the run.
        sample: Number of the sample; another number gives other random choices.
    """
    condition = task.condition_of(utterances)
    samples = np.full(len(utterances), sample)
    seeds = sequence_seeds(run=seed, iteration=0, utterances=utterances, samples=samples)
    rollout = generate(model, task, utterances, condition=condition, decoding=decoding, seeds=seeds)
    return Trajectories(utterances, rollout.tokens, rollout.lengths, condition)
