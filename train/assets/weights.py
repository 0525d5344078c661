"""Weights at half their size."""

from __future__ import annotations

import json
from pathlib import Path

import safetensors
import torch

from esarm_env.weights import KEY, save_weights


def halve(source: Path, target: Path) -> None:
    """Copy a file of weights with its matrices in half precision; equal input, equal bytes.

    `esarm_env.weights.load_module` gives modules in single precision back. Vectors and scalars
    (biases, norms, the scale of a score) stay as they are: they are small, and errors in them do
    not average out.
    """
    with safetensors.safe_open(source, framework="pt") as file:
        sizes = json.loads(file.metadata()[KEY])
        weights = {name: file.get_tensor(name) for name in file.keys()}
    for name, value in weights.items():
        if value.dtype == torch.float32 and value.ndim > 1:
            weights[name] = value.half()
    save_weights(target, weights, kind=sizes.pop("kind"), **sizes)
