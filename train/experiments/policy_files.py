"""A policy file of any origin, checked against a run, and measured on its test utterances.

A file knows sizes and, in most cases, how far apart codes look. That tells another tokenizer even
where its sizes are the same; of the conditions and the audio features it tells their dimensions.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from agents.weights import TASK_SIZES, load_policy, network_sizes
from esarm_env.core.cache import file_digest
from esarm_env.core.errors import InputError
from esarm_env.core.hub.address import is_address
from esarm_env.core.hub.folders import local_folder
from esarm_env.core.hub.shareable import POLICY
from esarm_env.core.run_layout import (
    CLONE_FILE,
    EXPERIMENTS_FOLDER,
    POLICY_FILE,
    REWARD_FILE,
    TOKENIZER_FILE,
    need_file,
)
from esarm_env.core.weights import weights_digest

if TYPE_CHECKING:
    from agents.network.transformer import MotionTransformer
    from train.run.run_folder import RunFolder

IN_FILE = "file"  # what a policy is called in its table, wherever it lies now
_MEANINGS = {
    "n_tokens": "tokens a codebook",
    "tokens_per_chunk": "tokens a chunk",
    "window_dim": "audio features around a chunk",
    "condition_dim": "entries of the condition (emotion, intensity, speaker)",
}
_TOLERANCE = 1e-3  # of the largest distance of codes: other machines round differently


def load_fitting_policy(source: Path, run_path: Path) -> MotionTransformer:
    """Return a policy from a file or folder, if it can act in a run.

    Args:
        source: A file of `save_policy`, or a folder with `policy.safetensors`.
        run_path: A run finished up to `clone`.

    Raises:
        InputError: If there is none, it is damaged, or it was made for another tokenizer, other
            conditions or other audio features than the run's; the message has both values.
    """
    if is_address(source):
        source = local_folder(source, POLICY)
    if not source.exists():
        raise InputError(f"`policy` must be a policy file that is there, got {str(source)!r}")
    policy = load_policy(source)
    clone = load_policy(need_file(run_path, CLONE_FILE))
    theirs, ours = network_sizes(policy), network_sizes(clone)
    wrong = [
        f"{theirs[name]} {_MEANINGS[name]} instead of {ours[name]}"
        for name in TASK_SIZES
        if theirs[name] != ours[name]
    ]
    if wrong:
        raise InputError(
            f"`policy` must fit the run {run_path}, got {source} with {', '.join(wrong)}; it was "
            "trained with another tokenizer, corpus or audio features"
        )
    if policy.knows_distances and clone.knows_distances:
        _check_distances(policy, clone, source, run_path)
    return policy


def _check_distances(
    policy: MotionTransformer, clone: MotionTransformer, source: Path, run_path: Path
) -> None:
    """Refuse a policy of another tokenizer of the same sizes: its tokens would mean other faces."""
    found, wanted = policy.code_distances, clone.code_distances
    if float((found - wanted).abs().max()) > _TOLERANCE * float(wanted.max()):
        first, second = (float(torch.mean(each)) for each in (found, wanted))
        raise InputError(
            f"`policy` must fit the tokenizer of the run {run_path}, got {source}, whose codes lie "
            f"{first:.3f} mm apart on average instead of {second:.3f} mm; it was trained with "
            "another tokenizer of the same sizes"
        )


def measured_file(run: RunFolder, source: Path) -> tuple[Path, str]:
    """Return the folder in which a policy file is measured, and what to call the policy.

    It is measured at the first call, and again where the file, or the run, is another one.

    Raises:
        InputError: As of `load_fitting_policy`.
    """
    from train.experiments.measuring import measure_policies  # not for `esarm animate`

    policy = load_fitting_policy(source, run.path)
    # Of the weights and not of a file: a folder may be given, and a file be written again.
    digest = hashlib.sha256(weights_digest(policy.state_dict(), policy.config).encode())
    for name in (TOKENIZER_FILE, CLONE_FILE, REWARD_FILE):
        digest.update(file_digest(need_file(run.path, name)).encode())
    place = run.path / EXPERIMENTS_FOLDER / ".files" / digest.hexdigest()[:16]
    measure_policies(run, {IN_FILE: policy}, place)
    return place, str(source.parent if source.name == POLICY_FILE else source)
