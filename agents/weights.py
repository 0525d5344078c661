"""Policy networks on disk: one `.safetensors` file with weights and sizes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from torch import Tensor

from agents.network.transformer import DISTANCES, MotionTransformer, PolicyConfig
from esarm_env.core.errors import InputError
from esarm_env.core.hub.address import is_address
from esarm_env.core.hub.manifest import tokenizer_told
from esarm_env.core.hub.shareable import POLICY
from esarm_env.core.run_layout import CLONE_FILE, POLICY_FILE, improved_policies, is_export
from esarm_env.core.shipped import shipped_run
from esarm_env.core.weights import from_sizes, load_module, save_weights

SHIPPED = "shipped"
TASK_SIZES = ("n_tokens", "tokens_per_chunk", "window_dim", "condition_dim")  # not to be chosen


def save_policy(
    model: MotionTransformer, path: str | Path, *, weights: Mapping[str, Tensor] | None = None
) -> None:
    """Write a network and its sizes to one file, replaced in one step.

    Args:
        model: Gives the sizes and, where `weights` is None, the weights.
        path: The file to write, by custom with the suffix `.safetensors`.
        weights: A state dict of `model` to write instead, for instance the best of a training.
    """
    tensors = model.state_dict() if weights is None else weights
    save_weights(Path(path), tensors, kind="policy", **asdict(model.config))


def load_policy(source: str | Path | None = None) -> MotionTransformer:
    """Read a policy network, ready to act.

    Args:
        source: A file of `save_policy`; a run folder, of which it is the clone, or one of its
            folders that hold a policy (`RUN/improve/ppo`); an export, which has one policy;
            `hf://user/name@revision` for one on the Hub; `"shipped"` or None for the clone that
            ships with the package.

    Raises:
        InputError: If there is no policy, it is damaged, or it cannot be fetched.
        MissingExtraError: If it is on the Hub and the extra `hub` is not installed.
    """
    from esarm_env.core.hub.folders import local_folder  # a long chain of imports

    place = local_folder(source, POLICY) if source is not None and is_address(source) else source
    file = _policy_file(place)
    model = load_module(file, _build, kind="policy")
    # Beside the file, or above `clone/` or `improve/NAME/`.
    told = (tokenizer_told(folder) for folder in list(file.parents)[:3])
    model.tokenizer_hash = next((each for each in told if each is not None), None)
    return model


def check_tokenizer(model: MotionTransformer, found: str | None, *, name: str) -> None:
    """Check that a policy writes tokens of a tokenizer, as far as both are known.

    Args:
        model: The policy.
        found: Content hash of the tokenizer that is there.
        name: Of the argument, for the message.

    Raises:
        InputError: If it is another one.
    """
    wanted = model.tokenizer_hash
    if None not in (wanted, found) and wanted != found:
        raise InputError(
            f"`{name}` must be that of the policy's tokenizer, {wanted:.12}, got one with "
            f"{found:.12}: its tokens would mean other faces; take the task that the policy was "
            "shared with"
        )


def _build(**sizes: Any) -> MotionTransformer:
    return MotionTransformer(from_sizes(PolicyConfig, sizes))


def network_sizes(model: MotionTransformer) -> dict[str, int]:
    """Return every size of a network by name: all of `PolicyConfig` but the dropout."""
    sizes: dict[str, int] = {k: v for k, v in asdict(model.config).items() if k != "dropout"}
    return sizes


def sizes_like(network: MotionTransformer, policy_kwargs: dict[str, Any] | None) -> dict[str, Any]:
    """Return `policy_kwargs` of a policy that has all sizes of `network`, without its dropout.

    Raises:
        InputError: If there are sizes among them already.
    """
    given = dict(policy_kwargs or {})
    if "network" in given:
        raise InputError(
            "`policy_kwargs` must leave `network` out beside a clone, which has sizes of its "
            f"own, got {given['network']!r}"
        )
    sizes = {k: v for k, v in network_sizes(network).items() if k not in TASK_SIZES}
    # Dropout is for cloning; without it a policy that is saved says so.
    given["network"] = {**sizes, "dropout": 0.0}
    return given


def check_fits(
    clone: MotionTransformer | Mapping[str, Tensor],
    model: MotionTransformer,
    *,
    task: Mapping[str, str] | None = None,
) -> None:
    """Check that the weights of `clone`, a network or a state dict, fit into `model`.

    Args:
        clone: What is to be taken over.
        model: What takes it over.
        task: Fingerprint of the task that it is to act in, if there is one.

    Raises:
        InputError: If a size or the tokenizer differs; of a state dict, whose number of heads
            nobody can see, if the name or the shape of a tensor does.
    """
    if isinstance(clone, MotionTransformer):
        check_tokenizer(clone, (task or {}).get("tokenizer"), name="env")
        found: Mapping[str, object] = network_sizes(clone)
        wanted: Mapping[str, object] = network_sizes(model)
    else:
        found = {name: tuple(tensor.shape) for name, tensor in clone.items()}
        wanted = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
        found = {DISTANCES: wanted[DISTANCES], **found}  # older ones lack them
    names = [name for name in {**wanted, **found} if found.get(name) != wanted.get(name)]
    if names:
        shown = [f"{n} {found.get(n, 'left out')} instead of {wanted.get(n)}" for n in names[:4]]
        more = f" and {len(names) - 4} more" if len(names) > 4 else ""
        remedy = "make the algorithm with `from_clone`, which takes the sizes over"
        if any(name in TASK_SIZES for name in names):
            remedy = "it was cloned for another tokenizer, corpus or observation"
        raise InputError(
            f"`clone` must have the sizes of the policy, got {', '.join(shown)}{more}; {remedy}"
        )


def _policy_file(source: str | Path | None) -> Path:
    """Return the file that `source` stands for."""
    path = shipped_run() if source is None or source == SHIPPED else Path(source)
    if not path.exists():
        raise InputError(
            f"`source` must be {SHIPPED!r}, a policy file or a run folder, got {str(source)!r}, "
            "which does not exist"
        )
    if not path.is_dir():
        return path
    places = [path / POLICY_FILE, path / CLONE_FILE]
    places += improved_policies(path).values() if is_export(path) else []
    found = [place for place in places if place.is_file()]
    if not found:
        raise InputError(
            f"{path}: must hold {POLICY_FILE} or {CLONE_FILE}, got neither; "
            "name the file, or a run whose stage `clone` is finished"
        )
    return found[0]
