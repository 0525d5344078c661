"""Sizes of a network that fits full-sequence observations, and of a policy that fits a network."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from gymnasium import spaces

from agents.transformer import MotionTransformer, PolicyConfig

_KEYS = ("audio", "audio_mask", "condition", "tokens", "step")
_FROM_SPACES = ("n_tokens", "tokens_per_chunk", "window_dim", "condition_dim")


def policy_kwargs_of(
    clone: MotionTransformer, observation_space: spaces.Space[Any]
) -> dict[str, Any]:
    """Return the `policy_kwargs` of a stock algorithm whose policy can load `clone`.

    Raises:
        ValueError: If the windows of `clone` are no odd number of the space's chunks.
    """
    shapes = _shapes_of(observation_space)
    chunk_dim = shapes["audio"] // shapes["audio_mask"]
    n_chunks, rest = divmod(clone.config.window_dim, chunk_dim)
    if rest or n_chunks % 2 == 0:
        raise ValueError(
            f"`clone` must hear an odd number of chunks of {chunk_dim} features, "
            f"got windows of {clone.config.window_dim}"
        )
    sizes = {each.name: getattr(clone.config, each.name) for each in fields(PolicyConfig)}
    network = {name: size for name, size in sizes.items() if name not in _FROM_SPACES}
    return {"network": network, "context": n_chunks // 2}


def config_of(
    observation_space: spaces.Space[Any],
    action_space: spaces.Space[Any],
    *,
    network: dict[str, Any],
    context: int,
) -> PolicyConfig:
    """Return the sizes of the network that fits these spaces.

    Raises:
        ValueError: If a space, a key of `network` or `context` does not fit.
    """
    shapes = _shapes_of(observation_space)
    if not isinstance(action_space, spaces.Discrete):
        raise ValueError(f"`action_space` must be Discrete, got {action_space}")
    known = [each.name for each in fields(PolicyConfig) if each.name not in _FROM_SPACES]
    unknown = sorted(set(network) - set(known))
    if unknown:
        raise ValueError(f"`network` must have keys of {known}, got {unknown}")
    if context < 0:
        raise ValueError(f"`context` must be at least 0, got {context}")
    n_chunks = shapes["audio_mask"]
    return PolicyConfig(
        n_tokens=int(action_space.n),
        tokens_per_chunk=shapes["tokens"] // n_chunks,
        window_dim=(2 * context + 1) * (shapes["audio"] // n_chunks),
        condition_dim=shapes["condition"],
        **network,
    )


def _shapes_of(space: spaces.Space[Any]) -> dict[str, int]:
    """Return the width of every key that the policy needs."""
    parts = getattr(space, "spaces", {})
    missing = sorted(set(_KEYS) - set(parts)) if isinstance(parts, dict) else list(_KEYS)
    if missing:
        raise ValueError(
            f"`observation_space` must have {missing}, got none of them; make the environment "
            "with `observation='full_sequence'`"
        )
    shapes = {key: int(parts[key].shape[0]) for key in _KEYS}
    n_chunks = shapes["audio_mask"]
    for key in ("audio", "tokens"):
        if shapes[key] % n_chunks:
            raise ValueError(
                f"`{key}` must be a multiple of {n_chunks} (one entry of `audio_mask` per chunk), "
                f"got {shapes[key]}"
            )
    return shapes


def differences(theirs: PolicyConfig, ours: PolicyConfig) -> str:
    """Return `name theirs for ours` of every size that differs."""
    names = [each.name for each in fields(PolicyConfig)]
    pairs = [(name, getattr(theirs, name), getattr(ours, name)) for name in names]
    return ", ".join(f"{name} {a} for {b}" for name, a, b in pairs if a != b)
